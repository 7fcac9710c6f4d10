"""What the daemon and the sweep log of a pass: each flip, what was planned, what went wrong, what was late."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from core.logs import logger
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip

MOST_FLIP_LINES = 20  # if there are more flips, one line says how many opened and closed
MISSED = timedelta(seconds=5)  # a flip that comes later is a miss, and gets a line of its own
NOBODY: Mapping[int, str] = {}

log = logger(__name__)


def log_result(
    cause: Cause, result: ReconcileResult, now: datetime, held_by: Mapping[int, str] = NOBODY, *, dry_run: bool = False
) -> None:
    """Log what a pass changed and what it could not change, as of the database's `now`; nothing if it did nothing.

    `held_by`: session id -> the server processes that held up its passes, where they are known.
    """
    if len(result.flips) > MOST_FLIP_LINES:
        log.info("flips", activated=len(result.activated), deactivated=len(result.deactivated), cause=cause.value)
    else:
        for flip in result.flips:
            _log_flip(cause, flip, now, dry_run=dry_run)
    for flip in result.flips:
        if not flip.is_repair and now - flip.due_at > MISSED:
            _log_miss(cause, flip, now, held_by.get(flip.session_id, "unknown"))
    if result.planned or result.retimed or result.deleted:
        log.info("planned", made=len(result.planned), retimed=len(result.retimed), deleted=len(result.deleted))
    for session_id, error in result.unreadable.items():
        log.warning("unreadable", session=session_id, error=error)
    for session_id, error in result.failed.items():
        log.error("failed", session=session_id, error=error)


def log_dropped(rows: int) -> None:
    """Log how many requests and windows of deleted sessions passes have deleted; nothing if none."""
    if rows:
        log.info("dropped", rows=rows, why="their sessions were deleted")


def _log_flip(cause: Cause, flip: Flip, now: datetime, *, dry_run: bool) -> None:
    log.info(
        "would_flip" if dry_run else "flip",
        instance=flip.session_instance_id,
        session=flip.session_id,
        active=flip.active,
        cause=(Cause.REPAIR if flip.is_repair else cause).value,
        late_ms=round((now - flip.due_at).total_seconds() * 1000),
    )


def _log_miss(cause: Cause, flip: Flip, now: datetime, held_by: str) -> None:
    log.warning(
        "missed",
        session=flip.session_id,
        instance=flip.session_instance_id,
        active=flip.active,
        due=flip.due_at.isoformat(),
        done=now.isoformat(),
        cause=cause.value,
        held_by=held_by,
    )
