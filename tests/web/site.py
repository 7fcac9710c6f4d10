"""A small world of sessions around now, and the pages of it as a client sees them."""

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from core.active_session_manager import update_active_sessions
from core.db import create_engine
from tests import data

AUSTIN = {"city": "Austin", "state": "TX", "country": "USA"}
# A zone whose clocks never change, so that hours around now are what they seem.
ZONE = "America/Phoenix"


@dataclass(frozen=True)
class World:
    """Two sessions that are on in one town, one that opens later, and three people."""

    muellers: int
    donns: int
    later: int
    muellers_now: int
    donns_now: int
    later_today: int
    noirin: int
    sean: int
    organiser: int


def make_world(app: Connection, url: str, timezone: str = ZONE) -> World:
    muellers = data.add_session(app, name="Mueller's", timezone=timezone, **AUSTIN)
    donns = data.add_session(app, name="Donn's Depot", timezone=timezone, **AUSTIN)
    later = data.add_session(app, name="Late session", timezone=timezone, **AUSTIN)
    world = World(
        muellers=muellers,
        donns=donns,
        later=later,
        muellers_now=add_hours(app, muellers, -1, 2),
        donns_now=add_hours(app, donns, -0.5, 1),
        later_today=add_hours(app, later, 5, 7),
        noirin=data.add_person(app, first_name="Nóirín", last_name="Ní Bhriain"),
        sean=data.add_person(app, first_name="Seán", last_name="Ó Riada"),
        organiser=data.add_person(app, first_name="Olive", last_name="Organiser"),
    )
    reconcile(url)
    return world


def add_hours(app: Connection, session_id: int, starts_in: float, ends_in: float) -> int:
    """Add an instance that starts and ends so many hours from now."""
    now = data.value(app, "SELECT now() AT TIME ZONE timezone FROM session WHERE session_id = %s", session_id)
    start, end = (now + timedelta(hours=hours) for hours in (starts_in, ends_in))
    return data.add_instance(app, session_id, f"{start:%Y-%m-%d}", f"{start:%H:%M}", f"{end:%H:%M}")


def reconcile(url: str) -> None:
    """Reconcile everything once, as a daemon does."""
    update_active_sessions(_engine(url))


@lru_cache(maxsize=1)
def _engine(url: str) -> Engine:
    """It keeps the statements that it has compiled."""
    return create_engine(url)


class Browser:
    """A client that reads a page's CSRF token before it posts to it, as a browser's form does."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self._token = ""

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def token(self, path: str = "/who") -> str:
        """Return the token of this browser's forms: one is good for all of them."""
        if not self._token:
            found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path))
            assert found
            self._token = found[1]
        return self._token

    def send(self, path: str, /, **fields: object) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token()} | fields)

    def post(self, path: str, status: int = 303, /, **fields: object) -> str:
        """Post, follow the redirect if there is one, and return the page."""
        answer = self.send(path, **fields)
        assert answer.status_code == status, answer.text
        return self.get(answer.location) if status == 303 else answer.text

    def be(self, person_id: int | str = "", *, organiser: bool = False) -> "Browser":
        """Be somebody, as one picks it in the demonstration app."""
        self.post("/who", person_id=person_id, **({"organiser": "on"} if organiser else {}))
        return self
