"""Private PostgreSQL servers for the tests, and databases on them that last for one test."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from core.db.embedded import EmbeddedPostgres, all_binaries, connect_or_start, major_version

# Where packages of PostgreSQL put their programs.
INSTALLED = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
]
OLDEST = 15  # older ones are refused
RUNNING_SERVERS = "RUNNING_SERVERS"  # the environment variable with the directory of servers that run already


def every_version() -> dict[int, Path]:
    """Return the binaries of each major version at hand, by version: the wheel's, else the machine's own."""
    installed = [initdb.parent for glob in INSTALLED for initdb in Path("/").glob(f"{glob[1:]}/initdb")]
    found: dict[int, Path] = {}
    for bin_dir in (*all_binaries(), *installed):
        if (bin_dir / "postgres").exists() and (version := major_version(bin_dir)) >= OLDEST:
            found.setdefault(version, bin_dir)
    return found


class Server:
    """A server of one version, with a migrated template to copy databases from."""

    def __init__(self, running: EmbeddedPostgres) -> None:
        self.running = running
        self._numbers = itertools.count()
        self._admin = psycopg2.connect(running.url)
        self._admin.autocommit = True

    def stop(self) -> None:
        self._admin.close()
        self.running.stop()

    @contextlib.contextmanager
    def database(self, template: str) -> Iterator[str]:
        """Yield the URL of a fresh copy of the template; drop it afterwards, also while somebody is connected."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    @cached_property
    def migrated(self) -> str:
        """The name of the template that has our schema; made at first use."""
        # Imported here, so that the tests of the pure modules do not need what the migrations import.
        from core.migrations import migrate  # noqa: PLC0415

        with self._admin.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = 'migrated'")
            if not cursor.rowcount:
                cursor.execute("CREATE DATABASE migrated")
                migrate(self._url("migrated"))
                cursor.execute("ALTER DATABASE migrated ALLOW_CONNECTIONS false")
        return "migrated"

    def _execute(self, statement: str) -> None:
        with self._admin.cursor() as cursor:
            cursor.execute(statement)

    def _url(self, database: str) -> str:
        return make_url(self.running.url).set(database=database).render_as_string(hide_password=False)


class Servers:
    """The servers of a test run: each starts when it is first asked for, and all stop at the end.

    One that runs in the directory already is taken as it is, and goes on running.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: dict[Path, Server] = {}

    def of(self, bin_dir: Path) -> Server:
        """Return the server that runs these binaries. Fit for kill -9, but not for a power cut."""
        if bin_dir not in self._started:
            place = self._directory / f"postgres-{major_version(bin_dir)}"
            self._started[bin_dir] = Server(connect_or_start(place, bin_dir=bin_dir, durable=False))
        return self._started[bin_dir]

    def stop(self) -> None:
        for server in self._started.values():
            server.stop()
