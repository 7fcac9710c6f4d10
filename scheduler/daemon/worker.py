"""The one thread that does the daemon's database work: due edges first, then requests, then everything else."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.clock import utc_now
from core.db import create_engine
from core.db.listener import Listener
from core.db.transaction_settings import clock
from core.db.transactions import after_commit, is_disconnected, transactions
from core.logs import OUTAGES, logger
from core.migrations import require_schema
from core.pings import Pinger
from core.reconcile.ahead import Lead, reconcile_ahead
from core.reconcile.batches import reconcile
from core.reconcile.log import NAMELESS, log_dropped, log_result, names_for
from core.reconcile.result import PassOptions, ReconcileResult
from core.rules.flips import Cause
from core.settings import Settings
from core.store.notify import ACTIVE_CHANGED
from core.store.queue import requests, retries
from core.store.queue.due import Reason
from core.store.views import schedule
from scheduler.daemon import agenda as tasks
from scheduler.daemon.agenda import TICK_SECONDS, Agenda, Task
from scheduler.daemon.heartbeat import Heartbeat
from scheduler.daemon.housekeeping import Housekeeping
from scheduler.daemon.outage import Outage
from scheduler.daemon.timers import Timers
from scheduler.daemon.wakeups import Wakeups

RESPONSE_TIMEOUT_SECONDS: Final = 7.0  # the server ends every statement within 5
TIMERS_AHEAD = timedelta(days=1)

log = logger(__name__)


class Worker:
    """Takes wakeups, reconciles, keeps the timers equal to the database, writes the heartbeat."""

    def __init__(
        self,
        url: str,
        settings: Settings,
        wakeups: Wakeups,
        timers: Timers,
        listener: Listener,
        *,
        on_ready: Callable[[], None],
    ) -> None:
        timeout = RESPONSE_TIMEOUT_SECONDS
        self._engine = create_engine(
            url, application_name="seisiun daemon", response_timeout_seconds=timeout, prepares=True
        )
        self._settings = settings
        self._wakeups = wakeups
        self._timers = timers
        self._listener = listener
        self._on_ready = on_ready
        self._agenda = Agenda(settings.resync_seconds)
        self._outage = Outage()
        self._heartbeat = Heartbeat(
            self._transaction, timers, listener, self._outage, Pinger(settings.daemon_ping_url).send
        )
        self._housekeeping = Housekeeping(self._transaction, self._agenda, settings.keep_days)
        self._dropped = 0  # rows of deleted sessions, since a task was finished
        self._lead = Lead()
        self._is_first = False  # until it is ready: nobody has planned anything here before
        self._polled: str | None = None  # the snapshot of the latest poll
        self.progress_at = time.monotonic()

    def run(self) -> None:
        """Work until the wakeups say stop.

        1. Begin: check the schema, warm up, make everything pending.
        2. Again and again: wait for a wakeup, tick if a second has passed, do one round of the most urgent task. While
           an edge is near, do nothing but wait for it.
        3. On a database error log it, pause, and begin again; a new connection may find a database that serves.
        """
        while not self._wakeups.stopping:
            self.progress_at = time.monotonic()
            self._outage.begin()
            try:
                self._begin()
                self._work()
            except DBAPIError as error:
                self._timers.probe()
                pause = self._outage.note(error)
                self._engine.dispose()
                self._wakeups.take(pause)
        self._end()

    def _begin(self) -> None:
        with self._transaction() as connection:
            require_schema(connection)
            requests.make_missing_plans(connection)
            self._is_first = self._is_first or requests.nothing_is_planned(connection)
        self._best_effort(self._housekeeping.warm_up)
        self._polled = None  # after a failover the other server may count transactions anew
        self._agenda.restart()

    def _work(self) -> None:
        while not self._wakeups.stopping:
            self.progress_at = time.monotonic()
            wakeup = self._wakeups.take(self._agenda.idle_seconds(time.monotonic()))
            self._agenda.take(wakeup, time.monotonic(), is_receiving=self._listener.listening_since is not None)
            edge = self._timers.next_at  # once: its timer may fire at any moment, and the next one is hours away
            self._agenda.note_edge(self._heartbeat.seconds_to(edge) if edge else None, time.monotonic())
            if not self._agenda.gives_way:
                self._tick_if_due()
                if self._agenda.poll_is_due(time.monotonic()):
                    self._best_effort(self._poll)
            if edge and not self._outage.isolate and self._agenda.take_ahead(edge):
                self._do_ahead(edge)
            elif task := self._agenda.next_task():
                self._do_round(task)
            self._outage.over()

    def _poll(self) -> None:
        with self._transaction() as connection:
            is_new, self._polled = requests.new_since(connection, self._polled)
        if is_new:
            self._agenda.add(tasks.NOTIFICATIONS)

    def _end(self) -> None:
        try:
            self._heartbeat.stop(self._wakeups.why_stopping)
        except DBAPIError as error:
            log.warning("heartbeat_left", error=str(error.orig).strip())
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Begin a transaction whose waits are bounded like a pass's: an edge may be waiting for this thread."""
        with transactions(self._engine) as begin, begin() as connection:
            yield connection

    def _options(self, task: Task) -> PassOptions:
        return PassOptions(
            task.cause,
            self._settings,
            notified=self._agenda.notified(task),
            is_first=self._is_first,
            daemon=self._heartbeat.name,
        )

    def _do_round(self, task: Task) -> None:
        """Reconcile one round of chunks, so that an edge never waits for more; finish the task if nothing was due."""
        options = self._options(task)
        begun = time.monotonic()
        search = task.search(self._agenda.backoff.waiting(begun))
        with self._outage.a_pass(task):
            result = reconcile(self._engine, options, search, rounds=1, one_by_one=self._outage.isolate)
        self._heartbeat.note_pass(task.cause, result, time.monotonic() - begun)
        self._agenda.note_round(task, result.sessions, result.deferred, time.monotonic())
        if result.failed:
            self._await_retry()
        self._timers.add(edge for edge in result.edges if edge <= utc_now() + TIMERS_AHEAD)
        self._log(task.cause, result)
        self._housekeeping.forget(result.sessions - result.deferred)
        self._dropped += result.dropped
        if not self._heartbeat.app_notifies and Reason.REQUEST in task.reasons and result.sessions - result.deferred:
            self._best_effort(self._tell_pages)
        if result.is_empty and not self._was_early(task):
            self._finish(task)

    def _do_ahead(self, edge: datetime) -> None:
        """Flip at its very instant what is due at this edge; its timer then finds what was left."""
        result, seconds = reconcile_ahead(
            self._engine,
            replace(self._options(tasks.EDGES), notified=self._agenda.notified(tasks.NOTIFICATIONS)),
            edge,
            self._lead,
            excluded=self._agenda.backoff.waiting(time.monotonic()),
            seconds_to_edge=self._heartbeat.seconds_to(edge),
        )
        if result.flips:
            self._heartbeat.note_pass(tasks.EDGES.cause, result, seconds)
            self._log(tasks.EDGES.cause, result)
        if result.deferred:
            self._agenda.add(tasks.NOTIFICATIONS)  # a person could not be moved: the pass has requested the session

    def _log(self, cause: Cause, result: ReconcileResult) -> None:
        now, names = self._heartbeat.database_now, NAMELESS
        with suppress(DBAPIError):  # a line without names says enough
            names = names_for(self._transaction, result)
        log_result(cause, result, now, self._housekeeping.held_by, names=names)

    def _tell_pages(self) -> None:
        """Tell the pages to read everything after a batch of requests: no edit and no hook has told them."""
        with self._transaction() as connection:
            after_commit(connection, ACTIVE_CHANGED, [""])

    def _was_early(self, task: Task) -> bool:
        """Wait while the database says that the timer's edge is still ahead: the host's clock only wakes us (L1).

        Then reconcile once more in any case: the edge may have passed since the round that found nothing.
        """
        edge = self._agenda.take_edge() if task is tasks.EDGES else None
        if edge is None:
            return False
        with self._transaction() as connection:
            ahead = edge - clock(connection)
        if ahead > timedelta(seconds=TICK_SECONDS):
            self._timers.add([edge])  # a clock was set: measure the offset again, and come back
            self._agenda.tick.at_once()
            return False
        time.sleep(max(0.0, ahead.total_seconds()))
        return True

    def _finish(self, task: Task) -> None:
        self._agenda.finish(task, time.monotonic())
        log_dropped(self._dropped)
        self._dropped = 0
        if task in (tasks.START, tasks.RESYNC):
            self._timers.keep(self._edges_within(TIMERS_AHEAD))
            self._await_retry()
        if task in (tasks.NOTIFICATIONS, tasks.POLL):
            # Up to after the next resync: perhaps another process planned the session that we were notified about.
            self._timers.add(self._edges_within(timedelta(seconds=2 * self._settings.resync_seconds)))
        if task is tasks.START:
            self._agenda.is_ready, self._is_first = True, False
            gc.collect()
            gc.freeze()  # what exists now stays; a collection that walks through it would delay an edge
            log.info("ready", timers=len(self._timers))
            self._on_ready()

    def _edges_within(self, ahead: timedelta) -> frozenset[datetime]:
        """Return the edges of this time ahead, and those that a resync leaves to timers which may be stuck."""
        with self._transaction() as connection:
            now = clock(connection)
            return schedule.edges_between(connection, now - tasks.GRACE, now + ahead)

    def _await_retry(self) -> None:
        with self._transaction() as connection:
            self._agenda.retry_in(retries.time_to_next(connection), time.monotonic())

    def _tick_if_due(self) -> None:
        if not self._agenda.tick.is_due(time.monotonic()):
            return
        if self._heartbeat.clock_was_set():
            self._agenda.add(tasks.RESYNC)
        for work in (self._heartbeat.beat, self._housekeeping.report_deferred, self._housekeeping.prune_if_due):
            self._best_effort(work)
        if self._heartbeat.follow_clock() or self._heartbeat.timers_are_late():
            self._agenda.add(tasks.RESYNC)
        if self._listener.listening_since is None:
            self._agenda.add(tasks.POLL)
        self._agenda.poll(time.monotonic(), on=not self._heartbeat.app_notifies)

    def _best_effort(self, work: Callable[[], None]) -> None:
        """Do work that no pass may wait for: if the database refuses it or is busy, leave it for the next time."""
        try:
            work()
        except DBAPIError as error:
            if is_disconnected(error):
                raise
            OUTAGES.warning(log, "postponed", work=work.__name__, error=str(error.orig).strip())
