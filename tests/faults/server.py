"""The bench's own PostgreSQL: it can be crashed, and lets the daemons in as a role with the grants that they need."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import make_url

from core.db.embedded import EmbeddedPostgres, connect_or_start
from core.migrations import migrate
from core.migrations.privileges import DAEMON
from tests.data import connected, execute

ROLE, PASSWORD = "seisiun_daemon", "bench"


class Server:
    """Started when made; `url` is the superuser's, of the server's present port."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running = self._start()
        with self.admin() as admin:
            execute(admin, "ALTER SYSTEM SET track_commit_timestamp = on")
        self._running.stop()
        self._running = self._start()
        migrate(self.url)
        with self.admin() as admin:
            make_role(admin)

    def _start(self) -> EmbeddedPostgres:
        return connect_or_start(self._directory, durable=False)

    @property
    def url(self) -> str:
        return self._running.url

    def daemon_url(self, url: str) -> str:
        """Return `url` as the daemons use it: as a role with few rights."""
        return make_url(url).set(username=ROLE, password=PASSWORD).render_as_string(hide_password=False)

    @contextlib.contextmanager
    def admin(self) -> Iterator[Connection]:
        with connected(self.url) as connection:
            yield connection

    def crash(self) -> None:
        """Have the server quit at once, without a checkpoint: every connection is lost, and it has to recover."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._postmaster(), signal.SIGQUIT)
        self._running.stop()

    def start_again(self) -> None:
        self._running = self._start()

    def stop(self) -> None:
        self._running.stop()

    def _postmaster(self) -> int:
        return int((self._directory / "data" / "postmaster.pid").read_text().splitlines()[0])


def make_role(admin: Connection) -> None:
    """Make the daemons' role, with the grants that it needs."""
    execute(admin, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    for table, rights in DAEMON.items():
        execute(admin, f"GRANT {rights} ON {table} TO {ROLE}")


def until_it_answers(url: str, seconds: float = 60) -> Connection:
    """Return a connection, as soon as the server lets us in."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return psycopg2.connect(url, connect_timeout=5)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
