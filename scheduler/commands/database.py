"""The database that the commands work on: the configured one, with this release's schema."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from core.db import create_engine, database, is_embedded
from core.errors import DatabaseUnavailable, UnknownInstance, UnknownPerson, UnknownSession
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
def existing(settings: Settings) -> Iterator[str]:
    """Yield the database's URL, for a command that reads; raise `DatabaseUnavailable` instead of making a server."""
    if is_embedded(settings) and not (settings.embedded_postgres_dir / "data").exists():
        raise DatabaseUnavailable(
            "no database is named: set DATABASE_URL, or PGHOST and PGDATABASE, or make one with "
            "`python -m seisiun migrate` or `python -m seisiun demo`"
        )
    with configured(settings) as url:
        yield url


@contextmanager
def connected(*, may_make: bool = False) -> Iterator[Connection]:
    """Yield a connection to the configured database, in a transaction that is committed.

    `may_make`: make an embedded server where none is configured.
    """
    settings = load_settings()
    with (configured if may_make else existing)(settings) as url, connected_to(url) as connection:
        yield connection


@contextmanager
def connected_to(url: str) -> Iterator[Connection]:
    """Yield a connection to this database, in a transaction that is committed. Raises `SchemaNotReady`."""
    with command_engine(url) as engine, engine.begin() as connection:
        require_schema(connection)
        yield connection


@contextmanager
def ready_engine() -> Iterator[Engine]:
    """Yield an engine of the configured database, for calls that make transactions of their own.

    An error about what is not there says in which database.
    """
    with existing(load_settings()) as url, command_engine(url) as engine:
        with engine.connect() as connection:
            require_schema(connection)
            where = described(connection)
        try:
            yield engine
        except (UnknownSession, UnknownInstance, UnknownPerson) as error:
            raise type(error)(f"{error} (database: {where})") from error


def described(connection: Connection) -> str:
    """Return the database as HOST:PORT/NAME, or the embedded server with its directory."""
    settings = load_settings()
    if is_embedded(settings):
        return f"the embedded server in {settings.embedded_postgres_dir}"
    driver = connection.connection.driver_connection
    assert driver
    return f"{driver.info.host}:{driver.info.port}/{driver.info.dbname}"


@contextmanager
def command_engine(url: str) -> Iterator[Engine]:
    """Yield an engine whose statements end after `RESPONSE_TIMEOUT_SECONDS`."""
    timeout = RESPONSE_TIMEOUT_SECONDS
    engine = create_engine(url, application_name="seisiun command", response_timeout_seconds=timeout)
    try:
        yield engine
    finally:
        engine.dispose()
