"""Writes and deletes what people say about instances, and reads why a person who said yes is not there."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Text,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    join,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert

from core.models import INSTANT, ActivationWindow, Person, SessionInstance, SessionInstancePerson
from core.store.arrays import is_in


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """What is true of an instance at one instant; `is_past`: its date is past in every time zone."""

    is_cancelled: bool
    is_open: bool
    opens_later: bool
    was_open: bool
    is_past: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved check-in: the session of its instance, and the instant of saving."""

    session_id: int
    at: datetime


def save(
    connection: Connection,
    person_id: int,
    session_instance_id: int,
    attendance: str,
    comment: str | None,
    *,
    now: datetime | None,
) -> Saved | None:
    """Insert or update what a person says about an instance; return None if there is no such person or instance.

    The statement uses the app's tables only: it is the app's own write, and needs no privilege on ours.
    A repeated yes counts from now on (`checked_in_at` is updated). Without a `comment`, the old comment stays. `now`
    None means the database's clock when the row is written.
    """
    said = {
        "instance": session_instance_id,
        "person": person_id,
        "said": attendance,
        "note": comment,
        "now": now,
    }
    saved = connection.execute(_SAVE, said).one_or_none()
    return Saved(*saved) if saved else None


def _insert_or_update() -> ReturningInsert[int, datetime]:
    row, at = SessionInstancePerson, func.coalesce(bindparam("now", type_=INSTANT), func.clock_timestamp(type_=INSTANT))
    attendance = bindparam("said", type_=Text())
    columns = {
        "session_instance_id": SessionInstance.session_instance_id,
        "person_id": Person.person_id,
        "attendance": attendance,
        "comment": bindparam("note", type_=Text()),
        "created_date": at,
        "last_modified_date": at,
        "checked_in_at": case((attendance == "yes", at)),
    }
    both = join(SessionInstance, Person, Person.person_id == bindparam("person", type_=BigInteger()))
    said = (
        select(*columns.values())
        .select_from(both)
        .where(SessionInstance.session_instance_id == bindparam("instance", type_=BigInteger()))
    )
    statement = postgresql.insert(row).from_select(list(columns), said)
    new = statement.excluded
    saved = statement.on_conflict_do_update(
        index_elements=["session_instance_id", "person_id"],
        set_={
            "attendance": new.attendance,
            "comment": func.coalesce(new.comment, row.comment),
            "last_modified_date": at,
            "checked_in_at": case((new.attendance == "yes", at), else_=row.checked_in_at),
        },
    )
    return saved.returning(_SESSION_OF.scalar_subquery(), at)


_SESSION_OF = select(SessionInstance.session_id).where(
    SessionInstance.session_instance_id == bindparam("instance", type_=BigInteger())
)


_SAVE = _insert_or_update()


def leave(connection: Connection, person_id: int, session_instance_id: int, *, now: datetime | None) -> None:
    """Note that a person left an instance, beside their yes; do nothing if they have not said yes to it.

    The statement uses the app's tables only, like `save`. `now` None means the database's clock.
    """
    row, at = SessionInstancePerson, _instant(now)
    is_theirs = (row.session_instance_id == session_instance_id) & (row.person_id == person_id)
    connection.execute(update(row).where(is_theirs, row.attendance == "yes").values(left_at=at, last_modified_date=at))


def remove(connection: Connection, person_id: int, session_instance_id: int) -> None:
    """Delete what a person said about an instance, if they said anything."""
    row = SessionInstancePerson
    connection.execute(delete(row).where(row.session_instance_id == session_instance_id, row.person_id == person_id))


def instance_status(connection: Connection, session_instance_id: int, now: datetime | None) -> InstanceStatus:
    """Return the status of an instance, which must exist, at `now`; None means the database's clock."""
    at = _instant(now)
    instance, window = SessionInstance, ActivationWindow
    of_it = exists().where(window.session_instance_id == session_instance_id)
    statement = select(
        func.coalesce(instance.is_cancelled, false()),
        of_it.where(window.opens_at <= at, window.closes_at > at),
        of_it.where(window.opens_at > at),
        of_it.where(window.closes_at <= at),
        instance.date < func.date(at) - 2,
    ).where(instance.session_instance_id == session_instance_id)
    return InstanceStatus(*connection.execute(statement).one())


def session_of(connection: Connection, session_instance_id: int) -> int | None:
    """Return the session of an instance, or None if there is no such instance."""
    return connection.scalar(_SESSION_OF, {"instance": session_instance_id})


def parties(connection: Connection, session_instance_id: int, person_id: int) -> tuple[int | None, bool]:
    """Return the session of an instance (None: no such one), and whether there is such a person."""
    values = {"instance": session_instance_id, "person": person_id}
    session_id, person_exists = connection.execute(_PARTIES, values).one()
    return session_id, person_exists


_PARTIES = select(
    _SESSION_OF.scalar_subquery(),
    exists().where(Person.person_id == bindparam("person", type_=BigInteger())),
)


def count_yeses(connection: Connection, instance_ids: Collection[int]) -> dict[int, int]:
    """Return how many people said yes to each of these instances, of those to which anybody did."""
    found = connection.execute(_COUNT_YESES, {"ids": instance_ids})
    return {row.session_instance_id: row.yeses for row in found}


_COUNT_YESES = (
    select(SessionInstancePerson.session_instance_id, func.count().label("yeses"))
    .where(is_in(SessionInstancePerson.session_instance_id), SessionInstancePerson.attendance == "yes")
    .group_by(SessionInstancePerson.session_instance_id)
)


def _instant(now: datetime | None) -> ColumnElement[datetime]:
    return literal(now, INSTANT) if now else func.clock_timestamp(type_=INSTANT)
