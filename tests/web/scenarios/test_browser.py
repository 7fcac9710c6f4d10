"""The pages in a real browser: with the hands of a musician, of an organiser, and of somebody without a mouse."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import data
from tests.core.recurrence.documents import weekly, with_breaks
from tests.web.chromium import CHROMIUM, chromium, served
from tests.web.site import Browser as Visitor
from tests.web.site import World, add_hours, reconcile
from web import drain

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}: apt-get install chromium"),
    pytest.mark.usefixtures("app_of_its_own"),
]

Someone = Callable[..., Page]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def root(pages: Flask) -> Iterator[str]:
    with served(pages) as address:
        yield address
        drain()


@pytest.fixture
def someone(chrome: Browser, root: str, pages: Flask) -> Iterator[Someone]:
    """Opens a browser of their own for somebody; nothing but answers of `refused` may be logged as an error."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_for(person_id: int | None = None, *, organiser: bool = False, refused: tuple[int, ...] = ()) -> Page:
        lawful = tuple(f"Failed to load resource: the server responded with a status of {status}" for status in refused)

        def note(message: ConsoleMessage) -> None:
            if message.type == "error" and not message.text.startswith(lawful):
                errors.append(message.text)

        context = chrome.new_context(timezone_id="America/Phoenix", viewport={"width": 390, "height": 844})
        context.set_default_timeout(10_000)
        contexts.append(context)
        if person_id:
            signed_in = Visitor(pages).be(person_id, organiser=organiser).client.get_cookie("seisiun_demo")
            assert signed_in
            context.add_cookies([{"name": "seisiun_demo", "value": signed_in.value, "url": root}])
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(root)
        return page

    yield open_for
    for context in contexts:
        context.close()
    assert errors == []


def is_live(page: Page) -> Page:
    expect(page.locator("html")).to_have_attribute("data-live", "stream")
    return page


def test_say_yes_be_moved_and_check_in_at_the_other_session_in_town(world: World, someone: Someone) -> None:
    watching = is_live(someone(world.sean))
    page = someone()
    page.get_by_role("link", name="Who are you?").click()
    page.get_by_label("Person").select_option(label="Nóirín Ní Bhriain")
    page.get_by_role("button", name="That's me").click()
    expect(page.get_by_role("status").first).to_have_text("You are Nóirín Ní Bhriain.")

    page.get_by_role("link", name="Mueller's").click()
    page.get_by_label("Comment").fill("Bringing the <pipes>")
    page.get_by_role("button", name="Yes, I'm here").click()

    expect(page.get_by_role("status")).to_have_text("You're here. Enjoy the tunes!")
    expect(page.locator("#people")).to_contain_text("Nóirín Ní Bhriain Bringing the <pipes>")
    expect(watching.locator("li", has_text="Mueller's")).to_contain_text("Nóirín Ní Bhriain")

    expect(page.get_by_role("heading", name="Also on in Austin, USA")).to_be_visible()
    page.get_by_role("button", name="Check in there at Donn's Depot").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Donn's Depot")
    expect(page.locator("#people")).to_contain_text("Nóirín Ní Bhriain")
    expect(watching.locator("li", has_text="Donn's Depot")).to_contain_text("Nóirín Ní Bhriain")
    expect(watching.locator("li", has_text="Mueller's")).not_to_contain_text("Nóirín")
    page.get_by_role("link", name="Seisiún").click()
    expect(page.locator("#you span")).to_have_text("You're at Donn's Depot, Austin, USA.")


