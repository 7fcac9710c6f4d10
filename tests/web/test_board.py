"""The board: what is on, and who may see the names of people."""

import json
import re
from collections.abc import Callable
from datetime import time

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import check_in
from tests import data
from tests.web.site import Browser, World, add_hours, reconcile
from web import words

Open = Callable[[], Browser]


def test_what_is_on_by_country_and_town_and_what_opens_next(world: World, browser: Open) -> None:
    page = browser().get("/")

    assert "2 sessions in 1 town." in page
    assert page.index('<h2 class="country">USA') < page.index("Austin, TX") < page.index("Donn&#39;s Depot")
    assert page.index("Starts next") < page.rindex(f"instances/{world.later_today}")
    assert "Phoenix time" in page
    assert 'role="img"' in page


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
    assert "Nothing opens in the next 24 hours." in page


def test_names_are_for_those_who_are_signed_in(world: World, app: Connection, browser: Open) -> None:
    check_in(app, world.noirin, world.muellers_now, "yes", "On the pipes")
    public, member = browser(), browser().be(world.sean)
    paths = ("/", "/board", f"/instances/{world.muellers_now}", f"/sessions/{world.muellers}",
             f"/sessions/{world.muellers}.ics", "/metrics", "/healthz")  # fmt: skip

    for path in paths:
        shown = public.get(path)
        assert not any(word in shown for word in ("irín", "pipes", "u00f3")), path
    assert "Nóirín Ní Bhriain" in member.get("/")
    assert "Nóirín Ní Bhriain" in json.loads(member.get("/board"))["html"]["usa/tx/austin"]
    assert "On the pipes" in member.get(f"/instances/{world.muellers_now}")


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
