"""The heartbeat: each second the daemon writes to the database how it is, and measures the database's clock."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection

from core import __version__
from core.clock import utc_now
from core.db.listener import Listener
from core.logs import lines_lost, lines_lost_in_all, logger
from core.reconcile.counters import Counters
from core.reconcile.result import ZONE_VERSION, ReconcileResult
from core.rules.flips import Cause
from core.store import heartbeats, notify
from core.store.heartbeats import SKEW_REPORTED, Beat
from scheduler.daemon.clock_offset import STEP_SECONDS, ClockOffset
from scheduler.daemon.outage import Outage
from scheduler.daemon.timers import Timers

OFFSET_TOLERANCE = timedelta(milliseconds=2)
WAS_SET = timedelta(seconds=STEP_SECONDS)
SKEW_CHANGED = timedelta(seconds=1)  # a change by more is logged again
TIMERS_LATE = timedelta(seconds=1)
MOST_PROBES_MISSED: Final = 3
PING_SECONDS = 60.0

log = logger(__name__)


class Heartbeat:
    """Runs in the worker's thread; keeps the timers at the database's clock."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        timers: Timers,
        listener: Listener,
        outage: Outage,
        ping: Callable[[], None],
    ) -> None:
        self._transaction = transaction
        self._timers = timers
        self._listener = listener
        self._outage = outage
        self._ping = ping
        self._pinged_at = float("-inf")
        self._passed_since_ping = False
        self._daemon_id = uuid4()
        self._host, self._pid = socket.gethostname(), os.getpid()
        self.name = f"{self._host}:{self._pid}"
        self._offset = ClockOffset()
        self._armed_offset = timedelta(0)
        self._skew_reported = timedelta(0)
        self._pass_finished = False
        self._counters = Counters()
        self.app_notifies = True  # whether the app's own transactions notify, as of the last beat

    @property
    def database_now(self) -> datetime:
        """The database's clock, as the host's clock and the measured offset tell it."""
        return utc_now() + self._offset.value

    def seconds_to(self, instant: datetime) -> float:
        """Return in how many seconds this instant comes by the database's clock; less than 0: it has passed."""
        return (instant - self.database_now).total_seconds()

    def note_pass(self, cause: Cause, result: ReconcileResult, seconds: float) -> None:
        """Report with the next beat that a pass has finished, which took `seconds`, and count what it did."""
        self._pass_finished = self._passed_since_ping = True
        self._counters.note_pass(cause, result, self.database_now, seconds)

    def clock_was_set(self) -> bool:
        """Return whether somebody set the host's clock since the last call; if so, timers compute their wait again."""
        step = self._offset.stepped()
        if step:
            log.warning("clock_stepped", seconds=round(step, 3))
            self._timers.wake()
        return bool(step)

    def beat(self) -> None:
        """Write the heartbeat, measure the database's clock, and read whether the app notifies; then ping, if due."""
        offset_ms = self._offset.value.total_seconds() * 1000
        beat = Beat(
            daemon_id=self._daemon_id,
            host=self._host,
            pid=self._pid,
            version=__version__,
            pass_finished=self._pass_finished,
            listening_since=self._listener.listening_since,
            next_timer_at=self._timers.next_at,
            clock_offset_ms=offset_ms,
            zone_version=ZONE_VERSION,
            trouble="; ".join(self._troubles()) or None,
            counters=self._counted(),
        )
        with self._transaction() as connection:
            asked_at = utc_now()
            database_clock = heartbeats.beat(connection, beat)
            self._offset.measure(asked_at, database_clock, utc_now())
            self.app_notifies = notify.app_notifies(connection)
        self._pass_finished = False
        self._ping_if_due(time.monotonic())

    def _ping_if_due(self, now: float) -> None:
        if self._passed_since_ping and now - self._pinged_at >= PING_SECONDS:
            self._passed_since_ping, self._pinged_at = False, now
            self._ping()

    def _counted(self) -> dict[str, Any]:
        return self._counters.as_json() | {
            "reconnects": {"worker": self._outage.losses, "listener": self._listener.losses},
            "log_lines_lost": lines_lost_in_all(),
        }

    def _troubles(self) -> list[str]:
        lost = lines_lost()
        stuck = self._timers.probes_missed > MOST_PROBES_MISSED
        troubles = {
            "it receives no notifications (LISTEN is accepted): connect directly, not through a pooler": (
                self._listener.not_receiving
            ),
            "its timers are stuck, so it asks for the edges each second: if it does not end soon, kill it": stuck,
            f"the database refuses its work: {self._outage.refused}: restore what that names": self._outage.refused,
            f"its log is not read or cannot be written: lines lost: {lost}: repair what collects it": lost,
        }
        return [trouble for trouble, holds in troubles.items() if holds]

    def follow_clock(self) -> bool:
        """Arm the timers again if the two clocks drift apart; return whether somebody set one of them."""
        offset = self._offset.value
        apart = abs(offset - self._armed_offset)
        if apart <= OFFSET_TOLERANCE:
            return False
        self._armed_offset = offset
        self._timers.set_clock_offset(offset)
        if (
            abs(offset - self._skew_reported) > SKEW_CHANGED
            and max(abs(offset), abs(self._skew_reported)) > SKEW_REPORTED
        ):
            log.warning("clock_skew", database_ahead_s=round(offset.total_seconds(), 3))
            self._skew_reported = offset
        return apart > WAS_SET

    def timers_are_late(self) -> bool:
        """Probe the timers' thread; return whether it has missed an edge."""
        self._timers.probe()
        edge = self._timers.next_at
        late = self.database_now - edge if edge else timedelta(0)
        if not self._offset.is_measured or late < TIMERS_LATE:
            return False
        log.warning("timers_late", seconds=round(late.total_seconds(), 3))
        return True

    def stop(self, why: str) -> None:
        """Note in this daemon's row why it ends."""
        with self._transaction() as connection:
            heartbeats.end(connection, self._daemon_id, why)
