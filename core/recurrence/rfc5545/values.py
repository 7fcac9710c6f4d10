"""Values as RFC 5545 writes them (3.3): moments, days and lengths, and their place in a text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count

from core.errors import InvalidRecurrence
from core.recurrence.schedules import FIRST_YEAR, LAST_DAY
from core.timezones import to_local, to_utc

FIRST_DAY = date(FIRST_YEAR, 1, 1)

DAY = timedelta(days=1)

_DAY = re.compile("([0-9]{4})([0-9]{2})([0-9]{2})")
_MOMENT = re.compile(_DAY.pattern + "T([0-9]{2})([0-9]{2})([0-9]{2})(Z?)")
_LENGTH = re.compile(
    r"\+?P(?=.)(?:([0-9]{1,5})W|(?:([0-9]{1,5})D)?(?:T(?=.)(?:([0-9]{1,5})H)?(?:([0-9]{1,5})M)?(?:([0-9]{1,5})S)?)?)"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A value as it was written, and its place in the text."""

    place: str
    value: str

    def problem(self, expected: str) -> str:
        """Return the message for the author of the text."""
        return f"{self.place} is {self.value!r:.60}; expected {expected}"

    def refused(self, expected: str) -> InvalidRecurrence:
        """Return the error to raise."""
        return InvalidRecurrence(self.problem(expected))


@dataclass(frozen=True, slots=True)
class Moment:
    """A DATE-TIME (3.3.5): a naive local time, or one in UTC, to the second."""

    wall: datetime
    in_utc: bool


def moment(part: Part, expected: str, *, last: date = LAST_DAY) -> Moment:
    """Read a DATE-TIME that is not after the date `last`."""
    match = _MOMENT.fullmatch(part.value.upper())
    if not match:
        raise part.refused(expected)
    *numbers, z = match.groups()
    try:
        wall = datetime(*map(int, numbers))  # type: ignore[arg-type] # noqa: DTZ001 - local, or said to be in UTC
    except ValueError as error:
        raise part.refused(f"{expected}, on a date and at a time that exist") from error
    _require_era(part, wall.date(), last)
    return Moment(wall, bool(z))


def is_day(part: Part) -> bool:
    """Whether the value has the form of a DATE."""
    return _DAY.fullmatch(part.value) is not None


def day(part: Part, expected: str, *, last: date = LAST_DAY) -> date:
    """Read a DATE (3.3.4) that is not after `last`."""
    match = _DAY.fullmatch(part.value)
    if not match:
        raise part.refused(expected)
    try:
        found = date(*map(int, match.groups()))
    except ValueError as error:
        raise part.refused(f"{expected}, and one that exists") from error
    _require_era(part, found, last)
    return found


def length(part: Part) -> timedelta:
    """Read a DURATION (3.3.6)."""
    match = _LENGTH.fullmatch(part.value.upper())
    if not match:
        raise part.refused("a length such as PT3H or PT2H30M")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def last_wall(until: datetime, zone: str, times: Iterable[time]) -> datetime:
    """Return the last wall time at one of `times` whose instant is not after `until` (naive, in UTC).

    Raises UnknownTimeZone.
    """
    if until.date() > LAST_DAY:
        return until
    instant = until.replace(tzinfo=UTC)
    latest = max(to_local(instant, zone), _unchanged(instant, zone))  # in an overlap, the wall time before it is later
    newest_first = sorted(times, reverse=True)
    return next(
        wall
        for days in count()
        for wall in (datetime.combine(latest - days * DAY, at) for at in newest_first)
        if wall <= latest and to_utc(wall, zone) <= instant
    )


def walls(moment_in_utc: datetime, zone: str) -> frozenset[datetime]:
    """Return the wall times that mean an instant: what clocks show then and, in a gap, what they skipped too (T1).

    Raises UnknownTimeZone.
    """
    instant = moment_in_utc.replace(tzinfo=UTC)
    local, unchanged = to_local(instant, zone), _unchanged(instant, zone)
    gap = local - unchanged
    is_skipped = gap > timedelta() and to_local(instant - gap, zone) != unchanged
    return frozenset({local, unchanged} if is_skipped else {local})


def _unchanged(instant: datetime, zone: str) -> datetime:
    """Return what clocks would show if they had not changed since a day before; no gap and no overlap is longer."""
    return to_local(instant - DAY, zone) + DAY


def _require_era(part: Part, found: date, last: date) -> None:
    if not FIRST_DAY <= found <= last:
        raise part.refused(f"a date from {FIRST_DAY} to {last}")
