"""Inserts, updates and counts the sessions and instances that a file or a form states."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import Connection, func, insert, or_, select, update

from core.models import ActivationWindow, MusicSession, SessionInstance


def find_session(connection: Connection, name: str, city: str | None) -> int | None:
    """Return the id of the session with that name in that city, or None; if there are several, the lowest id.

    `city` None finds sessions without a city.
    """
    statement = (
        select(MusicSession.session_id)
        .where(MusicSession.name == name, func.coalesce(MusicSession.city, "") == (city or ""))
        .order_by(MusicSession.session_id)
        .limit(1)
    )
    return connection.scalar(statement)


def insert_session(connection: Connection, values: Mapping[str, str | date | int | None]) -> int:
    """Insert a session; return its id."""
    return connection.execute(insert(MusicSession).values(**values).returning(MusicSession.session_id)).scalar_one()


def update_session(connection: Connection, session_id: int, values: Mapping[str, str | date | int | None]) -> bool:
    """Update a session if any of these values differ; return whether any did."""
    differs = [getattr(MusicSession, name).is_distinct_from(value) for name, value in values.items()]
    statement = (
        update(MusicSession)
        .where(MusicSession.session_id == session_id, or_(*differs))
        .values(**values)
        .returning(MusicSession.session_id)
    )
    return connection.scalar(statement) is not None


def insert_instance(connection: Connection, session_id: int, start: datetime, end: datetime) -> int:
    """Insert an instance, as a person would, at a naive local start and end; return its id."""
    values = {
        "session_id": session_id,
        "date": start.date(),
        "start_time": start.time(),
        "end_time": end.time(),
    }
    statement = insert(SessionInstance).values(**values).returning(SessionInstance.session_instance_id)
    return connection.execute(statement).scalar_one()


def count_planned(connection: Connection) -> int:
    """Return how many instances have a window that is not over."""
    window = ActivationWindow
    statement = select(func.count(window.session_instance_id.distinct())).where(window.phase.in_(("ahead", "open")))
    return connection.execute(statement).scalar_one()


def count_sessions(connection: Connection) -> int:
    """Return how many sessions there are."""
    return connection.execute(select(func.count()).select_from(MusicSession)).scalar_one()
