"""The daemon as a process, beside an app that writes raw SQL: it converges after any fault, and promises what it says.

`make test` asserts what happened and why; how fast it was is measured, and asserted in the long tests alone.
"""

import select
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import quantiles
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import session_saved
from tests.commands import sweep
from tests.data import (
    add_check_in,
    add_instance,
    add_person,
    change_instance,
    change_session,
    connected,
    delete_instance,
    execute,
    instances_of,
    only_instance,
    value,
)
from tests.ping_server import (
    TOKEN,
    Serve,
    never_answer,
    ping_server,
    send_a_header_without_end,
    send_without_end,
    serving,
)
from tests.scheduler.daemon_process import STOPS_WITHIN_SECONDS, TIMEOUT_SECONDS, DaemonProcess, Daemons, eventually
from tests.scheduler.soon import (
    ELSEWHERE,
    HOUR,
    NOON,
    causes,
    early_flips,
    instance_soon,
    local,
    on,
    session_here,
    wait_until_reconciled,
    weekly,
)

Figures = Callable[[str], None]
Change = Callable[[Connection, int, int], None]


def receive_flips(listening: Connection, how_many: int, seconds: float) -> dict[int, list[float]]:
    """Return when each instance's flips were received, by the host's clock."""
    received: dict[int, list[float]] = defaultdict(list)
    deadline = time.monotonic() + seconds
    while sum(map(len, received.values())) < how_many and time.monotonic() < deadline:
        select.select([listening], [], [], 0.5)
        listening.poll()
        at = time.time()
        for notify in listening.notifies:
            received[int(notify.payload)].append(at)
        listening.notifies.clear()
    return received


