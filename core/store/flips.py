"""Reads windows and active bits for a pass, and writes its flips.

Each write takes all flips in one statement, changes only bits that differ, and comes all offs before all ons.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CompoundSelect,
    Connection,
    Text,
    bindparam,
    cast,
    func,
    insert,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert

from core.db.transaction_settings import own_write
from core.models import INSTANT, ActivationLog, ActivationWindow, ActiveInstance, SessionInstance
from core.rules.flips import Decision, Flip, SessionState, WindowState
from core.store.activation_windows import live_windows
from core.store.arrays import ValueTable, is_in
from core.store.planning import instances
from core.store.presence import locations


def states(connection: Connection, session_ids: Collection[int], now: datetime) -> list[SessionState]:
    """Return these sessions at `now`: their live windows (see `live_windows`) and their active instance."""
    windows: dict[int, list[WindowState]] = {session_id: [] for session_id in session_ids}
    active: dict[int, int] = {}
    found = connection.execute(_STATES, {"ids": sorted(session_ids), "now": now}).all()
    for session_id, instance_id, opens_at, closes_at, phase, planned_at in found:
        if opens_at is None:
            active[session_id] = instance_id
        else:
            windows[session_id].append(WindowState(instance_id, opens_at, closes_at, phase, planned_at))
    return [SessionState(id_, tuple(found), active.get(id_)) for id_, found in windows.items()]


_WINDOW = select(
    ActivationWindow.session_id,
    ActivationWindow.session_instance_id,
    ActivationWindow.opens_at,
    ActivationWindow.closes_at,
    ActivationWindow.phase,
    ActivationWindow.planned_at,
)
_STATES: CompoundSelect[*tuple[Any, ...]] = union_all(
    *(_WINDOW.where(condition) for condition in live_windows()),
    select(
        ActiveInstance.session_id,
        ActiveInstance.session_instance_id,
        *(cast(null(), type_) for type_ in (INSTANT, INSTANT, Text(), INSTANT)),
    ).where(is_in(ActiveInstance.session_id)),
)


def lock_for(connection: Connection, decisions: Iterable[Decision]) -> frozenset[int]:
    """Lock the rows that these decisions flip; return the sessions with a row that another transaction holds.

    1. Lock the instances to flip.
    2. Lock the rows of `active_instance` that go away with the offs.
    3. Return the session of every row that step 1 or 2 skipped, because another transaction holds it.
    """
    flips = [flip for decision in decisions for flip in decision.flips]
    if not flips:
        return frozenset()
    closing = {flip.session_instance_id: flip.session_id for flip in flips if not flip.active}
    wanted = {flip.session_instance_id: flip.session_id for flip in flips}
    locked = instances.lock(connection, wanted)
    released = _lock_active(connection, closing) if closing else frozenset()
    return frozenset({wanted[i] for i in wanted.keys() - locked} | {closing[i] for i in closing.keys() - released})


def _lock_active(connection: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Lock these rows of `active_instance`, which the offs delete; skip those that a check-in holds (FOR KEY SHARE)."""
    return frozenset(connection.scalars(_LOCK_ACTIVE, {"ids": sorted(ids)}))


_LOCK_ACTIVE = (
    select(ActiveInstance.session_instance_id)
    .where(is_in(ActiveInstance.session_instance_id))
    .order_by(ActiveInstance.session_instance_id)
    .with_for_update(skip_locked=True)
)


def write(
    connection: Connection, decisions: Sequence[Decision], *, cause: str, done_at: datetime | None
) -> tuple[Flip, ...]:
    """Write these decisions, whose rows `lock_for` has locked; return only the flips that changed a bit.

    1. Release the people at the instances that turn off.
    2. Turn instances off, and then others on: a session has at most one active instance at any moment.
    3. Write the phases of the windows.

    `done_at` None means the database's clock at the moment of writing.
    """
    offs = [decision.off for decision in decisions if decision.off]
    ons = [decision.on for decision in decisions if decision.on]
    if offs:
        locations.release(connection, [flip.session_instance_id for flip in offs])
    made: tuple[Flip, ...] = ()
    if offs or ons:
        with own_write(connection):
            made = (*_flip(connection, offs, cause, done_at), *_flip(connection, ons, cause, done_at))
    _write_phases(connection, decisions)
    return made


def _flip(connection: Connection, flips: Sequence[Flip], cause: str, done_at: datetime | None) -> tuple[Flip, ...]:
    if not flips:
        return ()
    values = _FLIPS.of([(flip.session_instance_id, flip.session_id, flip.active, flip.due_at) for flip in flips])
    changed = frozenset(connection.scalars(_FLIP, values | {"cause": cause, "done_at": done_at}).all())
    return tuple(flip for flip in flips if flip.session_instance_id in changed)


_FLIPS = ValueTable(
    "flip",
    {"session_instance_id": BigInteger(), "session_id": BigInteger(), "active": Boolean(), "due_at": INSTANT},
)


def _flip_and_log() -> ReturningInsert[int]:
    """Return the statement that changes the bits that differ, and logs exactly those changes."""
    flip, log = _FLIPS.c, ActivationLog
    flipped = (
        update(SessionInstance)
        .where(
            SessionInstance.session_instance_id == flip.session_instance_id,
            SessionInstance.active != flip.active,
        )
        .values(active=flip.active)
        .returning(flip.session_instance_id, flip.session_id, flip.active, flip.due_at)
        .cte("flipped")
    )
    done_at = func.coalesce(bindparam("done_at", type_=INSTANT), func.clock_timestamp())
    columns = ["session_instance_id", "session_id", "active", "due_at", "done_at", "cause"]
    made = select(*flipped.c, done_at, bindparam("cause", type_=Text()))
    return insert(log).from_select(columns, made).returning(log.session_instance_id)


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
