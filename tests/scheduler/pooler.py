"""A real PgBouncer in transaction mode, where the machine has one."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from tests.scheduler.daemon_process import eventually

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
INI = """
[databases]
* = host={host} port={behind}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 10
"""


@contextlib.contextmanager
def transaction_pooler(url: str) -> Iterator[str]:
    """Yield the URL by way of a pooler."""
    assert PROGRAM
    behind = make_url(url)
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as probe:
        directory = Path(name)
        port = int(probe.getsockname()[1])
        probe.close()
        users, ini = directory / "users.txt", directory / "pgbouncer.ini"
        users.write_text(f'"{behind.username}" "{behind.password}"\n')
        ini.write_text(INI.format(host=behind.host, behind=behind.port, port=port, users=users))
        through = behind.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        with _running(PROGRAM, ini):
            eventually(lambda: _answers(through), "the pooler answers")
            yield through


@contextlib.contextmanager
def _running(program: str, ini: Path) -> Iterator[None]:
    as_root = os.geteuid() == 0  # it refuses to run as root
    if as_root:
        for path in (ini.parent, *ini.parent.iterdir()):
            shutil.chown(path, user="nobody")
    command = [program, *(["-u", "nobody"] if as_root else []), str(ini)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True