def percentiles(milliseconds: list[float]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the greatest."""
    cuts = quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[98], max(milliseconds)


@pytest.mark.parametrize("windows", [20, pytest.param(200, marks=[pytest.mark.long, pytest.mark.alone])])
def test_every_edge_is_one_flip_at_its_instant(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures, windows: int
) -> None:
    daemons.ready(database_url)
    span = max(2, windows // 8)
    instances = [
        instance_soon(app, session_here(app), starts_in, starts_in + 2 + number % 2)
        for number in range(windows)
        for starts_in in [2 + windows // 50 + number % span]
    ]
    due = {id_: [opens, closes] for id_, opens, closes in _windows(app, instances)}
    with connected(database_url) as listening:
        execute(listening, "LISTEN active_changed")
        received = receive_flips(listening, 2 * windows, seconds=span + TIMEOUT_SECONDS)

    assert {id_: len(edges) for id_, edges in due.items()} == {id_: len(times) for id_, times in received.items()}
    late = [(at - edge) * 1000 for id_ in due for at, edge in zip(received[id_], due[id_], strict=True)]
    assert min(late) >= 0, "an edge was early"
    expected = [
        (active, edge, "timer") for id_ in instances for active, edge in zip((True, False), due[id_], strict=True)
    ]
    assert expected == [
        (active, due_at.timestamp(), cause)
        for id_ in instances
        for active, due_at, cause in execute(
            app,
            "SELECT active, due_at, cause FROM activation_log WHERE session_instance_id = %s "
            "ORDER BY activation_log_id",
            id_,
        )
    ]
    assert early_flips(app) == []
    p50, p99, greatest = percentiles(late)
    figures(f"edge to visible, {2 * windows} edges: p50 {p50:.1f} p99 {p99:.1f} max {greatest:.1f} ms")
    if windows >= 200:
        assert p99 < 50


def _windows(app: Connection, instances: list[int]) -> list[tuple[int, float, float]]:
    """Return when these instances, in a zone without clock changes and without buffers, open and close."""
    statement = """
        SELECT session_instance_id, extract(epoch FROM (date + start_time) AT TIME ZONE timezone)::float,
               extract(epoch FROM (date + end_time) AT TIME ZONE timezone)::float
        FROM session_instance JOIN session USING (session_id) WHERE session_instance_id = ANY (%s)
    """
    return [(id_, opens, closes) for id_, opens, closes in execute(app, statement, instances)]


# Each beside a running daemon, by raw SQL. A row is the planner's, or one that the app inserted with the same times.


def planned(app: Connection, starts_in: float, ends_in: float) -> tuple[int, int]:
    """Return a session and its instance, that the planner made."""
    session_id = session_here(app, weekly(starts_in, ends_in))
    wait_until_reconciled(app)
    return session_id, only_instance(app, session_id)


def by_hand(app: Connection, starts_in: float, ends_in: float) -> tuple[int, int]:
    """Return a session and its instance, that the app inserted with the recurrence's own times."""
    session_id = session_here(app)
    start, end = (local(at).replace(second=0) for at in (starts_in, ends_in))
    add_instance(app, session_id, f"{start:%Y-%m-%d}", f"{start:%H:%M}", f"{end:%H:%M}")
    change_session(app, session_id, recurrence=weekly(starts_in, ends_in))
    wait_until_reconciled(app)
    return session_id, only_instance(app, session_id)


def recurrence(starts_in: float, ends_in: float) -> Change:
    return lambda app, session_id, _: change_session(app, session_id, recurrence=weekly(starts_in, ends_in))


def session(**columns: Any) -> Change:
    return lambda app, session_id, _: change_session(app, session_id, **columns)


def instance(**columns: Any) -> Change:
    return lambda app, _, instance_id: change_instance(app, instance_id, **columns)


def starting(seconds_from_now: float) -> Change:
    return lambda app, _, instance_id: change_instance(app, instance_id, start_time=local(seconds_from_now).time())


def ending(seconds_from_now: float) -> Change:
    return lambda app, _, instance_id: change_instance(app, instance_id, end_time=local(seconds_from_now).time())


LATER, NOW = (5 * HOUR, 7 * HOUR), (-2 * HOUR, 2 * HOUR)
RECENT = (-5 * HOUR, -2 * HOUR)
YESTERDAY = local(-24 * HOUR).date()
BOTH = pytest.mark.parametrize("row", [planned, by_hand])
Row = Callable[[Connection, float, float], tuple[int, int]]


@pytest.mark.parametrize(
    ("row", "times", "edit"),
    [
        pytest.param(planned, LATER, recurrence(*NOW), id="recurrence-planned"),
        pytest.param(by_hand, LATER, recurrence(*NOW), id="recurrence-by_hand"),
        pytest.param(planned, LATER, session(active_buffer_minutes_before=360), id="buffer_before-planned"),
        pytest.param(by_hand, LATER, session(active_buffer_minutes_before=360), id="buffer_before-by_hand"),
        pytest.param(by_hand, RECENT, session(active_buffer_minutes_after=180), id="buffer_after-by_hand"),
        pytest.param(planned, LATER, starting(-HOUR), id="start-planned"),
        pytest.param(by_hand, LATER, starting(-HOUR), id="start-by_hand"),
    ],
)
def test_an_edit_that_comes_to_cover_now_opens_at_once(  # noqa: PLR0917 -- the columns of the table
    shared_daemon: DaemonProcess,
    shared_app: Connection,
    figures: Figures,
    row: Row,
    times: tuple[float, float],
    edit: Change,
) -> None:
    session_id, instance_id = row(shared_app, *times)
    assert on(shared_app, session_id) is None

    begun = time.monotonic()
    edit(shared_app, session_id, instance_id)

    assert instance_id == eventually(lambda: on(shared_app, session_id), "the instance is active")
    figures(f"edit to active: {(time.monotonic() - begun) * 1000:.0f} ms")
    assert causes(shared_app, session_id) == [(True, "notify")]
    who = value(shared_app, "SELECT daemon FROM activation_log WHERE session_id = %s", session_id)
    assert who == f"{socket.gethostname()}:{shared_daemon.pid}"
    line = f' instance={instance_id} session={session_id} name="The Cobblestone" active=true cause=notify '
    eventually(lambda: line in shared_daemon.log, "its flip is logged, with its name")


@BOTH
@pytest.mark.parametrize(
    ("away", "back"),
    [
        pytest.param(recurrence(*LATER), recurrence(*NOW), id="recurrence"),
        pytest.param(session(timezone=ELSEWHERE), session(timezone=NOON), id="zone"),
        pytest.param(session(termination_date=YESTERDAY), session(termination_date=None), id="termination"),
        pytest.param(instance(is_cancelled=True), instance(is_cancelled=False), id="cancelled"),
        pytest.param(ending(-HOUR), ending(2 * HOUR), id="end"),
        pytest.param(starting(HOUR), starting(-HOUR), id="start"),
    ],
)
def test_an_edit_away_from_now_closes_at_once_and_back_opens_again(
    shared_app: Connection, figures: Figures, row: Row, away: Change, back: Change
) -> None:
    session_id, instance_id = row(shared_app, *NOW)
    assert instance_id == on(shared_app, session_id)

    begun = time.monotonic()
    away(shared_app, session_id, instance_id)
    eventually(lambda: on(shared_app, session_id) is None, "the instance is not active")
    figures(f"edit to inactive: {(time.monotonic() - begun) * 1000:.0f} ms")
    back(shared_app, session_id, instance_id)

    assert instance_id == eventually(lambda: on(shared_app, session_id), "the instance is active again")
    assert causes(shared_app, session_id) == [(True, "notify"), (False, "notify"), (True, "notify")]
    assert instance_id == only_instance(shared_app, session_id)


@BOTH
def test_a_buffer_that_is_cut_closes_at_once(shared_app: Connection, row: Row) -> None:
    session_id, _ = row(shared_app, *LATER)
    change_session(shared_app, session_id, active_buffer_minutes_before=360)
    eventually(lambda: on(shared_app, session_id), "the instance is active")

    change_session(shared_app, session_id, active_buffer_minutes_before=120)

    eventually(lambda: on(shared_app, session_id) is None, "the instance is not active")
    assert causes(shared_app, session_id) == [(True, "notify"), (False, "notify")]


@BOTH
@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(ending(3 * HOUR), id="end"),
        pytest.param(starting(-3 * HOUR), id="start"),
        pytest.param(recurrence(-3 * HOUR, 3 * HOUR), id="recurrence"),
        pytest.param(session(active_buffer_minutes_before=60, active_buffer_minutes_after=90), id="buffers"),
        pytest.param(session(termination_date=local(0).date()), id="terminated-from-tomorrow-on"),
        pytest.param(instance(comments="mind the step"), id="comment"),
    ],
)
def test_an_edit_that_still_covers_now_flips_nothing(shared_app: Connection, row: Row, edit: Change) -> None:
    session_id, instance_id = row(shared_app, *NOW)

    edit(shared_app, session_id, instance_id)
    wait_until_reconciled(shared_app)

    assert instance_id == on(shared_app, session_id)
    assert causes(shared_app, session_id) == [(True, "notify")]


