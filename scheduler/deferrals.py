"""Sessions of which somebody else holds a row: looked at again in 50 ms, then later and later, up to a second."""

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0  # seconds
FORGOTTEN_AFTER = 2.0  # seconds without being deferred again
REPORTED_AFTER = 5.0  # seconds


@dataclass(slots=True)
class Deferral:
    """Since when a session is deferred, when to try again, and whether that has been reported; monotonic seconds."""

    since: float
    pause: float
    retry_at: float
    retried: bool = False
    reported: bool = False


class Deferrals:
    """What the worker has put off; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._deferrals: dict[int, Deferral] = {}

    def put_off(self, session_ids: Iterable[int], now: float) -> None:
        """Note that these sessions could not be looked at in full."""
        for session_id in session_ids:
            known = self._deferrals.get(session_id)
            pause = min(known.pause * 2, LAST_PAUSE) if known else FIRST_PAUSE
            since = known.since if known else now
            reported = known.reported if known else False
            self._deferrals[session_id] = Deferral(since, pause, now + pause, reported=reported)

    def settle(self, session_ids: Iterable[int]) -> None:
        """Note that these sessions were looked at in full."""
        for session_id in session_ids:
            self._deferrals.pop(session_id, None)

    def waiting(self, now: float) -> frozenset[int]:
        """Return the sessions that are not yet to be looked at again."""
        return frozenset(id_ for id_, deferral in self._deferrals.items() if deferral.retry_at > now)

    def take_due(self, now: float) -> bool:
        """Say whether some are to be looked at again now, and take it that they are."""
        self._forget(now)
        due = [deferral for deferral in self._deferrals.values() if deferral.retry_at <= now and not deferral.retried]
        for deferral in due:
            deferral.retried = True
        return bool(due)

    def _forget(self, now: float) -> None:
        for session_id in [
            id_ for id_, deferral in self._deferrals.items() if deferral.retry_at + FORGOTTEN_AFTER < now
        ]:
            del self._deferrals[session_id]

    def next_at(self) -> float | None:
        """Return when the next one is to be looked at again."""
        return min((d.retry_at for d in self._deferrals.values() if not d.retried), default=None)

    def take_long(self, now: float) -> dict[int, float]:
        """Return the sessions put off for over five seconds, with how long, that have not been reported yet."""
        long = {
            id_: now - deferral.since
            for id_, deferral in self._deferrals.items()
            if not deferral.reported and not deferral.retried and now - deferral.since > REPORTED_AFTER
        }
        for session_id in long:
            self._deferrals[session_id].reported = True
        return long
