"""Another connection, as an app has it: it receives the notifications of flips and queries what is visible."""

import select
import time
from dataclasses import dataclass
from datetime import datetime

from benchmarks.server import connect, run
from benchmarks.wave import Wave

TIMEOUT_SECONDS = 180.0
_ACTIVE = "SELECT count(*) FROM active_instance WHERE session_instance_id BETWEEN %(first)s AND %(last)s"
_PEOPLE = "SELECT count(*) FROM person WHERE active_session_instance_id BETWEEN %(first)s AND %(last)s"


@dataclass(frozen=True, slots=True)
class VisibleAfter:
    """How many seconds after an instant the first flip of a wave, and all flips and people of it, were visible."""

    first: float
    all: float


class Observer:
    """Queries after each notification, and now and then in case one is lost."""

    def __init__(self, url: str) -> None:
        self._querying = connect(url, application_name="seisiun observer")
        self._listening = connect(url, application_name="seisiun observer")
        run(self._listening, "LISTEN active_changed")

    def watch(self, wave: Wave, since: datetime | None = None) -> VisibleAfter:
        """Return when the wave was visible, in seconds after `since` (else the instant at which it opens)."""
        instant = (since or wave.opens_at).timestamp()
        pause = max(0.005, wave.size / 20_000)  # two cores are few: a query in every moment would slow the product
        first, active, people = 0.0, 0, 0
        while time.time() < instant + TIMEOUT_SECONDS:
            self._wait(max(pause, instant - time.time()))
            active = self._count(_ACTIVE, wave)
            people = self._count(_PEOPLE, wave) if active == wave.size else 0
            now = time.time()
            first = first or (now if active else 0.0)
            if active == wave.size and people >= wave.people:
                return VisibleAfter(first - instant, now - instant)
        raise RuntimeError(f"of {wave.size} sessions {active} opened, of {wave.people} people {people} are there")

    def watch_end(self, wave: Wave, since: datetime) -> float:
        """Return how many seconds after `since` nobody was at the wave's instances any more."""
        instant = since.timestamp()
        while time.time() < instant + TIMEOUT_SECONDS:
            self._wait(0.005)
            if not self._count(_PEOPLE, wave):
                return time.time() - instant
        raise RuntimeError(f"{self._count(_PEOPLE, wave)} of {wave.people} people are still there")

    def _wait(self, seconds: float) -> None:
        select.select([self._listening.fileno()], [], [], seconds)
        self._listening.poll()
        self._listening.notifies.clear()

    def _count(self, statement: str, wave: Wave) -> int:
        with self._querying.cursor() as cursor:
            cursor.execute(statement, {"first": wave.first, "last": wave.first + wave.size - 1})
            [count] = cursor.fetchone() or (0,)
            return int(count)

    def close(self) -> None:
        """Close both connections."""
        self._querying.close()
        self._listening.close()
