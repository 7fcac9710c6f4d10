"""What is on right now, kept true: the use cases that the daemon, the cron script and the app all call.

Given an `Engine`, the work is done in short transactions of its own. Given the app's SQLAlchemy session or connection,
or its raw psycopg2 connection, it is done inside the transaction that is open there, which is never committed here.
"""

import time
from collections.abc import Collection
from datetime import datetime, timedelta

from psycopg2.errors import UniqueViolation
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.boards import (
    Attendee,
    Place,
    WhoIsHere,
    active_instances,
    elsewhere_in_town,
    whereabouts,
    who_is_here,
)
from core.chunks import CHUNK, HANDS, look_until_done
from core.errors import SessionBusy
from core.hooks import CheckedIn, WhyNot, check_in, instance_saved, remove_check_in, session_saved
from core.look import ZONE_VERSION, Cause, Look, Seen, ensure
from core.settings import Settings, load_settings
from core.store import heartbeats
from core.store.candidates import Reason, Search
from core.transactions import AppDatabase, Begin, is_contention, transactions

__all__ = [
    "AppDatabase",
    "Attendee",
    "Cause",
    "CheckedIn",
    "Place",
    "Reason",
    "Seen",
    "WhoIsHere",
    "WhyNot",
    "active_instances",
    "check_in",
    "elsewhere_in_town",
    "ensure_instance",
    "instance_saved",
    "remove_check_in",
    "session_saved",
    "sweep_look_ahead",
    "update_active_sessions",
    "whereabouts",
    "who_is_here",
]

DAEMON_ALIVE_WITHIN = timedelta(seconds=60)
SWEEP_LOOK_AHEAD = timedelta(seconds=60)
EVERY_REASON = frozenset(Reason)


def update_active_sessions(
    db: Engine | AppDatabase,
    now: datetime | None = None,
    *,
    look_ahead: timedelta = timedelta(0),
    cause: Cause | str = Cause.HOOK,
    reasons: Collection[Reason] = EVERY_REASON,
    apart_from: Collection[int] = (),
    at_most: int | None = None,
    grace: timedelta = timedelta(0),
    one_by_one: bool = False,
    settings: Settings | None = None,
) -> Seen:
    """Plan what was requested or is due, and make the active bits agree with the windows and the clock.

    `now` (aware) is for tests and dry runs; without it the database's clock counts (L1). `look_ahead` opens instances
    that much early, and closes none early (L2). Sessions `apart_from` are left alone; edges and requests younger than
    `grace` are left to others. Where an `Engine` is given and many sessions are due, two chunks of them are
    looked at at once; at most `at_most` such rounds are, the most urgent first. A session that fails, or
    of which somebody else holds a row, is reported and holds up no other (L5, L6). `one_by_one`: each session in a
    transaction of its own, where even one that costs the connection fails alone. Idempotent. Raises only when the
    database cannot be reached, or refuses to be read.
    """
    look = Look(Cause(cause), settings or load_settings(), now, look_ahead)
    most = CHUNK * HANDS if isinstance(db, Engine) and not one_by_one else CHUNK
    search = Search(now, frozenset(reasons), look_ahead, grace, ZONE_VERSION, frozenset(apart_from), most)
    with transactions(db) as begin:
        return look_until_done(begin, look, search, at_most, one_by_one=one_by_one)


def ensure_instance(
    db: Engine | AppDatabase,
    session_id: int,
    local_start: datetime,
    *,
    settings: Settings | None = None,
) -> int:
    """Return the instance of the occurrence at `local_start` (naive, in the session's zone), making it if need be (P1).

    For an early yes, say. Raises `NoSuchOccurrence`, `UnknownSession`, `InvalidRecurrence`, `UnknownTimeZone`, and
    `SessionBusy` when another look, or a writer of the app, holds the session for longer than two seconds.
    """
    settings = settings or load_settings()
    with transactions(db) as begin:
        for pause in (0.05, 0.1, 0.2, 0.4, 0.6, 0.6, 0):
            made = _ensured(begin, settings, session_id, local_start)
            if made is not None:
                return made
            time.sleep(pause)
    raise SessionBusy(f"session {session_id} is held by somebody else; try again")


def _ensured(begin: Begin, settings: Settings, session_id: int, local_start: datetime) -> int | None:
    """Return the instance, or None where somebody else is in the way."""
    try:
        with begin() as connection:
            return ensure(connection, settings, session_id, local_start)
    except DBAPIError as error:
        # The app may be inserting the same instance, and allow it once only: the next try finds its row.
        if not is_contention(error) and not isinstance(error.orig, UniqueViolation):
            raise
        return None


def sweep_look_ahead(connection: Connection) -> timedelta:
    """Return how far ahead the sweep looks: a minute, or not at all while a daemon keeps the edges exactly (L2)."""
    return timedelta(0) if heartbeats.has_looked_within(connection, DAEMON_ALIVE_WITHIN) else SWEEP_LOOK_AHEAD
