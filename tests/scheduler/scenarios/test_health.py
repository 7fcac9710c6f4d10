"""Health is progress: whichever part stands still, status says so within seconds; what cannot heal ends the process.

A part is stopped for real: the kernel holds its thread, and the others go on.

Covers core.status, scheduler.commands.status, scheduler.daemon.heartbeat.
"""

import json
import sys
import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import run
from tests.data import change_session, connected, execute, value
from tests.scheduler.daemon_process import DaemonProcess, Daemons, eventually
from tests.scheduler.soon import (
    HOUR,
    causes,
    early_flips,
    instance_soon,
    on,
    session_here,
    wait_until_reconciled,
    weekly,
)
from tests.scheduler.threads import held

Figures = Callable[[str], None]
ENDS_WITHIN = 45.0  # seconds; 30 without progress, and what a busy machine takes

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a single thread")


def problems(url: str) -> list[str]:
    """Return what `status` says is wrong; it exits non-zero exactly when there is something."""
    done = run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": url})
    assert done.stdout, done.stderr
    found: list[str] = json.loads(done.stdout)["problems"]
    assert done.returncode == (1 if found else 0)
    return found


def until_told(url: str, what: str) -> float:
    """Wait until `status` tells of it; return how many seconds that took."""
    begun = time.monotonic()
    eventually(lambda: any(what in problem for problem in problems(url)), what)
    return time.monotonic() - begun


def is_healthy(url: str) -> bool:
    return problems(url) == []


def test_status_tells_of_a_paused_daemon_within_seconds_and_of_its_return(
    daemons: Daemons, database_url: str, figures: Figures
) -> None:
    daemon = daemons.ready(database_url)
    eventually(lambda: is_healthy(database_url), "status is healthy")
    daemon.pause()

    figures(f"status unhealthy {until_told(database_url, 'no daemon is alive'):.1f} s after a daemon was paused")

    daemon.resume()
    eventually(lambda: is_healthy(database_url), "status is healthy again")


@needs_linux
def test_status_tells_of_a_wedged_worker_within_seconds(daemons: Daemons, database_url: str, figures: Figures) -> None:
    daemon = daemons.ready(database_url)
    time.sleep(1.2)
    with held(daemon.pid, "worker"):
        figures(f"status unhealthy {until_told(database_url, 'no daemon is alive'):.1f} s after the worker was wedged")
    assert not daemon.ended


