"""Nothing grows: a year of edges, and a million edits, leave a daemon as large as it was.

Covers scheduler.daemon, core.store.queue.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import actives, add_fleet, execute, value
from tests.scheduler.daemon_process import DaemonProcess, Daemons, eventually
from tests.scheduler.soon import HOUR, NOON, early_flips, wait_until_reconciled, weekly

EDGES_OF_A_YEAR = 4000  # of 38 weekly sessions
A_MILLION = 1_000_000
ONE_ROUND = 20_000
GROWTH = 6_000_000  # bytes; what allocators keep

Figures = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    memory: int
    threads: int
    descriptors: int
    connections: int

    def __str__(self) -> str:
        return (
            f"{self.memory / 1e6:.1f} MB, {self.threads} threads, {self.descriptors} descriptors, "
            f"{self.connections} connections"
        )


def size_of(daemon: DaemonProcess, app: Connection) -> Size:
    process = psutil.Process(daemon.pid)
    connections = value(app, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'seisiun %%'")
    return Size(process.memory_info().rss, process.num_threads(), process.num_fds(), connections)


def assert_flat(before: Size, after: Size) -> None:
    assert after.memory - before.memory < GROWTH
    assert after.threads <= before.threads
    assert after.descriptors <= before.descriptors
    assert after.connections <= before.connections


def open_and_close(app: Connection, edges: int, seconds: int) -> None:
    """Have half as many instances each open and close at an instant of its own, spread over so many seconds."""
    execute(
        app,
        "WITH made AS ("
        "  INSERT INTO session (name, timezone, active_buffer_minutes_before, active_buffer_minutes_after)"
        "  SELECT 'Edge ' || n, 'UTC', 0, 0 FROM generate_series(1, %s) n RETURNING session_id"
        "), timed AS ("
        "  SELECT session_id, clock_timestamp() AT TIME ZONE 'UTC' + interval '5 seconds'"
        "  + row_number() OVER () * interval '1 second' * %s / %s AS starts FROM made"
        ") INSERT INTO session_instance (session_id, date, start_time, end_time)"
        "  SELECT session_id, starts::date, starts::time, (starts + interval '1.5 seconds')::time FROM timed",
        *(edges // 2, seconds, edges // 2),
    )
    wait_until_reconciled(app)
    over = "SELECT count(*) FROM activation_window WHERE phase <> 'over'"
    eventually(lambda: value(app, over) == 0, "all have closed", seconds=seconds + 60)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_p12_a_year_of_edges_leaves_the_daemon_as_large_as_it_was(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    daemon = daemons.ready(database_url)
    open_and_close(app, 400, 10)  # so that everything has been used once
    before = size_of(daemon, app)

    open_and_close(app, EDGES_OF_A_YEAR, 60)

    after = size_of(daemon, app)
    figures(f"a year of edges: {before}; then {after}")
    flips = value(app, "SELECT count(*) FROM activation_log")
    assert flips == EDGES_OF_A_YEAR + 400
    assert early_flips(app) == []
    assert_flat(before, after)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_p12_a_million_edits_leave_the_daemon_as_large_as_it_was(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    add_fleet(app, 1000, weekly(-HOUR, HOUR))
    execute(app, "UPDATE session SET timezone = %s", NOON)
    daemon = daemons.ready(database_url)
    edit = (
        "UPDATE session SET active_buffer_minutes_after = (active_buffer_minutes_after + 1) %% 100 "
        "WHERE session_id %% 50 = %s"
    )

    def storm(edits: int) -> None:
        for number in range(edits // 20):  # rows in a statement
            execute(app, edit, number % 50)
        wait_until_reconciled(app)

    storm(4 * ONE_ROUND)
    before, begun = size_of(daemon, app), time.monotonic()

    for _ in range(A_MILLION // ONE_ROUND):
        storm(ONE_ROUND)

    after, took = size_of(daemon, app), time.monotonic() - begun
    figures(f"a million edits in {took:.0f} s: {before}; then {after}")
    assert actives(app) == 1000
    assert_flat(before, after)
