"""Hundreds of sessions at one instant, and everybody who is expected there: all right, in few statements.

Covers core.reconcile.batches, core.reconcile.presence.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event

from core.db.transaction_settings import BEGIN_OWN
from core.reconcile.batches import CHUNK
from tests.core.passes import CLOSES, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import execute, value

PEOPLE_PER_SESSION = 10
STATEMENTS_PER_CHUNK = 40


@contextmanager
def counted(engine: Engine) -> Iterator[dict[str, int]]:
    """How many statements, and how many transactions (not the notifications after them), the engine sends meanwhile."""
    sent = {"statements": 0, "transactions": 0}

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent["statements"] += 1
        sent["transactions"] += statement == BEGIN_OWN

    event.listen(engine, "before_cursor_execute", count)
    yield sent
    event.remove(engine, "before_cursor_execute", count)


def add_sessions_and_people(app: Connection, engine: Engine, sessions: int) -> None:
    """Each person says yes to a session, and every third to the next one as well, later."""
    execute(
        app,
        "INSERT INTO session (name, timezone, recurrence) SELECT 'Session ' || n, 'Europe/Dublin', %s "
        "FROM generate_series(1, %s) n",
        TUESDAYS,
        sessions,
    )
    reconcile_at(engine, NOON)
    execute(
        app, "INSERT INTO person (first_name) SELECT 'n' FROM generate_series(1, %s)", sessions * PEOPLE_PER_SESSION
    )
    for step, condition in ((0, "true"), (1, "person_id %% 3 = 0")):
        execute(
            app,
            "INSERT INTO session_instance_person (session_instance_id, person_id, attendance, checked_in_at) "
            f"SELECT (person_id + %s) %% %s + 1, person_id, 'yes', %s FROM person WHERE {condition}",
            step,
            sessions,
            utc(f"2026-12-01 {12 + step}:00"),
        )
    execute(app, "ANALYZE")


def cross(engine: Engine, app: Connection, edge: str, sessions: int) -> float:
    """Look at an edge of all of them; return the seconds it took."""
    chunks = -(-sessions // CHUNK)
    with counted(engine) as sent:
        begun = time.perf_counter()
        result = reconcile_at(engine, edge)
        took = time.perf_counter() - begun
    assert len(result.activated) + len(result.deactivated) == sessions
    assert (result.deferred, result.failed) == (frozenset(), {})
    # Whoever belongs in another chunk is asked for there: at most one more transaction each.
    assert sent["transactions"] <= 2 * chunks + 1
    assert sent["statements"] <= STATEMENTS_PER_CHUNK * sent["transactions"]
    assert as_stored(app) == as_it_should_be(app, utc(edge))
    return took


def there_and_back(engine: Engine, app: Connection, sessions: int) -> tuple[float, float]:
    add_sessions_and_people(app, engine, sessions)
    opening = cross(engine, app, OPENS, sessions)
    assert value(app, "SELECT count(active_session_instance_id) FROM person") == sessions * PEOPLE_PER_SESSION
    closing = cross(engine, app, CLOSES, sessions)
    assert value(app, "SELECT count(active_session_instance_id) FROM person") == 0
    print(  # noqa: T201 - figures to quote
        f"{sessions} sessions, {sessions * PEOPLE_PER_SESSION} people at one instant: "
        f"opened in {opening:.2f} s, closed in {closing:.2f} s"
    )
    return opening, closing


def test_two_hundred_sessions_open_and_close_at_one_instant(engine: Engine, app: Connection) -> None:
    assert max(there_and_back(engine, app, 200)) < 5


def test_people_of_several_chunks_are_all_moved(engine: Engine, app: Connection) -> None:
    assert max(there_and_back(engine, app, 2 * CHUNK + 50)) < 10


@pytest.mark.long
def test_thousand_sessions_open_and_close_at_one_instant(engine: Engine, app: Connection) -> None:
    assert max(there_and_back(engine, app, 1000)) < 10
