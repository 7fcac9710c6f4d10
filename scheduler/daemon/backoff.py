"""Back off sessions while another transaction holds a row of theirs: retry in 50 ms, then double that, up to 1 s."""

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.05, 1.0
FORGET_AFTER_SECONDS = 2.0  # without being deferred again
REPORT_AFTER_SECONDS = 5.0


@dataclass(slots=True)
class Deferral:
    """Since when a session is deferred, when to retry it, and whether that was reported; monotonic seconds."""

    since: float
    pause: float
    retry_at: float
    retried: bool = False
    reported: bool = False


class Backoff:
    """The sessions that wait for a retry; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._deferrals: dict[int, Deferral] = {}

    def add(self, session_ids: Iterable[int], now: float) -> None:
        """Defer these sessions; those that were deferred already wait twice as long as the last time."""
        for session_id in session_ids:
            known = self._deferrals.get(session_id)
            pause = min(known.pause * 2, LAST_PAUSE_SECONDS) if known else FIRST_PAUSE_SECONDS
            since = known.since if known else now
            reported = known.reported if known else False
            self._deferrals[session_id] = Deferral(since, pause, now + pause, reported=reported)

    def clear(self, session_ids: Iterable[int]) -> None:
        """Forget these sessions: their pass finished."""
        for session_id in session_ids:
            self._deferrals.pop(session_id, None)

    def waiting(self, now: float) -> frozenset[int]:
        """Return the sessions whose retry is not due yet."""
        return frozenset(id_ for id_, deferral in self._deferrals.items() if deferral.retry_at > now)

    def take_due(self, now: float) -> bool:
        """Return whether some retry is due, and note that the caller retries those sessions now."""
        self._forget(now)
        due = [deferral for deferral in self._deferrals.values() if deferral.retry_at <= now and not deferral.retried]
        for deferral in due:
            deferral.retried = True
        return bool(due)

    def _forget(self, now: float) -> None:
        for session_id in [
            id_ for id_, deferral in self._deferrals.items() if deferral.retry_at + FORGET_AFTER_SECONDS < now
        ]:
            del self._deferrals[session_id]

    def next_at(self) -> float | None:
        """Return when the next retry is due; None if there is none."""
        return min((d.retry_at for d in self._deferrals.values() if not d.retried), default=None)

    def take_long(self, now: float) -> dict[int, float]:
        """Return the sessions deferred for over five seconds, with how long, that have not been reported yet."""
        long = {
            id_: now - deferral.since
            for id_, deferral in self._deferrals.items()
            if not deferral.reported and not deferral.retried and now - deferral.since > REPORT_AFTER_SECONDS
        }
        for session_id in long:
            self._deferrals[session_id].reported = True
        return long
