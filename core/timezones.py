"""Wall times to instants and back, by the rules of the one pinned zone database (T1, T5).

The only module that imports pytz. Its transitions end in 2037; later times keep that year's last offset.
"""

import difflib
from datetime import UTC, datetime
from functools import cache

import pytz
from pytz.tzinfo import BaseTzInfo

from core.errors import UnknownTimeZone


def to_utc(local: datetime, zone: str) -> datetime:
    """Return the instant, aware in UTC, at which clocks in `zone` show the naive wall time `local`.

    In a gap the offset before the gap counts, in an overlap the first of the two instants (RFC 5545 3.3.5;
    T1), whatever `local.fold` says. Raises UnknownTimeZone; ValueError where `local` is aware; OverflowError
    within two days of the calendar's ends (years 1 and 9999).
    """
    if local.tzinfo is not None:
        raise ValueError(f"a wall time is naive, but {local!r} is aware")
    rules = _rules(zone)
    try:
        return rules.localize(local, is_dst=None).astimezone(UTC)
    except pytz.AmbiguousTimeError:
        choose = min
    except pytz.NonExistentTimeError:
        choose = max
    # is_dst means neither first nor second (Dublin's is negative), but asking for both gives both candidates.
    return choose(rules.localize(local, is_dst=flag).astimezone(UTC) for flag in (True, False))


def to_local(instant: datetime, zone: str) -> datetime:
    """Return the naive wall time that clocks in `zone` show at the aware `instant`.

    Raises UnknownTimeZone; ValueError where `instant` is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"an instant is aware, but {instant!r} is naive")
    return instant.astimezone(_rules(zone)).replace(tzinfo=None)


def zone_names() -> tuple[str, ...]:
    """Return the names of the zones that somebody may choose from."""
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
    """Return the zone that differs only in case and spaces, or up to three like it, the nearest first."""
    by_plain_name = {known.casefold(): known for known in pytz.all_timezones}
    plain_name = name.strip().casefold().replace(" ", "_")
    if plain_name in by_plain_name:
        return [by_plain_name[plain_name]]
    return [by_plain_name[plain] for plain in difflib.get_close_matches(plain_name, by_plain_name)]
