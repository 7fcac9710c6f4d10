"""Reads, locks and writes where people are, for all the people of a pass in a handful of statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    Date,
    Select,
    bindparam,
    exists,
    func,
    outerjoin,
    select,
    true,
    union,
    update,
)

from core.choices import OLDER_POINTER
from core.models import INSTANT, ActiveInstance, Choice, Person, SessionInstance, SessionInstancePerson
from core.store import notify
from core.store.arrays import ValueTable, is_in


def at(connection: Connection, instance_ids: Collection[int]) -> dict[int, int]:
    """Return the people who are at these instances: person id -> instance id."""
    found = connection.execute(_AT, {"ids": instance_ids}).all()
    return {person_id: instance_id for person_id, instance_id in found if instance_id}


_AT = select(Person.person_id, Person.active_session_instance_id).where(is_in(Person.active_session_instance_id))


def affected_by(connection: Connection, session_ids: Collection[int], since: date) -> set[tuple[int, int]]:
    """Return the people that a plan of these sessions may affect, as (person id, session id).

    They said yes to an instance of the session dated `since` or later, or they are at the session's active instance.
    """
    values = {"ids": session_ids, "since": since}
    return {(person_id, session_id) for person_id, session_id in connection.execute(_AFFECTED_BY, values).all()}


def _affected() -> CompoundSelect[int, int]:
    check_in, instance = SessionInstancePerson, SessionInstance
    of_instance = check_in.session_instance_id == instance.session_instance_id
    said_yes = select(check_in.person_id, instance.session_id).where(of_instance, check_in.attendance == "yes")
    is_there = Person.active_session_instance_id == ActiveInstance.session_instance_id
    return union(
        said_yes.where(is_in(instance.session_id), instance.date >= bindparam("since", type_=Date())),
        select(Person.person_id, ActiveInstance.session_id).where(is_there, is_in(ActiveInstance.session_id)),
    )


_AFFECTED_BY = _affected()


def lock_who_said_yes(connection: Connection, instance_ids: Collection[int]) -> tuple[frozenset[int], frozenset[int]]:
    """Lock the people who said yes to these instances, except those that another transaction holds.

    Return the ids of the locked people, and the instances with a yes of somebody who could not be locked.
    """
    locked, held = connection.execute(_LOCK_WHO_SAID_YES, {"ids": instance_ids}).one()
    return frozenset(locked or ()), frozenset(held or ())


def _who_said_yes() -> Select[Sequence[int], Sequence[int]]:
    check_in = SessionInstancePerson
    said = (
        select(check_in.session_instance_id, check_in.person_id)
        .where(is_in(check_in.session_instance_id), check_in.attendance == "yes")
        .order_by(check_in.person_id)
        .subquery("said")
    )
    locked = (
        select(Person.person_id)
        .where(Person.person_id == said.c.person_id)
        .with_for_update(key_share=True, skip_locked=True)
        .lateral("locked")
    )
    is_held = locked.c.person_id.is_(None)
    # The result is one row with two arrays; otherwise a chunk with a thousand people would return a thousand rows.
    return select(
        func.array_agg(locked.c.person_id).filter(~is_held),
        func.array_agg(said.c.session_instance_id).filter(is_held),
    ).select_from(outerjoin(said, locked, true()))


_LOCK_WHO_SAID_YES = _who_said_yes()


def sessions_of(connection: Connection, instance_ids: Collection[int]) -> frozenset[int]:
    """Return the sessions of these instances."""
    return frozenset(connection.scalars(_SESSIONS_OF, {"ids": instance_ids}))


_SESSIONS_OF = select(SessionInstance.session_id).where(is_in(SessionInstance.session_instance_id))


def lock(connection: Connection, person_ids: Iterable[int]) -> frozenset[int]:
    """Lock these people, except those that another transaction holds; return the ids of the locked ones."""
    return frozenset(connection.scalars(_LOCK, {"ids": person_ids}).all())


_LOCK = (
    select(Person.person_id)
    .where(is_in(Person.person_id))
    .order_by(Person.person_id)
    .with_for_update(key_share=True, skip_locked=True)
)


def lock_waiting(connection: Connection, person_id: int) -> datetime | None:
    """Lock a person's row, waiting up to the lock timeout; return the database's clock once the lock is held (L1).

    Return None if there is no such person. Raises the database's error if the lock timeout ends.
    """
    return connection.scalar(_LOCK_WAITING, {"person_id": person_id})


def _lock_waiting() -> Select[datetime]:
    # PostgreSQL never merges a subquery that locks into the outer query, so it reads the clock after it has the lock.
    locked = (
        select(Person.person_id)
        .where(Person.person_id == bindparam("person_id", type_=BigInteger()))
        .with_for_update(key_share=True)
        .subquery("locked")
    )
    return select(func.clock_timestamp(type_=INSTANT)).select_from(locked)


_LOCK_WAITING = _lock_waiting()


def release(connection: Connection, instance_ids: Collection[int]) -> None:
    """Set everybody who is at these instances to nowhere.

    It is for instances without a row of `active_instance`: when such a row goes, the foreign key does the same.
    """
    connection.execute(_RELEASE, {"ids": instance_ids})


_RELEASE = update(Person).where(is_in(Person.active_session_instance_id)).values(active_session_instance_id=None)


def move(connection: Connection, moves: Mapping[int, int | None]) -> frozenset[int]:
    """Write where these people are: person id -> instance id, or None for nowhere. Their rows are locked.

    Move people only to active instances, and lock these, so that none of them closes before we commit; return them.
    Leave out instances that another transaction holds. During a take-over also leave out those whose own row another
    transaction holds: the foreign key of the app's older pointer would wait for it, while we hold people.
    """
    return _write(connection, _MOVE, moves)


def move_waiting(connection: Connection, moves: Mapping[int, int | None]) -> frozenset[int]:
    """Do as `move` does, but wait for instances that another transaction holds, up to the lock timeout.

    Notify the app's pages, at the app's commit, of the instances that people join. Raises the database's error if the
    lock timeout ends.
    """
    return _write(connection, _MOVE_WAITING, moves)


def _write(connection: Connection, statement: Select[Any], moves: Mapping[int, int | None]) -> frozenset[int]:
    if not moves:
        return frozenset()
    values = {"joined": {*moves.values()}, **_MOVED.of(list(moves.items()))}
    return frozenset(connection.scalars(statement, values).all())


_MOVED = ValueTable("moved", {"person_id": BigInteger(), "session_instance_id": BigInteger()})


def _move(*, wait: bool) -> Select[Any]:
    takes_over = exists().where(Choice.name == OLDER_POINTER)
    own_row = (
        select(SessionInstance.session_instance_id)
        .where(SessionInstance.session_instance_id == ActiveInstance.session_instance_id, takes_over)
        .with_for_update(read=True, key_share=True, skip_locked=True)
        .lateral("own_row")
    )
    held = (
        select(ActiveInstance.session_instance_id, ActiveInstance.session_id)
        .select_from(outerjoin(ActiveInstance, own_row, true()))
        .where(
            is_in(ActiveInstance.session_instance_id, "joined"),
            own_row.c.session_instance_id.is_not(None) | ~takes_over,
        )
        .with_for_update(of=ActiveInstance, read=True, key_share=True, skip_locked=not wait)
        .cte("held")
    )
    to = _MOVED.c.session_instance_id
    written = (
        update(Person)
        .where(Person.person_id == _MOVED.c.person_id, to.is_(None) | to.in_(select(held.c.session_instance_id)))
        .values(active_session_instance_id=to)
        .cte("written")
    )
    told = [notify.at_commit(held.c.session_id, held.c.session_instance_id)] if wait else []
    return select(held.c.session_instance_id, *told).add_cte(written)


_MOVE, _MOVE_WAITING = _move(wait=False), _move(wait=True)
