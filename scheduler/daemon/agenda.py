"""The worker's agenda: what is pending, what comes next, and when to wake. No database, no thread, no clock.

Every `now` is monotonic seconds.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.active_session_manager import LEFT_TO_DAEMON
from core.rules.flips import Cause
from core.store.queue.due import Reason, Search
from scheduler.daemon.backoff import Backoff
from scheduler.daemon.wakeups import Wakeup

GRACE = LEFT_TO_DAEMON  # what is due for less than this a resync leaves to timers and notifications
TICK_SECONDS: Final = 1.0
NEAR_SECONDS: Final = 0.05  # longer than a tick takes, or a round that plans a few sessions
GIVE_WAY_SECONDS: Final = 0.1
PRUNE_SECONDS: Final = 3600.0
TIMER_SECONDS: Final = 0.001  # a timer may fire so much after its edge
POLL_SECONDS: Final = 0.05  # how often to ask for requests where the app's own transactions do not notify


@dataclass(frozen=True, slots=True)
class Task:
    """Something to reconcile: pending until a round of it finds nothing."""

    cause: Cause
    reasons: frozenset[Reason]
    grace: timedelta = timedelta(0)

    def search(self, excluded: frozenset[int]) -> Search:
        """Return what a round of this task searches for."""
        return Search(self.reasons, self.grace, excluded)


EDGES = Task(Cause.TIMER, frozenset({Reason.EDGE}))
NOTIFICATIONS = Task(Cause.NOTIFY, frozenset({Reason.REQUEST}))
POLL = Task(Cause.RESYNC, frozenset({Reason.REQUEST}))  # instead of notifications that cannot be received
START = Task(Cause.START, frozenset(Reason))
RESYNC = Task(Cause.RESYNC, frozenset(Reason), GRACE)
MOST_URGENT_FIRST = (START, EDGES, NOTIFICATIONS, POLL, RESYNC)
EVERYTHING = frozenset({EDGES, NOTIFICATIONS, RESYNC})


class Tick:
    """Due once a second."""

    def __init__(self) -> None:
        self.next_at = 0.0

    def at_once(self) -> None:
        """Make the next tick due now: the heartbeat has news."""
        self.next_at = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether to tick now; if so, the next tick is due in a second."""
        if now < self.next_at:
            return False
        self.next_at = now + TICK_SECONDS
        return True


