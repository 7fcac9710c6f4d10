"""Who is where: people locked, read and moved, as many as a look concerns in a handful of statements."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Date,
    DateTime,
    Select,
    and_,
    bindparam,
    func,
    join,
    literal,
    select,
    union,
    update,
)

from core.models import ActivationWindow, ActiveInstance, Person, SessionInstance, SessionInstancePerson
from core.store.arrays import ValueTable, is_in
from core.store.candidates import TOLERATED
from core.whereabouts import SaidYes

INSTANT = DateTime(timezone=True)
# Rows of before this feature say when they were made, if anything (`checked_in_at` has no default).
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def at(connection: Connection, instance_ids: Collection[int]) -> dict[int, int]:
    """Return who is at these instances: person id -> instance id."""
    found = connection.execute(_AT, {"ids": sorted(instance_ids)})
    return {person_id: instance_id for person_id, instance_id in found if instance_id}


_AT = select(Person.person_id, Person.active_session_instance_id).where(is_in(Person.active_session_instance_id))


def concerned_by(
    connection: Connection, session_ids: Collection[int], since: date, opened: Collection[int]
) -> set[tuple[int, int]]:
    """Return whom a look concerns, as (person id, session id).

    Who said yes to any instance of these sessions dated `since` or later, or is at their active one, and who said yes
    to the instances that `opened`.
    """
    values = {"ids": sorted(session_ids), "since": since, "opened": sorted(opened)}
    return {(person_id, session_id) for person_id, session_id in connection.execute(_CONCERNED_BY, values)}


def _concerned() -> CompoundSelect[int, int]:
    check_in, instance = SessionInstancePerson, SessionInstance
    of_instance = check_in.session_instance_id == instance.session_instance_id
    said_yes = select(check_in.person_id, instance.session_id).where(of_instance, check_in.attendance == "yes")
    is_there = Person.active_session_instance_id == ActiveInstance.session_instance_id
    return union(
        said_yes.where(is_in(instance.session_id), instance.date >= bindparam("since", type_=Date())),
        said_yes.where(is_in(instance.session_instance_id, "opened")),
        select(Person.person_id, ActiveInstance.session_id).where(is_there, is_in(ActiveInstance.session_id)),
    )


_CONCERNED_BY = _concerned()


def sessions_of(connection: Connection, instance_ids: Collection[int]) -> frozenset[int]:
    """Return the sessions of these instances."""
    return frozenset(connection.scalars(_SESSIONS_OF, {"ids": sorted(instance_ids)}))


_SESSIONS_OF = select(SessionInstance.session_id).where(is_in(SessionInstance.session_instance_id))


def lock(connection: Connection, person_ids: Iterable[int], *, wait: bool = False) -> frozenset[int]:
    """Lock these people's rows, those that nobody holds (or all, as long as the lock timeout lets us wait)."""
    return frozenset(connection.scalars(_LOCK[wait], {"ids": sorted(person_ids)}))


_LOCK = {
    wait: select(Person.person_id)
    .where(is_in(Person.person_id))
    .order_by(Person.person_id)
    .with_for_update(key_share=True, skip_locked=not wait)
    for wait in (False, True)
}


def release(connection: Connection, instance_ids: Collection[int]) -> None:
    """Let everybody go who is at these instances, before they close: the foreign key then finds nobody to wait for."""
    connection.execute(_RELEASE, {"ids": sorted(instance_ids)})


_RELEASE = update(Person).where(is_in(Person.active_session_instance_id)).values(active_session_instance_id=None)

Standing = tuple[int | None, list[SaidYes]]


def standings(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, Standing]:
    """Return, for each of these people, the instance where they are, and the yeses to those that should be on at `now`.

    By the windows, not by the bits written so far: otherwise the order of a look's chunks would decide.
    """
    found: dict[int, Standing] = {}
    for person_id, pointer, instance_id, *said in connection.execute(
        _STANDINGS, {"ids": sorted(person_ids), "now": now}
    ):
        _, yeses = found.setdefault(person_id, (pointer, []))
        if instance_id is not None:
            yeses.append(SaidYes(instance_id, *said))
    return found


def _standings() -> Select[int, int | None, int, datetime, datetime, datetime]:
    check_in, window = SessionInstancePerson, ActivationWindow
    said_at = func.coalesce(check_in.checked_in_at, check_in.created_date, literal(LONG_AGO, INSTANT))
    said_yes_to_what_is_on = and_(
        check_in.person_id == Person.person_id,
        check_in.attendance == "yes",
        _should_be_on(bindparam("now", type_=INSTANT)),
    )
    return (
        select(
            Person.person_id,
            Person.active_session_instance_id,
            check_in.session_instance_id,
            said_at,
            window.opens_at,
            window.starts_at,
        )
        .outerjoin(
            join(check_in, window, window.session_instance_id == check_in.session_instance_id), said_yes_to_what_is_on
        )
        .where(is_in(Person.person_id))
    )


def _should_be_on(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    window = ActivationWindow
    opened_early = (window.phase == "open") & (window.opens_at <= now + TOLERATED)
    return (window.closes_at > now) & ((window.opens_at <= now) | opened_early)


_STANDINGS = _standings()


def hold_active(connection: Connection, instance_ids: Collection[int], *, wait: bool = False) -> frozenset[int]:
    """Return those of the instances that are active, held so that none closes before we commit."""
    return frozenset(connection.scalars(_HOLD_ACTIVE[wait], {"ids": sorted(instance_ids)}))


_HOLD_ACTIVE = {
    wait: select(ActiveInstance.session_instance_id)
    .where(is_in(ActiveInstance.session_instance_id))
    .order_by(ActiveInstance.session_instance_id)
    .with_for_update(read=True, key_share=True, skip_locked=not wait)
    for wait in (False, True)
}


def move(connection: Connection, moves: Mapping[int, int | None]) -> None:
    """Write where these people, whose rows are locked, are: person id -> instance id, or None."""
    if moves:
        connection.execute(_MOVE, _MOVED.of(sorted(moves.items())))


_MOVED = ValueTable("moved", {"person_id": BigInteger(), "session_instance_id": BigInteger()})
_MOVE = (
    update(Person)
    .where(Person.person_id == _MOVED.c.person_id)
    .values(active_session_instance_id=_MOVED.c.session_instance_id)
)
