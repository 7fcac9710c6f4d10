"""What the planner decided, written: for a chunk of sessions at once, in a handful of statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from itertools import chain
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Connection,
    Date,
    DateTime,
    Text,
    Time,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Insert

from core.arbitration import Turn
from core.models import (
    ActivationWindow,
    LocalDateTime,
    MusicSession,
    PlannedInstance,
    SessionInstance,
    SessionPlan,
    SkippedOccurrence,
)
from core.store.arrays import ValueTable, is_in
from core.store.looks import own_write
from core.store.references import referenced
from core.store.snapshots import ROW_CONTENT
from core.timetable import Binding, NewInstance, Plan, RetimedInstance

INSTANT = DateTime(timezone=True)
Stored = tuple[int, datetime, datetime, datetime, int]  # a window: instance id, opens, closes, starts at; session id


@dataclass(frozen=True, slots=True)
class Written:
    """What was done of the plans: rows made, retimed and deleted; the edges of all their windows that are to come."""

    made: tuple[int, ...]
    retimed: tuple[int, ...]
    deleted: tuple[int, ...]
    edges: frozenset[datetime]


@dataclass(frozen=True, slots=True)
class Locked:
    """`blocked`: the sessions of which somebody else holds a row; `windows`: those that are stored, and not history."""

    blocked: frozenset[int]
    windows: frozenset[Stored]


def lock_for(connection: Connection, plans: Sequence[Plan], now: datetime) -> Locked:
    """Lock the rows that these plans would write, and the instances of which they would write a window or a binding.

    Somebody who has deleted such an instance, and not committed, holds those too: we would wait for them.
    """
    windows = _stored_windows(connection, [plan.session_id for plan in plans], now) if plans else frozenset()
    making = {plan.session_id for plan in plans if plan.made}
    writing = {row: plan.session_id for plan in plans for row in chain(_ids(plan.retimed), plan.deletable)}
    touching = _touched(plans, windows, now)
    held = {*(writing[row] for row in writing.keys() - lock_instances(connection, writing))} if writing else set()
    held |= {touching[row] for row in touching.keys() - _lock_keys(connection, touching)} if touching else set()
    held |= making - _lock_sessions(connection, making) if making else set()
    return Locked(frozenset(held), windows)


def _touched(plans: Iterable[Plan], windows: frozenset[Stored], now: datetime) -> dict[int, int]:
    """Return the standing instances of which a window or a binding would be written: instance id -> session id."""
    planned = {
        _stored(plan, turn, turn.session_instance_id)
        for plan in plans
        for turn in plan.windows
        if turn.session_instance_id > 0  # the others are to be made
    }
    new = {window for window in planned - windows if _closes_at(window) > now}
    bindings = {row: plan.session_id for plan in plans for row in chain(plan.bound, plan.unbound)}
    return {window[0]: window[4] for window in (windows - planned) | new} | bindings


def _lock_keys(connection: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Hold these instances as a foreign key does: until we commit nobody deletes one; all else may be done to it."""
    return frozenset(connection.scalars(_LOCK_KEYS, {"ids": sorted(ids)}).all())


