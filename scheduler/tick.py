"""When the daemon ticks: each second, and not in the way of an edge."""

from typing import Final

TICK_SECONDS: Final = 1.0
NEAR_SECONDS: Final = 0.01  # longer than what is done at a tick takes
MOST_PUT_OFF: Final = 25


class Tick:
    """The next tick, by a clock that runs evenly: put off where an edge is near, by a quarter of a second at most."""

    def __init__(self) -> None:
        self.next_at = 0.0
        self._put_off = 0

    def at_once(self) -> None:
        """Let the next one be due, whatever edge is near: how it stands is to be told first."""
        self.next_at, self._put_off = 0.0, MOST_PUT_OFF

    def is_due(self, now: float, *, edge_is_near: bool) -> bool:
        """Say whether to tick now; the next one is then a second away."""
        if now < self.next_at:
            return False
        if edge_is_near and self._put_off < MOST_PUT_OFF:
            self._put_off += 1
            self.next_at = now + NEAR_SECONDS
            return False
        self._put_off = 0
        self.next_at = now + TICK_SECONDS
        return True
