"""A2 while instances open, close, and are changed under people's feet; every pass must agree with the rows.

Covers core.reconcile.presence, core.rules.presence, core.store.presence.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import (
    ReconcileResult,
    instance_saved,
    session_saved,
)
from tests.core.evening import MINUTE, SECOND, tuesday
from tests.core.passes import CLOSES, DURING, NOON, OPENS, reconcile_at, senders_to
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import (
    add_check_in,
    add_person,
    add_session,
    change_instance,
    change_session,
    delete_instance,
    execute,
    only_instance,
    person_at,
)

LATER = "2026-12-01 20:01"


def said_yes(app: Connection, person: int, *instances: int, at: str | datetime = NOON) -> None:
    """The app itself writes yeses, a second apart."""
    first = utc(at) if isinstance(at, str) else at
    for second, instance in enumerate(instances):
        add_check_in(app, instance, person, checked_in_at=first + second * SECOND)


def ask_for_all(app: Connection) -> None:
    """Let the next pass see raw check-ins: the triggers ask for a pass only near the real clock's present."""
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")


def session_of(app: Connection, instance: int) -> int:
    [(session,)] = execute(app, "SELECT session_id FROM session_instance WHERE session_instance_id = %s", instance)
    return int(session)


def test_a2_at_the_end_everybody_is_released_and_those_who_said_yes_to_another_are_moved_there(
    engine: Engine, app: Connection
) -> None:
    ends, goes_on = tuesday(app, engine), tuesday(app, engine, "19:30", "23:00")
    both, one = add_person(app), add_person(app)
    said_yes(app, both, ends, goes_on)
    said_yes(app, one, ends)
    opened = reconcile_at(engine, DURING)
    assert (person_at(app, both), person_at(app, one)) == (ends, ends)

    closed = reconcile_at(engine, CLOSES)

    assert (person_at(app, both), person_at(app, one)) == (goes_on, None)
    assert (opened.people, reconcile_at(engine, CLOSES).people) == (2, 0)
    assert closed.people == 2, "whom a closing releases and a yes moves on is one person"


def test_a2_at_one_instant_people_go_from_what_closes_to_what_opens(engine: Engine, app: Connection) -> None:
    """Abutting instances, of one session and of two."""
    session = add_session(
        app,
        recurring(weekly("tuesday", "19:00", "21:00"), weekly("tuesday", "21:00", "23:00")),
        active_buffer_minutes_before=0,
        active_buffer_minutes_after=0,
    )
    reconcile_at(engine, NOON)
    instances = execute(
        app, "SELECT session_instance_id FROM session_instance WHERE session_id = %s ORDER BY 1", session
    )
    [first], [second] = instances
    other = tuesday(app, engine, "22:00", "23:00")
    stays, goes = add_person(app), add_person(app)
    said_yes(app, stays, first, second)
    said_yes(app, goes, other, first)
    reconcile_at(engine, DURING)
    assert (person_at(app, stays), person_at(app, goes)) == (first, first)

    reconcile_at(engine, "2026-12-01 21:00")

    assert (person_at(app, stays), person_at(app, goes)) == (second, other)


def test_a2_pages_are_told_where_a_pass_brings_somebody(engine: Engine, app: Connection) -> None:
    """Nothing flips: only the person has moved."""
    here, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    said_yes(app, person, here, at=DURING)
    ask_for_all(app)
    execute(app, "LISTEN active_changed")

    reconcile_at(engine, DURING)
    execute(app, "SELECT 1")

    assert [notify.payload for notify in app.notifies] == [str(here)]


def test_a2_pages_are_told_whom_an_opening_elsewhere_shows_to_be_here(engine: Engine, app: Connection) -> None:
    """The pass looks at those who said yes to what opens; one of them says since that they are somewhere else."""
    here, opens_later, person = tuesday(app, engine), tuesday(app, engine, "20:00", "23:00"), add_person(app)
    reconcile_at(engine, OPENS)
    said_yes(app, person, opens_later)
    said_yes(app, person, here, at="2026-12-01 18:30")
    execute(app, "LISTEN active_changed")

    reconcile_at(engine, "2026-12-01 19:00", rounds=1)
    execute(app, "SELECT 1")

    assert person_at(app, person) == here
    assert {notify.payload for notify in app.notifies} == {str(here), str(opens_later)}


ORDERS: dict[str, Callable[[list[int]], list[list[int]]]] = {
    "all in one": lambda sessions: [sessions],
    "one by one": lambda sessions: [[session] for session in sessions],
    "one by one, the last first": lambda sessions: [[session] for session in sessions[::-1]],
}


