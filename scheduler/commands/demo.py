"""Shows the product at work right after a clone: real sessions, an embedded database, the real daemon.

It listens to `active_changed` as an app would, and prints a line per flip.
"""

from datetime import timedelta
from pathlib import Path
from threading import Thread

from rich.console import Console
from sqlalchemy import Connection

from core.db import create_engine
from core.db.embedded import EmbeddedPostgres
from core.db.listener import Listener
from core.db.transaction_settings import clock
from core.migrations import migrate
from core.settings import Settings
from core.store import sessions
from core.store.notify import ACTIVE_CHANGED
from core.store.views import pages, places, reports, schedule
from core.timezones import to_local
from scheduler.commands import loading, screens
from scheduler.commands.demo_pages import DemoPages
from scheduler.daemon import Daemon

REAL_SESSIONS = Path(__file__).parent / "data" / "real_sessions.json"
NEXT_EDGES = 10

# A town whose clocks never change, so that the demonstration also works in a night when other clocks change.
DEMO_TOWN = {"city": "Reykjavik", "country": "Iceland", "timezone": "Atlantic/Reykjavik"}
# Name, and seconds from now to the start and the end; there are no buffers.
DEMO_SESSIONS = (("Demo session one", 8, 38), ("Demo session two", 16, 46))

# The people that a visitor of the pages can choose to be.
DEMO_PEOPLE = (
    ("Nóirín", "Ní Bhriain"),
    ("Seán", "Ó Dálaigh"),
    ("Maya", "Okafor"),
    ("Tom", "Whelan"),
    ("Aoife", "Brennan"),
    ("Kenji", "Watanabe"),
)


class Demo:
    """Loads the real sessions, adds two that open and close within the minute, and runs the daemon."""

    def __init__(self, server: EmbeddedPostgres, settings: Settings, out: Console) -> None:
        self._server = server
        self._settings = settings
        self._out = out
        self._engine = create_engine(server.url, application_name="seisiun demo")
        self._printed = 0
        self._pages = DemoPages(server.url)

    def run(self) -> int:
        """Run until SIGTERM or Ctrl-C; return the exit status."""
        self._prepare()
        listener = Listener(self._server.url, ACTIVE_CHANGED, self._print_flips, self._print_flips)
        daemon = Daemon(self._server.url, self._settings, on_ready=lambda: self._ready(listener))
        try:
            return daemon.run()
        finally:
            self._pages.stop()
            listener.stop()
            self._out.print(f"\nended; the data is kept in {self._server.log.parent}")
            self._engine.dispose()

    def _prepare(self) -> None:
        started = "started" if self._server.owned else "is running already"
        self._out.print(
            f"database   embedded PostgreSQL {started}; to open psql in another terminal:\n  {self._server.psql}"
        )
        before = migrate(self._server.url)
        self._out.print(
            f"migration  {'the schema is created' if before is None else f'the schema was at {before}, now up to date'}"
        )
        with self._engine.begin() as connection:
            self._load(connection)
            self._add_demo_sessions(connection)
            self._add_people(connection)
            self._printed = reports.last_flip(connection)
        self._pages.start()

    def _load(self, connection: Connection) -> None:
        if sessions.count_sessions(connection):
            self._out.print(f"sessions   loaded none: {self._server.log.parent} has some; remove it to begin afresh")
            return
        found, warnings = loading.read(REAL_SESSIONS)
        loaded = loading.load(connection, found, warnings)
        self._out.print(f"sessions   loaded {loaded.inserted} real ones from {REAL_SESSIONS.name}")
        for warning in loaded.warnings:
            self._out.print(f"           warning: {warning}")

    def _add_demo_sessions(self, connection: Connection) -> None:
        now = clock(connection)
        for name, starts_in, ends_in in DEMO_SESSIONS:
            session_id = sessions.find_session(connection, name, DEMO_TOWN["city"]) or sessions.insert_session(
                connection,
                DEMO_TOWN | {"name": name, "active_buffer_minutes_before": 0, "active_buffer_minutes_after": 0},
            )
            start, end = (
                to_local(now + timedelta(seconds=seconds), DEMO_TOWN["timezone"]).replace(microsecond=0)
                for seconds in (starts_in, ends_in)
            )
            sessions.insert_instance(connection, session_id, start, end)
            self._out.print(f"demo       {name}: opens at {start:%H:%M:%S}, closes at {end:%H:%M:%S} UTC")

    def _add_people(self, connection: Connection) -> None:
        if not pages.people_named(connection, "", 1):
            for first_name, last_name in DEMO_PEOPLE:
                pages.insert_person(connection, first_name, last_name)

    def _ready(self, listener: Listener) -> None:
        with self._engine.connect() as connection:
            on = list(places.places(connection))
            edges = schedule.upcoming(connection, timedelta(days=8), NEXT_EDGES)
            planned = sessions.count_planned(connection)
        self._out.print(
            f"plan       {planned} instances planned for the next {self._settings.plan_horizon_hours:g} hours"
        )
        self._out.print(
            f"pages      {self._pages.address() or 'not served: install seisiun[web] (in a checkout `make setup`)'}"
        )
        self._out.print("ready", style="green")
        self._out.print(f"\non now around the world: {len(on)}")
        if on:
            self._out.print(screens.on_now_table(on))
        self._out.print(f"\nthe next {len(edges)} edges")
        self._out.print(screens.edges_table(edges))
        self._out.print("\nflips, as they happen (Ctrl-C ends the demonstration):")
        Thread(target=listener.run, name="demo listener", daemon=True).start()

    def _print_flips(self, _payload: str = "") -> None:
        """Print the flips of the log that are not printed yet, so that a lost notification loses no line."""
        with self._engine.connect() as connection:
            for flip in reports.flips_since(connection, self._printed):
                self._printed = flip.activation_log_id
                self._out.print(screens.flip_line(flip))
