"""Somebody else: another connection, who hears of flips and looks what can be seen."""

import select
import time
from dataclasses import dataclass
from datetime import datetime

from benchmarks.server import connect, run
from benchmarks.wave import Wave

PATIENCE_SECONDS = 180.0
MOST_POLLS_A_SECOND = 1000
_VISIBLE = """
    SELECT (SELECT count(*) FROM active_instance WHERE session_instance_id BETWEEN %(first)s AND %(last)s),
           (SELECT count(*) FROM person WHERE active_session_instance_id BETWEEN %(first)s AND %(last)s)
"""


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
        pause = max(1 / MOST_POLLS_A_SECOND, wave.size / 400_000)  # a look at ten thousand takes milliseconds
        first = 0.0
        while time.time() < instant + PATIENCE_SECONDS:
            self._wait(max(pause, instant - time.time()))
            active, people = self._visible(wave)
            now = time.time()
            first = first or (now if active else 0.0)
            if active == wave.size and people == wave.people:
                return Seen(first - instant, now - instant)
        raise RuntimeError(f"of {wave.size} sessions {active} opened, of {wave.people} people {people} are there")

    def _wait(self, seconds: float) -> None:
        select.select([self._listening.fileno()], [], [], seconds)
        self._listening.poll()
        self._listening.notifies.clear()

    def _visible(self, wave: Wave) -> tuple[int, int]:
        with self._looking.cursor() as cursor:
            cursor.execute(_VISIBLE, {"first": wave.first, "last": wave.first + wave.size - 1})
            active, people = cursor.fetchone() or (0, 0)
            return active, people

    def close(self) -> None:
        """Go away."""
        self._looking.close()
        self._listening.close()