@pytest.mark.parametrize("order", ORDERS)
def test_a2_order_of_the_chunks_does_not_decide(engine: Engine, app: Connection, order: str) -> None:
    hours = [("19:00", "22:00"), ("18:30", "19:30"), ("18:00", "18:30"), ("20:00", "23:00"), ("19:45", "23:30")]
    instances = [tuesday(app, engine, *times) for times in hours]
    sessions = [session_of(app, instance) for instance in instances]
    people = [add_person(app) for _ in range(6)]
    for number, person in enumerate(people):
        said_yes(app, person, *instances[number % 3 : 4 + number % 2], at=utc(NOON) + number * MINUTE)
    for at in ("2026-12-01 19:10", "2026-12-01 20:40", "2026-12-01 23:10", "2026-12-02 01:00"):
        for chunk in ORDERS[order](sessions):
            reconcile_at(engine, at, excluded=set(sessions) - set(chunk))
        assert as_stored(app) == as_it_should_be(app, utc(at)), at


def test_a2_after_three_days_of_sleep_everybody_is_where_the_rows_say(engine: Engine, app: Connection) -> None:
    tuesdays = tuesday(app, engine)
    fridays = add_session(app, recurring(weekly("friday", "19:00", "22:00")))
    reconcile_at(engine, DURING)
    gone, stayed = add_person(app), add_person(app)
    said_yes(app, gone, tuesdays, at=DURING)
    said_yes(app, stayed, tuesdays, at=DURING)
    ask_for_all(app)
    reconcile_at(engine, DURING)
    friday_evening = utc("2026-12-04 20:00")
    reconcile_at(
        engine, "2026-12-03 20:00", reasons=["plan"]
    )  # the row of Friday is made, and nothing else is reconciled
    said_yes(app, stayed, only_instance(app, fridays), at="2026-12-03 21:00")

    reconcile_at(engine, friday_evening)

    assert (person_at(app, gone), person_at(app, stayed)) == (None, only_instance(app, fridays))
    assert as_stored(app) == as_it_should_be(app, friday_evening)


# What is done to an instance while people are there: what, and whether it stays on.


def moved_to_noon(app: Connection, instance: int) -> None:
    change_instance(app, instance, start_time="11:00", end_time="12:00")


def rezoned(app: Connection, instance: int) -> None:
    change_session(app, session_of(app, instance), timezone="America/New_York")


CHANGES: dict[str, Callable[[Connection, int], object]] = {
    "cancelled": lambda app, instance: change_instance(app, instance, is_cancelled=True),
    "cancelled, and switched off by the app itself": lambda app, instance: change_instance(
        app, instance, is_cancelled=True, active=False
    ),
    "deleted": delete_instance,
    "moved": moved_to_noon,
    "dated another day": lambda app, instance: change_instance(app, instance, date="2026-12-05"),
    "rezoned": rezoned,
    "re-buffered": lambda app, instance: change(app, instance, start_time="19:00", end_time="19:30"),
    "terminated": lambda app, instance: change_session(app, session_of(app, instance), termination_date="2026-11-30"),
    "without its recurrence": lambda app, instance: change_session(app, session_of(app, instance), recurrence=None),
    "its session deleted": lambda app, instance: execute(
        app, "DELETE FROM session WHERE session_id = %s", session_of(app, instance)
    ),
}


def change(app: Connection, instance: int, **columns: Any) -> None:
    change_instance(app, instance, **columns)
    change_session(app, session_of(app, instance), active_buffer_minutes_after=0)


@pytest.mark.parametrize("by_hook", [True, False], ids=["hook", "daemon"])
@pytest.mark.parametrize("case", CHANGES)
def test_a2_whose_instance_is_taken_away_is_released_or_handed_to_the_other(
    engine: Engine, app: Connection, case: str, *, by_hook: bool
) -> None:
    here, other = tuesday(app, engine, "18:45", "22:00"), tuesday(app, engine)
    one, both = add_person(app), add_person(app)
    said_yes(app, one, here)
    said_yes(app, both, here, other)
    reconcile_at(engine, DURING)
    assert (person_at(app, one), person_at(app, both)) == (here, here)
    session = session_of(app, here)

    CHANGES[case](app, here)
    if by_hook:
        session_saved(app, session, now=utc(LATER))
        assert person_at(app, one) is None
        assert person_at(app, both) in ({other, None} if "deleted" in case else {other})  # the daemon does that
    reconcile_at(engine, LATER)

    assert (person_at(app, one), person_at(app, both)) == (None, other)
    assert as_stored(app) == as_it_should_be(app, utc(LATER))


@pytest.mark.parametrize("by_hook", [True, False], ids=["hook", "daemon"])
def test_a2_uncancelled_instance_gets_its_people_back(engine: Engine, app: Connection, *, by_hook: bool) -> None:
    here, other = tuesday(app, engine, "18:45", "22:00"), tuesday(app, engine)
    one, both, late = add_person(app), add_person(app), add_person(app)
    said_yes(app, one, here)
    said_yes(app, both, here, other)
    reconcile_at(engine, DURING)
    said_yes(app, late, here, other, at=DURING)  # at the other since
    ask_for_all(app)

    for is_cancelled in (True, False):
        change_instance(app, here, is_cancelled=is_cancelled)
        if by_hook:
            instance_saved(app, here, now=utc(LATER))
        reconcile_at(engine, LATER)

    assert [person_at(app, person) for person in (one, both, late)] == [here, here, other]


