"""What the worker does beside passes: warm up, report sessions that are deferred for long, prune the history."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from sqlalchemy import Connection

from core.logs import logger
from core.reconcile.log import named
from core.reconcile.warm_up import warm_up
from core.store.views import readings, reports
from scheduler.daemon.agenda import GRACE, Agenda

log = logger(__name__)


class Housekeeping:
    """Runs in the worker's thread. `held_by`: session id -> the server processes that hold up its passes."""

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]], agenda: Agenda, keep_days: int
    ) -> None:
        self._transaction = transaction
        self._agenda = agenda
        self._keep_days = keep_days
        self.held_by: dict[int, str] = {}

    def warm_up(self) -> None:
        """Run the statements of a flip and of a plan once, so that the first edge does not wait for that."""
        with self._transaction() as connection:
            warm_up(connection)

    def report_deferred(self) -> None:
        """Log each session that has been deferred for over five seconds, once, with who holds its rows."""
        deferred = self._agenda.backoff.take_long(time.monotonic())
        if not deferred:
            return
        with self._transaction() as connection:
            holders = reports.holders(connection, GRACE)
            names = {id_: found.name for id_, found in readings.names_of(connection, deferred).items()}
        pids = ",".join(str(holder.pid) for holder in holders) or "unknown"
        for session_id, seconds in deferred.items():
            self.held_by[session_id] = pids
            log.warning("deferred", **named(session_id, names), seconds=round(seconds, 1), held_by=pids)

    def forget(self, session_ids: frozenset[int]) -> None:
        """Forget who held up these sessions: their passes have finished."""
        for session_id in session_ids:
            self.held_by.pop(session_id, None)

    def prune_if_due(self) -> None:
        """Delete the history that is older than it is kept, once an hour."""
        if self._agenda.prune_is_due(time.monotonic()):
            with self._transaction() as connection:
                reports.prune(connection, timedelta(days=self._keep_days))
