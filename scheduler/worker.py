"""The one thread that does the daemon's database work: due edges first, then doorbells, then everything else.

Background work runs a chunk at a time, so an edge never waits for more than one.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core import __version__
from core.active_session_manager import Cause, Reason, Seen, update_active_sessions
from core.clock import utc_now
from core.db import create_engine
from core.logs import logger
from core.look import ZONE_VERSION
from core.migrations import require_schema
from core.settings import Settings
from core.store import heartbeats, looks, reports, schedule
from core.store.heartbeats import Beat
from core.transactions import is_contention, transactions
from scheduler.clock_offset import ClockOffset
from scheduler.deferrals import Deferrals
from scheduler.marks import Marks
from scheduler.timers import Timers

TICK_SECONDS: Final = 1.0
TIMERS_AHEAD = timedelta(days=1)
GRACE = timedelta(seconds=1)  # what timers and bells are left to deal with before a resync does
FAILED_RETRY_SECONDS: Final = 3.0
PRUNE_SECONDS: Final = 3600.0
OFFSET_TOLERANCE = timedelta(milliseconds=2)
SKEW_REPORTED = timedelta(seconds=2)
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 1.0
FLIPS_LOGGED_ONE_BY_ONE = 20

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Errand:
    """A kind of look that is owed, until a chunk of it finds nothing."""

    cause: Cause
    reasons: frozenset[Reason]
    grace: timedelta = timedelta(0)


EDGES = Errand(Cause.TIMER, frozenset({Reason.EDGE}))
BELLS = Errand(Cause.NOTIFY, frozenset({Reason.REQUEST}))
START = Errand(Cause.START, frozenset(Reason))
RESYNC = Errand(Cause.RESYNC, frozenset(Reason), GRACE)
MOST_URGENT_FIRST = (START, EDGES, BELLS, RESYNC)


class Worker:
    """Takes marks, looks, keeps the timers equal to the database, beats the heart; one thread runs `run`."""

    def __init__(
        self,
        url: str,
        settings: Settings,
        marks: Marks,
        timers: Timers,
        *,
        listening_since: Callable[[], datetime | None],
        on_ready: Callable[[], None],
    ) -> None:
        self._engine: Engine = create_engine(url, application_name="seisiun daemon")
        self._settings = settings
        self._marks = marks
        self._timers = timers
        self._listening_since = listening_since
        self._on_ready = on_ready
        self._daemon_id = uuid4()
        self._offset = ClockOffset()
        self._armed_offset = timedelta(0)
        self._deferrals = Deferrals()
        self._owed: set[Errand] = {START}
        self._looked = False
        self._ready = False
        self._next_tick = self._next_resync = self._next_prune = 0.0
        self.progress_at = time.monotonic()

    def run(self) -> None:
        """Work until the marks say stop; while the database cannot be reached, try again and again."""
        pause = FIRST_RETRY_SECONDS
        while not self._marks.stopping:
            try:
                self._begin()
                pause = FIRST_RETRY_SECONDS
                self._work()
            except DBAPIError as error:
                log.warning("database_lost", error=str(error.orig).strip())
                self._engine.dispose()
                self._marks.take(pause)
                pause = min(pause * 2, LAST_RETRY_SECONDS)
                self.progress_at = time.monotonic()
        self._end()

    def _begin(self) -> None:
        with self._transaction() as connection:
            require_schema(connection)
            looks.make_missing_plans(connection)
        self._owed |= {EDGES, BELLS, RESYNC} if self._ready else {START}
        self._next_tick = self._next_resync = 0.0

    def _end(self) -> None:
        try:
            with self._transaction() as connection:
                heartbeats.forget(connection, self._daemon_id)
        except DBAPIError as error:
            log.warning("heartbeat_left", error=str(error.orig).strip())
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Begin a transaction whose waits are bounded like a look's: an edge may be waiting for this thread."""
        with transactions(self._engine) as begin, begin() as connection:
            yield connection

    def _work(self) -> None:
        while not self._marks.stopping:
            self.progress_at = time.monotonic()
            self._take_marks()
            self._tick_if_due()
            self._run_errand()

    def _take_marks(self) -> None:
        taken = self._marks.take(0 if self._owed else self._idle_seconds())
        if taken.edge:
            self._wait_for_database(taken.edge)
            self._owed.add(EDGES)
        if taken.bell:
            self._owed.add(BELLS)
        now = time.monotonic()
        if self._deferrals.take_due(now):
            self._owed |= {EDGES, BELLS}
        if taken.resync or now >= self._next_resync:
            self._owed.add(RESYNC)

    def _idle_seconds(self) -> float:
        until = min(self._next_tick, self._next_resync, self._deferrals.next_at() or self._next_tick)
        return max(0.0, until - time.monotonic())

    def _wait_for_database(self, edge: datetime) -> None:
        """Wait while the database says that the edge is still ahead: the host's clock only wakes us (L1)."""
        with self._transaction() as connection:
            ahead = edge - looks.clock(connection)
        if ahead > timedelta(seconds=TICK_SECONDS):
            self._timers.add([edge])  # a clock was set: measure anew, and come back
        elif ahead > timedelta(0):
            time.sleep(ahead.total_seconds())

    def _run_errand(self) -> None:
        for errand in MOST_URGENT_FIRST:
            if errand in self._owed:
                if not self._look(errand).sessions:
                    self._done(errand)
                return

    def _look(self, errand: Errand) -> Seen:
        """Look at one chunk."""
        seen = update_active_sessions(
            self._engine,
            cause=errand.cause,
            reasons=errand.reasons,
            grace=errand.grace,
            apart_from=self._deferrals.waiting(time.monotonic()),
            at_most=1,
            settings=self._settings,
        )
        self._looked = True
        self._deferrals.settle(seen.sessions - seen.deferred)
        self._deferrals.put_off(seen.deferred, time.monotonic())
        if seen.failed:  # each is tried again in seconds, then later and later
            self._next_resync = min(self._next_resync, time.monotonic() + FAILED_RETRY_SECONDS)
        self._timers.add(edge for edge in seen.edges if edge <= utc_now() + TIMERS_AHEAD)
        self._report(errand, seen)
        return seen

    def _done(self, errand: Errand) -> None:
        self._owed.discard(errand)
        if errand in (START, RESYNC):
            self._arm_timers()
            self._next_resync = time.monotonic() + self._settings.resync_seconds
        if errand is START and not self._ready:
            self._ready = True
            log.info("ready", timers=len(self._timers))
            self._on_ready()

    def _arm_timers(self) -> None:
        with self._transaction() as connection:
            now = looks.clock(connection)
            self._timers.keep(schedule.edges_between(connection, now, now + TIMERS_AHEAD))

    def _report(self, errand: Errand, seen: Seen) -> None:
        now = utc_now() + self._offset.value
        flips = (*seen.deactivated, *seen.activated)
        if len(flips) > FLIPS_LOGGED_ONE_BY_ONE:
            log.info(
                "flips", activated=len(seen.activated), deactivated=len(seen.deactivated), cause=errand.cause.value
            )
        else:
            for flip in flips:
                log.info(
                    "flip",
                    instance=flip.session_instance_id,
                    session=flip.session_id,
                    active=flip.active,
                    cause=errand.cause.value,
                    late_ms=round((now - flip.due_at).total_seconds() * 1000),
                )
        if seen.planned or seen.retimed or seen.deleted:
            log.info("planned", made=len(seen.planned), retimed=len(seen.retimed), deleted=len(seen.deleted))
        for session_id, error in seen.unreadable.items():
            log.warning("unreadable", session=session_id, error=error)
        for session_id, error in seen.failed.items():
            log.error("failed", session=session_id, error=error)

    def _tick_if_due(self) -> None:
        if time.monotonic() < self._next_tick:
            return
        self._next_tick = time.monotonic() + TICK_SECONDS
        if step := self._offset.stepped():
            log.warning("clock_stepped", seconds=round(step, 3))
            self._timers.wake()
            self._owed.add(RESYNC)
        for work in (self._beat, self._follow_offset, self._report_deferred, self._prune_if_due):
            self._aside(work)

    def _aside(self, work: Callable[[], None]) -> None:
        """Do what no look may wait for: where somebody else is in the way, it is left until its next time."""
        try:
            work()
        except DBAPIError as error:
            if not is_contention(error):
                raise
            log.warning("put_off", work=work.__name__.strip("_"), error=str(error.orig).strip())

    def _beat(self) -> None:
        beat = Beat(
            daemon_id=self._daemon_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            looked=self._looked,
            listening_since=self._listening_since(),
            next_timer_at=self._timers.next_at,
            clock_offset_ms=self._offset.value.total_seconds() * 1000,
            zone_version=ZONE_VERSION,
        )
        with self._transaction() as connection:
            asked_at = utc_now()
            database_clock = heartbeats.beat(connection, beat)
            self._offset.measure(asked_at, database_clock, utc_now())
        self._looked = False

    def _follow_offset(self) -> None:
        offset = self._offset.value
        if abs(offset - self._armed_offset) <= OFFSET_TOLERANCE:
            return
        if abs(offset) > SKEW_REPORTED:
            log.warning("clock_skew", database_ahead_s=round(offset.total_seconds(), 3))
        self._armed_offset = offset
        self._timers.set_clock_offset(offset)

    def _report_deferred(self) -> None:
        for session_id, seconds in self._deferrals.take_long(time.monotonic()).items():
            with self._transaction() as connection:
                holders = reports.holders(connection, GRACE)
            pids = ",".join(str(holder.pid) for holder in holders)
            log.warning("deferred", session=session_id, seconds=round(seconds, 1), held_by=pids or "unknown")

    def _prune_if_due(self) -> None:
        if time.monotonic() < self._next_prune or not self._ready:
            return
        self._next_prune = time.monotonic() + PRUNE_SECONDS
        with self._transaction() as connection:
            reports.prune(connection, timedelta(days=self._settings.keep_days))
