"""The board: what is on, and who may see whom."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import check_in
from core.timezones import to_utc
from tests import data
from tests.web.site import Browser, World, look
from web import strips, words

Open = Callable[[], Browser]


def test_what_is_on_by_country_and_town_and_what_opens_next(world: World, browser: Open) -> None:
    page = browser().get("/")

    assert "2 sessions in 1 town." in page
    assert page.index('<h2 class="country">USA') < page.index("Austin, TX") < page.index("Donn&#39;s Depot")
    assert page.index("Opens next") < page.rindex(f"instances/{world.later_today}")
    assert "Phoenix time" in page
    assert 'role="img"' in page


def test_nothing_on(browser: Open) -> None:
    page = browser().get("/")

    assert "Nothing is on just now." in page
    assert "Nothing opens within a day." in page


def test_names_are_for_those_who_are_signed_in(world: World, app: Connection, browser: Open) -> None:
    check_in(app, world.noirin, world.muellers_now, "yes", "On the pipes")
    public, member = browser(), browser().be(world.sean)
    paths = ("/", "/board", f"/instances/{world.muellers_now}", f"/sessions/{world.muellers}",
             f"/sessions/{world.muellers}.ics", "/metrics", "/healthz")  # fmt: skip

    for path in paths:
        seen = public.get(path)
        assert not any(word in seen for word in ("irín", "pipes", "u00f3")), path
    assert "Nóirín Ní Bhriain" in member.get("/")
    assert "Nóirín Ní Bhriain" in json.loads(member.get("/board"))["html"]["usa/tx/austin"]
    assert "On the pipes" in member.get(f"/instances/{world.muellers_now}")


def first_events(client: Browser, count: int, path: str = "/stream") -> list[str]:
    """Return the first events of a stream, its greeting apart."""
    response = client.client.get(path)
    assert response.status_code == 200
    assert response.headers["X-Accel-Buffering"] == "no"
    body: Iterator[str] = (chunk.decode() if isinstance(chunk, bytes) else chunk for chunk in response.response)
    assert next(body).startswith("retry: ")
    found = [next(body) for _ in range(count)]
    response.close()
    return found


def test_the_stream_begins_with_the_whole_board_and_names_nobody_to_the_public(
    world: World, app: Connection, pages: Flask
) -> None:
    check_in(app, world.noirin, world.muellers_now, "yes")
    [public] = first_events(Browser(pages), 1)
    [member] = first_events(Browser(pages).be(world.noirin), 1)

    assert "event: board" in public
    assert set(json.loads(public.split("data: ")[1])["html"]) == {"summary", "country:usa", "usa/tx/austin", "next"}
    assert "Bhriain" not in public
    assert "Bhriain" in member
    assert "You're at" in json.loads(member.split("event: you\ndata: ")[1])["html"]


def test_a_stream_has_the_difference_when_something_flips(
    world: World, app: Connection, database_url: str, pages: Flask
) -> None:
    response = Browser(pages).client.get("/stream")
    body = (chunk.decode() if isinstance(chunk, bytes) else chunk for chunk in response.response)
    next(body), next(body)

    data.change_instance(app, world.muellers_now, is_cancelled=True)
    threading.Thread(target=look, args=(database_url,)).start()

    html: dict[str, str] = {}
    while "usa/tx/austin" not in html or "1 session" not in html.get("summary", ""):
        html |= json.loads(next(body).split("data: ")[1])["html"]
    assert "country:usa" not in html
    response.close()


def test_a_stream_too_many_is_refused_with_when_to_ask_again(pages: Flask) -> None:
    hub = pages.extensions["seisiun"].hub
    hub._most_streams = 1
    opened = Browser(pages).client.get("/stream")

    refused = Browser(pages).client.get("/stream")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "15")

    opened.close()  # one that nobody has read from, too
    assert hub.streams == 0
    assert Browser(pages).client.get("/stream").status_code == 200


def test_polling_is_told_when_nothing_is_new(world: World, app: Connection, pages: Flask) -> None:
    client = Browser(pages).client
    tag = client.get("/board").headers["ETag"]

    assert client.get("/board", headers={"If-None-Match": tag}).status_code == 304
    data.change_session(app, world.muellers, name="Another name")
    assert client.get("/board", headers={"If-None-Match": tag}).status_code == 200


def test_a_town_is_one_however_it_is_written(world: World, app: Connection, browser: Open) -> None:
    data.change_session(app, world.donns, city=" austin ", state="tx", country="usa")

    assert "2 sessions in 1 town." in browser().get("/")


def test_an_unknown_zone_takes_no_page_down(world: World, app: Connection, browser: Open) -> None:
    data.change_session(app, world.donns, timezone="Mars/Olympus", recurrence="Thursdays, most weeks")
    data.change_session(app, world.later, timezone=None)
    member = browser().be(world.organiser, organiser=True)

    for session_id, instance_id in ((world.donns, world.donns_now), (world.later, world.later_today)):
        assert "UTC" in member.get("/")
        member.get(f"/instances/{instance_id}")
        assert "Its times cannot be read" in member.get(f"/sessions/{world.donns}")
        member.get(f"/sessions/{session_id}")
        member.get(f"/sessions/{session_id}/edit")
        assert "BEGIN:VCALENDAR" in member.get(f"/sessions/{session_id}.ics")


@pytest.mark.parametrize(
    ("zone", "wall", "begins", "hours"),
    [
        ("Europe/Dublin", (2026, 11, 26, 5, 59), (2026, 11, 25, 6), 24),
        ("Europe/Dublin", (2026, 11, 26, 6, 0), (2026, 11, 26, 6), 24),
        ("America/New_York", (2026, 11, 1, 0, 30), (2026, 10, 31, 6), 25),
        ("America/New_York", (2026, 3, 8, 1, 30), (2026, 3, 7, 6), 23),
        ("Mars/Olympus", (2026, 11, 26, 12, 0), (2026, 11, 26, 6), 24),
    ],
)
def test_a_day_of_music_ends_at_six_in_the_morning(
    zone: str, wall: tuple[int, ...], begins: tuple[int, ...], hours: int
) -> None:
    known = zone if zone != "Mars/Olympus" else "UTC"
    day = strips.day_of(to_utc(datetime(*wall), known), zone)  # type: ignore[arg-type] # of year to minute

    assert day.begins_at == to_utc(datetime(*begins), known)  # type: ignore[arg-type]
    assert day.ends_at - day.begins_at == timedelta(hours=hours)
    assert day.percent(day.begins_at - timedelta(hours=1)) == 0
    assert day.percent(datetime(2100, 1, 1, tzinfo=UTC)) == 100


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("America/Chicago", "Chicago time"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires time"),
        ("UTC", "UTC"),
        (None, "no time zone"),
    ],
)
def test_zones_are_called_by_their_town(zone: str | None, said: str) -> None:
    assert words.zone(zone) == said


def test_ones_own_zone_is_a_cookie_and_no_more(world: World, browser: Open) -> None:
    visitor = browser()
    assert "On your clock" not in visitor.get(f"/instances/{world.muellers_now}")

    visitor.post("/zone", zone="Pacific/Auckland")
    assert "Auckland time" in visitor.get(f"/instances/{world.muellers_now}")
    assert "On your clock" in visitor.get(f"/instances/{world.muellers_now}")

    visitor.post("/zone", 400, zone="Mars/Olympus")
    visitor.post("/zone", zone="")
    assert "On your clock" not in visitor.get(f"/instances/{world.muellers_now}")
