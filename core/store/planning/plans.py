"""Writes what the planner decided, for a chunk of sessions at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sqlalchemy import BigInteger, Connection, Text, bindparam, case, select, update

from core.models import INSTANT, PlannedInstance, SessionInstance, SessionPlan
from core.rules.overlaps import ActiveSpan
from core.rules.planner import Plan
from core.store import activation_windows
from core.store.activation_windows import StoredWindow, Windows
from core.store.arrays import ValueTable
from core.store.planning import instances


@dataclass(frozen=True, slots=True)
class Written:
    """The ids of the instances that were made, retimed and deleted; and the future edges of all planned windows."""

    made: tuple[int, ...]
    retimed: tuple[int, ...]
    deleted: tuple[int, ...]
    edges: frozenset[datetime]


@dataclass(frozen=True, slots=True)
class Locked:
    """`blocked`: the sessions with a row that another transaction holds; `stored`: the live windows of all sessions."""

    blocked: frozenset[int]
    stored: Windows


def lock_for(connection: Connection, plans: Sequence[Plan], now: datetime) -> Locked:
    """Lock what `write` will need, without waiting.

    1. Read the stored windows, to know which of them the plans change.
    2. Lock the instances to retime or to delete.
    3. Lock, as a foreign key does, the instances whose windows or bindings change. If the app has deleted such an
       instance and not committed, our insert would wait for that transaction.
    4. Lock, as a foreign key does, the sessions that get new instances.
    5. Return the session of every row that was skipped, because another transaction holds it.
    """
    stored = activation_windows.stored(connection, [plan.session_id for plan in plans], now)
    making = {plan.session_id for plan in plans if plan.made}
    writing = {row: plan.session_id for plan in plans for row in _rows_to_write(plan)}
    referring = _rows_to_refer_to(plans, stored, now)
    missing = [
        *(writing[row] for row in writing.keys() - instances.lock(connection, writing)),
        *(referring[row] for row in referring.keys() - instances.lock_keys(connection, referring)),
        *(making - instances.lock_parents(connection, making)),
    ]
    return Locked(frozenset(missing), stored)


def _rows_to_write(plan: Plan) -> Iterable[int]:
    return chain((row.session_instance_id for row in plan.retimed), plan.deletable)


def _rows_to_refer_to(plans: Iterable[Plan], stored: Windows, now: datetime) -> dict[int, int]:
    """Return the existing instances whose windows or bindings change: instance id -> session id."""
    planned = _windows(plans, stored, {})
    gone, new = activation_windows.difference(stored, planned, now)
    bindings = {row: plan.session_id for plan in plans for row in chain(plan.bound, plan.unbound)}
    return {window.session_instance_id: window.session_id for window in gone | new} | bindings


def _windows(plans: Iterable[Plan], stored: Windows, made: Mapping[tuple[int, int], int]) -> Windows:
    """Return the windows of these plans; `made`: (session id, the planner's key) -> the row's id, of rows just made.

    Windows of rows that are still to be made, or that could not be made, are left out.
    """
    kept = {plan.session_id: plan.windowless for plan in plans if plan.unknown_hours}
    computed = frozenset(
        _stored(plan, span, row)
        for plan in plans
        for span in plan.windows
        if (row := made.get((plan.session_id, span.session_instance_id), span.session_instance_id)) > 0
    )
    return computed | frozenset(
        window
        for window in stored
        if window.session_id in kept and window.session_instance_id not in kept[window.session_id]
    )


def _stored(plan: Plan, span: ActiveSpan, row_id: int) -> StoredWindow:
    return StoredWindow(row_id, span.window.opens_at, span.window.closes_at, span.starts_at, plan.session_id)


def write(
    connection: Connection,
    plans: Sequence[Plan],
    now: datetime,
    *,
    stored: Windows,
    requested: Mapping[int, datetime],
    planned_through: datetime,
    zone_version: str,
) -> Written:
    """Write these plans; `lock_for` has locked their rows and read `stored`.

    1. Delete the deletable instances that nothing refers to.
    2. Make the new instances, and bind them.
    3. Retime the instances that follow their occurrences.
    4. Write the bindings that changed.
    5. Replace the stored windows by the planned ones, where they differ.
    6. Record in the plan rows how far they reach, and when to plan again.

    `requested`: session id -> the instant of its request. A new window takes it as its `planned_at`: a flip counts
    as late only from then on.
    """
    deletable = frozenset(chain.from_iterable(plan.deletable for plan in plans))
    deleted = instances.delete_unreferenced(connection, deletable)
    ids = instances.make(connection, plans)
    retimed = instances.retime(connection, list(chain.from_iterable(plan.retimed for plan in plans)))
    instances.bind(connection, plans, deleted)
    ours = {plan.session_id for plan in plans}
    before = frozenset(window for window in stored if window.session_id in ours)
    planned = _windows(plans, before, ids)
    activation_windows.replace(connection, *activation_windows.difference(before, planned, now), requested, now)
    _note_planned(connection, plans, planned_through, zone_version)
    # The edges of all windows, not only of new ones: the daemon may have no timer yet for a window that a hook wrote.
    edges = frozenset(edge for window in planned for edge in (window.opens_at, window.closes_at) if edge > now)
    return Written(tuple(ids.values()), retimed, tuple(deleted), edges)


def _note_planned(connection: Connection, plans: Sequence[Plan], planned_through: datetime, zone_version: str) -> None:
    noted = _NOTED.of([(plan.session_id, plan.next_plan_at, plan.unreadable) for plan in plans])
    connection.execute(_NOTE_PLANNED, noted | {"through": planned_through, "zone_data": zone_version})


_NOTED = ValueTable("noted", {"session_id": BigInteger(), "next_plan_at": INSTANT, "error": Text()})
_NOTE_PLANNED = (
    update(SessionPlan)
    .where(SessionPlan.session_id == _NOTED.c.session_id)
    .values(
        planned_through=bindparam("through", type_=INSTANT),
        next_plan_at=_NOTED.c.next_plan_at,
        zone_version=bindparam("zone_data", type_=Text()),
        error=_NOTED.c.error,
        # An error of the session's own text takes the place of a pass's failure: no retry would mend it.
        failures=case((_NOTED.c.error.is_not(None), 0), else_=SessionPlan.failures),
        retry_at=case((_NOTED.c.error.is_not(None), None), else_=SessionPlan.retry_at),
    )
)


def bound_to(connection: Connection, session_id: int, local_start: datetime) -> int:
    """Return the instance that is bound to the session's occurrence at that local start; there must be one."""
    planned, instance = PlannedInstance, SessionInstance
    statement = (
        select(planned.session_instance_id)
        .join(instance, instance.session_instance_id == planned.session_instance_id)
        .where(
            planned.session_id == session_id,
            instance.session_id == session_id,  # an instance that moved to another session leaves its old binding
            planned.occurrence_start == local_start,
            ~planned.lost,
        )
    )
    return connection.execute(statement).scalar_one()
