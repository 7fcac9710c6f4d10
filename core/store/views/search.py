"""Queries that find sessions and towns by the beginning of their names, each by an index and at most a page of them."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, func, literal, literal_column, select, text
from sqlalchemy.orm import aliased

from core.models import MusicSession, Person
from core.store.views.pages import SessionRow, sessions
from core.store.views.places import Town, in_town
from core.store.views.readings import folded

_NAME = folded(MusicSession.name.expression)
# As the index orders: by bytes, whatever the database's collation. SQLAlchemy Core has no USING.
_BY_NAME: tuple[ColumnElement[Any], ...] = (
    literal_column("lower(regexp_replace(session.name, '[[:punct:]]', '', 'g')) USING ~<~"),
    MusicSession.session_id.expression,
)


def sessions_named(connection: Connection, prefix: str, limit: int, *, after: int | None = None) -> list[SessionRow]:
    """Return at most `limit` sessions whose name begins so, whatever its case and punctuation, by name.

    `after`: the id of the last session of the page before.
    """
    return _page(connection, prefix, limit, after)


def sessions_in_town(
    connection: Connection, town: Town, prefix: str, limit: int, *, after: int | None = None
) -> list[SessionRow]:
    """Return the same of one town (A4)."""
    return _page(connection, prefix, limit, after, in_town(town))


def _page(
    connection: Connection, prefix: str, limit: int, after: int | None, *conditions: ColumnElement[bool]
) -> list[SessionRow]:
    statement = sessions().where(*conditions).order_by(*_BY_NAME).limit(limit)
    if prefix:  # without one also those that have no name, and no row's name is folded
        begins = folded(literal(prefix, Text))
        statement = statement.where(func.starts_with(_NAME, begins), begins != "")  # some texts are marks alone
    if after is not None:
        last = aliased(MusicSession)
        name = select(folded(last.name.expression)).where(last.session_id == after).scalar_subquery()
        statement = statement.where(
            _NAME.op("~>=~")(name),
            _NAME.op("~>~")(name) | (MusicSession.session_id > after),
        )
    return [SessionRow(**row) for row in connection.execute(statement).mappings()]


def towns_named(connection: Connection, prefix: str, limit: int) -> list[Town]:
    """Return at most `limit` towns with a session whose names begin so, in upper or lower case, by name (A4)."""
    return [Town(*row) for row in connection.execute(_TOWNS, {"prefix": prefix, "limit": limit})]


# The statement walks along the index `session_town` from one town to the next: its cost grows with the towns that it
# returns, and not with their sessions. Raw SQL, because SQLAlchemy Core cannot express it.
_CITY, _COUNTRY, _STATE = (
    f"lower(btrim(coalesce(session.{name}, ''))) COLLATE \"C\"" for name in ("city", "country", "state")
)
_NEXT = f"""
    SELECT city, state, country, {_CITY} AS plain_city, {_COUNTRY} AS plain_country, {_STATE} AS plain_state
    FROM session WHERE starts_with({_CITY}, lower(btrim(:prefix)))
"""  # noqa: S608 -- our own text
_ORDER = f"ORDER BY {_CITY}, {_COUNTRY}, {_STATE} LIMIT 1"
_TOWNS = text(
    f"""
    WITH RECURSIVE town AS (
        ({_NEXT} AND {_CITY} <> '' {_ORDER})
        UNION ALL
        SELECT following.* FROM town CROSS JOIN LATERAL (
            {_NEXT} AND ({_CITY}, {_COUNTRY}, {_STATE}) > (plain_city, plain_country, plain_state) {_ORDER}
        ) following
    )
    SELECT city, state, country FROM town LIMIT :limit
    """  # noqa: S608 -- our own text
)


def town_of(connection: Connection, person_id: int) -> Town | None:
    """Return the town where a person lives; None if they have not said."""
    statement = select(Person.city, Person.state, Person.country).where(Person.person_id == person_id)
    found = connection.execute(statement).one_or_none()
    return Town(*found) if found and (found.city or "").strip() else None
