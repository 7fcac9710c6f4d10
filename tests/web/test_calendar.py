"""The feed that calendar programs subscribe to, read back with the library that they use."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from icalendar import Calendar, Component
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.recurrence import with_break
from core.store.views.pages import MOST_INSTANCES
from core.timezones import to_local
from tests import data
from tests.web.site import Browser, reconcile
from web import calendar

Open = Callable[[], Browser]
ZONES = ["Europe/Dublin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Etc/UTC", "America/Havana"]


def weekly(app: Connection, zone: str = "Europe/Dublin") -> int:
    day = {"type": "weekly", "weekday": "thursday", "start_time": "21:00", "end_time": "0:30"}
    return data.add_session(app, json.dumps({"schedules": [day]}), timezone=zone, city="Dublin", country="Ireland")


def events(text: str) -> dict[str, Component]:
    return {str(event["uid"]): event for event in Calendar.from_ical(text).walk("VEVENT")}


def test_an_event_for_each_date_of_a_year_in_the_sessions_own_zone(app: Connection, browser: Open) -> None:
    session_id = weekly(app)

    answer = browser().client.get(f"/sessions/{session_id}.ics")
    found = list(events(answer.text).values())

    assert answer.mimetype == "text/calendar"
    assert 62 <= len(found) <= 67
    first = found[0]
    assert "DTSTART;TZID=Europe/Dublin:" in answer.text
    assert first.decoded("dtend") - first.decoded("dtstart") == timedelta(hours=3.5)
    assert {event["status"] for event in found} == {"CONFIRMED"}
    assert {str(event["location"]) for event in found} == {"Dublin, Ireland"}
    tag = answer.headers["ETag"]
    again = browser().client.get(f"/sessions/{session_id}.ics", headers={"If-None-Match": tag})
    assert again.status_code == 304


def test_r7_a_feed_has_no_event_on_the_dates_of_a_break(app: Connection, browser: Open) -> None:
    session_id = weekly(app)
    path = f"/sessions/{session_id}.ics"
    before = {event.decoded("dtstart").date() for event in events(browser().get(path)).values()}
    first, last = (datetime.now(UTC).date() + timedelta(days=days) for days in (20, 50))
    text = str(data.value(app, "SELECT recurrence FROM session"))

    data.change_session(app, session_id, recurrence=with_break(text, first, last, "painting"))

    after = {event.decoded("dtstart").date() for event in events(browser().get(path)).values()}
    assert 4 <= len(before - after) <= 5
    assert after == {day for day in before if not first <= day <= last}


def test_uids_are_stable_when_rows_are_made_moved_and_cancelled(
    app: Connection, browser: Open, database_url: str
) -> None:
    session_id = weekly(app)
    path = f"/sessions/{session_id}.ics"
    before = events(browser().get(path))
    person = data.add_person(app)
    start = next(
        event.decoded("dtstart").replace(tzinfo=None)
        for event in before.values()
        if event.decoded("dtstart").date() > datetime.now(UTC).date() + timedelta(days=3)
    )
    browser().be(person).post(f"/sessions/{session_id}/dates", attendance="yes", start=start.isoformat())
    instance_id = data.value(app, "SELECT max(session_instance_id) FROM session_instance WHERE date = %s", start.date())

    assert set(events(browser().get(path))) == set(before)

    changes = {"is_cancelled": True, "cancel_reason": "A wedding", "comments": "No room; next week again"}
    data.change_instance(app, instance_id, start_time="20:00", **changes)
    reconcile(database_url)
    after = events(browser().get(path))
    [cancelled] = [event for event in after.values() if str(event["summary"]) == "Cancelled: The Cobblestone"]
    assert set(after) == set(before)
    assert (cancelled["status"], cancelled["transp"]) == ("CONFIRMED", "TRANSPARENT"), "programs hide CANCELLED"
    assert {str(event["transp"]) for event in after.values() if event is not cancelled} == {"OPAQUE"}
    assert cancelled.decoded("dtstart").hour == 20
    assert str(cancelled["description"]) == "A wedding\nNo room; next week again"
    assert "url" not in cancelled, "the app has not said where the public reaches it"


def test_an_evening_that_no_longer_fits_the_pattern_says_so(app: Connection, browser: Open, database_url: str) -> None:
    session_id = weekly(app)
    path = f"/sessions/{session_id}.ics"
    start = max(event.decoded("dtstart") for event in events(browser().get(path)).values()).replace(tzinfo=None)
    visitor = browser().be(data.add_person(app))
    visitor.post(f"/sessions/{session_id}/dates", attendance="yes", start=start.isoformat())
    data.change_session(app, session_id, recurrence=None)
    reconcile(database_url)

    [lost] = events(browser().get(path)).values()

    assert (str(lost["summary"]), lost["transp"]) == ("Does not take place: The Cobblestone", "TRANSPARENT")
    on_day = browser().get(f"/sessions?day={start.date()}")
    assert all("<strong>does not take place</strong>" in page for page in (on_day, visitor.get("/me")))


def test_a_towns_feed_has_the_next_month_of_its_sessions(app: Connection, browser: Open) -> None:
    first, second, elsewhere = weekly(app), weekly(app, "America/New_York"), weekly(app)
    data.change_session(app, second, name="Hughes'")
    data.change_session(app, elsewhere, city="Cork")
    data.add_session(app, timezone=None, city="Dublin", country="Ireland")
    path = "/sessions.ics?city=dublin&country=ireland"

    answer = browser().client.get(path)
    found = events(answer.text)

    assert {str(event["summary"]) for event in found.values()} == {"The Cobblestone", "Hughes'"}
    assert {uid.rpartition("-")[0] for uid in found} == {f"session-{first}", f"session-{second}"}
    assert 8 <= len(found) <= 12
    assert {str(zone["tzid"]) for zone in Calendar.from_ical(answer.text).walk("VTIMEZONE")} == {
        "Europe/Dublin", "America/New_York"
    }  # fmt: skip
    assert set(found) <= set(events(browser().get(f"/sessions/{first}.ics"))) | set(
        events(browser().get(f"/sessions/{second}.ics"))
    ), "the same evening has the same UID in both feeds"
    assert browser().client.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert "names no town" in browser().get("/sessions.ics", 400)
    assert events(browser().get("/sessions.ics?city=Nowhere")) == {}


@pytest.mark.usefixtures("app_of_its_own")
def test_links_for_calendar_programs_need_the_sites_address(app: Connection, browser: Open, pages: Flask) -> None:
    session_id = weekly(app)
    places = (f"/sessions/{session_id}", "/sessions?city=Dublin&country=Ireland")
    feeds = (f"/sessions/{session_id}.ics", "/sessions.ics?city=Dublin&amp;country=Ireland")
    for page, feed in zip(places, feeds, strict=True):
        assert f'<a href="{feed}">Subscribe in your calendar</a>' in browser().get(page)
        assert "webcal:" not in browser().get(page)

    pages.extensions["seisiun"] = replace(pages.extensions["seisiun"], site_url="https://tunes.example")

    for page, feed in zip(places, feeds, strict=True):
        shown = browser().get(page)
        assert f'<a href="webcal://tunes.example{feed}">Subscribe in your calendar</a>' in shown
        [google] = re.findall(r'"https://calendar.google.com/calendar/render\?cid=([^"]+)"', shown)
        assert unquote(google) == f"webcal://tunes.example{feed}".replace("&amp;", "&")


@pytest.mark.parametrize("zone", ZONES)
def test_the_zones_rules_are_the_schedulers_own(zone: str) -> None:
    """An independent reader of the VTIMEZONE means the same instants, before and after each change."""
    written = calendar._timezone(zone, date(2026, 1, 1), date(2027, 12, 31))
    observances = sorted((one.decoded("dtstart"), one) for one in written.subcomponents)
    walls = [datetime(2026, 1, 2) + timedelta(minutes=17 * 60 * n) for n in range(900)]

    for wall in walls:
        # RFC 5545 3.6.5: the observance with the latest onset at or before the wall time, by the offset before it.
        offset = [one.decoded("tzoffsetto") for onset, one in observances if onset <= wall][-1]
        instant = wall.replace(tzinfo=UTC) - offset
        if to_local(instant, zone) != wall:
            assert (
                wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
                != wall
            ), (wall, offset)  # a wall time that no clock shows


def test_a_feed_names_nobody(app: Connection, browser: Open) -> None:
    session_id = weekly(app)
    person = data.add_person(app, first_name="Fiach")
    instance = data.add_instance(app, session_id, "2026-12-24", "21:00", "23:00")
    data.add_check_in(app, instance, person)

    assert "Fiach" not in browser().get(f"/sessions/{session_id}.ics")


def test_a_shared_cache_keeps_a_feed_only_without_anybodys_cookies(app: Connection, browser: Open) -> None:
    """A host's session may be permanent: then each answer to somebody who is signed in sets their cookie again."""
    feed, visitor = f"/sessions/{weekly(app)}.ics", browser()
    assert "public" in visitor.client.get(feed).headers["Cache-Control"]

    visitor.be(data.add_person(app))
    with visitor.client.session_transaction() as cookie:
        cookie.permanent = True
    answer = visitor.client.get(feed)

    assert "Set-Cookie" in answer.headers
    assert "private" in answer.headers["Cache-Control"]


