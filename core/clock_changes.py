"""When the clocks of a zone are set forward or back: what to tell whoever reads times around it."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from core.timezones import to_local, to_utc

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """An instant, aware in UTC, at which clocks are set by `shift`: forward where it is positive."""

    at: datetime
    shift: timedelta
    zone: str

    @property
    def set_from(self) -> datetime:
        """The naive wall time that the clocks reach and do not show."""
        return to_local(self.at, self.zone) - self.shift

    def __str__(self) -> str:
        """Return "clocks go back 1 h at 02:00 on Sun 25 Oct"."""
        minutes = abs(self.shift) // timedelta(minutes=1)
        amount = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
        direction = "forward" if self.shift > timedelta() else "back"
        return f"clocks go {direction} {amount} at {self.set_from:%H:%M on %a %d %b}"


def clock_changes(after: datetime, until: datetime, zone: str) -> tuple[ClockChange, ...]:
    """Return the changes later than `after` and not later than `until`, both aware; at most one a day.

    Raises UnknownTimeZone.
    """
    found = []
    while after < until:
        day_over = min(after + DAY, until)
        if shift := _offset(day_over, zone) - _offset(after, zone):
            found.append(ClockChange(_first_at(_offset(day_over, zone), after, day_over, zone), shift, zone))
        after = day_over
    return tuple(found)


def changes_of_night(day: date, zone: str) -> tuple[ClockChange, ...]:
    """Return the changes on a local date, or in the night after it, up to noon. Raises UnknownTimeZone."""
    midnight = to_utc(datetime.combine(day, time()), zone)
    return clock_changes(midnight - SECOND, to_utc(datetime.combine(day + DAY, time(12)), zone), zone)


def _first_at(offset: timedelta, after: datetime, until: datetime, zone: str) -> datetime:
    """Return the first whole second at which the offset holds, which it does not at `after` and does at `until`."""
    while until - after > SECOND:
        middle = after + (until - after) // (2 * SECOND) * SECOND
        if _offset(middle, zone) == offset:
            until = middle
        else:
            after = middle
    return until


def _offset(at: datetime, zone: str) -> timedelta:
    return to_local(at, zone) - at.replace(tzinfo=None)
