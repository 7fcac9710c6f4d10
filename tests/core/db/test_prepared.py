"""Statements that a connection prepares do the same, and are planned once; a connection that forgets is given up."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection, Engine, Integer, String, bindparam, event, func, literal, select, text
from sqlalchemy.exc import DBAPIError

from core import logs
from core.db import create_engine
from core.db.transaction_settings import SET_OWN
from core.db.transactions import is_disconnected, transactions
from core.models import MusicSession, Person
from core.store.queue import requests
from tests.core.store.statements.calls import add_scene, calls
from tests.data import add_person, add_session, connected, execute
from tests.postgres import Server


@pytest.fixture
def preparing(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url, pool_size=1, prepares=True)
    yield engine
    engine.dispose()


def prepared(connection: Connection) -> list[str]:
    """Return the texts of the statements that this connection has prepared."""
    found = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements ORDER BY statement")
    return [statement for (statement,) in found]


def test_every_statement_of_the_store_does_the_same_whether_it_is_prepared_or_not(server: Server) -> None:
    with server.database(server.migrated) as url:
        with connected(url) as app:
            add_scene(app)
        engines = [create_engine(url), create_engine(url, prepares=True)]
        for call in calls():
            done = [_done_twice(engine, call.run) for engine in engines]
            assert done[0] == done[1], call.function.__name__
        with engines[0].connect() as plain, engines[1].connect() as preparing:
            assert prepared(plain) == []
            assert len(prepared(preparing)) > 100
        for engine in engines:
            engine.dispose()


def _done_twice(engine: Engine, run: Callable[[Connection], object]) -> list[int]:
    """Call it twice, each time in a transaction that is rolled back; return how many rows each statement concerned."""
    rows: list[int] = []

    def note(_: Connection, cursor: Any, *__: Any) -> None:
        rows.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", note)
    for _ in range(2):
        with engine.connect() as connection:
            connection.exec_driver_sql(SET_OWN)
            run(connection)
    event.remove(engine, "after_cursor_execute", note)
    return rows


def test_a_connection_prepares_a_statement_once_with_its_constants_and_without_its_values(
    preparing: Engine, app: Psycopg2Connection
) -> None:
    in_clare = select(Person.person_id).where(Person.city == bindparam("city"), Person.state == "Clare")
    ennis = add_person(app, city="Ennis", state="Clare")
    add_person(app, city="Ennis", state="Texas")
    with preparing.connect() as connection:
        for city, found in (("Ennis", [ennis]), ("Doolin", [])):
            assert connection.scalars(in_clare, {"city": city}).all() == found
            [text] = prepared(connection)

    assert "person.city = $1 AND person.state = 'Clare'" in text


def test_a_statement_of_the_same_text_with_other_constants_is_sent_as_it_is(preparing: Engine) -> None:
    with preparing.connect() as connection:
        for number in (1, 2):
            assert connection.scalar(select(literal(number) + bindparam("more", type_=Integer())), {"more": 10}) == (
                10 + number
            )
        assert len(prepared(connection)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT 7 % CAST(:divisor AS int)"),
        select(literal(3)).where(literal(2).in_([2, 3]), bindparam("divisor", type_=Integer()) == 4),
        select(literal(3)).where(text("4 = :divisor")),
    ],
    ids=["a text", "a text that depends on how many values there are", "a value without a type"],
)
def test_what_has_no_constant_text_or_no_types_is_sent_as_it_is(preparing: Engine, statement: Any) -> None:
    with preparing.connect() as connection:
        assert connection.scalar(statement, {"divisor": 4}) == 3
        assert prepared(connection) == []


def test_a_value_that_a_statement_uses_twice_is_sent_once(preparing: Engine) -> None:
    half, whole = (bindparam("half", type_=Integer()) * factor for factor in (1, 2))
    with preparing.connect() as connection:
        assert connection.scalar(select(half + whole), {"half": 5}) == 15
        types = connection.exec_driver_sql("SELECT parameter_types::text FROM pg_prepared_statements").scalar()
        assert types == "{integer}"


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        (select(literal(1) / bindparam("value", type_=Integer())), 0),
        (select(func.count(Person.person_id) + bindparam("value", type_=Integer())).with_for_update(), 0),
    ],
    ids=["no number", "a lock of what is no row"],
)
def test_any_other_error_of_a_statement_leaves_its_connection(preparing: Engine, statement: Any, value: int) -> None:
    with preparing.connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.scalar(statement, {"value": value})

    assert not is_disconnected(raised.value)


def test_an_error_of_python_in_a_statement_is_raised_as_it_is(preparing: Engine) -> None:
    with preparing.connect() as connection, pytest.raises(ValueError, match="NUL"):
        connection.scalar(select(bindparam("name", type_=String())), {"name": "\0"})


def test_behind_a_pooler_that_forgets_what_is_prepared_nothing_more_is_prepared(
    preparing: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logs.ROOT)
    with transactions(preparing) as begin:
        with begin() as connection:
            requests.existing(connection, [1])
            # As another connection of the server's, which a pooler gives us.
            connection.exec_driver_sql("DEALLOCATE ALL")
        with pytest.raises(DBAPIError) as raised, begin() as connection:
            requests.existing(connection, [1])
        assert is_disconnected(raised.value)
        with begin() as connection:
            assert requests.existing(connection, [1]) == frozenset()
            assert prepared(connection) == []
    assert "nothing_prepared" in caplog.text


def test_when_the_app_changes_the_type_of_a_column_a_new_connection_plans_anew(
    preparing: Engine, app: Psycopg2Connection
) -> None:
    session_id = add_session(app)
    names = select(MusicSession.name).where(MusicSession.session_id == bindparam("id"))
    with preparing.connect() as connection:
        assert connection.scalar(names, {"id": session_id}) == "The Cobblestone"
    execute(app, "ALTER TABLE session ALTER COLUMN name TYPE varchar(200)")

    with preparing.connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.scalar(names, {"id": session_id})
    assert is_disconnected(raised.value)
    with preparing.connect() as connection:
        assert connection.scalar(names, {"id": session_id}) == "The Cobblestone"
        assert len(prepared(connection)) == 1
