"""Whether a daemon is alive, as the sweep asks it."""

from datetime import timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.heartbeats import has_reconciled_within
from tests.data import connected, execute

MINUTE = timedelta(minutes=1)


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


def _beat(app: Connection, age: str | None) -> None:
    if age:
        execute(
            app,
            "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, zone_version) "
            "VALUES (gen_random_uuid(), 'one', 1, '1', clock_timestamp() - %s::interval, '2026a')",
            age,
        )
