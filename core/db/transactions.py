"""Runs our work in short transactions of our own, or in savepoints of the app's transaction, which we never commit.

A transaction of our own sends its notifications after its commit, in a statement of their own. PostgreSQL refuses a
commit that notifies when the notification queue is full, and each such commit holds one lock of the whole cluster until
it is flushed. So a notification that fails, or waits, costs no flip.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

import psycopg2
from psycopg2.errors import (
    DeadlockDetected,
    ForeignKeyViolation,
    InFailedSqlTransaction,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
    SerializationFailure,
)
from psycopg2.extensions import STATUS_BEGIN, TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- it is a class
from sqlalchemy import ARRAY, Connection, Dialect, Engine, Text, bindparam, func, select, true
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.pool import PoolProxiedConnection, StaticPool

from core.db.casts import our_casts, our_cursor
from core.db.transaction_settings import BEGIN_OWN, OWN_TRANSACTION, PASS_SETTINGS, begin_own, savepoint, undo
from core.errors import UnsupportedDriver
from core.logs import OUTAGES, logger

AppDatabase = Connection | Session | scoped_session[Session] | Psycopg2Connection | PoolProxiedConnection
"""What an app gives us: its own connection or session. We work inside its transaction."""

Begin = Callable[[], AbstractContextManager[Connection]]
"""Opens the transaction, or the savepoint, of one piece of work."""

# ForeignKeyViolation: the app has deleted a row after we read it. SerializationFailure: the app's transaction is not
# READ COMMITTED, and another transaction has changed the row since the app's transaction began.
_CONTENTION = (LockNotAvailable, DeadlockDetected, QueryCanceled, ForeignKeyViolation, SerializationFailure)

_OWN = "seisiun_own"  # the option that marks a connection as ours; it holds what to send at the end

log = logger(__name__)


@contextmanager
def transactions(db: Engine | AppDatabase) -> Iterator[Begin]:
    """Yield a function that begins a piece of work: in its own transaction, or in a savepoint of the caller's."""
    if isinstance(db, Engine):
        require_psycopg2(db.dialect)
        yield lambda: _own_transaction(db)
    else:
        with joined(db) as connection:
            yield lambda: _savepoint(connection)


@contextmanager
def joined(db: AppDatabase) -> Iterator[Connection]:
    """Yield the caller's own connection, inside the caller's transaction; commit nothing.

    Where the server is in no transaction that somebody will commit, the block is a transaction of our own. We flush an
    ORM session before the block and expire it after the block, so that its objects show what we wrote.
    """
    if isinstance(db, scoped_session):  # as Flask-SQLAlchemy's is
        db = db()
    elif isinstance(db, PoolProxiedConnection):  # as Engine.raw_connection() returns it
        db = cast("Psycopg2Connection", db.driver_connection)
    if isinstance(db, Session):
        require_psycopg2(db.connection().dialect)
        db.flush()
        with _joined_connection(db.connection()) as connection:
            yield connection
        db.expire_all()
    elif isinstance(db, Connection):
        require_psycopg2(db.dialect)
        with _joined_connection(db) as connection:
            yield connection
    elif not isinstance(db, Psycopg2Connection):
        raise _unsupported(f"the connection is a {type(db).__module__}.{type(db).__qualname__}")
    else:
        with wrap_psycopg2(db) as connection:
            yield connection


def require_psycopg2(dialect: Dialect) -> None:
    """Raise `UnsupportedDriver`, which says what to do, unless the app's engine speaks psycopg2."""
    if dialect.driver != _DIALECT.driver:
        raise _unsupported(f"the engine speaks {dialect.name}+{dialect.driver}")


def _unsupported(found: str) -> UnsupportedDriver:
    return UnsupportedDriver(
        f"{found}; accepted are psycopg2's connection, and SQLAlchemy's Connection, Session or Engine with a URL that "
        "begins with postgresql+psycopg2://. Make such an engine for these calls, or make no calls: triggers tell the "
        "daemon what any driver writes"
    )


