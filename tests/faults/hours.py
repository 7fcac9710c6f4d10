"""A window as the columns of an instance without buffers, and back."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.faults.truth import Window
from tests.scheduler.soon import NOON

ZONE = ZoneInfo(NOON)


def columns(window: Window) -> dict[str, Any]:
    """Return the date and the times, to the millisecond, of an instance with this window."""
    start, end = (datetime.fromtimestamp(round(at, 3), ZONE) for at in (window.opens_at, window.closes_at))
    return {"date": start.date(), "start_time": start.time(), "end_time": end.time()}


def window(day: date, start: time, end: time) -> Window:
    """Return the window of an instance with these columns; one that ends before it starts ends on the next day."""
    opens = datetime.combine(day, start, ZONE)
    closes = datetime.combine(day + timedelta(days=end <= start), end, ZONE)
    return Window(opens.timestamp(), closes.timestamp())