class Agenda:
    """What the worker has to do."""

    def __init__(self, resync_seconds: float) -> None:
        self._resync_seconds = resync_seconds
        self._pending: set[Task] = {START}
        self._found: dict[Task, set[int]] = {}  # the sessions that each pending task found
        self._notified: frozenset[int] = frozenset()  # sessions named by notifications, and not reconciled yet
        self._edge: datetime | None = None  # the latest edge that a timer fired for
        self._next_resync = self._next_prune = 0.0
        self._next_retry: float | None = None  # when to retry a session whose pass failed
        self._next_poll: float | None = None
        self._edge_at = 0.0  # when the next edge comes, if it is near
        self._edge_has_come = False
        self._near_at: float | None = None  # when the next edge will be near
        self._taken_ahead: datetime | None = None  # the latest edge that `take_ahead` returned
        self._giving_way_since: float | None = None
        self.backoff = Backoff()
        self.tick = Tick()
        self.is_ready = False

    def restart(self) -> None:
        """Make everything pending: the database can be reached, for the first time or again."""
        self._pending |= EVERYTHING if self.is_ready else {START}
        self.tick.at_once()

    def add(self, task: Task) -> None:
        """Make a task pending."""
        self._pending.add(task)

    def take(self, wakeup: Wakeup, now: float, *, is_receiving: bool) -> None:
        """Make pending what the wakeup says, and what is due by now.

        `is_receiving`: whether notifications arrive; if they do not, a poll takes their place.
        """
        if wakeup.edge:
            self._edge = max(wakeup.edge, self._edge or wakeup.edge)
            self.add(EDGES)
        if wakeup.notification:
            self.add(NOTIFICATIONS)
            self._notified |= wakeup.notified
        if self.backoff.take_due(now):
            self._pending |= {EDGES, NOTIFICATIONS if is_receiving else POLL}
        if wakeup.resync or now >= self._next_resync:
            self.add(RESYNC)
        if self._next_retry is not None and now >= self._next_retry:
            self._next_retry = None
            self._pending |= EVERYTHING

    def note_edge(self, to_edge: float | None, now: float) -> None:
        """Note that the next edge comes `to_edge` seconds from now; None: there is none.

        While an edge is near or pending, everything else gives way, but only for `GIVE_WAY_SECONDS` at a stretch.
        """
        wait = max(to_edge, TIMER_SECONDS) if to_edge is not None and abs(to_edge) < NEAR_SECONDS else 0.0
        since = now if self._giving_way_since is None else self._giving_way_since
        is_urgent = (wait > 0 or EDGES in self._pending) and START not in self._pending
        gives_way = is_urgent and now - since < GIVE_WAY_SECONDS
        self._giving_way_since = since if gives_way else None
        self._edge_at = now + wait
        self._edge_has_come = to_edge is not None and to_edge <= 0
        self._near_at = now + to_edge - NEAR_SECONDS if to_edge is not None and to_edge > NEAR_SECONDS else None

    def take_ahead(self, edge: datetime) -> bool:
        """Return whether to prepare this edge now: it is near, nothing is due before it, and we have not tried yet."""
        if not self.gives_way or self._edge_has_come or EDGES in self._pending or edge == self._taken_ahead:
            return False
        self._taken_ahead = edge
        return True

    @property
    def gives_way(self) -> bool:
        """Whether nothing but edges may be worked on now."""
        return self._giving_way_since is not None

    def next_task(self) -> Task | None:
        """Return the most urgent task that is pending and need not give way."""
        in_order = (EDGES,) if self.gives_way else MOST_URGENT_FIRST
        return next((task for task in in_order if task in self._pending), None)

    def idle_seconds(self, now: float) -> float:
        """Return how long the worker may sleep if nobody wakes it."""
        if self.gives_way and EDGES not in self._pending:
            return max(0.0, self._edge_at - now)
        if self._pending:
            return 0.0
        at = (
            self.tick.next_at,
            self._next_resync,
            self.backoff.next_at(),
            self._next_retry,
            self._next_poll,
            self._near_at,
        )
        return max(0.0, min(each for each in at if each is not None) - now)

    def take_edge(self) -> datetime | None:
        """Return the latest edge that a timer fired for since the last call."""
        edge, self._edge = self._edge, None
        return edge

    def notified(self, task: Task) -> frozenset[int]:
        """Return the sessions that a round of the task plans without a request: notifications named them."""
        return self._notified if task in (NOTIFICATIONS, POLL) else frozenset()

    def note_round(self, task: Task, sessions: Collection[int], deferred: Collection[int], now: float) -> None:
        """Record what a round of the task finished (`sessions` less `deferred`), and what it deferred.

        Back off sessions that a task finds again right after finishing them, for example because a trigger of the app
        undoes the write. But do not back off sessions that are requested again and again: each request is a new edit.
        """
        finished = frozenset(sessions) - frozenset(deferred)
        self._notified -= finished
        self.backoff.clear(finished)
        self.backoff.add(deferred, now)
        if task not in (NOTIFICATIONS, POLL):
            found = self._found.setdefault(task, set())
            self.backoff.add(found.intersection(sessions), now)
            found.update(sessions)

    def finish(self, task: Task, now: float) -> None:
        """Remove the task: a round of it found nothing."""
        self._pending.discard(task)
        self._found.pop(task, None)
        if task in (NOTIFICATIONS, POLL):
            self._notified &= self.backoff.waiting(now)  # the others do not exist
        if task in (START, RESYNC):
            self._next_resync = now + self._resync_seconds

    def retry_in(self, wait: timedelta | None, now: float) -> None:
        """Note when to retry the next session whose pass failed; None: there is none."""
        self._next_retry = None if wait is None else now + wait.total_seconds()

    def poll(self, now: float, *, on: bool) -> None:
        """Begin or end to ask for requests; begin at a random moment, so that daemons take turns."""
        if not on:
            self._next_poll = None
        elif self._next_poll is None:
            self._next_poll = now + random.uniform(0, POLL_SECONDS)  # noqa: S311 -- nothing secret

    def poll_is_due(self, now: float) -> bool:
        """Return whether to ask for requests now: not while they are read anyway."""
        if self._next_poll is None or now < self._next_poll:
            return False
        self._next_poll = now + POLL_SECONDS
        return NOTIFICATIONS not in self._pending

    def prune_is_due(self, now: float) -> bool:
        """Return whether to prune the history now; if so, the next time is in an hour."""
        if now < self._next_prune or not self.is_ready:
            return False
        self._next_prune = now + PRUNE_SECONDS
        return True
