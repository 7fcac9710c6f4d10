"""What the board reads: groups, windows and people, each of exactly what was asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import Engine

from core.active_session_manager import check_in
from core.store.views import boards
from core.store.views.boards import Groups
from core.store.views.places import Town
from tests.core.passes import DURING, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.data import add_instance, add_person, add_session, add_window, change_instance, only_instance

HOUR = timedelta(hours=1)
ENNIS = {"city": "Ennis", "country": "Ireland"}
AT = datetime(2026, 12, 1, 20, tzinfo=UTC)


def add_evening(app: Connection, phase: str, opens_at: datetime, closes_at: datetime, **columns: Any) -> int:
    """Add a session with one window; return the instance."""
    session = add_session(app, **columns)
    instance = add_instance(app, session, f"{opens_at:%Y-%m-%d}")
    add_window(app, instance, session, phase, opens_at, closes_at)
    return instance


def tonight(app: Connection, engine: Engine, *cities: str | None, country: str | None = "Ireland") -> list[int]:
    """Return the instances of new sessions in these towns; they are on."""
    sessions = [add_session(app, TUESDAYS, city=city, country=country) for city in cities]
    reconcile_at(engine, DURING)
    return [only_instance(app, session) for session in sessions]


def test_towns_of_a_country_are_those_with_the_most_first_and_counted_also_beyond_the_bound(
    engine: Engine, app: Connection
) -> None:
    tonight(app, engine, "Doolin", "Ennis", "Ennis", "Cork", "Cork", "Cork")
    tonight(app, engine, "Reno", "Reno", country="USA")

    with engine.connect() as connection:
        found = boards.by_town(connection, ["usa", " Ireland", "France"], most=2, most_of_each=2)

    assert [*found] == ["usa", " Ireland", "France"]
    assert [(row.town.city, row.sessions, len(row.first)) for row in found[" Ireland"].rows] == [
        ("Cork", 3, 2),
        ("Ennis", 2, 2),
    ]
    assert (found[" Ireland"].groups, found[" Ireland"].sessions) == (3, 6)
    assert [(row.town.city, row.sessions) for row in found["usa"].rows] == [("Reno", 2)]
    assert found["France"] == Groups([], 0, 0, 0)


def test_windows_of_instances_are_theirs_and_open_and_of_the_session_that_has_them_now(
    engine: Engine, app: Connection
) -> None:
    asked, _, given_away = tonight(app, engine, "Ennis", "Ennis", "Ennis")
    ahead = add_evening(app, "ahead", AT + HOUR, AT + 2 * HOUR)
    change_instance(app, given_away, session_id=add_session(app))

    with engine.connect() as connection:
        found = boards.windows_of(connection, [asked, given_away, ahead])

    assert [(row.session_instance_id, row.occurrence_start) for row in found] == [(asked, datetime(2026, 12, 1, 19))]


def test_windows_in_a_town_overlap_the_time_that_is_asked_for_and_towns_without_a_name_are_towns(
    engine: Engine, app: Connection
) -> None:
    within = add_evening(app, "ahead", AT, AT + HOUR, **ENNIS)
    with_it = add_evening(app, "ahead", AT, AT + HOUR, **ENNIS, name="Brogan's")
    in_clare = add_evening(app, "open", AT - HOUR, AT + HOUR, **ENNIS, state="Clare")
    for opens_at, closes_at in ((AT - HOUR, AT), (AT + HOUR, AT + 2 * HOUR)):  # [since, until) is half open
        add_evening(app, "ahead", opens_at, closes_at, **ENNIS)
    nowhere = add_evening(app, "ahead", AT, AT + HOUR)
    towns = [
        Town("ennis", None, "Ireland"),
        Town("Ennis", "Cork", "Ireland"),
        Town(None, None, None),
        Town("Ennis", "", "USA"),
    ]

    with engine.connect() as connection:
        found = boards.windows_in_towns(connection, towns, AT, AT + HOUR)

    assert [[row.session_instance_id for row in rows] for rows in found] == [
        [in_clare, with_it, within],
        [with_it, within],
        [nowhere],
        [],
    ]


def test_the_next_openings_are_after_now_and_in_order(unindexed: EngineConnection, app: Connection) -> None:
    later, next_one = (add_evening(app, "ahead", AT + hours * HOUR, AT + 9 * HOUR) for hours in (2, 1))
    add_evening(app, "ahead", AT, AT + HOUR)  # opens now
    add_evening(app, "open", AT + HOUR, AT + 2 * HOUR)  # the sweep has opened it early

    found = [boards.openings(unindexed, AT, limit) for limit in (9, 1)]

    assert [[row.session_instance_id for row in rows] for rows in found] == [[next_one, later], [next_one]]


def test_people_at_instances_are_the_first_by_name_and_counted(engine: Engine, app: Connection) -> None:
    asked, other = tonight(app, engine, "Ennis", "Ennis")
    people = {name: add_person(app, first_name=name) for name in ("Seán", "anna", "Brid")}
    for person in people.values():
        check_in(app, person, asked, "yes", now=utc(DURING))
    check_in(app, add_person(app), other, "yes", now=utc(DURING))

    with engine.connect() as connection:
        found = boards.people_at(connection, [asked], 2)

    assert [*found] == [asked]
    assert ([person.first_name for person in found[asked].first], found[asked].total) == (["anna", "Brid"], 3)
