"""The calendars of a session and of a town, for programs that subscribe to them.

It has one event for each date, and no rule, so every program shows moved and cancelled dates as they are. A date's UID
comes from its occurrence in the recurrence, so it stays the same when its row is made, moved, cancelled or restored.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from flask import Response, abort, request, url_for
from icalendar import Calendar, Event, Timezone, TimezoneDaylight, TimezoneStandard, vText

from core.db.transaction_settings import clock
from core.errors import UnknownTimeZone
from core.store.views import search
from core.store.views.pages import SessionRow
from core.timezones import clock_changes, require_zone, to_local, zone_data_version
from web import dates, words
from web.board import town_of
from web.dates import Date
from web.host import host, require_session, transaction

PAST = timedelta(days=90)
AHEAD = timedelta(days=366)
PAST_OF_TOWN = timedelta(days=7)
AHEAD_OF_TOWN = timedelta(days=31)
MOST_OF_TOWN = 100
FRESH = timedelta(minutes=15)
PRODUCT = "-//Seisiun//Sessions//EN"


Dates = list[tuple[SessionRow, list[Date]]]
"""Sessions, and the dates of each."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where a calendar is: for a browser, for the viewer's calendar program, and for Google's.

    The last two need an absolute address: they are None unless the app has said where the public reaches it.
    """

    file: str
    program: str | None
    google: str | None


def links(path: str) -> Links:
    """Return the links to the calendar at a path."""
    site_url = host().site_url
    if site_url is None:
        return Links(path, None, None)
    program = f"webcal://{urlsplit(site_url).netloc}{path}"
    return Links(path, program, f"https://calendar.google.com/calendar/render?cid={quote(program, safe='')}")


def feed(session_id: int) -> Response:
    """Return the calendar of a session; it is public, so it names no people."""
    with transaction() as connection:
        session = require_session(connection, session_id)
        today = dates.today(session, clock(connection))
        found = dates.between(connection, session, today - PAST, today + AHEAD)
    return _response(session.name, f"session-{session_id}", [(session, found)], today)


def town_feed() -> Response:
    """Return the calendar of a town: the next month of its first sessions by name, at most `MOST_OF_TOWN`."""
    town = town_of(request.args)
    if town is None:
        abort(400, "The address names no town; add its city and country, such as ?city=Ennis&country=Ireland.")
    with transaction() as connection:
        sessions = search.sessions_in_town(connection, town, "", MOST_OF_TOWN)
        today = clock(connection).date()
        found = dates.of_each(connection, sessions, today - PAST_OF_TOWN, today + AHEAD_OF_TOWN)
    name = f"Sessions in {words.whole_town(town)}"
    return _response(name, "town", [(session, found[session.session_id]) for session in sessions], today)


def _response(name: str, file: str, found: Dates, today: date) -> Response:
    response = Response(mimetype="text/calendar")
    response.set_etag(_etag(name, found, today))
    response.make_conditional(request)
    if response.status_code != HTTPStatus.NOT_MODIFIED:
        response.set_data(_calendar(name, found, today))
    # For a viewer with cookies, the host's answer may set one of theirs again: no shared cache may keep that.
    if request.cookies:
        response.cache_control.private = True
    else:
        response.cache_control.public = True
    response.cache_control.max_age = int(FRESH.total_seconds())
    response.headers["Content-Disposition"] = f'inline; filename="{file}.ics"'
    return response


def _etag(name: str, found: Dates, today: date) -> str:
    """Return a tag of all that the calendar is made of: a program that has it asks for a query, and no more."""
    made_of = (name, found, today, host().site_url, zone_data_version())
    return sha256(repr(made_of).encode()).hexdigest()


def _calendar(name: str, found: Dates, today: date) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", vText(_text(name)))  # the library escapes only the names that it knows
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    zones = {session.session_id: zone for session, _ in found if (zone := _zone_of(session))}
    # What has no zone has no instants either: it is left out.
    timed = [(session, one) for session, all_ in found for one in all_ if one.hours and session.session_id in zones]
    days = [one.day for _, one in timed]
    if days:
        first, last = min(days) - timedelta(days=370), max(days) + timedelta(days=2)
        for zone in sorted({*zones.values()}):
            calendar.add_component(_timezone(zone, first, last))
    for session, one in timed:
        calendar.add_component(_event(session, one, zones[session.session_id], today))
    return bytes(calendar.to_ical())


def _zone_of(session: SessionRow) -> str | None:
    try:
        return require_zone(session.timezone)
    except UnknownTimeZone:
        return None


def _event(session: SessionRow, one: Date, zone: str, today: date) -> Event:
    """Return the event of a date.

    What is cancelled has no STATUS:CANCELLED: programs hide that, or drop it. Its title says it, and it takes no time.
    """
    assert one.hours
    instance = one.instance
    off = instance and ("Cancelled" if instance.is_cancelled else "Does not take place" if instance.is_lost else None)
    event = Event()
    event.add("uid", f"{_identity(session, one)}@{urlsplit(host().site_url or '').hostname or 'seisiun'}")
    event.add("dtstamp", datetime.combine(today, time(), UTC))
    event.add("dtstart", one.hours.start, parameters={"TZID": zone})
    event.add("dtend", one.hours.end, parameters={"TZID": zone})
    event.add("summary", _text(f"{off}: {session.name}" if off else session.name))
    event.add("status", "CONFIRMED")
    event.add("transp", "TRANSPARENT" if off else "OPAQUE")
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
