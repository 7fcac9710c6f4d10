"""A storm of edits: sessions of its own, whose every row is rewritten again and again, all by one statement."""

import time

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute
from tests.faults import hours
from tests.faults.truth import Window
from tests.scheduler.soon import NOON

SESSIONS = 200
FAR_AHEAD_SECONDS = 3600.0


def prepare(admin: Connection, sessions: int = SESSIONS) -> None:
    """Make the sessions, each with an instance an hour ahead: none of them opens while the bench runs."""
    opens = time.time() + FAR_AHEAD_SECONDS
    day, start, end = hours.columns(Window(opens, opens + 60)).values()
    execute(
        admin,
        "WITH made AS (INSERT INTO session (name, timezone, active_buffer_minutes_before, active_buffer_minutes_after) "
        "SELECT 'storm', %s, 0, 0 FROM generate_series(1, %s) RETURNING session_id) "
        "INSERT INTO session_instance (session_id, date, start_time, end_time) SELECT session_id, %s, %s, %s FROM made",
        NOON,
        sessions,
        day,
        start,
        end,
    )


def rage(admin: Connection, seconds: float) -> int:
    """Move all of them a little, over and over; return how many edits that were."""
    deadline, edits = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        edits += blow(admin)
    return edits


def blow(admin: Connection) -> int:
    """Edit each of them once, in one statement."""
    rows = execute(
        admin,
        "UPDATE session_instance SET end_time = end_time + (random() - 0.5) * interval '10 seconds' "
        "WHERE session_id IN (SELECT session_id FROM session WHERE name = 'storm') RETURNING 1",
    )
    return len(rows)
