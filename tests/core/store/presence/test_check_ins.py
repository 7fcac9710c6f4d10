"""What is true of an instance at an instant; which rows a leaving, a removal and a count are about."""

from datetime import timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.presence import check_ins
from tests.core.store.presence.test_yeses import HOUR, NOTHING, NOW, SECOND, add_window
from tests.data import add_check_in, add_instance, add_person, add_session, execute


@pytest.mark.parametrize(
    ("opens", "closes", "is_open", "opens_later", "was_open"),
    [
        (SECOND, HOUR, False, True, False),
        (NOTHING, HOUR, True, False, False),
        (-HOUR, SECOND, True, False, False),
        (-HOUR, NOTHING, False, False, True),
    ],
)
def test_an_instance_is_open_from_its_opening_until_its_closing(
    engine: Engine,
    app: Connection,
    *,
    opens: timedelta,
    closes: timedelta,
    is_open: bool,
    opens_later: bool,
    was_open: bool,
) -> None:
    for others in ((HOUR, 2 * HOUR), (-HOUR, HOUR), (-2 * HOUR, -HOUR)):
        add_window(app, "ahead", *others)
    instance = add_window(app, "ahead", opens, closes)
    with engine.connect() as connection:
        status = check_ins.instance_status(connection, instance, NOW)

    assert (status.is_open, status.opens_later, status.was_open) == (is_open, opens_later, was_open)


@pytest.mark.parametrize(("date", "is_past"), [("2026-11-29", False), ("2026-11-28", True)])
def test_a_date_is_past_when_it_is_past_in_every_zone(
    engine: Engine, app: Connection, date: str, *, is_past: bool
) -> None:
    instance = add_instance(app, add_session(app), date)
    with engine.connect() as connection:
        assert check_ins.instance_status(connection, instance, NOW).is_past is is_past


@pytest.fixture
def yeses(app: Connection) -> tuple[int, int, int]:
    """A person and an instance, of two each that said yes to both; and an instance to which one of them said maybe."""
    session, (person, other) = add_session(app), [add_person(app) for _ in range(2)]
    one, another, maybe = (add_instance(app, session, f"2026-12-0{day}") for day in (1, 2, 3))
    for instance in (one, another):
        for who in (person, other):
            add_check_in(app, instance, who)
    add_check_in(app, maybe, person, "maybe")
    return person, one, maybe


def test_a_leaving_and_a_removal_are_of_one_person_and_one_instance(
    engine: Engine, app: Connection, yeses: tuple[int, int, int]
) -> None:
    person, one, _ = yeses
    said = "SELECT person_id, session_instance_id FROM session_instance_person"
    all_said = {*execute(app, said)}
    with engine.begin() as connection:
        check_ins.leave(connection, person, one, now=NOW)
    assert execute(app, f"{said} WHERE left_at IS NOT NULL") == [(person, one)]

    with engine.begin() as connection:
        check_ins.remove(connection, person, one)
    assert {*execute(app, said)} == all_said - {(person, one)}


def test_yeses_are_counted_of_these_instances(engine: Engine, yeses: tuple[int, int, int]) -> None:
    _, one, maybe = yeses
    with engine.connect() as connection:
        assert check_ins.count_yeses(connection, [one, maybe]) == {one: 2}


def test_without_an_instant_the_databases_clock_counts(
    engine: Engine, app: Connection, yeses: tuple[int, int, int]
) -> None:
    person, one, _ = yeses
    with engine.begin() as connection:
        check_ins.leave(connection, person, one, now=None)
        assert not check_ins.instance_status(connection, one, None).is_open

    left = "SELECT clock_timestamp() - left_at FROM session_instance_person WHERE left_at IS NOT NULL"
    [(since,)] = execute(app, left)
    assert NOTHING <= since < HOUR
