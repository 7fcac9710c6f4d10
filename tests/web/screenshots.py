"""The pictures in the docs: `python -m tests.web.screenshots`, with the real sessions on a Sunday evening in Dublin."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from playwright.sync_api import Browser, Page, ViewportSize
from sqlalchemy import Connection, Engine, update

from core.active_session_manager import active_instances, check_in, ensure_instance, update_active_sessions
from core.db import create_engine
from core.db.embedded import connect_or_start
from core.migrations import migrate
from core.models import Person
from core.store.views import pages
from scheduler.commands import loading
from scheduler.commands.demo import REAL_SESSIONS
from tests.web.chromium import chromium, served
from web import board, create_app, drain, instances, search, sessions

DOCS = Path(__file__).parents[2] / "docs" / "screenshots"
NOW = datetime(2026, 11, 22, 23, 20, tzinfo=UTC)
AUSTIN = "Austin Thursday session"
SCREENS: dict[str, ViewportSize] = {
    "phone": {"width": 390, "height": 844},
    "desktop": {"width": 1280, "height": 900},
}
PEOPLE = (
    "Nóirín Ní Bhriain", "Seán Ó Dálaigh", "Maya Okafor", "Tom Whelan", "Aoife Brennan", "Kenji Watanabe", "Ruth Levin",
    "Diarmuid Kelly", "Hannah Weiss", "Liam O'Neill", "Sofia Marques", "Pat Duggan", "Ciara Walsh", "Ben Carter",
)  # fmt: skip


def fill(engine: Engine) -> dict[str, int]:
    """Load the real sessions, and let people come to some of them; return what the pictures show."""
    with engine.begin() as connection:
        loading.load(connection, *loading.read(REAL_SESSIONS))
        people = [pages.insert_person(connection, *name.split(" ", 1)) for name in PEOPLE]
        lives = update(Person).where(Person.person_id == people[0])
        connection.execute(lives.values(city="Bronx", state="NY", country="USA"))
    update_active_sessions(engine, now=NOW)
    with engine.begin() as connection:
        on = {place.name: place.session_instance_id for place in active_instances(connection)}
        thursday = next(id_ for id_ in pages.session_ids(connection) if _name(connection, id_) == AUSTIN)
        early = ensure_instance(connection, thursday, datetime(2026, 11, 26, 19))
        cancelled = ensure_instance(connection, thursday, datetime(2026, 12, 24, 19))
        pages.set_cancelled(connection, cancelled, cancelled=True)
        # After the dates: those are made by the real clock, which would place people by it.
        _come(connection, on, people)
        check_in(connection, people[0], early, "yes", now=NOW)
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
    for screen, size in SCREENS.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport=size, color_scheme=scheme, timezone_id="Europe/Dublin", reduced_motion="reduce"
            )
            page = context.new_page()
            page.clock.set_fixed_time(NOW)
            sign_in(page, root, what["me"])
            for name, path in (
                ("now", "/"),
                ("instance", f"/instances/{what['instance']}"),
                ("session", f"/sessions/{what['session']}"),
            ):
                page.goto(root + path)
                page.wait_for_timeout(300)
                page.screenshot(path=DOCS / f"{name}-{screen}-{scheme}.png")
            context.close()


@contextmanager
def clock_stands_still() -> Iterator[None]:
    """Show the pages as they are at `NOW`."""
    with ExitStack() as stack:
        for module in (board, instances, search, sessions):
            stack.enter_context(patch.object(module, "clock", lambda _: NOW))
        yield


def sign_in(page: Page, root: str, person_id: int) -> None:
    page.goto(f"{root}/who")
    page.get_by_label("Person").select_option(str(person_id))
    page.get_by_role("button", name="That's me").click()
    page.goto(root)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, connect_or_start(Path(directory) / "postgres") as server:
        migrate(server.url)
        engine = create_engine(server.url)
        what = fill(engine)
        app = create_app({"DATABASE_URL": server.url})
        with clock_stands_still(), served(app) as root, chromium() as browser:
            shoot(browser, root, what)
            drain()
        engine.dispose()


if __name__ == "__main__":
    main()
