"""What an operator reads, of rows as passes and triggers leave them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.rules.flips import Cause, Change
from core.store.views import pages, reports
from tests.data import add, add_instance, add_person, add_session, add_window, connected, execute, forget_requests

DAY, HOUR, MINUTE, SECOND = (timedelta(seconds=seconds) for seconds in (86400, 3600, 60, 1))


def log(app: Connection, instance: int, done: timedelta, late: timedelta, cause: str = "timer", **columns: Any) -> None:
    """Log a flip of an instance that was done so long before now, or before `now`, and so late."""
    done_at = columns.pop("now", datetime.now(UTC)) - done
    row = {"session_id": 1, "active": True, "due_at": done_at - late, "done_at": done_at, "cause": cause} | columns
    add(app, "activation_log", {"session_instance_id": instance} | row)


def add_evening(app: Connection, phase: str, opens: timedelta, closes: timedelta, planned: timedelta = -HOUR) -> int:
    """Add a session with one window, which opens, closes and was planned so long from now; return the session."""
    session, now = add_session(app, name=f"{phase}, opens {opens}"), datetime.now(UTC)
    instance = add_instance(app, session, "2026-12-01")
    add_window(app, instance, session, phase, now + opens, now + closes, planned_at=now + planned)
    return session


@pytest.mark.usefixtures("database_of_its_own")
def test_a_column_of_the_apps_that_nothing_fills_is_named(engine: Engine, app: Connection) -> None:
    execute(app, "ALTER TABLE session_instance ADD fee int NOT NULL, ADD tip int NOT NULL DEFAULT 0, ADD note text")

    with engine.connect() as connection:
        assert reports.columns_without_value(connection) == ["fee"]


def test_what_has_been_due_for_long_is_overdue_the_oldest_first(engine: Engine, app: Connection) -> None:
    opens = add_evening(app, "ahead", -3 * MINUTE, HOUR)
    closes = add_evening(app, "open", -HOUR, -2 * MINUTE)
    requested, by_request = add_session(app), add_session(app)
    for phase, window in (
        ("ahead", (-2 * MINUTE, HOUR, -SECOND)),  # planned just now
        ("ahead", (HOUR, 2 * HOUR)),
        ("open", (-HOUR, -3 * MINUTE, -SECOND)),
        ("open", (-HOUR, HOUR)),
        ("over", (-2 * HOUR, -HOUR)),
    ):
        add_evening(app, phase, *window)
    forget_requests(app)
    for session, ago in ((requested, 4 * MINUTE), (requested, SECOND), (by_request, SECOND)):
        execute(app, "INSERT INTO plan_request (session_id, requested_at) VALUES (%s, now() - %s)", session, ago)

    with engine.connect() as connection:
        found = reports.overdue(connection, MINUTE)
        first = reports.overdue(connection, MINUTE, 1)

    assert [each.session_id for each in found] == [requested, opens, closes]
    assert [each.name for each in found][:2] == ["The Cobblestone", "ahead, opens -1 day, 23:57:00"]
    assert first == found[:1]


def test_p6_what_cannot_be_read_or_fails_is_told_by_id_and_whether_something_of_it_is_to_come(
    engine: Engine, app: Connection
) -> None:
    fails, unreadable, _ = (
        add_evening(app, "over", -2 * HOUR, -HOUR),
        add_evening(app, "ahead", HOUR, DAY),
        add_session(app),
    )
    for session, error, failures in ((unreadable, "no such day", 0), (fails, "no privilege", 1)):
        plan = "UPDATE session_plan SET error = %s, failures = %s WHERE session_id = %s"
        execute(app, plan, error, failures, session)

    with engine.connect() as connection:
        found = reports.unreadable(connection)

    assert [(each.session_id, each.error, each.is_live, each.is_failing) for each in found] == [
        (fails, "no privilege", False, True),
        (unreadable, "no such day", True, False),
    ]


@pytest.mark.parametrize(("before", "after", "odd"), [(0, 1440, 0), (-1, 60, 1), (60, -1, 1), (1441, 60, 1), (0, 0, 0)])
def test_a_buffer_outside_the_bounds_counts_and_the_bounds_do_not(
    engine: Engine, app: Connection, before: int, after: int, odd: int
) -> None:
    add_session(app, active_buffer_minutes_before=before, active_buffer_minutes_after=after)

    with engine.connect() as connection:
        assert reports.buffers_out_of_bounds(connection) == odd


def test_l7_a_miss_came_lately_and_later_than_is_allowed_and_is_no_repair(engine: Engine, app: Connection) -> None:
    for name in ("Mueller's", "Donn's Depot"):
        add_session(app, name=name)
    log(app, 1, HOUR, 10 * SECOND, session_id=2)
    log(app, 2, 2 * HOUR, 10 * SECOND, "sweep", session_id=99)
    log(app, 3, 2 * DAY, 10 * SECOND, "sweep")
    log(app, 4, HOUR, 5 * SECOND, "sweep")
    log(app, 5, HOUR, 10 * SECOND, "repair")

    with engine.connect() as connection:
        misses = reports.misses(connection, DAY, 5 * SECOND)
        by_sweep = pages.repairs_by_sweep(connection, DAY, 5 * SECOND)

    assert [(each.session_instance_id, each.name) for each in misses] == [(2, None), (1, "Donn's Depot")]
    assert by_sweep == 1


def test_l7_lateness_counts_from_the_instant_on_that_is_asked_for_without_repairs(
    engine: Engine, app: Connection
) -> None:
    now = datetime.now(UTC)
    log(app, 1, HOUR, 10 * SECOND, now=now)
    log(app, 2, MINUTE, timedelta(0))
    log(app, 3, HOUR, 10 * SECOND, now=now - SECOND)
    log(app, 4, MINUTE, 10 * SECOND, "repair")

    with engine.connect() as connection:
        assert reports.lateness(connection, now - HOUR, [SECOND]) == [1, 1]


def test_flips_are_told_after_a_row_by_their_ids(engine: Engine, app: Connection) -> None:
    for log_id in (9, 7, 8):
        log(app, log_id, MINUTE, SECOND, activation_log_id=log_id)

    with engine.connect() as connection:
        assert [flip.activation_log_id for flip in reports.flips_since(connection, 7)] == [8, 9]


HISTORY: dict[str, tuple[dict[str, Any], list[int]]] = {
    "the last ones, in one instant by their ids": ({"limit": 3}, [8, 9, 6]),
    "of a session": ({"session_id": 2}, [5]),
    "late": ({"later_than": SECOND}, [5, 6]),  # 7 came exactly so late
    "by a cause, unless a trigger logged it": ({"cause": Cause.SWEEP}, [5]),
    "of a kind": ({"change": Change.DELETED}, [4]),
}


@pytest.mark.parametrize(("asked", "expected"), HISTORY.values(), ids=HISTORY)
def test_the_history_is_told_from_an_instant_on_and_by_each_condition(
    engine: Engine, app: Connection, asked: dict[str, Any], expected: list[int]
) -> None:
    now = datetime.now(UTC)
    log(app, 3, HOUR, HOUR, now=now - SECOND, activation_log_id=3)  # before it
    log(app, 4, HOUR, HOUR, "repair", now=now, activation_log_id=4, change="deleted")
    log(app, 5, HOUR, HOUR, "sweep", now=now, activation_log_id=5, session_id=2)
    for log_id in (9, 7, 8):
        log(app, log_id, MINUTE, SECOND, now=now, activation_log_id=log_id)
    log(app, 6, SECOND, 2 * SECOND, now=now, activation_log_id=6, change="closed")
    everything: dict[str, Any] = dict.fromkeys(("session_id", "later_than", "cause", "change")) | {"limit": 9}

    with engine.connect() as connection:
        found = reports.history(connection, now - HOUR, **everything | asked)

    assert [flip.activation_log_id for flip in found] == expected


def test_pruning_leaves_what_is_recent_and_what_is_not_over(engine: Engine, app: Connection) -> None:
    for instance, ago in ((1, 29 * DAY), (2, 31 * DAY)):
        log(app, instance, ago, SECOND)
    windows = [("over", -29), ("over", -31), ("open", -31)]
    left, _, still_open = (add_evening(app, phase, 2 * days * DAY, days * DAY) for phase, days in windows)
    for days in (29, 31):
        execute(
            app,
            "INSERT INTO skipped_occurrence (session_id, occurrence_start) VALUES (1, now()::timestamp - %s)",
            days * DAY,
        )

    with engine.begin() as connection:
        reports.prune(connection, 30 * DAY)

    assert execute(app, "SELECT session_instance_id FROM activation_log") == [(1,)]
    windows_left = execute(app, "SELECT session_id FROM activation_window ORDER BY session_id")
    assert windows_left == [(left,), (still_open,)]
    assert execute(app, "SELECT now() - occurrence_start < interval '30 days' FROM skipped_occurrence") == [(True,)]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE person SET city = 'Ballyvaughan''s', state = 'Clare'",
            "UPDATE person SET city = '...', state = '...'",
        ),
        (f"UPDATE person SET city = '{'x' * 200}'", "UPDATE person SET city = '...'"),
    ],
    ids=["two texts", "one that is cut"],
)
def test_the_statement_of_who_is_in_the_way_is_told_without_what_it_says_of_people(
    engine: Engine, app: Connection, database_url: str, statement: str, told: str
) -> None:
    add_person(app)
    with connected(database_url, autocommit=False) as holding, engine.connect() as connection:
        execute(holding, statement)
        [holder] = reports.holders(connection, timedelta(0))

    assert holder.query == told
