"""Queries for the board: what is on by country and by town, a town's day, what opens next, and who is there.

What a query costs grows with what is open, or with the town that it is about, and not with the number of sessions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Date,
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

from core.models import (
    INSTANT,
    ActivationWindow,
    ActiveInstance,
    MusicSession,
    Person,
    PlannedInstance,
    SessionInstance,
)
from core.store.activation_windows import is_open
from core.store.arrays import ValueTable, is_in
from core.store.views.pages import PersonRow, by_name
from core.store.views.places import Town, folded, is_in_town, plain

LONGEST_WINDOW = timedelta(days=4)
"""No window reaches farther from its local date. With it PostgreSQL reads a few instances of a session, and not all."""


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


def by_country(connection: Connection, most: int, most_of_each: int) -> Groups:
    """Return what is on by country: at most so many countries, with so many ids each."""
    return _read_groups(connection, _BY_COUNTRY, {"most": most, "most_of_each": most_of_each}).get(None, NOTHING)


def by_town(connection: Connection, countries: Sequence[str], most: int, most_of_each: int) -> dict[str, Groups]:
    """Return what is on in each of these countries by town: at most so many towns of each, with so many ids each."""
    values = _COUNTRIES.of([(country,) for country in countries]) | {"most": most, "most_of_each": most_of_each}
    found = _read_groups(connection, _BY_TOWN, values)
    return {country: found.get(country, NOTHING) for country in countries}


def _read_groups(
    connection: Connection, statement: Select[*tuple[Any, ...]], values: Mapping[str, object]
) -> dict[str | None, Groups]:
    # The estimate of so many lookups is high, and to compile the statement would take longer than to run it.
    connection.execute(_WITHOUT_JIT)
    found: dict[str | None, Groups] = {}
    for of, *town, sessions, towns, first, all_groups, all_sessions, all_towns, _ in connection.execute(
        statement, values
    ):
        groups = found.setdefault(of, Groups([], int(all_groups), int(all_sessions), int(all_towns)))
        groups.rows.append(GroupRow(Town(*town), sessions, towns, first))
    return found


def _groups(countries: ValueTable | None) -> Select[*tuple[Any, ...]]:
    """OFFSET 0 makes PostgreSQL look up each session by its key. Without it, it may read all sessions for those few."""
    active = ActiveInstance
    columns = (MusicSession.name, MusicSession.city, MusicSession.state, MusicSession.country)
    same = MusicSession.session_id == active.session_id
    session = select(*columns).where(same).offset(literal(0)).lateral("its_session").c
    city, state, country = map(plain, (session.city, session.state, session.country))
    first = aggregate_order_by(
        active.session_instance_id, func.lower(session.name).collate("C"), active.session_instance_id.expression
    )
    sessions, towns = func.count(), func.count(func.row(city, state).distinct())
    # Of several spellings the one with capitals.
    shown = [func.min(func.btrim(name).collate("C")) for name in (session.city, session.state, session.country)]
    keys: list[ColumnElement[Any]] = [city, state] if countries else [country]
    of: ColumnElement[Any] = countries.c.country if countries else null()
    ranked = select(
        of.label("of"),
        *(shown[:2] if countries else [null().label("city"), null().label("state")]),
        shown[2],
        sessions,
        towns,
        func.array_agg(first, type_=ARRAY(BigInteger()))[1 : bindparam("most_of_each", type_=Integer())],
        func.count().over(partition_by=of),
        func.sum(sessions).over(partition_by=of),
        func.sum(towns).over(partition_by=of),
        func.row_number().over(partition_by=of, order_by=[sessions.desc(), *keys]).label("place"),
    )
    if countries:
        ranked = ranked.where(country == folded(countries.c.country))
    grouped = ranked.group_by(*([of] if countries else []), *keys).subquery("ranked")
    return select(grouped).where(grouped.c.place <= bindparam("most", type_=Integer())).order_by(grouped.c.place)


NOTHING = Groups([], 0, 0, 0)
_COUNTRIES = ValueTable("wanted", {"country": Text()})
_WITHOUT_JIT = select(func.set_config("jit", "off", true()))
_BY_COUNTRY, _BY_TOWN = _groups(None), _groups(_COUNTRIES)


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


def windows_in_towns(
    connection: Connection, towns: Sequence[Town], since: datetime, until: datetime
) -> list[list[WindowRow]]:
    """Return the windows in each of these towns (A4) that overlap `[since, until)`, in the order of their opening."""
    rows = [(number, town.city or "", town.state or "", town.country or "") for number, town in enumerate(towns)]
    found: list[list[WindowRow]] = [[] for _ in towns]
    days = {"first": (since - LONGEST_WINDOW).date(), "last": (until + LONGEST_WINDOW).date()}
    for number, *row in connection.execute(_IN_TOWNS, _TOWNS.of(rows) | {"since": since, "until": until} | days):
        found[number].append(WindowRow(*row))
    return found


def _in_towns(towns: ValueTable) -> Select[*tuple[Any, ...]]:
    window = ActivationWindow
    since, until = (bindparam(name, type_=INSTANT) for name in ("since", "until"))
    statement = _windows(window).with_only_columns(towns.c.number, *_windows(window).selected_columns)
    is_there = is_in_town(towns.c.city, towns.c.state, towns.c.country)
    near = SessionInstance.date.between(bindparam("first", type_=Date()), bindparam("last", type_=Date()))
    return statement.join(towns.table, is_there).where(window.opens_at < until, window.closes_at > since, near)


_TOWNS = ValueTable("wanted", {"number": BigInteger(), "city": Text(), "state": Text(), "country": Text()})
_IN_TOWNS = _in_towns(_TOWNS)


def openings(connection: Connection, now: datetime, limit: int) -> list[WindowRow]:
    """Return the next windows to open after `now`, at most `limit`."""
    return _rows(connection, _OPENINGS, {"now": now, "limit": limit})


def _openings() -> Select[*tuple[Any, ...]]:
    window = ActivationWindow
    ahead = (
        select(window)
        .where(window.phase == "ahead", window.opens_at > bindparam("now", type_=INSTANT))
        .order_by(window.opens_at)
        .limit(bindparam("limit", type_=Integer()))
    )
    return _windows(aliased(window, ahead.subquery("ahead")))


_OPENINGS = _openings()


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
