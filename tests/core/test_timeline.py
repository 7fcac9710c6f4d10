"""What happened and what comes: the log of flips, and the edges ahead, also those that no pass has planned yet."""

from datetime import timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.errors import OutOfReach
from core.rules.flips import Cause
from core.timeline import Edge, history, upcoming_days
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_instance,
    add_session,
    change_instance,
    change_session,
    execute,
    only_instance,
)

LONG_AGO = utc("2026-01-01 00:00")


def told(edges: list[Edge]) -> list[tuple[str, bool, int | None, bool]]:
    return [(f"{edge.at:%d %H:%M}", edge.opens, edge.session_instance_id, edge.is_planned) for edge in edges]


def test_the_edges_beyond_the_horizon_come_from_the_pattern(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS, name="Mueller's", city="Austin", country="USA")
    reconcile_at(engine, NOON)
    instance = only_instance(app, session)

    edges = upcoming_days(engine, 14, now=utc(NOON))

    assert told(edges) == [
        ("01 18:00", True, instance, True),
        ("01 23:00", False, instance, True),
        ("08 18:00", True, None, False),
        ("08 23:00", False, None, False),
    ]
    assert (edges[0].name, edges[0].city, edges[0].country, edges[0].timezone) == (
        "Mueller's", "Austin", "USA", "Europe/Dublin",
    )  # fmt: skip


def test_an_edit_that_no_pass_has_served_counts_and_is_marked(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    change_session(app, session, active_buffer_minutes_before=30)

    assert told(upcoming_days(app, 1, session, now=utc(NOON))) == [
        ("01 18:30", True, only_instance(app, session), False),
        ("01 23:00", False, only_instance(app, session), False),
    ]


def test_p7_edges_ahead_are_those_of_whoever_is_on(engine: Engine, app: Connection) -> None:
    session = add_session(app, recurring(weekly("friday", "14:00", "23:00"), weekly("friday", "18:00", "20:00")))
    add_session(app, TUESDAYS)

    assert told(upcoming_days(engine, 4, session, now=utc(NOON))) == [
        ("04 13:00", True, None, False),
        ("04 18:00", False, None, False),
        ("04 18:00", True, None, False),
        ("04 20:00", False, None, False),
        ("04 20:00", True, None, False),
        ("05 00:00", False, None, False),
    ]


def test_what_comes_is_what_then_happens(engine: Engine, app: Connection) -> None:
    """Twelve sessions, and passes at each edge of three weeks: each edge that was listed flips, and no other."""
    for number in range(12):
        days = ("monday", "wednesday", "saturday")
        session = add_session(app, recurring(weekly(days[number % 3], f"{7 + number}:00", f"{9 + number}:00")))
        add_instance(app, session, "2026-12-09", "20:00", "23:00", is_cancelled=number % 5 == 0)
    reconcile_at(engine, NOON)

    edges = upcoming_days(engine, 21, now=utc(NOON))
    for at in sorted({edge.at for edge in edges}):
        reconcile_at(engine, at)

    flips = history(engine, since=LONG_AGO)
    assert sorted((flip.due_at, flip.active, flip.session_id) for flip in flips) == sorted(
        (edge.at, edge.opens, edge.session_id) for edge in edges
    )
    assert len(edges) > 50


def test_more_sessions_than_one_reading_takes_are_listed(engine: Engine, app: Connection) -> None:
    execute(
        app,
        "INSERT INTO session (name, timezone, recurrence) SELECT 'Session ' || n, 'Europe/Dublin', %s "
        "FROM generate_series(1, 200) n",
        TUESDAYS,
    )

    assert len(upcoming_days(engine, 7, now=utc(NOON))) == 400


@pytest.mark.parametrize("days", [-1, 367])
def test_more_days_than_a_year_has_are_refused(engine: Engine, days: int) -> None:
    with pytest.raises(OutOfReach, match=f"{days} days; expected 0 to 366"):
        upcoming_days(engine, days)


# The log


def test_the_log_is_told_in_order_with_names_and_by_each_condition(engine: Engine, app: Connection) -> None:
    ours, other = add_session(app, TUESDAYS, name="Mueller's"), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    reconcile_at(engine, "2026-12-01 18:00:12", cause=Cause.SWEEP)
    reconcile_at(engine, CLOSES, cause=Cause.TIMER)

    def found(session: int | None = None, **conditions: Any) -> list[tuple[int, bool, str]]:
        flips = history(engine, session, **{"since": LONG_AGO} | conditions)
        return [(flip.session_id, flip.active, flip.cause) for flip in flips]

    assert found(ours) == [(ours, True, "sweep"), (ours, False, "timer")]
    assert found(late=timedelta(seconds=5)) == [(ours, True, "sweep"), (other, True, "sweep")]
    assert found(cause=Cause.TIMER) == [(ours, False, "timer"), (other, False, "timer")]
    assert found(since=utc(CLOSES), limit=1) == [(other, False, "timer")]
    assert found(since=utc("2026-12-02 00:00")) == []
    assert history(engine, ours, since=LONG_AGO)[0].name == "Mueller's"


def test_l7_a_repair_is_in_the_log_and_never_late(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, OPENS)
    on = active_of(app, session)
    assert on
    change_instance(app, on, active=False)
    reconcile_at(engine, DURING)

    assert [flip.cause for flip in history(app, since=LONG_AGO)] == ["hook", "repair"]
    assert history(app, since=LONG_AGO, late=timedelta(0)) == []


def test_the_flips_of_a_deleted_session_stay_in_the_log(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, OPENS)
    execute(app, "DELETE FROM session")

    flips = history(engine, session, since=LONG_AGO)

    assert {(flip.session_id, flip.name) for flip in flips} == {(session, None)}
    assert sorted((flip.active, flip.change) for flip in flips) == [(False, "deleted"), (True, "opened")]
