"""Clocks that are set, while a real daemon runs: the host's, the database's. The database's is what counts (L1).

Covers scheduler.daemon.clock_offset, scheduler.daemon.timers, core.store.queue.due.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.embedded import connect_or_start
from core.migrations import migrate
from tests.commands import run
from tests.data import add_instance, connected, execute, value
from tests.scheduler.daemon.fake_clock import LIBRARY, FakeClock
from tests.scheduler.daemon_process import DaemonProcess, Daemons, eventually
from tests.scheduler.soon import causes, early_flips, instance_soon, on, session_here, wait_until_reconciled

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime on this machine")

Figures = Callable[[str], None]
A_TICK = 1.6  # seconds; and what a busy machine takes
HOUR, YEAR = 3600, 365 * 86400


@pytest.fixture
def host_clock(tmp_path: Path) -> FakeClock:
    return FakeClock(tmp_path / "host")


def lateness(app: Connection) -> float:
    return float(value(app, "SELECT max(extract(epoch FROM done_at - due_at)) FROM activation_log"))


@pytest.mark.parametrize("edges", [6, pytest.param(40, marks=pytest.mark.long)])
def test_l1_a_clock_that_is_a_little_ahead_loses_no_edge(
    daemons: Daemons, database_url: str, app: Connection, host_clock: FakeClock, edges: int
) -> None:
    """Too little to set the timers by: they wake the daemon so early that its pass finds nothing yet."""
    host_clock.set(0.0015)
    daemons.ready(database_url, **host_clock.environment)
    for _ in range(edges):
        session_id = session_here(app)
        instance_soon(app, session_id, 1.2, 60)

        eventually(partial(on, app, session_id), "it is on long before the resync", seconds=5)

        assert causes(app, session_id) == [(True, "timer")]
    assert early_flips(app) == []


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(HOUR, id="an-hour-forwards"),
        pytest.param(-HOUR, id="an-hour-back"),
        pytest.param(2.5, id="seconds-forwards", marks=pytest.mark.long),
        pytest.param(-2.5, id="seconds-back", marks=pytest.mark.long),
        pytest.param(YEAR, id="a-year-forwards", marks=pytest.mark.long),
        pytest.param(-YEAR, id="a-year-back", marks=pytest.mark.long),
    ],
)
def test_l1_the_hosts_clock_is_set_and_every_edge_stays_at_its_instant(
    daemons: Daemons, database_url: str, app: Connection, host_clock: FakeClock, seconds: float
) -> None:
    daemon = daemons.ready(database_url, **host_clock.environment)
    before, after = session_here(app), session_here(app)
    instance_soon(app, before, 3, 7)
    instance_soon(app, after, 6, 60)
    wait_until_reconciled(app)

    host_clock.set(seconds)

    daemon.wait_for("clock_stepped")
    daemon.wait_for("clock_skew")
    eventually(lambda: causes(app, before) == [(True, "timer"), (False, "timer")], "both edges, by timers")
    eventually(lambda: causes(app, after) == [(True, "timer")], "the edge after it, by its timer")
    assert early_flips(app) == []
    assert lateness(app) < A_TICK
    status = json.loads(run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": database_url}).stdout)
    assert status["problems"] == []
    [note] = status["notes"]
    assert f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} the database's" in note
    host_clock.set(0)
    daemon.wait_for("clock_skew", times=2)


@pytest.mark.long
def test_a_host_that_was_suspended_makes_up_for_what_passed(
    daemons: Daemons, database_url: str, app: Connection, host_clock: FakeClock, figures: Figures
) -> None:
    """Its clock has gone on, and the monotonic one, which the waits are reckoned by, has not."""
    daemon = daemons.ready(database_url, **host_clock.environment)
    session_id, later = session_here(app), session_here(app)
    instance_soon(app, session_id, 3, 60)
    instance_soon(app, later, 12, 60)
    wait_until_reconciled(app)
    daemon.pause()
    host_clock.set(-7)  # so that it has stood still when it is set right
    time.sleep(7)
    host_clock.set(0)
    daemon.resume()
    begun = time.monotonic()

    eventually(lambda: on(app, session_id), "it is on")
    figures(f"right {time.monotonic() - begun:.2f} s after a suspend")
    assert time.monotonic() - begun < A_TICK
    eventually(lambda: causes(app, later) == [(True, "timer")], "the next edge is a timer's")
    assert early_flips(app) == []


@pytest.fixture
def database_clock(tmp_path: Path) -> FakeClock:
    return FakeClock(tmp_path / "database")


@pytest.fixture
def clocked_url(tmp_path: Path, database_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of its own that lives by `database_clock`."""
    before = dict(os.environ)
    for name, setting in database_clock.environment.items():
        monkeypatch.setenv(name, setting)
    with connect_or_start(tmp_path / "clocked", durable=False) as server:
        for name in database_clock.environment:
            monkeypatch.setenv(name, before.get(name, "")) if name in before else monkeypatch.delenv(name)
        migrate(server.url)
        yield server.url


