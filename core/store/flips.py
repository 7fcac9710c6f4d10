"""Reads windows and active bits for a pass, and writes its flips.

Each write takes all flips in one statement, changes only bits that differ, and comes all offs before all ons.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CompoundSelect,
    Connection,
    Row,
    Text,
    bindparam,
    case,
    cast,
    false,
    func,
    insert,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningInsert

from core.models import INSTANT, ActivationLog, ActivationWindow, ActiveInstance, PlanRequest, SessionInstance
from core.rules.flips import Cause, Change, Decision, Flip, SessionState, WindowState
from core.store.activation_windows import live_windows
from core.store.arrays import ValueTable, is_in
from core.store.planning import instances
from core.store.queue.requests import HOURS


def states(
    connection: Connection,
    session_ids: Collection[int],
    now: datetime,
    requested: Mapping[int, datetime] | None = None,
) -> list[SessionState]:
    """Return the sessions as the reconciler sees them: windows that are not history, and the active instance.

    `requested`: since when a session has been requested (session id -> instant).
    """
    return _states(connection.execute(_STATES, {"ids": session_ids, "now": now}).all(), session_ids, requested)


def state_and_edit(connection: Connection, session_id: int, now: datetime) -> tuple[SessionState, bool]:
    """Return a session as `states` does, and whether an edit of its hours waits to be reconciled."""
    found = connection.execute(_STATE_AND_EDIT, {"ids": [session_id], "now": now}).all()
    rows = [row for row in found if row.session_instance_id is not None]
    [state] = _states(rows, [session_id], None)
    return state, len(rows) < len(found)


def _states(
    rows: Iterable[Row[*tuple[Any, ...]]], session_ids: Collection[int], requested: Mapping[int, datetime] | None
) -> list[SessionState]:
    windows: dict[int, list[WindowState]] = {session_id: [] for session_id in session_ids}
    active: dict[int, int] = {}
    for session_id, instance_id, opens_at, closes_at, phase, planned_at in rows:
        if opens_at is None:
            active[session_id] = instance_id
        else:
            windows[session_id].append(WindowState(instance_id, opens_at, closes_at, phase, planned_at))
    since = requested or {}
    return [SessionState(id_, tuple(found), active.get(id_), since.get(id_)) for id_, found in windows.items()]


_WINDOW = select(
    ActivationWindow.session_id,
    ActivationWindow.session_instance_id,
    ActivationWindow.opens_at,
    ActivationWindow.closes_at,
    ActivationWindow.phase,
    ActivationWindow.planned_at,
)
_OF_SESSIONS = (
    *(_WINDOW.where(condition) for condition in live_windows()),
    select(
        ActiveInstance.session_id,
        ActiveInstance.session_instance_id,
        *(cast(null(), type_) for type_ in (INSTANT, INSTANT, Text(), INSTANT)),
    ).where(is_in(ActiveInstance.session_id)),
)
_STATES: CompoundSelect[*tuple[Any, ...]] = union_all(*_OF_SESSIONS)
# A row without an instance: an edit waits. A request that is merely about people changes no bit.
_STATE_AND_EDIT: CompoundSelect[*tuple[Any, ...]] = union_all(
    *_OF_SESSIONS,
    select(
        PlanRequest.session_id, *(cast(null(), type_) for type_ in (BigInteger(), INSTANT, INSTANT, Text(), INSTANT))
    ).where(is_in(PlanRequest.session_id), PlanRequest.about == HOURS),
)


def lock_for(connection: Connection, decisions: Iterable[Decision]) -> frozenset[int]:
    """Lock the rows that these decisions flip; return the sessions with a row that another transaction holds.

    1. Lock the instances to flip.
    2. Lock the rows of `active_instance` that go away with the offs.
    3. Return the session of every row that step 1 or 2 skipped, because another transaction holds it.
    """
    flips = [flip for decision in decisions for flip in decision.flips]
    closing = {flip.session_instance_id: flip.session_id for flip in flips if not flip.active}
    wanted = {flip.session_instance_id: flip.session_id for flip in flips}
    locked = instances.lock(connection, wanted)
    released = _lock_active(connection, closing) if closing else frozenset()
    return frozenset({wanted[i] for i in wanted.keys() - locked} | {closing[i] for i in closing.keys() - released})


def _lock_active(connection: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Lock these rows of `active_instance`, which the offs delete; skip those that a check-in holds (FOR KEY SHARE)."""
    return frozenset(connection.scalars(_LOCK_ACTIVE, {"ids": ids}))


