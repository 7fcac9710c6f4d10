"""The one thread that does the daemon's database work: due edges first, then doorbells, then everything else.

Background work runs a round at a time, of one chunk or two, so an edge never waits for more than one round.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.active_session_manager import Seen, update_active_sessions
from core.clock import utc_now
from core.db import create_engine
from core.logs import OUTAGES, logger
from core.look import rehearse
from core.migrations import require_schema
from core.notifications import Listener
from core.settings import Settings
from core.store import looks, reports, schedule
from core.transactions import is_contention, is_disconnected, transactions
from scheduler import journal
from scheduler.deferrals import Deferrals
from scheduler.errands import BELLS, EDGES, EVERYTHING, GRACE, MOST_URGENT_FIRST, POLL, RESYNC, START, Errand
from scheduler.heart import Heart
from scheduler.marks import Marks
from scheduler.tick import NEAR_SECONDS, TICK_SECONDS, Tick
from scheduler.timers import Timers

ANSWER_SECONDS: Final = 7.0  # the server ends every statement within 5
TIMERS_AHEAD = timedelta(days=1)
PRUNE_SECONDS: Final = 3600.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 1.0
LOOKS_LOST: Final = 3  # one after the other: perhaps it is a session that costs us the connection
CAREFUL_SECONDS: Final = 300.0

log = logger(__name__)


class Worker:
    """Takes marks, looks, keeps the timers equal to the database, beats the heart; one thread runs `run`."""

    def __init__(
        self,
        url: str,
        settings: Settings,
        marks: Marks,
        timers: Timers,
        listener: Listener,
        *,
        on_ready: Callable[[], None],
    ) -> None:
        self._engine: Engine = create_engine(url, application_name="seisiun daemon", patience_seconds=ANSWER_SECONDS)
        self._settings = settings
        self._marks = marks
        self._timers = timers
        self._listener = listener
        self._on_ready = on_ready
        self._heart = Heart(self._transaction, timers, listener)
        self._deferrals = Deferrals()
        self._owed: set[Errand] = {START}
        self._found: dict[Errand, set[int]] = {}  # by each errand that is owed
        self._edge: datetime | None = None  # the latest that a timer told of
        self._ready = False
        self._away_since: float | None = None
        self._looks_lost = 0
        self._careful_until = 0.0
        self._tick = Tick()
        self._next_resync = self._next_prune = 0.0
        self._next_retry: float | None = None  # of a session at which a look failed
        self.progress_at = time.monotonic()

    def run(self) -> None:
        """Work until the marks say stop; while the database cannot be reached, or refuses, try again and again."""
        pause = FIRST_RETRY_SECONDS
        while not self._marks.stopping:
            self.progress_at = begun = time.monotonic()
            try:
                self._begin()
                self._work()
            except DBAPIError as error:
                self._lose(error)
                lasted = time.monotonic() - begun > LAST_RETRY_SECONDS
                pause = FIRST_RETRY_SECONDS if lasted else min(pause * 2, LAST_RETRY_SECONDS)
                self._marks.take(pause)
        self._end()

    def _begin(self) -> None:
        with self._transaction() as connection:
            require_schema(connection)
            looks.make_missing_plans(connection)
        self._aside(self._rehearse)
        self._owed |= EVERYTHING if self._ready else {START}
        self._tick.at_once()
        self._next_resync = 0.0

    def _rehearse(self) -> None:
        """Do without effect what an edge will need done: it would wait for statements that have never been made."""
        with self._transaction() as connection:
            rehearse(connection)

    def _lose(self, error: DBAPIError) -> None:
        """Tell lost from refused, and from somebody in the way; a new connection may find a database that serves."""
        self._away_since = self._away_since or time.monotonic()
        self._timers.pulse()
        reason = str(error.orig).strip()
        if is_disconnected(error):
            if self._looks_lost >= LOOKS_LOST:
                self._careful_until = time.monotonic() + CAREFUL_SECONDS
            OUTAGES.warning(log, "database_lost", error=reason)
        elif is_contention(error):
            OUTAGES.warning(log, "database_busy", error=reason)
            return
        else:
            self._heart.refused = reason.splitlines()[0]
            OUTAGES.warning(log, "database_refused", error=reason)
        self._engine.dispose()

    def _end(self) -> None:
        try:
            self._heart.stop()
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
            self._come_back()

    def _come_back(self) -> None:
        """The tick and a look have been done: whatever was wrong with the database is over."""
        if self._away_since is not None:
            log.info("database_back", away_s=round(time.monotonic() - self._away_since, 3))
            self._away_since = self._heart.refused = None

    def _take_marks(self) -> None:
        taken = self._marks.take(0 if self._owed else self._idle_seconds())
        if taken.edge:
            self._edge = max(taken.edge, self._edge or taken.edge)
            self._owed.add(EDGES)
        if taken.bell:
            self._owed.add(BELLS)
        now = time.monotonic()
        if self._deferrals.take_due(now):
            self._owed |= {EDGES, BELLS if self._listener.listening_since else POLL}
        if taken.resync or now >= self._next_resync:
            self._owed.add(RESYNC)
        if self._next_retry is not None and now >= self._next_retry:
            self._next_retry = None
            self._owed |= EVERYTHING

    def _idle_seconds(self) -> float:
        at = (self._tick.next_at, self._next_resync, self._deferrals.next_at(), self._next_retry)
        return max(0.0, min(each for each in at if each is not None) - time.monotonic())

    def _run_errand(self) -> None:
        for errand in MOST_URGENT_FIRST:
            if errand in self._owed:
                seen = self._look(errand)
                self._put_off_what_does_not_stick(errand, seen)
                if not (seen.sessions or seen.deferred or seen.failed or self._was_early(errand)):
                    self._done(errand)
                return

    def _put_off_what_does_not_stick(self, errand: Errand, seen: Seen) -> None:
        """What an errand finds again though it was finished (a trigger of the app's puts it back, say) waits a little.

        What is asked for again and again is edited again and again.
        """
        if errand not in (BELLS, POLL):
            found = self._found.setdefault(errand, set())
            self._deferrals.put_off(found & seen.sessions, time.monotonic())
            found |= seen.sessions

    def _was_early(self, errand: Errand) -> bool:
        """Wait while the database says that the timer's edge is still ahead: the host's clock only wakes us (L1).

        Then look once more in any case: the edge may have passed since the look that found nothing.
        """
        edge = self._edge
        if errand is not EDGES or edge is None:
            return False
        self._edge = None
        with self._transaction() as connection:
            ahead = edge - looks.clock(connection)
        if ahead > timedelta(seconds=TICK_SECONDS):
            self._timers.add([edge])  # a clock was set: measure anew, and come back
            self._tick.at_once()
            return False
        time.sleep(max(0.0, ahead.total_seconds()))
        return True

    def _look(self, errand: Errand) -> Seen:
        """Look at a round of chunks."""
        self._looks_lost += 1  # until it is done
        seen = update_active_sessions(
            self._engine,
            cause=errand.cause,
            reasons=errand.reasons,
            grace=errand.grace,
            apart_from=self._deferrals.waiting(time.monotonic()),
            at_most=1,
            one_by_one=time.monotonic() < self._careful_until,
            settings=self._settings,
        )
        self._looks_lost = 0
        self._heart.looked()
        self._deferrals.settle(seen.sessions - seen.deferred)
        self._deferrals.put_off(seen.deferred, time.monotonic())
        if seen.failed:
            with self._transaction() as connection:
                self._await_retry(connection)
        self._timers.add(edge for edge in seen.edges if edge <= utc_now() + TIMERS_AHEAD)
        journal.note(errand.cause, seen, self._heart.database_now)
        return seen

    def _done(self, errand: Errand) -> None:
        self._owed.discard(errand)
        self._found.pop(errand, None)
        if errand in (START, RESYNC):
            self._arm_timers()
            self._next_resync = time.monotonic() + self._settings.resync_seconds
        if errand in (BELLS, POLL):
            self._arm_next_timers()
        if errand is START and not self._ready:
            self._ready = True
            gc.collect()
            gc.freeze()  # what stands now will stand: looking through it again would hold up an edge
            log.info("ready", timers=len(self._timers))
            self._on_ready()

    def _arm_timers(self) -> None:
        with self._transaction() as connection:
            now = looks.clock(connection)
            self._timers.keep(schedule.edges_between(connection, now, now + TIMERS_AHEAD))
            self._await_retry(connection)

    def _arm_next_timers(self) -> None:
        """Arm what comes until after the next resync: somebody else may have planned what a bell told of."""
        with self._transaction() as connection:
            now = looks.clock(connection)
            until = now + timedelta(seconds=2 * self._settings.resync_seconds)
            self._timers.add(schedule.edges_between(connection, now, until))

    def _await_retry(self, connection: Connection) -> None:
        wait = looks.next_retry(connection)
        self._next_retry = None if wait is None else time.monotonic() + wait.total_seconds()

    def _tick_if_due(self) -> None:
        if not self._tick.is_due(time.monotonic(), edge_is_near=EDGES in self._owed or self._edge_is_near()):
            return
        if self._heart.clock_was_set():
            self._owed.add(RESYNC)
        for work in (self._heart.beat, self._report_deferred, self._prune_if_due):
            self._aside(work)
        if self._heart.follow_clock() or self._heart.timers_are_late():
            self._owed.add(RESYNC)
        if self._listener.listening_since is None:
            self._owed.add(POLL)

    def _edge_is_near(self) -> bool:
        edge = self._timers.next_at
        return edge is not None and abs(edge - self._heart.database_now) < timedelta(seconds=NEAR_SECONDS)

    def _aside(self, work: Callable[[], None]) -> None:
        """Do what no look may wait for: where it is refused, or somebody is in the way, it is left until next time."""
        try:
            work()
        except DBAPIError as error:
            if is_disconnected(error):
                raise
            OUTAGES.warning(log, "put_off", work=work.__name__.strip("_"), error=str(error.orig).strip())

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
