"""Queries for the edges that lie ahead: for the daemon's timers, and for pages and commands that list them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, func, literal, select, text, union_all
from sqlalchemy.orm import InstrumentedAttribute

from core.models import ActivationWindow, MusicSession

_EDGES = (("ahead", "opens_at"), ("ahead", "closes_at"), ("open", "closes_at"))

# The statement walks along an index from one distinct instant to the next. So its cost grows with the number of
# instants, and not with the number of sessions. Raw SQL, because SQLAlchemy Core cannot express it.
_DISTINCT_EDGES = """
    WITH RECURSIVE edge (at) AS (
        (SELECT {column} FROM activation_window
         WHERE phase = '{phase}' AND {column} > :since AND {column} <= :until ORDER BY {column} LIMIT 1)
        UNION ALL
        SELECT (SELECT {column} FROM activation_window
                WHERE phase = '{phase}' AND {column} > edge.at AND {column} <= :until ORDER BY {column} LIMIT 1)
        FROM edge WHERE edge.at IS NOT NULL
    )
    SELECT at FROM edge WHERE at IS NOT NULL
"""


def edges_between(connection: Connection, since: datetime, until: datetime) -> frozenset[datetime]:
    """Return the distinct instants in `(since, until]` at which a window that is not over opens or closes."""
    found: set[datetime] = set()
    for phase, name in _EDGES:
        statement = text(_DISTINCT_EDGES.format(phase=phase, column=name))
        found.update(connection.scalars(statement, {"since": since, "until": until}))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Edge:
    """An instant at which a window of an instance opens (`opens`), or else closes.

    `session_instance_id` is None where the row is still to be made. `is_planned`: the window is stored; else only the
    session's row and pattern say so, and a pass plans it later.
    """

    at: datetime
    opens: bool
    session_id: int
    session_instance_id: int | None
    name: str
    city: str | None
    country: str | None
    timezone: str | None
    is_planned: bool = True


def upcoming(connection: Connection, within: timedelta, limit: int | None = None) -> list[Edge]:
    """Return at most `limit` edges in `(now, now + within]`, ordered by instant; at one instant closings come first."""
    edges = union_all(*(_edges(phase, name, within) for phase, name in _EDGES)).subquery()
    session = MusicSession
    statement = (
        select(
            edges.c.at,
            edges.c.opens,
            session.session_id,
            edges.c.session_instance_id,
            session.name,
            session.city,
            session.country,
            session.timezone,
        )
        .join(session, session.session_id == edges.c.session_id)
        .order_by(edges.c.at, edges.c.opens, edges.c.session_instance_id)
        .limit(limit)
    )
    return [Edge(*row) for row in connection.execute(statement)]


def _edges(phase: str, name: str, within: timedelta) -> Select[datetime, bool, int, int]:
    window, now = ActivationWindow, func.statement_timestamp()
    edge: InstrumentedAttribute[datetime] = getattr(window, name)
    return select(
        edge.label("at"),
        literal(name == "opens_at").label("opens"),
        window.session_id,
        window.session_instance_id,
    ).where(window.phase == phase, edge > now, edge <= now + within)
