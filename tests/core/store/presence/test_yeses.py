"""Which yeses count at an instant, by the windows as they are stored; what somebody left lately."""

from datetime import timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.rules.flips import TOLERATED
from core.rules.presence import HERE_BEFORE_OPENING, Left
from core.store.presence import yeses
from core.store.presence.yeses import LEFT_LATELY
from tests.core.rules.planner_model import utc
from tests.data import add_check_in, add_instance, add_person, add_session, execute, person_at

NOW = utc("2026-12-01 20:00")
NOTHING, SECOND, HOUR = timedelta(0), timedelta(seconds=1), timedelta(hours=1)


def add_window(app: Connection, phase: str, opens: timedelta, closes: timedelta) -> int:
    """Return an instance with such a window, told from NOW."""
    session = add_session(app)
    instance = add_instance(app, session, "2026-12-01")
    execute(
        app,
        "INSERT INTO activation_window "
        "(session_id, session_instance_id, planned_at, opens_at, starts_at, closes_at, phase) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        session,
        instance,
        *3 * [NOW + opens],
        NOW + closes,
        phase,
    )
    return instance


@pytest.mark.parametrize(
    ("phase", "opens", "closes", "counts"),
    [
        ("ahead", -HOUR, HOUR, True),  # the pass that opens it has not written yet
        ("ahead", NOTHING, HOUR, True),
        ("ahead", SECOND, HOUR, False),
        ("open", SECOND, HOUR, True),  # the sweep opened it early
        ("open", TOLERATED, HOUR, True),
        ("open", TOLERATED + SECOND, HOUR, False),
        ("open", -HOUR, SECOND, True),
        ("open", -HOUR, NOTHING, False),
        ("over", -HOUR, HOUR, False),
    ],
)
def test_a2_a_yes_counts_while_its_window_is_open(
    engine: Engine, app: Connection, *, phase: str, opens: timedelta, closes: timedelta, counts: bool
) -> None:
    person = add_person(app)
    add_window(app, "ahead", 9 * HOUR, 10 * HOUR)
    add_check_in(app, add_window(app, phase, opens, closes), person)
    with engine.connect() as connection:
        [(pointer, said, left)] = yeses.by_person(connection, [person], NOW).values()

    assert (pointer, len(said), left) == (None, counts, [])


@pytest.mark.parametrize(("ago", "counts"), [(LEFT_LATELY, True), (LEFT_LATELY + SECOND, False)])
def test_a2_what_was_left_longer_ago_than_any_window_lasts_is_left_out(
    engine: Engine, app: Connection, ago: timedelta, *, counts: bool
) -> None:
    person, instance = add_person(app), add_window(app, "open", -HOUR, HOUR)
    add_check_in(app, instance, person, left_at=NOW - ago)
    with engine.connect() as connection:
        [(_, said, left)] = yeses.by_person(connection, [person], NOW).values()

    assert len(said) == 1
    assert left == ([Left(instance, NOW - ago)] if counts else [])


def test_a2_only_who_is_nowhere_and_has_left_nothing_since_it_opened_is_moved_without_a_decision(
    engine: Engine, app: Connection
) -> None:
    instance, other = (add_window(app, "open", -HOUR, HOUR) for _ in range(2))
    execute(app, "UPDATE session_instance SET active = true")
    comes, had_left, has_left, is_elsewhere, is_not_asked_for = people = [add_person(app) for _ in range(5)]
    opened = NOW - HOUR - HERE_BEFORE_OPENING
    for person, left_at in ((had_left, opened - SECOND), (has_left, opened)):
        add_check_in(app, instance, person, left_at=left_at)
    for person in (comes, is_elsewhere, is_not_asked_for):
        add_check_in(app, instance, person)
    execute(app, "UPDATE person SET active_session_instance_id = %s WHERE person_id = %s", other, is_elsewhere)
    with engine.begin() as connection:
        moved = yeses.move_undisputed(connection, people[:4], [instance], NOW)

    assert moved == {comes, had_left}
    assert [person_at(app, person) for person in people] == [instance, instance, None, other, None]
