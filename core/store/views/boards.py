"""Queries for the board: what is on by country and by town, a town's day, what opens next, and who is there.

What a query costs grows with what is open, or with the town that it is about, and not with the number of sessions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from core.models import ActivationWindow, ActiveInstance, MusicSession, Person, PlannedInstance, SessionInstance
from core.store.activation_windows import is_open
from core.store.arrays import is_in
from core.store.views.pages import PersonRow, by_name
from core.store.views.places import Town, folded, in_country, in_town, plain

MOST_AHEAD = 1000
"""How many of the next openings are searched for those of one country."""


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window `[opens_at, closes_at)` of an instance: its local times, and its session's name, town and zone.

    `occurrence_start`, `occurrence_end`: the occurrence that the instance is bound to; a page needs it if the instance
    states no start.
    """

    session_instance_id: int
    session_id: int
    name: str
    city: str | None
    state: str | None
    country: str | None
    timezone: str | None
    date: date
    start_time: time | None
    end_time: time | None
    occurrence_start: datetime | None
    occurrence_end: datetime | None
    opens_at: datetime
    closes_at: datetime
    active: bool


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The active instances of a country, or of a town: how many, in how many towns, and the first ids, by name."""

    town: Town
    sessions: int
    towns: int
    first: list[int]


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups, those with the most instances first, and how many there are: groups, and instances in all of them."""

    rows: list[GroupRow]
    groups: int
    sessions: int
    towns: int


@dataclass(frozen=True, slots=True)
class PeopleRow:
    """The first people at an instance, by name, and how many there are."""

    first: list[PersonRow]
    total: int


def groups(connection: Connection, country: str | None, most: int, most_of_each: int) -> Groups:
    """Return what is on by country or, of one country, by town: at most so many groups, with so many ids each."""
    # The estimate of so many lookups is high, and to compile the statement would take longer than to run it.
    connection.execute(_WITHOUT_JIT)
    statement = _BY_COUNTRY if country is None else _BY_TOWN
    found = connection.execute(statement, {"country": country, "most": most, "most_of_each": most_of_each}).all()
    rows = [GroupRow(Town(*town), sessions, towns, first) for *town, sessions, towns, first, _, _, _ in found]
    return Groups(rows, *map(int, found[0][-3:])) if found else Groups([], 0, 0, 0)


def _groups(*, by_country: bool) -> Select[*tuple[Any, ...]]:
    """OFFSET 0 makes PostgreSQL look up each session by its key. Without it, it may read all sessions for those few."""
    active = ActiveInstance
    columns = (MusicSession.name, MusicSession.city, MusicSession.state, MusicSession.country)
    same = MusicSession.session_id == active.session_id
    session = select(*columns).where(same).correlate(active).offset(literal(0)).lateral("its_session").c
    city, state, country = map(plain, (session.city, session.state, session.country))
    keys = [country] if by_country else [city, state]
    first = aggregate_order_by(
        active.session_instance_id, func.lower(session.name).collate("C"), active.session_instance_id.expression
    )
    sessions, towns = func.count(), func.count(func.row(city, state).distinct())
    # Of several spellings the one with capitals.
    shown = [func.min(func.btrim(name).collate("C")) for name in (session.city, session.state, session.country)]
    statement = select(
        *([null(), null()] if by_country else shown[:2]),
        shown[2],
        sessions,
        towns,
        func.array_agg(first, type_=ARRAY(BigInteger()))[1 : bindparam("most_of_each", type_=Integer())],
        func.count().over(),
        func.sum(sessions).over(),
        func.sum(towns).over(),
    )
    if not by_country:
        statement = statement.where(country == folded(bindparam("country", type_=Text())))
    return statement.group_by(*keys).order_by(sessions.desc(), *keys).limit(bindparam("most", type_=Integer()))


_WITHOUT_JIT = select(func.set_config("jit", "off", true()))
_BY_COUNTRY, _BY_TOWN = _groups(by_country=True), _groups(by_country=False)


def _windows(window: type[ActivationWindow]) -> Select[*tuple[Any, ...]]:
    session, instance, bound = MusicSession, SessionInstance, PlannedInstance
    return (
        select(
            window.session_instance_id,
            session.session_id,
            session.name,
            session.city,
            session.state,
            session.country,
            session.timezone,
            instance.date,
            instance.start_time,
            instance.end_time,
            bound.occurrence_start,
            bound.occurrence_end,
            window.opens_at,
            window.closes_at,
            instance.active,
        )
        .join(instance, instance.session_instance_id == window.session_instance_id)
        .join(session, (session.session_id == instance.session_id) & (session.session_id == window.session_id))
        .outerjoin(bound, bound.session_instance_id == window.session_instance_id)
        .order_by(window.opens_at, session.name, window.session_instance_id)
    )


def _rows(
    connection: Connection, statement: Select[*tuple[Any, ...]], values: Mapping[str, object] | None = None
) -> list[WindowRow]:
    return [WindowRow(*row) for row in connection.execute(statement, values)]


def windows_of(connection: Connection, instance_ids: Sequence[int]) -> list[WindowRow]:
    """Return the open windows of these instances."""
    return _rows(connection, _OPEN_OF, {"ids": instance_ids})


_OPEN_OF = _windows(ActivationWindow).where(is_in(ActivationWindow.session_instance_id), is_open(ActivationWindow))


def windows_in_town(connection: Connection, town: Town, since: datetime, until: datetime) -> list[WindowRow]:
    """Return the windows in a town (A4) that overlap `[since, until)`, in the order of their opening."""
    window = ActivationWindow
    overlaps = (window.opens_at < until) & (window.closes_at > since)
    return _rows(connection, _windows(window).where(in_town(town), overlaps))


def openings(connection: Connection, now: datetime, country: str | None, limit: int) -> list[WindowRow]:
    """Return the next windows to open after `now`, at most `limit`; of one country, among the next `MOST_AHEAD`."""
    window = ActivationWindow
    ahead = (
        select(window)
        .where(window.phase == "ahead", window.opens_at > now)
        .order_by(window.opens_at)
        .limit(limit if country is None else MOST_AHEAD)
    )
    statement = _windows(aliased(window, ahead.subquery("ahead"))).limit(limit)
    return _rows(connection, statement if country is None else statement.where(in_country(country)))


def people_at(connection: Connection, instance_ids: Sequence[int], most: int) -> dict[int, PeopleRow]:
    """Return who is at these active instances: instance id -> at most so many people, and how many there are."""
    found: dict[int, PeopleRow] = {}
    for at, total, *person in connection.execute(_PEOPLE_AT, {"ids": instance_ids, "most": most}):
        found.setdefault(at, PeopleRow([], total)).first.append(PersonRow(*person))
    return found


def _people_at() -> Select[*tuple[Any, ...]]:
    at = Person.active_session_instance_id
    ranked = (
        select(
            at.label("at"),
            func.count().over(partition_by=at).label("total"),
            Person.person_id,
            Person.first_name,
            Person.last_name,
            func.row_number().over(partition_by=at, order_by=by_name()).label("place"),
        )
        .where(is_in(at))
        .subquery("ranked")
    )
    columns = (ranked.c.at, ranked.c.total, ranked.c.person_id, ranked.c.first_name, ranked.c.last_name)
    return (
        select(*columns)
        .where(ranked.c.place <= bindparam("most", type_=Integer()))
        .order_by(ranked.c.at, ranked.c.place)
    )


_PEOPLE_AT = _people_at()
