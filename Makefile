# `make run` and `make test` need only Python 3.11+ and make: they set everything else up.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-long test-dist test-faults test-adopt test-ha soak mutants bench bench-large bench-peers check format sql api lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: $(VENV)/.installed ## make the virtual environment and install everything

$(VENV)/.installed: requirements.txt requirements-web.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Seisiún needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	@echo 'Installing into $(VENV)/: a minute or two.'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: setup ## run the daemon with real data on an embedded PostgreSQL
	@$(PY) -m scheduler demo

test: setup ## run the tests; every branch of the pure modules must be taken
	$(PY) -m pytest -n 4 --cov --cov-report=term-missing:skip-covered --cov-fail-under=100

test-fast: setup ## run the tests that start no process, with small samples; under 20 seconds
	$(PY) -m pytest -q -n 2 -m "not process and not thorough" --hypothesis-profile fast

test-long: setup ## run the tests with the long samples and the long races
	$(PY) -m pytest --long

test-dist: setup ## build the wheel, install it from the package index beside an app, and test that
	$(PY) -m pytest tests/distribution --network

test-faults: setup ## a long draw of faults: MINUTES=10, and SEED=n to draw the same again
	NEMESIS_MINUTES=$(or $(MINUTES),10) NEMESIS_SEED=$(SEED) $(PY) -m pytest tests/faults/test_bench.py -k draw

test-adopt: setup ## an app in use is taken over and given back, step by step, under traffic: some five minutes
	$(PY) -m pytest --long tests/adoption

test-ha: setup ## failovers under load on Patroni, etcd and HAProxy, where these are installed: some eight minutes
	TEST_HA=1 $(PY) -m pytest tests/ha

soak: setup ## faults and a storm of edits for MINUTES=n, and nothing may grow
	NEMESIS_SOAK_MINUTES=$(or $(MINUTES),60) NEMESIS_SEED=$(SEED) $(PY) -m pytest tests/faults/test_soak.py

mutants: setup ## print the changes of the code that no test notices: hours; MODULES="core/hooks.py web/", AGAIN=1, SAMPLE=n
	$(PY) -m tests.mutants $(if $(AGAIN),--again) $(if $(SAMPLE),--sample $(SAMPLE)) $(MODULES)

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

bench: $(VENV)/.installed-bench ## measure everything beside its floor; some sixteen minutes on two cores
	$(PY) -m benchmarks

bench-large: $(VENV)/.installed-bench ## the same up to a million sessions: an hour, and 20 GB of disk
	$(PY) -m benchmarks --large

bench-peers: $(VENV)/.installed-bench ## measure cron, a job queue and the naive design beside the daemon; some eight minutes
	$(PY) -m benchmarks.peers --results benchmarks/results
	$(PY) -m benchmarks.report

check: setup ## format, lint, types, import contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

format: setup ## format the code, and mend what the linter can mend
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

sql: setup ## write tests/core/store/statements/*.sql, which show every statement as SQL
	$(PY) -m tests.core.store.statements

api: setup ## write docs/api.md, the reference, from the docstrings
	$(PY) -m tests.api_page

LOCK := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: setup ## write the exact releases and hashes that the platform installs; UPGRADE=1 takes the newest
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) requirements-web.txt --constraint requirements.lock --output-file requirements-web.lock

clean: ## remove the virtual environment and the embedded database
	rm -rf $(VENV) .data