def test_r6_the_largest_feed_is_made_in_a_second(
    app: Connection, browser: Open, figures: Callable[[str], None]
) -> None:
    """As many starts as a recurrence may have, beside more rows than a page reads.

    Measured in CPU time, whatever runs beside us.
    """
    starts = ",".join(map(str, range(18)))
    session_id = data.add_session(app, f"DTSTART:20200101T000000\nRRULE:FREQ=WEEKLY;BYHOUR={starts}", timezone="UTC")
    path = f"/sessions/{session_id}.ics"
    client = browser().client
    client.get(path)
    begun = time.process_time()
    ruled = client.get(path)
    ruled_took = time.process_time() - begun
    data.execute(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time) "
        "SELECT %s, current_date + n / 50, '10:00', '11:00' FROM generate_series(0, %s) n",
        *(session_id, 2 * MOST_INSTANCES),
    )
    begun = time.process_time()
    rows = client.get(path)
    rows_took = time.process_time() - begun

    assert 1000 < len(events(ruled.text)) < 1250
    assert MOST_INSTANCES - 50 <= len(events(rows.text)) <= MOST_INSTANCES + 1250
    figures(f"a feed of {len(events(ruled.text))} evenings: {ruled_took * 1000:.0f} ms, {len(ruled.data) // 1024} KB")
    figures(f"a feed of {len(events(rows.text))} events: {rows_took * 1000:.0f} ms, {len(rows.data) // 1024} KB")
    assert max(ruled_took, rows_took) < 3
    begun = time.process_time()
    again = client.get(path, headers={"If-None-Match": rows.headers["ETag"]})
    again_took = time.process_time() - begun
    assert (again.status_code, again.data) == (304, b"")
    assert again_took < rows_took / 2, "the calendar is not made again"
    figures(f"the same feed again: {again_took * 1000:.0f} ms")
    assert rows.headers["ETag"] != ruled.headers["ETag"]


def test_a_feed_ends_before_the_rows_that_it_does_not_read(app: Connection, browser: Open) -> None:
    """A cancelled date whose row was not read would look like one that takes place."""
    session_id = weekly(app, "UTC")
    data.execute(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time, is_cancelled) "
        "SELECT %s, current_date + 1 + n / 200, '10:00', '11:00', true FROM generate_series(0, %s) n",
        *(session_id, MOST_INSTANCES),
    )

    found = events(browser().get(f"/sessions/{session_id}.ics")).values()

    last = max(event.decoded("dtstart").date() for event in found)
    assert last < datetime.now(UTC).date() + timedelta(days=1 + MOST_INSTANCES // 200)