_LOCK_KEYS = (
    select(SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
    .order_by(SessionInstance.session_instance_id)
    .with_for_update(read=True, key_share=True, skip_locked=True)
)


def _ids(retimed: Iterable[RetimedInstance]) -> Iterable[int]:
    return (row.session_instance_id for row in retimed)


def lock_instances(connection: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Lock these instances' rows, those that nobody holds, and return their ids."""
    return frozenset(connection.scalars(_LOCK_INSTANCES, {"ids": sorted(ids)}).all())


_LOCK_INSTANCES = (
    select(SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
    .order_by(SessionInstance.session_instance_id)
    .with_for_update(key_share=True, skip_locked=True)
)


def _lock_sessions(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Lock the parents of the rows to be made, as their foreign key will, but without waiting."""
    return frozenset(connection.scalars(_LOCK_SESSIONS, {"ids": sorted(session_ids)}).all())


_LOCK_SESSIONS = (
    select(MusicSession.session_id)
    .where(is_in(MusicSession.session_id))
    .order_by(MusicSession.session_id)
    .with_for_update(read=True, key_share=True, skip_locked=True)
)


def write(
    connection: Connection,
    plans: Sequence[Plan],
    now: datetime,
    *,
    windows: frozenset[Stored],
    planned_through: datetime,
    zone_version: str,
) -> Written:
    """Write these plans, whose rows `lock_for` has locked; `windows` is what it found stored."""
    if not plans:
        return Written((), (), (), frozenset())
    deleted = _delete_unreferenced(connection, frozenset(chain.from_iterable(plan.deletable for plan in plans)))
    ids = _make(connection, plans)
    retimed = _retime(connection, list(chain.from_iterable(plan.retimed for plan in plans)))
    _bind(connection, plans, deleted)
    edges = _write_windows(connection, plans, windows, ids, now)
    _note_planned(connection, plans, planned_through, zone_version)
    return Written(tuple(sorted(ids.values())), retimed, tuple(sorted(deleted)), edges)


def _delete_unreferenced(connection: Connection, deletable: frozenset[int]) -> frozenset[int]:
    """Delete the rows that nothing refers to (P4).

    The references are asked for after the row is locked FOR UPDATE: before, an insert in between would be cascaded.
    """
    if not deletable:
        return frozenset()
    locked = frozenset(connection.scalars(_LOCK_TO_DELETE, {"ids": sorted(deletable)}))
    unreferenced = locked - referenced(connection, locked)
    with own_write(connection):
        return frozenset(connection.scalars(_DELETE_INSTANCES, {"ids": sorted(unreferenced)}))


_LOCK_TO_DELETE = (
    select(SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
    .order_by(SessionInstance.session_instance_id)
    .with_for_update(skip_locked=True)
)
_DELETE_INSTANCES = (
    delete(SessionInstance)
    .where(is_in(SessionInstance.session_instance_id))
    .returning(SessionInstance.session_instance_id)
)


def _make(connection: Connection, plans: Sequence[Plan]) -> dict[tuple[int, int], int]:
    """Insert the new instances; return (session id, the planner's key) -> the row's id."""
    new = {(plan.session_id, instance.binding.start): instance for plan in plans for instance in plan.made}
    if not new:
        return {}
    times = _NEW.of(
        [
            (session_id, instance.date, instance.start_time, instance.end_time)
            for (session_id, _), instance in new.items()
        ]
    )
    with own_write(connection):
        made = connection.execute(_MAKE, times).all()
    ids = {(session_id, datetime.combine(day, start or time.min)): row_id for row_id, session_id, day, start in made}
    _bind_made(connection, {ids[where]: (where[0], instance) for where, instance in new.items()})
    _unskip(connection, new)
    return {(where[0], instance.key): ids[where] for where, instance in new.items()}


_NEW = ValueTable("new", {"session_id": BigInteger(), "date": Date(), "start_time": Time(), "end_time": Time()})
_MAKE = (
    insert(SessionInstance)
    .from_select(["session_id", "date", "start_time", "end_time"], select(_NEW.table))
    .returning(
        SessionInstance.session_instance_id,
        SessionInstance.session_id,
        SessionInstance.date,
        SessionInstance.start_time,
    )
)


def _bind_made(connection: Connection, made: Mapping[int, tuple[int, NewInstance]]) -> None:
    """Bind the rows just made to their occurrences, and note what was written, to know later if anybody touched it."""
    bindings = {row_id: (session_id, instance.binding) for row_id, (session_id, instance) in made.items()}
    connection.execute(_BIND_MADE, _bindings(bindings))


_BINDING_COLUMNS = ["session_instance_id", "session_id", "occurrence_start", "occurrence_end", "lost", "moved"]
_BOUND = ValueTable(
    "bound",
    dict(
        zip(
            _BINDING_COLUMNS,
            (BigInteger(), BigInteger(), LocalDateTime, LocalDateTime, Boolean(), Boolean()),
            strict=True,
        )
    ),
)
_BIND_MADE = insert(PlannedInstance).from_select(
    [*_BINDING_COLUMNS, "written"],
    select(_BOUND.table, ROW_CONTENT).join_from(
        _BOUND.table, SessionInstance, SessionInstance.session_instance_id == _BOUND.c.session_instance_id
    ),
)


def _bindings(bound: Mapping[int, tuple[int, Binding]]) -> dict[str, list[object]]:
    return _BOUND.of(
        [
            (row_id, session_id, binding.start, binding.end, binding.lost, binding.moved)
            for row_id, (session_id, binding) in sorted(bound.items())
        ]
    )


def _unskip(connection: Connection, made: Iterable[tuple[int, datetime]]) -> None:
    """What was asked for by name is no longer skipped."""
    connection.execute(_UNSKIP, _MADE.of(list(made)))


_MADE = ValueTable("made", {"session_id": BigInteger(), "start": LocalDateTime})
_UNSKIP = delete(SkippedOccurrence).where(
    tuple_(SkippedOccurrence.session_id, SkippedOccurrence.occurrence_start).in_(select(_MADE.table))
)


def _retime(connection: Connection, retimed: Sequence[RetimedInstance]) -> tuple[int, ...]:
    if not retimed:
        return ()
    times = _RETIMED.of([(row.session_instance_id, row.date, row.start_time, row.end_time) for row in retimed])
    with own_write(connection):
        connection.execute(_RETIME, times)
    connection.execute(_NOTE_RETIMED, times)
    return tuple(_ids(retimed))


_RETIMED = ValueTable(
    "retimed", {"session_instance_id": BigInteger(), "date": Date(), "start_time": Time(), "end_time": Time()}
)
_TIMES = {name: _RETIMED.c[name] for name in ("date", "start_time", "end_time")}
_RETIME = (
    update(SessionInstance).where(SessionInstance.session_instance_id == _RETIMED.c.session_instance_id).values(_TIMES)
)
# Only the times: where somebody has touched anything else, the row must go on differing from what was written.
_NOTE_RETIMED = (
    update(PlannedInstance)
    .where(
        PlannedInstance.session_instance_id == _RETIMED.c.session_instance_id,
        PlannedInstance.written.is_not(None),
    )
    .values(written=PlannedInstance.written.op("||")(func.jsonb_build_object(*chain.from_iterable(_TIMES.items()))))
)


def _bind(connection: Connection, plans: Sequence[Plan], deleted: frozenset[int]) -> None:
    bound = {
        row_id: (plan.session_id, binding)
        for plan in plans
        for row_id, binding in plan.bound.items()
        if row_id not in deleted
    }
    unbound = frozenset(chain.from_iterable(plan.unbound for plan in plans))
    if unbound:
        connection.execute(_UNBIND, {"ids": sorted(unbound)})
    if bound:
        connection.execute(_BIND, _bindings(bound))


def _insert_or_rebind() -> Insert:
    statement = postgresql.insert(PlannedInstance).from_select(_BINDING_COLUMNS, select(_BOUND.table))
    return statement.on_conflict_do_update(
        index_elements=["session_instance_id"],
        set_={name: statement.excluded[name] for name in _BINDING_COLUMNS[1:]},
    )


_UNBIND = delete(PlannedInstance).where(is_in(PlannedInstance.session_instance_id))
_BIND = _insert_or_rebind()


def _write_windows(
    connection: Connection,
    plans: Sequence[Plan],
    windows: frozenset[Stored],
    ids: Mapping[tuple[int, int], int],
    now: datetime,
) -> frozenset[datetime]:
    """Bring the stored windows to what was planned, leaving those that stand; return the edges still to come."""
    planned = {
        _stored(plan, turn, ids.get((plan.session_id, turn.session_instance_id), turn.session_instance_id))
        for plan in plans
        for turn in plan.windows
    }
    ours = {plan.session_id for plan in plans}
    stored = {window for window in windows if window[4] in ours}
    _delete_windows(connection, stored - planned)
    new = {window for window in planned - stored if _closes_at(window) > now}
    _insert_windows(connection, new, now)
    # Of all, and not only of the new: a hook may have written them, and the daemon has no timer for them yet.
    return frozenset(edge for _, opens_at, closes_at, *_ in planned for edge in (opens_at, closes_at) if edge > now)


def _stored(plan: Plan, turn: Turn, row_id: int) -> Stored:
    return row_id, turn.window.opens_at, turn.window.closes_at, turn.starts_at, plan.session_id


def _closes_at(window: Stored) -> datetime:
    return window[2]


def _stored_windows(connection: Connection, session_ids: Iterable[int], now: datetime) -> frozenset[Stored]:
    """Return the windows that are not history."""
    found = connection.execute(_STORED_WINDOWS, {"ids": sorted(session_ids), "now": now})
    return frozenset((*window,) for window in found)


def live_windows() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return what is true of the windows of the sessions `ids` that are not history at `now`; an index serves each.

    Those that are not over; and those that are taken to be, though they have not closed: the clock was set back.
    """
    window = ActivationWindow
    ours, now = is_in(window.session_id), bindparam("now", type_=INSTANT)
    return ours & (window.phase != "over"), ours & (window.phase == "over") & (window.closes_at > now)


_WINDOW = select(
    ActivationWindow.session_instance_id,
    ActivationWindow.opens_at,
    ActivationWindow.closes_at,
    ActivationWindow.starts_at,
    ActivationWindow.session_id,
)
_STORED_WINDOWS: CompoundSelect[*tuple[Any, ...]] = union_all(*(_WINDOW.where(each) for each in live_windows()))


def _delete_windows(connection: Connection, windows: set[Stored]) -> None:
    if windows:
        connection.execute(_DELETE_WINDOWS, _GONE.of([(row_id, opens_at) for row_id, opens_at, *_ in sorted(windows)]))


_GONE = ValueTable("gone", {"session_instance_id": BigInteger(), "opens_at": INSTANT})
_DELETE_WINDOWS = delete(ActivationWindow).where(
    ActivationWindow.session_instance_id == _GONE.c.session_instance_id,
    ActivationWindow.opens_at == _GONE.c.opens_at,
)


def _insert_windows(connection: Connection, new: set[Stored], now: datetime) -> None:
    if new:
        connection.execute(_INSERT_WINDOWS, _WINDOWS.of([(*window, now) for window in sorted(new)]))


_WINDOWS = ValueTable(
    "planned",
    {
        "session_instance_id": BigInteger(),
        "opens_at": INSTANT,
        "closes_at": INSTANT,
        "starts_at": INSTANT,
        "session_id": BigInteger(),
        "planned_at": INSTANT,
    },
)


def _insert_or_replace_windows() -> Insert:
    columns = [column.name for column in _WINDOWS.c]
    statement = postgresql.insert(ActivationWindow).from_select(columns, select(_WINDOWS.table))
    # A window of the past may stand under the same key: the instance was moved, and now moves back.
    replaced = {name: statement.excluded[name] for name in columns[2:]} | {"phase": "ahead"}
    return statement.on_conflict_do_update(index_elements=["session_instance_id", "opens_at"], set_=replaced)


_INSERT_WINDOWS = _insert_or_replace_windows()


def _note_planned(connection: Connection, plans: Sequence[Plan], planned_through: datetime, zone_version: str) -> None:
    noted = _NOTED.of([(plan.session_id, plan.next_plan_at) for plan in plans])
    connection.execute(_NOTE_PLANNED, noted | {"through": planned_through, "zone_data": zone_version})


_NOTED = ValueTable("noted", {"session_id": BigInteger(), "next_plan_at": INSTANT})
_NOTE_PLANNED = (
    update(SessionPlan)
    .where(SessionPlan.session_id == _NOTED.c.session_id)
    .values(
        planned_through=bindparam("through", type_=INSTANT),
        next_plan_at=_NOTED.c.next_plan_at,
        zone_version=bindparam("zone_data", type_=Text()),
        error=None,
    )
)


def bound_to(connection: Connection, session_id: int, local_start: datetime) -> int:
    """Return the instance that is bound to the session's occurrence at that local start."""
    planned, instance = PlannedInstance, SessionInstance
    statement = (
        select(planned.session_instance_id)
        .join(instance, instance.session_instance_id == planned.session_instance_id)
        .where(
            planned.session_id == session_id,
            instance.session_id == session_id,  # a row that was moved to another session has left its binding behind
            planned.occurrence_start == local_start,
            ~planned.lost,
        )
    )
    return connection.execute(statement).scalar_one()


def note_unreadable(connection: Connection, errors: Mapping[int, str], zone_version: str) -> None:
    """Record why these sessions could not be read (P6): their old plan stays, until an edit or newer zone data."""
    if not errors:
        return
    connection.execute(_NOTE_UNREADABLE, _UNREADABLE.of(sorted(errors.items())) | {"zone_data": zone_version})


_UNREADABLE = ValueTable("unreadable", {"session_id": BigInteger(), "error": Text()})
_NOTE_UNREADABLE = (
    update(SessionPlan)
    .where(SessionPlan.session_id == _UNREADABLE.c.session_id)
    .values(
        error=_UNREADABLE.c.error,
        failures=0,
        retry_at=None,
        zone_version=bindparam("zone_data", type_=Text()),
        next_plan_at=None,
    )
)
