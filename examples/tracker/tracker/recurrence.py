"""The evenings that a session's recurrence names.

A recurrence is JSON: `{"schedules": [{"type": "weekly", "weekday": "thursday", "start_time": "19:00", ...}]}`. The
other type is `monthly_nth_weekday`, with `"which": [1, -1]`. Some sessions have free text from earlier days.
"""

import json
from datetime import date, time, timedelta
from typing import Any

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Hours = tuple[time, time | None]


def hours_on(text: str | None, day: date) -> Hours | None:
    """Return start and end of the evening on this day, or None if there is none, or the text is not JSON."""
    try:
        schedules = json.loads(text or "{}").get("schedules", [])
    except ValueError:
        return None
    falling = [schedule for schedule in schedules if _falls_on(schedule, day)]
    if not falling:
        return None
    end = falling[0].get("end_time")
    return time.fromisoformat(falling[0]["start_time"]), time.fromisoformat(end) if end else None


def _falls_on(schedule: dict[str, Any], day: date) -> bool:
    if schedule["weekday"] != WEEKDAYS[day.weekday()]:
        return False
    is_last = (day + timedelta(days=7)).month != day.month
    which = schedule.get("which")
    return which is None or (day.day - 1) // 7 + 1 in which or (is_last and -1 in which)
