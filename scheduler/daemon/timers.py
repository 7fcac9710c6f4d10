"""The only module that knows APScheduler: one date trigger at each distinct edge instant.

A timer is an alarm, never an action: it wakes the worker. Late, doubled or lost, it does no harm.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_SCHEDULER_STARTED, SchedulerEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.date import DateTrigger


class Timers:
    """A timer per edge, at the edge's instant on the host's clock (the database's clock less the clock offset)."""

    def __init__(self, on_edge: Callable[[datetime], None]) -> None:
        self._on_edge = on_edge
        self._clock_offset = timedelta(0)
        self._armed: set[datetime] = set()
        self._stopped = False
        self.progress_at = time.monotonic()
        self.probes_missed = 0
        self._scheduler = BlockingScheduler(
            timezone=UTC,
            # Runs the job in the scheduler's own thread: it only wakes the worker, and a pool's queue would delay it.
            executors={"default": DebugExecutor()},
            # Without a grace time a date job that is over a second late would be dropped for good.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler.add_listener(self._on_started, EVENT_SCHEDULER_STARTED)

    def run(self) -> None:
        """Wait for edges and call `on_edge` at each, until `stop`."""
        self._scheduler.start()

    def stop(self) -> None:
        """Make `run` return; may be called twice, or before `run`."""
        self._stopped = True
        with suppress(SchedulerNotRunningError):
            self._scheduler.shutdown()

    def _on_started(self, _event: SchedulerEvent) -> None:
        if self._stopped:  # before it had started
            self.stop()

    def keep(self, edges: frozenset[datetime]) -> None:
        """Make the timers equal to these edges, by a set difference."""
        for edge in self._armed - edges:
            self._disarm(edge)
        self.add(edges)

    def add(self, edges: Iterable[datetime]) -> None:
        """Arm timers for these edges as well; a timer whose instant has passed fires at once."""
        for edge in set(edges) - self._armed:
            self._armed.add(edge)
            self._scheduler.add_job(
                self._fire, DateTrigger(edge - self._clock_offset), args=(edge,), id=edge.isoformat()
            )

    def _fire(self, edge: datetime) -> None:
        self._armed.discard(edge)
        self._on_edge(edge)

    def _disarm(self, edge: datetime) -> None:
        self._armed.discard(edge)
        with suppress(JobLookupError):  # the timer has fired meanwhile
            self._scheduler.remove_job(edge.isoformat())

    def set_clock_offset(self, offset: timedelta) -> None:
        """Arm all timers again, for a database whose clock is `offset` ahead of the host's."""
        self._clock_offset = offset
        armed = frozenset(self._armed)
        self.keep(frozenset())
        self.add(armed)

    def wake(self) -> None:
        """Compute the wait again: it runs on a monotonic clock, which does not show that somebody set the other."""
        self._scheduler.wakeup()

    def probe(self) -> None:
        """Ask the thread to answer; the answer shows progress, and sets `probes_missed` to zero."""
        self.probes_missed += 1
        self._scheduler.add_job(self._answer, id="probe", replace_existing=True)

    def _answer(self) -> None:
        self.probes_missed = 0
        self.progress_at = time.monotonic()

    def __len__(self) -> int:
        """Return how many timers are armed."""
        return len(self._armed)

    @property
    def next_at(self) -> datetime | None:
        """The next edge that a timer is armed for; None if there is none."""
        return min(self._armed.copy(), default=None)
