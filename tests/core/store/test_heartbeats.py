"""Whether a daemon is alive, as the sweep asks it."""

from datetime import timedelta
from uuid import UUID

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.heartbeats import end, ended, has_reconciled_within, heartbeats
from tests.data import connected, execute

MINUTE = timedelta(minutes=1)
IDS = "SELECT daemon_id::text FROM daemon_heartbeat ORDER BY last_look_at"


@pytest.mark.parametrize(
    ("age", "is_alive"),
    [(None, False), ("59 seconds", True), ("61 seconds", False), ("-1 second", False)],
    ids=["no daemon", "a daemon", "a daemon that hangs", "a pass from before the clock was set back"],
)
def test_l2_a_daemon_is_alive_if_it_has_finished_a_pass_lately(
    engine: Engine, database_url: str, age: str | None, *, is_alive: bool
) -> None:
    with connected(database_url) as app:
        _beat(app, age)
    with engine.connect() as connection:
        assert has_reconciled_within(connection, MINUTE) == is_alive


def test_a_daemon_that_ends_is_dead_at_once_and_last_seen_for_a_day(engine: Engine, database_url: str) -> None:
    with connected(database_url) as app, engine.connect() as connection:
        for age in ("0 seconds", "1 second", "2 seconds"):
            _beat(app, age)
        first, second, third = (id_ for (id_,) in execute(app, IDS))
        end(connection, UUID(first), "stopped by SIGTERM")
        end(connection, UUID(second), "listener died")
        connection.commit()
        assert [(str(row.daemon_id), row.ended) for row in ended(connection)] == [
            (second, "listener died"),
            (first, "stopped by SIGTERM"),
        ]
        assert [(str(row.daemon_id), row.ended) for row in heartbeats(connection)] == [(third, None)]

        execute(app, "UPDATE daemon_heartbeat SET beat_at = beat_at - interval '25 hours' WHERE ended IS NOT NULL")
        connection.commit()
        assert ended(connection) == []
        end(connection, UUID(third), "stopped by SIGINT")
        connection.commit()
        assert not has_reconciled_within(connection, MINUTE)
        assert execute(app, IDS) == [(third,)], "what is older than a day is deleted"


def _beat(app: Connection, age: str | None) -> None:
    if age:
        execute(
            app,
            "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, zone_version) "
            "VALUES (gen_random_uuid(), 'one', 1, '1', clock_timestamp() - %s::interval, '2026a')",
            age,
        )
