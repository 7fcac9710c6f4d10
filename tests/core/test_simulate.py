"""What if: what a simulation says is what then happens when the change is saved, and it writes nothing."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import check_in
from core.errors import InvalidRecurrence, OutOfReach, UnknownSession, UnknownTimeZone
from core.simulate import Change, Simulation, simulate
from tests.core.emptied import TABLES, empty
from tests.core.passes import DURING, NOON, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    add_instance,
    add_person,
    add_session,
    change_session,
    execute,
    only_instance,
)

FRIDAYS = recurring(weekly("friday", "19:00", "22:00"))
DAYS = 12


def test_a_new_pattern_is_told_with_what_goes_comes_and_turns_off_and_with_the_people(
    engine: Engine, app: Connection
) -> None:
    session = add_session(app, TUESDAYS, name="Mueller's")
    reconcile_at(engine, DURING)
    instance = only_instance(app, session)
    for _ in range(2):
        check_in(app, add_person(app), instance, "yes", now=utc(DURING))

    found = simulate(engine, session, recurrence=FRIDAYS, days=7, now=utc(DURING))

    assert [(one.change, one.is_deleted) for one in found.changes] == [
        (Change.GOES, False), (Change.COMES, False), (Change.GOES, False),
    ]  # fmt: skip
    assert (found.name, found.yeses, found.released) == ("Mueller's", {instance: 2}, 2)
    assert [(flip.session_instance_id, flip.active) for flip in found.flips] == [(instance, False)]


def test_other_first_and_last_dates_are_told_and_none_takes_them_away(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS, termination_date="2026-12-08")
    reconcile_at(engine, NOON)

    def told(dates: tuple[date | None, date | None] | None) -> list[str]:
        found = simulate(engine, session, dates=dates, days=20, now=utc(NOON))
        return [f"{one.change} {(one.before or one.after).starts_at:%d}" for one in found.changes]  # type: ignore[union-attr] # one is

    assert told(None) == []
    assert told((None, None)) == ["comes 15"]
    assert told((date(2026, 12, 2), date(2026, 12, 8))) == ["goes 01"]


def test_a_simulation_writes_nothing(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)

    def rows() -> list[Any]:
        return [execute(app, f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1") for table in TABLES]

    before = rows()
    with engine.begin() as holding:
        holding.exec_driver_sql("LOCK TABLE session, session_instance, session_plan, person IN EXCLUSIVE MODE")
        simulate(engine, session, recurrence="", now=utc(DURING))
    simulate(app, session, recurrence="", timezone="Asia/Tokyo", before=0, after=0, now=utc(DURING))

    assert rows() == before


def test_what_would_be_refused_is_refused(app: Connection) -> None:
    session = add_session(app, TUESDAYS)

    with pytest.raises(InvalidRecurrence):
        simulate(app, session, recurrence="most Tuesdays")
    with pytest.raises(UnknownTimeZone, match="Mars"):
        simulate(app, session, timezone="Mars")
    with pytest.raises(OutOfReach, match="a buffer of 1441 minutes; expected 0 to 1440"):
        simulate(app, session, before=1441)
    with pytest.raises(OutOfReach, match="367 days; expected 0 to 366"):
        simulate(app, session, days=367)
    with pytest.raises(UnknownSession, match="there is no session 99"):
        simulate(app, 99)


# What is said is what then happens

hours = st.integers(0, 20)
lengths = st.integers(1, 3)
weekdays = st.sampled_from(["monday", "tuesday", "wednesday", "saturday"])
patterns = st.lists(st.tuples(weekdays, hours, lengths), max_size=3)
rows = st.lists(st.tuples(st.integers(0, 9), hours, lengths, st.booleans()), max_size=3)
buffers = st.one_of(st.none(), st.sampled_from([0, 15, 60]))


def text(pattern: list[tuple[str, int, int]]) -> str:
    return recurring(*(weekly(day, f"{at:02}:00", f"{at + length:02}:00") for day, at, length in pattern))


def windows(app: Connection, session: int, found: Simulation) -> list[str]:
    """The windows of a session's instances that were not over at `found.at` and opened by `found.until`."""
    return [
        f"{opens:%d %H:%M}-{closes:%d %H:%M}"
        for opens, closes in execute(
            app,
            "SELECT opens_at, closes_at FROM activation_window WHERE session_id = %s AND closes_at > %s "
            "AND opens_at <= %s ORDER BY 1, 2",
            session,
            found.at,
            found.until,
        )
    ]


