"""Wakeups: what the timers and the listener tell the worker. They coalesce: ten thousand notifications are one."""

import time
from dataclasses import dataclass
from datetime import datetime
from threading import Condition


@dataclass(frozen=True, slots=True)
class Wakeup:
    """The latest edge that has come, whether a notification arrived, whether everything is to be reconciled."""

    edge: datetime | None
    notification: bool
    resync: bool


class Wakeups:
    """What the worker was woken for since it last asked; all methods are safe in any thread."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._edge: datetime | None = None
        self._notification = False
        self._resync = False
        self._stop = False

    def edge(self, at: datetime) -> None:
        """An edge's instant has come."""
        with self._condition:
            self._edge = max(at, self._edge or at)
            self._condition.notify()

    def notification(self, _payload: str = "") -> None:
        """A notification has arrived; the worker reads the requests to learn which sessions it is about."""
        with self._condition:
            self._notification = True
            self._condition.notify()

    def resync(self) -> None:
        """Something may have been missed: reconcile everything."""
        with self._condition:
            self._resync = True
            self._condition.notify()

    def stop(self) -> None:
        """The worker is to end."""
        with self._condition:
            self._stop = True
            self._condition.notify()

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stop

    def take(self, wait_seconds: float) -> Wakeup:
        """Return what there is, and forget it, after waiting at most so long for something."""
        deadline = time.monotonic() + wait_seconds
        with self._condition:
            while not self._any() and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(left)
            taken = Wakeup(self._edge, self._notification, self._resync)
            self._edge, self._notification, self._resync = None, False, False
            return taken

    def _any(self) -> bool:
        return self._edge is not None or self._notification or self._resync or self._stop