def test_an_organiser_cancels_and_the_boards_of_others_change_by_themselves(
    world: World, someone: Someone, root: str, figures: Callable[[str], None]
) -> None:
    public, member, evening = someone(), someone(world.noirin), someone(world.sean)
    evening.goto(f"{root}/instances/{world.muellers_now}")
    for page in (public, member, evening):
        is_live(page)
    organiser = someone(world.organiser, organiser=True)
    organiser.goto(f"{root}/instances/{world.muellers_now}")

    organiser.get_by_role("link", name="Cancel this evening").click()
    expect(organiser.get_by_role("heading", level=1)).to_contain_text("for everybody?")
    expect(organiser.locator("main")).to_contain_text("Nobody has said yes.")
    organiser.get_by_label("Why?").fill("A wedding")
    organiser.get_by_role("button", name="Cancel it for everybody").click()
    begun = time.perf_counter()
    for page in (public, member):
        expect(page.locator(".summary")).to_have_text("1 session in 1 town.")
        expect(page.locator("#board")).not_to_contain_text("Mueller's")
    figures(
        f"pages: two boards without what was cancelled {1000 * (time.perf_counter() - begun):.0f} ms after the page"
    )
    expect(organiser.locator("#state")).to_have_text("Cancelled: A wedding")
    expect(evening.locator("#state")).to_have_text("Cancelled: A wedding")
    expect(evening.get_by_role("heading", name="Are you here?")).to_have_count(0)
    expect(evening.get_by_role("heading", name="On that day in Austin, USA")).to_be_visible()

    organiser.get_by_role("button", name="Restore this evening").click()

    expect(public.locator(".summary")).to_have_text("2 sessions in 1 town.")
    expect(public.locator("#live")).to_have_text("2 sessions in 1 town.")
    expect(evening.locator("#state")).to_contain_text("Playing until")
    expect(evening.get_by_role("heading", name="Are you here?")).to_be_visible()


def test_who_leaves_by_the_front_page_that_moved_them_there_by_itself(
    world: World, someone: Someone, pages: Flask, app: Connection
) -> None:
    page = is_live(someone(world.noirin))
    expect(page.get_by_role("button", name="I've left")).to_have_count(0)
    Visitor(pages).be(world.noirin).post(f"/instances/{world.donns_now}/say", attendance="yes")

    page.get_by_role("button", name="I've left").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Donn's Depot")
    expect(page.get_by_role("status")).to_have_text("You have left.")
    expect(page.get_by_role("button", name="I've left")).to_have_count(0)
    assert data.value(app, "SELECT count(*) FROM person WHERE active_session_instance_id IS NOT NULL") == 0


def test_what_is_typed_and_not_sent_outlives_a_change_of_state(
    world: World, someone: Someone, app: Connection, root: str, database_url: str
) -> None:
    page = someone(world.noirin)
    page.goto(f"{root}/instances/{world.muellers_now}")
    page.get_by_role("button", name="Yes, I'm here").click()
    expect(page.get_by_role("status")).to_have_text("You're here. Enjoy the tunes!")
    is_live(page).get_by_label("Comment").fill("On the pipes")
    page.locator("h1 a").focus()

    data.change_instance(app, world.muellers_now, start_time="00:00", end_time="00:01", date="2026-01-05")
    reconcile(database_url)

    expect(page.locator("#state")).to_have_text("Over")
    expect(page.get_by_role("heading", name="Were you there?")).to_be_visible()
    expect(page.get_by_label("Comment")).to_have_value("On the pipes")
    expect(page.get_by_role("status")).to_have_count(0)


