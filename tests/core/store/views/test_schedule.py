"""The edges to come, as the stored windows have them."""

from datetime import UTC, datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.views import schedule
from tests.data import add_instance, add_session, add_window

HOUR = timedelta(hours=1)


def test_the_edges_between_two_instants_are_each_told_once_after_the_first_and_up_to_the_second(
    engine: Engine, app: Connection
) -> None:
    start = datetime(2026, 12, 1, 12, tzinfo=UTC)
    for phase, opens, closes in (("ahead", 1, 3), ("ahead", 1, 4), ("ahead", 0, 6), ("open", 0, 2), ("over", 1, 5)):
        session = add_session(app)
        instance = add_instance(app, session, "2026-12-01")
        add_window(app, instance, session, phase, start + opens * HOUR, start + closes * HOUR)

    with engine.connect() as connection:
        found = schedule.edges_between(connection, start, start + 4 * HOUR)

    assert found == {start + hours * HOUR for hours in (1, 2, 3, 4)}


def test_the_edges_within_a_time_come_in_order_and_at_one_instant_closings_first(
    engine: Engine, app: Connection
) -> None:
    now = datetime.now(UTC)

    def add_evening(phase: str, opens: float, closes: float) -> int:
        session = add_session(app)
        instance = add_instance(app, session, "2026-12-01")
        add_window(app, instance, session, phase, now + opens * HOUR, now + closes * HOUR)
        return instance

    later = add_evening("ahead", 3, 4)
    sooner = add_evening("ahead", 1, 9)
    is_on = add_evening("open", -1, 3)
    overdue = add_evening("ahead", -1, 2)
    add_evening("open", -2, -1)
    add_evening("over", 1, 2)

    with engine.connect() as connection:
        found, first = (schedule.upcoming(connection, 5 * HOUR, limit) for limit in (None, 2))

    assert [(edge.session_instance_id, edge.opens) for edge in found] == [
        (sooner, True),
        (overdue, False),
        (is_on, False),
        (later, True),
        (later, False),
    ]
    assert first == found[:2]
