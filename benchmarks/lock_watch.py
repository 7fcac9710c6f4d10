"""How long a program's transactions hold locks, sampled from outside, so that nobody is held up by the question."""

import time
from threading import Event, Thread
from types import TracebackType
from typing import Self

from benchmarks.server import connect, run

# A transaction has an id from its first row lock on, until it ends.
_HOLDING = "SELECT backend_xid::text, pid FROM pg_stat_activity WHERE application_name = %s AND backend_xid IS NOT NULL"


class LockWatch:
    """Watches for the block; `longest_ms` is right to about two milliseconds."""

    def __init__(self, url: str, application_name: str) -> None:
        self._connection = connect(url)
        self._application_name = application_name
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._held: dict[str, list[float]] = {}

    def _watch(self) -> None:
        while not self._done.is_set():
            held = run(self._connection, _HOLDING, self._application_name)
            now = time.monotonic()
            for xid, _ in held:
                self._held.setdefault(xid, [now, now])[1] = now
            time.sleep(0.001)

    @property
    def longest_ms(self) -> float:
        """The longest time for which a transaction held a lock."""
        return max((last - first for first, last in self._held.values()), default=0.0) * 1000

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._connection.close()
