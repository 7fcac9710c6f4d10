"""A primary and a standby that streams from it, made of the same binaries; what is committed is on both."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import URL, make_url

from core.db.embedded import EmbeddedPostgres, binaries, connect_or_start
from tests.data import connected, execute, value
from tests.faults.server import PASSWORD, ROLE, make_role, until_it_answers
from tests.scheduler.daemon_process import eventually

STANDBY = "standby"


class Pair:
    """Started when made; `url` names both hosts, and means the one that can be written to."""

    def __init__(self, directory: Path) -> None:
        self._primary_directory = directory / "primary"
        self._primary = connect_or_start(self._primary_directory, durable=False)
        with connected(self._primary.url) as admin:
            execute(admin, "ALTER SYSTEM SET track_commit_timestamp = on")
        self._primary.stop()
        self._primary = connect_or_start(self._primary_directory, durable=False)
        self._standby = self._start_standby(directory / STANDBY)
        with connected(self._primary.url) as admin:
            # From here on nothing is acknowledged that the standby does not have.
            execute(admin, f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
            execute(admin, "SELECT pg_reload_conf()")
            eventually(lambda: _synchronous(admin), "the standby streams, synchronously")

    def _start_standby(self, directory: Path) -> EmbeddedPostgres:
        directory.mkdir(mode=0o700)
        shutil.copy(self._primary_directory / "pgpass", directory / "pgpass")
        primary = make_url(self._primary.url)
        conninfo = f"host={primary.host} port={primary.port} user={primary.username} password={primary.password}"
        command: list[str | Path] = [
            binaries() / "pg_basebackup",
            "-D",
            directory / "data",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ]
        subprocess.run(
            [*command, "-d", f"{conninfo} application_name={STANDBY}"], check=True, capture_output=True, timeout=60
        )
        return connect_or_start(directory, durable=False)

    @property
    def url(self) -> str:
        """The superuser's, in libpq's form."""
        primary = make_url(self._primary.url)
        return self._both(str(primary.username), str(primary.password))

    @property
    def daemon_url(self) -> str:
        return self._both(ROLE, PASSWORD)

    def _both(self, user: str, password: str) -> str:
        hosts = ",".join(f"{url.host}:{url.port}" for url in self._urls())
        return f"postgresql://{user}:{password}@{hosts}/postgres?target_session_attrs=read-write"

    def _urls(self) -> list[URL]:
        return [make_url(server.url) for server in (self._primary, self._standby)]

    @property
    def standby_url(self) -> str:
        """The superuser's, of the standby alone."""
        return self._standby.url

    @contextlib.contextmanager
    def admin(self) -> Iterator[Connection]:
        with contextlib.closing(until_it_answers(self.url)) as connection:
            connection.autocommit = True
            yield connection

    def prepare_role(self) -> None:
        """To be called when the schema stands."""
        with self.admin() as admin:
            make_role(admin)

    def crash_primary(self) -> None:
        pid = int((self._primary_directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        self._primary.stop()

    def promote_standby(self) -> None:
        """It can be written to when this returns."""
        with connected(self._standby.url) as standby:
            execute(standby, "ALTER SYSTEM SET synchronous_standby_names = ''")  # there is nobody left to wait for
            execute(standby, "SELECT pg_reload_conf()")
            execute(standby, "SELECT pg_promote()")

    def stop(self) -> None:
        self._standby.stop()
        self._primary.stop()


def _synchronous(admin: Connection) -> Any:
    return value(
        admin, "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'", STANDBY
    )


@contextlib.contextmanager
def pair(directory: Path) -> Iterator[Pair]:
    servers = Pair(directory)
    try:
        yield servers
    finally:
        servers.stop()
