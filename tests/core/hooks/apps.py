"""The connections that an app may hand to a hook: of SQLAlchemy and of psycopg2, each with a transaction of its own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
import sqlalchemy
from psycopg2.extras import RealDictConnection, RealDictCursor
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


@contextmanager
def orm_session(url: str) -> Iterator[App]:
    with _engine(url) as engine, Session(engine) as db:
        yield App(db, lambda statement: _rows(db.connection(), statement), db.commit, db.rollback)


@contextmanager
def scoped_orm_session(url: str) -> Iterator[App]:
    """As Flask-SQLAlchemy has it."""
    with _engine(url) as engine:
        db = scoped_session(sessionmaker(engine))
        yield App(db, lambda statement: _rows(db.connection(), statement), db.commit, db.rollback)
        db.remove()


@contextmanager
def core_connection(url: str) -> Iterator[App]:
    with _engine(url) as engine, engine.connect() as db:
        yield App(db, lambda statement: _rows(db, statement), db.commit, db.rollback)


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(normalise_url(url), pool_size=1)
    yield engine
    engine.dispose()


def _rows(connection: sqlalchemy.Connection, statement: str) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(statement)
    return [tuple(row) for row in result] if result.returns_rows else []


@contextmanager
def raw_connection(url: str, *, autocommit: bool = False, **options: Any) -> Iterator[App]:
    db = psycopg2.connect(url, **options)
    db.autocommit = autocommit

    def run(statement: str) -> list[tuple[Any, ...]]:
        with db.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description else []
        return [tuple(row.values()) if isinstance(row, dict) else row for row in found]

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

TRANSACTIONAL: dict[str, Opens] = {
    "ORM session": orm_session,
    "scoped ORM session": scoped_orm_session,
    "SQLAlchemy connection": core_connection,
    "psycopg2": raw_connection,
    "psycopg2, from a pool": pooled_raw_connection,
    "psycopg2, RealDictCursor": lambda url: raw_connection(url, cursor_factory=RealDictCursor),
    "psycopg2, RealDictConnection": lambda url: raw_connection(url, connection_factory=RealDictConnection),
}
AUTOCOMMIT: dict[str, Opens] = {
    "psycopg2, autocommit": lambda url: raw_connection(url, autocommit=True),
    "psycopg2, autocommit, RealDictCursor": lambda url: raw_connection(
        url, autocommit=True, cursor_factory=RealDictCursor
    ),
}
EVERY_KIND = TRANSACTIONAL | AUTOCOMMIT
