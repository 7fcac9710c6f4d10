"""Logs what a pass did, for the daemon and the sweep: a line per flip, what was planned, and what failed."""

from datetime import datetime

from core.logs import logger
from core.reconcile.result import Cause, ReconcileResult

MOST_FLIP_LINES = 20  # for more flips one line with their number

log = logger(__name__)


def log_result(cause: Cause, result: ReconcileResult, now: datetime) -> None:
    """Log what a pass changed and what failed; log nothing if the pass did nothing. `now` is the database's clock."""
    if len(result.flips) > MOST_FLIP_LINES:
        log.info("flips", activated=len(result.activated), deactivated=len(result.deactivated), cause=cause.value)
    else:
        _log_flips(cause, result, now)
    if result.planned or result.retimed or result.deleted:
        log.info("planned", made=len(result.planned), retimed=len(result.retimed), deleted=len(result.deleted))
    for session_id, error in result.unreadable.items():
        log.warning("unreadable", session=session_id, error=error)
    for session_id, error in result.failed.items():
        log.error("failed", session=session_id, error=error)


def _log_flips(cause: Cause, result: ReconcileResult, now: datetime) -> None:
    for flip in result.flips:
        log.info(
            "flip",
            instance=flip.session_instance_id,
            session=flip.session_id,
            active=flip.active,
            cause=cause.value,
            late_ms=round((now - flip.due_at).total_seconds() * 1000),
        )
