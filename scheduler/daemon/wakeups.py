"""Wakeups: what the timers and the listener tell the worker. They coalesce: ten thousand notifications are one."""

import time
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

from core.ids import is_id

MOST_NOTIFIED = 1000


@dataclass(frozen=True, slots=True)
class Wakeup:
    """The latest edge that has come, whether a notification arrived, whether to reconcile everything.

    `notified`: the sessions that notifications named.
    """

    edge: datetime | None
    notification: bool
    resync: bool
    notified: frozenset[int] = frozenset()


class Wakeups:
    """What the worker was woken for since it last asked; all methods are safe in any thread."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._edge: datetime | None = None
        self._notification = False
        self._notified: set[int] = set()
        self._resync = False
        self._stop = False
        self.why_stopping = ""  # in words, for those who ask where this daemon is

    def edge(self, at: datetime) -> None:
        """Tell the worker that an edge's instant has come."""
        with self._condition:
            self._edge = max(at, self._edge or at)
            self._condition.notify()

    def notification(self, payload: str = "") -> None:
        """A notification has arrived: empty, and the requests say which sessions it is about; or with a session's id.

        Any other payload is ignored. More ids than we keep are answered by a resync.
        """
        with self._condition:
            if is_id(payload):
                self._notified.add(int(payload))
            elif payload:
                return
            if len(self._notified) > MOST_NOTIFIED:
                self._notified.clear()
                self._resync = True
            self._notification = True
            self._condition.notify()

    def resync(self) -> None:
        """Tell the worker to reconcile everything: it may have missed something."""
        with self._condition:
            self._resync = True
            self._condition.notify()

    def stop(self, why: str = "") -> None:
        """Tell the worker to end, and why."""
        with self._condition:
            self._stop, self.why_stopping = True, why
            self._condition.notify()

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stop

    def take(self, wait_seconds: float) -> Wakeup:
        """Wait up to `wait_seconds` for something; return what has come, and forget it."""
        deadline = time.monotonic() + wait_seconds
        with self._condition:
            while not self._any() and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(left)
            taken = Wakeup(self._edge, self._notification, self._resync, frozenset(self._notified))
            self._edge, self._notification, self._resync = None, False, False
            self._notified.clear()
            return taken

    def _any(self) -> bool:
        return self._edge is not None or self._notification or self._resync or self._stop
