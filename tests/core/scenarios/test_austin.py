"""The real history of one session, adopted: seven years of Thursdays in Austin, with gaps and off-day exceptions.

Covers core.migrations, core.rules.planner, core.rules.binding.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.db import create_engine
from core.migrations import migrate
from tests.core.migrations.existing_app import TABLES
from tests.core.passes import reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import Rows, active_of, add_instance, add_session, connected, execute, flips_of, requests, times_of

HISTORY = json.loads((Path(__file__).parents[2] / "data" / "austin_instances.json").read_text())
THURSDAYS = recurring(weekly("thursday", "19:00", "22:30"))
LAST = "2024-07-18 19:00-22:30"
NEXT = "2024-07-25 19:00-22:30"


@pytest.fixture
def austin(empty_database_url: str) -> Iterator[Connection]:
    """The app's own database, before its first migration by us."""
    with connected(empty_database_url) as connection:
        execute(connection, TABLES)
        execute(connection, "ALTER TABLE session_instance ADD COLUMN location_override text")
        for name, recurrence in (("B.D. Riley's", THURSDAYS), ("Elsewhere", None)):
            zone = HISTORY["timezone"]
            add_session(connection, recurrence, timezone=zone, name=name, path=name, city="Austin", country="USA")
        for row in HISTORY["instances"]:
            add_instance(connection, row["session"], row["date"], row["start_time"], row["end_time"])
        yield connection


@pytest.fixture
def engine(empty_database_url: str, austin: Connection) -> Iterator[Engine]:
    """The product, once it has adopted that database."""
    assert len(times_of(austin, 1)) == 154
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def past(austin: Connection) -> Rows:
    """Every row of the past in full, with where it stands on the disk: an update would move it."""
    return execute(austin, "SELECT ctid, xmin, i.* FROM session_instance i WHERE date < '2024-07-24' ORDER BY 4, 3")


def test_history_is_not_touched_and_has_no_twin(engine: Engine, austin: Connection, empty_database_url: str) -> None:
    migrate(empty_database_url)
    before, nights = past(austin), times_of(austin, 1)
    for now in ("2024-07-24 12:00", "2024-07-24 23:00", "2024-07-26 01:00", "2024-07-26 12:00", "2024-09-01 12:00"):
        reconcile_at(engine, now)

    assert past(austin) == before
    assert times_of(austin, 1) == [*nights, NEXT]
    assert times_of(austin, 2) == ["2024-06-09 16:00-20:30"]
    assert {flip[0] for flip in flips_of(austin, 1)} == {156}
    assert requests(austin) == []


def test_history_opens_nothing(engine: Engine, austin: Connection, empty_database_url: str) -> None:
    migrate(empty_database_url)
    result = reconcile_at(engine, "2024-07-24 12:00")

    assert (result.planned, result.activated, result.edges, result.unreadable) == ((), (), frozenset(), {})
    assert execute(austin, "SELECT * FROM activation_window WHERE phase <> 'over'") == []


@pytest.mark.parametrize("by_the_app", [False, True], ids=["planned", "inserted by the app"])
def test_next_thursday_is_planned_a_day_before_its_window_opens_and_is_on_in_it(
    engine: Engine, austin: Connection, empty_database_url: str, *, by_the_app: bool
) -> None:
    if by_the_app:
        add_instance(austin, 1, "2024-07-25", "19:00", "22:30")
    migrate(empty_database_url)
    reconcile_at(engine, "2024-07-24 22:59:59")
    assert times_of(austin, 1)[-1] == (NEXT if by_the_app else LAST)

    reconcile_at(engine, "2024-07-24 23:00")
    assert times_of(austin, 1)[153:] == [LAST, NEXT]
    for now in ("2024-07-25 22:59:59", "2024-07-25 23:00", "2024-07-26 04:29:59", "2024-07-26 04:30"):
        reconcile_at(engine, now)
        assert (active_of(austin, 1) is not None) is (now in {"2024-07-25 23:00", "2024-07-26 04:29:59"})
    assert times_of(austin, 1)[153:] == [LAST, NEXT]
    assert [(flip[1], flip[2]) for flip in flips_of(austin, 1)] == [
        (True, utc("2024-07-25 23:00")),
        (False, utc("2024-07-26 04:30")),
    ]


@pytest.mark.parametrize(
    ("now", "on"),
    [
        ("2019-02-07 02:00", "2019-02-06"),
        ("2019-03-14 02:00", "2019-03-13"),
        ("2023-11-04 02:00", "2023-11-03"),
        ("2024-07-19 02:00", "2024-07-18"),
    ],
    ids=["a Wednesday", "another Wednesday", "a Friday", "a Thursday"],
)
def test_instance_on_another_day_of_the_week_is_on_in_its_own_hours(
    engine: Engine, austin: Connection, empty_database_url: str, now: str, on: str
) -> None:
    migrate(empty_database_url)
    reconcile_at(engine, now)

    assert [str(row[0]) for row in execute(austin, "SELECT date FROM session_instance WHERE active")] == [on]
    assert len([night for night in times_of(austin, 1) if night.startswith(on)]) == 1


def test_weeks_after_the_adoption_each_have_one_thursday(
    engine: Engine, austin: Connection, empty_database_url: str
) -> None:
    add_instance(austin, 1, "2024-08-01", "19:30", "22:30")
    migrate(empty_database_url)
    for day in (24, 25, 26, 31, 32, 33, 38, 39, 40):
        reconcile_at(engine, f"2024-{7 + day // 32:02}-{(day - 1) % 31 + 1:02} 23:30")

    assert times_of(austin, 1)[153:] == [LAST, NEXT, "2024-08-01 19:30-22:30", "2024-08-08 19:00-22:30"]
