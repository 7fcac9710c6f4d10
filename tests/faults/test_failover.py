"""A primary that is stopped hard, its standby promoted, under load: nothing is missed, and `status` tells the story."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.migrations import migrate
from tests.commands import run
from tests.faults import history
from tests.faults.checker import Fault
from tests.faults.judgement import Case, judge
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.pair import Pair, pair
from tests.faults.platform import Platform, Seat
from tests.faults.proxy import Proxy
from tests.scheduler.daemon_process import eventually

pytestmark = pytest.mark.process

SEED = 5
SECONDS = 20.0
FAILS_AFTER_SECONDS = 8.0


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path) as servers:
        migrate(servers.url)
        servers.prepare_role()
        with servers.admin() as admin:
            history.install(admin)
        yield servers


@pytest.fixture
def platform(both: Pair, tmp_path: Path) -> Iterator[Platform]:
    with contextlib.closing(Proxy()) as unused:
        seats = [Seat(name, tmp_path, unused, {"DATABASE_URL": both.daemon_url}) for name in ("first", "second")]
        platform = Platform(seats)
        platform.start()
        yield platform
        platform.stop()


def status(url: str) -> tuple[int, dict[str, Any], str]:
    done = run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": url})
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def until_healthy(url: str) -> None:
    eventually(lambda: status(url)[0] == 0, "status says that all is well")


@pytest.mark.long  # one without a load is in `tests/scheduler`
def test_a_failover_under_load_misses_nothing(
    both: Pair, platform: Platform, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    with contextlib.closing(Machine(tmp_path / "machine")) as machine:
        for seat in platform.seats:
            seat.take()
            seat.daemon.wait_for("ready")
        until_healthy(both.url)
        load = Load(both.url, SEED, seconds=SECONDS, sweeps=False)
        load.start()
        time.sleep(FAILS_AFTER_SECONDS)

        begun = time.time()
        both.crash_primary()
        code, _, said = status(both.url)
        both.promote_standby()
        over = time.time()

        until_healthy(both.url)
        well_again = time.time() - over
        load.wait()
        load.end()
        fault = Fault("failover", begun, over)
        report = judge(both.admin, Case(SEED, load, machine, [fault], platform.problems, server_down=[(begun, over)]))

    for line in report.lines():
        figures(line)
    figures(f"failover: {over - begun:.2f} s until the standby was promoted; status well {well_again:.2f} s later")
    figures(f"meanwhile status said: {said.strip()}")
    assert report.good, "\n".join(report.lines())
    assert code == 1
    assert "the database reports an error" in said


def test_status_says_that_it_stands_before_a_standby(both: Pair) -> None:
    code, told, _ = status(both.standby_url)

    assert code == 1
    assert any("standby" in problem for problem in told["problems"])