def instance_by_the_database(app: Connection, session_id: int, starts_in: float, ends_in: float) -> int:
    """Add an instance whose hours are reckoned by the database's clock."""
    execute(app, "UPDATE session SET timezone = 'UTC' WHERE session_id = %s", session_id)
    local = "date_trunc('second', clock_timestamp() AT TIME ZONE 'UTC') + make_interval(secs => %s)"
    [(start, end)] = execute(app, f"SELECT {local}, {local}", starts_in, ends_in)
    return add_instance(app, session_id, f"{start:%Y-%m-%d}", f"{start:%H:%M:%S}", f"{end:%H:%M:%S}")


@pytest.mark.parametrize("seconds", [2 * HOUR, pytest.param(-2 * HOUR, marks=pytest.mark.long)])
def test_l1_the_databases_clock_disagrees_and_it_is_the_one_that_counts(
    daemons: Daemons, clocked_url: str, database_clock: FakeClock, seconds: float
) -> None:
    database_clock.set(seconds)
    daemon = daemons.ready(clocked_url).wait_for("clock_skew")
    with connected(clocked_url) as app:
        session_id = session_here(app)
        instance_by_the_database(app, session_id, 3, 5)

        eventually(lambda: causes(app, session_id) == [(True, "timer"), (False, "timer")], "both edges, by timers")

        assert early_flips(app) == []
        assert lateness(app) < A_TICK
    ahead = float(daemon.events("clock_skew")[0].split("database_ahead_s=")[1])
    assert seconds == pytest.approx(ahead, abs=0.1)


def test_the_databases_clock_is_set_and_all_is_right_within_the_tick(
    daemons: Daemons, clocked_url: str, database_clock: FakeClock, figures: Figures
) -> None:
    daemon: DaemonProcess = daemons.ready(clocked_url)
    with connected(clocked_url) as app:
        now, later = session_here(app), session_here(app)
        instance_by_the_database(app, now, -HOUR // 2, HOUR // 2)
        instance_by_the_database(app, later, HOUR, 2 * HOUR)
        eventually(lambda: on(app, now), "it is on")

        database_clock.set(1.5 * HOUR)
        begun = time.monotonic()
        eventually(lambda: on(app, now) is None and on(app, later) is not None, "the hour and a half has passed")
        forwards = time.monotonic() - begun
        daemon.wait_for("clock_skew")
        time.sleep(2.5)  # what that has set going is done
        database_clock.set(0)
        begun = time.monotonic()
        eventually(lambda: on(app, now) is not None and on(app, later) is None, "and has not")
        back = time.monotonic() - begun
    figures(f"the database's clock was set by 1.5 h: right after {forwards:.2f} s, and {back:.2f} s back")
    assert max(forwards, back) < 2 * A_TICK
    assert not daemon.ended
