"""What the planner sees of a session."""

from datetime import date, datetime

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import Engine

from core.store.planning.snapshots import snapshots
from tests.data import add_instance, add_session, bind, execute

SINCE = date(2026, 11, 27)


def test_instances_are_seen_that_are_dated_or_bound_since_a_day_and_skipped_occurrences_since_it(
    engine: Engine, app: Connection
) -> None:
    session = add_session(app)
    dated = add_instance(app, session, "2026-11-27")
    bound, before, _ = (add_instance(app, session, "2026-11-26") for _ in range(3))
    bind(app, bound, session, "2026-11-27 00:00")
    bind(app, before, session, "2026-11-26 23:59")
    for start in ("2026-11-26 23:59", "2026-11-27 00:00"):
        execute(app, "INSERT INTO skipped_occurrence (session_id, occurrence_start) VALUES (%s, %s)", session, start)

    with engine.connect() as connection:
        [seen] = snapshots(connection, [session], SINCE)

    assert {instance.session_instance_id for instance in seen.instances} == {dated, bound}
    assert seen.skipped == {datetime(2026, 11, 27)}


def test_each_instance_is_seen_once_and_in_order_with_its_own_binding(
    unindexed: EngineConnection, app: Connection
) -> None:
    session = add_session(app)
    starts = {add_instance(app, session, day): f"{day} 19:00" for day in ("2026-11-27", "2026-11-28")}
    for instance, start in reversed(starts.items()):
        bind(app, instance, session, start)

    [seen] = snapshots(unindexed, [session], SINCE)

    assert [(each.session_instance_id, each.binding and f"{each.binding.start:%F %R}") for each in seen.instances] == [
        *starts.items()
    ]


def test_a_session_is_seen_alike_whoever_shares_its_pass(engine: Engine, app: Connection) -> None:
    """A past instance that comes from another session: that one's binding says nothing of it."""
    session, other = add_session(app), add_session(app)
    bind(app, add_instance(app, other, "2026-10-06"), session, "2026-12-01 19:00")

    with engine.connect() as connection:
        [alone] = snapshots(connection, [other], SINCE)
        assert alone in snapshots(connection, [session, other], SINCE)
