"""The tracker on the database that PGDATABASE and the like name; without them, on an embedded server of its own.

The tests make rows of their own and ask only about these, so they may run beside anything else.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from psycopg2.extensions import parse_dsn
from tracker import create_app

ROOT = Path(__file__).parents[1]
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
PATIENCE_SECONDS = 10

numbers = itertools.count(time.time_ns())


class Visitor:
    """A person in a browser."""

    def __init__(self) -> None:
        self._client: FlaskClient = create_app().test_client()
        self.person_id: int = self.post("/people", first_name=f"Visitor {next(numbers)}")["person_id"]
        self.post("/sign-in", person_id=self.person_id)

    def get(self, path: str) -> Any:
        return self._answer("GET", path)

    def post(self, path: str, /, **fields: object) -> Any:
        return self._answer("POST", path, json=fields)

    def put(self, path: str, /, **fields: object) -> Any:
        return self._answer("PUT", path, json=fields)

    def delete(self, path: str) -> Any:
        return self._answer("DELETE", path)

    def _answer(self, method: str, path: str, **fields: Any) -> Any:
        answer = self._client.open(path, method=method, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json

    @property
    def at(self) -> int | None:
        """The evening where every page says that this person is."""
        me = self.get("/people")["you"]
        return me["at_instance"] if me else None

    def add_session(self, **fields: object) -> int:
        """Add a session whose clocks show noon."""
        unique = f"session-{next(numbers)}"
        return self.post("/sessions", **{"name": unique, "path": unique, "timezone": noon_zone()} | fields)[
            "session_id"
        ]

    def add_evening(self, session_id: int, start: str = "11:00", end: str = "14:00") -> int:
        """Add an evening by hand, on the session's date of today; by default it is on."""
        hours = {"date": today(), "start_time": start, "end_time": end}
        return self.post(f"/sessions/{session_id}/instances", **hours)["session_instance_id"]

    def is_on(self, evening: int) -> bool:
        return evening in {on["session_instance_id"] for on in self.get("/board")["on"]}

    def logs(self, session_id: int) -> Any:
        return self.get(f"/sessions/{session_id}/logs")["logs"]


def hours_ahead() -> int:
    return 12 - datetime.now(UTC).hour


def noon_zone() -> str:
    """Return a zone in which it is noon now, or up to an hour later: there no evening of a test meets midnight."""
    return f"Etc/GMT{-hours_ahead():+d}"


def far_zone() -> str:
    """Return a zone six hours away from that."""
    six = 6 if hours_ahead() > 0 else -6
    return f"Etc/GMT{six - hours_ahead():+d}"


def today(days_ahead: int = 0) -> str:
    """Return the date in that zone."""
    return str((datetime.now(UTC) + timedelta(hours=hours_ahead(), days=days_ahead)).date())


def weekly(start: str, end: str, days_ahead: int = 0) -> str:
    """Return a recurrence on the weekday of today in that zone."""
    weekday = f"{datetime.fromisoformat(today(days_ahead)):%A}".lower()
    return (
        f'{{"schedules": [{{"type": "weekly", "weekday": "{weekday}", "start_time": "{start}", "end_time": "{end}"}}]}}'
    )


def soon(read: Callable[[], object], expected: object = True) -> None:
    """Read a page again until it says what is expected: a job may be what makes it so, and not the request."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == expected


@pytest.fixture(scope="session", autouse=True)
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if "PGDATABASE" in os.environ:
        _make_tables()
        yield
        return
    from core.db.embedded import connect_or_start  # noqa: PLC0415 -- only where no other server is named

    with connect_or_start(tmp_path_factory.mktemp("server"), durable=False) as server:
        parts = parse_dsn(server.url)
        os.environ |= {VARIABLES[name]: value for name, value in parts.items() if name in VARIABLES}
        _make_tables()
        yield


def _make_tables() -> None:
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('session')")
        if cursor.fetchone() == (None,):
            cursor.execute((ROOT / "schema.sql").read_text())


@pytest.fixture
def me() -> Visitor:
    return Visitor()


@pytest.fixture
def other() -> Visitor:
    return Visitor()