@contextmanager
def _joined_connection(connection: Connection) -> Iterator[Connection]:
    """Yield the app's connection; in the block its values are read by our casts, not by the app's."""
    raw: Any = connection.connection.dbapi_connection
    if _is_outside_transactions(raw):
        with _transaction(raw):
            yield _wrapped(raw)
    else:
        with our_casts(raw):
            yield connection


@dataclass(slots=True)
class _AtTheEnd:
    """What a transaction of our own sends: a statement in one message with its COMMIT, and notifications after it."""

    statement: str = ""
    notifications: set[tuple[str, str]] = field(default_factory=set)


@contextmanager
def _own_transaction(engine: Engine) -> Iterator[Connection]:
    """Begin and end a transaction by text: BEGIN and our settings are one message, and so may be the last two."""
    with engine.connect() as connection, _autocommit(connection):
        at_the_end = _AtTheEnd()
        connection.execution_options(**{_OWN: at_the_end})
        with connection.begin():  # for SQLAlchemy alone: it sends nothing
            connection.exec_driver_sql(BEGIN_OWN)
            try:
                yield connection
                connection.exec_driver_sql(f"{at_the_end.statement}COMMIT")
            except BaseException:
                undo(connection, "ROLLBACK")
                raise
        if at_the_end.notifications:
            _send(connection, at_the_end.notifications)


@contextmanager
def _autocommit(connection: Connection) -> Iterator[None]:
    """Keep psycopg2 from sending a BEGIN or a COMMIT in the block."""
    # Not SQLAlchemy's isolation level "AUTOCOMMIT": the pool takes that back outside of our code, and where the server
    # has closed the connection meanwhile, psycopg2's own error would end the daemon's worker.
    raw: Any = connection.connection.dbapi_connection
    before, raw.autocommit = raw.autocommit, True
    try:
        yield
    finally:
        with suppress(psycopg2.Error):  # sends a statement where an app's engine has an isolation level
            raw.autocommit = before
        if raw.closed:
            connection.invalidate()


@contextmanager
def reading(db: Engine | AppDatabase) -> Iterator[Connection]:
    """Yield a connection that only reads: all its statements see one state of the database, if `db` is an engine.

    In the app's transaction they see what that transaction sees.
    """
    if isinstance(db, Engine):
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with db.connect().execution_options(**options) as connection:
            begin_own(connection)
            yield connection
    else:
        with joined(db) as connection, _savepoint(connection):
            yield connection


def is_own(connection: Connection) -> bool:
    """Return whether the transaction is our own, which we commit, and not the app's."""
    return _OWN in connection.get_execution_options()


def after_commit(connection: Connection, channel: str, payloads: Iterable[str]) -> bool:
    """Notify this channel after the commit of our own transaction; return False in a transaction that is the app's."""
    if not is_own(connection):
        return False
    connection.get_execution_options()[_OWN].notifications.update((channel, payload) for payload in payloads)
    return True


def with_commit(connection: Connection, statement: str) -> None:
    """Send this statement in one message with the COMMIT of our own transaction.

    The server then commits even if our process is stopped meanwhile. If the statement fails, nothing is committed.
    """
    connection.get_execution_options()[_OWN].statement = f"{statement}; "


def _send(connection: Connection, notifications: Iterable[tuple[str, str]]) -> None:
    """Send, as well as can be: the resync and the pages' own reading make up for what is lost."""
    pairs = sorted(notifications)
    values = {"channels": [channel for channel, _ in pairs], "payloads": [payload for _, payload in pairs]}
    try:
        connection.execute(_NOTIFY, values)
    except DBAPIError as error:
        OUTAGES.warning(log, "not_notified", error=str(error.orig).strip())


# The settings count at the end of this one statement, where PostgreSQL waits for the lock and flushes.
_NOTIFY = select(
    func.set_config("lock_timeout", OWN_TRANSACTION["lock_timeout"], true()),
    func.set_config("synchronous_commit", OWN_TRANSACTION["synchronous_commit"], true()),
    func.pg_notify(
        func.unnest(bindparam("channels", type_=ARRAY(Text))), func.unnest(bindparam("payloads", type_=ARRAY(Text)))
    ),
)


