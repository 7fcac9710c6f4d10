"""Turns the hours that an instance states into the window in which it is active (T2 to T4)."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from core.recurrence.schedules import DEFAULT_LENGTH, LocalHours
from core.timezones import to_utc

DEFAULT_BUFFER = timedelta(minutes=60)
LONGEST_BUFFER_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open interval of instants, aware in UTC: open at `opens_at`, over at `closes_at` (T4)."""

    opens_at: datetime
    closes_at: datetime

    def contains(self, at: datetime) -> bool:
        """Whether the window is open at that instant."""
        return self.opens_at <= at < self.closes_at


@dataclass(frozen=True, slots=True)
class StatedHours:
    """The instants, aware in UTC, of an instance's stated start and end; half-open like a window."""

    starts_at: datetime
    ends_at: datetime

    def contains(self, at: datetime) -> bool:
        """Whether that instant is within the stated hours."""
        return self.starts_at <= at < self.ends_at

    def window(self, *, before: timedelta = DEFAULT_BUFFER, after: timedelta = DEFAULT_BUFFER) -> Window:
        """Return the window that opens `before` these hours and closes `after` them, in elapsed time (T2)."""
        return Window(self.starts_at - before, self.ends_at + after)


def stated_span(
    day: date, start: time, end: time | None, *, default_length: timedelta = DEFAULT_LENGTH
) -> tuple[datetime, datetime]:
    """Return the naive local start and end of an instance dated `day` (T3)."""
    occurrence = LocalHours(start, end, default_length).on(day)
    return occurrence.start, occurrence.end


def stated_hours(start: datetime, end: datetime, zone: str) -> StatedHours:
    """Return the instants of a naive local start and end (T1).

    If a clock change leaves no time between them, the end is the start plus the stated length (T2).
    Raises UnknownTimeZone.
    """
    starts_at, ends_at = to_utc(start, zone), to_utc(end, zone)
    if ends_at <= starts_at:
        ends_at = starts_at + (end - start)
    return StatedHours(starts_at, ends_at)


def activation_window(
    start: datetime,
    end: datetime,
    zone: str,
    *,
    before: timedelta = DEFAULT_BUFFER,
    after: timedelta = DEFAULT_BUFFER,
) -> Window:
    """Return the window of a naive local start and end: first to UTC, then the buffers (T2).

    Raises UnknownTimeZone.
    """
    return stated_hours(start, end, zone).window(before=before, after=after)