_LOCK_ACTIVE = (
    select(ActiveInstance.session_instance_id)
    .where(is_in(ActiveInstance.session_instance_id))
    .with_for_update(skip_locked=True)
)


def write(
    connection: Connection,
    decisions: Sequence[Decision],
    *,
    cause: str,
    done_at: datetime | None,
    daemon: str | None = None,
) -> tuple[Flip, ...]:
    """Write these decisions, whose rows `lock_for` has locked; return only the flips that changed a bit.

    1. Turn instances off; the foreign key releases the people there, whose rows the caller has locked too.
    2. Then turn others on: a session has at most one active instance at any moment.
    3. Write the phases of the windows.

    `done_at` None means the database's clock at the moment of writing. `daemon`: who runs the pass, for the log.
    """
    by = {"cause": cause, "done_at": done_at, "daemon": daemon}
    offs = [decision.off for decision in decisions if decision.off]
    ons = [decision.on for decision in decisions if decision.on]
    made = (*_flip(connection, offs, by), *_flip(connection, ons, by))
    _write_phases(connection, decisions)
    return made


def _flip(connection: Connection, flips: Sequence[Flip], by: Mapping[str, Any]) -> tuple[Flip, ...]:
    if not flips:
        return ()
    values = _FLIPS.of(
        [
            (flip.session_instance_id, flip.session_id, flip.active, flip.due_at, flip.at_edge, flip.opens_again)
            for flip in flips
        ]
    )
    found = connection.execute(_FLIP, values | {**by}).all()
    causes = {row.session_instance_id: row.cause for row in found}
    return tuple(
        replace(flip, is_repair=causes[flip.session_instance_id] == Cause.REPAIR)
        for flip in flips
        if flip.session_instance_id in causes
    )


_FLIPS = ValueTable(
    "flip",
    {
        "session_instance_id": BigInteger(),
        "session_id": BigInteger(),
        "active": Boolean(),
        "due_at": INSTANT,
        "at_edge": Boolean(),
        "opens_again": Boolean(),
    },
)


def _flip_and_log() -> ReturningInsert[int, str]:
    """Change the bits that are not yet so, and log those that were changed, in one statement.

    A flip is a repair where no edge explains it, and the log says so already: somebody wrote the bit by hand.
    """
    flip, log = _FLIPS.c, ActivationLog
    flipped = (
        update(SessionInstance)
        .where(
            SessionInstance.session_instance_id == flip.session_instance_id,
            SessionInstance.active != flip.active,
        )
        .values(active=flip.active)
        .returning(*flip, SessionInstance.is_cancelled)
        .cte("flipped")
    )
    earlier = aliased(log)
    logged = (
        select(earlier.active)
        .where(earlier.session_instance_id == flipped.c.session_instance_id)
        .order_by(earlier.activation_log_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    is_repair = ~flipped.c.at_edge & (func.coalesce(logged, false()) == flipped.c.active)
    done_at = func.coalesce(bindparam("done_at", type_=INSTANT), func.clock_timestamp())
    cause = case((is_repair, Cause.REPAIR.value), else_=bindparam("cause", type_=Text()))
    change = case(
        (flipped.c.active, Change.OPENED.value),
        (flipped.c.is_cancelled, Change.CANCELLED.value),
        (flipped.c.opens_again, Change.MOVED.value),
        else_=Change.CLOSED.value,
    )
    daemon = bindparam("daemon", type_=Text())
    columns = ["session_instance_id", "session_id", "active", "due_at", "done_at", "cause", "change", "daemon"]
    made = select(*(flipped.c[name] for name in columns[:4]), done_at, cause, change, daemon)
    return insert(log).from_select(columns, made).returning(log.session_instance_id, log.cause)


_FLIP = _flip_and_log()


def _write_phases(connection: Connection, decisions: Iterable[Decision]) -> None:
    changes = [change for decision in decisions for change in decision.phases]
    if not changes:
        return
    connection.execute(
        _WRITE_PHASES,
        _CHANGED.of([(change.session_instance_id, change.opens_at, change.phase) for change in changes]),
    )


_CHANGED = ValueTable("changed", {"session_instance_id": BigInteger(), "opens_at": INSTANT, "phase": Text()})
_WRITE_PHASES = (
    update(ActivationWindow)
    .where(
        ActivationWindow.session_instance_id == _CHANGED.c.session_instance_id,
        ActivationWindow.opens_at == _CHANGED.c.opens_at,
    )
    .values(phase=_CHANGED.c.phase)
)