def test_an_evening_changes_before_ones_eyes_and_keeps_what_one_is_doing(
    world: World, someone: Someone, pages: Flask, app: Connection, database_url: str
) -> None:
    """What is asked, what one has said and what was just told follow; the focus and what is typed stay."""
    page = someone(world.noirin)
    elsewhere = Visitor(pages).be(world.noirin)
    page.get_by_role("link", name="Mueller's").click()
    page.get_by_role("button", name="Yes, I'm here").click()
    expect(page.get_by_role("status")).to_have_text("You're here. Enjoy the tunes!")
    expect(page.get_by_role("button", name="I've left")).to_be_visible()
    is_live(page).get_by_label("Comment").press_sequentially("On the pi")

    elsewhere.post(f"/instances/{world.donns_now}/say", attendance="yes")

    expect(page.get_by_role("button", name="I've left")).to_have_count(0)
    expect(page.get_by_role("status")).to_have_count(0)
    elsewhere.post(f"/instances/{world.muellers_now}/say", attendance="maybe")
    expect(page.get_by_role("button", name="Maybe")).to_have_attribute("aria-pressed", "true")
    data.change_instance(app, world.muellers_now, location_override="The back room", comments="Bring a chair")
    data.change_instance(app, world.muellers_now, start_time="00:00", end_time="00:01", date="2026-01-05")
    reconcile(database_url)
    expect(page.get_by_role("heading", name="Were you there?")).to_be_visible()
    expect(page.locator("#content")).to_contain_text("Monday 5 January 2026")
    expect(page.locator("#content")).to_contain_text("The back room")
    expect(page.locator("#content")).to_contain_text("Bring a chair")
    expect(page).to_have_title("Mueller's, Monday 5 January · Seisiún")
    expect(page.get_by_label("Comment")).to_be_focused()
    page.keyboard.type("pes")
    expect(page.get_by_label("Comment")).to_have_value("On the pipes")


def test_a_page_that_answers_a_form_stays_live_until_its_evening_is_deleted(
    world: World, someone: Someone, app: Connection, root: str, database_url: str
) -> None:
    page = someone(world.noirin, refused=(400, 404))
    page.goto(f"{root}/instances/{world.muellers_now}")
    page.get_by_label("Comment").fill("On the pipes")
    page.keyboard.press("Enter")
    expect(page.locator("#error-comment")).to_be_visible()
    expect(page).to_have_url(f"{root}/instances/{world.muellers_now}")

    data.change_instance(app, world.muellers_now, is_cancelled=True, cancel_reason="Fire")
    reconcile(database_url)
    expect(page.locator("#state")).to_have_text("Cancelled: Fire")
    data.delete_instance(app, world.muellers_now)

    expect(page.locator("#content")).to_contain_text("There is no such evening.", timeout=20_000)


def test_what_is_cancelled_shows_at_once_where_somebody_said_yes(
    world: World, someone: Someone, pages: Flask, app: Connection, root: str
) -> None:
    Visitor(pages).be(world.noirin).post(f"/instances/{world.later_today}/say", attendance="yes")
    front, session, mine, evening = (someone(world.noirin) for _ in range(4))
    session.goto(f"{root}/sessions/{world.later}")
    mine.goto(f"{root}/me")
    evening.goto(f"{root}/instances/{world.later_today}")
    watching = (front, session, mine, evening)
    for page in watching:
        is_live(page)

    Visitor(pages).be(world.organiser, organiser=True).post(
        f"/instances/{world.later_today}/cancel", reason="A wedding"
    )

    for page in watching:
        expect(page.locator("#content")).to_contain_text(re.compile("cancelled", re.IGNORECASE))
        expect(page.locator("#content")).to_contain_text("A wedding")
    expect(session.get_by_role("button", name="I'm coming")).to_have_count(0)
    data.change_instance(app, world.later_today, is_cancelled=False)
    for page in watching:
        expect(page.locator("#content")).not_to_contain_text("A wedding")


@pytest.mark.usefixtures("world")
def test_what_anybody_writes_in_sql_reaches_the_board(someone: Someone, app: Connection, database_url: str) -> None:
    page = is_live(someone())
    another = data.add_session(app, name="The Cobblestone", city="Dublin", country="Ireland")
    data.change_session(app, another, timezone="America/Phoenix")
    add_hours(app, another, 0, 0.5)
    reconcile(database_url)

    expect(page.locator(".summary")).to_have_text("3 sessions in 2 towns, 2 countries.")
    expect(page.locator("#board h2").first).to_contain_text("Ireland")


