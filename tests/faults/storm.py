"""A storm of edits: sessions of its own, whose every row is rewritten again and again, all by one statement.

Half of them have an instance written by hand, half a recurrence. None of them ever opens: all is an hour ahead.
"""

import random
import time

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute
from tests.faults import hours
from tests.faults.truth import Window
from tests.scheduler.soon import HOUR, NOON, weekly

SESSIONS = 200
LENGTH_SECONDS = 600.0


def prepare(admin: Connection, sessions: int = SESSIONS) -> None:
    for name in ("storm by hand", "storm by recurrence"):
        execute(
            admin,
            "INSERT INTO session (name, timezone, active_buffer_minutes_before, active_buffer_minutes_after) "
            "SELECT %s, %s, 0, 0 FROM generate_series(1, %s)",
            name,
            NOON,
            sessions // 2,
        )
    execute(
        admin,
        "INSERT INTO session_instance (session_id, date) SELECT session_id, current_date FROM session "
        "WHERE name = 'storm by hand'",
    )
    blow(admin)


def rage(admin: Connection, seconds: float) -> int:
    """Edit all of them, over and over; return how many edits that were."""
    deadline, edits = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        edits += blow(admin)
    return edits


def add_many(admin: Connection, sessions: int) -> None:
    """Add sessions that open an hour ahead and more, for `delete_many`: none may open before it is deleted."""
    ahead = 2 * HOUR + random.uniform(0, 600)  # their buffer is an hour
    execute(
        admin,
        "INSERT INTO session (name, timezone, recurrence) SELECT 'one of many', %s, %s FROM generate_series(1, %s)",
        NOON,
        weekly(ahead, ahead + LENGTH_SECONDS),
        sessions,
    )


def delete_many(admin: Connection) -> None:
    execute(admin, "DELETE FROM session WHERE name = 'one of many'")


def blow(admin: Connection) -> int:
    """Edit each of them once; return how many that are."""
    ahead = HOUR + random.uniform(0, 600)
    opens = time.time() + ahead
    moved = execute(
        admin,
        "UPDATE session_instance SET date = %s, start_time = %s, end_time = %s "
        "WHERE session_id IN (SELECT session_id FROM session WHERE name = 'storm by hand') RETURNING 1",
        *hours.columns(Window(opens, opens + LENGTH_SECONDS)).values(),
    )
    edited = execute(
        admin,
        "UPDATE session SET recurrence = %s WHERE name = 'storm by recurrence' RETURNING 1",
        weekly(ahead, ahead + LENGTH_SECONDS),
    )
    return len(moved) + len(edited)
