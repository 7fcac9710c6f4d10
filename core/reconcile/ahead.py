"""A pass for an instant that has not quite come: it prepares the flips of an edge, and the server commits them then.

A pass that begins at an edge needs some milliseconds. This one is done before, so that only the COMMIT is left. It is
an attempt: whatever it leaves, the timer's pass does at the edge, as if there had been no attempt.
"""

import time
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from core.db.transactions import transactions, with_commit
from core.logs import logger
from core.reconcile.batches import CHUNK, search_in
from core.reconcile.chunk import reconcile_chunk
from core.reconcile.result import PassOptions, ReconcileResult
from core.store import hold
from core.store.queue.due import Reason, Search

LONGEST_LEAD_SECONDS = 0.045  # locks are held no longer
HELD_SECONDS = 0.005  # so long before the edge the server takes over: it waits more exactly than we do
SPARE_SECONDS = 0.003
PASS_SECONDS, EACH_SECONDS = 0.006, 0.0002  # what a pass takes on a quiet machine, and more for each session
REMEMBERED = 20

log = logger(__name__)


class Lead:
    """How long before an edge its pass begins: as long as such passes took lately, and a little more."""

    def __init__(self) -> None:
        self._slowness = deque([1.5], maxlen=REMEMBERED)

    def seconds(self, sessions: int) -> float:
        """Return how long before the edge to begin with so many sessions."""
        return min(LONGEST_LEAD_SECONDS, SPARE_SECONDS + self._slowest * _usual_seconds(sessions))

    @property
    def most_sessions(self) -> int:
        """How many sessions the longest lead is enough for, at most a chunk: more would be locked for longer."""
        seconds = (LONGEST_LEAD_SECONDS - SPARE_SECONDS) / self._slowest
        return min(CHUNK, max(1, int((seconds - PASS_SECONDS) / EACH_SECONDS)))

    def note(self, sessions: int, seconds: float) -> None:
        """Note how long the preparation for so many sessions took."""
        self._slowness.append(seconds / _usual_seconds(sessions))

    @property
    def _slowest(self) -> float:
        return sorted(self._slowness)[-2:][0]  # one of twenty may have been held up


def _usual_seconds(sessions: int) -> float:
    return PASS_SECONDS + EACH_SECONDS * sessions


def reconcile_ahead(
    engine: Engine,
    options: PassOptions,
    edge: datetime,
    lead: Lead,
    *,
    excluded: frozenset[int],
    seconds_to_edge: float,
) -> tuple[ReconcileResult, float]:
    """Flip what is due at `edge`, which comes in `seconds_to_edge`, at its very instant.

    1. Search, without a lock, for the sessions that are due then.
    2. Wait until there is just the time left that the pass needs.
    3. Do the pass with the edge as its clock. It leaves out the sessions that have a request, or whose plan is due by
       then. Nothing is recorded of what it could not do.
    4. Let the server wait for the edge, and commit.

    Return what was flipped, perhaps nothing; and how many seconds the pass took, without the waits.
    """
    # From here on by the monotonic clock: the host's other clock may be set while we wait.
    edge_at = time.monotonic() + seconds_to_edge
    search = Search(frozenset({Reason.EDGE}), excluded=excluded)
    options = replace(options, now=edge, is_ahead=True)
    try:
        with transactions(engine) as begin:
            with begin() as connection:
                found = search_in(connection, options, search, lead.most_sessions)
            if not found:
                return ReconcileResult(), 0.0
            _sleep_until(edge_at - lead.seconds(len(found)))
            begun = time.monotonic()
            with begin() as connection:
                hold.end_soon_if_stopped(connection)
                result = _flips(connection, options, found)
                took = time.monotonic() - begun
                lead.note(len(found), took)
                _sleep_until(edge_at - HELD_SECONDS)
                with_commit(connection, hold.until(edge, result.sessions))
            return result, took
    except Exception:  # the pass at the edge meets the same, and knows what to do
        log.debug("left_to_the_timer", exc_info=True)
        return ReconcileResult(), 0.0


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.monotonic()))


class _NothingFlipsError(Exception):
    """Rolls the transaction back: whatever else the pass has written belongs to the edge, too."""


def _flips(connection: Connection, options: PassOptions, session_ids: Collection[int]) -> ReconcileResult:
    result = reconcile_chunk(connection, options, session_ids)
    if not result.flips:
        raise _NothingFlipsError
    return result
