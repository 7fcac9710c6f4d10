"""Queries for an app's pages: what is on and where, who is there, and what else is on in town."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from core.clock import EPOCH
from core.models import (
    INSTANT,
    ActivationWindow,
    ActiveInstance,
    DeactivatedPerson,
    MusicSession,
    Person,
    SessionInstance,
    SessionInstancePerson,
)
from core.rules.presence import SaidYes
from core.store.activation_windows import is_open
from core.store.arrays import is_in


@dataclass(frozen=True, slots=True)
class Place:
    """An active instance, with what a page needs to show it.

    `date`, `start_time` and `end_time` are as stated, local to `timezone`. The window is `[opens_at, closes_at)`; both
    are None for a moment after an edit took the window away, until a pass turns the instance off. `people`: how many
    people are there.
    """

    session_instance_id: int
    session_id: int
    name: str
    path: str | None
    city: str | None
    state: str | None
    country: str | None
    timezone: str | None
    date: date
    start_time: time | None
    end_time: time | None
    location_override: str | None
    comments: str | None
    opens_at: datetime | None
    closes_at: datetime | None
    people: int


Name = str | ColumnElement[str]


@dataclass(frozen=True, slots=True)
class Town:
    """A town, as some session or person writes it (A4)."""

    city: str | None
    state: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class Attendee:
    """A person who said yes to an instance; when they said it; whether they are there now; and when they left after it.

    `left_at` is None if they have not left this instance since they said yes. `city` tells two of one name apart.
    """

    person_id: int
    first_name: str | None
    last_name: str | None
    comment: str | None
    said_at: datetime | None
    is_here: bool
    left_at: datetime | None
    city: str | None


def places(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[Place, ...]:
    """Return the active instances that meet all these conditions, ordered by country, city, name and id."""
    return tuple(Place(**row) for row in connection.execute(_PLACES.where(*conditions)).mappings())


def count_active(connection: Connection) -> int:
    """Count the active instances."""
    return connection.execute(_COUNT_ACTIVE).scalar_one()


_COUNT_ACTIVE = select(func.count()).select_from(ActiveInstance)


def place_of(connection: Connection, person_id: int) -> Place | None:
    """Return the active instance where this person is, or None."""
    found = connection.execute(_PLACE_OF, {"person_id": person_id}).mappings().one_or_none()
    return Place(**found) if found else None


def places_of(connection: Connection, person_ids: Collection[int]) -> dict[int, Place]:
    """Return where these people are, without those who are nowhere: person id -> active instance."""
    found = connection.execute(_PLACES_OF, {"ids": person_ids})
    return {person_id: Place(*place) for *place, person_id in found}


def _places() -> Select[*tuple[Any, ...]]:
    instance, session, window = SessionInstance, MusicSession, ActivationWindow
    people = (
        select(func.count())
        .where(Person.active_session_instance_id == instance.session_instance_id)
        .correlate(instance)
        .scalar_subquery()
        .label("people")
    )
    return (
        select(
            instance.session_instance_id,
            session.session_id,
            session.name,
            session.path,
            session.city,
            session.state,
            session.country,
            session.timezone,
            instance.date,
            instance.start_time,
            instance.end_time,
            instance.location_override,
            instance.comments,
            window.opens_at,
            window.closes_at,
            people,
        )
        .select_from(ActiveInstance)
        .join(instance, instance.session_instance_id == ActiveInstance.session_instance_id)
        .join(session, session.session_id == instance.session_id)
        .outerjoin(window, _its_open_window(instance))
        .order_by(session.country, session.city, session.name, instance.session_instance_id)
    )


def _its_open_window(instance: type[SessionInstance | ActiveInstance]) -> ColumnElement[bool]:
    """Return the condition for the open window of an instance.

    An instance that was given to another session has the window of its old one until the next pass there.
    """
    window = ActivationWindow
    return (
        (window.session_instance_id == instance.session_instance_id)
        & (window.session_id == instance.session_id)
        & is_open(window)
    )


def _where_person_is() -> ColumnElement[bool]:
    here = select(Person.active_session_instance_id).where(Person.person_id == bindparam("person_id", type_=BigInteger))
    return SessionInstance.session_instance_id == here.scalar_subquery()


_PLACES = _places()
_PLACE_OF = _PLACES.where(_where_person_is())
_PLACES_OF = (
    _PLACES.add_columns(Person.person_id)
    .join(Person, Person.active_session_instance_id == ActiveInstance.session_instance_id)
    .where(is_in(Person.person_id))
)


def is_instance(session_instance_id: int) -> ColumnElement[bool]:
    """Return the condition that an instance has this id."""
    return SessionInstance.session_instance_id == session_instance_id


def of_session(session_id: int) -> ColumnElement[bool]:
    """Return the condition that an instance belongs to this session."""
    return MusicSession.session_id == session_id


def in_city(city: str) -> ColumnElement[bool]:
    """Return the condition that a session is in a city of this name; outer spaces and case do not matter."""
    return plain(MusicSession.city) == folded(city)


def in_country(country: str) -> ColumnElement[bool]:
    """Return the condition that a session is in a country of this name; outer spaces and case do not matter."""
    return plain(MusicSession.country) == folded(country)


def in_town(town: Town) -> ColumnElement[bool]:
    """Return the condition that a session is in this town (A4)."""
    return is_in_town(town.city or "", town.state or "", town.country or "")


def is_in_town(city: Name, state: Name, country: Name) -> ColumnElement[bool]:
    """Return the condition that a session is in the town of these names (A4); a name may be a column."""
    of_session, of_town = plain(MusicSession.state), folded(state)
    same_state = (of_session == "") | (of_town == "") | (of_session == of_town)
    return (plain(MusicSession.city) == folded(city)) & (plain(MusicSession.country) == folded(country)) & same_state


def folded(name: Name) -> ColumnElement[str]:
    """Return a name as `plain` has it, to compare it with a column."""
    return func.lower(func.btrim(name))


def elsewhere_in_town(session_instance_id: int) -> ColumnElement[bool]:
    """Return the condition that an instance is another one than this active one, and in the same town (A4)."""
    here, there, here_active = aliased(MusicSession), aliased(MusicSession), aliased(ActiveInstance)
    in_town = (
        select(there.session_id)
        .select_from(here_active)
        .join(here, here.session_id == here_active.session_id)
        .join(there, and_(*same_town(here, there)))
        .where(here_active.session_instance_id == session_instance_id)
    )
    return ActiveInstance.session_id.in_(in_town) & (SessionInstance.session_instance_id != session_instance_id)


def same_town(here: type[MusicSession], there: type[MusicSession]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that two sessions are in the same town (A4)."""
    return (
        plain(here.city) != "",
        plain(here.city) == plain(there.city),
        plain(here.country) == plain(there.country),
        (plain(here.state) == "") | (plain(there.state) == "") | (plain(here.state) == plain(there.state)),
    )


