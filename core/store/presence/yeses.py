"""Reads the yeses for instances that should be active at an instant, by their windows; and who left lately.

The active bits cannot tell: in the middle of a pass only some chunks have written theirs, so the order of the chunks
would decide where a person is.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import LateralFromClause

from core.clock import EPOCH
from core.models import INSTANT, ActivationWindow, DeactivatedPerson, Person, SessionInstancePerson
from core.rules.flips import TOLERATED
from core.rules.presence import HERE_BEFORE_OPENING, Left, SaidYes
from core.store.arrays import is_in

LEFT_LATELY = timedelta(days=4)  # longer than any window: 24 hours, two buffers of 24 hours, and a clock change

PointerAndSaid = tuple[int | None, list[SaidYes], list[Left]]


def _open_yeses() -> Select[int, int, datetime, datetime, datetime, datetime]:
    """Return the yeses of the people `ids` for instances that should be active at `now`.

    Their windows contain `now`, `[opens_at, closes_at)`, or were opened early (L2).
    """
    check_in, now = SessionInstancePerson, bindparam("now", type_=INSTANT)
    window = _live_windows_of_check_in()
    opened_early = (window.c.phase == "open") & (window.c.opens_at <= now + TOLERATED)
    # Rows from before the migration have no `checked_in_at`; some of them have a `created_date`.
    said_at = func.coalesce(check_in.checked_in_at, check_in.created_date, literal(EPOCH, INSTANT))
    return select(
        check_in.person_id,
        check_in.session_instance_id,
        said_at.label("said_at"),
        window.c.opens_at,
        window.c.closes_at,
        window.c.starts_at,
    ).where(_is_recent_yes(), window.c.closes_at > now, (window.c.opens_at <= now) | opened_early)


def _is_recent_yes() -> ColumnElement[bool]:
    """Return the condition for the yeses of the people `ids`, without most of their past ones.

    Instance ids grow with time. So the index by person and instance skips all instances below the lowest id that still
    has a window which is not over; a regular guest has hundreds of them.
    """
    check_in, live = SessionInstancePerson, aliased(ActivationWindow)
    lowest = select(func.min(live.session_instance_id)).where(live.phase != "over").scalar_subquery()
    deactivated = exists().where(DeactivatedPerson.person_id == check_in.person_id)
    return and_(
        is_in(check_in.person_id), check_in.attendance == "yes", check_in.session_instance_id >= lowest, ~deactivated
    )


def _live_windows_of_check_in() -> LateralFromClause:
    """Return the windows of a check-in's instance that are not over.

    OFFSET 0 makes PostgreSQL start from the people, and look up their windows. Without it PostgreSQL may start from the
    windows and read all open ones, because its statistics do not know how many are open now.
    """
    window = ActivationWindow
    of_it = window.session_instance_id == SessionInstancePerson.session_instance_id
    return (
        select(window.session_id, window.opens_at, window.closes_at, window.starts_at, window.phase)
        .where(of_it, window.phase != "over")
        .offset(literal(0))
        .lateral("live")
    )


def by_person(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, PointerAndSaid]:
    """Return, by person id, the instance where each person is (None: nowhere), their yeses, and what they left.

    The yeses are those for instances that should be active at `now`. What was left before all of them opened is left
    out.
    """
    pointers: dict[int, int | None] = {}
    said: dict[int, list[SaidYes]] = defaultdict(list)
    left: dict[int, list[Left]] = defaultdict(list)
    values = {"ids": person_ids, "now": now, "lately": now - LEFT_LATELY}
    for person_id, instance_id, at, opens_at, closes_at, starts_at in connection.execute(_BY_PERSON, values).all():
        if at is None:
            pointers[person_id] = instance_id
        elif opens_at is None:
            left[person_id].append(Left(instance_id, at))
        else:
            said[person_id].append(SaidYes(instance_id, at, opens_at, closes_at, starts_at))
    return {person_id: (pointer, said[person_id], left[person_id]) for person_id, pointer in pointers.items()}


def _where_they_are_and_what_they_said() -> CompoundSelect[*tuple[Any, ...]]:
    """Return a row for each person, without instants; one for each instance left, with one; one for each yes."""
    return union_all(
        select(Person.person_id, Person.active_session_instance_id, *_nothing(4)).where(is_in(Person.person_id)),
        _LEFT_LATELY.add_columns(*_nothing(3)),
        _open_yeses(),
    )


def _nothing(columns: int) -> list[ColumnElement[datetime]]:
    return [cast(null(), INSTANT) for _ in range(columns)]


_LEFT_LATELY = select(
    SessionInstancePerson.person_id, SessionInstancePerson.session_instance_id, SessionInstancePerson.left_at
).where(is_in(SessionInstancePerson.person_id), SessionInstancePerson.left_at >= bindparam("lately", type_=INSTANT))


_BY_PERSON = _where_they_are_and_what_they_said()


def left_since(connection: Connection, person_ids: Collection[int], since: datetime) -> dict[int, list[Left]]:
    """Return, by person id, what these people left at `since` or later."""
    left: dict[int, list[Left]] = defaultdict(list)
    for person_id, instance_id, left_at in connection.execute(_LEFT_LATELY, {"ids": person_ids, "lately": since}):
        if left_at is not None:
            left[person_id].append(Left(instance_id, left_at))
    return left


def move_undisputed(
    connection: Connection, person_ids: Collection[int], opened: Collection[int], now: datetime
) -> frozenset[int]:
    """Move those of these people for whom there is nothing to decide; return their ids. Their rows are locked.

    Such a person is nowhere, has exactly one yes for an instance that should be active at `now`, which is one of those
    in `opened`, and has left nothing since it opened.
    """
    values = {"ids": person_ids, "opened": opened, "now": now}
    return frozenset(connection.scalar(_MOVE_UNDISPUTED, values) or ())


def _undisputed() -> Select[list[int] | None]:
    yes, check_in = _open_yeses().subquery("yes"), SessionInstancePerson
    only = func.min(yes.c.session_instance_id)
    undisputed = (
        select(yes.c.person_id, only.label("session_instance_id"), func.min(yes.c.opens_at).label("opens_at"))
        .group_by(yes.c.person_id)
        .having(func.count() == 1, is_in(cast(only, BigInteger), "opened"))
        .subquery("undisputed")
    )
    has_left = exists().where(
        check_in.person_id == undisputed.c.person_id,
        check_in.left_at >= undisputed.c.opens_at - HERE_BEFORE_OPENING,
    )
    moved = (
        update(Person)
        .where(Person.person_id == undisputed.c.person_id, Person.active_session_instance_id.is_(None), ~has_left)
        .values(active_session_instance_id=undisputed.c.session_instance_id)
        .returning(Person.person_id)
        .cte("moved")
    )
    return select(func.array_agg(moved.c.person_id))


_MOVE_UNDISPUTED = _undisputed()
