"""Which stored windows are live, and which of them go."""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.activation_windows import StoredWindow, delete_of, difference, replace, stored
from tests.core.store.presence.test_yeses import HOUR, NOTHING, NOW, SECOND, add_window
from tests.data import execute, value


def session_of(app: Connection, instance: int) -> int:
    found: int = value(app, "SELECT session_id FROM session_instance WHERE session_instance_id = %s", instance)
    return found


def left(app: Connection) -> set[tuple[int, object]]:
    return {*execute(app, "SELECT session_instance_id, opens_at FROM activation_window")}


def test_a_window_is_live_until_it_is_over_and_closed(engine: Engine, app: Connection) -> None:
    live = [
        add_window(app, phase, -HOUR, closes)
        for phase, closes in (("ahead", HOUR), ("open", HOUR), ("open", NOTHING), ("over", SECOND))
    ]
    closed = add_window(app, "over", -HOUR, NOTHING)
    for phase in ("open", "over"):
        add_window(app, phase, -HOUR, HOUR)  # of other sessions
    with engine.connect() as connection:
        found = stored(connection, [session_of(app, each) for each in (*live, closed)], NOW)

    assert {window.session_instance_id for window in found} == {*live}


def test_a_planned_window_that_closes_now_is_not_written() -> None:
    past, present = (StoredWindow(1, NOW - HOUR, NOW + closes, NOW, 1) for closes in (NOTHING, SECOND))

    assert difference(frozenset(), frozenset({past, present}), NOW) == (frozenset(), frozenset({present}))


def test_only_the_windows_that_are_gone_are_deleted(engine: Engine, app: Connection) -> None:
    instance, other = (add_window(app, "ahead", HOUR, 2 * HOUR) for _ in range(2))
    execute(
        app,
        "INSERT INTO activation_window (session_id, session_instance_id, planned_at, opens_at, starts_at, closes_at) "
        "SELECT session_id, session_instance_id, planned_at, opens_at + interval '9 hours', starts_at, "
        "closes_at + interval '9 hours' FROM activation_window WHERE session_instance_id = %s",
        instance,
    )
    gone = StoredWindow(instance, NOW + HOUR, NOW + 2 * HOUR, NOW + HOUR, session_of(app, instance))
    with engine.begin() as connection:
        replace(connection, frozenset({gone}), frozenset(), {}, NOW)

    assert left(app) == {(instance, NOW + 10 * HOUR), (other, NOW + HOUR)}


def test_only_the_windows_of_these_sessions_are_deleted(engine: Engine, app: Connection) -> None:
    instance, other = (add_window(app, "ahead", HOUR, 2 * HOUR) for _ in range(2))
    with engine.begin() as connection:
        assert delete_of(connection, [session_of(app, instance)]) == 1

    assert left(app) == {(other, NOW + HOUR)}
