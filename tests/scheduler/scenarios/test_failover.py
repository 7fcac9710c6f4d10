"""A primary and its standby, and one URL with both hosts.

Covers scheduler.daemon.outage, core.db, core.db.listener.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import active_instances, whereabouts, who_is_here
from core.db.embedded import EmbeddedPostgres, connect_or_start
from core.explain import explain_instance
from core.migrations import migrate
from tests.commands import run
from tests.data import connected, execute, value
from tests.scheduler.daemon_process import Daemons, eventually
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
from tests.scheduler.standby import standby_of, stop_hard, url_of_both

Figures = Callable[[str], None]


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with connect_or_start(tmp_path / "primary", durable=False) as server:
        migrate(server.url)
        yield server


@pytest.fixture
def standby(primary: EmbeddedPostgres, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with standby_of(primary, tmp_path / "standby") as server:
        yield server


def has_caught_up(primary: Connection, standby: Connection) -> bool:
    written = value(primary, "SELECT pg_current_wal_insert_lsn()")
    return bool(value(standby, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written))


def test_when_the_primary_is_lost_the_daemon_goes_on_at_the_standby_that_was_promoted(
    daemons: Daemons, primary: EmbeddedPostgres, standby: EmbeddedPostgres, figures: Figures
) -> None:
    both = url_of_both(standby.url, primary.url)
    migrated = run("-m", "scheduler", "migrate", settings={"DATABASE_URL": both})
    assert migrated.returncode == 0, migrated.stderr
    daemon = daemons.ready(both)
    with connected(primary.url) as before, connected(standby.url) as after:
        staying, passing = session_here(before), session_here(before)
        instance_soon(before, staying, -60, 120)
        instance_soon(before, passing, 3, 120)
        eventually(lambda: on(before, staying), "it is on")
        wait_until_reconciled(before)
        eventually(lambda: has_caught_up(before, after), "the standby has it all")

        stop_hard(primary)
        daemon.wait_for("database_lost")
        time.sleep(3)
        assert on(after, staying)
        assert on(after, passing) is None
        execute(after, "SELECT pg_promote()")
        begun = time.monotonic()

        eventually(lambda: on(after, passing), "the edge that passed meanwhile is made up for")
        figures(f"failover: right {time.monotonic() - begun:.2f} s after the promotion")
        daemon.wait_for("listening", times=2)
        edited = session_here(after, weekly(-HOUR, HOUR))
        eventually(lambda: on(after, edited), "an edit is received")
        assert [active for active, _ in causes(after, staying)] == [True], "never deactivated"
        assert early_flips(after) == []
    eventually(lambda: problems(both) == [], "the next beat says that it listens")
    assert not daemon.ended


def problems(url: str) -> list[str]:
    """Return the problems that `status` tells."""
    status = run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": url})
    found: list[str] = json.loads(status.stdout)["problems"]
    return found


def read_by_calls(db: Connection) -> int:
    """Ask the calls that only read for the one session that is on; they answer on a standby too."""
    [place] = active_instances(db)
    assert who_is_here(db, place.session_instance_id).here == ()
    assert whereabouts(db, person_id=1) is None
    assert explain_instance(db, place.session_instance_id).session_id == place.session_id
    return place.session_id


def test_on_a_standby_it_deactivates_nothing_says_so_and_goes_on_when_it_is_promoted(
    daemons: Daemons, primary: EmbeddedPostgres, standby: EmbeddedPostgres
) -> None:
    with connected(primary.url) as app:
        session_id = session_here(app)
        execute(app, "UPDATE session SET recurrence = %s", weekly(-HOUR, HOUR))
        swept = run("jobs/check_active_sessions.py", settings={"DATABASE_URL": primary.url})
        assert swept.returncode == 0, swept.stderr
        assert on(app, session_id)
        execute(app, "UPDATE session SET recurrence = NULL")  # it is to be closed, and nobody can
        with connected(standby.url) as reader:
            eventually(lambda: has_caught_up(app, reader), "the standby has it all")
    stop_hard(primary)

    daemon = daemons.start(standby.url).wait_for("database_refused", times=2)

    with connected(standby.url) as app:
        assert on(app, session_id)
        assert read_by_calls(app) == session_id
        assert "read-only transaction" in daemon.events("database_refused")[0]
        status = run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": standby.url})
        assert status.returncode == 1
        assert any("it is a standby" in problem for problem in json.loads(status.stdout)["problems"])
        execute(app, "SELECT pg_promote()")
        daemon.wait_for("ready")
        eventually(lambda: on(app, session_id) is None, "it is closed now")
    assert not daemon.ended
