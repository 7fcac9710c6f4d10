"""The daemon's heart: with each beat it says in the database how it is, and measures the database's clock."""

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection

from core import __version__
from core.clock import utc_now
from core.logs import logger
from core.look import ZONE_VERSION
from core.notifications import Listener
from core.store import heartbeats
from core.store.heartbeats import Beat
from scheduler.clock_offset import ClockOffset
from scheduler.timers import Timers

OFFSET_TOLERANCE = timedelta(milliseconds=2)
SKEW_REPORTED = timedelta(seconds=2)
SKEW_CHANGED = timedelta(seconds=1)  # what is said again
TIMERS_LATE = timedelta(seconds=1)
PULSES_MISSED: Final = 3

log = logger(__name__)


class Heart:
    """Beats each second, in the worker's thread; keeps the timers at the database's clock."""

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]], timers: Timers, listener: Listener
    ) -> None:
        self._transaction = transaction
        self._timers = timers
        self._listener = listener
        self._daemon_id = uuid4()
        self._offset = ClockOffset()
        self._armed_offset = timedelta(0)
        self._skew_told = timedelta(0)
        self._looked = False
        self.refused: str | None = None

    @property
    def database_now(self) -> datetime:
        """The database's clock, as well as it is known without asking."""
        return utc_now() + self._offset.value

    def looked(self) -> None:
        """Say with the next beat that a look was finished."""
        self._looked = True

    def clock_was_set(self) -> bool:
        """Say whether the host's clock was set since the last call; the timers then reckon anew."""
        step = self._offset.stepped()
        if step:
            log.warning("clock_stepped", seconds=round(step, 3))
            self._timers.wake()
        return bool(step)

    def beat(self) -> None:
        """Write the heartbeat; take in what the database's clock shows."""
        offset_ms = self._offset.value.total_seconds() * 1000
        beat = Beat(
            daemon_id=self._daemon_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            looked=self._looked,
            listening_since=self._listener.listening_since,
            next_timer_at=self._timers.next_at,
            clock_offset_ms=offset_ms,
            zone_version=ZONE_VERSION,
            trouble="; ".join(self._troubles()) or None,
        )
        with self._transaction() as connection:
            asked_at = utc_now()
            database_clock = heartbeats.beat(connection, beat)
            self._offset.measure(asked_at, database_clock, utc_now())
        self._looked = False

    def _troubles(self) -> list[str]:
        troubles = {
            "it is deaf: LISTEN is accepted but nothing is delivered; connect directly, not by a pooler": (
                self._listener.is_deaf
            ),
            "its timers are stuck: edges are found by the tick": self._timers.pulses_missed > PULSES_MISSED,
            f"the database refuses its work: {self.refused}": self.refused,
        }
        return [trouble for trouble, holds in troubles.items() if holds]

    def follow_clock(self) -> None:
        """Arm the timers anew when the two clocks drift apart."""
        offset = self._offset.value
        if abs(offset - self._armed_offset) <= OFFSET_TOLERANCE:
            return
        self._armed_offset = offset
        self._timers.set_clock_offset(offset)
        if abs(offset - self._skew_told) > SKEW_CHANGED and max(abs(offset), abs(self._skew_told)) > SKEW_REPORTED:
            log.warning("clock_skew", database_ahead_s=round(offset.total_seconds(), 3))
            self._skew_told = offset

    def timers_are_late(self) -> bool:
        """Have the timers' thread show that it lives; say whether an edge has passed that it should have told of."""
        self._timers.pulse()
        edge = self._timers.next_at
        late = self.database_now - edge if edge else timedelta(0)
        if not self._offset.is_measured or late < TIMERS_LATE:
            return False
        log.warning("timers_late", seconds=round(late.total_seconds(), 3))
        return True

    def stop(self) -> None:
        """Take the heartbeat back."""
        with self._transaction() as connection:
            heartbeats.forget(connection, self._daemon_id)