@needs_linux
def test_edges_are_found_by_the_tick_while_the_timers_are_stuck_and_status_tells(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    """The first edge is prepared without its timer; the timer that is stuck then hides the next one."""
    daemon = daemons.ready(database_url)
    first, session_id = session_here(app), session_here(app)
    instance_soon(app, first, 3, 60)
    instance_soon(app, session_id, 4, 60)
    wait_until_reconciled(app)
    with held(daemon.pid, "timers"):
        eventually(lambda: on(app, session_id), "the edge is found")
        late = value(app, "SELECT max(extract(epoch FROM done_at - due_at))::float FROM activation_log")
        figures(f"an edge with the timers' thread stuck: {late:.1f} s late")
        assert late < 3.5
        assert causes(app, first) == [(True, "timer")]
        assert causes(app, session_id) == [(True, "resync")]
        assert daemon.events("timers_late")
        until_told(database_url, "its timers are stuck")
    eventually(lambda: is_healthy(database_url), "status is healthy again")
    assert early_flips(app) == []
    again = session_here(app)
    instance_soon(app, again, 2, 60)
    eventually(lambda: causes(app, again) == [(True, "timer")], "the timers work again")


@needs_linux
def test_edits_are_polled_for_while_the_listener_is_stuck_and_status_tells(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    daemon = daemons.ready(database_url)
    session_id = session_here(app)
    wait_until_reconciled(app)
    with held(daemon.pid, "listener"):
        figures(f"status unhealthy {until_told(database_url, 'listening'):.1f} s after the listener was stuck")
        begun = time.monotonic()
        change_session(app, session_id, recurrence=weekly(-HOUR, HOUR))
        eventually(lambda: on(app, session_id), "the edit is found")
        assert time.monotonic() - begun < 3
        assert causes(app, session_id) == [(True, "resync")]
    eventually(lambda: is_healthy(database_url), "status is healthy again")


@pytest.mark.long
@needs_linux
@pytest.mark.parametrize("part", ["worker", "timers", "listener"])
def test_a_part_that_makes_no_progress_ends_the_process(daemons: Daemons, database_url: str, part: str) -> None:
    daemons.allow_errors("part_died")
    daemon = daemons.ready(database_url)
    with held(daemon.pid, part):
        eventually(lambda: ended_or_dying(daemon), "it ends", seconds=ENDS_WITHIN)
    assert daemon.wait() == 1
    [line] = daemon.events("part_died")
    assert part in line  # without a worker the timers show nothing either
    assert "wedged=true" in line


def ended_or_dying(daemon: DaemonProcess) -> bool:
    """A process whose thread is held cannot end before it is let go."""
    return daemon.ended or bool(daemon.events("part_died"))


@pytest.mark.long
def test_two_daemons_a_paused_one_lets_go_of_its_locks_within_two_seconds(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    """It is stopped while it holds the rows of a pass; the other one flips them."""
    first = daemons.ready(database_url)
    sessions = [session_here(app, weekly(-HOUR, HOUR)) for _ in range(100)]
    eventually(lambda: all(on(app, id_) for id_ in sessions), "all are on")
    eventually(lambda: paused_with_locks(first, app), "it is stopped in the middle of a pass")
    begun = time.monotonic()
    second = daemons.ready(database_url)

    wait_until_reconciled(app)

    figures(f"a daemon stopped in the middle of a pass: the other was done after {time.monotonic() - begun:.1f} s")
    first.resume()
    time.sleep(1)
    assert [1] * len(sessions) == [len(causes(app, id_)) for id_ in sessions]
    assert not first.ended
    assert not second.ended


def paused_with_locks(daemon: DaemonProcess, app: Connection) -> bool:
    execute(app, "UPDATE session SET active_buffer_minutes_after = active_buffer_minutes_after + 1")
    time.sleep(0.03)
    daemon.pause()
    time.sleep(0.02)
    locks = """
        SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'seisiun daemon' AND mode = 'RowShareLock' AND state = 'idle in transaction'
        AND relation = 'session_plan'::regclass
    """
    if value(app, locks):
        return True
    daemon.resume()
    return False


def test_status_on_a_fresh_database_says_that_no_daemon_is_alive(database_url: str) -> None:
    assert problems(database_url) == ["no daemon is alive: start `python -m seisiun run`"]


def test_status_tells_that_the_database_fires_no_triggers(database_url: str, app: Connection) -> None:
    name = value(app, "SELECT current_database()")
    execute(app, f"ALTER DATABASE {name} SET session_replication_role = replica")

    assert any(problem.startswith("session_replication_role is replica") for problem in problems(database_url))

    execute(app, f"ALTER DATABASE {name} RESET session_replication_role")
    assert not any("session_replication_role" in problem for problem in problems(database_url))


def test_a_beat_that_lies_ahead_after_the_clock_was_set_back_is_no_sign_of_life(
    daemons: Daemons, database_url: str
) -> None:
    daemon = daemons.ready(database_url)
    eventually(lambda: is_healthy(database_url), "status is healthy")
    daemon.kill()
    with connected(database_url) as app:
        ahead = "clock_timestamp() + interval '1 hour'"
        execute(app, f"UPDATE daemon_heartbeat SET beat_at = {ahead}, last_look_at = {ahead}")

    assert problems(database_url) == ["no daemon is alive: start `python -m seisiun run`"]


def test_status_tells_when_and_how_each_daemon_of_the_last_day_ended(daemons: Daemons, database_url: str) -> None:
    stopped, killed = daemons.ready(database_url), daemons.ready(database_url)
    eventually(lambda: is_healthy(database_url), "status is healthy")
    stopped.stop()
    killed.kill()
    until_told(database_url, "no daemon is alive")

    out = run("-m", "scheduler", "status", settings={"DATABASE_URL": database_url}).stdout

    lines = [line for line in out.splitlines() if line.startswith("last seen: ")]
    told = {int(line.split(":")[2].split()[0]): line.partition(" UTC, ")[2] for line in lines}
    assert told == {
        stopped.pid: "stopped by SIGTERM",
        killed.pid: "then silent: killed, or cut off from the database",
    }


def test_each_problem_comes_with_what_to_do_and_before_all_else(database_url: str, app: Connection) -> None:
    execute(app, "DROP TRIGGER seisiun_session_updated ON session")
    session_here(app, weekly(-HOUR, HOUR))
    time.sleep(2.1)

    out = run("-m", "scheduler", "status", settings={"DATABASE_URL": database_url}).stdout

    verdict, *lines = out.splitlines()
    assert verdict.startswith("UNHEALTHY")
    problems = [line for line in lines if line.startswith("  ")][:3]
    assert problems == lines[:3]
    for problem, remedy in zip(
        problems, ("`python -m seisiun migrate`", "`python -m seisiun run`", "explain"), strict=True
    ):
        assert remedy in problem
    assert "blocks it" not in out, "nobody is in the way"


def test_a_daemon_that_has_just_started_is_not_told_to_be_restarted(database_url: str, app: Connection) -> None:
    execute(
        app,
        "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, listening_since, zone_version) "
        "VALUES (gen_random_uuid(), 'pub', 17, '0.2.0', now(), '2026f')",
    )
    started = problems(database_url)
    execute(app, "UPDATE daemon_heartbeat SET started_at = now() - interval '61 seconds', beat_at = now()")

    assert started == ["a daemon has just started, and has not finished a pass yet: ask again in some seconds"]
    assert problems(database_url) == ["no daemon has finished a pass within 60 s: read its log, and restart it"]
