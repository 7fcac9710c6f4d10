"""The PostgreSQL that everything in a run is measured on, product and floor alike."""

import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from sqlalchemy.engine import make_url

from core.db.embedded import connect_or_start
from core.migrations import migrate

# Those of a small production server; the embedded one's own are those of a laptop that has other things to do.
SETTINGS = {
    "shared_buffers": "1GB",
    "min_wal_size": "2GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "512MB",
    "work_mem": "64MB",
    "track_commit_timestamp": "on",  # it tells how long transactions were open, at no cost to speak of
}

Rows = list[tuple[Any, ...]]


class Server:
    """A server with a migrated template; each measurement takes a database of its own from it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count()
        self._admin = connect(url)
        self._make_template()

    def _make_template(self) -> None:
        if not value(self._admin, "SELECT count(*) FROM pg_database WHERE datname = 'bench_migrated'"):
            run(self._admin, "CREATE DATABASE bench_migrated")
            migrate(self._url_of("bench_migrated"))

    def _url_of(self, database: str) -> str:
        return make_url(self._url).set(database=database).render_as_string(hide_password=False)

    def make(self, name: str, template: str = "bench_migrated") -> str:
        """Make a database with our schema, instead of what may stand under that name; return its URL."""
        self.drop(name)
        run(self._admin, f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url_of(name)

    def drop(self, name: str) -> None:
        """Drop a database, also while somebody is connected."""
        run(self._admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def database(self, template: str = "bench_migrated") -> Iterator[str]:
        """Yield the URL of a fresh database, and drop it afterwards."""
        name = f"bench_{next(self._numbers)}"
        try:
            yield self.make(name, template)
        finally:
            self.drop(name)

    @property
    def version(self) -> str:
        """PostgreSQL's version."""
        return str(value(self._admin, "SHOW server_version"))

    def setting(self, name: str) -> str:
        """Return a setting of the server."""
        return str(value(self._admin, f"SHOW {name}"))

    def close(self) -> None:
        """Let go of it."""
        self._admin.close()


@contextmanager
def server(url: str | None) -> Iterator[Server]:
    """Yield the server at `url` (as somebody who may make databases), or else an embedded one for this run alone.

    SIGTERM ends the run as Ctrl-C does: whatever was started is stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if url:
        yield from _opened(url)
        return
    with (
        tempfile.TemporaryDirectory(prefix="seisiun-bench-", dir=os.environ.get("BENCH_DIR")) as directory,
        connect_or_start(Path(directory) / "postgres", settings=SETTINGS) as running,
    ):
        yield from _opened(running.url)


def _opened(url: str) -> Iterator[Server]:
    opened = Server(url)
    try:
        yield opened
    finally:
        opened.close()


def connect(url: str, *, autocommit: bool = True, application_name: str = "seisiun bench") -> Connection:
    """Open a raw connection."""
    connection: Connection = psycopg2.connect(url, application_name=application_name)
    connection.autocommit = autocommit
    return connection


@contextmanager
def connected(url: str, *, autocommit: bool = True) -> Iterator[Connection]:
    """Open a raw connection for the block."""
    connection = connect(url, autocommit=autocommit)
    try:
        yield connection
    finally:
        connection.close()


def run(connection: Connection, statement: str, *values: Any) -> Rows:
    """Run one or more statements; return the rows of the last, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def value(connection: Connection, statement: str, *values: Any) -> Any:
    """Return the first column of the only row."""
    return run(connection, statement, *values)[0][0]


@contextmanager
def without_triggers(connection: Connection) -> Iterator[None]:
    """Write as a restore does: what the triggers and the planner would have written is written by hand."""
    run(connection, "SET session_replication_role = replica")
    yield
    run(connection, "SET session_replication_role = origin")
