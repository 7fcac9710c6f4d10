"""session_saved and instance_saved: right before the app's commit returns; never the app's failure, never its wait."""

import time
from collections.abc import Callable
from datetime import date
from typing import TypeVar

import pytest
from psycopg2.extensions import (
    ISOLATION_LEVEL_REPEATABLE_READ,
    ISOLATION_LEVEL_SERIALIZABLE,
    TRANSACTION_STATUS_INTRANS,
)
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import (
    LeftBehind,
    ReconcileResult,
    WhyNot,
    check_in,
    instance_saved,
    session_saved,
    update_active_sessions,
)
from core.recurrence import with_break
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at, senders_to
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    delete_instance,
    execute,
    flips_of,
    instances_of,
    only_instance,
    person_at,
    plan_of,
    requests,
    spans_of,
)

MORNINGS = recurring(weekly("tuesday", "11:00", "13:00"))


@pytest.fixture
def theirs(db_connect: Callable[[], Connection]) -> Connection:
    """The app, in a transaction."""
    return db_connect()


# What is on at the commit


Save = Callable[[Connection, int], object]

ON: dict[str, Save] = {
    "a new recurrence": lambda app, session: change_session(app, session, recurrence=MORNINGS),
    "a new zone": lambda app, session: change_session(app, session, timezone="Asia/Tokyo"),
    "a wide buffer": lambda app, session: change_session(app, session, active_buffer_minutes_before=7 * 60),
    "an instance added by hand": lambda app, session: add_instance(app, session, "2026-12-01", "11:30", "14:00"),
    "the planned instance moved": lambda app, session: change_instance(
        app, only_instance(app, session), start_time="11:00", end_time="12:30"
    ),
}


