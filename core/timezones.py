"""Turns wall times into instants and back, by the one pinned zone database (T1, T5).

Only this module imports pytz. pytz has no clock changes after 2037: later times keep that year's last offset.
"""

import difflib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

import pytz
from pytz.tzinfo import BaseTzInfo

from core.errors import UnknownTimeZone


def to_utc(local: datetime, zone: str) -> datetime:
    """Return the instant, aware in UTC, at which clocks in `zone` show the naive wall time `local`.

    If the clocks skip the wall time (a gap), the offset before the gap counts. If they show it twice (an overlap),
    the first of the two instants counts (RFC 5545 3.3.5; T1). `local.fold` has no effect. Raises UnknownTimeZone;
    ValueError if `local` is aware; OverflowError within two days of the calendar's ends (years 1 and 9999).
    """
    if local.tzinfo is not None:
        raise ValueError(f"expected a datetime without a time zone, but {local!r} has one")
    rules = _rules(zone)
    try:
        return rules.localize(local, is_dst=None).astimezone(UTC)
    except pytz.AmbiguousTimeError:
        choose = min
    except pytz.NonExistentTimeError:
        choose = max
    # is_dst does not tell the first instant from the second (Dublin's DST is negative), so ask for both and choose.
    return choose(rules.localize(local, is_dst=flag).astimezone(UTC) for flag in (True, False))


def to_local(instant: datetime, zone: str) -> datetime:
    """Return the naive wall time that clocks in `zone` show at the aware `instant`.

    Raises UnknownTimeZone; ValueError if `instant` is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"expected a datetime with a time zone, but {instant!r} has none")
    return instant.astimezone(_rules(zone)).replace(tzinfo=None)


def zone_names() -> tuple[str, ...]:
    """Return the names of the zones that people may choose from."""
    return tuple(pytz.common_timezones)


def require_zone(name: str | None) -> str:
    """Return `name` if the zone data has exactly that zone.

    Raises UnknownTimeZone, naming the value and the names nearest to it.
    """
    if name is None or not name.strip():
        raise UnknownTimeZone("no time zone is given; expected a name such as 'Europe/Dublin'")
    if name not in pytz.all_timezones_set:
        nearest = " or ".join(map(repr, _nearest_names(name))) or "a name such as 'Europe/Dublin'"
        raise UnknownTimeZone(f"{name!r:.80} is not a known time zone; expected {nearest}")
    return name


def zone_data_version() -> str:
    """Return the release of the zone database in use, such as "2026f"; a newer one compares greater (T5)."""
    return str(pytz.OLSON_VERSION)  # type: ignore[attr-defined] # the stubs lack it


@cache
def _rules(zone: str) -> BaseTzInfo:
    return pytz.timezone(require_zone(zone))


def _nearest_names(name: str) -> list[str]:
    """Return the zone that differs only in case and spaces, or up to three similar ones, the nearest first."""
    by_plain_name = {known.casefold(): known for known in pytz.all_timezones}
    plain_name = name.strip().casefold().replace(" ", "_")
    if plain_name in by_plain_name:
        return [by_plain_name[plain_name]]
    return [by_plain_name[plain] for plain in difflib.get_close_matches(plain_name, by_plain_name)]


# When clocks change

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """An instant, aware in UTC, at which the clocks of `zone` jump by `shift`: forward if it is positive."""

    at: datetime
    shift: timedelta
    zone: str

    @property
    def set_from(self) -> datetime:
        """The naive wall time from which the clocks jump; they do not show it."""
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
        day_over = min(after + _DAY, until)
        if shift := _offset(day_over, zone) - _offset(after, zone):
            found.append(ClockChange(_first_at(_offset(day_over, zone), after, day_over, zone), shift, zone))
        after = day_over
    return tuple(found)


def changes_of_night(day: date, zone: str) -> tuple[ClockChange, ...]:
    """Return the clock changes from the start of a local date until noon of the next day. Raises UnknownTimeZone."""
    midnight = to_utc(datetime.combine(day, time()), zone)
    return clock_changes(midnight - _SECOND, to_utc(datetime.combine(day + _DAY, time(12)), zone), zone)


def _first_at(offset: timedelta, after: datetime, until: datetime, zone: str) -> datetime:
    """Return the first whole second with this offset: it does not hold at `after`, and it holds at `until`."""
    while until - after > _SECOND:
        middle = after + (until - after) // (2 * _SECOND) * _SECOND
        if _offset(middle, zone) == offset:
            until = middle
        else:
            after = middle
    return until


def _offset(at: datetime, zone: str) -> timedelta:
    return to_local(at, zone) - at.replace(tzinfo=None)
