"""Five thousand sessions: an edge for all of them at one instant, and a daemon that is killed and started again.

Covers scheduler.daemon.worker, core.reconcile.batches.
"""

import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute, value
from tests.scheduler.daemon_process import Daemons, eventually
from tests.scheduler.soon import HOUR, NOON, early_flips, local, wait_until_reconciled, weekly

Figures = Callable[[str], None]
SESSIONS = 5000

pytestmark = pytest.mark.long


def add_sessions(app: Connection, recurrence: str | None) -> None:
    execute(
        app,
        "INSERT INTO session (name, timezone, recurrence, active_buffer_minutes_before, active_buffer_minutes_after) "
        "SELECT 'session ' || n, %s, %s, 0, 0 FROM generate_series(1, %s) n",
        *(NOON, recurrence, SESSIONS),
    )


def test_p7_five_thousand_edges_at_one_instant_lose_none(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    add_sessions(app, None)
    daemons.ready(database_url)
    wait_until_reconciled(app)
    start, end = local(15), local(30)
    execute(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time) "
        "SELECT session_id, %s, %s, %s FROM session",
        *(start.date(), start.time(), end.time()),
    )
    wait_until_reconciled(app)
    assert local(0) < start, "planning took too long: the edges have passed"

    eventually(lambda: value(app, "SELECT count(*) FROM activation_log") == 2 * SESSIONS, "all have flipped", 60)

    late = "SELECT active, max(extract(epoch FROM done_at - due_at))::float, count(DISTINCT session_instance_id), "
    for active, latest, instances, causes in execute(
        app, late + "array_agg(DISTINCT cause) FROM activation_log GROUP BY active ORDER BY active DESC"
    ):
        figures(f"{SESSIONS} {'openings' if active else 'closings'} at one instant: the last {latest:.2f} s after it")
        assert instances == SESSIONS
        assert set(causes) <= {"timer", "resync"}
    assert early_flips(app) == []


def test_p5_killed_and_started_again_it_is_right_in_under_two_seconds(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    add_sessions(app, weekly(-HOUR, HOUR))
    first = daemons.ready(database_url)
    eventually(lambda: value(app, "SELECT count(*) FROM active_instance") == SESSIONS, "all are on", 90)
    first.kill()
    cut = "UPDATE session SET termination_date = current_date - 2 WHERE session_id % 50 = 0"
    execute(app, cut)
    begun = time.monotonic()
    daemon = daemons.start(database_url)

    wanted = SESSIONS - SESSIONS // 50
    eventually(lambda: value(app, "SELECT count(*) FROM active_instance") == wanted, "what was edited meanwhile is off")
    right = time.monotonic() - begun
    daemon.wait_for("ready")

    figures(f"killed and started again beside {SESSIONS} instances: right {right:.2f} s after exec")
    assert right < 4, "two seconds, and what a busy machine takes"
