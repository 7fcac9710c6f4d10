"""The daemon told to stop, and the daemon when its database, or a part of it, goes away.

Covers scheduler.daemon.worker, scheduler.daemon.outage, core.db.timeouts.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.embedded import EmbeddedPostgres
from tests.data import add_fleet, connected, execute, value
from tests.scheduler.daemon_process import STOPS_WITHIN_SECONDS, Daemons, assert_stops, eventually
from tests.scheduler.port_forwarder import PortForwarder
from tests.scheduler.soon import HOUR, NOON, causes, instance_soon, on, session_here, wait_until_reconciled, weekly

Figures = Callable[[str], None]


@contextmanager
def suspended(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop all processes of a server: connections stay, and nobody answers."""
    postmaster = psutil.Process(int((server.log.parent / "data" / "postmaster.pid").read_text().splitlines()[0]))
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


def beats(app: Connection) -> int:
    return int(value(app, "SELECT count(*) FROM daemon_heartbeat WHERE ended IS NULL"))


def test_sigterm_ends_it_and_its_heartbeat(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    daemon = daemons.ready(database_url)
    eventually(lambda: beats(app) == 1, "a heartbeat")

    assert_stops(daemon, "when idle", figures)

    assert beats(app) == 0
    assert value(app, "SELECT ended FROM daemon_heartbeat") == "stopped by SIGTERM"


def test_sigterm_ends_it_while_the_database_cannot_be_reached(
    daemons: Daemons, forwarder: PortForwarder, figures: Figures
) -> None:
    forwarder.open()
    daemon = daemons.ready(forwarder.url)
    forwarder.shut()
    daemon.wait_for("database_lost")

    assert_stops(daemon, "connections refused", figures)


def test_sigterm_ends_it_while_the_database_does_not_answer(
    daemons: Daemons, own_server: EmbeddedPostgres, figures: Figures
) -> None:
    daemon = daemons.ready(own_server.url)
    with suspended(own_server):
        time.sleep(1.2)  # in the middle of a beat

        assert_stops(daemon, "database does not answer", figures)


def test_a_second_sigterm_ends_it_at_once(daemons: Daemons, own_server: EmbeddedPostgres) -> None:
    daemon = daemons.ready(own_server.url)
    with suspended(own_server):
        time.sleep(1.2)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("stopping")

        status, seconds = daemon.stop()

    assert status == 3
    assert seconds < 1


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param("SELECT 1 FROM session_instance FOR UPDATE", id="row", marks=pytest.mark.long),
        pytest.param("LOCK TABLE session_instance", id="table"),
    ],
)
def test_sigterm_ends_it_while_somebody_holds_what_it_wants(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures, lock: str
) -> None:
    session_id = session_here(app)
    instance_soon(app, session_id, -60, 60)
    with connected(database_url, autocommit=False) as holding:
        execute(holding, lock)
        daemon = daemons.ready(database_url)
        time.sleep(0.5)

        assert_stops(daemon, "a lock is held", figures)

    assert beats(app) == 0
    assert causes(app, session_id) == []


