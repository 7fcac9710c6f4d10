"""What notifying costs the app: check-ins a second, by how many write at once, with notifications on and off."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import cycle
from threading import Event

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks import process, wave
from benchmarks.hooks import raw_check_in
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result
from benchmarks.server import connect, connected, run
from benchmarks.spread import Spread
from core.migrations import migrate

WRITERS = [1, 8, 32]
SECONDS = 2.0
ROUNDS = 5
SESSIONS = 32
ON, OFF = "check-ins, notifications on", "check-ins, notifications off"


def notifications(this: Run) -> Result:
    """Check people in, in raw SQL, with a daemon beside the writers; the floor has no triggers."""
    result = Result("notifications", __doc__ or "", "writers at once")
    with ExitStack() as stack:
        url = stack.enter_context(this.server.database())
        with connected(url) as connection:
            [opened] = wave.add(connection, [datetime.now(UTC) - timedelta(minutes=30)], SESSIONS)
            people = [row[0] for row in run(connection, "SELECT person_id FROM person ORDER BY person_id")]
        stack.enter_context(process.daemon(url))
        for writers in this.pick(WRITERS, WRITERS, [1, 8]):
            apps = [stack.enter_context(closing(connect(url))) for _ in range(writers)]
            rates: dict[str, list[float]] = {ON: [], OFF: [], "floor": []}
            for _ in range(1 if this.quick else ROUNDS):
                for what, measured in rates.items():
                    measured.append(_rate(url, apps, opened.ids, people, what))
            floor = Spread.of(rates["floor"])
            result.figures += [Figure(what, writers, "a second", Spread.of(rates[what]), floor) for what in (ON, OFF)]
    return result


def _rate(url: str, apps: Sequence[Connection], instances: list[int], people: list[int], what: str) -> float:
    """Return how many check-ins a second all writers commit together; each has people of its own."""
    if what in (ON, OFF):
        migrate(url, notifications=what == ON)
    for app in apps:
        run(app, "SET session_replication_role = %s", "origin" if what in (ON, OFF) else "replica")
    stop = Event()

    def write(number: int) -> int:
        done = 0
        for person in cycle(people[number :: len(apps)]):
            if stop.is_set():
                return done
            raw_check_in(apps[number], person, instances[number % len(instances)])
            done += 1
        return done

    with ThreadPoolExecutor(len(apps)) as threads:
        begun = time.perf_counter()
        writing = [threads.submit(write, number) for number in range(len(apps))]
        time.sleep(SECONDS)
        stop.set()
        done = sum(each.result() for each in writing)
        return done / (time.perf_counter() - begun)


if __name__ == "__main__":
    program(notifications)()
