"""L5 and L6: a session that cannot be reconciled, a row that somebody else holds, two passes at once.

Covers core.reconcile.batches, core.reconcile.chunk, core.store.queue.retries, core.store.queue.requests.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event

from core.active_session_manager import ReconcileResult
from core.reconcile.batches import CHUNK
from core.store.queue.requests import MOST_DROPPED, drop_orphaned, plan_states
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.data import (
    active_of,
    actives,
    add_check_in,
    add_fleet,
    add_person,
    add_session,
    change_instance,
    change_session,
    execute,
    forget_requests,
    only_instance,
    person_at,
    plan_of,
    requests,
    spans_of,
    value,
)

# L5: a session that cannot be reconciled


def poison(app: Connection, instance: int) -> None:
    """A trigger of the app's own that does not let this instance flip."""
    execute(
        app,
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no flips on %', OLD.session_instance_id; END $$;
        CREATE TRIGGER poison BEFORE UPDATE ON session_instance FOR EACH ROW
            WHEN (OLD.session_instance_id = {instance}) EXECUTE FUNCTION refuse()
        """,
    )


def heal(app: Connection) -> None:
    execute(app, "DROP TRIGGER poison ON session_instance")


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_poisoned_session_is_recorded_and_holds_up_no_other(engine: Engine, app: Connection) -> None:
    sessions = [add_session(app, TUESDAYS) for _ in range(5)]
    reconcile_at(engine, NOON)
    poison(app, only_instance(app, sessions[2]))

    result = reconcile_at(engine, OPENS)

    said = f"RaiseException: no flips on {only_instance(app, sessions[2])} (PL/pgSQL function refuse() line 1 at RAISE)"
    assert result.failed == {sessions[2]: said}
    assert [active_of(app, session) is not None for session in sessions] == [True, True, False, True, True]
    plan = plan_of(app, sessions[2])
    assert plan["error"] == result.failed[sessions[2]]
    assert plan["failures"] == 1


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_poisoned_session_is_tried_again_later_and_later_until_it_heals(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    poison(app, only_instance(app, session))
    now = utc(OPENS)
    waits = []
    for _ in range(9):
        assert reconcile_at(engine, now).failed.keys() == {session}
        assert reconcile_at(engine, now + timedelta(seconds=0.4)) == ReconcileResult()
        retry_at = datetime.fromisoformat(plan_of(app, session)["retry_at"])
        waits.append((retry_at - now).total_seconds())
        now = retry_at
    heal(app)
    result = reconcile_at(engine, now)

    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert len(result.activated) == 1
    plan = plan_of(app, session)
    assert (plan["error"], plan["failures"], plan["retry_at"], plan["failed_at"]) == (None, 0, None, None)


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_of_those_that_failed_alike_one_tries_each_second_and_calls_the_others(
    engine: Engine, app: Connection
) -> None:
    sessions = [add_session(app, TUESDAYS) for _ in range(4)]
    alone = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(
        app,
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION '%', CASE OLD.session_id WHEN {alone} THEN 'not this' ELSE 'no privilege' END;
        END $$;
        CREATE TRIGGER poison BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION refuse()
        """,
    )
    assert reconcile_at(engine, OPENS).failed.keys() == {*sessions, alone}
    execute(app, "UPDATE session_plan SET failures = 9, retry_at = %s", utc(OPENS))
    assert reconcile_at(engine, OPENS).failed.keys() == {*sessions, alone}

    waits = [
        (datetime.fromisoformat(plan_of(app, session)["retry_at"]) - utc(OPENS)).total_seconds()
        for session in (*sessions, alone)
    ]
    assert waits == [1, 60, 60, 60, 60]
    assert reconcile_at(engine, utc(OPENS) + timedelta(seconds=1)).failed.keys() == {sessions[0]}
    heal(app)
    result = reconcile_at(engine, utc(OPENS) + timedelta(seconds=2))
    assert {flip.session_id for flip in result.activated} == {*sessions}
    assert reconcile_at(engine, utc(OPENS) + timedelta(seconds=60)).sessions == {alone}


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_poisoned_session_that_is_edited_is_reconciled_without_delay(engine: Engine, app: Connection) -> None:
    session, untouched = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    poison(app, only_instance(app, session))
    assert reconcile_at(engine, OPENS).failed.keys() == {session}
    assert reconcile_at(engine, OPENS).failed == {}, "it was asked for before it failed, at most"

    change_session(app, session, active_buffer_minutes_after=30)

    assert reconcile_at(engine, OPENS).failed.keys() == {session}
    assert reconcile_at(engine, OPENS).failed == {}
    heal(app)
    change_session(app, session, active_buffer_minutes_after=20)
    assert len(reconcile_at(engine, OPENS).activated) == 1
    assert active_of(app, untouched) is not None


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_retry_that_was_noted_before_the_clock_was_set_back_is_due(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    poison(app, only_instance(app, session))
    assert reconcile_at(engine, utc(OPENS) + timedelta(hours=1)).failed.keys() == {session}
    heal(app)

    assert len(reconcile_at(engine, OPENS).activated) == 1


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_bit_that_cannot_be_put_right_does_not_keep_the_pass_from_ending(engine: Engine, app: Connection) -> None:
    session, healthy = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    instance = only_instance(app, session)
    change_instance(app, instance, active=False)
    poison(app, instance)

    result = reconcile_at(engine, DURING)

    assert result.failed.keys() == {session}
    assert active_of(app, healthy) is not None


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_failure_is_recorded_though_somebody_else_has_begun_to_pass(
    engine: Engine, db_connect: Callable[[], Connection], app: Connection
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    poison(app, only_instance(app, session))
    other = db_connect()
    rolled_back: list[Any] = []

    @event.listens_for(engine, "rollback")
    def begin_elsewhere(connection: Any) -> None:
        rolled_back.append(connection)
        if len(rolled_back) == 2:  # the chunk has failed, and now the session by itself
            execute(other, "SELECT FROM session_plan FOR UPDATE")

    result = reconcile_at(engine, OPENS)
    other.rollback()

    assert result.failed.keys() == {session}
    assert reconcile_at(engine, OPENS).failed.keys() == {session}
    assert plan_of(app, session)["failures"] == 1


# L6: somebody else holds a row


LOCKS = {
    "the plan": "SELECT FROM session_plan WHERE session_id = %(session)s FOR UPDATE",
    "the instance": "UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %(instance)s",
    "the mirror": "SELECT FROM active_instance WHERE session_instance_id = %(instance)s FOR KEY SHARE",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_l6_held_row_defers_only_its_session_to_the_next_pass(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection], lock: str
) -> None:
    sessions = [add_session(app, TUESDAYS) for _ in range(3)]
    reconcile_at(engine, DURING)
    change_session(app, sessions[1], city="Dublin", active_buffer_minutes_after=61)
    change_session(app, sessions[1], active_buffer_minutes_after=60)
    other = db_connect()
    with other.cursor() as cursor:
        cursor.execute(LOCKS[lock], {"session": sessions[1], "instance": only_instance(app, sessions[1])})

    result = reconcile_at(engine, CLOSES)

    assert result.deferred == {sessions[1]}
    assert result.failed == {}
    assert [active_of(app, session) is not None for session in sessions] == [False, True, False]
    assert set(requests(app)) == {sessions[1]}
    other.rollback()
    assert reconcile_at(engine, CLOSES).deferred == frozenset()
    assert active_of(app, sessions[1]) is None
    assert requests(app) == []


def test_l6_held_session_row_defers_the_making_of_its_instance(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    held, free = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    other = db_connect()
    execute(other, "DELETE FROM session WHERE session_id = %s", held)

    result = reconcile_at(engine, NOON)

    assert result.deferred == {held}
    assert spans_of(app, free) == ["01 18:00 - 01 23:00"]
    other.rollback()
    reconcile_at(engine, NOON)
    assert spans_of(app, held) == ["01 18:00 - 01 23:00"]


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_one_failure_in_a_chunk_costs_a_few_transactions(engine: Engine, app: Connection) -> None:
    add_fleet(app, 200, TUESDAYS)
    reconcile_at(engine, NOON)
    [(poisoned,)] = execute(app, "SELECT session_instance_id FROM session_instance ORDER BY 1 OFFSET 117 LIMIT 1")
    poison(app, poisoned)
    begun: list[int] = []
    event.listen(engine, "begin", lambda _connection: begun.append(1))

    result = reconcile_at(engine, OPENS)

    assert (len(result.failed), len(result.activated)) == (1, 199)
    assert len(begun) < 50


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_one_by_one_the_session_that_costs_the_connection_is_recorded(engine: Engine, app: Connection) -> None:
    before, costs, after = (add_session(app, TUESDAYS) for _ in range(3))
    reconcile_at(engine, NOON)
    execute(
        app,
        f"""
        CREATE FUNCTION end_connection() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
        CREATE TRIGGER poison BEFORE UPDATE ON session_instance FOR EACH ROW
            WHEN (OLD.session_id = {costs}) EXECUTE FUNCTION end_connection()
        """,
    )

    result = reconcile_at(engine, OPENS, one_by_one=True)

    assert result.failed.keys() == {costs}
    assert {flip.session_id for flip in result.activated} == {before, after}


# One call, several rounds


def test_what_is_excluded_is_left_out_of_each_round(engine: Engine, app: Connection) -> None:
    excluded, other = add_session(app, TUESDAYS), add_session(app, TUESDAYS)

    assert reconcile_at(engine, NOON, excluded=[excluded]).sessions == {other}


@pytest.mark.usefixtures("database_of_its_own")
def test_what_a_round_requests_is_served_in_a_later_one_but_each_session_twice_at_most(
    engine: Engine, app: Connection
) -> None:
    """A trigger of the app's requests the one whenever the other is served, without end."""
    one, other = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(
        app,
        f"""
        CREATE FUNCTION request_the_other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO plan_request (session_id) VALUES ({one + other} - OLD.session_id); RETURN NULL;
        END $$;
        CREATE TRIGGER request_the_other AFTER DELETE ON plan_request FOR EACH ROW
            EXECUTE FUNCTION request_the_other()
        """,
    )
    first = value(app, "INSERT INTO plan_request (session_id) VALUES (%s) RETURNING request_id", one)

    reconcile_at(engine, NOON)

    assert requests(app) == [one]
    assert value(app, "SELECT request_id FROM plan_request") == first + 4


# L6: rows that another transaction holds, and requests that are left


def test_l6_whoever_waits_for_a_held_person_is_requested_once(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session, person = add_session(app, TUESDAYS), add_person(app)
    reconcile_at(engine, NOON)
    add_check_in(app, only_instance(app, session), person)
    forget_requests(app)
    other = db_connect()
    execute(other, "UPDATE person SET city = 'x'")
    for _ in range(3):
        assert reconcile_at(engine, OPENS).deferred == {session}

    assert requests(app) == [session]


def test_l6_bit_of_a_held_row_does_not_keep_the_pass_from_ending(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    instance = only_instance(app, session)
    change_instance(app, instance, active=True)
    other = db_connect()
    execute(other, "UPDATE session_instance SET comments = 'x'")

    assert reconcile_at(engine, NOON).deferred == {session}


def test_l1_a_pass_has_one_clock_from_before_it_reads(engine: Engine, app: Connection) -> None:
    """The instant at which the statement arrived; a clock that is read with each row shows many."""
    add_fleet(app, 50, TUESDAYS)
    sessions = [row[0] for row in execute(app, "SELECT session_id FROM session")]
    with engine.begin() as connection:
        states = plan_states(connection, sessions)

    assert len({state.read_at for state in states.values()}) == 1


def test_l6_requests_of_a_session_that_is_gone_are_dropped(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(app, "DELETE FROM session WHERE session_id = %s", session)
    assert requests(app) != []

    assert reconcile_at(engine, NOON).deferred == frozenset()
    assert requests(app) == []


def test_l6_requests_of_sessions_that_are_gone_are_dropped_in_bounded_numbers(engine: Engine, app: Connection) -> None:
    ids = "generate_series(1000000, %s)"
    execute(app, f"INSERT INTO plan_request (session_id) SELECT {ids}", 1_000_000 + MOST_DROPPED)
    with engine.begin() as connection:
        assert [drop_orphaned(connection) for _ in range(3)] == [MOST_DROPPED, 1, 0]


# Two at once


def test_two_passes_at_once_share_the_work_and_flip_each_edge_once(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """The first has a chunk, and has not committed; the second does the rest."""
    add_fleet(app, CHUNK + 25, TUESDAYS)
    reconcile_at(engine, NOON)
    for at in (OPENS, CLOSES):
        first = db_connect()
        flipped = len(reconcile_at(first, at, rounds=1).flips)
        rest = reconcile_at(engine, at)
        first.commit()

        assert (flipped, len(rest.flips)) == (CHUNK, 25)
        assert len(rest.deferred) == CHUNK
        assert actives(app) == (CHUNK + 25 if at == OPENS else 0)
    assert value(app, "SELECT count(*) FROM activation_log") == 2 * (CHUNK + 25)
    assert value(app, "SELECT count(DISTINCT (session_instance_id, active)) FROM activation_log") == 2 * (CHUNK + 25)


def test_l6_a_pass_in_the_apps_transaction_loses_no_check_in_that_is_committed_before_it(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """The app gives tonight's instance to another session and reconciles; meanwhile somebody says yes to it."""
    old, new = add_session(app, TUESDAYS), add_session(app)
    reconcile_at(engine, DURING)
    instance, person = only_instance(app, old), add_person(app)
    theirs = db_connect()
    change_instance(theirs, instance, session_id=new)
    reconcile_at(theirs, DURING)
    add_check_in(app, instance, person)  # its request names the old session
    theirs.commit()

    reconcile_at(engine, DURING)

    assert active_of(app, new) == instance
    assert person_at(app, person) == instance


@pytest.mark.timeout(20)
def test_l6_a_pass_in_the_apps_transaction_ends_beside_requests_of_deleted_sessions(
    app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session = add_session(app, TUESDAYS)
    execute(app, "DELETE FROM session WHERE session_id = %s", session)
    assert requests(app)

    theirs = db_connect()
    reconcile_at(theirs, DURING)
    theirs.commit()

    assert not requests(app)


def test_l5_a_deleted_sessions_window_of_an_instance_given_away_holds_nobody_up(
    engine: Engine, app: Connection
) -> None:
    """The window is due, names the deleted session, and belongs to an instance that somebody said yes to."""
    old, new = add_session(app, TUESDAYS), add_session(app)
    reconcile_at(engine, NOON)
    instance, person = only_instance(app, old), add_person(app)
    add_check_in(app, instance, person)
    change_instance(app, instance, session_id=new, is_cancelled=True)
    execute(app, "DELETE FROM session WHERE session_id = %s", old)
    forget_requests(app)
    execute(app, "INSERT INTO plan_request (session_id, about) VALUES (%s, 'people')", new)

    for _ in range(3):
        result = reconcile_at(engine, DURING)

    assert result == ReconcileResult()
    assert value(app, "SELECT count(*) FROM activation_window") == 0
