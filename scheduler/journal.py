"""What the daemon logs of a look: a line per flip, or one for many; what was planned; what went wrong."""

from datetime import datetime

from core.active_session_manager import Cause, Seen
from core.logs import logger

FLIPS_LOGGED_ONE_BY_ONE = 20

log = logger(__name__)


def note(cause: Cause, seen: Seen, now: datetime) -> None:
    """Log what a look changed, and what it could not; nothing where it did nothing."""
    if len(seen.activated) + len(seen.deactivated) > FLIPS_LOGGED_ONE_BY_ONE:
        log.info("flips", activated=len(seen.activated), deactivated=len(seen.deactivated), cause=cause.value)
    else:
        _note_each(cause, seen, now)
    if seen.planned or seen.retimed or seen.deleted:
        log.info("planned", made=len(seen.planned), retimed=len(seen.retimed), deleted=len(seen.deleted))
    for session_id, error in seen.unreadable.items():
        log.warning("unreadable", session=session_id, error=error)
    for session_id, error in seen.failed.items():
        log.error("failed", session=session_id, error=error)


def _note_each(cause: Cause, seen: Seen, now: datetime) -> None:
    for flip in (*seen.deactivated, *seen.activated):
        log.info(
            "flip",
            instance=flip.session_instance_id,
            session=flip.session_id,
            active=flip.active,
            cause=cause.value,
            late_ms=round((now - flip.due_at).total_seconds() * 1000),
        )
