"""How long to wait before each retry of a connection."""

import time


class Pauses:
    """Pauses of `first` seconds, doubled with each retry up to `last`.

    After a try that lasted longer than `last` the next pause is `first` again.
    """

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last
        self._next = first
        self._begun = time.monotonic()

    def begin(self) -> None:
        """Note that a try begins."""
        self._begun = time.monotonic()

    def after_failure(self) -> float:
        """Return how many seconds to wait before the next try."""
        lasted = time.monotonic() - self._begun > self._last
        pause = self._first if lasted else self._next
        self._next = min(pause * 2, self._last)
        return pause