@BOTH
def test_an_instance_deleted_while_on_is_not_made_again(shared_app: Connection, row: Row) -> None:
    session_id, instance_id = row(shared_app, *NOW)
    assert instance_id == on(shared_app, session_id)

    delete_instance(shared_app, instance_id)
    wait_until_reconciled(shared_app)

    assert instances_of(shared_app, session_id) == []
    assert execute(shared_app, "SELECT 1 FROM active_instance WHERE session_id = %s", session_id) == []


def test_a_session_deleted_while_on_leaves_nothing_behind(shared_app: Connection) -> None:
    session_id, _ = planned(shared_app, *NOW)

    execute(shared_app, "DELETE FROM session WHERE session_id = %s", session_id)
    wait_until_reconciled(shared_app)

    for table in ("session_plan", "activation_window", "active_instance", "planned_instance"):
        assert execute(shared_app, f"SELECT 1 FROM {table} WHERE session_id = %s", session_id) == []


def test_l3_an_idle_daemon_asks_for_little(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemons.ready(database_url)
    planned(app, *LATER)
    time.sleep(1.5)  # servers count what a connection did once a second
    execute(app, "SELECT pg_stat_force_next_flush()")  # and what the test asked while it waited, now
    count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    before = value(app, count)
    time.sleep(3)

    assert value(app, count) - before < 30  # a beat each second, and what the test itself asks


def test_an_edge_that_a_hook_has_planned_is_no_less_exact(shared_app: Connection, shared_url: str) -> None:
    with connected(shared_url, autocommit=False) as theirs:
        session_id = session_here(theirs)
        instance_soon(theirs, session_id, 4, 60)
        assert session_saved(theirs, session_id).edges
        theirs.commit()

    eventually(lambda: on(shared_app, session_id), "the instance is active")

    assert causes(shared_app, session_id) == [(True, "timer")]


def test_a_bit_that_the_app_is_putting_out_keeps_no_daemon_busy(shared_app: Connection, shared_url: str) -> None:
    _, instance_id = planned(shared_app, *NOW)
    elsewhere, _ = planned(shared_app, *NOW)
    with connected(shared_url, autocommit=False) as theirs:
        execute(theirs, "UPDATE session_instance SET active = false WHERE session_instance_id = %s", instance_id)
        add_check_in(shared_app, instance_id, add_person(shared_app))
        asked = value(shared_app, "SELECT last_value FROM plan_request_request_id_seq")
        time.sleep(1)
        change_session(shared_app, elsewhere, active_buffer_minutes_after=1)
        again = value(shared_app, "SELECT last_value FROM plan_request_request_id_seq")
        theirs.rollback()

    wait_until_reconciled(shared_app)
    assert again - asked < 20


def test_the_sweep_changes_nothing_while_a_daemon_lives(shared_app: Connection, shared_url: str) -> None:
    session_id = session_here(shared_app)
    instance_soon(shared_app, session_id, 30, 60)
    planned(shared_app, *NOW)
    before = value(shared_app, "SELECT max(activation_log_id) FROM activation_log")

    swept = sweep(shared_url, "--alert")

    assert swept.returncode == 0, swept.stderr
    assert "activated=0 deactivated=0 planned=0 people=0 repaired=0" in swept.stderr
    assert "daemon_alive=true" in swept.stderr
    assert before == value(shared_app, "SELECT max(activation_log_id) FROM activation_log")


def test_after_kill_9_the_sweep_repairs_the_edges_that_passed(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    daemon = daemons.ready(database_url)
    closing, opening = session_here(app), session_here(app)
    instance_soon(app, closing, -60, 2)
    instance_soon(app, opening, 2, 60)
    eventually(lambda: on(app, closing), "the first is on")
    daemon.kill()
    assert on(app, opening) is None, "killed too late"
    time.sleep(2)
    assert on(app, closing)

    swept = sweep(database_url)

    assert swept.returncode == 0, swept.stderr
    assert on(app, closing) is None
    assert on(app, opening)
    assert causes(app, closing)[1:] == [(False, "sweep")]
    assert causes(app, opening) == [(True, "sweep")]


def test_l2_without_a_daemon_the_sweep_opens_a_minute_ahead_and_a_new_daemon_keeps_that(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    opens_soon, opens_later, closes_soon = session_here(app), session_here(app), session_here(app)
    instance_soon(app, opens_soon, 50, 120)
    instance_soon(app, opens_later, 90, 120)
    instance_soon(app, closes_soon, -60, 50)

    swept = sweep(database_url, "--alert")

    assert swept.returncode == 2, swept.stderr
    assert causes(app, opens_soon) == [(True, "sweep")]
    assert causes(app, opens_later) == []
    assert causes(app, closes_soon) == [(True, "sweep")], "nothing is closed early"
    flips = execute(app, "SELECT * FROM activation_log")
    daemons.ready(database_url)
    wait_until_reconciled(app)
    assert flips == execute(app, "SELECT * FROM activation_log")
    assert on(app, opens_soon)


def edges_for(app: Connection, seconds: int, each_second: int) -> list[int]:
    """Add instances that open, and close two seconds later, over so many seconds; return their sessions."""
    sessions = [session_here(app) for _ in range(seconds * each_second)]
    for number, session_id in enumerate(sessions):
        starts_in = 1 + number % seconds
        instance_soon(app, session_id, starts_in, starts_in + 2)
    return sessions


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.long)])
def test_two_daemons_flip_each_edge_once_though_one_is_stopped_on_the_way(
    daemons: Daemons, database_url: str, app: Connection, seconds: int
) -> None:
    first, second = daemons.start(database_url), daemons.start(database_url)
    first.wait_for("ready")
    second.wait_for("ready")
    sessions = edges_for(app, seconds, each_second=4)

    for _ in range(0, seconds, 4):
        for stopped in (first, second):
            time.sleep(0.7)
            stopped.pause()
            time.sleep(1.3)
            stopped.resume()

    expected = len(sessions) * 2
    eventually(lambda: value(app, "SELECT count(*) FROM activation_log") >= expected, "every edge has flipped")
    time.sleep(0.2)
    assert {(True, False)} == {tuple(active for active, _ in causes(app, id_)) for id_ in sessions}
    assert early_flips(app) == []


