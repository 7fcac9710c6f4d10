"""What the daemon and the sweep log of a pass: each flip, what was planned, what went wrong, what was late."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import Connection

from core.logs import logger
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip
from core.store.views import readings

MOST_FLIP_LINES = 20  # if there are more flips, one line says how many opened and closed
MISSED = timedelta(seconds=5)  # a flip that comes later is a miss, and gets a line of its own
NOBODY: Mapping[int, str] = {}
NAMELESS: Mapping[int, str] = {}

log = logger(__name__)


def names_for(begin: Callable[[], AbstractContextManager[Connection]], result: ReconcileResult) -> Mapping[int, str]:
    """Return the names of the sessions that the lines of a pass may name: session id -> name.

    Not of many flips: one line says how many. Call it after the commit, so that no flip waits for a name. `begin`: is
    called only if there is a name to read.
    """
    flips = result.flips if len(result.flips) <= MOST_FLIP_LINES else ()
    ids = {*(flip.session_id for flip in flips), *result.unreadable, *result.failed}
    if not ids:
        return NAMELESS
    with begin() as connection:
        return {id_: found.name for id_, found in readings.names_of(connection, ids).items()}


def log_result(
    cause: Cause,
    result: ReconcileResult,
    now: datetime,
    held_by: Mapping[int, str] = NOBODY,
    *,
    names: Mapping[int, str] = NAMELESS,
    dry_run: bool = False,
) -> None:
    """Log what a pass changed and what it could not change, as of the database's `now`; nothing if it did nothing.

    `held_by`: session id -> the server processes that held up its passes, where they are known. `names`: session id ->
    its name, likewise.
    """
    if len(result.flips) > MOST_FLIP_LINES:
        log.info("flips", activated=len(result.activated), deactivated=len(result.deactivated), cause=cause.value)
    else:
        for flip in result.flips:
            _log_flip(cause, flip, now, names, dry_run=dry_run)
    for flip in result.flips:
        if not flip.is_repair and now - flip.due_at > MISSED:
            _log_miss(cause, flip, now, names, held_by.get(flip.session_id, "unknown"))
    if result.planned or result.retimed or result.deleted:
        log.info("planned", made=len(result.planned), retimed=len(result.retimed), deleted=len(result.deleted))
    for session_id, error in result.unreadable.items():
        log.warning("unreadable", **named(session_id, names), error=error)
    for session_id, error in result.failed.items():
        log.error("failed", **named(session_id, names), error=error)


def named(session_id: int, names: Mapping[int, str]) -> dict[str, object]:
    """Return the fields of a line that name a session: its id, and its name where that is known."""
    return {"session": session_id} | ({"name": names[session_id]} if session_id in names else {})


def log_dropped(rows: int) -> None:
    """Log how many requests and windows of deleted sessions passes have deleted; nothing if none."""
    if rows:
        log.info("dropped", rows=rows, why="their sessions were deleted")


def _log_flip(cause: Cause, flip: Flip, now: datetime, names: Mapping[int, str], *, dry_run: bool) -> None:
    log.info(
        "would_flip" if dry_run else "flip",
        instance=flip.session_instance_id,
        **named(flip.session_id, names),
        active=flip.active,
        cause=(Cause.REPAIR if flip.is_repair else cause).value,
        late_ms=round((now - flip.due_at).total_seconds() * 1000),
    )


def _log_miss(cause: Cause, flip: Flip, now: datetime, names: Mapping[int, str], held_by: str) -> None:
    log.warning(
        "missed",
        **named(flip.session_id, names),
        instance=flip.session_instance_id,
        active=flip.active,
        due=flip.due_at.isoformat(),
        done=now.isoformat(),
        cause=cause.value,
        held_by=held_by,
    )
