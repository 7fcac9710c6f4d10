"""The wheel, installed from the package index beside an app with packages of the same names: `make test-dist`.

Each environment is empty at first. The tests of the hooks run there too, with their imports rewritten as the product's.
"""

import json
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.embedded import connect_or_start
from hatch_build import copy_rewritten
from tests.commands import ROOT, environment
from tests.data import active_of, add_person, add_session, connected, person_at
from tests.distribution import readme
from tests.distribution.environments import Environment, newest_python
from tests.distribution.wheel import make_app
from tests.scheduler.daemon_process import eventually
from tests.scheduler.soon import instance_soon, on, session_here, weekly
from tests.seisiun.test_seisiun import MOST_SECONDS, TAKES
from tests.web.gunicorn_process import Gunicorn

pytestmark = [pytest.mark.network, pytest.mark.process, pytest.mark.timeout(900)]

# What the tests of the hooks need, and every driver that the hooks refuse.
TOOLS = ["pytest", "pytest-timeout", "pytest-xdist", "pytest-cov", "hypothesis"]
DRIVERS = ["pg8000", "psycopg[binary]", "asyncpg", "greenlet"]
TESTS = ["tests/core/hooks", "tests/core/active_session_manager", "tests/core/test_queries.py"]

ENVIRONMENTS = {
    "SQLAlchemy 2.0": (sys.executable, "SQLAlchemy>=2.0,<2.1"),
    "SQLAlchemy 2.1": (sys.executable, "SQLAlchemy>=2.1,<2.2"),
    "newest Python": (newest_python(), "SQLAlchemy"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as pip makes it: with a backend that it fetches itself."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def app_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_app(tmp_path_factory.mktemp("app"))
    (folder / "saving.py").write_text(readme.hooks(), encoding="utf-8")
    (folder / "host.py").write_text(readme.pages(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    installed = Environment(tmp_path_factory.mktemp("plain") / "venv")
    installed.install(str(wheel))
    return installed


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def everything(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    interpreter, sqlalchemy = ENVIRONMENTS[request.param]
    installed = Environment(tmp_path_factory.mktemp("everything") / "venv", interpreter)
    installed.install(f"{wheel}[dev]", sqlalchemy, *TOOLS, *DRIVERS)
    return installed


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    with connected(database_url) as connection:
        yield connection


# The plain install


def test_the_plain_install_is_what_the_hooks_need(
    plain: Environment, app_folder: Path, app: Connection, database_url: str
) -> None:
    assert plain.packages().keys().isdisjoint({"apscheduler", "flask", "rich", "alembic", "click", "tenacity"})
    assert {"seisiun", "sqlalchemy", "psycopg2-binary", "pytz", "pydantic-settings"} <= plain.packages().keys()
    assert_the_readmes_hooks_work(plain, app_folder, app, database_url)


def test_its_import_costs_a_fifth_of_a_second(
    plain: Environment, app_folder: Path, figures: Callable[[str], None]
) -> None:
    taken = min(float(plain.run("python", "-c", TAKES, cwd=app_folder).stdout) for _ in range(5))

    figures(f"the import of seisiun, installed, beyond SQLAlchemy and psycopg2: {1000 * taken:.0f} ms")
    assert taken < MOST_SECONDS


def test_what_it_lacks_is_named_with_the_extra_that_brings_it(plain: Environment, app_folder: Path) -> None:
    pages = plain.run("python", "-c", "from seisiun import create_blueprint", cwd=app_folder)
    command = plain.run("seisiun", "run", cwd=app_folder)

    assert pages.stderr.endswith("ImportError: the pages need flask: install seisiun[web]\n")
    assert (command.returncode, command.stderr) == (1, "seisiun: the commands need click: install seisiun[daemon]\n")


# With everything


def test_the_environment_is_what_its_name_says(everything: Environment, request: pytest.FixtureRequest) -> None:
    asked = request.node.callspec.params["everything"]
    version = everything.packages()["sqlalchemy"]

    assert version.startswith({"SQLAlchemy 2.0": "2.0.", "SQLAlchemy 2.1": "2.1."}.get(asked, "2."))


def test_the_readmes_hooks_work(everything: Environment, app_folder: Path, app: Connection, database_url: str) -> None:
    assert_the_readmes_hooks_work(everything, app_folder, app, database_url)


def assert_the_readmes_hooks_work(installed: Environment, app_folder: Path, app: Connection, database_url: str) -> None:
    session, person = session_here(app), add_person(app)
    script = f"""
import core, saving

assert core.OWNER == "the app"
[flip] = saving.save_recurrence({database_url!r}, {session}, {weekly(-3600, 3600)!r}).activated
print(saving.say_yes({database_url!r}, {person}, flip.session_instance_id).at.session_instance_id)
"""
    done = installed.run("python", "-c", script, cwd=app_folder)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == active_of(app, session) == person_at(app, person) is not None


def test_the_tests_of_the_hooks_pass(everything: Environment, tmp_path: Path, figures: Callable[[str], None]) -> None:
    copy_rewritten(ROOT / "tests", tmp_path / "tests")
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.pytest.ini_options]", *lines]))

    done = everything.run("python", "-m", "pytest", "-q", "--show-capture=no", *TESTS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "could not import" not in done.stdout, done.stdout[-5000:]  # no driver is missing
    figures(f"{Path(everything.python).parents[1].parent.name}: {done.stdout.splitlines()[-1]}")


def test_run_opens_a_window_on_an_embedded_server(everything: Environment, app_folder: Path, tmp_path: Path) -> None:
    directory, log = tmp_path / "postgres", tmp_path / "log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            [everything.folder / "bin" / "seisiun", "run"],
            cwd=app_folder,
            env=environment(EMBEDDED_POSTGRES_DIR=str(directory)),
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "event=ready" in log.read_text() or daemon.poll() is not None, "ready", 60)
        assert daemon.poll() is None, log.read_text()
        with connect_or_start(directory) as server, connected(server.url) as app:
            assert not server.owned
            session = session_here(app)
            instance = instance_soon(app, session, 3, 600)
            eventually(lambda: on(app, session) == instance, log.read_text())
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
    finally:
        daemon.kill()
        daemon.wait()
    [flip] = [line for line in log.read_text().splitlines() if "event=flip" in line]
    assert f"instance={instance}" in flip
    assert "cause=timer" in flip


def test_the_demonstration_serves_its_pages(everything: Environment, app_folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [everything.folder / "bin" / "seisiun", "demo"],
            cwd=app_folder,
            env=environment(EMBEDDED_POSTGRES_DIR=str(tmp_path / "postgres")),
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "\nready" in log.read_text() or demo.poll() is not None, "ready", 60)
        assert "pages      http://127.0.0.1:" in log.read_text()
    finally:
        demo.terminate()
        assert demo.wait(20) == 0


def test_the_readmes_app_serves_the_pages_under_gunicorn(
    everything: Environment, app_folder: Path, app: Connection, database_url: str, tmp_path: Path
) -> None:
    add_session(app, name="Mueller's")
    gunicorn = Gunicorn(
        tmp_path / "log",
        "host:app",
        python=everything.python,
        config="python:seisiun.web.gunicorn_config",
        cwd=app_folder,
        DATABASE_URL=database_url,
        SECRET_KEY="the app's own",
    )
    try:
        for path in ("/now/", "/now/seisiun-static/seisiun.css", "/now/sessions/1"):
            with urllib.request.urlopen(f"http://127.0.0.1:{gunicorn.port}{path}") as answer:
                assert answer.status == 200
        assert gunicorn.stop()[0] == 0
    finally:
        gunicorn.kill()


# What the platform installs


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-web.lock"])
def test_a_lock_installs_by_its_hashes_and_runs_the_checkout(lock: str, tmp_path: Path) -> None:
    locked = Environment(tmp_path / "venv")
    locked.install("--require-hashes", "--requirement", str(ROOT / lock))

    for command in (["-m", "scheduler", "run", "--help"], ["jobs/check_active_sessions.py", "--help"]):
        assert locked.run("python", *command, cwd=ROOT, PYTHONDONTWRITEBYTECODE="1").returncode == 0
    pages = locked.run("python", "-m", "web", "--help", cwd=ROOT, PYTHONDONTWRITEBYTECODE="1")
    assert pages.returncode == (0 if "web" in lock else 1), pages.stderr
