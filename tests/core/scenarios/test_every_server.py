"""What the database itself holds, on each version of PostgreSQL: nobody is at an inactive instance.

Covers core.migrations, core.hooks, core.reconcile.presence.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import check_in, update_active_sessions
from core.db import create_engine
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    change_instance,
    connected,
    delete_instance,
    execute,
    person_at,
    requests,
    value,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def every_engine(every_database_url: str) -> Iterator[Engine]:
    engine = create_engine(every_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def app(every_database_url: str) -> Iterator[Connection]:
    with connected(every_database_url) as connection:
        yield connection


def instance_at(app: Connection, starts: timedelta, ends: timedelta) -> int:
    """Return an instance of a session of its own that starts and ends so far from the server's present."""
    now = value(app, "SELECT clock_timestamp()").astimezone(UTC)
    start, end = now + starts, now + ends
    return add_instance(
        app, add_session(app, timezone="UTC"), f"{start:%Y-%m-%d}", f"{start:%H:%M:%S}", f"{end:%H:%M:%S}"
    )


@pytest.fixture
def on(every_engine: Engine, app: Connection) -> int:
    """An instance that is on, by the server's clock."""
    instance = instance_at(app, -30 * MINUTE, 30 * MINUTE)
    update_active_sessions(every_engine)
    assert value(app, "SELECT active FROM session_instance WHERE session_instance_id = %s", instance)
    return instance


# What raw SQL cannot store


def test_nobody_can_be_stored_at_an_inactive_instance(every_engine: Engine, app: Connection, on: int) -> None:
    off, person = instance_at(app, 5 * 60 * MINUTE, 6 * 60 * MINUTE), add_person(app)
    update_active_sessions(every_engine)
    for instance in (off, 999):
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            execute(app, "UPDATE person SET active_session_instance_id = %s", instance)
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            add_person(app, active_session_instance_id=instance)
    execute(app, "UPDATE person SET active_session_instance_id = %s", on)

    assert person_at(app, person) == on


def test_bit_that_goes_lets_everybody_go(app: Connection, on: int) -> None:
    people = [add_person(app, active_session_instance_id=on) for _ in range(3)]
    change_instance(app, on, active=False)

    assert [person_at(app, person) for person in people] == [None] * 3


@pytest.mark.parametrize("delete", ["session_instance", "session"])
def test_deletion_takes_check_ins_and_windows_and_lets_everybody_go(app: Connection, on: int, delete: str) -> None:
    person = add_person(app)
    check_in(app, person, on, "yes")
    assert person_at(app, person) == on
    execute(app, f"DELETE FROM {delete}")

    assert person_at(app, person) is None
    for table in ("session_instance_person", "activation_window", "active_instance", "planned_instance"):
        assert value(app, f"SELECT count(*) FROM {table}") == 0, table


def test_deletion_of_a_person_takes_their_check_ins(app: Connection, on: int) -> None:
    person = add_person(app)
    check_in(app, person, on, "yes")
    execute(app, "DELETE FROM person")

    assert value(app, "SELECT count(*) FROM session_instance_person") == 0
    assert value(app, "SELECT active FROM session_instance") is True


# What raw SQL asks for


CHECK_INS = {
    "insert": "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) "
    "VALUES (%(on)s, %(newcomer)s, 'yes')",
    "maybe becomes yes": "UPDATE session_instance_person SET attendance = 'yes' WHERE person_id = %(maybe)s",
    "yes becomes no": "UPDATE session_instance_person SET attendance = 'no' WHERE person_id = %(here)s",
    "delete": "DELETE FROM session_instance_person WHERE person_id = %(here)s",
    "another person": "UPDATE session_instance_person SET person_id = %(newcomer)s WHERE person_id = %(here)s",
}


