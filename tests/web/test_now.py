from collections.abc import Callable

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import data
from tests.web.site import Browser, World

Open = Callable[[], Browser]


def test_ones_own_zone_is_a_cookie_and_no_more(world: World, browser: Open) -> None:
    visitor = browser()
    assert "On your clock" not in visitor.get(f"/instances/{world.muellers_now}")

    visitor.post("/zone", zone="Pacific/Auckland")
    assert "Auckland time" in visitor.get(f"/instances/{world.muellers_now}")
    assert "On your clock" in visitor.get(f"/instances/{world.muellers_now}")

    visitor.post("/zone", 400, zone="Mars/Olympus")
    visitor.post("/zone", zone="")
    cookie = visitor.client.get_cookie("seisiun_zone")
    assert cookie
    assert cookie.value == "", "the script sets one that is missing"
    assert "On your clock" not in visitor.get(f"/instances/{world.muellers_now}")


def test_who_said_yes_finds_on_the_front_page_what_was_cancelled_and_why(
    world: World, app: Connection, browser: Open
) -> None:
    visitor, other = browser().be(world.noirin), browser().be(world.sean)
    long_ago = data.add_instance(app, world.later, "2026-01-05", "19:00", "22:00")
    for instance, attendance in ((world.later_today, "yes"), (world.muellers_now, "maybe"), (long_ago, "yes")):
        visitor.post(f"/instances/{instance}/say", attendance=attendance)
    assert "called-off" not in visitor.get("/")
    for instance in (world.later_today, world.muellers_now, long_ago):
        data.change_instance(app, instance, is_cancelled=True, cancel_reason="a wedding & no room")

    page = visitor.get("/")

    assert page.count('class="called-off"') == 1
    told = page.partition('class="called-off"')[2].partition("</p>")[0]
    assert f'href="instances/{world.later_today}">Late session, ' in told
    assert "(a wedding &amp; no room). You said yes to it." in told
    assert "called-off" not in other.get("/")
    assert "called-off" not in browser().get("/")
