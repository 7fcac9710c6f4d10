"""Fixtures and options for every test: a database of its own on a real PostgreSQL, a quiet machine, and --long.

A test that uses the fixture `servers`, `own_server` or `daemons`, directly or through another fixture, gets the marker
`process`. A test that starts a server or a command by itself states that marker. `make test-fast` runs the tests
without it.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import pytest
from hypothesis import HealthCheck, settings
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core import logs
from core.db.embedded import binaries
from tests.postgres import RUNNING_SERVERS, Server, Servers, every_version
from tests.workers import GroupScheduling, MachineLock, group_of

VERSIONS = every_version()
FIGURE = "figure"
# A file system in memory: to make a database there takes a fortieth of the time, and nearly every test makes one.
MEMORY = Path("/dev/shm")
ROOM_IN_MEMORY = 4 * 2**30  # bytes that must be free
STARTS_PROCESSES = {"small_server", "servers", "own_server", "daemons"}  # fixtures

# Hypothesis uses milder settings where it recognises a CI; these are the same everywhere.
settings.register_profile(
    "default-random",
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a bad test
)
settings.register_profile("fast", settings.get_profile("default-random"), max_examples=20)
settings.register_profile("long", settings.get_profile("default-random"), max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, and larger samples")
    parser.addoption("--network", action="store_true", help="run the tests that install from the package index")


# First, so that Hypothesis' own --hypothesis-profile is still obeyed.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "default-random")
    # In a worker pytest-cov 7.1 traces twice, and `no_cover` pauses the second alone: pause the first for good.
    if is_worker(config) and (first := getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)):
        first.pause()


# First, so that `-m "not process"` reads the markers that this adds.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="a long test: runs with --long"))
        if item.get_closest_marker("network") and not config.getoption("--network"):
            item.add_marker(pytest.mark.skip(reason="needs the package index: runs with --network"))
        fixtures = getattr(item, "fixturenames", ())
        if not STARTS_PROCESSES.isdisjoint(fixtures):
            item.add_marker(pytest.mark.process)
        if "servers" in fixtures:
            # The tests of the pure modules must take each of their branches alone, and tracing slows the others down.
            item.add_marker(pytest.mark.no_cover)
    if is_worker(config):
        # The daemon's tests take longest and so run first. Tests marked `alone` run last, or all would wait for them.
        last = {item.path for item in items if item.get_closest_marker("alone")}
        items.sort(key=lambda item: (group_of(item.nodeid) is None, item.path in last))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.fixture(scope="session")
def machine_lock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MachineLock | None:
    """The lock that the processes of a test run share, if there are several."""
    return MachineLock(tmp_path_factory.getbasetemp().parent) if is_worker(request.config) else None


@pytest.fixture(autouse=True)
def beside_others_or_alone(request: pytest.FixtureRequest, machine_lock: MachineLock | None) -> Iterator[None]:
    alone = request.node.get_closest_marker("alone") is not None
    with machine_lock.held(alone=alone) if machine_lock else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """A test may configure the log of this process, as a command does; the next test finds it as it was."""
    root, ours = logging.getLogger(), logging.getLogger(logs.ROOT)
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that adds a line to the section "measured" of the report."""
    return lambda line: record_property(FIGURE, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    if lines := [line for report in reports for name, line in report.user_properties if name == FIGURE]:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(str(line))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if running := os.environ.get(RUNNING_SERVERS):
        place: AbstractContextManager[Path | str] = contextlib.nullcontext(Path(running))
    elif MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_IN_MEMORY:
        place = TemporaryDirectory(prefix="seisiun-tests-", dir=MEMORY)
    else:
        place = contextlib.nullcontext(tmp_path_factory.mktemp("servers"))
    with place as directory:
        servers = Servers(Path(directory))
        yield servers
        servers.stop()


@pytest.fixture(scope="session")
def server(servers: Servers) -> Server:
    """The embedded PostgreSQL of the version that the product itself starts."""
    return servers.of(binaries())


# The newest, which the product itself starts, and the oldest, which lacks most; the others with --long.
VERSIONS_IN_TURN = [
    pytest.param(
        bin_dir,
        id=f"postgres{version}",
        marks=() if version in {min(VERSIONS), max(VERSIONS)} else pytest.mark.long,
    )
    for version, bin_dir in VERSIONS.items()
]


@pytest.fixture(scope="session", params=VERSIONS_IN_TURN)
def every_server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """Each version of PostgreSQL that this machine has, in turn."""
    return servers.of(request.param)


@pytest.fixture
def database_url(server: Server) -> Iterator[str]:
    """A database with our schema, for this test alone."""
    with server.database(server.migrated) as url:
        yield url


@pytest.fixture
def empty_database_url(server: Server) -> Iterator[str]:
    """A database with nothing in it, for this test alone."""
    with server.database("template1") as url:
        yield url


@pytest.fixture
def every_database_url(every_server: Server) -> Iterator[str]:
    """`database_url`, on each version of PostgreSQL."""
    with every_server.database(every_server.migrated) as url:
        yield url


@pytest.fixture
def every_empty_database_url(every_server: Server) -> Iterator[str]:
    """`empty_database_url`, on each version of PostgreSQL."""
    with every_server.database("template1") as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The product's own engine on `database_url`."""
    # Imported here, so that the tests of the pure modules do not import the database's modules.
    from core.db import create_engine  # noqa: PLC0415

    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def db_connect(database_url: str) -> Iterator[Callable[[], Connection]]:
    """Opens raw connections to `database_url`, as the app, psql, or another program that writes there."""
    with contextlib.ExitStack() as opened:

        def connect() -> Connection:
            connection: Connection = psycopg2.connect(database_url)
            opened.callback(connection.close)
            return connection

        yield connect
