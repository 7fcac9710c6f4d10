"""A town's day as a strip: where its windows lie between six in the morning and six the next morning, in per cent."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache

from core.errors import UnknownTimeZone
from core.timezones import require_zone, to_local, to_utc
from core.windows import StatedHours, Window
from web import words

DAY_BEGINS = time(6)
LANE_HEIGHT = 14


@dataclass(frozen=True, slots=True)
class Day:
    """The town's day, from six to six: a day of music ends at six in the morning. `marks` label its hours."""

    begins_at: datetime
    ends_at: datetime
    marks: tuple[tuple[float, str], ...]

    def percent(self, at: datetime) -> float:
        """Return where an instant lies on the strip, from 0 to 100."""
        share = (at - self.begins_at) / (self.ends_at - self.begins_at)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def overlaps(self, window: Window) -> bool:
        """Whether any of the window is on this day."""
        return window.opens_at < self.ends_at and window.closes_at > self.begins_at


@dataclass(frozen=True, slots=True)
class Bar:
    """A window on the strip and, within it, the stated hours; `lane` 0 is the topmost."""

    x: float
    width: float
    hours_x: float
    hours_width: float
    lane: int
    title: str


@lru_cache(maxsize=1024)
def day_of(now: datetime, zone: str | None) -> Day:
    """Return the day that it is now in a zone; in UTC where the zone is unknown."""
    try:
        known = require_zone(zone)
    except UnknownTimeZone:
        known = "UTC"
    today = (to_local(now, known) - timedelta(hours=DAY_BEGINS.hour)).date()
    walls = [datetime.combine(today, DAY_BEGINS) + timedelta(hours=6 * number) for number in range(5)]
    begins_at, *_, ends_at = (to_utc(wall, known) for wall in walls)
    day = Day(begins_at, ends_at, ())
    return Day(begins_at, ends_at, tuple((day.percent(to_utc(wall, known)), words.clock(wall)) for wall in walls[1:-1]))


@lru_cache(maxsize=4096)
def bars(day: Day, shown: tuple[tuple[Window, StatedHours | None, str], ...]) -> tuple[Bar, ...]:
    """Return a bar for each window that is on that day, each in the first lane that is free where it begins."""
    taken_until: list[datetime] = []
    found = []
    for window, stated, title in sorted(shown, key=lambda one: (one[0].opens_at, one[2])):
        lane = next((i for i, until in enumerate(taken_until) if until <= window.opens_at), len(taken_until))
        taken_until[lane : lane + 1] = [window.closes_at]
        x, end = day.percent(window.opens_at), day.percent(window.closes_at)
        inside = _within(stated, window)
        hours_x, hours_end = (day.percent(inside.opens_at), day.percent(inside.closes_at)) if inside else (x, x)
        found.append(Bar(x, round(end - x, 2), hours_x, round(hours_end - hours_x, 2), lane, title))
    return tuple(found)


def _within(stated: StatedHours | None, window: Window) -> Window | None:
    if stated is None:
        return None
    starts_at, ends_at = max(stated.starts_at, window.opens_at), min(stated.ends_at, window.closes_at)
    return Window(starts_at, ends_at) if starts_at < ends_at else None
