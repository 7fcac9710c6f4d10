"""The face: what `from seisiun import ...` gives an app, and what it costs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import seisiun
from core import active_session_manager
from seisiun.recurrence import validate
from tests.commands import ROOT, environment
from web import create_blueprint

MOST_SECONDS = 0.2  # beyond SQLAlchemy and psycopg2, which the app has anyway
TAKES = """
import time
import psycopg2, sqlalchemy, sqlalchemy.orm
import sqlalchemy.dialects.postgresql.psycopg2

begun = time.process_time()
import seisiun

print(time.process_time() - begun)
"""
WITHOUT_FLASK = """
import sys

sys.modules["flask"] = None
try:
    from seisiun import create_blueprint
except ImportError as error:
    print(error)
"""
IMPORTS = "import sys, seisiun; print(*sorted({name.split('.')[0] for name in sys.modules}))"


def answer(script: str, **settings: str) -> str:
    command, variables = [sys.executable, "-c", script], environment(**settings)
    return subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True).stdout


def test_it_has_all_that_an_app_calls() -> None:
    assert set(active_session_manager.__all__) <= set(seisiun.__all__)
    assert all(hasattr(seisiun, name) for name in seisiun.__all__)
    assert seisiun.check_in is active_session_manager.check_in
    assert seisiun.create_blueprint is create_blueprint
    assert seisiun.recurrence.validate is validate


def test_what_it_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'seisiun' has no attribute 'checkin'$"):
        seisiun.checkin  # noqa: B018


@pytest.mark.process
def test_without_flask_the_pages_say_what_to_install() -> None:
    assert answer(WITHOUT_FLASK) == "the pages need flask: install seisiun[web]\n"


@pytest.mark.process
def test_it_imports_what_the_plain_install_brings_and_no_more() -> None:
    imported = set(answer(IMPORTS).split())

    assert {"sqlalchemy", "psycopg2", "pytz", "pydantic_settings"} <= imported
    assert imported.isdisjoint({"apscheduler", "alembic", "click", "flask", "rich", "tenacity", "web", "scheduler"})


@pytest.mark.process
@pytest.mark.alone
def test_it_is_imported_in_a_fifth_of_a_second(figures: Callable[[str], None], tmp_path: Path) -> None:
    # From bytecode, which the first import writes, as an installer does.
    bytecode = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    taken = min(float(answer(TAKES, **bytecode)) for _ in range(4))

    figures(f"the import of seisiun, beyond SQLAlchemy and psycopg2: {1000 * taken:.0f} ms")
    assert taken < MOST_SECONDS
