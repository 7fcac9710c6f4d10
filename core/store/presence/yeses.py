"""Reads the yeses that count at an instant: those for instances that should be active then, by their windows.

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
    join,
    literal,
    null,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import LateralFromClause

from core.clock import EPOCH
from core.models import INSTANT, ActivationWindow, DeactivatedPerson, Person, SessionInstancePerson
from core.rules.flips import TOLERATED
from core.rules.presence import SaidYes
from core.store.arrays import is_in

SOON = timedelta(hours=1)  # longer than an app keeps a transaction open

PointerAndYeses = tuple[int | None, list[SaidYes]]


def _counting_yeses() -> Select[int, int, datetime, datetime, datetime]:
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
        .correlate(SessionInstancePerson)
        .offset(literal(0))
        .lateral("live")
    )


def by_person(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, PointerAndYeses]:
    """Return, by person id, the instance where each person is (None: nowhere), and their yeses that count at `now`."""
    pointers: dict[int, int | None] = {}
    said: dict[int, list[SaidYes]] = defaultdict(list)
    found = connection.execute(_BY_PERSON, {"ids": sorted(person_ids), "now": now}).all()
    for person_id, instance_id, said_at, opens_at, starts_at in found:
        if opens_at is None:
            pointers[person_id] = instance_id
        else:
            said[person_id].append(SaidYes(instance_id, said_at, opens_at, starts_at))
    return {person_id: (pointer, said.get(person_id, [])) for person_id, pointer in pointers.items()}


def _where_they_are_and_what_counts() -> CompoundSelect[*tuple[Any, ...]]:
    """Return one row per person, with where they are and without instants; and one row per yes that counts."""
    nothing = (cast(null(), INSTANT) for _ in range(3))
    return union_all(
        select(Person.person_id, Person.active_session_instance_id, *nothing).where(is_in(Person.person_id)),
        _counting_yeses(),
    )


_BY_PERSON = _where_they_are_and_what_counts()


def awaited(connection: Connection, person_ids: Collection[int], now: datetime) -> frozenset[int]:
    """Return the sessions with an instance that these people said yes to and that opens in `(now, now + SOON]`."""
    return frozenset(connection.scalars(_AWAITED, {"ids": sorted(person_ids), "now": now, "soon": now + SOON}).all())


def _awaited() -> Select[int]:
    window = _live_windows_of_check_in()
    return (
        select(window.c.session_id)
        .select_from(join(SessionInstancePerson, window, true()))
        .where(_is_recent_yes(), window.c.opens_at > bindparam("now", type_=INSTANT))
        .where(window.c.opens_at <= bindparam("soon", type_=INSTANT))
        .distinct()
    )


_AWAITED = _awaited()


def move_undisputed(
    connection: Connection, person_ids: Collection[int], opened: Collection[int], now: datetime
) -> frozenset[int]:
    """Move those of these people for whom there is nothing to decide; return their ids. Their rows are locked.

    Such a person is nowhere, and has exactly one yes that counts at `now`, for one of the instances in `opened`.
    """
    values = {"ids": sorted(person_ids), "opened": sorted(opened), "now": now}
    return frozenset(connection.scalar(_MOVE_UNDISPUTED, values) or ())


def _undisputed() -> Select[list[int] | None]:
    yes = _counting_yeses().subquery("yes")
    only = func.min(yes.c.session_instance_id)
    undisputed = (
        select(yes.c.person_id, only.label("session_instance_id"))
        .group_by(yes.c.person_id)
        .having(func.count() == 1, is_in(cast(only, BigInteger), "opened"))
        .subquery("undisputed")
    )
    moved = (
        update(Person)
        .where(Person.person_id == undisputed.c.person_id, Person.active_session_instance_id.is_(None))
        .values(active_session_instance_id=undisputed.c.session_instance_id)
        .returning(Person.person_id)
        .cte("moved")
    )
    return select(func.array_agg(moved.c.person_id))


_MOVE_UNDISPUTED = _undisputed()