def predicted(unchanged: list[str], found: Simulation) -> list[str]:
    """The windows that the session would have had, with what the simulation says taken away and added."""
    left = list(unchanged)
    for change in found.changes:
        if change.before:
            left.remove(f"{change.before.window.opens_at:%d %H:%M}-{change.before.window.closes_at:%d %H:%M}")
        if change.after:
            left.append(f"{change.after.window.opens_at:%d %H:%M}-{change.after.window.closes_at:%d %H:%M}")
    return sorted(left)


@pytest.mark.timeout(600)
def test_what_a_simulation_says_is_what_then_happens(engine: Engine, app: Connection) -> None:
    """Two sessions alike; one is changed. Passes run for twelve days, and the difference is what was said."""

    @settings(max_examples=settings().max_examples // 10)
    @given(
        old=patterns,
        by_hand=rows,
        new=st.one_of(st.none(), patterns),
        zone=st.sampled_from([None, "America/New_York", "Asia/Tokyo"]),
        before=buffers,
        after=buffers,
    )
    def holds(  # noqa: PLR0917 -- Hypothesis gives them by name
        old: list[tuple[str, int, int]],
        by_hand: list[tuple[int, int, int, bool]],
        new: list[tuple[str, int, int]] | None,
        zone: str | None,
        before: int | None,
        after: int | None,
    ) -> None:
        empty(app)
        changing, control = add_session(app, text(old)), add_session(app, text(old))
        for session in (changing, control):
            for day, start, length, cancelled in by_hand:
                add_instance(
                    app,
                    session,
                    f"2026-12-{1 + day:02}",
                    f"{start:02}:00",
                    f"{start + length:02}:00",
                    is_cancelled=cancelled,
                )
        reconcile_at(engine, NOON)
        now = utc(NOON)

        found = simulate(
            engine,
            changing,
            recurrence=None if new is None else text(new),
            timezone=zone,
            before=before,
            after=after,
            days=DAYS,
            now=now,
        )
        nothing = simulate(engine, control, days=DAYS, now=now)
        saved = {
            "recurrence": None if new is None else text(new),
            "timezone": zone,
            "active_buffer_minutes_before": before,
            "active_buffer_minutes_after": after,
        }
        if columns := {name: value for name, value in saved.items() if value is not None}:
            change_session(app, changing, **columns)
        result = reconcile_at(engine, now)
        for day in range(1, DAYS + 1):
            reconcile_at(engine, now + timedelta(days=day))

        assert nothing.changes == ()
        assert [(flip.active, flip.session_instance_id > 0) for flip in found.flips] == [
            (flip.active, flip.session_instance_id not in result.planned) for flip in result.flips
        ]
        if not (found.overlaps or nothing.overlaps):
            assert windows(app, changing, found) == predicted(windows(app, control, found), found)

    holds()


def test_the_property_would_notice_a_change_that_is_not_told(engine: Engine, app: Connection) -> None:
    """The comparison above is no tautology: with an edit that was not simulated it fails."""
    changing, control = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    found = simulate(engine, changing, days=DAYS, now=utc(NOON))
    change_session(app, changing, recurrence=json.dumps({"schedules": []}))
    reconcile_at(engine, NOON)

    assert windows(app, changing, found) != predicted(windows(app, control, found), found)
