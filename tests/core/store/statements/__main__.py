"""Writes the golden files, from what is executed on a server that lasts as long as this."""

from pathlib import Path
from tempfile import TemporaryDirectory

from core.db.embedded import binaries
from tests.core.store.statements.golden import record, write
from tests.postgres import Servers

with TemporaryDirectory() as directory:
    servers = Servers(Path(directory))
    try:
        server = servers.of(binaries())
        with server.database(server.migrated) as url:
            write(record(url))
    finally:
        servers.stop()
