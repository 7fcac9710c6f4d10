"""Windows and bits for the reconciler, and its flips, written: set-based, compare-and-set, all offs before all ons."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Connection, DateTime, Text, func, insert, select, update

from core.activation import Decision, Flip, SessionState, WindowState
from core.models import ActivationLog, ActivationWindow, ActiveInstance, SessionInstance
from core.notifications import ring_active_changed
from core.store import people
from core.store.arrays import is_in, rows
from core.store.looks import own_write
from core.store.plans import lock_instances


def states(connection: Connection, session_ids: Collection[int], now: datetime) -> list[SessionState]:
    """Return the sessions as the reconciler sees them: windows that are not history, and the active instance."""
    statement = select(ActiveInstance.session_id, ActiveInstance.session_instance_id).where(
        is_in(ActiveInstance.session_id, session_ids)
    )
    active = {row.session_id: row.session_instance_id for row in connection.execute(statement)}
    window = ActivationWindow
    stored = select(
        window.session_id,
        window.session_instance_id,
        window.opens_at,
        window.closes_at,
        window.phase,
        window.planned_at,
    ).where(is_in(window.session_id, session_ids), (window.phase != "over") | (window.closes_at > now))
    windows: dict[int, list[WindowState]] = {session_id: [] for session_id in session_ids}
    for row in connection.execute(stored):
        windows[row.session_id].append(
            WindowState(row.session_instance_id, row.opens_at, row.closes_at, row.phase, row.planned_at)
        )
    return [SessionState(id_, tuple(found), active.get(id_)) for id_, found in windows.items()]


def lock_for(connection: Connection, decisions: Iterable[Decision]) -> frozenset[int]:
    """Lock what these decisions flip; return the sessions of which somebody else holds a row."""
    flips = [flip for decision in decisions for flip in decision.flips]
    if not flips:
        return frozenset()
    closing = {flip.session_instance_id: flip.session_id for flip in flips if not flip.active}
    wanted = {flip.session_instance_id: flip.session_id for flip in flips}
    locked = lock_instances(connection, wanted)
    released = _lock_active(connection, closing) if closing else frozenset()
    return frozenset({wanted[i] for i in wanted.keys() - locked} | {closing[i] for i in closing.keys() - released})


def _lock_active(connection: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Lock the mirror's rows that will go: a check-in that is moving somebody there holds one (FOR KEY SHARE)."""
    statement = (
        select(ActiveInstance.session_instance_id)
        .where(is_in(ActiveInstance.session_instance_id, ids))
        .order_by(ActiveInstance.session_instance_id)
        .with_for_update(skip_locked=True)
    )
    return frozenset(connection.scalars(statement))


def write(
    connection: Connection, decisions: Sequence[Decision], *, cause: str, done_at: datetime | None
) -> tuple[Flip, ...]:
    """Write these decisions, whose rows `lock_for` has locked; return the flips that were really made.

    `done_at` None means the database's clock at the moment of writing.
    """
    offs = [decision.off for decision in decisions if decision.off]
    ons = [decision.on for decision in decisions if decision.on]
    if offs:
        people.release(connection, [flip.session_instance_id for flip in offs])
    made = (*_flip(connection, offs, active=False), *_flip(connection, ons, active=True))
    _log(connection, made, cause, done_at)
    _write_phases(connection, decisions)
    ring_active_changed(connection, [flip.session_instance_id for flip in made])
    return made


def _flip(connection: Connection, flips: Sequence[Flip], *, active: bool) -> tuple[Flip, ...]:
    if not flips:
        return ()
    instance = SessionInstance
    statement = (
        update(instance)
        .where(
            is_in(instance.session_instance_id, (flip.session_instance_id for flip in flips)),
            instance.active != active,
        )
        .values(active=active)
        .returning(instance.session_instance_id)
    )
    with own_write(connection):
        changed = frozenset(connection.scalars(statement))
    return tuple(flip for flip in flips if flip.session_instance_id in changed)


def _log(connection: Connection, flips: Sequence[Flip], cause: str, done_at: datetime | None) -> None:
    if not flips:
        return
    at = done_at or connection.scalar(select(func.clock_timestamp()))
    values = [
        {
            "session_instance_id": flip.session_instance_id,
            "session_id": flip.session_id,
            "active": flip.active,
            "due_at": flip.due_at,
            "done_at": at,
            "cause": cause,
        }
        for flip in flips
    ]
    connection.execute(insert(ActivationLog), values)


def _write_phases(connection: Connection, decisions: Iterable[Decision]) -> None:
    changes = [change for decision in decisions for change in decision.phases]
    if not changes:
        return
    changed = rows(
        "changed",
        {"session_instance_id": BigInteger(), "opens_at": DateTime(timezone=True), "phase": Text()},
        [(change.session_instance_id, change.opens_at, change.phase) for change in changes],
    )
    window = ActivationWindow
    connection.execute(
        update(window)
        .where(window.session_instance_id == changed.c.session_instance_id, window.opens_at == changed.c.opens_at)
        .values(phase=changed.c.phase)
    )
