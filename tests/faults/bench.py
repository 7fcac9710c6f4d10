"""The fault bench: a real server, real daemons, an app that writes, a nemesis; and then the checker.

1. A private server; the history's triggers and the kill points; a role for the daemons; a network in front of each.
2. The daemons, the load, the sweep at its minutes (compressed), the nemesis.
3. All faults stop. When what they may hold up is over, and a quiet second has passed, the state must be right.
4. The checker compares all that was recorded with all that was meant.
"""

import contextlib
import random
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Self

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import sweep
from tests.data import execute, value
from tests.faults import history, kill_points, storm
from tests.faults.book import Book
from tests.faults.checker import Fault, History, check, story, two_at_once
from tests.faults.draw import STORM, draw
from tests.faults.edited import Writer
from tests.faults.fake_clock import FakeClock, library
from tests.faults.growth import Uses
from tests.faults.long_transactions import LongTransactions
from tests.faults.machine import Machine
from tests.faults.nemesis import Nemesis
from tests.faults.platform import Platform, Seat
from tests.faults.proxy import Proxy
from tests.faults.report import Report, report
from tests.faults.server import Server, until_it_answers
from tests.faults.untouched import Untouched

WRITERS = 8
SEATS = ("first", "second", "third")
SWEEP_SECONDS = 7.5  # a quarter of an hour, compressed
QUIET_SECONDS = 1.0
STORM_PAUSE_SECONDS = 0.1

