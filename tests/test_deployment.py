"""Procfile, render.yaml, the requirements and their locks: what the platform runs stands here, and all agree."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.commands import ROOT, run

BLUEPRINT_TEXT = (ROOT / "render.yaml").read_text()
BLUEPRINT: dict[str, Any] = yaml.safe_load(BLUEPRINT_TEXT)
SERVICES: dict[str, dict[str, Any]] = {service["type"]: service for service in BLUEPRINT["services"]}
WORKER, CRON = SERVICES["worker"], SERVICES["cron"]
PROCFILE: dict[str, str] = dict(
    line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line.strip()
)
BOUNDED = re.compile(r"==[\d.]+|>=[\d.]+,<[\d.]+")
COMMANDS = {*PROCFILE.values(), WORKER["preDeployCommand"], WORKER["startCommand"], CRON["startCommand"]}


def requirements(name: str) -> dict[str, str]:
    """Return package -> what is accepted of it."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    matches = [re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[\w+\])?(.*)", line) for line in lines if line and line[:3] != "-r "]
    assert all(matches)
    return {match[1]: match[2] for match in matches if match}


def test_procfile_and_blueprint_say_the_same() -> None:
    assert {
        "release": WORKER["preDeployCommand"],
        "worker": WORKER["startCommand"],
        "sweep": CRON["startCommand"],
    } == PROCFILE


@pytest.mark.process
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_that_is_named_exists(command: str) -> None:
    python, *arguments = command.split()
    assert python == "python"

    answer = run(*(word for word in arguments if word != "--alert"), "--help", settings={})

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Usage:")
    assert "--alert" not in arguments or "--alert" in answer.stdout


def test_the_sweep_runs_at_14_29_44_and_59() -> None:
    assert CRON["schedule"] == "14,29,44,59 * * * *"
    assert 'schedule: "14,29,44,59 * * * *"' in BLUEPRINT_TEXT, "quoted: a bare * is YAML's alias"


@pytest.mark.parametrize("service", [WORKER, CRON], ids=["worker", "cron"])
def test_each_service_has_a_direct_connection_to_the_one_database(service: dict[str, Any]) -> None:
    [database] = BLUEPRINT["databases"]
    [url] = [variable for variable in service["envVars"] if variable["key"] == "DATABASE_URL"]

    assert url["fromDatabase"] == {"name": database["name"], "property": "connectionString"}
    assert service["runtime"] == "python"
    assert "env" not in service
    assert service["plan"] == "starter"
    assert service["buildCommand"] == "pip install --require-hashes -r requirements.lock"


def test_the_database_states_its_version_as_text() -> None:
    [database] = BLUEPRINT["databases"]

    assert isinstance(database["postgresMajorVersion"], str)
    assert int(database["postgresMajorVersion"]) >= 15


def test_the_cron_service_has_nothing_that_the_platform_refuses() -> None:
    refused = {"preDeployCommand", "maxShutdownDelaySeconds", "healthCheckPath", "numInstances"}

    assert refused.isdisjoint(CRON)


def test_the_platform_waits_for_longer_than_the_daemon_takes_to_stop() -> None:
    assert 5 < WORKER["maxShutdownDelaySeconds"] <= 300


def test_t5_zone_rules_are_pinned_exactly_and_the_oracle_reads_the_same_release() -> None:
    pinned = requirements("requirements.txt")["pytz"]

    assert re.fullmatch(r"==\d{4}\.\d+", pinned)
    assert requirements("requirements-dev.txt")["tzdata"] == pinned


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_every_requirement_is_bounded(name: str) -> None:
    assert [package for package, accepted in requirements(name).items() if not BOUNDED.fullmatch(accepted)] == []


# Three nodes of Patroni


HA = ROOT / "deploy" / "ha"
PATRONI: dict[str, Any] = yaml.safe_load((HA / "patroni.yml").read_text())


def test_patroni_accepts_these_times() -> None:
    dcs = PATRONI["bootstrap"]["dcs"]

    assert dcs["ttl"] >= 20
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"]