@pytest.mark.parametrize("case", ON)
def test_what_should_be_active_is_before_the_apps_commit(
    engine: Engine, app: Connection, theirs: Connection, case: str
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    assert active_of(app, session) is None

    ON[case](theirs, session)
    result = session_saved(theirs, session, now=utc(NOON))

    on = active_of(theirs, session)
    assert on is not None
    assert [flip.session_instance_id for flip in result.activated] == [on]
    assert (result.deferred, result.unreadable, result.failed) == (frozenset(), {}, {})
    assert active_of(app, session) is None
    theirs.commit()
    assert active_of(app, session) == on
    assert [flip[1:2] + flip[4:] for flip in flips_of(app, session)] == [(True, "hook")]


OFF: dict[str, Save] = {
    "no recurrence": lambda app, session: change_session(app, session, recurrence=None),
    "another day": lambda app, session: change_session(
        app, session, recurrence=recurring(weekly("friday", "19:00", "22:00"))
    ),
    "terminated": lambda app, session: change_session(app, session, termination_date="2026-11-30"),
    "another zone": lambda app, session: change_session(app, session, timezone="America/Los_Angeles"),
    "cancelled": lambda app, session: change_instance(app, only_instance(app, session), is_cancelled=True),
    "moved": lambda app, session: change_instance(app, only_instance(app, session), date="2026-12-03"),
    "deleted": lambda app, session: delete_instance(app, only_instance(app, session)),
}


@pytest.mark.parametrize("hook", ["session_saved", "instance_saved"])
@pytest.mark.parametrize("case", OFF)
def test_what_should_not_be_active_is_not_before_the_apps_commit(
    engine: Engine, app: Connection, theirs: Connection, case: str, hook: str
) -> None:
    session, person = add_session(app, TUESDAYS), add_person(app)
    reconcile_at(engine, DURING)
    instance = only_instance(app, session)
    check_in(app, person, instance, "yes", now=utc(DURING))

    OFF[case](theirs, session)
    result = (
        session_saved(theirs, session, now=utc(DURING))
        if hook == "session_saved"
        else instance_saved(theirs, instance, now=utc(DURING))
    )

    assert (active_of(theirs, session), person_at(theirs, person)) == (None, None)
    if case != "deleted":
        assert [flip.session_instance_id for flip in result.deactivated] == [instance]
    assert (active_of(app, session), person_at(app, person)) == (instance, instance)
    theirs.commit()
    assert (active_of(app, session), person_at(app, person)) == (None, None)


def test_rollback_of_the_app_undoes_all(engine: Engine, app: Connection, theirs: Connection) -> None:
    session, person = add_session(app, TUESDAYS), add_person(app)
    reconcile_at(engine, DURING)
    check_in(app, person, only_instance(app, session), "yes", now=utc(DURING))
    tables = ("session_instance", "activation_window", "planned_instance", "session_plan", "activation_log", "person")
    before = [execute(app, f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1") for table in tables]

    change_session(theirs, session, recurrence=MORNINGS)
    assert session_saved(theirs, session, now=utc(DURING)).deactivated
    theirs.rollback()

    assert before == [execute(app, f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1") for table in tables]


def test_new_session_is_on_when_it_is_saved(app: Connection, theirs: Connection) -> None:
    session = add_session(theirs, MORNINGS)
    result = session_saved(theirs, session, now=utc(NOON))
    theirs.commit()

    assert result.planned == (active_of(app, session),)
    assert [flip.session_id for flip in result.activated] == [session]


def test_p4_result_names_the_rows_that_stay_without_a_window(
    engine: Engine, app: Connection, theirs: Connection
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    planned = only_instance(app, session)
    add_check_in(app, planned, add_person(app))
    extra = add_instance(app, session, "2026-12-02", "19:00")
    reconcile_at(engine, NOON)

    change_session(theirs, session, recurrence=None, termination_date="2026-12-01")
    result = session_saved(theirs, session, now=utc(NOON))

    assert result.unwindowed == (planned, extra)
    assert result.deleted == ()


def test_p4_planned_row_that_nobody_touched_goes_with_its_occurrence(
    engine: Engine, app: Connection, theirs: Connection
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    planned = only_instance(app, session)

    change_session(theirs, session, recurrence=None)
    result = session_saved(theirs, session, now=utc(NOON))
    theirs.commit()

    assert (result.deleted, result.unwindowed) == ((planned,), ())
    assert instances_of(app, session) == []


@pytest.mark.parametrize("text", [TUESDAYS, "DTSTART:20261201T190000\nDURATION:PT3H\nRRULE:FREQ=WEEKLY"])
def test_r7_a_break_that_is_saved_while_it_is_on_ends_it_and_taken_back_begins_it_again(
    engine: Engine, app: Connection, theirs: Connection, text: str
) -> None:
    session, person = add_session(app, text), add_person(app)
    reconcile_at(engine, NOON)
    planned = only_instance(app, session)
    check_in(app, person, planned, "yes", now=utc(NOON))
    reconcile_at(engine, OPENS)
    day = date(2026, 12, 1)

    change_session(theirs, session, recurrence=with_break(text, day, day, "painting", zone="Europe/Dublin"))
    result = session_saved(theirs, session, now=utc(DURING))
    theirs.commit()

    assert result.left_behind == (LeftBehind(planned, day, 1, is_deleted=False),)
    assert (active_of(app, session), person_at(app, person)) == (None, None)
    change_session(theirs, session, recurrence=text)
    session_saved(theirs, session, now=utc(DURING))
    theirs.commit()
    assert (active_of(app, session), person_at(app, person)) == (planned, planned)


def test_p6_unreadable_recurrence_is_in_the_result_and_changes_nothing(
    engine: Engine, app: Connection, theirs: Connection
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    before = spans_of(app, session), active_of(app, session)

    change_session(theirs, session, recurrence="whenever Seán is in town")
    result = session_saved(theirs, session, now=utc(DURING))
    theirs.commit()

    assert result.unreadable.keys() == {session}
    assert (spans_of(app, session), active_of(app, session)) == before
    assert plan_of(app, session)["error"] == result.unreadable[session]


def test_p6_the_result_tells_what_cannot_be_read_though_the_daemon_has_served_the_edit(
    engine: Engine, app: Connection, theirs: Connection
) -> None:
    session = add_session(app, TUESDAYS)
    change_session(app, session, recurrence="whenever Seán is in town")  # in autocommit: the daemon sees it at once
    reconcile_at(engine, NOON)
    assert requests(app) == []

    assert session_saved(theirs, session, now=utc(NOON)).unreadable.keys() == {session}


@pytest.mark.parametrize("hook", [session_saved, instance_saved])
def test_hook_for_what_does_not_stand_finds_nothing(theirs: Connection, hook: Callable[..., ReconcileResult]) -> None:
    assert hook(theirs, 999) == ReconcileResult()
    assert theirs.info.transaction_status == TRANSACTION_STATUS_INTRANS


def test_hook_leaves_what_is_requested_of_a_deleted_session_to_the_daemon(app: Connection, theirs: Connection) -> None:
    session = add_session(app, TUESDAYS)
    execute(theirs, "DELETE FROM session WHERE session_id = %s", session)

    assert session_saved(theirs, session, now=utc(NOON)) == ReconcileResult()

    theirs.commit()
    assert session in requests(app)


def test_hook_leaves_the_requests_so_that_the_daemon_passes_again_after_the_commit(
    engine: Engine, app: Connection, theirs: Connection
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    change_session(theirs, session, recurrence=MORNINGS)
    session_saved(theirs, session, now=utc(NOON))
    theirs.commit()

    assert set(requests(app)) == {session}
    reconcile_at(engine, NOON)
    assert requests(app) == []
    assert len(flips_of(app, session)) == 1


def test_l3_hook_sends_only_the_statements_that_it_needs(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    with engine.begin() as connection, senders_to(engine) as senders:
        session_saved(connection, session, now=utc(NOON))

    savepoint = "transaction_settings.savepoint"
    plan = "snapshots.snapshots snapshots._instances snapshots._skipped activation_windows.stored plans._note_planned"
    work = ["requests.lock_plans", "requests.plan_states", *plan.split(), "flips.states", "locations.affected_by"]
    assert senders == [savepoint, *work, savepoint]


# Never the app's failure


@pytest.mark.parametrize("level", [ISOLATION_LEVEL_REPEATABLE_READ, ISOLATION_LEVEL_SERIALIZABLE])
def test_l6_other_isolation_than_read_committed_is_left_to_the_daemon(
    engine: Engine, app: Connection, theirs: Connection, level: int
) -> None:
    """Such a transaction does not see what others have committed since it began."""
    session, person = add_session(app, TUESDAYS), add_person(app)
    reconcile_at(engine, NOON)
    theirs.isolation_level = level

    change_session(theirs, session, recurrence=MORNINGS)
    assert session_saved(theirs, session, now=utc(NOON)) == ReconcileResult(deferred=frozenset({session}))
    checked_in = check_in(theirs, person, only_instance(app, session), "yes", now=utc(NOON))
    assert (checked_in.at, checked_in.deferred) == (None, True)
    theirs.commit()

    assert active_of(app, session) is None
    reconcile_at(engine, NOON)
    assert active_of(app, session) == person_at(app, person) == only_instance(app, session)


# Never the app's wait


BOUND = 0.6  # seconds: the stated tenth, and what a busy machine adds

Result = TypeVar("Result")


def within_the_bound(theirs: Connection, hook: Callable[[], Result]) -> Result:
    """Call the hook; a machine that is very busy is given three tries, but a wait for a row is in each of them."""
    execute(theirs, "SAVEPOINT tried")
    for _ in range(3):
        begun = time.monotonic()
        result = hook()
        if time.monotonic() - begun < BOUND:
            return result
        execute(theirs, "ROLLBACK TO tried")
    pytest.fail(f"it takes over {BOUND} s")


HELD = {
    "the plan": "SELECT FROM session_plan FOR UPDATE",
    "the instance": "UPDATE session_instance SET comments = 'x'",
    "the session": "SELECT FROM session FOR UPDATE",
    "the mirror": "SELECT FROM active_instance FOR KEY SHARE",
    "a person": "UPDATE person SET city = 'x'",
    "the check-ins": "UPDATE session_instance_person SET comment = 'x'",
}
IN_THE_WAY = {
    "opening": {"the plan", "the instance", "a person"},
    "closing": {"the plan", "the instance", "the mirror", "a person"},
    "making": {"the plan", "the session"},
}


@pytest.mark.parametrize("edge", IN_THE_WAY)
@pytest.mark.parametrize("held", HELD)
def test_l6_hook_waits_a_tenth_of_a_second_at_most_and_leaves_it_to_the_daemon(
    engine: Engine, app: Connection, theirs: Connection, db_connect: Callable[[], Connection], *, held: str, edge: str
) -> None:
    session, person = add_session(app, TUESDAYS if edge != "making" else None), add_person(app)
    reconcile_at(engine, NOON)
    if edge != "making":
        add_check_in(app, only_instance(app, session), person)
    if edge == "closing":
        reconcile_at(engine, OPENS)
    if edge == "making":
        change_session(app, session, recurrence=TUESDAYS)
    other = db_connect()
    execute(other, HELD[held])
    now = utc(CLOSES if edge == "closing" else OPENS)

    result = within_the_bound(theirs, lambda: session_saved(theirs, session, now=now))
    execute(theirs, "UPDATE session SET name = 'x'") if held != "the session" else None
    theirs.commit()

    assert (result.deferred == {session}) is (held in IN_THE_WAY[edge])
    other.rollback()
    reconcile_at(engine, now)
    assert as_stored(app) == as_it_should_be(app, now)


@pytest.mark.parametrize("held", ["the plan", "the instance", "a person"])
@pytest.mark.parametrize("lags", [True, False], ids=["the bit lags", "the bit is right"])
def test_l6_check_in_waits_a_tenth_of_a_second_at_most(
    engine: Engine, app: Connection, theirs: Connection, db_connect: Callable[[], Connection], held: str, *, lags: bool
) -> None:
    session, person = add_session(app, TUESDAYS), add_person(app)
    reconcile_at(engine, NOON if lags else OPENS)
    instance = only_instance(app, session)
    other = db_connect()
    execute(other, HELD[held])

    checked_in = within_the_bound(theirs, lambda: check_in(theirs, person, instance, "yes", now=utc(OPENS)))
    theirs.commit()

    is_in_the_way = lags or held == "a person"
    assert checked_in.deferred is is_in_the_way
    assert checked_in.why_not is (WhyNot.DEFERRED if is_in_the_way else None)
    other.rollback()
    execute(app, "INSERT INTO plan_request (session_id) VALUES (%s)", session)
    reconcile_at(engine, OPENS)
    assert person_at(app, person) == instance


def test_l6_hook_and_a_pass_that_hold_each_others_rows_do_not_deadlock(
    engine: Engine, app: Connection, theirs: Connection, db_connect: Callable[[], Connection]
) -> None:
    """The pass holds the plan, the app the instance; each comes back."""
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    change_instance(theirs, only_instance(app, session), comments="x")
    reconciling = db_connect()
    assert update_active_sessions(reconciling, utc(OPENS)).deferred == {session}

    result = within_the_bound(theirs, lambda: session_saved(theirs, session, now=utc(OPENS)))
    assert result.deferred == {session}
    theirs.commit()
    reconciling.commit()
    reconcile_at(engine, OPENS)

    assert active_of(app, session) == only_instance(app, session)
