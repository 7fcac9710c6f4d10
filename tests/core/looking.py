"""Looks at a stated instant, and the session that most of these tests look at."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from core.active_session_manager import AppDatabase, Seen, update_active_sessions
from tests.core.timetable_model import recurring, utc, weekly

# Tuesday the first of December; Dublin's clocks show UTC. The session is 19:00 to 22:00, its window 18:00 to 23:00.
TUESDAYS = recurring(weekly("tuesday", "19:00", "22:00"))
NOON = "2026-12-01 12:00"
OPENS = "2026-12-01 18:00"
DURING = "2026-12-01 20:00"
CLOSES = "2026-12-01 23:00"


def look(db: Engine | AppDatabase, at: str | datetime, **options: Any) -> Seen:
    """Look as if it were `at` (in UTC)."""
    return update_active_sessions(db, now=utc(at) if isinstance(at, str) else at, **options)
