"""L1 to L3: what a pass costs, how early it opens, whose clock counts; and what it does after a long sleep.

Covers core.reconcile.batches, core.store.queue.due, core.store.queue.requests.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.errors import LockNotAvailable, UndefinedColumn
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from core import logs
from core.active_session_manager import ReconcileResult, update_active_sessions
from core.db.transaction_settings import PLANNER_SETTINGS
from core.db.transactions import is_disconnected
from core.reconcile.batches import CHUNK, reconcile
from core.reconcile.result import ZONE_VERSION, PassOptions
from core.rules.flips import TOLERATED, Cause
from core.settings import load_settings
from core.store.queue.due import REQUESTS_EACH, DueSession, Reason, Search, due_sessions
from core.store.queue.requests import MOST_DROPPED
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    Rows,
    active_of,
    actives,
    add_fleet,
    add_instance,
    add_session,
    change_instance,
    change_session,
    execute,
    flips_of,
    forget_requests,
    only_instance,
    requests,
    spans_of,
    value,
)

MINUTE = timedelta(minutes=1)
ALL_BUT_BITS = frozenset(Reason) - {Reason.BIT}


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that the engine sends meanwhile, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


# L3: nothing to do


@pytest.mark.usefixtures("database_of_its_own")
@pytest.mark.parametrize("at", [NOON, DURING], ids=["all ahead", "all on"])
@pytest.mark.parametrize("size", [10, 2000])
def test_l3_pass_with_nothing_to_do_is_five_messages_and_writes_nothing(
    engine: Engine, app: Connection, size: int, at: str
) -> None:
    add_fleet(app, size, TUESDAYS)
    reconcile_at(engine, at)
    execute(app, "CHECKPOINT")  # so that hint bits of the first pass are not written by the second
    execute(app, "SELECT count(*) FROM session_plan")
    assert actives(app) == (size if at == DURING else 0)

    before = value(app, "SELECT pg_current_xact_id()::text")
    with statements_of(engine) as sent:
        result = reconcile_at(engine, at)
    after = value(app, "SELECT pg_current_xact_id()::text")

    assert result == ReconcileResult()
    messages = "BEGIN and settings, the search, the comparison with the mirror, whether older columns follow, COMMIT"
    assert len(sent) == 5, messages
    assert not any("FOR " in statement for statement, _ in sent)
    assert int(after) == int(before) + 1  # only the test's own question took an id: nothing was written or locked


@pytest.mark.usefixtures("database_of_its_own")
def test_l3_search_reads_by_index_and_only_what_is_due(engine: Engine, app: Connection) -> None:
    add_fleet(app, 2000, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(app, "ANALYZE")
    with statements_of(engine) as sent:
        reconcile_at(engine, NOON)
    search, parameters = sent[1]
    [[[plan]]] = execute_named(app, f"EXPLAIN (ANALYZE, FORMAT JSON) {search}", parameters)

    scans = [node for node in nodes(plan["Plan"]) if "Scan" in node["Node Type"] and "Relation Name" in node]
    assert {node["Relation Name"] for node in scans} == {
        "activation_window",
        "active_instance",
        "plan_request",
        "session_plan",
    }  # fmt: skip -- a set of four names
    execute(app, "SET enable_seqscan = off")  # as a pass does; nobody is anywhere, so an index would not pay
    [[[comparison]]] = execute_named(app, f"EXPLAIN (ANALYZE, FORMAT JSON) {sent[2][0]}", sent[2][1])
    compared = [node for node in nodes(comparison["Plan"]) if "Relation Name" in node]
    scans += [node for node in compared if node["Relation Name"] != "active_instance"]  # the mirror is read whole
    assert {node["Node Type"] for node in scans} <= {
        "Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan",
    }  # fmt: skip
    for node in scans:
        assert node["Actual Rows"] + node.get("Rows Removed by Filter", 0) < 10, node


@pytest.mark.usefixtures("database_of_its_own")
def test_l3_search_compares_only_what_belongs_together_though_statistics_are_of_before(
    engine: Engine, app: Connection
) -> None:
    """So they are each evening: they say that next to nothing is on."""
    add_fleet(app, 20, recurring(weekly("tuesday", "11:00", "23:00")))
    add_fleet(app, 480, TUESDAYS)
    reconcile_at(engine, NOON)
    assert actives(app) == 20
    execute(app, "ANALYZE")
    reconcile_at(engine, DURING)
    size = actives(app)
    assert size == 500
    with statements_of(engine) as sent:
        reconcile_at(engine, DURING)
    search, parameters = sent[1]
    [[[plan]]] = execute_named(app, f"EXPLAIN (ANALYZE, FORMAT JSON) {search}", parameters)

    looked_at = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0))
        * node["Actual Loops"]
        for node in nodes(plan["Plan"])
    )
    assert looked_at <= 6 * size  # each window, each bit, the counterpart of each, and what is made of them


def execute_named(app: Connection, statement: str, parameters: Any) -> Rows:
    with app.cursor() as cursor:
        cursor.execute("; ".join(f"SET {name} = '{value}'" for name, value in PLANNER_SETTINGS.items()))
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_l3_pass_is_idempotent(engine: Engine, app: Connection) -> None:
    add_fleet(app, 20, TUESDAYS)
    everything = "SELECT to_jsonb(t)::text FROM {} t ORDER BY 1"
    tables = ("session_instance", "activation_window", "session_plan", "activation_log", "planned_instance")
    states = []
    for _ in range(3):
        reconcile_at(engine, DURING)
        states.append([execute(app, everything.format(table)) for table in tables])

    assert states[0] == states[1] == states[2]


# L2: early


@pytest.mark.parametrize(
    ("early", "is_on"), [(timedelta(0), True), (MINUTE, True), (MINUTE + timedelta(seconds=1), False)]
)
def test_l2_look_ahead_opens_early_and_a_pass_at_the_present_keeps_it(
    engine: Engine, app: Connection, early: timedelta, *, is_on: bool
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    at = utc(OPENS) - early
    for look_ahead in (MINUTE, timedelta(0), MINUTE, timedelta(0)):
        reconcile_at(engine, at, look_ahead=look_ahead)
        assert (active_of(app, session) is not None) is is_on

    assert len(flips_of(app, session)) == is_on


def test_l2_what_opened_as_early_as_is_tolerated_is_not_found_again(engine: Engine, app: Connection) -> None:
    add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    reconcile_at(engine, utc(OPENS) - TOLERATED, look_ahead=TOLERATED)

    assert reconcile_at(engine, utc(OPENS) - TOLERATED) == ReconcileResult()


@pytest.mark.parametrize(("back", "is_on"), [(TOLERATED, False), (TOLERATED + timedelta(seconds=1), True)])
def test_l2_clock_that_is_set_back_by_a_minute_reopens_nothing(
    engine: Engine, app: Connection, back: timedelta, *, is_on: bool
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    reconcile_at(engine, CLOSES)
    reconcile_at(engine, utc(CLOSES) - back)

    assert (active_of(app, session) is not None) is is_on


def test_l2_look_ahead_closes_nothing_early(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    reconcile_at(engine, utc(CLOSES) - timedelta(seconds=1), look_ahead=MINUTE)

    assert active_of(app, session) == only_instance(app, session)


# Clocks and sleep


def test_l1_without_a_stated_now_the_databases_clock_counts(engine: Engine, app: Connection) -> None:
    now = value(app, "SELECT clock_timestamp()").astimezone(UTC)
    session = add_session(app, timezone="UTC")
    instance = add_instance(app, session, str(now.date()), f"{now:%H:%M:%S}", f"{now + 60 * MINUTE:%H:%M:%S}")

    update_active_sessions(engine)

    assert active_of(app, session) == instance
    [(_, _, due_at, done_at, cause)] = flips_of(app, session)
    assert now <= due_at <= done_at <= value(app, "SELECT clock_timestamp()")
    assert cause == "hook"


def test_l1_request_is_read_by_a_pass_at_the_past(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, "2020-12-01 12:00")
    change_session(app, session, recurrence=recurring(weekly("tuesday", "20:00", "22:00")))
    reconcile_at(engine, "2020-12-01 12:00")

    assert spans_of(app, session) == ["01 19:00 - 01 23:00"]
    assert requests(app) == []


def test_request_is_left_to_others_while_it_is_younger_than_the_grace(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    change_session(app, session, active_buffer_minutes_before=0)

    reconcile_at(engine, NOON, grace=MINUTE)
    assert requests(app) == [session]
    execute(app, "UPDATE plan_request SET requested_at = requested_at - interval '61 seconds'")
    reconcile_at(engine, NOON, grace=MINUTE)
    assert requests(app) == []


def test_request_from_before_the_clock_was_set_back_is_not_left_to_anybody(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    execute(app, "UPDATE plan_request SET requested_at = clock_timestamp() + interval '1 hour'")
    for grace in (timedelta(0), MINUTE):
        change_session(app, session, city=str(grace))
        reconcile_at(engine, None, grace=grace, reasons=[Reason.REQUEST])

    assert requests(app) == []


@pytest.mark.parametrize("late", [timedelta(hours=26), timedelta(days=3), timedelta(days=11)], ids=str)
def test_after_a_long_sleep_everything_is_right_at_once(engine: Engine, app: Connection, late: timedelta) -> None:
    tuesday = add_session(app, TUESDAYS)
    every_day = [weekly(day, "19:00", "22:00") for day in ("monday", "tuesday", "wednesday", "thursday", "friday")]
    daily = add_session(app, recurring(*every_day))
    ended = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    reconcile_at(engine, DURING)
    now = utc(DURING) + late

    reconcile_at(engine, now)

    assert active_of(app, tuesday) is None
    assert active_of(app, ended) is None
    [on] = execute(app, "SELECT date FROM session_instance WHERE active AND session_id = %s", daily) or [(None,)]
    assert on == ((now.date(),) if now.weekday() < 5 else (None,))
    opened = [flip for flip in flips_of(app, daily) if flip[1]]
    assert len(opened) == 1 + (on != (None,))
    assert value(app, "SELECT count(*) FROM activation_window WHERE phase <> 'over' AND closes_at <= %s", now) == 0


def test_clock_that_is_set_back_closes_what_has_not_opened_yet(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    reconcile_at(engine, NOON)
    assert active_of(app, session) is None
    reconcile_at(engine, OPENS)
    assert active_of(app, session) == only_instance(app, session)
    reconcile_at(engine, CLOSES)
    reconcile_at(engine, DURING)
    assert active_of(app, session) == only_instance(app, session)


@pytest.mark.parametrize("bit", [True, False])
def test_bit_set_by_hand_is_put_right(engine: Engine, app: Connection, *, bit: bool) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON if bit else DURING)
    instance = only_instance(app, session)
    change_instance(app, instance, active=bit)
    forget_requests(app)  # as if the triggers had been off

    reconcile_at(engine, NOON if bit else DURING, reasons=ALL_BUT_BITS)
    assert (active_of(app, session) == instance) is bit
    reconcile_at(engine, NOON if bit else DURING)
    assert (active_of(app, session) == instance) is not bit


def test_l5_what_failed_in_the_first_of_two_passes_and_was_not_reconciled_again_is_not_forgotten() -> None:
    first = ReconcileResult(sessions=frozenset({1}), failed={2: "no", 3: "never"}, deferred=frozenset({4}))
    later = ReconcileResult(sessions=frozenset({3, 4}))

    both = first.followed_by(later)

    assert both.failed == {2: "no"}
    assert both.deferred == frozenset()


# active_changed


@pytest.mark.parametrize("size", [1, 20, 21])
def test_flips_notify_once_each_and_many_as_one(engine: Engine, app: Connection, size: int) -> None:
    add_fleet(app, size, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(app, "LISTEN active_changed")
    reconcile_at(engine, OPENS)
    execute(app, "SELECT 1")

    received = sorted(notify.payload for notify in app.notifies)
    instances = sorted(str(row[0]) for row in execute(app, "SELECT session_instance_id FROM session_instance"))
    assert received == (instances if size <= 20 else [""])


# Size


@pytest.mark.usefixtures("database_of_its_own")
def test_chunks_of_one_round_are_neighbours_by_id_in_whatever_order_they_are_found(
    engine: Engine, app: Connection
) -> None:
    """Sessions that were made one after the other share people more often. Two chunks hold each other's back."""
    add_fleet(app, 2 * CHUNK, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(
        app,
        "WITH gone AS (DELETE FROM activation_window RETURNING *) "
        "INSERT INTO activation_window SELECT * FROM gone ORDER BY hashint8(session_id)",
    )

    with statements_of(engine) as sent:
        reconcile_at(engine, OPENS, rounds=1)

    locks = [
        values["ids"] for statement, values in sent if "FROM session_plan" in statement and "FOR UPDATE" in statement
    ]
    first, second = sorted(sorted(map(int, ids.strip("{}").split(","))) for ids in locks)
    assert len(first) == len(second) == CHUNK
    assert first[-1] < second[0]


def plan_fleet(engine: Engine, app: Connection, size: int) -> float:
    add_fleet(app, size, TUESDAYS)
    begun = datetime.now(UTC)
    result = reconcile_at(engine, NOON)
    assert len(result.planned) == size
    assert json.dumps(sorted(result.failed)) == "[]"
    return (datetime.now(UTC) - begun).total_seconds()


@pytest.mark.parametrize("size", [1000, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.usefixtures("database_of_its_own")
def test_p1_fleet_is_planned_from_nothing_in_one_go(engine: Engine, app: Connection, size: int) -> None:
    took = plan_fleet(engine, app, size)
    print(f"{size} sessions planned in {took:.1f} s")  # noqa: T201 - a figure to quote


# Sessions that a notification names


def test_a_session_that_a_notification_names_is_planned_without_a_request(engine: Engine, app: Connection) -> None:
    named, other = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(app, "UPDATE session SET recurrence = NULL")
    forget_requests(app)  # as if the triggers had been off

    result = reconcile(engine, PassOptions(Cause.TIMER, load_settings(), utc(NOON), notified=frozenset({named})))

    assert result.sessions == {named}
    assert [spans_of(app, session) for session in (named, other)] == [[], ["01 18:00 - 01 23:00"]]


# Nothing starves what comes after it


def due(engine: Engine, limit: int, *reasons: Reason, at: str | None = None) -> list[DueSession]:
    """Return what a search for these reasons finds."""
    with engine.connect() as connection:
        return due_sessions(
            connection,
            Search(frozenset(reasons)),
            now=utc(at) if at else None,
            look_ahead=timedelta(0),
            zone_version=ZONE_VERSION,
            limit=limit,
        )


def requested(engine: Engine, limit: int) -> list[int]:
    """Return the sessions that a search for requests finds."""
    return [session.session_id for session in due(engine, limit, Reason.REQUEST)]


def request_each(app: Connection, session_ids: list[int]) -> None:
    execute(app, "INSERT INTO plan_request (session_id) SELECT unnest(%s)", session_ids)


def test_a_search_finds_the_oldest_and_the_newest_requests(engine: Engine, app: Connection) -> None:
    sessions = [add_session(app) for _ in range(9)]
    forget_requests(app)
    request_each(app, sessions)

    assert set(requested(engine, 4)) == {*sessions[:2], *sessions[-2:]}
    assert set(requested(engine, 20)) == {*sessions}


def test_a_search_takes_the_oldest_and_the_newest_by_turns_also_where_it_finds_some_twice(
    engine: Engine, app: Connection
) -> None:
    sessions = [add_session(app) for _ in range(5)]
    forget_requests(app)
    request_each(app, sessions)

    assert requested(engine, 4) == [sessions[0], sessions[4], sessions[1], sessions[3]]


def test_a_search_finds_the_newest_request_behind_more_than_it_reads(engine: Engine, app: Connection) -> None:
    sessions = [add_session(app) for _ in range(2 * REQUESTS_EACH + 5)]
    forget_requests(app)
    request_each(app, sessions)

    assert set(requested(engine, 2)) == {sessions[0], sessions[-1]}


@pytest.mark.parametrize("at", ["2026-12-01 20:00", "2026-12-02 02:00"], ids=["openings", "closings"])
def test_a_search_finds_the_oldest_and_the_newest_edges(engine: Engine, app: Connection, at: str) -> None:
    hours = [(f"18:{minute}", f"23:{minute}") for minute in range(10, 19)]
    sessions = [add_session(app, recurring(weekly("tuesday", *each))) for each in hours]
    reconcile_at(engine, NOON)
    if at > DURING:
        reconcile_at(engine, DURING)

    found = due(engine, 4, Reason.EDGE, at=at)

    assert {session.session_id for session in found} == {*sessions[:2], *sessions[-2:]}


def test_p1_a_session_is_due_at_the_instant_that_its_plan_names(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)

    assert due(engine, 5, Reason.PLAN, at="2026-12-07 17:59:59") == []
    assert due(engine, 5, Reason.PLAN, at="2026-12-07 18:00") == [DueSession(session, Reason.PLAN)]


@pytest.mark.parametrize("before", [[NOON], [DURING, CLOSES]], ids=["its window is ahead", "its window is over"])
def test_an_instance_that_is_active_outside_its_window_is_found(
    engine: Engine, app: Connection, before: list[str]
) -> None:
    session = add_session(app, TUESDAYS)
    for at in before:
        reconcile_at(engine, at)
    change_instance(app, only_instance(app, session), active=True)

    assert due(engine, 5, Reason.BIT, at=before[-1]) == [DueSession(session, Reason.BIT)]


def test_a_session_that_is_due_for_two_reasons_has_the_more_urgent_one(engine: Engine, app: Connection) -> None:
    first, second = add_session(app, TUESDAYS), add_session(app, recurring(weekly("tuesday", "20:30", "22:00")))
    reconcile_at(engine, NOON)
    request_each(app, [second, first])

    found = due(engine, 2, Reason.EDGE, Reason.REQUEST, at=OPENS)

    assert found == [DueSession(first, Reason.EDGE), DueSession(second, Reason.REQUEST)]


@pytest.mark.parametrize(
    ("who", "failed", "retry", "is_found"),
    [
        ("requested", "+ interval '1 second'", "+ interval '1 minute'", False),
        ("requested", "+ interval '1 second'", "- interval '1 second'", True),
        ("requested", "- interval '1 second'", "+ interval '1 minute'", True),
        ("other", "+ interval '1 second'", "+ interval '1 minute'", True),
    ],
    ids=["failed since", "its retry is due", "failed before", "another failed"],
)
def test_l5_a_request_is_found_unless_its_session_failed_since_and_waits(
    engine: Engine, app: Connection, *, who: str, failed: str, retry: str, is_found: bool
) -> None:
    sessions = {"requested": add_session(app), "other": add_session(app)}
    forget_requests(app)
    request_each(app, [sessions["requested"]])
    execute(
        app,
        f"UPDATE session_plan SET failures = 1, error = 'x', retry_at = clock_timestamp() {retry}, "
        f"failed_at = (SELECT requested_at FROM plan_request) {failed} WHERE session_id = %s",
        sessions[who],
    )

    assert requested(engine, 5) == ([sessions["requested"]] if is_found else [])


@pytest.mark.usefixtures("database_of_its_own")
def test_a_search_reads_no_more_than_it_needs(engine: Engine, app: Connection) -> None:
    sessions = [add_session(app, TUESDAYS) for _ in range(4 * REQUESTS_EACH)]
    reconcile_at(engine, NOON)
    request_each(app, sessions)
    with statements_of(engine) as sent:
        assert len(due(engine, 1, Reason.EDGE, Reason.REQUEST, at=OPENS)) == 1
    [(search, parameters)] = sent
    [[[plan]]] = execute_named(app, f"EXPLAIN (ANALYZE, FORMAT JSON) {search}", parameters)

    limits = [node["Actual Rows"] for node in nodes(plan["Plan"]) if node["Node Type"] == "Limit"]
    assert sorted(limits) == [0, 0, 0, 1, 1, 1, 1, REQUESTS_EACH, REQUESTS_EACH]


def test_a_search_looks_past_a_session_with_many_requests(engine: Engine, app: Connection) -> None:
    many, *others = (add_session(app) for _ in range(4))
    forget_requests(app)
    request_each(app, others + [many] * 3 * REQUESTS_EACH)

    assert set(requested(engine, 4)) == {many, *others}


def test_a_round_that_only_drops_requests_of_deleted_sessions_found_something(engine: Engine, app: Connection) -> None:
    request_each(app, list(range(1_000_000, 1_000_000 + MOST_DROPPED + 10)))

    first = reconcile_at(engine, None, rounds=1)
    rest = reconcile_at(engine, None)

    assert first.dropped >= MOST_DROPPED
    assert not first.is_empty
    assert first.dropped + rest.dropped == MOST_DROPPED + 10
    assert reconcile_at(engine, None).is_empty


def test_requests_that_another_pass_is_dropping_are_deferred(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    request_each(app, [1_000_000])
    other = db_connect()
    execute(other, "SELECT FROM plan_request FOR UPDATE")

    assert reconcile_at(engine, None).deferred == {1_000_000}

    other.rollback()
    assert reconcile_at(engine, None).dropped == 1


# What fails: before anything is found, and after


def locks(theirs: Connection, table: str) -> None:
    """Hold a table in a transaction of an app, as its ALTER TABLE would."""
    theirs.autocommit = False
    execute(theirs, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


def test_a_search_that_fails_is_told_whatever_the_reason(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    theirs = db_connect()
    locks(theirs, "activation_window")
    with pytest.raises(DBAPIError) as held:
        reconcile_at(engine, NOON, reasons=["edge"])
    theirs.rollback()
    execute(app, "BEGIN; ALTER TABLE activation_window RENAME phase TO stage; COMMIT")
    try:
        with pytest.raises(DBAPIError) as changed:
            reconcile_at(engine, NOON, reasons=["edge"])
    finally:
        execute(app, "ALTER TABLE activation_window RENAME stage TO phase")

    assert isinstance(held.value.orig, LockNotAvailable)
    assert isinstance(changed.value.orig, UndefinedColumn)


def test_a_comparison_with_what_somebody_holds_is_left_to_the_next_and_one_that_fails_is_told(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    theirs = db_connect()
    locks(theirs, "session_instance")
    assert reconcile_at(engine, NOON, reasons=["bit"]) == ReconcileResult()
    theirs.rollback()
    execute(app, "ALTER TABLE session_instance RENAME active TO is_on")
    try:
        with pytest.raises(DBAPIError):
            reconcile_at(engine, NOON, reasons=["bit"])
    finally:
        execute(app, "ALTER TABLE session_instance RENAME is_on TO active")


@pytest.mark.usefixtures("database_of_its_own")
@pytest.mark.parametrize(
    ("refusal", "is_deferred"),
    [("RAISE SQLSTATE '55P03';", True), ("RAISE 'not today';", False)],
    ids=["held", "fails"],
)
def test_l5_a_bit_that_was_written_with_the_triggers_off_and_cannot_be_put_right_is_told(
    engine: Engine, app: Connection, refusal: str, *, is_deferred: bool
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    execute(app, "SET session_replication_role = replica; UPDATE session_instance SET active = false")
    execute(app, "RESET session_replication_role")
    refuse_to_flip(app, refusal)

    result = reconcile_at(engine, DURING, reasons=["bit"], rounds=1)

    assert [*result.deferred] == [session] * is_deferred
    assert [*result.failed] == [session] * (not is_deferred)
    execute(app, "DROP TRIGGER refuse ON session_instance")
    reconcile_at(engine, "2026-12-01 20:01", reasons=["bit", "plan"])
    assert active_of(app, session) == only_instance(app, session)


def refuse_to_flip(app: Connection, refusal: str, condition: str = "true", name: str = "refuse") -> None:
    """Make a trigger of the app's that does this before it lets a bit be written."""
    execute(
        app,
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {refusal} RETURN NEW; END $$;"
        f"CREATE TRIGGER {name} BEFORE UPDATE OF active ON session_instance FOR EACH ROW WHEN ({condition}) "
        f"EXECUTE FUNCTION {name}()",
    )


CUT = "PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1);"


@pytest.mark.usefixtures("database_of_its_own")
def test_a_chunk_that_loses_its_connection_is_not_isolated(engine: Engine, app: Connection) -> None:
    add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    refuse_to_flip(app, CUT)

    with pytest.raises(DBAPIError) as lost:
        reconcile_at(engine, OPENS)
    assert is_disconnected(lost.value)


def three_that_open(app: Connection, engine: Engine) -> list[int]:
    sessions = [add_session(app, TUESDAYS) for _ in range(3)]
    reconcile_at(engine, NOON)
    return sessions


@pytest.mark.usefixtures("database_of_its_own")
@pytest.mark.parametrize("chunk", [CHUNK, 1], ids=["while it is isolated", "beside other chunks"])
def test_a_session_that_ends_the_connection_is_told_of_as_the_lost_connection(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("core.reconcile.batches.CHUNK", chunk)
    first, second, _ = three_that_open(app, engine)
    refuse_to_flip(app, "RAISE 'not today';", f"NEW.session_id = {first}")
    refuse_to_flip(app, CUT, f"NEW.session_id = {second}", "cut")

    with pytest.raises(DBAPIError) as lost:
        reconcile_at(engine, OPENS, rounds=1)
    assert is_disconnected(lost.value)


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_a_failure_in_one_of_several_chunks_is_recorded(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.reconcile.batches.CHUNK", 2)
    culprit, *others = three_that_open(app, engine)
    refuse_to_flip(app, "RAISE 'not today';", f"NEW.session_id = {culprit}")

    result = reconcile_at(engine, OPENS)

    assert [*result.failed] == [culprit]
    assert all(active_of(app, session) for session in others)


@pytest.mark.usefixtures("database_of_its_own")
def test_isolating_takes_no_longer_than_edges_may_wait(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.reconcile.batches.ISOLATE_SECONDS", -1.0)
    sessions = three_that_open(app, engine)
    refuse_to_flip(app, "RAISE 'not today';")

    result = reconcile_at(engine, OPENS, rounds=1)

    assert (result.deferred, result.failed) == (frozenset(sessions), {})


@pytest.mark.usefixtures("database_of_its_own")
@pytest.mark.parametrize(
    ("refusal", "begins"),
    [("RAISE 'not today';", 6), ("RAISE SQLSTATE '55P03';", 5)],
    ids=["the round, the clock, each alone, and the record", "a lock is no failure, and not recorded"],
)
def test_to_isolate_three_sessions_costs_so_many_transactions(
    engine: Engine, app: Connection, refusal: str, begins: int
) -> None:
    three_that_open(app, engine)
    refuse_to_flip(app, refusal)
    with statements_of(engine) as sent:
        reconcile_at(engine, OPENS, rounds=1)

    halves = 1  # of three one half has two, which fail together first
    assert sum(statement.startswith("BEGIN") for statement, _ in sent) == begins + halves


@pytest.mark.usefixtures("database_of_its_own")
def test_l5_a_failure_names_the_functions_of_the_app_and_no_row(engine: Engine, app: Connection) -> None:
    by_function, by_rule, _ = three_that_open(app, engine)
    execute(app, f"ALTER TABLE session_instance ADD CONSTRAINT never CHECK (NOT (active AND session_id = {by_rule}))")
    execute(app, "CREATE FUNCTION inner_one() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$")
    refuse_to_flip(app, "PERFORM inner_one();", f"NEW.session_id = {by_function}")

    failed = reconcile_at(engine, OPENS, rounds=1).failed

    assert failed[by_function] == (
        "RaiseException: not today "
        "(PL/pgSQL function inner_one() line 1 at RAISE; PL/pgSQL function refuse() line 1 at PERFORM)"
    )
    assert failed[by_rule].startswith("CheckViolation: new row for relation")
    assert failed[by_rule].endswith('violates check constraint "never"')


@pytest.mark.parametrize("message", ["odd", ""])
def test_l5_an_error_of_our_own_code_is_told_with_its_traceback(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError(message)

    session = add_session(app, TUESDAYS)
    monkeypatch.setattr("core.reconcile.chunk.plan_or_freeze", fail)

    assert reconcile_at(engine, NOON, rounds=1).failed == {session: f"ValueError: {message or '(no message)'}"}
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(record.msg).startswith(f"pass_failed session={session}")
    assert "Traceback" in str(record.msg)


@pytest.mark.usefixtures("database_of_its_own")
def test_a_chunk_that_fails_is_told_to_who_debugs(
    engine: Engine, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    three_that_open(app, engine)
    refuse_to_flip(app, "RAISE 'not today';")
    caplog.set_level(logging.DEBUG, logs.ROOT)

    reconcile_at(engine, OPENS, rounds=1)

    events = [str(record.msg) for record in caplog.records if record.levelno == logging.DEBUG]
    assert [event.split()[0] for event in events] == [
        "chunk_failed",
        "pass_failed",
        "chunk_failed",
        *["pass_failed"] * 2,
    ]
    assert all("not today" in event for event in events), "with the error"


def test_what_fits_in_a_chunk_is_reconciled_in_the_transaction_that_found_it(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.reconcile.batches.CHUNK", 2)
    for _ in range(2):
        add_session(app, TUESDAYS)
    with statements_of(engine) as sent:
        reconcile_at(engine, NOON, rounds=1)

    assert sum(statement.startswith("BEGIN") for statement, _ in sent) == 1
