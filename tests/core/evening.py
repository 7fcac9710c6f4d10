"""Sessions of Tuesday the first of December, and what people say of them."""

from datetime import datetime, timedelta
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import CheckedIn, check_in
from tests.core.passes import NOON, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import add_session, execute, only_instance

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def tuesday(app: Connection, engine: Engine, start: str = "19:00", end: str = "22:00", **columns: Any) -> int:
    """Return the instance of a new session on Tuesday the first of December; it has not opened yet."""
    session = add_session(app, recurring(weekly("tuesday", start, end)), **columns)
    reconcile_at(engine, NOON)
    return only_instance(app, session)


def say(app: Connection, person: int, instance: int, attendance: str, at: str | datetime, **options: Any) -> CheckedIn:
    return check_in(app, person, instance, attendance, now=utc(at) if isinstance(at, str) else at, **options)


def said(app: Connection, person: int) -> list[tuple[Any, ...]]:
    return execute(
        app,
        "SELECT session_instance_id, attendance, comment FROM session_instance_person WHERE person_id = %s ORDER BY 1",
        person,
    )
