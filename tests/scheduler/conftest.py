"""Daemons for the tests; each fixture ends its own daemons in any case."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.embedded import EmbeddedPostgres, connect_or_start
from core.migrations import migrate
from tests.data import connected
from tests.postgres import Server
from tests.scheduler.daemon_process import DaemonProcess, Daemons
from tests.scheduler.port_forwarder import PortForwarder


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    with Daemons(tmp_path) as daemons:
        yield daemons


@pytest.fixture
def forwarder(database_url: str) -> Iterator[PortForwarder]:
    """Forwards connections to `database_url`; a test can close it or make it silent. It is closed at first."""
    forwarder = PortForwarder(database_url)
    yield forwarder
    forwarder.shut()


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    """A connection of another program that writes to `database_url`, such as the app or psql."""
    with connected(database_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def shared_url(server: Server) -> Iterator[str]:
    """A database that the tests of a module share; each has sessions of its own there."""
    with server.database(server.migrated) as url:
        yield url


@pytest.fixture(scope="module")
def shared_daemon(shared_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with Daemons(tmp_path_factory.mktemp("shared")) as daemons:
        yield daemons.ready(shared_url)


@pytest.fixture
def shared_app(shared_daemon: DaemonProcess, shared_url: str) -> Iterator[Connection]:
    """The app beside a daemon that runs already."""
    assert not shared_daemon.ended, shared_daemon.log
    with connected(shared_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server with our schema whose processes the tests of a module may stop and kill."""
    with connect_or_start(tmp_path_factory.mktemp("own") / "postgres", durable=False) as server:
        migrate(server.url)
        yield server
