"""The pictures in the docs: `python -m tests.web.screenshots`, with the real sessions on a Sunday evening in Dublin."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from playwright.sync_api import Browser, Page, ViewportSize
from sqlalchemy import Connection, Engine, text, update

from core.active_session_manager import active_instances, check_in, update_active_sessions
from core.db import create_engine
from core.db.embedded import connect_or_start
from core.migrations import migrate
from core.models import Person
from core.simulate import simulate
from core.store import evenings
from core.store.views import pages
from scheduler.commands import loading
from scheduler.commands.demo import REAL_SESSIONS
from tests.web.chromium import chromium, served
from tests.web.test_operators import HEARTBEAT
from web import board, create_app, drain, edit, instances, me, preview, search, sessions

DOCS = Path(__file__).parents[2] / "docs" / "screenshots"
NOW = datetime(2026, 11, 22, 23, 20, tzinfo=UTC)
AUSTIN = "Austin Thursday session"
HOURS = {"start_time": time(19), "end_time": time(22, 30)}
SCREENS: dict[str, tuple[ViewportSize, Literal["light", "dark"]]] = {
    "phone-light": ({"width": 390, "height": 844}, "light"),
    "desktop-dark": ({"width": 1040, "height": 650}, "dark"),
}
FLIPS = """
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause, daemon)
    SELECT session_instance_id, session_id, n % 2 = 0, at, at + make_interval(secs => 0.002 + 0.001 * (n % 23)),
        'timer', 'pub:17'
    FROM generate_series(1, 200) n, LATERAL (SELECT now() - n * interval '7 minutes' AS at) due,
        (SELECT session_instance_id, session_id FROM session_instance LIMIT 1) any_instance
"""
PEOPLE = (
    "Nóirín Ní Bhriain", "Seán Ó Dálaigh", "Maya Okafor", "Tom Whelan", "Aoife Brennan", "Kenji Watanabe", "Ruth Levin",
    "Diarmuid Kelly", "Hannah Weiss", "Liam O'Neill", "Sofia Marques", "Pat Duggan", "Ciara Walsh", "Ben Carter",
)  # fmt: skip


def fill(engine: Engine) -> dict[str, int]:
    """Load the real sessions, and let people come to some of them; return what the pictures are of."""
    with engine.begin() as connection:
        loading.load(connection, *loading.read(REAL_SESSIONS))
        people = [pages.insert_person(connection, *name.split(" ", 1)) for name in PEOPLE]
        lives = update(Person).where(Person.person_id == people[0])
        connection.execute(lives.values(city="Bronx", state="NY", country="USA"))
    update_active_sessions(engine, now=NOW)
    with engine.begin() as connection:
        on = {place.name: place.session_instance_id for place in active_instances(connection)}
        thursday = next(id_ for id_ in pages.session_ids(connection) if _name(connection, id_) == AUSTIN)
        early, cancelled, *been = (
            evenings.insert_instance(connection, thursday, {"date": day, **HOURS})
            for day in (date(2026, 11, 26), date(2026, 12, 24), date(2026, 11, 12), date(2026, 11, 5))
        )
        _come(connection, on, people)
        for instance in (early, cancelled, *been):
            check_in(connection, people[0], instance, "yes", now=NOW)
        pages.set_cancelled(connection, cancelled, cancelled=True, reason="Christmas Eve")
    return {"me": people[0], "instance": on["Bronx Sunday session"], "session": thursday}


def _name(connection: Connection, session_id: int) -> str:
    found = pages.session(connection, session_id)
    assert found
    return found.name


def _come(connection: Connection, on: dict[str, int], people: list[int]) -> None:
    places = ("Bronx Sunday session", "Doolin nightly session", "Portland Sunday session", "Bronx Sunday session (2)")
    for number, person_id in enumerate(people):
        where = on[places[number % 4] if number > 4 else places[0]]
        comments = {1: "On the flute tonight", 3: "Bringing a bodhrán"}
        check_in(connection, person_id, where, "yes", comments.get(number), now=NOW)


def shoot(browser: Browser, root: str, what: dict[str, int]) -> None:
    """Take the pictures at `NOW`: of a musician's pages, and of the form as an organiser takes a break by it."""
    session = f"{root}/sessions/{what['session']}"
    musicians = {"now": root, "instance": f"{root}/instances/{what['instance']}", "session": session}
    for page, screen in _screens(browser):
        page.clock.set_fixed_time(NOW)
        _sign_in(page, root, what["me"])
        for name, address in {**musicians, "me": f"{root}/me", "sessions": f"{root}/sessions?q=Bronx"}.items():
            page.goto(address)
            _shot(page, f"{name}-{screen}")
        _sign_in(page, root, what["me"], organiser=True)
        page.goto(f"{session}/edit")
        page.get_by_role("button", name="Take a break").click()
        page.get_by_label("First day off").fill("2026-12-24")
        page.get_by_label("Last day off").fill("2026-12-31")
        page.get_by_label("Why?").fill("Christmas")
        page.get_by_role("button", name="Show the dates").click()
        _shot(page, f"form-{screen}")


def shoot_operator(browser: Browser, root: str, what: dict[str, int], engine: Engine) -> None:
    """Take the pictures of the operator's page, which is about the real present, with a daemon that is alive."""
    for page, screen in _screens(browser):
        _sign_in(page, root, what["me"], organiser=True)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM daemon_heartbeat"))
            connection.execute(text(HEARTBEAT))
        page.goto(f"{root}/operator")
        _shot(page, f"operator-{screen}")


def _screens(browser: Browser) -> Iterator[tuple[Page, str]]:
    for screen, (size, scheme) in SCREENS.items():
        context = browser.new_context(
            viewport=size, color_scheme=scheme, timezone_id="Europe/Dublin", reduced_motion="reduce"
        )
        yield context.new_page(), screen
        context.close()


def _shot(page: Page, name: str) -> None:
    page.wait_for_timeout(300)
    page.screenshot(path=DOCS / f"{name}.png")


@contextmanager
def clock_stands_still() -> Iterator[None]:
    """Show the pages as they are at `NOW`."""
    with ExitStack() as stack:
        for module in (board, edit, instances, me, search, sessions):
            stack.enter_context(patch.object(module, "clock", lambda _: NOW))
        stack.enter_context(patch.object(preview, "simulate", partial(simulate, now=NOW)))
        yield


def _sign_in(page: Page, root: str, person_id: int, *, organiser: bool = False) -> None:
    page.goto(f"{root}/who")
    page.get_by_label("Person").select_option(str(person_id))
    page.get_by_label("I organise all the sessions").set_checked(organiser)
    page.get_by_role("button", name="That's me").click()
    page.goto(root)


def be_well(engine: Engine) -> None:
    """Bring the database up to the real present, with the flips of a day."""
    update_active_sessions(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM activation_log"))
        connection.execute(text(FLIPS))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, connect_or_start(Path(directory) / "postgres") as server:
        migrate(server.url)
        engine = create_engine(server.url)
        what = fill(engine)
        app = create_app({"DATABASE_URL": server.url})
        with served(app) as root, chromium() as browser:
            with clock_stands_still():
                shoot(browser, root, what)
            be_well(engine)
            shoot_operator(browser, root, what, engine)
            drain()
        engine.dispose()


if __name__ == "__main__":
    main()
