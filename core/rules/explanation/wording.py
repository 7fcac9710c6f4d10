"""How explanations say instants, hours, buffers and lengths of time: in the session's own zone and in UTC."""

from datetime import UTC, datetime, timedelta

from core.errors import UnknownTimeZone
from core.timezones import require_zone, to_local


def instant(at: datetime, zone: str | None) -> str:
    """Return "Thu 3 Dec 2026 19:00 Europe/Dublin (2026-12-03 19:00 UTC)"; without a known zone only the UTC part."""
    in_utc = f"{_clock(at.astimezone(UTC), '%Y-%m-%d')} UTC"
    if zone == "UTC":
        return f"{wall(at.astimezone(UTC).replace(tzinfo=None))} UTC"
    try:
        return f"{wall(to_local(at, require_zone(zone)))} {zone} ({in_utc})"
    except UnknownTimeZone:
        return in_utc


def between(start: datetime, end: datetime, zone: str | None) -> str:
    """Return two instants as a span: in the zone, and in UTC."""
    in_utc = f"{span(*(one.astimezone(UTC).replace(tzinfo=None) for one in (start, end)))} UTC"
    if zone == "UTC":
        return in_utc
    try:
        return f"{span(*(to_local(one, require_zone(zone)) for one in (start, end)))} {zone} ({in_utc})"
    except UnknownTimeZone:
        return in_utc


def wall(local: datetime) -> str:
    """Return a naive local time as "Thu 3 Dec 2026 19:00"; with seconds if it has some."""
    return f"{local:%a} {local.day} " + _clock(local, "%b %Y")


def span(start: datetime, end: datetime) -> str:
    """Return naive local hours as "Thu 3 Dec 2026 19:00 to 22:00"; with the end's date if it is another one."""
    return f"{wall(start)} to {_clock(end, '').strip() if end.date() == start.date() else wall(end)}"


def until(at: datetime, seen_at: datetime, zone: str | None) -> str:
    """Return an instant as short as `seen_at` allows: "23:30", or with its date if that is another one."""
    try:
        local, seen = (to_local(one, require_zone(zone)) for one in (at, seen_at))
    except UnknownTimeZone:
        return instant(at, zone)
    return _clock(local, "").strip() if local.date() == seen.date() else wall(local)


def buffers(before: timedelta, after: timedelta) -> str:
    """Return "an hour before to an hour after", as it follows the hours."""
    if not before and not after:
        return "without buffers"
    return f"{length(before) if before else 'no time'} before to {length(after) if after else 'no time'} after"


def length(time: timedelta) -> str:
    """Return "an hour", "90 minutes", "2 hours", "3 days", "12.0 s" or "8 ms"."""
    if time < timedelta(seconds=1):
        return f"{time / timedelta(milliseconds=1):.0f} ms"
    for unit, one, many in ((timedelta(days=1), "a day", "days"), (timedelta(hours=1), "an hour", "hours")):
        if time >= unit and not time % unit:
            return one if time == unit else f"{time // unit} {many}"
    minutes, seconds = divmod(time, timedelta(minutes=1))
    if not seconds:
        return "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"{time.total_seconds():.1f} s"


def _clock(at: datetime, day: str) -> str:
    return f"{at:{day} %H:%M:%S}" if at.replace(microsecond=0).second else f"{at:{day} %H:%M}"