def test_the_files_name_the_same_three_nodes() -> None:
    node = dict(re.findall(r"^(\w+)=(.*)$", (HA / "node.env").read_text(), re.MULTILINE))
    behind = dict(re.findall(r"server (\w+) ([\d.]+):5432 check port 8008", (HA / "haproxy.cfg").read_text()))

    assert dict(re.findall(r"(\w+)=http://([\d.]+):2380", node["ETCD_INITIAL_CLUSTER"])) == behind
    assert node["PATRONI_ETCD3_HOSTS"] == ",".join(f"{host}:2379" for host in behind.values())
    assert node["PATRONI_POSTGRESQL_CONNECT_ADDRESS"] == f"{behind[node['PATRONI_NAME']]}:5432"
    assert len(behind) == 3


def test_no_password_is_stated() -> None:
    assert re.findall(r"PASSWORD=(\S+)", (HA / "node.env").read_text()) == []


# The extras of the distribution


PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
STACK = {"python-dateutil"}  # the app's, and no dependency of ours


def listed(distribution: list[str]) -> dict[str, str]:
    """Return package -> what is accepted of it, as the requirements have it; without extras of our own."""
    found = [re.fullmatch(r"([\w-]+)([^\w\[].*)", line) for line in distribution if not line.startswith("seisiun[")]
    assert all(found)
    return {match[1]: match[2] for match in found if match}


def test_the_plain_install_and_the_daemon_are_what_the_requirements_list() -> None:
    expected = {name: accepted for name, accepted in requirements("requirements.txt").items() if name not in STACK}

    assert listed(PROJECT["dependencies"]) | listed(EXTRAS["daemon"]) == expected


def test_the_extra_web_is_what_its_requirements_list() -> None:
    assert listed(EXTRAS["web"]) == requirements("requirements-web.txt")


def test_the_extra_dev_is_everything_that_the_product_uses() -> None:
    assert "seisiun[daemon,web]" in EXTRAS["dev"]
    assert listed(EXTRAS["dev"]).items() <= requirements("requirements-dev.txt").items()


def test_developing_installs_what_builds_the_wheel() -> None:
    assert listed(PYPROJECT["build-system"]["requires"]).items() <= requirements("requirements-dev.txt").items()


# The locks


LOCKS = {"requirements.lock": "requirements.txt", "requirements-web.lock": "requirements-web.txt"}
RELEASE = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.]+)(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    r"    # via(?P<asked>(?:\n    #  | ).+(?:\n    #   .+)*)\n"
)


def releases(lock: str) -> list[re.Match[str]]:
    """Return the releases of a lock, each with its hashes and with what asked for it; there is nothing else."""
    text = re.sub(r"^#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    assert RELEASE.sub("", text) == ""
    return list(RELEASE.finditer(text))


def locked(lock: str) -> dict[str, str]:
    """Return package -> release."""
    return {release["name"]: release["version"] for release in releases(lock)}


def wanted(name: str) -> dict[str, str]:
    """Return package -> what is accepted of it, in this list and those that it includes."""
    accepted = {package: text for file in {name, *included(name)} for package, text in requirements(file).items()}
    return {canonicalize_name(package): text for package, text in accepted.items()}


@pytest.mark.parametrize(("lock", "name"), LOCKS.items())
def test_each_release_of_a_lock_is_one_that_its_list_accepts(lock: str, name: str) -> None:
    """If this fails, run `make lock`."""
    found = locked(lock)

    refused = {
        package: found.get(package)
        for package, accepted in wanted(name).items()
        if not SpecifierSet(accepted).contains(found.get(package, "0"))
    }
    assert refused == {}


@pytest.mark.parametrize(("lock", "name"), LOCKS.items())
def test_a_lock_has_nothing_that_its_list_has_dropped(lock: str, name: str) -> None:
    asked_for_by_a_list = {release["name"] for release in releases(lock) if "-r requirements" in release["asked"]}

    assert asked_for_by_a_list == wanted(name).keys()


def test_the_worker_the_sweep_and_the_pages_run_the_same_releases() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-web.lock").items()


def test_what_is_developed_on_includes_all_that_is_deployed() -> None:
    assert "requirements.txt" in included("requirements-dev.txt")


def included(name: str) -> set[str]:
    """Return the files that this one includes, directly or not."""
    files = [line.split()[1] for line in (ROOT / name).read_text().splitlines() if line.startswith("-r ")]
    return {*files, *(further for file in files for further in included(file))}


def test_the_python_version_is_one_that_is_accepted() -> None:
    major, minor = (Path(ROOT) / ".python-version").read_text().strip().split(".")[:2]

    assert (int(major), int(minor)) >= (3, 11)