def test_a_page_without_room_for_its_stream_asks_instead(
    world: World, chrome: Browser, root: str, pages: Flask
) -> None:
    pages.extensions["seisiun"].hub._most_streams = 0
    page = chrome.new_page()
    page.clock.install()
    page.goto(root)
    expect(page.locator("html")).to_have_attribute("data-live", "asking")
    page.clock.run_for(1000)

    Visitor(pages).be(world.organiser, organiser=True).post(f"/instances/{world.muellers_now}/cancel")
    page.clock.run_for(16_000)

    expect(page.locator(".summary")).to_have_text("1 session in 1 town.")
    page.context.close()


def is_told_offline(page: Page, silent_ms: int) -> bool:
    """Whether the page says so after a silence, by its own clock. What was under way may arrive and break the first."""
    for _ in range(3):
        page.clock.run_for(silent_ms)
        if page.locator("#offline").is_visible():
            return True
    return False


@pytest.mark.parametrize("path", ["/", "/instances/{}"], ids=["now", "an evening"])
def test_a_page_says_since_when_nothing_arrives_and_takes_it_back(
    world: World, chrome: Browser, root: str, path: str
) -> None:
    page = chrome.new_page()
    page.clock.install()
    page.route("**/stream*", lambda route: route.abort())
    page.goto(root + path.format(world.muellers_now))
    assert is_told_offline(page, 4_500)
    expect(page.locator("#offline")).to_have_text(re.compile(r"Offline since \d+:\d\d[ap]m\. .*may be out of date\."))
    expect(page.locator("#offline")).to_have_count(1)

    page.unroute("**/stream*")

    expect(page.locator("#offline")).to_have_count(0, timeout=30_000)
    is_live(page)
    page.context.close()


@pytest.mark.usefixtures("world")
def test_a_page_notices_a_network_that_falls_silent_or_is_switched_off(chrome: Browser, root: str) -> None:
    page = chrome.new_page()
    page.clock.install()
    page.goto(root)
    is_live(page).clock.run_for(39_000)
    page.route("**/stream*", lambda route: route.abort())
    page.clock.run_for(500)
    expect(page.locator("#offline")).to_have_count(0)

    assert is_told_offline(page, 45_000)

    page.unroute("**/stream*")
    expect(page.locator("#offline")).to_have_count(0)
    page.context.set_offline(True)

    assert is_told_offline(page, 4_500)
    page.context.close()


