"""The connections that an app may hand to a hook: of SQLAlchemy and of psycopg2, each with a transaction of its own."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
import sqlalchemy
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import (
    DictConnection,
    DictCursor,
    LoggingConnection,
    NamedTupleCursor,
    RealDictConnection,
    RealDictCursor,
)
from sqlalchemy import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from core.active_session_manager import AppDatabase
from core.db import normalise_url


@dataclass(frozen=True)
class App:
    """`db` is what a hook is handed; `run` is how the app itself uses it."""

    db: AppDatabase
    run: Callable[[str], list[tuple[Any, ...]]]
    commit: Callable[[], object]
    rollback: Callable[[], object]


class StubbornConnection(Connection):
    """An app's own class: its cursors return dictionaries, whatever anybody asks for."""

    def cursor(self, *_: Any, **__: Any) -> Any:
        return super().cursor(cursor_factory=RealDictCursor)


@contextmanager
def orm_session(url: str, **options: Any) -> Iterator[App]:
    with _engine(url, **options) as engine, Session(engine) as db:
        yield App(db, lambda statement: _rows(db.connection(), statement), db.commit, db.rollback)


@contextmanager
def scoped_orm_session(url: str) -> Iterator[App]:
    """As Flask-SQLAlchemy has it."""
    with _engine(url) as engine:
        db = scoped_session(sessionmaker(engine))
        yield App(db, lambda statement: _rows(db.connection(), statement), db.commit, db.rollback)
        db.remove()


@contextmanager
def core_connection(url: str, **options: Any) -> Iterator[App]:
    with _engine(url, **options) as engine, engine.connect() as db:
        yield App(db, lambda statement: _rows(db, statement), db.commit, db.rollback)


@contextmanager
def _engine(url: str, **options: Any) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(normalise_url(url), pool_size=1, **options)
    yield engine
    engine.dispose()


def _rows(connection: sqlalchemy.Connection, statement: str) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(statement)
    return [tuple(row) for row in result] if result.returns_rows else []


@contextmanager
def raw_connection(url: str, *, autocommit: bool = False, **options: Any) -> Iterator[App]:
    db = psycopg2.connect(url, **options)
    db.autocommit = autocommit
    if isinstance(db, LoggingConnection):
        db.initialize(io.StringIO())

    def run(statement: str) -> list[tuple[Any, ...]]:
        with db.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description else []
        return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in found]

    yield App(db, run, db.commit, db.rollback)
    db.close()


@contextmanager
def pooled_raw_connection(url: str) -> Iterator[App]:
    """As an app has it that uses an engine only for its pool."""
    with _engine(url) as engine:
        db = engine.raw_connection()

        def run(statement: str) -> list[tuple[Any, ...]]:
            with closing(db.cursor()) as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

        yield App(db, run, db.commit, db.rollback)
        db.close()


Opens = Callable[[str], AbstractContextManager[App]]


def after_textual_commit(opens: Opens) -> Opens:
    """The driver goes on believing that a transaction is open, and the server is in none."""

    @contextmanager
    def opened(url: str) -> Iterator[App]:
        with opens(url) as theirs:
            theirs.run("SELECT 1")
            theirs.run("COMMIT")
            yield theirs

    return opened


TRANSACTIONAL: dict[str, Opens] = {
    "ORM session": orm_session,
    "scoped ORM session": scoped_orm_session,
    "SQLAlchemy connection": core_connection,
    "psycopg2": raw_connection,
    "psycopg2, from a pool": pooled_raw_connection,
    "psycopg2, DictCursor": lambda url: raw_connection(url, cursor_factory=DictCursor),
    "psycopg2, DictConnection": lambda url: raw_connection(url, connection_factory=DictConnection),
    "psycopg2, RealDictCursor": lambda url: raw_connection(url, cursor_factory=RealDictCursor),
    "psycopg2, RealDictConnection": lambda url: raw_connection(url, connection_factory=RealDictConnection),
    "psycopg2, NamedTupleCursor": lambda url: raw_connection(url, cursor_factory=NamedTupleCursor),
    "psycopg2, LoggingConnection": lambda url: raw_connection(url, connection_factory=LoggingConnection),
    "psycopg2, a RealDict class of their own": lambda url: raw_connection(url, connection_factory=StubbornConnection),
}
OUTSIDE_TRANSACTIONS: dict[str, Opens] = {
    "psycopg2, autocommit": lambda url: raw_connection(url, autocommit=True),
    "psycopg2, autocommit, RealDictCursor": lambda url: raw_connection(
        url, autocommit=True, cursor_factory=RealDictCursor
    ),
    "ORM session, autocommit": lambda url: orm_session(url, isolation_level="AUTOCOMMIT"),
    "SQLAlchemy connection, autocommit": lambda url: core_connection(url, isolation_level="AUTOCOMMIT"),
    "psycopg2, after a textual COMMIT": after_textual_commit(raw_connection),
    "ORM session, after a textual COMMIT": after_textual_commit(orm_session),
    "SQLAlchemy connection, after a textual COMMIT": after_textual_commit(core_connection),
}
EVERY_KIND = TRANSACTIONAL | OUTSIDE_TRANSACTIONS
ONE_OF_EACH = (
    "ORM session",
    "SQLAlchemy connection",
    "psycopg2",
    "psycopg2, autocommit",
    "psycopg2, after a textual COMMIT",
    "SQLAlchemy connection, after a textual COMMIT",
)
