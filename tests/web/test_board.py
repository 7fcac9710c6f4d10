"""The board: what is on, and who may see the names of people."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import check_in
from tests import data
from tests.web.site import Browser, World, add_hours, make_world, reconcile
from web import board, words

Open = Callable[[], Browser]
# Where it is about noon, so that what starts in five hours is still on the same day of music. None has summer time.
CITIES = {
    -10: "Pacific/Honolulu",
    -7: "America/Phoenix",
    -3: "America/Cayenne",
    0: "Africa/Abidjan",
    3: "Africa/Nairobi",
}
CITIES |= {6: "Asia/Dhaka", 9: "Asia/Tokyo", 11: "Pacific/Noumea"}
ZONE = CITIES[min(CITIES, key=lambda hours: abs((datetime.now(UTC).hour + hours) % 24 - 12))]
ZONE_IN_WORDS = words.zone(ZONE)


@pytest.fixture
def world(app: Connection, database_url: str) -> World:
    return make_world(app, database_url, ZONE)


def test_what_is_on_by_country_then_by_town_then_a_towns_day(
    world: World, app: Connection, browser: Open, database_url: str
) -> None:
    add_hours(app, data.add_session(app, name="A", timezone=ZONE, city="Reno", state="NV", country="USA"), -1, 1)
    add_hours(app, data.add_session(app, name="Ó", timezone=ZONE, city="Doolin", country=" ireland"), -1, 1)
    add_hours(app, data.add_session(app, name="É", timezone=ZONE, city="Ennis", country="Ireland"), -1, 1)
    add_hours(app, data.add_session(app, name="Nowhere", timezone=ZONE), -1, 1)
    reconcile(database_url)
    visitor = browser()

    everywhere = visitor.get("/")
    assert "6 sessions in 5 towns, 3 countries." in everywhere
    assert headings(everywhere) == ["Elsewhere 1 on", "Ireland 2 on, 2 towns", "USA 3 on, 2 towns", "Starts next"]
    assert everywhere.index("Starts next") < everywhere.rindex(f"instances/{world.later_today}")

    usa = visitor.get(links(everywhere)["USA"])
    assert "<h1>On now in USA</h1>" in usa
    assert "3 sessions in 2 towns." in usa
    assert headings(usa) == ["Austin, TX 2 on", "Reno, NV 1 on", "Starts next"]

    austin = visitor.get(links(usa)["Austin, TX"])
    assert headings(austin) == [f"Austin, TX, USA {ZONE_IN_WORDS}", "All sessions"]
    assert 'role="img"' in austin
    assert re.findall(r'<li class="(\w+)">\s*<a href="instances/\d+">([^<]+)', austin) == [
        ("on", "Mueller&#39;s"), ("on", "Donn&#39;s Depot"), ("later", "Late session")
    ]  # fmt: skip
    assert "Nothing is on here today." in visitor.get("/sessions?city=Cork&country=Ireland")
    assert "Nothing is on right now." in visitor.get("/?country=France")


def test_the_viewers_own_town_comes_first(world: World, app: Connection, browser: Open) -> None:
    data.change(app, "person", world.noirin, city="austin", country="usa ")
    data.change(app, "person", world.sean, city="Cork", country="Ireland")

    assert headings(browser().be(world.noirin).get("/"))[0] == f"Austin, TX, USA {ZONE_IN_WORDS}"
    assert "Nothing is on here today." in browser().be(world.sean).get("/")
    assert headings(browser().get("/"))[0] == "USA 2 on"


@pytest.mark.usefixtures("world")
def test_a_board_is_bounded_and_says_what_it_leaves_out(
    app: Connection, browser: Open, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MOST_GROUPS", "MOST_OF_GROUP", "MOST_OF_TOWN"):
        monkeypatch.setattr(board, name, 1)
    add_hours(app, data.add_session(app, name="É", timezone=ZONE, city="Ennis", country="Ireland"), -1, 1)
    reconcile(database_url)

    everywhere = browser().get("/")
    assert headings(everywhere) == ["USA 2 on", "Starts next"], "the country with the most is shown"
    assert "3 sessions in 2 towns, 2 countries." in everywhere
    assert '<p class="quiet">and 1 more</p>' in everywhere
    assert 'and 1 more: <a href="sessions">find a town</a>' in everywhere
    assert '<p class="quiet">and 2 more</p>' in browser().get("/sessions?city=Austin&country=USA")


def headings(page: str) -> list[str]:
    """Return the headings of the blocks as one reads them."""
    texts = (re.sub(r"<[^>]+>", "", found) for found in re.findall(r"<h2>(.*?)</h2>", page, re.DOTALL))
    return [" ".join(text.split()) for text in texts]


def links(page: str) -> dict[str, str]:
    found = re.findall(r'<h2><a href="([^"]+)">([^<]+)</a>', page)
    return {name: ("/" + address).replace("&amp;", "&") for address, name in found}


def test_t2_the_hours_of_the_music_come_before_what_we_add(
    world: World, app: Connection, browser: Open, database_url: str
) -> None:
    data.change_session(app, world.later, active_buffer_minutes_before=400)
    before = browser().get("/")
    reconcile(database_url)
    starts_at: time = data.value(app, "SELECT start_time FROM session_instance WHERE session_id = %s", world.later)
    starts = words.clock(starts_at)

    page = browser().get("/")
    evening = browser().get(f"/instances/{world.later_today}")

    assert re.search(rf'<span class="time">\w+ {starts}</span>', before)
    for shown in (page, evening):
        assert f"Starts at {starts}, people are gathering, open until " in shown
    assert "Playing until " in page
    tomorrow = add_hours(app, world.later, 24, 25)
    reconcile(database_url)
    assert re.search(r"Starts at \w+(:\d+)?[ap]m, open from ", browser().get(f"/instances/{tomorrow}"))


def test_nothing_on(browser: Open) -> None:
    page = browser().get("/")

    assert "Nothing is on right now." in page
    assert "Nothing is planned to open yet." in page


def test_names_are_for_those_who_are_signed_in(world: World, app: Connection, browser: Open) -> None:
    check_in(app, world.noirin, world.muellers_now, "yes", "On the pipes")
    public, member = browser(), browser().be(world.sean)
    country, town = "?country=USA", "?city=Austin&country=USA"
    boards = ("/", f"/{country}", f"/sessions{town}")
    pages = (f"/instances/{world.muellers_now}", f"/sessions/{world.muellers}", f"/sessions/{world.muellers}.ics")
    others = ("/board", f"/board{country}", f"/board{town}", "/metrics", "/healthz")

    for path in (*boards, *pages, *others):
        shown = public.get(path)
        assert not any(word in shown for word in ("irín", "pipes", "u00f3")), path
    assert all("Nóirín Ní Bhriain" in member.get(path) for path in boards)
    assert "Nóirín Ní Bhriain" in json.loads(member.get("/board"))["html"]["group:USA/None/None"]
    assert "Nóirín Ní Bhriain" in json.loads(member.get(f"/board{town}"))["html"]["usa/tx/austin"]
    assert all(
        "Nóirín Ní Bhriain" in member.get(path) for path in ("/?country=USA", "/sessions?city=Austin&country=USA")
    )
    assert "On the pipes" in member.get(f"/instances/{world.muellers_now}")


def test_a_town_is_one_however_it_is_written(world: World, app: Connection, browser: Open) -> None:
    data.change_session(app, world.donns, city=" austin ", state="tx", country="usa")

    assert "2 sessions in 1 town." in browser().get("/")
    assert len(headings(browser().get("/sessions?city=AUSTIN&country=Usa"))) == 2


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
