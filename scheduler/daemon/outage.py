"""Outages of the database: tells lost, refused and busy apart, logs them, and notes when they are over."""

import time
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from core.db.pauses import Pauses
from core.db.transactions import is_contention, is_disconnected
from core.logs import OUTAGES, logger

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 1.0
MOST_PASSES_LOST: Final = 3  # of one task in a row; then we suspect that the pass of one session breaks the connection
ISOLATE_FOR_SECONDS: Final = 300.0

log = logger(__name__)


class Outage:
    """The present outage, if there is one, and how the worker continues after it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pauses = Pauses(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._isolate_until = 0.0
        self.losses = 0  # of the connection, since the start
        self._passes_lost: Counter[Hashable] = Counter()
        self.refused: str | None = None

    @property
    def isolate(self) -> bool:
        """Whether each session gets a transaction of its own, because several passes of a task lost the connection."""
        return time.monotonic() < self._isolate_until

    def begin(self) -> None:
        """Note that a try begins."""
        self._pauses.begin()

    @contextmanager
    def a_pass(self, task: Hashable) -> Iterator[None]:
        """Count how many passes of the task in a row lost the connection; the block is one.

        Each task counts for itself: that no edge is due, for example, says nothing of the session in the requests that
        breaks the connection.
        """
        was_lost = False
        try:
            yield
        except DBAPIError as error:
            was_lost = is_disconnected(error)
            raise
        finally:
            self._passes_lost[task] = self._passes_lost[task] + 1 if was_lost else 0

    def note(self, error: DBAPIError) -> float:
        """Log the error that ended a try; return how many seconds to wait before the next one."""
        self._since = self._since or time.monotonic()
        reason = str(error.orig).strip()
        if is_disconnected(error):
            if max(self._passes_lost.values(), default=0) >= MOST_PASSES_LOST:
                self._isolate_until = time.monotonic() + ISOLATE_FOR_SECONDS
            self.losses += 1
            OUTAGES.warning(log, "database_lost", error=reason)
        elif is_contention(error):
            OUTAGES.warning(log, "database_busy", error=reason)
        else:
            self.refused = reason.splitlines()[0]
            OUTAGES.warning(log, "database_refused", error=reason)
        return self._pauses.after_failure()

    def over(self) -> None:
        """End the outage: a tick and a round have finished, so the database serves again."""
        if self._since is not None:
            log.info("database_back", away_s=round(time.monotonic() - self._since, 3))
            self._since = self.refused = None
