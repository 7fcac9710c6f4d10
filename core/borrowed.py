"""A raw psycopg2 connection of the app's, used as a SQLAlchemy one, without touching its transaction.

The app that exists today is raw psycopg2. SQLAlchemy believes that it begins, commits and closes; it does none of that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool


class _LeavesTransactionsAlone(PGDialect_psycopg2):
    """Savepoints are ours to make and release; what they stand in is the app's."""

    supports_statement_cache = True

    def do_begin(self, dbapi_connection: Any) -> None:
        pass

    def do_commit(self, dbapi_connection: Any) -> None:
        pass

    def do_rollback(self, dbapi_connection: Any) -> None:
        pass

    def do_close(self, dbapi_connection: Any) -> None:
        pass


_COMPILED: dict[Any, Any] = {}  # an engine's own cache would go with it; our statements are few
_DIALECT = _LeavesTransactionsAlone(dbapi=psycopg2, use_native_hstore=False)  # type: ignore[no-untyped-call] # SQLAlchemy's
_URL = make_url("postgresql+psycopg2://")


@contextmanager
def borrowed(raw: Psycopg2Connection) -> Iterator[Connection]:
    """Yield a SQLAlchemy connection over `raw`; where that is in autocommit, the block is a transaction of its own.

    What the block raises of psycopg2's errors is raised as that: the caller knows nothing of SQLAlchemy.
    """
    factory, raw.cursor_factory = raw.cursor_factory, cursor  # the app's own may give dictionaries
    try:
        if raw.autocommit and raw.info.transaction_status == TRANSACTION_STATUS_IDLE:
            with _transaction(raw):
                yield _connection(raw)
        else:
            yield _connection(raw)
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        raw.cursor_factory = factory


def _connection(raw: Psycopg2Connection) -> Connection:
    # Made by hand, because create_engine would ask the server about itself at the first connect, and roll back.
    pool = StaticPool(lambda: raw, reset_on_return=None)  # type: ignore[arg-type] # a DBAPI connection it is
    return Engine(pool, _DIALECT, _URL).connect().execution_options(compiled_cache=_COMPILED)


@contextmanager
def _transaction(raw: Psycopg2Connection) -> Iterator[None]:
    raw.autocommit = False
    try:
        with raw:
            yield
    finally:
        raw.autocommit = True
