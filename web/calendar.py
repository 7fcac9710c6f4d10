"""A session's calendar, for programs that subscribe to it.

It has one event for each date, and no rule, so every program shows moved and cancelled dates as they are. A date's UID
comes from its occurrence in the recurrence, so it stays the same when its row is made, moved, cancelled or restored.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Response, request, url_for
from icalendar import Calendar, Event, Timezone, TimezoneDaylight, TimezoneStandard, vText

from core.db.transaction_settings import clock
from core.errors import UnknownTimeZone
from core.store.views.pages import SessionRow
from core.timezones import clock_changes, require_zone, to_local, zone_data_version
from web import dates, words
from web.dates import Date
from web.host import host, require_session, transaction

PAST = timedelta(days=90)
AHEAD = timedelta(days=366)
FRESH = timedelta(minutes=15)
PRODUCT = "-//Seisiun//Sessions//EN"


def feed(session_id: int) -> Response:
    """Return the calendar; it is public, so it names no people."""
    with transaction() as connection:
        session = require_session(connection, session_id)
        now = clock(connection)
        today = dates.today(session, now)
        found = dates.between(connection, session, today - PAST, today + AHEAD)
    response = Response(mimetype="text/calendar")
    response.set_etag(_etag(session, found, today))
    response.make_conditional(request)
    if response.status_code != HTTPStatus.NOT_MODIFIED:
        response.set_data(_calendar(session, found, today))
    # For a viewer with cookies, the host's answer may set one of theirs again: no shared cache may keep that.
    if request.cookies:
        response.cache_control.private = True
    else:
        response.cache_control.public = True
    response.cache_control.max_age = int(FRESH.total_seconds())
    response.headers["Content-Disposition"] = f'inline; filename="session-{session_id}.ics"'
    return response


def _etag(session: SessionRow, found: list[Date], today: date) -> str:
    """Return a tag of all that the calendar is made of: a program that has it asks for a query, and no more."""
    made_of = (session, found, today, host().site_url, zone_data_version())
    return sha256(repr(made_of).encode()).hexdigest()


def _calendar(session: SessionRow, found: list[Date], today: date) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", vText(_text(session.name)))  # the library escapes only the names that it knows
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    try:
        zone = require_zone(session.timezone)
    except UnknownTimeZone:
        return bytes(calendar.to_ical())  # without a zone its times have no instants: return an empty calendar
    timed = [date for date in found if date.hours]
    calendar.add_component(_timezone(zone, today - PAST - timedelta(days=370), today + AHEAD + timedelta(days=2)))
    for one in timed:
        calendar.add_component(_event(session, one, zone, today))
    return bytes(calendar.to_ical())


def _event(session: SessionRow, one: Date, zone: str, today: date) -> Event:
    assert one.hours
    instance = one.instance
    cancelled = instance is not None and instance.is_cancelled
    event = Event()
    event.add("uid", f"{_identity(session, one)}@{urlsplit(host().site_url or '').hostname or 'seisiun'}")
    event.add("dtstamp", datetime.combine(today, time(), UTC))
    event.add("dtstart", one.hours.start, parameters={"TZID": zone})
    event.add("dtend", one.hours.end, parameters={"TZID": zone})
    event.add("summary", _text(f"Cancelled: {session.name}" if cancelled else session.name))
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    place = (instance and instance.location_override) or words.place(session.city, session.country)
    event.add("location", _text(place))
    if instance and (texts := [text for text in (instance.cancel_reason, instance.comments) if text]):
        event.add("description", _text("\n".join(texts)))
    if site_url := host().site_url:
        event.add("url", site_url + _path(session, one))
    return event


def _text(value: str) -> str:
    """Return a text without control characters, except line feeds and tabs: RFC 5545 3.1 allows no others.

    The library escapes what has a meaning (3.3.11), and folds lines at 75 octets (3.1).
    """
    return _CONTROL.sub("", _LINE_BREAK.sub("\n", value))


_LINE_BREAK = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def _identity(session: SessionRow, one: Date) -> str:
    if one.occurrence:
        return f"session-{session.session_id}-{one.occurrence.start:%Y%m%dT%H%M}"
    assert one.instance
    return f"instance-{one.instance.session_instance_id}"


def _path(session: SessionRow, one: Date) -> str:
    if one.instance:
        return url_for(".instance", session_instance_id=one.instance.session_instance_id)
    return url_for(".session", session_id=session.session_id)


# The zone, from our own zone data, so that a calendar program and the scheduler mean the same instants (T5)


def _timezone(zone: str, first: date, last: date) -> Timezone:
    """Return the zone's VTIMEZONE: the offset at `first`, and each change up to `last` (RFC 5545 3.6.5)."""
    timezone = Timezone()
    timezone.add("tzid", zone)
    at, end = (datetime.combine(day, time(), UTC) for day in (first, last))
    offset = to_local(at, zone) - at.replace(tzinfo=None)
    timezone.add_component(_observance(TimezoneStandard(), to_local(at, zone), offset, offset))
    for change in clock_changes(at, end, zone):
        kind = TimezoneDaylight() if change.shift > timedelta() else TimezoneStandard()
        # DTSTART is the wall time just before the change, by the offset that ends with it.
        timezone.add_component(_observance(kind, change.set_from, offset, offset + change.shift))
        offset += change.shift
    return timezone


def _observance(
    kind: TimezoneStandard | TimezoneDaylight, wall: datetime, before: timedelta, after: timedelta
) -> TimezoneStandard | TimezoneDaylight:
    kind.add("dtstart", wall)
    kind.add("tzoffsetfrom", before)
    kind.add("tzoffsetto", after)
    return kind
