"""Who is where: people locked, read and moved, as many as a look concerns in a handful of statements."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime

from sqlalchemy import BigInteger, Connection, DateTime, func, literal, select, union, update

from core.models import ActivationWindow, ActiveInstance, Person, SessionInstance, SessionInstancePerson
from core.store.arrays import is_in, rows
from core.store.candidates import TOLERATED
from core.whereabouts import SaidYes

# Rows of before this feature say when they were made, if anything (`checked_in_at` has no default).
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def at(connection: Connection, instance_ids: Collection[int]) -> dict[int, int]:
    """Return who is at these instances: person id -> instance id."""
    statement = select(Person.person_id, Person.active_session_instance_id).where(
        is_in(Person.active_session_instance_id, instance_ids)
    )
    return {person_id: instance_id for person_id, instance_id in connection.execute(statement) if instance_id}


def concerned_by(
    connection: Connection, session_ids: Collection[int], since: date, opened: Collection[int]
) -> set[tuple[int, int]]:
    """Return whom a look concerns, as (person id, session id).

    Who said yes to any instance of these sessions dated `since` or later, or is at their active one, and who said yes
    to the instances that `opened`.
    """
    check_in, instance = SessionInstancePerson, SessionInstance
    of_instance = check_in.session_instance_id == instance.session_instance_id
    said_yes = select(check_in.person_id, instance.session_id).where(of_instance, check_in.attendance == "yes")
    is_there = Person.active_session_instance_id == ActiveInstance.session_instance_id
    statement = union(
        said_yes.where(is_in(instance.session_id, session_ids), instance.date >= since),
        said_yes.where(is_in(instance.session_instance_id, opened)),
        select(Person.person_id, ActiveInstance.session_id).where(
            is_there, is_in(ActiveInstance.session_id, session_ids)
        ),
    )
    return {(person_id, session_id) for person_id, session_id in connection.execute(statement)}


def sessions_of(connection: Connection, instance_ids: Collection[int]) -> frozenset[int]:
    """Return the sessions of these instances."""
    statement = select(SessionInstance.session_id).where(is_in(SessionInstance.session_instance_id, instance_ids))
    return frozenset(connection.scalars(statement))


def lock(connection: Connection, person_ids: Iterable[int], *, wait: bool = False) -> frozenset[int]:
    """Lock these people's rows, those that nobody holds (or all, as long as the lock timeout lets us wait)."""
    statement = (
        select(Person.person_id)
        .where(is_in(Person.person_id, person_ids))
        .order_by(Person.person_id)
        .with_for_update(key_share=True, skip_locked=not wait)
    )
    return frozenset(connection.scalars(statement))


def release(connection: Connection, instance_ids: Collection[int]) -> None:
    """Let everybody go who is at these instances, before they close: the foreign key then finds nobody to wait for."""
    connection.execute(
        update(Person)
        .where(is_in(Person.active_session_instance_id, instance_ids))
        .values(active_session_instance_id=None)
    )


def pointers(connection: Connection, person_ids: Collection[int]) -> dict[int, int | None]:
    """Return where these people are: person id -> instance id, or None."""
    statement = select(Person.person_id, Person.active_session_instance_id).where(is_in(Person.person_id, person_ids))
    return {row.person_id: row.active_session_instance_id for row in connection.execute(statement)}


def offers(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, list[SaidYes]]:
    """Return, for each of these people, the yeses to instances that should be on at `now`.

    By the windows, not by the bits written so far: otherwise the order of a look's chunks would decide.
    """
    check_in, window = SessionInstancePerson, ActivationWindow
    opened_early = (window.phase == "open") & (window.opens_at <= now + TOLERATED)
    said_at = func.coalesce(check_in.checked_in_at, check_in.created_date, literal(LONG_AGO, DateTime(timezone=True)))
    statement = (
        select(check_in.person_id, check_in.session_instance_id, said_at, window.opens_at, window.starts_at)
        .join(window, window.session_instance_id == check_in.session_instance_id)
        .where(
            is_in(check_in.person_id, person_ids),
            check_in.attendance == "yes",
            window.closes_at > now,
            (window.opens_at <= now) | opened_early,
        )
    )
    found: dict[int, list[SaidYes]] = {}
    for person_id, instance_id, said, opens_at, starts_at in connection.execute(statement):
        found.setdefault(person_id, []).append(SaidYes(instance_id, said, opens_at, starts_at))
    return found


def hold_active(connection: Connection, instance_ids: Collection[int], *, wait: bool = False) -> frozenset[int]:
    """Return those of the instances that are active, held so that none closes before we commit."""
    statement = (
        select(ActiveInstance.session_instance_id)
        .where(is_in(ActiveInstance.session_instance_id, instance_ids))
        .order_by(ActiveInstance.session_instance_id)
        .with_for_update(read=True, key_share=True, skip_locked=not wait)
    )
    return frozenset(connection.scalars(statement))


def move(connection: Connection, moves: Mapping[int, int | None]) -> None:
    """Write where these people, whose rows are locked, are: person id -> instance id, or None."""
    if not moves:
        return
    moved = rows(
        "moved",
        {"person_id": BigInteger(), "session_instance_id": BigInteger()},
        sorted(moves.items()),
    )
    connection.execute(
        update(Person)
        .where(Person.person_id == moved.c.person_id)
        .values(active_session_instance_id=moved.c.session_instance_id)
    )