def test_what_no_notify_told_of_is_found_by_the_resync(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemons.ready(database_url, RESYNC_SECONDS="1")
    cancelled, instance_id = planned(app, *NOW)
    switched, switched_instance = planned(app, *LATER)

    with connected(database_url, autocommit=False) as quiet:
        execute(quiet, "SET LOCAL seisiun.own_write = 'on'")  # no trigger says anything
        change_instance(quiet, instance_id, is_cancelled=True)
        execute(quiet, "INSERT INTO plan_request (session_id) VALUES (%s)", cancelled)
        change_instance(quiet, switched_instance, active=True)
        quiet.commit()

    eventually(lambda: on(app, cancelled) is None, "the cancellation is found")
    assert causes(app, cancelled)[1:] == [(False, "resync")]
    eventually(lambda: on(app, switched) is None, "a bit that nobody asked for is put right")
    assert causes(app, switched) == [(False, "repair")]


@pytest.mark.parametrize("sessions", [1000])
def test_a_thousand_edges_at_one_instant_are_one_go(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures, sessions: int
) -> None:
    execute(
        app,
        "INSERT INTO session (name, timezone, active_buffer_minutes_before, active_buffer_minutes_after) "
        "SELECT 'a session', %s, 0, 0 FROM generate_series(1, %s)",
        *(NOON, sessions),
    )
    daemon = daemons.ready(database_url)
    wait_until_reconciled(app)
    starts_in = 4.0
    start, end = local(starts_in), local(HOUR)
    execute(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time) "
        "SELECT session_id, %s, %s, %s FROM session",
        *(start.date(), start.time(), end.time()),
    )
    begun = time.monotonic()
    wait_until_reconciled(app)
    planning = time.monotonic() - begun
    edge = start.replace(tzinfo=ZoneInfo(NOON)).timestamp()
    assert time.time() < edge, f"planning took {planning:.1f} s: the edges have passed"

    count = "SELECT count(*) FROM active_instance"
    eventually(lambda: value(app, count) > 0, "the first flip")
    first = time.time()
    eventually(lambda: value(app, count) == sessions, "all are on")
    last = time.time()

    assert [(sessions, True, "timer")] == execute(
        app, "SELECT count(DISTINCT session_instance_id), active, cause FROM activation_log GROUP BY active, cause"
    )
    assert sessions == value(app, "SELECT count(*) FROM activation_log")
    assert early_flips(app) == []
    figures(
        f"{sessions} edges at one instant: planned in {planning:.2f} s; first visible after "
        f"{(first - edge) * 1000:.0f} ms, last after {(last - edge) * 1000:.0f} ms"
    )
    assert not daemon.ended


