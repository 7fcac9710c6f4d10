"""Everything that writes while daemons run: the app's writers, its long transactions, the sweep, and storms."""

import contextlib
import random
import time
import traceback
from collections.abc import Callable
from threading import Event, Thread

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import sweep
from tests.data import execute, value
from tests.faults import storm
from tests.faults.book import Book
from tests.faults.edited import Writer
from tests.faults.long_transactions import LongTransactions
from tests.faults.server import until_it_answers
from tests.faults.untouched import Untouched

WRITERS = 8
SWEEP_SECONDS = 7.5  # a quarter of an hour, compressed
SWEEP_STATUSES = (0, 1)  # 1: it could not do all of its work
STORM_PAUSE_SECONDS = 0.4  # a million edits an hour and more, and the daemon has time for edges too

Part = Callable[[Event], None]


class Load:
    """Each part runs in a thread of its own, from `start` until `end`."""

    def __init__(self, url: str, seed: int, *, seconds: float, sweeps: bool = True, storms: bool = False) -> None:
        rng = random.Random(seed)
        self._url = url
        self._stop = Event()
        self._threads: list[Thread] = []
        self._sweeps, self._storms = sweeps, storms
        self._writers_seeds = [rng.randrange(2**32) for _ in range(WRITERS)]
        self.began = time.time()
        self.until = self.began + seconds
        self.book = Book()
        self.untouched = Untouched(url, rng.randrange(2**32), self.book, until=self.until)
        self._long = LongTransactions(url, rng.randrange(2**32), self.book, self.untouched)
        self.passes: list[float] = []
        self.problems: list[str] = []

    def start(self, *more: Part) -> None:
        writers = [Writer(self._url, seed, self.book) for seed in self._writers_seeds]
        parts = [self.untouched.run, self._long.run, self._sample, *(writer.run for writer in writers), *more]
        parts += [self._sweep] if self._sweeps else []
        parts += [self._storm] if self._storms else []
        for part in parts:
            thread = Thread(target=self._guarded, args=(part,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self) -> None:
        time.sleep(max(0.0, self.until - time.time()))

    def end(self) -> None:
        """May be called twice."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def forget_lost(self, admin: Connection) -> int:
        """Take out of the book the evenings that nobody touched and that are gone; return how many.

        A failover to an asynchronous standby takes back what the app was told is committed.
        """
        there = {id_ for (id_,) in execute(admin, "SELECT session_instance_id FROM session_instance")}
        gone = self.untouched.instances.keys() - there
        for subject in [subject for subject in self.book.versions if int(subject.split()[-1]) in gone]:
            del self.book.versions[subject]
        return len(gone)

    def _guarded(self, part: Part) -> None:
        try:
            part(self._stop)
        except Exception:  # noqa: BLE001 -- whatever ended a part of the load is told in the report
            self.problems.append(traceback.format_exc())

    def _sample(self, stop: Event) -> None:
        """Note when daemons have reconciled."""
        while not stop.wait(1):
            with contextlib.suppress(psycopg2.Error), contextlib.closing(until_it_answers(self._url)) as admin:
                if at := value(admin, "SELECT extract(epoch FROM max(last_look_at))::float8 FROM daemon_heartbeat"):
                    self.passes.append(at)

    def _sweep(self, stop: Event) -> None:
        while not stop.wait(SWEEP_SECONDS):
            done = sweep(self._url)
            if done.returncode not in SWEEP_STATUSES:
                self.problems.append(f"the sweep ended with {done.returncode}: {done.stdout}{done.stderr}")

    def _storm(self, stop: Event) -> None:
        while not stop.wait(STORM_PAUSE_SECONDS):
            try:
                with contextlib.closing(until_it_answers(self._url)) as admin:
                    blown = storm.blow(admin)
                    admin.commit()
                self.book.count_edits(blown)
            except psycopg2.Error as error:
                self.book.failed(time.time(), error)
