"""leave: a yes stays for the record, and the person is nowhere until a new yes or the next opening (A2)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import (
    CheckedIn,
    WhyNot,
    check_in,
    leave,
    remove_check_in,
    session_saved,
    update_active_sessions,
)
from core.errors import SeisiunError, UnknownInstance, UnknownPerson
from tests.core.evening import MINUTE, SECOND, said, say, tuesday
from tests.core.passes import CLOSES, DURING, NOON, OPENS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import add_person, change_instance, change_session, connected, execute, person_at, value

LATER = "2026-12-01 20:30"
NOWHERE = CheckedIn(None, None, deferred=False)


def go(app: Connection, person: int, instance: int, at: str | datetime) -> CheckedIn:
    return leave(app, person, instance, now=utc(at) if isinstance(at, str) else at)


def left_at(app: Connection, person: int) -> list[Any]:
    return [row[0] for row in execute(app, "SELECT left_at FROM session_instance_person WHERE person_id = %s", person)]


@pytest.mark.parametrize("said_at", [NOON, DURING], ids=["was expected", "was here"])
def test_a2_who_leaves_is_nowhere_and_the_yes_stays_for_the_record(
    engine: Engine, app: Connection, said_at: str
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", said_at, comment="with the fiddle")
    reconcile_at(engine, DURING)
    assert person_at(app, person) == here

    assert go(app, person, here, LATER) == NOWHERE

    assert person_at(app, person) is None
    assert said(app, person) == [(here, "yes", "with the fiddle")]
    assert left_at(app, person) == [utc(LATER)]
    reconcile_at(engine, LATER)
    assert person_at(app, person) is None


def test_a2_who_leaves_is_not_handed_to_another_that_is_open_as_one_who_takes_the_yes_back_is(
    engine: Engine, app: Connection
) -> None:
    here, other = tuesday(app, engine), tuesday(app, engine)
    leaves, takes_back = add_person(app), add_person(app)
    for person in (leaves, takes_back):
        say(app, person, other, "yes", NOON)
    reconcile_at(engine, OPENS)
    for person in (leaves, takes_back):
        say(app, person, here, "yes", DURING)

    go(app, leaves, here, LATER)
    remove_check_in(app, takes_back, here, now=utc(LATER))

    assert (person_at(app, leaves), person_at(app, takes_back)) == (None, other)


def test_a2_a_new_yes_brings_one_back_here_or_elsewhere(engine: Engine, app: Connection) -> None:
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    at = utc(LATER)
    for left, instance in ((here, here), (here, other), (other, here)):
        at += 2 * MINUTE
        go(app, person, left, at)
        assert person_at(app, person) is None

        checked_in = say(app, person, instance, "yes", at + MINUTE)

        assert checked_in.at is not None
        assert checked_in.at.session_instance_id == instance == person_at(app, person)
        reconcile_at(engine, at + MINUTE)
        assert person_at(app, person) == instance


def test_a2_the_next_opening_that_one_said_yes_to_brings_one_back(engine: Engine, app: Connection) -> None:
    here, later, person = tuesday(app, engine), tuesday(app, engine, "22:00", "23:00"), add_person(app)
    for instance in (here, later):
        say(app, person, instance, "yes", NOON)
    reconcile_at(engine, DURING)
    go(app, person, here, LATER)

    reconcile_at(engine, "2026-12-01 21:00")

    assert person_at(app, person) == later


@pytest.mark.parametrize("column", ["is_cancelled", "active"])
def test_a2_who_left_is_not_brought_back_when_it_is_off_for_a_while(
    engine: Engine, app: Connection, column: str
) -> None:
    """Alone, and beside a yes to another, which opens meanwhile."""
    here, later = tuesday(app, engine), tuesday(app, engine, "22:00", "23:00")
    alone, both, stays = add_person(app), add_person(app), add_person(app)
    for person in (alone, both, stays):
        say(app, person, here, "yes", NOON)
    say(app, both, later, "yes", NOON)
    reconcile_at(engine, DURING)
    for person in (alone, both):
        go(app, person, here, LATER)
    for minute, is_on in enumerate((False, True), 35):
        change_instance(app, here, **{column: is_on == (column == "active")})
        reconcile_at(engine, f"2026-12-01 20:{minute}")

    assert [person_at(app, person) for person in (alone, both, stays)] == [None, None, here]
    reconcile_at(engine, "2026-12-01 21:00")
    assert [person_at(app, person) for person in (alone, both, stays)] == [None, later, here]
    assert as_stored(app) == as_it_should_be(app, utc("2026-12-01 21:00"))


def test_a2_who_leaves_before_it_opens_is_there_when_it_opens(engine: Engine, app: Connection) -> None:
    later, person = tuesday(app, engine), add_person(app)
    say(app, person, later, "yes", NOON)

    assert go(app, person, later, utc(NOON) + MINUTE) == NOWHERE

    reconcile_at(engine, OPENS)
    assert person_at(app, person) == later


@pytest.mark.parametrize("minutes", [-0.5, 30], ids=["in the minute before", "by a date that is still to come"])
def test_a2_a_leaving_that_no_pass_was_asked_for_is_known_at_the_opening(
    engine: Engine, app: Connection, minutes: float
) -> None:
    later, leaves, stays = tuesday(app, engine), add_person(app), add_person(app)
    for person in (leaves, stays):
        say(app, person, later, "yes", NOON)
    execute(
        app,
        "UPDATE session_instance_person SET left_at = %s WHERE person_id = %s",
        utc(OPENS) + minutes * MINUTE,
        leaves,
    )

    reconcile_at(engine, OPENS)

    assert (person_at(app, leaves), person_at(app, stays)) == (None, later)


def test_a2_what_the_sweep_opened_a_minute_early_can_be_left(engine: Engine, app: Connection) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", NOON)
    reconcile_at(engine, utc(OPENS) - MINUTE, look_ahead=MINUTE)
    assert person_at(app, person) == here

    go(app, person, here, utc(OPENS) - 30 * SECOND)

    for at in (utc(OPENS) - 20 * SECOND, OPENS, DURING):
        reconcile_at(engine, at)
        assert person_at(app, person) is None


def test_a3_leaving_serves_an_edit_and_a_bit_that_lags_first(engine: Engine, app: Connection) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", NOON)

    assert go(app, person, here, DURING) == NOWHERE  # no pass ran since noon

    assert value(app, "SELECT count(*) FROM active_instance") == 1
    assert person_at(app, person) is None


def test_leaving_what_is_over_is_recorded_and_leaves_one_where_one_is(engine: Engine, app: Connection) -> None:
    over, here, person = tuesday(app, engine), tuesday(app, engine, "23:30", "23:50"), add_person(app)
    say(app, person, over, "yes", DURING)
    say(app, person, here, "yes", DURING)
    reconcile_at(engine, CLOSES)

    left = go(app, person, over, CLOSES)

    assert utc(CLOSES) in left_at(app, person)
    assert left.at is None
    assert as_stored(app) == as_it_should_be(app, utc(CLOSES))
    say(app, person, here, "yes", utc(CLOSES) + MINUTE)
    assert person_at(app, person) == here


@pytest.mark.parametrize("attendance", [None, "maybe", "no"])
def test_who_did_not_say_yes_has_nothing_to_leave(engine: Engine, app: Connection, attendance: str | None) -> None:
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    if attendance:
        say(app, person, other, attendance, DURING)

    left = go(app, person, other, LATER)

    assert left.at is not None
    assert left.at.session_instance_id == here == person_at(app, person)
    assert not any(left_at(app, person))


@pytest.mark.parametrize("hook", [leave, remove_check_in])
def test_without_a_stated_instant_the_databases_clock_counts(
    engine: Engine, app: Connection, hook: Callable[..., CheckedIn]
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", NOON)

    assert hook(app, person, here) == NOWHERE


REFUSED: dict[str, tuple[Callable[[Connection, int, int], object], type[SeisiunError], str]] = {
    "no such person": (lambda app, _, here: leave(app, 999, here), UnknownPerson, "person 999"),
    "no such instance": (lambda app, who, _: leave(app, who, 999), UnknownInstance, "instance 999"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unknown_person_or_instance_is_an_error_and_writes_nothing(
    engine: Engine, app: Connection, database_url: str, case: str
) -> None:
    work, error, message = REFUSED[case]
    here, person = tuesday(app, engine), add_person(app)
    with connected(database_url, autocommit=False) as theirs:
        with pytest.raises(error, match=message):
            work(theirs, person, here)
        assert value(theirs, "SELECT pg_current_xact_id_if_assigned()") is None
        theirs.commit()  # the app's transaction is as good as before


def test_leaving_in_a_transaction_that_is_rolled_back_has_not_happened(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    theirs = db_connect()

    go(theirs, person, here, LATER)
    theirs.rollback()

    assert (person_at(app, person), left_at(app, person)) == (here, [None])


# By raw SQL


def ask_for_all(app: Connection) -> None:
    """Let the next pass see raw writes: the triggers ask for a pass only near the real clock's present."""
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")


