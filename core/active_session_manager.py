"""The public interface: everything that an app, the cron script and the operator call.

If a call gets an `Engine`, it works in its own short transactions. If it gets the app's SQLAlchemy session or
connection, or the app's raw psycopg2 connection, it works inside the app's transaction, and never commits it.
"""

import time
from datetime import datetime, timedelta

from psycopg2.errors import UniqueViolation
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.db.transactions import AppDatabase, Begin, is_contention, transactions
from core.errors import NoSuchOccurrence, SessionBusy, UnknownSession
from core.hooks import CheckedIn, WhyNot, check_in, instance_saved, leave, remove_check_in, session_saved
from core.ids import require_id
from core.queries import (
    Attendee,
    Change,
    Place,
    Transition,
    Transitions,
    WhoIsHere,
    active_instances,
    elsewhere_in_town,
    transitions,
    whereabouts,
    who_is_here,
)
from core.reconcile.batches import reconcile
from core.reconcile.chunk import ensure
from core.reconcile.result import LeftBehind, PassOptions, ReconcileResult
from core.recurrence.schedules import FIRST_YEAR, LAST_YEAR
from core.rules.flips import Cause
from core.settings import Settings, load_settings
from core.store.queue.due import Search

__all__ = [
    "AppDatabase",
    "Attendee",
    "Cause",
    "Change",
    "CheckedIn",
    "LeftBehind",
    "Place",
    "ReconcileResult",
    "Transition",
    "Transitions",
    "WhoIsHere",
    "WhyNot",
    "active_instances",
    "check_in",
    "elsewhere_in_town",
    "ensure_instance",
    "instance_saved",
    "leave",
    "remove_check_in",
    "session_saved",
    "transitions",
    "update_active_sessions",
    "whereabouts",
    "who_is_here",
]

NO_LOOK_AHEAD = timedelta(0)
LEFT_TO_DAEMON = timedelta(seconds=1)


def update_active_sessions(
    db: Engine | AppDatabase,
    now: datetime | None = None,
    *,
    look_ahead: timedelta = NO_LOOK_AHEAD,
    cause: Cause | str = Cause.HOOK,
) -> ReconcileResult:
    """Reconcile all sessions that are due: plan them, and make the active bits agree with the clock.

    `now` (aware) is for tests and dry runs; None means the database's clock (L1). `look_ahead` opens instances early by
    that much, but closes none early (L2). A sweep without `look_ahead` runs beside a daemon: it leaves alone what has
    been due for less than a second. A session that fails, or has a row that another transaction holds, is in `failed`
    or `deferred`, and does not stop the others (L5, L6). Calling twice does no harm. Raises the database's error only
    when the database cannot be reached or refuses to be read.
    """
    options = PassOptions(Cause(cause), load_settings(), now, look_ahead)
    beside_daemon = options.cause is Cause.SWEEP and look_ahead == NO_LOOK_AHEAD
    return reconcile(db, options, Search(grace=LEFT_TO_DAEMON if beside_daemon else timedelta(0)))


def ensure_instance(
    db: Engine | AppDatabase,
    session_id: int,
    local_start: datetime,
    *,
    settings: Settings | None = None,
) -> int:
    """Return the instance of the occurrence at `local_start` (naive, in the session's zone); make it if missing (P1).

    An app needs it, for example, before it can record an early yes. Raises `NoSuchOccurrence` (also for an aware
    `local_start`, or one in a year that makes no sense), `UnknownSession`, `InvalidRecurrence` and `UnknownTimeZone`;
    and `SessionBusy` if another transaction holds the session for longer than two seconds.
    """
    session_id = require_id(session_id, "session", UnknownSession)
    if not _is_local(local_start):
        raise NoSuchOccurrence(
            f"nothing can start at {local_start}; expected a local time without a zone, in a year from {FIRST_YEAR} to "
            f"{LAST_YEAR}"
        )
    settings = settings or load_settings()
    with transactions(db) as begin:
        for pause in (0.05, 0.1, 0.2, 0.4, 0.6, 0.6, 0):
            made = _ensured(begin, settings, session_id, local_start)
            if made is not None:
                return made
            time.sleep(pause)
    raise SessionBusy(f"another transaction holds session {session_id}; try again")


def _is_local(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None and FIRST_YEAR <= value.year <= LAST_YEAR


def _ensured(begin: Begin, settings: Settings, session_id: int, local_start: datetime) -> int | None:
    """Return the instance's id, or None if another transaction holds a row or inserts the same instance."""
    try:
        with begin() as connection:
            return ensure(connection, settings, session_id, local_start)
    except DBAPIError as error:
        # The app may have a unique key and insert the same instance just now; the next try finds the app's row.
        if not is_contention(error) and not isinstance(error.orig, UniqueViolation):
            raise
        return None
