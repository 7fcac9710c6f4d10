"""What people write beside a living daemon, in raw SQL: each is right within a second, and the log says truly why.

Covers scheduler.daemon.worker, scheduler.daemon.agenda, core.reconcile and core.migrations together.
"""

import time
from collections.abc import Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.migrations import migrate
from tests.core.scenarios.host_app import TABLES
from tests.data import (
    add_check_in,
    add_person,
    change_instance,
    change_session,
    connected,
    execute,
    flips_of,
    person_at,
    value,
)
from tests.scheduler.daemon_process import DaemonProcess, Daemons, eventually
from tests.scheduler.soon import HOUR, causes, instance_soon, on, session_here, weekly

SECOND = 1.0
FREE_TEXT = "most evenings"


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Connection]:
    """An app with triggers and columns of its own."""
    with connected(empty_database_url) as connection:
        execute(connection, TABLES)
        migrate(empty_database_url)
        yield connection


@pytest.fixture
def daemon(daemons: Daemons, app: Connection, empty_database_url: str) -> DaemonProcess:
    assert not app.closed  # the tables are there
    return daemons.ready(empty_database_url)


def an_evening_that_is_on(app: Connection) -> tuple[int, int]:
    session = session_here(app, weekly(-HOUR, HOUR))
    instance = eventually(lambda: on(app, session), "it is on")
    assert instance
    return session, instance


def test_p6_cancelling_counts_though_the_recurrence_cannot_be_read(daemon: DaemonProcess, app: Connection) -> None:
    session, instance = an_evening_that_is_on(app)
    change_session(app, session, recurrence=FREE_TEXT)
    daemon.wait_for("unreadable")
    assert on(app, session) == instance

    change_instance(app, instance, is_cancelled=True)

    eventually(lambda: on(app, session) is None, "it is off", SECOND)


def test_a_hand_written_bit_is_repaired_counted_apart_and_never_a_miss(daemon: DaemonProcess, app: Connection) -> None:
    session, instance = an_evening_that_is_on(app)

    execute(app, "UPDATE session_instance SET active = false WHERE session_instance_id = %s", instance)

    eventually(lambda: on(app, session) == instance, "it is on again", SECOND)
    assert [cause for _, cause in causes(app, session)][1:] == ["repair"]
    assert daemon.events("missed") == []
    [*_, (_, _, due_at, done_at, _)] = flips_of(app, session)
    assert (done_at - due_at).total_seconds() < SECOND


def test_an_edit_that_a_lock_held_up_is_as_late_as_it_was(
    daemon: DaemonProcess, app: Connection, empty_database_url: str
) -> None:
    session, instance = an_evening_that_is_on(app)
    with connected(empty_database_url, autocommit=False) as holder:
        execute(holder, "SELECT FROM session_instance WHERE session_instance_id = %s FOR UPDATE", instance)
        change_session(app, session, termination_date="2020-01-01")
        time.sleep(6)
        holder.rollback()
    eventually(lambda: on(app, session) is None, "it is off", 2 * SECOND)

    [*_, (_, _, due_at, done_at, _)] = flips_of(app, session)
    assert (done_at - due_at).total_seconds() > 5.5
    [missed] = eventually(lambda: daemon.events("missed"), "the miss has a line of its own")
    assert f"session={session} " in missed
    assert f" instance={instance} " in missed
    assert "held_by=" in missed
    assert "held_by=unknown" not in missed


def test_a_deactivated_person_is_released(daemon: DaemonProcess, app: Connection) -> None:
    _, instance = an_evening_that_is_on(app)
    person = add_person(app, first_name="Nóirín")
    add_check_in(app, instance, person)
    eventually(lambda: person_at(app, person) == instance, "they are there", SECOND)

    execute(app, "UPDATE person SET active = false WHERE person_id = %s", person)
    eventually(lambda: person_at(app, person) is None, "they are released", SECOND)
    execute(app, "UPDATE person SET active = true WHERE person_id = %s", person)

    eventually(lambda: person_at(app, person) == instance, "they are there again", SECOND)
    assert not daemon.ended


def test_a_pointer_moved_by_hand_is_put_right(daemon: DaemonProcess, app: Connection) -> None:
    (_, instance), (_, other) = an_evening_that_is_on(app), an_evening_that_is_on(app)
    person = add_person(app, first_name="Seán")
    add_check_in(app, instance, person)
    eventually(lambda: person_at(app, person) == instance, "they are there", SECOND)

    execute(app, "UPDATE person SET active_session_instance_id = %s WHERE person_id = %s", other, person)

    eventually(lambda: person_at(app, person) == instance, "they are back", SECOND)
    assert not daemon.ended


def test_a_notification_that_names_a_session_is_enough(daemon: DaemonProcess, app: Connection) -> None:
    session = session_here(app)
    eventually(lambda: value(app, "SELECT count(*) FROM plan_request") == 0, "everything is planned")
    execute(app, "SET session_replication_role = replica")  # no trigger says anything
    instance = instance_soon(app, session, -60, 600)
    execute(app, "SET session_replication_role = DEFAULT")
    for payload in ("999999999", "not an id", "-1", "9" * 30):
        execute(app, "SELECT pg_notify('session_changed', %s)", payload)
    time.sleep(0.5)
    assert on(app, session) is None

    execute(app, f"NOTIFY session_changed, '{session}'")

    eventually(lambda: on(app, session) == instance, "it is on", SECOND)
    assert not daemon.ended


def test_a_hand_made_evening_takes_the_place_of_the_planners(daemon: DaemonProcess, app: Connection) -> None:
    session = session_here(app, weekly(HOUR, 2 * HOUR))
    planners = eventually(lambda: value(app, "SELECT session_instance_id FROM session_instance"), "the row is made")
    day, start, end = execute(app, "SELECT date, start_time, end_time FROM session_instance")[0]

    hand_made = value(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time) VALUES (%s, %s, %s, %s) "
        "RETURNING session_instance_id",
        session,
        day,
        start,
        end,
    )

    eventually(
        lambda: execute(app, "SELECT session_instance_id FROM session_instance") == [(hand_made,)],
        "one is left",
        SECOND,
    )
    assert hand_made != planners
    assert not daemon.ended
