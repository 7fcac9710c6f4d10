"""Inserts, updates and counts the sessions and instances that a file or a form states."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, func, insert, or_, select, update

from core.models import ActivationWindow, MusicSession, SessionInstance
from core.store.arrays import array

Values = Mapping[str, str | date | int | None]


def find_session(connection: Connection, name: str, city: str) -> int | None:
    """Return the id of the session with that name in that city, or None; if there are several, the lowest id."""
    return connection.scalar(
        select(func.min(MusicSession.session_id)).where(MusicSession.name == name, MusicSession.city == city)
    )


def insert_session(connection: Connection, values: Values) -> int:
    """Insert a session; return its id."""
    return connection.execute(insert(MusicSession).values(**values).returning(MusicSession.session_id)).scalar_one()


def update_session(connection: Connection, session_id: int, values: Values) -> bool:
    """Update a session if any of these values differ; return whether any did."""
    differs = [getattr(MusicSession, name).is_distinct_from(value) for name, value in values.items()]
    statement = (
        update(MusicSession)
        .where(MusicSession.session_id == session_id, or_(*differs))
        .values(**values)
        .returning(MusicSession.session_id)
    )
    return connection.scalar(statement) is not None


def identity(values: Values) -> tuple[str, str]:
    """Return what tells sessions of a file apart: the name and the city; no city counts as an empty one."""
    return str(values["name"]), str(values["city"] or "")


def save_all(connection: Connection, rows: Collection[Values]) -> tuple[int, int]:
    """Insert the sessions that do not exist yet, and update those that differ; return how many of each.

    No two of them have the same `identity`. If several stored sessions have it, the one with the lowest id counts.
    """
    stored = _stored(connection, rows)
    new = [values for values in rows if identity(values) not in stored]
    existing = [(stored[identity(values)], values) for values in rows if identity(values) in stored]
    changed = [
        {"id": row.session_id, **values}
        for row, values in existing
        if any(getattr(row, name) != value for name, value in values.items())
    ]
    for alike in _by_columns(new):
        connection.execute(insert(MusicSession), alike)
    for alike in _by_columns(changed):
        connection.execute(_UPDATE, alike)
    return len(new), len(changed)


_UPDATE = update(MusicSession).where(MusicSession.session_id == bindparam("id"))


def _stored(connection: Connection, rows: Collection[Values]) -> dict[tuple[str, str], Row[Any]]:
    found = connection.execute(_STORED, {"names": {str(values["name"]) for values in rows}})
    return {(row.name, row.city or ""): row for row in found}


_STORED = (
    select(MusicSession.__table__)
    .where(MusicSession.name == func.any(array("names", Text())))
    .order_by(MusicSession.session_id.desc())  # of several the lowest stays in the dictionary
)


def _by_columns(rows: Iterable[Values]) -> Iterable[list[Values]]:
    """Group rows that state the same columns: a buffer that is not stated keeps its value, or the default."""
    groups: dict[tuple[str, ...], list[Values]] = {}
    for values in rows:
        groups.setdefault(tuple(values), []).append(values)
    return groups.values()


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
