"""Many sessions looked at: a chunk in a transaction, several chunks at once, and apart where one of them fails (L5)."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from queue import SimpleQueue
from threading import Thread

from sqlalchemy.exc import DBAPIError

from core.logs import logger
from core.look import Look, Seen, look_at
from core.store import looks
from core.store.candidates import Search, candidates
from core.transactions import Begin, is_contention, is_disconnected

CHUNK = 175  # sessions in one transaction: few enough that nobody waits for its locks
HANDS = 2  # chunks at once where that many sessions are due: while one waits for the server the other decides
PART = 13  # sessions of a chunk that failed: about as many parts as there are sessions in one
APART_SECONDS = 3.0  # the rest is looked at again later

log = logger(__name__)


def look_until_done(begin: Begin, look: Look, search: Search, at_most: int | None, *, one_by_one: bool) -> Seen:
    """Look round after round until nothing is found, or for `at_most` rounds.

    `one_by_one`: each session in a transaction of its own, where even one that costs the connection fails alone.
    """
    look_around = _each_by_itself if one_by_one else _one_round
    total = Seen()
    for _ in range(at_most) if at_most else count():
        seen = look_around(begin, look, search)
        if seen is None:
            break
        # What could not be finished now, or is found again though it was finished, waits for the next look.
        again = seen.sessions & total.sessions
        search = replace(search, apart_from=search.apart_from | seen.deferred | seen.failed.keys() | again)
        total += seen
    return total


def _one_round(begin: Begin, look: Look, search: Search) -> Seen | None:
    """Look at the most urgent sessions, or return None where there are none.

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
        return _apart(begin, look, found)
    return _many_hands(begin, look, found)


def _many_hands(begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    seen = _by_hands([partial(_chunk, begin, look, chunk) for chunk in _pieces(session_ids, CHUNK)])
    if not 0 < len(seen.deferred) <= CHUNK:
        return seen
    # One hand may have held what another wanted: somebody who said yes to sessions of two chunks.
    again = _chunk(begin, look, sorted(seen.deferred))
    return replace(seen + again, deferred=again.deferred)


def _by_hands(work: Sequence[Callable[[], Seen]]) -> Seen:
    """Do all at once, in threads that hold up no process that ends; raise what one of them has raised."""
    done: SimpleQueue[Seen | Exception] = SimpleQueue()

    def do(piece: Callable[[], Seen]) -> None:
        try:
            done.put(piece())
        except Exception as error:  # noqa: BLE001 -- it is raised below, in the thread that asked
            done.put(error)

    for piece in work:
        Thread(target=do, args=(piece,), name="seisiun hand", daemon=True).start()
    results = [done.get() for _ in work]
    for result in results:
        if isinstance(result, Exception):
            raise result
    return sum((result for result in results if isinstance(result, Seen)), Seen())


def _chunk(begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    return _together_or_else(_apart, begin, look, session_ids)


def _apart(begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    """Look at the parts of a chunk that failed, and in a part that fails too at each session by itself."""
    with begin() as connection:
        begun_at = looks.clock(connection)
    until = time.monotonic() + APART_SECONDS
    seen = Seen()
    for part in _pieces(session_ids, PART):
        if time.monotonic() > until:
            seen += Seen(deferred=frozenset(part))  # edges wait, and whoever is in the way may stay there
        elif len(session_ids) <= PART:
            seen += _one_by_one(begin, look, part)
        else:
            seen += _together_or_else(_one_by_one, begin, look, part)
    _record(begin, look, seen, begun_at)
    return seen


def _pieces(session_ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (session_ids[first : first + size] for first in range(0, len(session_ids), size))


Otherwise = Callable[[Begin, Look, Sequence[int]], Seen]


def _together_or_else(otherwise: Otherwise, begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    """Look at them in one transaction, or `otherwise` where that fails."""
    try:
        with begin() as connection:
            return look_at(connection, look, session_ids)
    except Exception as error:
        if is_disconnected(error):
            raise
        log.debug("chunk_failed", sessions=len(session_ids), exc_info=True)
    return otherwise(begin, look, session_ids)


def _one_by_one(begin: Begin, look: Look, session_ids: Sequence[int]) -> Seen:
    return sum((_one(begin, look, session_id) for session_id in session_ids), Seen())


def _one(begin: Begin, look: Look, session_id: int, *, may_cost_the_connection: bool = False) -> Seen:
    try:
        with begin() as connection:
            return look_at(connection, look, [session_id])
    except Exception as error:
        if is_disconnected(error) and not may_cost_the_connection:
            raise
        if is_contention(error):
            return Seen(deferred=frozenset({session_id}))
        (log.debug if isinstance(error, DBAPIError) else log.error)("look_failed", session=session_id, exc_info=True)
        return Seen(failed={session_id: _in_one_line(error)})


def _in_one_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else '(no message)'}"


def _each_by_itself(begin: Begin, look: Look, search: Search) -> Seen | None:
    """Look at the most urgent sessions, each as if losing the connection over it were a failure like others."""
    with begin() as connection:
        found = [candidate.session_id for candidate in candidates(connection, search)]
        begun_at = looks.clock(connection)
    if not found:
        return None
    seen = sum((_one(begin, look, session_id, may_cost_the_connection=True) for session_id in found), Seen())
    _record(begin, look, seen, begun_at)
    return seen


def _record(begin: Begin, look: Look, seen: Seen, begun_at: datetime) -> None:
    """Note what failed in looks that begun at this instant, by the database's clock."""
    if seen.failed:
        with begin() as connection:
            looks.record_failures(connection, seen.failed, look.now, failed_at=begun_at)