POISON = (
    "CREATE TABLE poisoned (session_id bigint NOT NULL)",
    """
    CREATE FUNCTION app_raises() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
    AS $$ BEGIN
        IF EXISTS (SELECT FROM poisoned WHERE session_id = NEW.session_id) THEN
            RAISE EXCEPTION 'the app will not have it';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER app_raises BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION app_raises()",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be; `without` kinds of faults, and under a storm of edits that never ends."""

    seed: int
    seconds: float
    daemons: bool = True
    faults: bool = True
    without: tuple[str, ...] = ()
    endless_storm: bool = False


class Bench:
    """One run; a context manager that ends all that it began."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._plan = plan
        self._directory = directory
        self._stop = Event()
        self._threads: list[Thread] = []
        self._ended = contextlib.ExitStack()
        self.server = Server(directory / "server")
        self._ended.callback(self.server.stop)
        with self.server.admin() as admin:
            history.install(admin)
            kill_points.install(admin)
            storm.prepare(admin)
            for statement in POISON:
                execute(admin, statement)
        self._app = self._proxy()
        self._clock = self._fake_clock()
        self.platform = Platform([self._seat(name) for name in SEATS])
        self._ended.callback(self.platform.stop)
        self.first = self.platform.seats[0]
        self.uses = Uses(self.first)
        self.storm: list[Fault] = []
        self.machine = Machine(directory / "machine")
        self._ended.callback(self.machine.stop)
        self.book = Book()
        self.began = time.time()
        self._looks: list[float] = []
        self._problems: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._ended.close()

    def _proxy(self) -> Proxy:
        proxy = Proxy()
        self._ended.callback(proxy.close)
        proxy.lead_to(self.server.url)
        return proxy

    def _fake_clock(self) -> FakeClock | None:
        found = library()
        return FakeClock(self._directory / "clock", found) if found else None

    def _seat(self, name: str) -> Seat:
        proxy = self._proxy()
        environment = self._clock.environment if self._clock and name == SEATS[0] else {}
        url = proxy.url(self.server.daemon_url(self.server.url))
        return Seat(name, self._directory, proxy, lambda: {"DATABASE_URL": url, "LOG_LEVEL": "INFO"} | environment)

    @property
    def app_url(self) -> str:
        """The superuser's URL, of a port that stays when the server takes another."""
        return self._app.url(self.server.url)

    def run(self) -> Report:
        rng = random.Random(self._plan.seed)
        if self._plan.daemons:
            self._start_daemon()
        began = self.began = time.time()
        until = began + self._plan.seconds
        untouched = Untouched(self.app_url, rng.randrange(2**32), self.book, until=until)
        writers = [Writer(self.app_url, rng.randrange(2**32), self.book) for _ in range(WRITERS)]
        long = LongTransactions(self.app_url, rng.randrange(2**32), self.book, untouched)
        for run in (untouched.run, long.run, self._sample, self._sweep, *(writer.run for writer in writers)):
            self._begin(run)
        if self._plan.endless_storm:
            self._begin(self._storm)
        if self.first.taken:
            self._begin(self.uses.run)
        nemesis = Nemesis(self.server, self._app, self.platform, untouched, self._clock)
        if self._plan.faults:
            nemesis.run(draw(self._plan.seed, self._plan.seconds - 5, without=self._without()), began, self._stop)
        time.sleep(max(0.0, until - time.time()))
        self._end_load()
        return self._judge(nemesis, began)

    def _without(self) -> list[str]:
        return [*self._plan.without, *([] if self._clock else ["set the clock"])]

    def _start_daemon(self) -> None:
        self.platform.start()
        self.first.take()
        self.first.daemon.wait_for("ready")

    def _begin(self, run: Callable[[Event], None]) -> None:
        thread = Thread(target=self._guarded, args=(run,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _guarded(self, run: Callable[[Event], None]) -> None:
        try:
            run(self._stop)
        except Exception:  # noqa: BLE001 -- whatever ended a part of the bench is told in the report
            self._problems.append(traceback.format_exc())

    def _end_load(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _sample(self, stop: Event) -> None:
        """Note when daemons have looked."""
        while not stop.wait(1):
            with contextlib.suppress(psycopg2.Error), contextlib.closing(until_it_answers(self.app_url)) as admin:
                if at := value(admin, "SELECT extract(epoch FROM max(last_look_at))::float8 FROM daemon_heartbeat"):
                    self._looks.append(at)

    def _storm(self, stop: Event) -> None:
        """Blow as often as leaves the daemon time for everything else."""
        begun = time.time()
        while not stop.wait(STORM_PAUSE_SECONDS):
            try:
                with contextlib.closing(until_it_answers(self.app_url)) as admin:
                    blown = storm.blow(admin)
                    admin.commit()
                self.book.count_edits(blown)
            except psycopg2.Error as error:
                self.book.failed(time.time(), error)
        self.storm.append(Fault(STORM, begun, time.time()))

    def _sweep(self, stop: Event) -> None:
        if not self._plan.daemons:
            return
        while not stop.wait(SWEEP_SECONDS):
            done = sweep(self.app_url)
            if "Traceback" in done.stdout + done.stderr:
                self._problems.append(done.stdout + done.stderr)

    def _judge(self, nemesis: Nemesis, began: float) -> Report:
        self._rest(nemesis)
        faults = self._faults(nemesis)
        with self.server.admin() as admin:
            unfinished = self._unfinished(admin)
            # As of one moment: edited instances go on opening and closing.
            execute(admin, "BEGIN ISOLATION LEVEL REPEATABLE READ")
            until, flips, log = time.time(), history.flips(admin), history.log(admin)
            execute(admin, "ROLLBACK")
        told = History(self.book.versions, [f for _, f in flips], log, faults, self._looks, until)
        verdict = check(told)
        verdict.findings += two_at_once((id_, flip) for id_, flip in flips if id_ is not None)
        problems = [
            *nemesis.problems,
            *unfinished,
            *self._app_errors(nemesis),
            *self._problems,
            *self._daemon_problems(),
        ]
        return report(
            verdict,
            faults,
            seed=self._plan.seed,
            began=began,
            seconds=self._plan.seconds,
            flips=len(flips),
            written=self.book.edits,
            slowness=round(self.machine.slowness(began, began + self._plan.seconds), 1),
            problems=problems,
            stories=[line for finding in verdict.findings[:5] for line in ("", *story(told, finding, began))],
            left_out=[] if self._clock else ["set the clock: libfaketime is not installed"],
        )

    def _rest(self, nemesis: Nemesis) -> None:
        """Wait until all is right; at most until the last fault's bound, and a quiet second."""
        latest = max((fault.ends for fault in self._faults(nemesis)), default=0.0)
        time.sleep(QUIET_SECONDS)
        with self.server.admin() as admin:
            while self._unfinished(admin) and time.time() < latest + QUIET_SECONDS:
                pass

    def _faults(self, nemesis: Nemesis) -> list[Fault]:
        """Return what was done, and how long it may have held things up on this machine."""
        done = [
            replace(
                fault,
                bound=fault.bound * self.machine.slowness(fault.begun, fault.ends),
                subjects=self.book.edited if fault.kind == STORM else fault.subjects,
            )
            for fault in (*nemesis.faults, *self.storm)
        ]
        return sorted([*done, *self.machine.stalls()], key=lambda fault: fault.begun)

    def _unfinished(self, admin: Connection) -> list[str]:
        """Return what is wrong, and still is a moment later: an edge may come at any time."""
        before = history.unfinished(admin)
        time.sleep(QUIET_SECONDS)
        return sorted({*before} & {*history.unfinished(admin)})

    def _app_errors(self, nemesis: Nemesis) -> list[str]:
        """Return the app's errors, apart from those while the server was down."""
        return [
            f"the app failed: {error}"
            for at, error in self.book.errors
            if not any(begun - 0.1 <= at <= over + 1 for begun, over in nemesis.server_down)
        ]

    def _daemon_problems(self) -> list[str]:
        return [f"{e.seat} ended by itself with {e.status}:\n{e.last_words}" for e in self.platform.ended]


@contextlib.contextmanager
def bench(directory: Path, plan: Plan) -> Iterator[Bench]:
    with Bench(directory, plan) as running:
        yield running
