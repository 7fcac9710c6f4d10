"""check_in and remove_check_in: what a person says, and where that puts them (A2, A3)."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import CheckedIn, WhyNot, check_in, remove_check_in, session_saved
from core.errors import InvalidAttendance, InvalidComment, SeisiunError, UnknownInstance, UnknownPerson
from core.hooks import LONGEST_COMMENT
from tests.core.evening import MINUTE, SECOND, said, say, tuesday
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at, senders_to
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    change_instance,
    connected,
    execute,
    only_instance,
    person_at,
    value,
)

# A yes


def test_a_yes_to_an_open_instance_that_was_given_to_another_session_finds_one_place(
    engine: Engine, app: Connection
) -> None:
    instance, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, DURING)
    # The other session's window opens at another instant, and stands beside the old one until the old session's pass.
    other = add_session(app, active_buffer_minutes_before=0)
    change_instance(app, instance, session_id=other)

    checked_in = say(app, person, instance, "yes", DURING)

    assert checked_in.at is not None
    assert (checked_in.at.session_instance_id, checked_in.at.session_id) == (instance, other)


def test_a3_yes_before_the_window_waits_and_is_moved_at_the_opening(engine: Engine, app: Connection) -> None:
    instance, person = tuesday(app, engine), add_person(app)

    assert say(app, person, instance, "yes", NOON) == CheckedIn(None, WhyNot.NOT_OPEN_YET, deferred=False)
    reconcile_at(engine, utc(OPENS) - SECOND)
    assert person_at(app, person) is None
    reconcile_at(engine, OPENS)
    assert person_at(app, person) == instance


def test_l3_check_in_sends_only_the_statements_that_it_needs(engine: Engine, app: Connection) -> None:
    instance, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    with engine.begin() as connection, senders_to(engine) as senders:
        check_in(connection, person, instance, "yes", now=utc(DURING))

    savepoint = "transaction_settings.savepoint"
    work = "flips.state_and_edit locations.lock_waiting yeses.by_person locations._write places.place_of"
    assert senders == ["check_ins.save", savepoint, *work.split(), savepoint]


def test_a2_yes_at_an_active_instance_moves_at_once(engine: Engine, app: Connection) -> None:
    instance, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)

    checked_in = say(app, person, instance, "yes", DURING)

    assert checked_in.at is not None
    assert checked_in.at.session_instance_id == instance == person_at(app, person)
    assert (checked_in.why_not, checked_in.deferred) == (None, False)


def test_a2_yes_at_an_active_instance_moves_from_wherever_one_was(engine: Engine, app: Connection) -> None:
    first, second, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    for minutes, instance in enumerate((first, second, first, second)):
        say(app, person, instance, "yes", utc(DURING) + minutes * MINUTE)
        assert person_at(app, person) == instance
        reconcile_at(engine, utc(DURING) + minutes * MINUTE)
        assert person_at(app, person) == instance


def test_a2_pages_are_told_where_somebody_joins(engine: Engine, app: Connection) -> None:
    instance, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    execute(app, "LISTEN active_changed")

    say(app, person, instance, "yes", DURING)
    execute(app, "SELECT 1")

    assert [notify.payload for notify in app.notifies] == [str(instance)]


def test_a3_yes_at_an_instance_whose_bit_lags_opens_it(engine: Engine, app: Connection) -> None:
    instance, person = tuesday(app, engine), add_person(app)

    checked_in = say(app, person, instance, "yes", OPENS)  # no pass ran since noon

    assert checked_in.at is not None
    assert person_at(app, person) == instance


def test_a3_yes_at_an_instance_whose_bit_stayed_on_closes_it(engine: Engine, app: Connection) -> None:
    instance, person, other = tuesday(app, engine), add_person(app), add_person(app)
    reconcile_at(engine, OPENS)
    say(app, other, instance, "yes", DURING)

    assert say(app, person, instance, "yes", CLOSES) == CheckedIn(None, WhyNot.OVER, deferred=False)
    assert (person_at(app, person), person_at(app, other)) == (None, None)
    assert value(app, "SELECT count(*) FROM active_instance") == 0


def test_a3_next_mornings_attendance_list_moves_nobody(engine: Engine, app: Connection) -> None:
    instance, elsewhere = tuesday(app, engine), tuesday(app, engine, "11:00", "13:00")
    people = [add_person(app) for _ in range(3)]
    at_another = say(app, people[0], elsewhere, "yes", "2026-12-01 12:30").at
    assert at_another is not None

    wednesday = add_session(app, recurring(weekly("wednesday", "09:00", "11:00")))
    reconcile_at(engine, "2026-12-02 09:30")
    morning = only_instance(app, wednesday)
    say(app, people[1], morning, "yes", "2026-12-02 09:30")
    results = [say(app, person, instance, "yes", "2026-12-02 09:31") for person in people]

    assert [result.why_not for result in results] == [WhyNot.OVER] * 3
    assert [person_at(app, person) for person in people] == [None, morning, None]
    reconcile_at(engine, "2026-12-02 09:32")
    assert [person_at(app, person) for person in people] == [None, morning, None]


def extra(app: Connection, engine: Engine, day: str, start: str | None, end: str | None = None, **columns: Any) -> int:
    """Return an instance added by hand to a session without a recurrence."""
    instance = add_instance(app, add_session(app), day, start, end, **columns)
    reconcile_at(engine, NOON)
    return instance


WHY_NOT: dict[str, tuple[Callable[[Connection, Engine], int], WhyNot]] = {
    "tonight": (tuesday, WhyNot.NOT_OPEN_YET),
    "next year": (lambda app, engine: extra(app, engine, "2027-12-01", "19:00"), WhyNot.NOT_OPEN_YET),
    "just over": (lambda app, engine: extra(app, engine, "2026-12-01", "09:00", "11:15"), WhyNot.OVER),
    "last year": (lambda app, engine: extra(app, engine, "2025-12-01", "19:00"), WhyNot.OVER),
    "last year, without times": (lambda app, engine: extra(app, engine, "2025-12-01", None), WhyNot.OVER),
    "cancelled": (
        lambda app, engine: extra(app, engine, "2026-12-01", "12:00", is_cancelled=True),
        WhyNot.CANCELLED,
    ),
    "tonight, without times": (lambda app, engine: extra(app, engine, "2026-12-01", None), WhyNot.NO_WINDOW),
}


@pytest.mark.parametrize("case", WHY_NOT)
def test_a3_yes_at_what_is_not_on_is_recorded_and_says_why_it_moves_nobody(
    engine: Engine, app: Connection, case: str
) -> None:
    make, why_not = WHY_NOT[case]
    instance, person = make(app, engine), add_person(app)

    assert say(app, person, instance, "yes", "2026-12-01 12:30") == CheckedIn(None, why_not, deferred=False)
    assert said(app, person) == [(instance, "yes", None)]
    assert person_at(app, person) is None


def test_a3_yes_at_what_is_not_on_leaves_one_where_one_is_and_says_where(engine: Engine, app: Connection) -> None:
    here, later, person = tuesday(app, engine), tuesday(app, engine, "22:00", "23:00"), add_person(app)
    reconcile_at(engine, OPENS)
    say(app, person, here, "yes", DURING)

    checked_in = say(app, person, later, "yes", DURING)

    assert checked_in.at is not None
    assert checked_in.at.session_instance_id == here == person_at(app, person)
    assert checked_in.why_not is WhyNot.NOT_OPEN_YET


def test_a3_yes_to_what_was_edited_a_moment_ago_waits_for_no_pass(engine: Engine, app: Connection) -> None:
    instance, person = tuesday(app, engine), add_person(app)
    change_instance(app, instance, start_time="11:00", end_time="13:00")

    checked_in = say(app, person, instance, "yes", NOON)

    assert checked_in.at is not None
    assert checked_in.at.session_instance_id == instance == person_at(app, person)


# Maybe, no, and taking it back


@pytest.mark.parametrize("leave", ["maybe", "no", "remove"])
@pytest.mark.parametrize("has_other", [False, True])
def test_a2_a_person_who_takes_a_yes_back_moves_on(
    engine: Engine, app: Connection, leave: str, *, has_other: bool
) -> None:
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    if has_other:
        say(app, person, other, "yes", "2026-12-01 18:30")
    say(app, person, here, "yes", DURING)

    at = utc(DURING) + MINUTE
    left = remove_check_in(app, person, here, now=at) if leave == "remove" else say(app, person, here, leave, at)

    expected = other if has_other else None
    assert person_at(app, person) == expected
    assert (left.at.session_instance_id if left.at else None) == expected
    assert (left.why_not, left.deferred) == (None, False)
    assert [row[1] for row in said(app, person) if row[0] == here] == ([] if leave == "remove" else [leave])


def test_remove_check_in_that_does_not_stand_changes_nothing(engine: Engine, app: Connection) -> None:
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    say(app, person, here, "yes", DURING)

    left = remove_check_in(app, person, other, now=utc(DURING))

    assert left.at is not None
    assert left.at.session_instance_id == here == person_at(app, person)


@pytest.mark.parametrize("attendance", ["maybe", "no"])
def test_a2_maybe_or_no_moves_nobody_there(engine: Engine, app: Connection, attendance: str) -> None:
    here, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)

    assert say(app, person, here, attendance, DURING) == CheckedIn(None, None, deferred=False)


def test_comment_that_is_not_given_stays(engine: Engine, app: Connection) -> None:
    here, person = tuesday(app, engine), add_person(app)
    say(app, person, here, "maybe", NOON, comment="after work")
    say(app, person, here, "yes", NOON)
    assert said(app, person) == [(here, "yes", "after work")]
    say(app, person, here, "yes", NOON, comment="with the fiddle")
    assert said(app, person) == [(here, "yes", "with the fiddle")]


def test_last_yes_counts_by_when_it_was_said_not_by_when_its_row_was_made(engine: Engine, app: Connection) -> None:
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    say(app, person, here, "no", NOON)
    reconcile_at(engine, OPENS)
    say(app, person, other, "yes", DURING)
    say(app, person, here, "yes", utc(DURING) + MINUTE)

    assert person_at(app, person) == here


# What cannot be


REFUSED: dict[str, tuple[Callable[[Connection, int, int], object], type[SeisiunError], str]] = {
    "no such person": (lambda app, _, here: check_in(app, 999, here, "yes"), UnknownPerson, "person 999"),
    "no such instance": (lambda app, who, _: check_in(app, who, 999, "yes"), UnknownInstance, "instance 999"),
    "no such attendance": (lambda app, who, here: check_in(app, who, here, "Yes"), InvalidAttendance, "'Yes'"),
    "removal: no such person": (lambda app, _, here: remove_check_in(app, 999, here), UnknownPerson, "person 999"),
    "removal: no such instance": (lambda app, who, _: remove_check_in(app, who, 999), UnknownInstance, "instance 999"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unknown_person_instance_or_attendance_is_an_error_and_writes_nothing(
    engine: Engine, app: Connection, database_url: str, case: str
) -> None:
    work, error, message = REFUSED[case]
    here, person = tuesday(app, engine), add_person(app)
    before = value(app, "SELECT pg_current_xact_id()::text")
    with connected(database_url, autocommit=False) as theirs:
        with pytest.raises(error, match=message):
            work(theirs, person, here)
        assert value(theirs, "SELECT pg_current_xact_id_if_assigned()") is None
        theirs.commit()  # the app's transaction is as good as before

    assert int(value(app, "SELECT pg_current_xact_id()::text")) == int(before) + 1
    assert said(app, person) == []


@pytest.mark.parametrize("length", [LONGEST_COMMENT, LONGEST_COMMENT + 1])
def test_a_comment_has_a_greatest_length(engine: Engine, app: Connection, length: int) -> None:
    here, person, comment = tuesday(app, engine), add_person(app), "é" * length

    if length > LONGEST_COMMENT:
        with pytest.raises(InvalidComment, match="has 301 characters; accepted are at most 300"):
            say(app, person, here, "yes", NOON, comment=comment)
        assert said(app, person) == []
    else:
        say(app, person, here, "yes", NOON, comment=comment)
        assert said(app, person) == [(here, "yes", comment)]


@pytest.mark.parametrize(
    ("comment", "told"),
    [
        ("a\0b", "has '\\x00' at character 2; accepted is text without NUL"),
        ("ab\ud800", "has '\\ud800' at character 3; accepted is text without NUL and half surrogates"),
        (5, "is 5; accepted is text"),
        (["x"], "is ['x']; accepted is text"),
        (b"abc", "is b'abc'; accepted is text"),
    ],
)
def test_a_comment_that_cannot_be_stored_is_an_error_and_the_transaction_goes_on(
    app: Connection, database_url: str, engine: Engine, comment: Any, told: str
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    with connected(database_url, autocommit=False) as theirs:
        execute(theirs, "UPDATE session SET city = 'Sligo'")
        with pytest.raises(InvalidComment, match=re.escape(told)):
            check_in(theirs, person, here, "yes", comment)
        theirs.commit()

    assert value(app, "SELECT city FROM session") == "Sligo"
    assert said(app, person) == []


# Rows that somebody else holds


def test_check_in_whose_person_is_held_is_recorded_and_left_to_the_daemon(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection], caplog: pytest.LogCaptureFixture
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    other = db_connect()
    execute(other, "UPDATE person SET city = 'Galway'")

    assert say(app, person, here, "yes", DURING) == CheckedIn(None, WhyNot.DEFERRED, deferred=True)
    assert said(app, person) == [(here, "yes", None)]
    assert caplog.messages == [], "nothing is wrong: somebody is quicker"
    other.rollback()


def test_check_in_whose_person_is_held_says_where_they_are_meanwhile(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    here, there, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    say(app, person, here, "yes", DURING)
    other = db_connect()
    execute(other, "UPDATE person SET city = 'Galway'")

    checked_in = say(app, person, there, "yes", utc(DURING) + MINUTE)

    assert checked_in.at is not None
    assert checked_in.at.session_instance_id == here
    assert (checked_in.why_not, checked_in.deferred) == (WhyNot.DEFERRED, True)
    other.rollback()


def test_check_in_where_all_is_as_it_should_be_needs_no_pass(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    reconcile_at(engine, OPENS)
    passing = db_connect()
    execute(passing, "SELECT FROM session_plan FOR UPDATE")

    assert say(app, person, here, "yes", DURING).at is not None
    assert remove_check_in(app, person, here, now=utc(DURING)) == CheckedIn(None, None, deferred=False)
    passing.rollback()


def test_check_in_at_the_opening_of_an_instance_that_is_held_is_left_to_the_daemon(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    here, person = tuesday(app, engine), add_person(app)
    other = db_connect()
    execute(other, "UPDATE session_instance SET comments = 'x'")

    assert say(app, person, here, "yes", OPENS) == CheckedIn(None, WhyNot.DEFERRED, deferred=True)
    other.commit()
    reconcile_at(engine, OPENS)
    assert person_at(app, person) == here


def test_check_in_follows_what_the_same_transaction_saved(engine: Engine, app: Connection, database_url: str) -> None:
    person, session = add_person(app), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    instance = only_instance(app, session)
    with connected(database_url, autocommit=False) as theirs:
        change_instance(theirs, instance, start_time="11:00", end_time="13:00")
        session_saved(theirs, session, now=utc(NOON))
        checked_in = check_in(theirs, person, instance, "yes", now=utc(NOON))
        assert checked_in.at is not None
        theirs.rollback()

    assert (active_of(app, session), person_at(app, person), said(app, person)) == (None, None, [])


def test_old_yes_without_a_time_counts_as_said_long_ago(engine: Engine, app: Connection) -> None:
    """Rows of before the feature: `checked_in_at` is empty, and `created_date` may be."""
    here, other, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    for instance in (other, here):
        row = add_check_in(app, instance, person)
        execute(
            app,
            "UPDATE session_instance_person SET checked_in_at = NULL, created_date = NULL "
            "WHERE session_instance_person_id = %s",
            row,
        )
    reconcile_at(engine, OPENS)

    assert person_at(app, person) == min(here, other)
