"""A streaming standby of an embedded server, made by the same binaries."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from sqlalchemy.engine import make_url

from core.db.embedded import EmbeddedPostgres, binaries, connect_or_start


def standby_of(primary: EmbeddedPostgres, directory: Path) -> EmbeddedPostgres:
    """Return a server that follows the primary, and may be read."""
    directory.mkdir()
    place = primary.log.parent
    shutil.copy2(place / "pgpass", directory / "pgpass")
    data = directory / "data"
    program = binaries() / "pg_basebackup"
    command = [str(program), "-d", primary.url, "-D", str(data), "-R", "-c", "fast", "--no-sync"]
    subprocess.run(command, check=True, timeout=60)
    owner = (place / "data").stat()
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    return connect_or_start(directory, durable=False)


def stop_hard(server: EmbeddedPostgres) -> None:
    """End it without a word to its clients, as when the machine is lost."""
    pid = int((server.log.parent / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)
    server.stop()


def url_of_both(one: str, other: str) -> str:
    """Return the URL, in libpq's form, of whichever of the two may be written to."""
    first, second = make_url(one), make_url(other)
    return (
        f"postgresql://{first.username}:{first.password}@{first.host}:{first.port},{second.host}:{second.port}"
        f"/{first.database}"
    )
