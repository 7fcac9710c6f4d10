"""What the planner decided, written: for a chunk of sessions at once, in a handful of statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from itertools import chain

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Date,
    DateTime,
    TableValuedAlias,
    Text,
    Time,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

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
from core.store.arrays import is_in, rows
from core.store.looks import own_write
from core.store.references import referenced
from core.store.snapshots import ROW_CONTENT
from core.timetable import Binding, NewInstance, Plan, RetimedInstance

INSTANT = DateTime(timezone=True)
Stored = tuple[int, datetime, datetime, datetime, int]  # a window: instance id, opens, closes, starts at; session id


@dataclass(frozen=True, slots=True)
class Written:
    """What was done of the plans: rows made, retimed and deleted; the edges that are new; the sessions in the way."""

    made: tuple[int, ...]
    retimed: tuple[int, ...]
    deleted: tuple[int, ...]
    edges: frozenset[datetime]


def lock_for(connection: Connection, plans: Iterable[Plan]) -> frozenset[int]:
    """Lock the rows that these plans would write; return the sessions of which somebody else holds one."""
    plans = list(plans)
    making = {plan.session_id for plan in plans if plan.made}
    wanted = {row: plan.session_id for plan in plans for row in chain(_ids(plan.retimed), plan.deletable)}
    locked_rows = lock_instances(connection, wanted) if wanted else frozenset()
    locked_sessions = _lock_sessions(connection, making) if making else frozenset()
    return frozenset(making - locked_sessions) | {wanted[row] for row in wanted.keys() - locked_rows}


def _ids(retimed: Iterable[RetimedInstance]) -> Iterable[int]:
    return (row.session_instance_id for row in retimed)


def lock_instances(connection: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Lock these instances' rows, those that nobody holds, and return their ids."""
    statement = (
        select(SessionInstance.session_instance_id)
        .where(is_in(SessionInstance.session_instance_id, ids))
        .order_by(SessionInstance.session_instance_id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return frozenset(connection.scalars(statement))


def _lock_sessions(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Lock the parents of the rows to be made, as their foreign key will, but without waiting."""
    statement = (
        select(MusicSession.session_id)
        .where(is_in(MusicSession.session_id, session_ids))
        .order_by(MusicSession.session_id)
        .with_for_update(read=True, key_share=True, skip_locked=True)
    )
    return frozenset(connection.scalars(statement))


def write(
    connection: Connection,
    plans: Sequence[Plan],
    now: datetime,
    *,
    planned_through: datetime,
    zone_version: str,
) -> Written:
    """Write these plans, whose rows `lock_for` has locked."""
    if not plans:
        return Written((), (), (), frozenset())
    deleted = _delete_unreferenced(connection, frozenset(chain.from_iterable(plan.deletable for plan in plans)))
    ids = _make(connection, plans)
    retimed = _retime(connection, list(chain.from_iterable(plan.retimed for plan in plans)))
    _bind(connection, plans, deleted)
    edges = _write_windows(connection, plans, ids, now)
    _note_planned(connection, plans, planned_through, zone_version)
    return Written(tuple(sorted(ids.values())), retimed, tuple(sorted(deleted)), edges)


def _delete_unreferenced(connection: Connection, deletable: frozenset[int]) -> frozenset[int]:
    """Delete the rows that nothing refers to (P4).

    The references are asked for after the row is locked FOR UPDATE: before, an insert in between would be cascaded.
    """
    if not deletable:
        return frozenset()
    lock = (
        select(SessionInstance.session_instance_id)
        .where(is_in(SessionInstance.session_instance_id, deletable))
        .order_by(SessionInstance.session_instance_id)
        .with_for_update(skip_locked=True)
    )
    locked = frozenset(connection.scalars(lock))
    unreferenced = locked - referenced(connection, locked)
    statement = (
        delete(SessionInstance)
        .where(is_in(SessionInstance.session_instance_id, unreferenced))
        .returning(SessionInstance.session_instance_id)
    )
    with own_write(connection):
        return frozenset(connection.scalars(statement))


def _make(connection: Connection, plans: Sequence[Plan]) -> dict[tuple[int, int], int]:
    """Insert the new instances; return (session id, the planner's key) -> the row's id."""
    new = {(plan.session_id, instance.binding.start): instance for plan in plans for instance in plan.made}
    if not new:
        return {}
    wanted = rows(
        "wanted",
        {"session_id": BigInteger(), "date": Date(), "start_time": Time(), "end_time": Time()},
        [
            (session_id, instance.date, instance.start_time, instance.end_time)
            for (session_id, _), instance in new.items()
        ],
    )
    instance = SessionInstance
    statement = (
        insert(instance)
        .from_select(["session_id", "date", "start_time", "end_time"], select(wanted))
        .returning(instance.session_instance_id, instance.session_id, instance.date, instance.start_time)
    )
    with own_write(connection):
        made = connection.execute(statement).all()
    ids = {(session_id, datetime.combine(day, start or time.min)): row_id for row_id, session_id, day, start in made}
    _bind_made(connection, {ids[where]: (where[0], instance) for where, instance in new.items()})
    _unskip(connection, new)
    return {(where[0], instance.key): ids[where] for where, instance in new.items()}


def _bind_made(connection: Connection, made: Mapping[int, tuple[int, NewInstance]]) -> None:
    """Bind the rows just made to their occurrences, and note what was written, to know later if anybody touched it."""
    bound = _bindings({row_id: (session_id, instance.binding) for row_id, (session_id, instance) in made.items()})
    source = select(bound, ROW_CONTENT).join_from(
        bound, SessionInstance, SessionInstance.session_instance_id == bound.c.session_instance_id
    )
    columns = ["session_instance_id", "session_id", "occurrence_start", "occurrence_end", "lost", "moved", "written"]
    connection.execute(insert(PlannedInstance).from_select(columns, source))


def _unskip(connection: Connection, made: Iterable[tuple[int, datetime]]) -> None:
    """What was asked for by name is no longer skipped."""
    skipped = tuple_(SkippedOccurrence.session_id, SkippedOccurrence.occurrence_start)
    wanted = rows("made", {"session_id": BigInteger(), "start": LocalDateTime}, list(made))
    connection.execute(delete(SkippedOccurrence).where(skipped.in_(select(wanted))))


def _retime(connection: Connection, retimed: Sequence[RetimedInstance]) -> tuple[int, ...]:
    if not retimed:
        return ()
    wanted = rows(
        "wanted",
        {"session_instance_id": BigInteger(), "date": Date(), "start_time": Time(), "end_time": Time()},
        [(row.session_instance_id, row.date, row.start_time, row.end_time) for row in retimed],
    )
    times = {"date": wanted.c.date, "start_time": wanted.c.start_time, "end_time": wanted.c.end_time}
    with own_write(connection):
        connection.execute(
            update(SessionInstance)
            .where(SessionInstance.session_instance_id == wanted.c.session_instance_id)
            .values(times)
        )
    # Only the times: where somebody has touched anything else, the row must go on differing from what was written.
    written = func.jsonb_build_object(*chain.from_iterable(times.items()))
    connection.execute(
        update(PlannedInstance)
        .where(
            PlannedInstance.session_instance_id == wanted.c.session_instance_id,
            PlannedInstance.written.is_not(None),
        )
        .values(written=PlannedInstance.written.op("||")(written))
    )
    return tuple(_ids(retimed))


def _bind(connection: Connection, plans: Sequence[Plan], deleted: frozenset[int]) -> None:
    bound = {
        row_id: (plan.session_id, binding)
        for plan in plans
        for row_id, binding in plan.bound.items()
        if row_id not in deleted
    }
    unbound = frozenset(chain.from_iterable(plan.unbound for plan in plans))
    if unbound:
        connection.execute(delete(PlannedInstance).where(is_in(PlannedInstance.session_instance_id, unbound)))
    if bound:
        columns = ["session_instance_id", "session_id", "occurrence_start", "occurrence_end", "lost", "moved"]
        statement = postgresql.insert(PlannedInstance).from_select(columns, select(_bindings(bound)))
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["session_instance_id"],
                set_={name: statement.excluded[name] for name in columns[1:]},
            )
        )


def _bindings(bound: Mapping[int, tuple[int, Binding]]) -> TableValuedAlias:
    return rows(
        "bound",
        {
            "session_instance_id": BigInteger(),
            "session_id": BigInteger(),
            "occurrence_start": LocalDateTime,
            "occurrence_end": LocalDateTime,
            "lost": Boolean(),
            "moved": Boolean(),
        },
        [
            (row_id, session_id, binding.start, binding.end, binding.lost, binding.moved)
            for row_id, (session_id, binding) in sorted(bound.items())
        ],
    )


def _write_windows(
    connection: Connection, plans: Sequence[Plan], ids: Mapping[tuple[int, int], int], now: datetime
) -> frozenset[datetime]:
    """Bring the stored windows to what was planned, leaving those that stand; return the edges still to come."""
    planned = {
        _stored(plan, turn, ids.get((plan.session_id, turn.session_instance_id), turn.session_instance_id))
        for plan in plans
        for turn in plan.windows
    }
    stored = _stored_windows(connection, [plan.session_id for plan in plans], now)
    _delete_windows(connection, stored - planned)
    new = {window for window in planned - stored if _closes_at(window) > now}
    _insert_windows(connection, new, now)
    return frozenset(edge for _, opens_at, closes_at, *_ in new for edge in (opens_at, closes_at) if edge > now)


def _stored(plan: Plan, turn: Turn, row_id: int) -> Stored:
    return row_id, turn.window.opens_at, turn.window.closes_at, turn.starts_at, plan.session_id


def _closes_at(window: Stored) -> datetime:
    return window[2]


def _stored_windows(connection: Connection, session_ids: Iterable[int], now: datetime) -> set[Stored]:
    """Return the windows that are not history."""
    window = ActivationWindow
    statement = select(
        window.session_instance_id, window.opens_at, window.closes_at, window.starts_at, window.session_id
    ).where(is_in(window.session_id, session_ids), (window.phase != "over") | (window.closes_at > now))
    return set(connection.execute(statement))


def _delete_windows(connection: Connection, windows: set[Stored]) -> None:
    if not windows:
        return
    gone = rows(
        "gone",
        {"session_instance_id": BigInteger(), "opens_at": INSTANT},
        [(row_id, opens_at) for row_id, opens_at, *_ in sorted(windows)],
    )
    window = ActivationWindow
    connection.execute(
        delete(window).where(
            window.session_instance_id == gone.c.session_instance_id, window.opens_at == gone.c.opens_at
        )
    )


def _insert_windows(connection: Connection, new: set[Stored], now: datetime) -> None:
    if not new:
        return
    columns = ["session_instance_id", "opens_at", "closes_at", "starts_at", "session_id", "planned_at"]
    planned = rows(
        "planned",
        dict(zip(columns, (BigInteger(), INSTANT, INSTANT, INSTANT, BigInteger(), INSTANT), strict=True)),
        [(*window, now) for window in sorted(new)],
    )
    statement = postgresql.insert(ActivationWindow).from_select(columns, select(planned))
    # A window of the past may stand under the same key: the instance was moved, and now moves back.
    replaced = {name: statement.excluded[name] for name in columns[2:]} | {"phase": "ahead"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["session_instance_id", "opens_at"], set_=replaced)
    )


def _note_planned(connection: Connection, plans: Sequence[Plan], planned_through: datetime, zone_version: str) -> None:
    planned = rows(
        "planned",
        {"session_id": BigInteger(), "next_plan_at": INSTANT},
        [(plan.session_id, plan.next_plan_at) for plan in plans],
    )
    connection.execute(
        update(SessionPlan)
        .where(SessionPlan.session_id == planned.c.session_id)
        .values(
            planned_through=planned_through,
            next_plan_at=planned.c.next_plan_at,
            zone_version=zone_version,
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
    unreadable = rows("unreadable", {"session_id": BigInteger(), "error": Text()}, sorted(errors.items()))
    connection.execute(
        update(SessionPlan)
        .where(SessionPlan.session_id == unreadable.c.session_id)
        .values(error=unreadable.c.error, failures=0, retry_at=None, zone_version=zone_version, next_plan_at=None)
    )