@pytest.mark.parametrize("write", CHECK_INS)
def test_raw_check_in_at_an_active_instance_asks_for_the_pass_that_moves(
    every_engine: Engine, app: Connection, on: int, write: str
) -> None:
    people = {name: add_person(app, first_name=name) for name in ("here", "maybe", "newcomer")}
    check_in(app, people["here"], on, "yes")
    check_in(app, people["maybe"], on, "maybe")
    update_active_sessions(every_engine)
    before = {name: person_at(app, person) for name, person in people.items()}
    assert (before, requests(app)) == ({"here": on, "maybe": None, "newcomer": None}, [])

    with app.cursor() as cursor:
        cursor.execute(CHECK_INS[write], people | {"on": on})
    assert requests(app) != []
    update_active_sessions(every_engine)

    moved: dict[str, dict[str, int | None]] = {
        "insert": {"newcomer": on},
        "maybe becomes yes": {"maybe": on},
        "yes becomes no": {"here": None},
        "delete": {"here": None},
        "another person": {"here": None, "newcomer": on},
    }
    assert {name: person_at(app, person) for name, person in people.items()} == before | moved[write]
    assert requests(app) == []


def test_comment_edited_on_an_old_yes_moves_nobody_and_asks_for_nothing(
    every_engine: Engine, app: Connection, on: int
) -> None:
    other, person = instance_at(app, -20 * MINUTE, 30 * MINUTE), add_person(app)
    update_active_sessions(every_engine)
    check_in(app, person, on, "yes")
    check_in(app, person, other, "yes")
    update_active_sessions(every_engine)
    said_at = "SELECT array_agg(checked_in_at ORDER BY session_instance_id) FROM session_instance_person"
    before = value(app, said_at)

    execute(
        app,
        "UPDATE session_instance_person SET comment = 'lovely tunes', last_modified_date = now(), "
        "attendance = attendance WHERE session_instance_id = %s",
        on,
    )

    assert requests(app) == []
    assert value(app, said_at) == before
    update_active_sessions(every_engine)
    assert person_at(app, person) == other


def test_raw_check_in_that_stands_uncommitted_while_its_instance_is_planned_is_not_lost(
    every_engine: Engine, app: Connection, every_database_url: str
) -> None:
    """The pass that plans and opens it does not see the check-in, and the check-in saw no window."""
    instance, person = instance_at(app, -30 * MINUTE, 30 * MINUTE), add_person(app)
    with connected(every_database_url, autocommit=False) as theirs:
        add_check_in(theirs, instance, person)
        update_active_sessions(every_engine)
        assert value(app, "SELECT active FROM session_instance") is True
        theirs.commit()
    update_active_sessions(every_engine)

    assert person_at(app, person) == instance


def test_raw_check_in_that_stands_uncommitted_over_the_opening_is_not_lost(
    every_engine: Engine, app: Connection, every_database_url: str
) -> None:
    instance, person = instance_at(app, 65 * MINUTE, 90 * MINUTE), add_person(app)
    update_active_sessions(every_engine)
    at_six_minutes = value(app, "SELECT clock_timestamp()") + 6 * MINUTE
    with connected(every_database_url, autocommit=False) as theirs:
        add_check_in(theirs, instance, person)
        update_active_sessions(every_engine, at_six_minutes)
        theirs.commit()
    update_active_sessions(every_engine, at_six_minutes)

    assert person_at(app, person) == instance


def test_deleting_where_somebody_is_asks_for_a_pass_at_where_else_they_said_yes(
    every_engine: Engine, app: Connection, on: int
) -> None:
    other, person = instance_at(app, -20 * MINUTE, 30 * MINUTE), add_person(app)
    update_active_sessions(every_engine)
    check_in(app, person, other, "yes")
    check_in(app, person, on, "yes")
    update_active_sessions(every_engine)
    delete_instance(app, on)
    update_active_sessions(every_engine)

    assert person_at(app, person) == other


def test_everything_by_raw_sql_then_one_pass(every_engine: Engine, app: Connection) -> None:
    instances = [instance_at(app, start * MINUTE, end * MINUTE) for start, end in ((-200, -100), (-50, 10), (-40, 50))]
    people = [add_person(app) for _ in range(6)]
    for number, person in enumerate(people):
        for instance in instances[number % 3 :]:
            add_check_in(app, instance, person)
    update_active_sessions(every_engine)

    assert as_stored(app) == as_it_should_be(app, datetime.now(UTC))
    assert [active_of(app, session) is not None for session in (1, 2, 3)] == [False, True, True]