def test_sigterm_ends_it_while_several_chunks_wait_for_a_lock(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    add_fleet(app, 450, weekly(-HOUR, HOUR))
    execute(app, "UPDATE session SET timezone = %s", NOON)
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "LOCK TABLE session_instance")
        daemon = daemons.start(database_url)
        # Not after a fixed time: a slow machine would not have begun, and would have no handler for the signal yet.
        eventually(
            lambda: value(app, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0, "a chunk waits for the lock"
        )

        assert_stops(daemon, "several chunks wait for a lock", figures)


@pytest.mark.long
def test_it_waits_for_a_row_and_reports_who_holds_it(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemon = daemons.ready(database_url)
    held, free = session_here(app), session_here(app)
    held_instance = instance_soon(app, held, 2, 60)
    instance_soon(app, free, 2, 60)
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "SELECT 1 FROM session_instance WHERE session_instance_id = %s FOR UPDATE", held_instance)
        eventually(lambda: on(app, free), "the other one is on")
        daemon.wait_for("deferred")
        assert f'session={held} name="The Cobblestone" ' in daemon.events("deferred")[0]
        assert f"held_by={holding.info.backend_pid}" in daemon.events("deferred")[0]
        assert on(app, held) is None

    eventually(lambda: on(app, held), "it is on")
    assert [active for active, _ in causes(app, held)] == [True]


def test_a_lock_on_tables_that_no_flip_needs_holds_up_no_edge(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    daemons.ready(database_url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    wait_until_reconciled(app)
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "LOCK TABLE daemon_heartbeat, skipped_occurrence")

        eventually(lambda: on(app, session_id), "it is on")

    assert causes(app, session_id) == [(True, "timer")]


def test_it_starts_before_the_database_can_be_reached(
    daemons: Daemons, forwarder: PortForwarder, app: Connection
) -> None:
    session_id = session_here(app)
    instance_soon(app, session_id, -60, 60)
    daemon = daemons.start(forwarder.url)
    daemon.wait_for("database_lost", times=2)

    forwarder.open()

    daemon.wait_for("ready")
    assert on(app, session_id)


def test_an_edge_that_passes_while_the_database_is_away_is_made_up_for(
    daemons: Daemons, forwarder: PortForwarder, app: Connection
) -> None:
    forwarder.open()
    daemon = daemons.ready(forwarder.url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    wait_until_reconciled(app)
    forwarder.shut()
    time.sleep(2.2)
    assert on(app, session_id) is None

    forwarder.open()

    eventually(lambda: on(app, session_id), "it is on")
    daemon.wait_for("listening", times=2)
    assert not daemon.ended


def test_it_heals_when_all_its_connections_are_ended(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemon = daemons.ready(database_url)

    execute(app, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'seisiun %'")

    daemon.wait_for("listening", times=2)
    wait_until_reconciled(app)
    time.sleep(1.2)  # a beat
    session_id = session_here(app, weekly(-HOUR, HOUR))
    eventually(lambda: on(app, session_id), "an edit is received")
    assert causes(app, session_id) == [(True, "notify")]


def test_it_heals_when_the_server_crashes_and_restarts(daemons: Daemons, own_server: EmbeddedPostgres) -> None:
    daemon = daemons.ready(own_server.url)
    with connected(own_server.url) as app:
        session_id = session_here(app)
        instance_soon(app, session_id, 2, 60)
        wait_until_reconciled(app)
        os.kill(app.info.backend_pid, signal.SIGKILL)  # the server ends every connection, and recovers

    daemon.wait_for("listening", times=2)
    with connected(own_server.url) as app:
        eventually(lambda: on(app, session_id), "it is on")
    assert not daemon.ended


def test_a_database_that_is_not_migrated_ends_it_with_a_clear_error(daemons: Daemons, empty_database_url: str) -> None:
    daemons.allow_errors("part_failed", "part_died")
    daemon = daemons.start(empty_database_url)

    assert daemon.wait() == 1
    assert "run `python -m seisiun migrate`" in daemon.log
    assert "Traceback" not in daemon.log


def test_a_part_that_dies_ends_the_process(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemons.allow_errors("part_failed", "part_died")
    daemon = daemons.ready(database_url)

    # As after a migration by another release: the worker must not go on once it has to connect again.
    execute(app, "UPDATE seisiun_schema_version SET version_num = '9999'")
    execute(app, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seisiun daemon'")

    assert daemon.wait() == 1
    assert "is at revision 9999" in daemon.log
    assert daemon.events("part_died")


@pytest.mark.long
def test_a_server_that_stands_still_for_long_is_lost_and_found_again(
    daemons: Daemons, own_server: EmbeddedPostgres
) -> None:
    daemon = daemons.ready(own_server.url)
    with connected(own_server.url) as app:
        session_id = session_here(app)
        instance_soon(app, session_id, 4, 60)
        wait_until_reconciled(app)
    with suspended(own_server):
        time.sleep(40)
        assert not daemon.ended, "it tries again and again, and that is progress"

    with connected(own_server.url) as app:
        begun = time.monotonic()
        eventually(lambda: on(app, session_id), "it is on")
        assert time.monotonic() - begun < 2 * STOPS_WITHIN_SECONDS
    daemon.wait_for("database_back")


@pytest.mark.long
def test_a_daemon_stopped_for_long_goes_on(daemons: Daemons, database_url: str, app: Connection) -> None:
    daemon = daemons.ready(database_url)
    session_id = session_here(app)
    instance_soon(app, session_id, 10, 60)
    wait_until_reconciled(app)
    daemon.pause()
    time.sleep(35)
    daemon.resume()

    eventually(lambda: on(app, session_id), "it is on")
    time.sleep(1)
    assert not daemon.ended, daemon.log
