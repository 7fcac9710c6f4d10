"""On Patroni, etcd and HAProxy as `deploy/ha` configures them: under failovers nothing is missed or doubled."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.migrations import migrate
from tests.data import execute
from tests.faults import history
from tests.faults.checker import Fault
from tests.faults.judgement import Case, judge
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.platform import Platform, Seat
from tests.faults.proxy import Proxy
from tests.faults.server import PASSWORD, ROLE, make_role, until_it_answers
from tests.ha.cluster import Cluster, Node, cluster, missing
from tests.scheduler.daemon_process import eventually

ASKED_FOR = bool(os.environ.get("TEST_HA"))
MISSING = missing() if ASKED_FOR else []

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not ASKED_FOR, reason="failovers for minutes: make test-ha"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]

SEED = 22
SECONDS = 140.0
QUIET_SECONDS = 6.0  # before the first fault, and after each
ETCD_AWAY_SECONDS = 25.0  # longer than Patroni's `ttl`
FAILS_OVER_WITHIN_SECONDS = 60.0
BACK_WITHIN_SECONDS = 15.0  # a daemon whose URL names a silent node too; the checker grants all of them together 2 s
BY_HAPROXY, BY_NAMES = "by HAProxy", "by naming all nodes"

Figures = Callable[[str], None]


@dataclass
class Ledger:
    """What an app writes row by row, and which rows it was told are committed."""

    url: str
    acknowledged: set[int] = field(default_factory=set)

    def run(self, stop: Event) -> None:
        number = 0
        while not stop.is_set():
            with contextlib.suppress(psycopg2.Error), contextlib.closing(until_it_answers(self.url)) as app:
                app.autocommit = True
                while not stop.wait(0.02):
                    number += 1
                    execute(app, "INSERT INTO ledger VALUES (%s)", number)
                    self.acknowledged.add(number)

    def lost(self, admin: Connection) -> set[int]:
        return self.acknowledged - {number for (number,) in execute(admin, "SELECT number FROM ledger")}


class Failovers:
    """Breaks a cluster, and notes when, and what it took."""

    def __init__(self, broken: Cluster, platform: Platform, figures: Figures) -> None:
        self._cluster = broken
        self._platform = platform
        self._figures = figures
        self.faults: list[Fault] = []

    @property
    def server_down(self) -> list[tuple[float, float]]:
        return [(fault.begun, fault.over) for fault in self.faults if fault.bound]

    def switch_over(self) -> None:
        answer = Thread(target=self._cluster.switch_over)
        self._fail_over("switchover", lambda _: answer.start())
        answer.join()
        self._recover()

    def kill(self) -> None:
        killed = self._fail_over("primary killed", Node.kill)
        killed.start()
        self._recover()

    def cut_off(self) -> None:
        silent = self._fail_over("primary cut off", Node.pause)
        silent.resume()
        self._recover()

    def lose_etcd(self) -> None:
        """Nothing may notice: the checker grants no time for it."""
        begun = time.time()
        self._cluster.lose_etcd()
        time.sleep(ETCD_AWAY_SECONDS)
        self._cluster.start_etcd()
        self.faults.append(Fault("etcd lost", begun, time.time(), bound=0.0, subjects=frozenset()))
        self._recover()

    def _fail_over(self, kind: str, act: Callable[[Node], None]) -> Node:
        """Do this to the primary; return it when another node can be written to."""
        before = self._cluster.primary
        begun = time.time()
        act(before)
        after = eventually(lambda: self._successor(before), f"a failover: {kind}", FAILS_OVER_WITHIN_SECONDS)
        over = time.time()
        assert after
        self.faults.append(Fault(kind, begun, over))
        back = ", ".join(f"{seat.name} {self._back(seat, begun) - over:.2f} s" for seat in self._platform.seats)
        self._figures(f"{kind}: {after.name} instead of {before.name} after {over - begun:.1f} s; then {back}")
        return before

    def _successor(self, before: Node) -> Node | None:
        time.sleep(0.05)
        return next((node for node in self._cluster.nodes if node is not before and node.can_be_written_to()), None)

    def _back(self, seat: Seat, begun: float) -> float:
        """Return when this seat's daemon had the database again; wait until it has."""
        back = f"the daemon {seat.name} has the database again"
        eventually(lambda: self._times(seat, begun), back, BACK_WITHIN_SECONDS)
        return self._times(seat, begun)[0]

    def _times(self, seat: Seat, begun: float) -> list[float]:
        return [at for at in map(_instant, seat.daemon.events("database_back")) if at > begun]

    def _recover(self) -> None:
        self._cluster.wait_until_whole()
        time.sleep(QUIET_SECONDS)


def _instant(line: str) -> float:
    """Return when a line was logged."""
    return datetime.fromisoformat(line.partition("at=")[2].split()[0]).timestamp()


@contextlib.contextmanager
def two_daemons(on: Cluster, directory: Path) -> Iterator[Platform]:
    """Yield a platform with one daemon by HAProxy, and one by the URL that names all nodes."""
    ways = {BY_HAPROXY: on.url(ROLE, PASSWORD), BY_NAMES: on.url_of_all(ROLE, PASSWORD)}
    with contextlib.closing(Proxy()) as unused:
        platform = Platform([Seat(name, directory, unused, {"DATABASE_URL": url}) for name, url in ways.items()])
        platform.start()
        try:
            for seat in platform.seats:
                seat.take()
                seat.daemon.wait_for("ready")
            yield platform
        finally:
            platform.stop()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("synchronous", [True, False], ids=["synchronous", "asynchronous"])
def test_failovers_under_load_miss_nothing(synchronous: bool, tmp_path: Path, figures: Figures) -> None:
    with contextlib.ExitStack() as stack:
        on = stack.enter_context(cluster(synchronous=synchronous))
        migrate(on.url())
        with on.admin() as admin:
            make_role(admin)
            history.install(admin)
            execute(admin, "CREATE TABLE ledger (number integer)")
        machine = stack.enter_context(contextlib.closing(Machine(tmp_path / "machine")))
        platform = stack.enter_context(two_daemons(on, tmp_path))
        failovers = Failovers(on, platform, figures)
        ledger = Ledger(on.url())
        load = Load(on.url(), SEED, seconds=SECONDS)
        stack.callback(load.end)
        load.start(ledger.run)

        time.sleep(QUIET_SECONDS)
        failovers.switch_over()
        failovers.kill()
        failovers.cut_off()
        failovers.lose_etcd()
        load.wait()
        load.end()

        with on.admin() as admin:
            lost = ledger.lost(admin)
            evenings = load.forget_lost(admin)
        case = Case(SEED, load, machine, failovers.faults, platform.problems, server_down=failovers.server_down)
        report = judge(on.admin, case)

    for line in report.lines():
        figures(line)
    figures(f"acknowledged to the app and lost: {len(lost)} of {len(ledger.acknowledged)} rows, {evenings} evenings")
    assert report.good, "\n".join(report.lines())
    assert not synchronous or (not lost and not evenings)
