"""The one loop: search for the sessions that are due, reconcile them chunk by chunk, isolate those that fail (L5)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from queue import SimpleQueue
from threading import Thread

import psycopg2
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.db.transaction_settings import clock
from core.db.transactions import AppDatabase, Begin, is_contention, is_disconnected, transactions
from core.logs import logger
from core.reconcile.chunk import reconcile_chunk
from core.reconcile.result import ZONE_VERSION, PassOptions, ReconcileResult
from core.store import mirror, older_columns
from core.store.queue import due, retries
from core.store.queue.due import EVERYTHING, Reason, Search

CHUNK = 175  # sessions in one transaction: few enough that nobody waits long for its locks
PARALLEL = 2  # chunks at once: while one waits for the server, the other decides
ISOLATE_SECONDS = 3.0  # then the remaining sessions are deferred, because due edges wait meanwhile

log = logger(__name__)


def reconcile(
    db: Engine | AppDatabase,
    options: PassOptions,
    search: Search = EVERYTHING,
    *,
    rounds: int | None = None,
    one_by_one: bool = False,
) -> ReconcileResult:
    """Reconcile what the search finds, round after round, until it finds nothing or `rounds` are done.

    1. Search for the most urgent sessions that are due.
    2. Reconcile them: one chunk in the transaction that found it; more chunks in parallel, if `db` is an `Engine`.
    3. If a chunk fails, halve it until each session that fails is alone, and record those (L5).
    4. Search again, without the sessions that were deferred, that failed, or that were reconciled twice.

    `one_by_one`: reconcile each session in its own transaction; one that loses the connection is recorded as a failure.
    Raises the database's error when the database cannot be reached, or refuses to be read.
    """
    limit = CHUNK * PARALLEL if isinstance(db, Engine) and not one_by_one else CHUNK
    one_round = _one_by_one if one_by_one else _one_round
    total = ReconcileResult()
    with transactions(db) as begin:
        for _ in range(rounds) if rounds else count():
            result = one_round(begin, options, search, limit)
            if result is None:
                break
            again = result.sessions & total.sessions
            search = replace(search, excluded=search.excluded | result.deferred | result.failed.keys() | again)
            total += result
    return total


def search_in(connection: Connection, options: PassOptions, search: Search, limit: int) -> list[int]:
    """Return the sessions that the search finds, the most urgent first, at most `limit`."""
    found = due.due_sessions(
        connection,
        search,
        now=options.now,
        look_ahead=options.look_ahead,
        zone_version=ZONE_VERSION,
        limit=limit,
        notified=options.notified,
    )
    return [session.session_id for session in found]


def _one_round(begin: Begin, options: PassOptions, search: Search, limit: int) -> ReconcileResult | None:
    """Reconcile the most urgent sessions; return None if none is due.

    A single chunk is reconciled in the transaction that found it: an edge then does not wait for a second transaction.
    When nothing is left to do, compare the bits with their mirror, or else the app's older columns with ours: a program
    may have written with the triggers off. The mirror is put right in a transaction of its own, so that it stays right
    if a flip or an older column fails.
    """
    found: list[int] = []
    compares = False
    try:
        with begin() as connection:
            found = search_in(connection, options, search, limit)
            if found and len(found) <= CHUNK:
                return reconcile_chunk(connection, options, found)
            compares = not found and Reason.BIT in search.reasons
            if compares and (differing := mirror.differing(connection)):
                mirror.settle(connection, differing)
                found = search_in(connection, options, search, limit)
            elif compares and (mended := older_columns.bring_into_line(connection)):
                log.warning("older_columns_mended", rows=mended)
    except Exception as error:
        if compares and is_contention(error):
            return None  # somebody holds the app's table, or one of its rows: the next resync compares again
        if compares or not found or is_disconnected(error):
            raise
        log.debug("chunk_failed", sessions=len(found), exc_info=True)
        return _isolate(begin, options, found)
    if len(found) > CHUNK:
        return _chunks(begin, options, found)
    return _chunk(begin, options, found) if found else None


def _chunks(begin: Begin, options: PassOptions, session_ids: Sequence[int]) -> ReconcileResult:
    # By id: sessions that were made one after the other share people more often, and two chunks hold each other's back.
    by_id = sorted(session_ids)
    chunks = (by_id[first : first + CHUNK] for first in range(0, len(by_id), CHUNK))
    result = _in_parallel([partial(_chunk, begin, options, chunk) for chunk in chunks])
    if not 0 < len(result.deferred) <= CHUNK:
        return result
    # Retry deferred sessions once: one chunk may have held a person who said yes to sessions in both chunks.
    again = _chunk(begin, options, [*result.deferred])
    return replace(result + again, deferred=again.deferred)


def _in_parallel(work: Sequence[Callable[[], ReconcileResult]]) -> ReconcileResult:
    """Call these functions at once, each in a daemon thread; return the sum, or raise an error that one raised."""
    done: SimpleQueue[ReconcileResult | Exception] = SimpleQueue()

    def do(piece: Callable[[], ReconcileResult]) -> None:
        try:
            done.put(piece())
        except Exception as error:  # noqa: BLE001 -- the calling thread raises it below
            done.put(error)

    for piece in work:
        Thread(target=do, args=(piece,), name="seisiun chunk", daemon=True).start()
    results = [done.get() for _ in work]
    for result in results:
        if isinstance(result, Exception):
            raise result
    return sum((result for result in results if isinstance(result, ReconcileResult)), ReconcileResult())


def _chunk(begin: Begin, options: PassOptions, session_ids: Sequence[int]) -> ReconcileResult:
    result = _together(begin, options, session_ids)
    return _isolate(begin, options, session_ids) if result is None else result


def _together(begin: Begin, options: PassOptions, session_ids: Sequence[int]) -> ReconcileResult | None:
    """Reconcile these sessions in one transaction; return None if that fails and the connection still works."""
    try:
        with begin() as connection:
            return reconcile_chunk(connection, options, session_ids)
    except Exception as error:
        if is_disconnected(error):
            raise
        log.debug("chunk_failed", sessions=len(session_ids), exc_info=True)
        return None


def _isolate(begin: Begin, options: PassOptions, session_ids: Sequence[int]) -> ReconcileResult:
    """Reconcile the sessions of a chunk that failed, and record those that fail alone."""
    with begin() as connection:
        begun_at = clock(connection)
    result = _halves(begin, options, session_ids, time.monotonic() + ISOLATE_SECONDS)
    _record(begin, options, result, begun_at)
    return result


def _halves(begin: Begin, options: PassOptions, session_ids: Sequence[int], until: float) -> ReconcileResult:
    """Reconcile sessions that failed together: each half alone, and a half that fails in halves again.

    After `until` (by the monotonic clock) defer the halves that remain.
    """
    if len(session_ids) == 1:
        return _alone(begin, options, session_ids[0])
    total = ReconcileResult()
    middle = len(session_ids) // 2
    for half in (session_ids[:middle], session_ids[middle:]):
        if time.monotonic() > until:
            total += ReconcileResult(deferred=frozenset(half))
            continue
        result = _together(begin, options, half) if len(half) > 1 else None
        total += _halves(begin, options, half, until) if result is None else result
    return total


def _alone(
    begin: Begin, options: PassOptions, session_id: int, *, may_lose_connection: bool = False
) -> ReconcileResult:
    try:
        with begin() as connection:
            return reconcile_chunk(connection, options, [session_id])
    except Exception as error:
        if is_disconnected(error) and not may_lose_connection:
            raise
        if is_contention(error):
            return ReconcileResult(deferred=frozenset({session_id}))
        (log.debug if isinstance(error, DBAPIError) else log.error)("pass_failed", session=session_id, exc_info=True)
        return ReconcileResult(failed={session_id: _in_one_line(error)})


def _in_one_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    said = str(cause).strip().splitlines()[0] if str(cause).strip() else "(no message)"
    return f"{type(cause).__name__}: {said}{_where(cause)}"


def _where(cause: BaseException | None) -> str:
    """Return the functions that the statement had called, the innermost first: a trigger's of the app's, mostly.

    Other lines of PostgreSQL's CONTEXT may name a row, and errors that are alike must read alike.
    """
    context = (cause.diag.context if isinstance(cause, psycopg2.Error) else None) or ""
    functions = [line for line in context.splitlines() if "PL/" in line]
    return f" ({'; '.join(functions)})" if functions else ""


def _one_by_one(begin: Begin, options: PassOptions, search: Search, limit: int) -> ReconcileResult | None:
    """Reconcile the most urgent sessions, each in its own transaction; losing the connection counts as a failure."""
    with begin() as connection:
        found = search_in(connection, options, search, limit)
        begun_at = clock(connection)
    if not found:
        return None
    results = (_alone(begin, options, session_id, may_lose_connection=True) for session_id in found)
    total = sum(results, ReconcileResult())
    _record(begin, options, total, begun_at)
    return total


def _record(begin: Begin, options: PassOptions, result: ReconcileResult, begun_at: datetime) -> None:
    """Record the sessions that failed; `begun_at` is when their passes began, by the database's clock."""
    if result.failed:
        with begin() as connection:
            retries.record(connection, result.failed, options.now, failed_at=begun_at)