def test_a2_instance_given_to_another_session_keeps_its_people_and_is_counted_once(
    engine: Engine, app: Connection
) -> None:
    """Both sessions are planned in one pass, and the window is the same before and after."""
    here, person = tuesday(app, engine), add_person(app)
    other = add_session(app)
    said_yes(app, person, here)
    reconcile_at(engine, DURING)
    old = session_of(app, here)

    change_session(app, old, recurrence=None)
    change_instance(app, here, session_id=other)
    reconcile_at(engine, LATER)

    assert person_at(app, person) == here
    assert execute(app, "SELECT session_id FROM activation_window") == [(other,)]
    assert reconcile_at(engine, LATER).sessions == frozenset()


def test_a2_instance_switched_off_by_hand_gets_its_people_back(engine: Engine, app: Connection) -> None:
    here, person = tuesday(app, engine), add_person(app)
    said_yes(app, person, here)
    reconcile_at(engine, DURING)
    change_instance(app, here, active=False)
    assert person_at(app, person) is None
    reconcile_at(engine, LATER)

    assert person_at(app, person) == here


def test_a2_clock_that_is_set_back_takes_people_back(engine: Engine, app: Connection) -> None:
    early, late, person = tuesday(app, engine), tuesday(app, engine, "22:00", "23:00"), add_person(app)
    said_yes(app, person, early, late)
    for at, where in ((DURING, early), ("2026-12-01 23:30", late), (DURING, early), (NOON, None)):
        reconcile_at(engine, at)
        assert person_at(app, person) == where, at


@pytest.mark.parametrize(
    "write",
    [
        "UPDATE session_instance_person SET attendance = 'no' WHERE session_instance_id = %(here)s",
        "DELETE FROM session_instance_person WHERE session_instance_id = %(here)s",
        "UPDATE session_instance_person SET session_instance_id = %(new)s WHERE session_instance_id = %(here)s",
        "UPDATE session_instance_person SET person_id = %(friend)s WHERE session_instance_id = %(here)s",
    ],
)
def test_a2_check_in_taken_back_by_raw_sql_moves_on(engine: Engine, app: Connection, write: str) -> None:
    here, other, new = tuesday(app, engine), tuesday(app, engine, "20:00", "22:00"), tuesday(app, engine)
    person, friend = add_person(app), add_person(app)
    said_yes(app, person, here, other)
    reconcile_at(engine, DURING)
    assert person_at(app, person) == here

    with app.cursor() as cursor:
        cursor.execute(write, {"here": here, "new": new, "friend": friend})
    ask_for_all(app)
    reconcile_at(engine, LATER)

    assert as_stored(app) == as_it_should_be(app, utc(LATER))
    assert person_at(app, person) == (new if "%(new)s" in write else other)
    assert person_at(app, friend) == (here if "%(friend)s" in write else None)


# Passes that run at the same time, and late ones


@contextmanager
def refusing(app: Connection, instance: int) -> Iterator[None]:
    """Have the app refuse, by a trigger of its own, that this instance is changed."""
    execute(app, "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
    execute(
        app,
        "CREATE TRIGGER no BEFORE UPDATE ON session_instance FOR EACH ROW "
        f"WHEN (NEW.session_instance_id = {instance}) EXECUTE FUNCTION no()",
    )
    try:
        yield
    finally:
        execute(app, "DROP FUNCTION no() CASCADE")


def test_l3_person_whose_best_instance_cannot_open_keeps_no_pass_busy(engine: Engine, app: Connection) -> None:
    first, second, person = (
        tuesday(app, engine, "19:00", "20:00"),
        tuesday(app, engine, "20:00", "23:00"),
        add_person(app),
    )
    said_yes(app, person, first, second)
    with refusing(app, first):
        reconcile_at(engine, DURING)
        assert reconcile_at(engine, DURING).failed  # once more, because the pass at the second has asked for it
        result = reconcile_at(engine, DURING)

    assert person_at(app, person) is None
    assert result == ReconcileResult()


def test_l3_who_said_yes_to_two_and_is_where_they_should_be_is_not_moved(engine: Engine, app: Connection) -> None:
    person, instances = add_person(app), [tuesday(app, engine) for _ in range(2)]
    reconcile_at(engine, DURING)
    said_yes(app, person, *instances, at=DURING)
    ask_for_all(app)
    assert reconcile_at(engine, LATER).people == 1
    ask_for_all(app)

    with senders_to(engine) as senders:
        assert reconcile_at(engine, LATER).people == 0

    assert "locations.lock" in senders, "they are looked at"
    assert person_at(app, person) == instances[1]


def test_who_cannot_be_moved_because_another_transaction_closes_their_instance_is_deferred(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    instance, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, DURING)
    said_yes(app, person, instance, at=DURING)
    ask_for_all(app)
    closing = db_connect()
    closing.autocommit = False
    execute(closing, "SELECT FROM active_instance FOR UPDATE")

    held = reconcile_at(engine, LATER, rounds=1)
    closing.rollback()
    free = reconcile_at(engine, LATER)

    assert held.people == 0
    assert held.deferred == {session_of(app, instance)}
    assert (free.people, person_at(app, person)) == (1, instance)
