"""The daemon, the sweep and the operator's commands, when nobody reads what they write, or it cannot be written.

Covers core.streams, core.logs.
"""

import contextlib
import os
import signal
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import SWEEP, run
from tests.data import execute, value
from tests.scheduler.daemon_process import STOPS_WITHIN_SECONDS, eventually
from tests.scheduler.soon import HOUR, causes, on, session_here, weekly
from tests.unusable_streams import STATES, ended, start, unusable

pytestmark = pytest.mark.process


def test_the_daemon_works_and_stops_whatever_became_of_its_streams(
    database_url: str, app: Connection, figures: Callable[[str], None]
) -> None:
    with contextlib.ExitStack() as opened:
        daemons = {}
        for state in STATES:
            descriptor = opened.enter_context(unusable(state))
            daemons[state] = start(
                state, descriptor, "-m", "scheduler", "run", DATABASE_URL=database_url, LOG_LEVEL="DEBUG"
            )
            opened.callback(daemons[state].wait)
            opened.callback(daemons[state].kill)
        eventually(
            lambda: value(app, "SELECT count(listening_since) FROM daemon_heartbeat") == 4,
            "four that listen",
            seconds=60,  # four that start at once, perhaps on a busy machine
        )

        session = session_here(app, weekly(-HOUR, HOUR))
        eventually(lambda: on(app, session), "the session is on")
        written = value(app, "SELECT clock_timestamp()")
        execute(app, "SELECT pg_notify('session_changed', '')")
        eventually(
            lambda: value(app, "SELECT count(*) FROM daemon_heartbeat WHERE last_look_at > %s", written) == 4,
            "each daemon finishes a pass",
        )
        troubles: dict[int, str] = dict(execute(app, "SELECT pid, coalesce(trouble, '') FROM daemon_heartbeat"))
        status = run("-m", "scheduler", "status", settings={"DATABASE_URL": database_url})

        took = {}
        for daemon in daemons.values():
            daemon.send_signal(signal.SIGTERM)
        for state, daemon in daemons.items():
            code, took[state] = ended(daemon, 20)
            assert code == 0, state

    figures(f"SIGTERM with a log that cannot be written: {max(took.values()):.2f} s")
    assert max(took.values()) < STOPS_WITHIN_SECONDS
    assert value(app, "SELECT count(*) FROM daemon_heartbeat WHERE ended IS NULL") == 0
    for state in ("broken", "full"):
        assert "lines lost: " in troubles[daemons[state].pid]
    assert "its log is not read or cannot be written: lines lost: " in status.stdout


def test_the_daemon_ends_with_an_error_in_its_settings_that_nobody_reads() -> None:
    with unusable("unread") as descriptor:
        status, _ = ended(start("unread", descriptor, "-m", "scheduler", "run", RESYNC_SECONDS="0"), 20)

    assert status == 1


@pytest.mark.parametrize("state", STATES)
def test_the_sweep_does_its_work_and_keeps_its_exit_status(database_url: str, app: Connection, state: str) -> None:
    session = session_here(app, weekly(-HOUR, HOUR))
    with unusable(state) as descriptor:
        process = start(state, descriptor, SWEEP, "--alert", DATABASE_URL=database_url, LOG_LEVEL="DEBUG")
        status, _ = ended(process, 20)

    assert status == 2, "no daemon is alive"
    assert causes(app, session) == [(True, "sweep")]


@pytest.mark.parametrize(
    ("command", "state", "expected", "told"),
    [
        ("status", "broken", 1, ""),
        ("upcoming", "broken", 0, ""),
        ("upcoming", "closed", 0, ""),
        ("upcoming", "full", 1, "Error: [Errno 28] No space left on device\n"),
    ],
)
def test_a_command_whose_output_goes_nowhere_shows_no_traceback_and_fails_only_on_a_full_disk(
    database_url: str, command: str, state: str, expected: int, told: str
) -> None:
    reader, writer = os.pipe()
    with unusable(state) as descriptor:
        process = start(state, descriptor, "-m", "scheduler", command, stderr=writer, DATABASE_URL=database_url)
        os.close(writer)
        status, _ = ended(process, 20)
    with os.fdopen(reader) as errors:
        assert errors.read() == told

    assert status == expected