@contextmanager
def _savepoint(connection: Connection) -> Iterator[Connection]:
    with savepoint(connection, PASS_SETTINGS):
        yield connection


def is_contention(error: Exception) -> bool:
    """Return whether another transaction caused this error: a lock timeout, a deadlock, a statement timeout, ..."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, _CONTENTION)


def is_privilege_missing(error: Exception) -> TypeGuard[DBAPIError]:
    """Return whether our role lacks a privilege."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, InsufficientPrivilege)


def has_failed_already(error: Exception) -> bool:
    """Return whether the transaction had failed before this statement, so that it takes no more statements."""
    return isinstance(_of_driver(error), InFailedSqlTransaction)


def is_disconnected(error: Exception) -> bool:
    """Return whether the connection is lost or could not be made; every other database error has an SQLSTATE."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return getattr(_of_driver(error), "pgcode", "") is None


def _of_driver(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


# Some apps use raw psycopg2. We wrap such a connection as a SQLAlchemy one without touching its transaction: SQLAlchemy
# believes that it begins, commits and closes, but these methods do nothing.


class _LeavesTransactionsAlone(PGDialect_psycopg2):
    """Makes and releases savepoints, but never begins or ends the transaction around them, which is the app's."""

    supports_statement_cache = True

    def do_begin(self, dbapi_connection: Any) -> None:
        pass

    def do_commit(self, dbapi_connection: Any) -> None:
        pass

    def do_rollback(self, dbapi_connection: Any) -> None:
        pass

    def do_close(self, dbapi_connection: Any) -> None:
        pass


_COMPILED: dict[Any, Any] = {}  # shared, because each engine below lives for one call; our statements are few
_DIALECT = _LeavesTransactionsAlone(dbapi=psycopg2)  # type: ignore[no-untyped-call] # SQLAlchemy's
_URL = make_url("postgresql+psycopg2://")


@contextmanager
def wrap_psycopg2(raw: Psycopg2Connection) -> Iterator[Connection]:
    """Yield a SQLAlchemy connection over `raw`, in a transaction of our own where the app is in none.

    If the block fails with a database error, raise psycopg2's error, because the caller does not use SQLAlchemy.
    """
    try:
        with _transaction(raw) if _is_outside_transactions(raw) else nullcontext():
            yield _wrapped(raw)
    except DBAPIError as error:
        raise error.orig or error from error


class _OurCursors:
    """The app's connection, but its cursors are ours: the app's own may return dictionaries, or log."""

    def __init__(self, raw: Psycopg2Connection) -> None:
        self._raw = raw

    def cursor(self) -> Cursor:
        return our_cursor(self._raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _wrapped(raw: Psycopg2Connection) -> Connection:
    # Not create_engine: at its first connect it queries the server, and then rolls back the app's transaction.
    pool = StaticPool(lambda: _OurCursors(raw), reset_on_return=None)  # type: ignore[arg-type] # as one
    return Engine(pool, _DIALECT, _URL, hide_parameters=True).connect().execution_options(compiled_cache=_COMPILED)


def _is_outside_transactions(raw: Psycopg2Connection) -> bool:
    """Return whether the server is in no transaction, and psycopg2 will not begin one.

    psycopg2 begins none in autocommit, nor where it believes that one is open: it does after a COMMIT that the app sent
    as text. Only the server knows: an app in autocommit may have sent BEGIN as text.
    """
    is_idle = raw.get_transaction_status() == TRANSACTION_STATUS_IDLE
    return is_idle and (raw.autocommit or raw.status == STATUS_BEGIN)


@contextmanager
def _transaction(raw: Psycopg2Connection) -> Iterator[None]:
    """Begin and end a transaction of our own as text, so that psycopg2 goes on believing what it believed before."""
    _send_text(raw, "BEGIN ISOLATION LEVEL READ COMMITTED")
    try:
        yield
    except BaseException:
        with suppress(psycopg2.Error):  # perhaps the connection is lost
            _send_text(raw, "ROLLBACK")
        raise
    _send_text(raw, "COMMIT")


def _send_text(raw: Psycopg2Connection, statement: str) -> None:
    with our_cursor(raw) as cursor:
        cursor.execute(statement)
