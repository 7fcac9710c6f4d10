"""Where work is done: in short transactions of our own, or in a savepoint of the app's, which we never commit."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from psycopg2.errors import (
    DeadlockDetected,
    ForeignKeyViolation,
    InFailedSqlTransaction,
    LockNotAvailable,
    QueryCanceled,
    SerializationFailure,
)
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, scoped_session

from core.borrowed import borrowed
from core.store import looks

AppDatabase = Connection | Session | scoped_session[Session] | Psycopg2Connection
"""What an app hands us: a connection of its own, whose transaction we join."""

Begin = Callable[[], AbstractContextManager[Connection]]

# A foreign key is violated where the app has deleted, meanwhile, a row that was read. Serialization fails where the
# app's transaction is not READ COMMITTED: it must not write what was changed since it began.
_CONTENTION = (LockNotAvailable, DeadlockDetected, QueryCanceled, ForeignKeyViolation, SerializationFailure)


@contextmanager
def transactions(db: Engine | AppDatabase) -> Iterator[Begin]:
    """Yield what begins a piece of work: a transaction of its own, or a savepoint in the caller's."""
    if isinstance(db, Engine):
        yield lambda: _own_transaction(db)
    else:
        with joined(db) as connection:
            yield lambda: _savepoint(connection)


@contextmanager
def joined(db: AppDatabase) -> Iterator[Connection]:
    """Yield the caller's own connection, inside its transaction; nothing is committed.

    What an ORM session holds is flushed first, and expired after: its objects then show what was written here.
    """
    if isinstance(db, scoped_session):  # as Flask-SQLAlchemy's is
        db = db()
    if isinstance(db, Session):
        db.flush()
        yield db.connection()
        db.expire_all()
    elif isinstance(db, Connection):
        yield db
    else:
        with borrowed(db) as connection:
            yield connection


@contextmanager
def _own_transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        looks.begin_own(connection)
        yield connection


@contextmanager
def _savepoint(connection: Connection) -> Iterator[Connection]:
    with connection.begin_nested(), looks.look_settings(connection, looks.LOOK_SETTINGS):
        yield connection


def is_contention(error: Exception) -> bool:
    """Say whether somebody else was in the way: a lock timeout, a deadlock, a statement that took too long."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, _CONTENTION)


def has_failed_already(error: Exception) -> bool:
    """Say whether the transaction had failed before, and takes no more statements."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, InFailedSqlTransaction)


def is_disconnected(error: Exception) -> bool:
    """Say whether the connection is lost, or could not be made: all other errors come with an SQLSTATE."""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or getattr(error.orig, "pgcode", "") is None)
