"""Marks: what the timers and the listener leave for the worker. They coalesce; ten thousand bells are one mark."""

import time
from dataclasses import dataclass
from datetime import datetime
from threading import Condition


@dataclass(frozen=True, slots=True)
class Taken:
    """The latest edge that has come, whether a bell was rung, whether everything is to be looked at."""

    edge: datetime | None
    bell: bool
    resync: bool


class Marks:
    """What has been asked of the worker since it last took the marks; all methods are safe in any thread."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._edge: datetime | None = None
        self._bell = False
        self._resync = False
        self._stop = False

    def edge(self, at: datetime) -> None:
        """An edge's instant has come."""
        with self._condition:
            self._edge = max(at, self._edge or at)
            self._condition.notify()

    def bell(self, _payload: str = "") -> None:
        """A doorbell was rung; whose, the worker sees for itself."""
        with self._condition:
            self._bell = True
            self._condition.notify()

    def resync(self) -> None:
        """Something may have been missed: look at everything."""
        with self._condition:
            self._resync = True
            self._condition.notify()

    def stop(self) -> None:
        """No more looks."""
        with self._condition:
            self._stop = True
            self._condition.notify()

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stop

    def take(self, wait_seconds: float) -> Taken:
        """Return the marks and clear them, after waiting for one for at most so long."""
        deadline = time.monotonic() + wait_seconds
        with self._condition:
            while not self._any() and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(left)
            taken = Taken(self._edge, self._bell, self._resync)
            self._edge, self._bell, self._resync = None, False, False
            return taken

    def _any(self) -> bool:
        return self._edge is not None or self._bell or self._resync or self._stop
