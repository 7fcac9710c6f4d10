"""How far the database's clock is ahead of the host's, measured with every beat; and whether the host's was set."""

import time
from collections import deque
from datetime import datetime, timedelta

from core.clock import utc_now

SAMPLES = 10
STEP_SECONDS = 0.5
DRIFT = timedelta(milliseconds=1)  # of two clocks while the samples last


class ClockOffset:
    """The offset in the quickest of the last exchanges: the less time one took, the less it can be wrong by."""

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
        """Take in what the database's clock showed some time between two readings of the host's.

        An offset is wrong by at most half of what its exchange took. Where that cannot explain how two differ, a clock
        was set, and what was measured before is forgotten.
        """
        took = answered_at - asked_at
        offset = database_clock - (asked_at + took / 2)
        if self._samples and abs(offset - self.value) > (took + min(self._samples)[0]) / 2 + DRIFT:
            self._samples.clear()
        self._samples.append((took, offset))

    def stepped(self) -> float:
        """Return by how many seconds the host's clock was set since the last call, 0.0 if it was not.

        What was measured before it was set is forgotten.
        """
        wall, monotonic = utc_now(), time.monotonic()
        step = (wall - self._wall).total_seconds() - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        if abs(step) < STEP_SECONDS:
            return 0.0
        self._samples.clear()
        return step
