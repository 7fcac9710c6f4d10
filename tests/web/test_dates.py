"""Which dates a session has: each occurrence once, by its row if it has one, in order."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.db import create_engine
from core.store.views import pages
from core.store.views.pages import EveningRow, InstanceRow, SessionRow
from tests.core.passes import NOON, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import add_instance, add_session, execute, only_instance
from web import dates

SECOND = timedelta(seconds=1)
FIRST, LAST = date(2026, 12, 1), date(2026, 12, 29)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def listed(engine: Engine, session_id: int) -> list[tuple[str, int | None]]:
    """Return when each date of a session starts, or which day it is, and its row."""
    with engine.connect() as connection:
        [session] = pages.sessions_of(connection, [session_id])
        found = dates.between(connection, session, FIRST, LAST)
    days = [f"{one.hours.start:%d %R}" if one.hours else f"{one.day:%d}" for one in found]
    return list(zip(days, (one.instance.session_instance_id if one.instance else None for one in found), strict=True))


def skip(app: Connection, session: int, start: str) -> None:
    execute(app, "INSERT INTO skipped_occurrence (session_id, occurrence_start) VALUES (%s, %s)", session, start)


def test_an_occurrence_is_listed_once_also_where_its_row_was_made_by_hand(engine: Engine, app: Connection) -> None:
    session, other = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    by_hand = add_instance(app, session, "2026-12-15", "19:00", "22:00")
    some_time = add_instance(app, session, "2026-12-10")
    skip(app, session, "2026-12-08 19:00")
    skip(app, other, "2026-12-22 19:00")

    assert listed(engine, session) == [
        ("01 19:00", only_instance_on(app, session, "2026-12-01")),
        ("10", some_time),
        ("15 19:00", by_hand),
        ("22 19:00", None),
        ("29 19:00", None),
    ]


def only_instance_on(app: Connection, session: int, day: str) -> int:
    [(found,)] = execute(
        app, "SELECT session_instance_id FROM session_instance WHERE session_id = %s AND date = %s", session, day
    )
    return int(found)


def test_dates_of_one_day_are_in_the_order_of_their_starts(engine: Engine, app: Connection) -> None:
    session = add_session(app, recurring(weekly("tuesday", "10:00", "11:00"), weekly("tuesday", "19:00", "22:00")))
    evening = add_instance(app, session, "2026-12-01", "19:00", "22:00")

    assert listed(engine, session)[:3] == [("01 10:00", None), ("01 19:00", evening), ("08 10:00", None)]


def test_a_row_that_was_given_other_times_stands_for_its_occurrence(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(app, "UPDATE session_instance SET start_time = '20:30'")

    assert listed(engine, session)[:2] == [("01 20:30", only_instance(app, session)), ("08 19:00", None)]


def test_where_there_are_more_rows_than_a_page_reads_the_dates_end_before_the_last(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_INSTANCES", 3)
    session = add_session(app, TUESDAYS)
    rows = [add_instance(app, session, f"2026-12-{day}", "12:00", "13:00") for day in ("02", "09", "16", "17")]

    assert listed(engine, session) == [
        ("01 19:00", None),
        ("02 12:00", rows[0]),
        ("08 19:00", None),
        ("09 12:00", rows[1]),
        ("15 19:00", None),
    ]


def test_a_session_without_a_pattern_has_the_dates_of_its_rows(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    row = add_instance(app, session, "2026-12-03", "19:00", "22:00")

    assert listed(engine, session) == [("03 19:00", row)]


@pytest.mark.parametrize(
    ("zone", "day"), [("America/Chicago", FIRST), ("Europe/Dublin", FIRST + timedelta(days=1)), (None, None)]
)
def test_today_is_the_date_in_the_sessions_zone(zone: str | None, day: date | None) -> None:
    session = SessionRow(7, "One", None, None, None, None, zone, None, None, None, 60, 60, None)
    now = utc("2026-12-02 02:00")

    assert dates.today(session, now) == (day or datetime(2026, 12, 2).date())


def test_the_date_of_a_start_is_that_of_the_occurrence_which_starts_then(engine: Engine, app: Connection) -> None:
    session_id = add_session(app, TUESDAYS)
    add_instance(app, session_id, "2026-12-01")  # of no occurrence
    with engine.connect() as connection:
        [session] = pages.sessions_of(connection, [session_id])
        found = dates.starting(connection, session, datetime(2026, 12, 1, 19))
        assert dates.starting(connection, session, datetime(2026, 12, 1, 20)) is None

    assert found
    assert (found.day, found.instance, found.occurrence == found.hours) == (FIRST, None, True)


def test_the_next_dates_are_those_that_are_not_over(engine: Engine, app: Connection) -> None:
    session_id = add_session(app, TUESDAYS)
    with engine.connect() as connection:
        [session] = pages.sessions_of(connection, [session_id])
        found = dates.upcoming(connection, session, utc("2026-12-02 12:00"), 2)

    assert [one.day for one in found] == [date(2026, 12, 8), date(2026, 12, 15)]


# 7-10pm in Chicago: until 4:00 in UTC; the window closes at 5:00.
ROW = InstanceRow(
    session_instance_id=1,
    session_id=7,
    date=FIRST,
    start_time=time(19),
    end_time=time(22),
    location_override=None,
    comments=None,
    is_cancelled=False,
    cancel_reason=None,
    active=False,
    occurrence_start=None,
    occurrence_end=None,
    opens_at=utc("2026-12-02 00:00"),
    closes_at=utc("2026-12-02 05:00"),
    is_lost=False,
)
NO_WINDOW: dict[str, Any] = {"opens_at": None, "closes_at": None}
NO_HOURS: dict[str, Any] = NO_WINDOW | {"start_time": None, "end_time": None}
CHICAGO = "America/Chicago"


@pytest.mark.parametrize(
    ("changed", "zone", "over_from"),
    [
        ({}, CHICAGO, "2026-12-02 05:00"),
        ({"is_cancelled": True}, CHICAGO, "2026-12-02 04:00"),
        (NO_WINDOW, CHICAGO, "2026-12-02 04:00"),
        (NO_WINDOW, None, "2026-12-01 22:00"),
        (NO_WINDOW, "Mars/Olympus", "2026-12-01 22:00"),
        (NO_HOURS, CHICAGO, "2026-12-02 06:00"),
    ],
    ids=["its window", "its hours", "hours without a window", "no zone", "an unknown zone", "its day"],
)
def test_a_date_is_over_from_the_end_of_its_window_or_hours_or_day(
    changed: dict[str, Any], zone: str | None, over_from: str
) -> None:
    session = SessionRow(7, "One", None, None, None, None, zone, None, None, None, 60, 60, None)
    one = dates.of_instance(replace(ROW, **changed))
    end = utc(over_from)

    assert [dates.is_over(one, session, now) for now in (end - SECOND, end)] == [False, True]
    on = dates.of_instance(replace(ROW, **changed | {"active": True}))
    assert not dates.is_over(on, session, end)


@pytest.mark.parametrize(
    ("changed", "zone", "over_from"),
    [
        ({}, CHICAGO, "2026-12-02 05:00"),
        (NO_WINDOW, CHICAGO, "2026-12-02 04:00"),
        (NO_WINDOW, "Mars/Olympus", "2026-12-03 00:00"),
        (NO_HOURS, CHICAGO, "2026-12-03 00:00"),
    ],
    ids=["its window", "its hours", "an unknown zone", "its day, wherever it is"],
)
def test_an_evening_of_a_person_is_over_from_the_end_of_its_window_or_hours_or_of_its_day_everywhere(
    changed: dict[str, Any], zone: str, over_from: str
) -> None:
    def evening(**more: Any) -> EveningRow:
        return EveningRow(replace(ROW, **changed | more), "yes", "One", None, None, zone, has_left=False)

    end = utc(over_from)
    assert [dates.evening_is_over(evening(), now) for now in (end - SECOND, end)] == [False, True]
    assert not dates.evening_is_over(evening(active=True), end)


def test_a_row_is_bound_to_an_occurrence_with_both_ends() -> None:
    bound = replace(ROW, occurrence_start=datetime(2026, 12, 1, 20), occurrence_end=datetime(2026, 12, 1, 23))

    assert dates.of_instance(ROW).occurrence is None
    found = dates.of_instance(bound).occurrence
    assert found
    assert (found.start, found.end) == (bound.occurrence_start, bound.occurrence_end)