def test_it_pings_when_its_passes_succeed(daemons: Daemons, database_url: str) -> None:
    with ping_server() as service:
        daemons.ready(database_url, DAEMON_PING_URL=service.url)

        eventually(lambda: service.ends() == [("", "")], "it pings")


@pytest.mark.parametrize("serve", [never_answer, send_a_header_without_end, send_without_end])
def test_an_address_for_pings_that_does_not_behave_holds_up_no_edge_and_no_end(
    daemons: Daemons, database_url: str, app: Connection, serve: Serve
) -> None:
    with serving(serve) as url:
        daemon = daemons.ready(database_url, DAEMON_PING_URL=url)
        session_id = session_here(app)
        instance_soon(app, session_id, 2, 60)
        eventually(lambda: causes(app, session_id) == [(True, "timer")], "it opens")

        assert value(app, "SELECT extract(epoch FROM done_at - due_at) < 1 FROM activation_log")
        status, seconds = daemon.stop()
        assert (status, seconds < STOPS_WITHIN_SECONDS) == (0, True)
        assert TOKEN not in daemon.log


def test_it_counts_the_flip_that_a_timer_made(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemons.ready(database_url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    eventually(lambda: causes(app, session_id) == [(True, "timer")], "it opens")

    flips = "SELECT counters -> 'flips' FROM daemon_heartbeat"
    eventually(lambda: value(app, flips) == [["timer", True, 1]], "the next heartbeat tells of it", seconds=5)
    counted = value(app, "SELECT counters FROM daemon_heartbeat")
    assert (counted["late"]["+Inf"], counted["misses"]) == (1, 0)
    assert counted["passes"] >= 2
    assert 0 < counted["pass_seconds"] < 20
