"""Somebody else: another connection, who hears of flips and looks what can be seen."""

import select
import time
from dataclasses import dataclass
from datetime import datetime

from benchmarks.server import connect, run
from benchmarks.wave import Wave

PATIENCE_SECONDS = 180.0
_ACTIVE = "SELECT count(*) FROM active_instance WHERE session_instance_id BETWEEN %(first)s AND %(last)s"
_PEOPLE = "SELECT count(*) FROM person WHERE active_session_instance_id BETWEEN %(first)s AND %(last)s"


@dataclass(frozen=True, slots=True)
class Seen:
    """How many seconds after an instant the first flip of a wave, and all flips and people of it, could be seen."""

    first: float
    all: float


class Observer:
    """Looks at each bell, and, in case a bell is lost, now and then."""

    def __init__(self, url: str) -> None:
        self._looking = connect(url, application_name="seisiun observer")
        self._listening = connect(url, application_name="seisiun observer")
        run(self._listening, "LISTEN active_changed")

    def watch(self, wave: Wave, since: datetime | None = None) -> Seen:
        """Return when the wave was seen, after `since` (else the instant at which it opens)."""
        instant = (since or wave.opens_at).timestamp()
        pause = max(0.005, wave.size / 20_000)  # two cores are few: who looks all the time, slows what they look at
        first, active, people = 0.0, 0, 0
        while time.time() < instant + PATIENCE_SECONDS:
            self._wait(max(pause, instant - time.time()))
            active = self._count(_ACTIVE, wave)
            people = self._count(_PEOPLE, wave) if active == wave.size else 0
            now = time.time()
            first = first or (now if active else 0.0)
            if active == wave.size and people >= wave.people:
                return Seen(first - instant, now - instant)
        raise RuntimeError(f"of {wave.size} sessions {active} opened, of {wave.people} people {people} are there")

    def _wait(self, seconds: float) -> None:
        select.select([self._listening.fileno()], [], [], seconds)
        self._listening.poll()
        self._listening.notifies.clear()

    def _count(self, statement: str, wave: Wave) -> int:
        with self._looking.cursor() as cursor:
            cursor.execute(statement, {"first": wave.first, "last": wave.first + wave.size - 1})
            [count] = cursor.fetchone() or (0,)
            return int(count)

    def close(self) -> None:
        """Go away."""
        self._looking.close()
        self._listening.close()
