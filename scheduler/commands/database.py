"""The database that the commands work on: the configured one, with this release's schema."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from core.db import create_engine, database, is_embedded
from core.migrations import migrate, require_schema
from core.settings import Settings, load_settings

RESPONSE_TIMEOUT_SECONDS = 15.0


@contextmanager
def configured(settings: Settings) -> Iterator[str]:
    """Yield the database's URL; migrate an embedded database to this release's schema first."""
    with database(settings) as url:
        if is_embedded(settings):
            migrate(url)
        yield url


@contextmanager
def connected() -> Iterator[Connection]:
    """Yield a connection to the configured database, in a transaction that is committed."""
    with configured(load_settings()) as url, connected_to(url) as connection:
        yield connection


@contextmanager
def connected_to(url: str) -> Iterator[Connection]:
    """Yield a connection to this database, in a transaction that is committed. Raises `SchemaNotReady`."""
    with command_engine(url) as engine, engine.begin() as connection:
        require_schema(connection)
        yield connection


@contextmanager
def ready_engine() -> Iterator[Engine]:
    """Yield an engine of the configured database, for calls that make transactions of their own."""
    with configured(load_settings()) as url, command_engine(url) as engine:
        with engine.connect() as connection:
            require_schema(connection)
        yield engine


@contextmanager
def command_engine(url: str) -> Iterator[Engine]:
    """Yield an engine whose statements end after `RESPONSE_TIMEOUT_SECONDS`."""
    timeout = RESPONSE_TIMEOUT_SECONDS
    engine = create_engine(url, application_name="seisiun command", response_timeout_seconds=timeout)
    try:
        yield engine
    finally:
        engine.dispose()