def test_a2_left_by_raw_sql_and_taken_back_by_raw_sql(engine: Engine, app: Connection) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    for when, where in ((utc(LATER), None), (None, here), (utc(LATER), None)):
        execute(app, "UPDATE session_instance_person SET left_at = %s", when)
        ask_for_all(app)
        reconcile_at(engine, utc(LATER) + MINUTE)
        assert person_at(app, person) == where
    execute(app, "UPDATE session_instance_person SET checked_in_at = %s", utc(LATER) + MINUTE)
    ask_for_all(app)
    reconcile_at(engine, utc(LATER) + MINUTE)
    assert person_at(app, person) == here


# Beside other transactions


def test_leaving_beside_somebody_who_holds_the_person_is_recorded_and_left_to_the_daemon(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    other = db_connect()
    execute(other, "UPDATE person SET city = 'Galway'")

    left = go(app, person, here, LATER)

    assert left.deferred
    assert left_at(app, person) == [utc(LATER)]
    other.rollback()
    ask_for_all(app)
    reconcile_at(engine, LATER)
    assert person_at(app, person) is None


def test_a2_leaving_in_an_open_transaction_while_the_next_one_opens_is_moved_there(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """The pass that opens it sees them where they were, and the app does not see it open: another pass must run."""
    here, awaited, person = tuesday(app, engine, "18:00", "23:00"), tuesday(app, engine), add_person(app)
    for instance in (here, awaited):
        say(app, person, instance, "yes", NOON)
    reconcile_at(engine, utc(OPENS) - MINUTE)
    theirs = db_connect()
    go(theirs, person, here, utc(OPENS) - SECOND)

    reconcile_at(engine, OPENS)
    assert person_at(app, person) == here
    theirs.commit()
    reconcile_at(engine, utc(OPENS) + SECOND)

    assert person_at(app, person) == awaited


def test_a2_leaving_while_a_pass_in_flight_has_opened_the_other_is_nowhere(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """The pass holds the person, whom it moves there: they leave after the opening, so that it is given up too."""
    here, opens, person = tuesday(app, engine, "17:00", "17:50"), tuesday(app, engine), add_person(app)
    change_session(app, 1, active_buffer_minutes_after=10)  # it closes as the other opens
    for instance in (here, opens):
        say(app, person, instance, "yes", NOON)
    reconcile_at(engine, utc(OPENS) - MINUTE)
    assert person_at(app, person) == here
    passing = db_connect()
    update_active_sessions(passing, utc(OPENS))
    assert person_at(passing, person) == opens

    assert go(app, person, opens, utc(OPENS) + SECOND).deferred
    passing.commit()
    ask_for_all(app)
    reconcile_at(engine, utc(OPENS) + SECOND)

    assert person_at(app, person) is None
    assert as_stored(app) == as_it_should_be(app, utc(OPENS) + SECOND)


def test_a2_leaving_in_an_open_transaction_beside_the_closing(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """The person is held, so it cannot close; when the app commits, it closes, and they are nowhere."""
    here, other, person = tuesday(app, engine), tuesday(app, engine, "20:00", "23:30"), add_person(app)
    for instance in (here, other):
        say(app, person, instance, "yes", NOON)
    reconcile_at(engine, DURING)
    theirs = db_connect()
    go(theirs, person, here, utc(CLOSES) - SECOND)

    assert reconcile_at(engine, CLOSES).deferred
    theirs.commit()
    reconcile_at(engine, CLOSES)

    assert person_at(app, person) is None
    assert as_stored(app) == as_it_should_be(app, utc(CLOSES))


@pytest.mark.parametrize("comes_last", ["yes", "leave"])
def test_a2_leaving_and_a_new_yes_in_two_transactions_are_as_they_were_said(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection], comes_last: str
) -> None:
    """One of them stands uncommitted while the other is written: the instants decide, not the order of the commits."""
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    slow = db_connect()
    first, second = (0, 1) if comes_last == "yes" else (1, 0)
    go(slow, person, here, utc(LATER) + first * SECOND)

    check_in(app, person, other, "yes", now=utc(LATER) + second * SECOND)
    slow.commit()
    ask_for_all(app)
    reconcile_at(engine, utc(LATER) + MINUTE)

    assert person_at(app, person) == (other if comes_last == "yes" else None)
    assert as_stored(app) == as_it_should_be(app, utc(LATER) + MINUTE)


def test_a2_who_left_goes_nowhere_when_a_session_is_saved(engine: Engine, app: Connection) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "yes", DURING)
    go(app, person, here, LATER)

    session_saved(app, 1, now=utc(LATER))

    assert person_at(app, person) is None
    assert say(app, person, here, "yes", CLOSES).why_not is WhyNot.OVER
