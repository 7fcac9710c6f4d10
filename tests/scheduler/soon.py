"""Sessions and instances that start and end so many seconds from now, where it is noon and clocks never change."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import add_instance, add_session, execute, flips_of, value
from tests.scheduler.daemon_process import eventually

# There, whatever is hours from now is today.
NOON = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
# Where it is seven in the morning, or five in the afternoon.
ELSEWHERE = f"Etc/GMT{datetime.now(UTC).hour - 12 + (5 if datetime.now(UTC).hour < 12 else -5):+d}"
HOUR = 3600.0
NO_BUFFERS = {"active_buffer_minutes_before": 0, "active_buffer_minutes_after": 0}


def local(seconds_from_now: float) -> datetime:
    """Return the wall time so far from now, in whole seconds (the next lower)."""
    at = datetime.now(ZoneInfo(NOON)) + timedelta(seconds=seconds_from_now)
    return at.replace(microsecond=0, tzinfo=None)


def weekly(starts_in: float, ends_in: float) -> str:
    """Return a weekly recurrence whose occurrence of today starts and ends so far from now, in whole minutes."""
    start, end = local(starts_in), local(ends_in)
    schedule = {
        "type": "weekly",
        "weekday": f"{start:%A}".lower(),
        "start_time": f"{start:%H:%M}",
        "end_time": f"{end:%H:%M}",
    }
    return json.dumps({"schedules": [schedule]})


def session_here(app: Connection, recurrence: str | None = None, **columns: Any) -> int:
    return add_session(app, recurrence, timezone=NOON, **NO_BUFFERS | columns)


def instance_soon(app: Connection, session_id: int, starts_in: float, ends_in: float) -> int:
    start, end = local(starts_in), local(ends_in)
    return add_instance(app, session_id, f"{start:%Y-%m-%d}", f"{start:%H:%M:%S}", f"{end:%H:%M:%S}")


def causes(app: Connection, session_id: int) -> list[tuple[bool, str]]:
    """Return a session's flips in order: on or off, and the cause."""
    return [(active, cause) for _, active, _, _, cause in flips_of(app, session_id)]


def on(app: Connection, session_id: int) -> int | None:
    """Return a session's active instance, read in one statement: beside a daemon two may read two states."""
    active: int | None = value(
        app, "SELECT session_instance_id FROM session_instance WHERE session_id = %s AND active", session_id
    )
    return active


def wait_until_reconciled(app: Connection) -> None:
    """Wait until no request is left: daemons have reconciled every session."""
    eventually(lambda: value(app, "SELECT count(*) FROM plan_request") == 0, "all requests dealt with")


def early_flips(app: Connection) -> list[tuple[Any, ...]]:
    return execute(app, "SELECT * FROM activation_log WHERE done_at < due_at")
