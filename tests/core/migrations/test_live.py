"""The migration of an app that goes on working meanwhile."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest

from core.migrations import _LOCK_KEY, migrate
from core.migrations.live import LOCK_TIMEOUT_MS, function_source
from tests.core.migrations.catalogue import catalogue
from tests.core.migrations.existing_app import install
from tests.data import connected, execute, value
from tests.scheduler.daemon_process import eventually


@contextmanager
def held(url: str, statement: str) -> Iterator[Callable[[], None]]:
    """A transaction of the app's that has run this statement, until it is let go."""
    with connected(url, autocommit=False) as connection:
        execute(connection, statement)
        yield connection.rollback


def longest_select(url: str, stopped: threading.Event) -> float:
    """Read the session table again and again; return the longest that it took, in seconds."""
    longest = 0.0
    with connected(url) as connection:
        while not stopped.is_set():
            begun = time.monotonic()
            execute(connection, "SELECT count(*) FROM session")
            longest = max(longest, time.monotonic() - begun)
            time.sleep(0.005)
    return longest


def test_long_transaction_of_the_apps_delays_the_migration_and_blocks_no_reader(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, stopped = empty_database_url, threading.Event()
    with connected(url) as app:
        install(app)
    with ThreadPoolExecutor(2) as pool, held(url, "LOCK TABLE session IN ROW EXCLUSIVE MODE") as let_go:
        reading = pool.submit(longest_select, url, stopped)
        migrating = pool.submit(migrate, url)
        time.sleep(2)
        assert not migrating.done()
        told = [line for line in caplog.messages if "waits_for" in line]
        with connected(url) as app:
            holder = value(app, "SELECT pid FROM pg_locks WHERE relation = 'session'::regclass AND granted LIMIT 1")
        let_go()
        assert migrating.result(30) is None
        stopped.set()

    assert reading.result() < LOCK_TIMEOUT_MS / 1000 + 0.5
    assert len(told) == 1, "once, and not at each try"
    for part in (f"pid={holder}", "application=", "role=postgres", 'state="idle in transaction"', 'since="20'):
        assert part in told[0]


def test_a_migration_tells_at_once_which_other_one_it_waits_for(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as pool, connected(empty_database_url) as other:
        execute(other, "SELECT pg_advisory_lock(%s)", _LOCK_KEY)
        migrating = pool.submit(migrate, empty_database_url)
        eventually(lambda: [line for line in caplog.messages if "waits_for" in line], "it tells")
        assert not migrating.done()
        holder = other.info.backend_pid
        execute(other, "SELECT pg_advisory_unlock(%s)", _LOCK_KEY)
        assert migrating.result(30) is None

    [told] = [line for line in caplog.messages if "waits_for" in line]
    assert f"pid={holder}" in told


def test_old_snapshot_delays_the_indexes_and_fails_nothing(empty_database_url: str) -> None:
    """CREATE INDEX CONCURRENTLY waits for every transaction that could still read without the index: a backup, say."""
    with (
        ThreadPoolExecutor(1) as pool,
        held(
            empty_database_url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class"
        ) as end,
    ):
        migrating = pool.submit(migrate, empty_database_url)
        time.sleep(LOCK_TIMEOUT_MS / 1000 + 1)
        end()
        assert migrating.result(30) is None


def test_index_that_a_cut_off_attempt_left_invalid_is_replaced(every_empty_database_url: str) -> None:
    with connected(every_empty_database_url) as app:
        install(app)
        execute(
            app,
            "ALTER TABLE session_instance_person DROP CONSTRAINT one_answer_each; INSERT INTO session_instance_person "
            "(session_instance_id, person_id, attendance) VALUES (1, 1, 'no')",
        )
        with pytest.raises(psycopg2.errors.UniqueViolation):
            execute(
                app,
                "CREATE UNIQUE INDEX CONCURRENTLY session_instance_person_once "
                "ON session_instance_person (session_instance_id, person_id)",
            )
        execute(app, "DELETE FROM session_instance_person WHERE attendance = 'no'")
        invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        assert value(app, invalid) == 1

        migrate(every_empty_database_url)

        assert value(app, invalid) == 0
        assert [name for name in catalogue(app)["index"] if "session_instance_person_once" in name]


def test_migration_that_is_killed_is_taken_up_by_the_next(empty_database_url: str, database_url: str) -> None:
    url = empty_database_url
    with connected(url) as app, connected(database_url) as whole:
        execute(app, "CREATE TABLE person (person_id integer PRIMARY KEY)")
        with held(url, "LOCK TABLE person") as let_go:
            command = [sys.executable, "-c", "import sys; from core.migrations import migrate; migrate(sys.argv[1])"]
            with subprocess.Popen([*command, url]) as migrating:
                _wait_until(lambda: bool(value(app, "SELECT count(*) FROM pg_locks WHERE NOT granted")))
                migrating.send_signal(signal.SIGKILL)
            let_go()
        migrate(url)

        for part in ("trigger", "function"):
            assert catalogue(app)[part] == catalogue(whole)[part]
        assert value(app, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == 0


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO {}t VALUES (1)", "UPDATE {}t SET a = 1", "DELETE FROM {}t", "SELECT {}seisiun_f(1)"]
)
def test_a_function_names_the_schema_of_each_table_that_it_writes(statement: str) -> None:
    """It searches pg_catalog alone, so that a name without a schema is not found, and the app's own write fails."""
    source = function_source(f"IF TG_OP = 'UPDATE' THEN {statement.format('')}; END IF;", None, '"public"')

    assert statement.format('"public".') in source
    assert "TG_OP = 'UPDATE' THEN" in source