@pytest.mark.usefixtures("world")
def test_all_of_it_by_keyboard_alone(someone: Someone, root: str) -> None:
    page = someone()

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim()").startswith(name):
                return
        pytest.fail(f"no way to {name} by Tab")

    tab_to("Skip to the page")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.goto(f"{root}/who")
    page.get_by_label("Person").focus()
    page.keyboard.type("Nóirín")
    tab_to("That's me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_text("You are Nóirín Ní Bhriain.")
    tab_to("Mueller's")
    page.keyboard.press("Enter")
    page.wait_for_url("**/instances/*")
    tab_to("Yes, I'm here")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("You're here. Enjoy the tunes!")
    page.get_by_label("Comment").fill("On the pipes")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Your comment is saved. You said yes.")
    tab_to("Check in there")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Donn's Depot")


def test_the_focus_stays_where_it_is_while_the_board_moves(
    world: World, someone: Someone, app: Connection, database_url: str
) -> None:
    page = is_live(someone())
    page.get_by_role("link", name="Donn's Depot").focus()

    data.change_instance(app, world.muellers_now, is_cancelled=True)
    reconcile(database_url)
    expect(page.locator(".summary")).to_have_text("1 session in 1 town.")

    assert page.evaluate("document.activeElement.textContent") == "Donn's Depot"


def test_an_organiser_edits_the_recurrence_and_sees_it_before_saving(world: World, someone: Someone, root: str) -> None:
    page = someone(world.organiser, organiser=True)
    page.goto(f"{root}/sessions/{world.later}/edit")
    page.get_by_role("button", name="Add a time").click()
    page.get_by_label("Day").select_option("tuesday")
    page.get_by_label("How often").select_option("2")
    page.get_by_label("From", exact=True).fill("19:30")
    page.get_by_label("Until", exact=True).fill("22:00")
    page.get_by_role("button", name="Show the dates").click()
    expect(page.get_by_role("alert")).to_contain_text("One more question: which week?")

    page.get_by_role("link", name="Choose another date").click()
    expect(page.get_by_label("First date")).to_be_in_viewport()
    page.get_by_label("First date").fill("2026-01-06")
    page.get_by_role("button", name="Yes, from that date").click()
    expect(page.get_by_role("heading", name="Every other Tuesday, 7:30–10pm")).to_be_visible()
    page.get_by_role("button", name="Save this").click()

    expect(page.get_by_role("status").first).to_have_text("Saved.")
    expect(page.locator(".lead")).to_contain_text("Every other Tuesday, 7:30–10pm")
    page.get_by_role("button", name="I'm coming").last.click()
    expect(page.get_by_role("status").first).to_contain_text("You said yes")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_form_stands_on_a_phone_at_what_it_has_to_say_with_the_focus_there(
    world: World, someone: Someone, chrome: Browser, root: str, *, scripts: bool
) -> None:
    signed_in = someone(world.organiser, organiser=True).context.storage_state()
    context = chrome.new_context(
        viewport={"width": 390, "height": 844}, java_script_enabled=scripts, storage_state=signed_in
    )
    page = context.new_page()
    page.goto(f"{root}/sessions/{world.later}/edit")
    page.get_by_role("button", name="Add a time").click()
    expect(page.get_by_label("Day")).to_be_focused()
    page.get_by_role("button", name="Show the dates").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_be_in_viewport()

    page.get_by_label("From", exact=True).fill("19:30")
    page.get_by_role("button", name="Show the dates").click()
    expect(page.get_by_role("heading", name="Thursdays, from 7:30pm")).to_be_in_viewport()
    expect(page.locator("#result")).to_be_focused()

    page.get_by_label("From", exact=True).fill("20:00")
    page.get_by_role("button", name="Save this").click()
    expect(page.locator("#result")).to_be_focused()
    expect(page.get_by_text("Nothing is saved yet.")).to_be_in_viewport()

    page.get_by_role("button", name="Save this").click()
    expect(page.get_by_role("status").first).to_have_text("Saved.")
    context.close()


def test_the_viewers_own_clock_stands_beside_where_it_differs(world: World, someone: Someone, root: str) -> None:
    page = someone()
    page.goto(f"{root}/instances/{world.muellers_now}")
    expect(page.locator(".beside")).to_have_count(0)

    page.context.clear_cookies()
    page.context.add_cookies([{"name": "seisiun_zone", "value": "Europe/Dublin", "url": root}])
    page.reload()

    expect(page.locator(".beside")).to_contain_text("Dublin time")


def test_no_barrier_that_axe_can_find_in_light_or_in_dark(
    world: World, someone: Someone, app: Connection, root: str
) -> None:
    data.change_session(app, world.muellers, recurrence=with_breaks([], weekly()))
    page = someone(world.organiser, organiser=True)
    found = {}
    for path in (
        "/",
        f"/instances/{world.muellers_now}?who=n",
        f"/instances/{world.muellers_now}/cancel",
        f"/instances/{world.muellers_now}/change",
        f"/sessions/{world.muellers}",
        f"/sessions/{world.muellers}/edit",
        f"/sessions/{world.muellers}/past",
        "/operator",
        "/operator/why?session=muellers",
        "/?country=USA",
        "/me",
        "/sessions?q=l",
        "/sessions?city=Austin&state=TX&country=USA",
        "/who",
        "/zone",
    ):
        page.goto(root + path)
        for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of the literals
            violations = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
            found[path, scheme] = [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations]
        for width in (320, 390):
            page.set_viewport_size({"width": width, "height": 844})
            for size in ("100%", "200%"):
                page.evaluate("size => document.documentElement.style.fontSize = size", size)
                fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert fits, f"{path} is wider than {width} with text of {size}"
    assert {where: problems for where, problems in found.items() if problems} == {}