def plain(column: ColumnElement[str | None] | InstrumentedAttribute[str | None]) -> ColumnElement[str]:
    """Return a name as it is compared. The index of towns has this expression, with this collation."""
    return func.lower(func.btrim(func.coalesce(column, ""))).collate("C")


def attendees(connection: Connection, session_instance_id: int) -> Sequence[tuple[Attendee, SaidYes | None]]:
    """Return the people who said yes to an instance, the earliest yes first; with each yes, if the instance is active.

    A yes of before the migration, which has no time, counts as said long ago.
    """
    check_in, person, window = SessionInstancePerson, Person, ActivationWindow
    is_active = ActiveInstance.session_instance_id == check_in.session_instance_id
    said_at = func.coalesce(check_in.checked_in_at, check_in.created_date)
    counted_from = func.coalesce(check_in.checked_in_at, check_in.created_date, literal(EPOCH, INSTANT))
    statement = (
        select(
            person.person_id,
            person.first_name,
            person.last_name,
            check_in.comment,
            said_at,
            func.coalesce(person.active_session_instance_id == session_instance_id, false()),
            case((check_in.left_at >= counted_from, check_in.left_at)),
            person.city,
            counted_from,
            window.opens_at,
            window.closes_at,
            window.starts_at,
        )
        .join(person, person.person_id == check_in.person_id)
        .outerjoin(ActiveInstance, is_active)
        .outerjoin(window, _its_open_window(ActiveInstance))
        .where(
            check_in.session_instance_id == session_instance_id,
            check_in.attendance == "yes",
            ~exists().where(DeactivatedPerson.person_id == person.person_id),
        )
        .order_by(said_at, person.person_id)
    )
    return [_attendee(session_instance_id, *row) for row in connection.execute(statement)]


def _attendee(session_instance_id: int, *row: Any) -> tuple[Attendee, SaidYes | None]:
    *shown, said_at, opens_at, closes_at, starts_at = row
    yes = opens_at and SaidYes(session_instance_id, said_at, opens_at, closes_at, starts_at)
    return Attendee(*shown), yes
