"""How far the database's clock is ahead of the host's, measured at every beat; whether somebody set the host's."""

import time
from collections import deque
from datetime import datetime, timedelta

from core.clock import utc_now

SAMPLES = 10
STEP_SECONDS = 0.5
DRIFT = timedelta(milliseconds=1)  # how far two clocks may drift apart while the samples last


class ClockOffset:
    """The offset from the quickest of the last exchanges: the less time an exchange took, the smaller its error."""

    def __init__(self) -> None:
        self._samples: deque[tuple[timedelta, timedelta]] = deque(maxlen=SAMPLES)
        self._wall, self._monotonic = utc_now(), time.monotonic()

    @property
    def value(self) -> timedelta:
        """The database's clock less the host's."""
        return min(self._samples, default=(timedelta(0), timedelta(0)))[1]

    @property
    def is_measured(self) -> bool:
        """Whether there has been an exchange since the host's clock was last set."""
        return bool(self._samples)

    def measure(self, asked_at: datetime, database_clock: datetime, answered_at: datetime) -> None:
        """Record what the database's clock showed at some time between two readings of the host's clock.

        The error of an offset is at most half the time that its exchange took. If two offsets differ by more than
        their errors allow, somebody set a clock, and the earlier samples are worthless.
        """
        took = answered_at - asked_at
        offset = database_clock - (asked_at + took / 2)
        if self._samples and abs(offset - self.value) > (took + min(self._samples)[0]) / 2 + DRIFT:
            self._samples.clear()
        self._samples.append((took, offset))

    def stepped(self) -> float:
        """Return by how many seconds the host's clock was set since the last call, 0.0 if it was not.

        If it was set, the earlier samples are forgotten.
        """
        wall, monotonic = utc_now(), time.monotonic()
        step = (wall - self._wall).total_seconds() - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        if abs(step) < STEP_SECONDS:
            return 0.0
        self._samples.clear()
        return step
