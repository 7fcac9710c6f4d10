"""What is on right now, kept true: the use cases that the daemon, the cron script and the app all call.

Given an `Engine`, the work is done in short transactions of its own. Given the app's SQLAlchemy session or connection,
or its raw psycopg2 connection, it is done inside the transaction that is open there, which is never committed here.
"""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

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
from core.errors import SessionBusy
from core.hooks import CheckedIn, WhyNot, check_in, instance_saved, remove_check_in, session_saved
from core.logs import logger
from core.look import ZONE_VERSION, Cause, Look, Seen, ensure, look_at
from core.settings import Settings, load_settings
from core.store import heartbeats, looks
from core.store.candidates import Reason, Search, candidates
from core.transactions import AppDatabase, Begin, is_contention, is_disconnected, transactions

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

CHUNK = 200  # sessions in one transaction: few enough that nobody waits for its locks
HANDS = 3  # chunks at once where that many sessions are due: while one waits for the server another decides
DAEMON_ALIVE_WITHIN = timedelta(seconds=60)
SWEEP_LOOK_AHEAD = timedelta(seconds=60)
EVERY_REASON = frozenset(Reason)

log = logger(__name__)


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
    `grace` are left to others. Where an `Engine` is given and many sessions are due, up to three chunks of them are
    looked at at once; at most `at_most` such rounds are, the most urgent first. A session that fails, or
    of which somebody else holds a row, is reported and holds up no other (L5, L6). `one_by_one`: each session in a
    transaction of its own, where even one that costs the connection fails alone. Idempotent. Raises only when the
    database cannot be reached, or refuses to be read.
    """
    look = Look(Cause(cause), settings or load_settings(), now, look_ahead)
    most = CHUNK * HANDS if isinstance(db, Engine) and not one_by_one else CHUNK
    search = Search(now, frozenset(reasons), look_ahead, grace, ZONE_VERSION, frozenset(apart_from), most)
    look_around = _each_by_itself if one_by_one else _one_round
    with transactions(db) as begin:
        return _look_until_done(lambda search: look_around(begin, look, search), search, at_most)


def _look_until_done(look_around: Callable[[Search], Seen | None], search: Search, at_most: int | None) -> Seen:
    total = Seen()
    for _ in range(at_most) if at_most else count():
        seen = look_around(search)
        if seen is None:
            break
        # What could not be finished now, or is found again though it was finished, waits for the next look.
        again = seen.sessions & total.sessions
        search = replace(search, apart_from=search.apart_from | seen.deferred | seen.failed.keys() | again)
        total += seen
    return total


def _one_round(begin: Begin, look: Look, search: Search) -> Seen | None:
    """Look at the most urgent sessions, or return None where there are none; on an error, at each by itself (L5).

    Where there is one chunk of them, in the transaction that has found them: an edge is not late by another.
    """
    found: list[int] = []
    try:
        with begin() as connection:
            found = [candidate.session_id for candidate in candidates(connection, search)]
            if len(found) <= CHUNK:
                return look_at(connection, look, found) if found else None
    except Exception as error:
        if not found or is_disconnected(error):
            raise
        log.debug("chunk_failed", sessions=len(found), exc_info=True)
        return _one_by_one(begin, look, found)
    return _many_hands(begin, look, found)


def _many_hands(begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    chunks = [session_ids[first : first + CHUNK] for first in range(0, len(session_ids), CHUNK)]
    with ThreadPoolExecutor(len(chunks), "seisiun hand") as hands:
        seen = sum(hands.map(lambda chunk: _one_chunk(begin, look, chunk), chunks), Seen())
    if not seen.deferred:
        return seen
    # One hand may have held what another wanted: somebody who said yes to sessions of two chunks.
    again = _one_chunk(begin, look, sorted(seen.deferred))
    return replace(seen + again, deferred=again.deferred)


def _one_chunk(begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    try:
        with begin() as connection:
            return look_at(connection, look, session_ids)
    except Exception as error:
        if is_disconnected(error):
            raise
        log.debug("chunk_failed", sessions=len(session_ids), exc_info=True)
    return _one_by_one(begin, look, session_ids)


def _each_by_itself(begin: Begin, look: Look, search: Search) -> Seen | None:
    with begin() as connection:
        found = [candidate.session_id for candidate in candidates(connection, search)]
    return _one_by_one(begin, look, found, may_cost_the_connection=True) if found else None


def _one_by_one(
    begin: Begin, look: Look, session_ids: Collection[int], *, may_cost_the_connection: bool = False
) -> Seen:
    with begin() as connection:
        begun_at = looks.clock(connection)
    seen = Seen()
    for session_id in session_ids:
        seen += _one(begin, look, session_id, may_cost_the_connection=may_cost_the_connection)
    if seen.failed:
        with begin() as connection:
            looks.record_failures(connection, seen.failed, look.now, failed_at=begun_at)
    return seen


def _one(begin: Begin, look: Look, session_id: int, *, may_cost_the_connection: bool) -> Seen:
    try:
        with begin() as connection:
            return look_at(connection, look, [session_id])
    except Exception as error:
        if is_disconnected(error) and not may_cost_the_connection:
            raise
        if is_contention(error):
            return Seen(deferred=frozenset({session_id}))
        log.exception("look_failed", session=session_id)
        return Seen(failed={session_id: _in_one_line(error)})


def _in_one_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else '(no message)'}"


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
