"""The database refuses: a poisoned row, a trigger of the app's, a privilege, a policy, a read-only database.

Nothing is ever deactivated for it, the others go on, and what could not be done is done when the cause is gone.

Covers core.reconcile.batches, core.store.queue.retries, scheduler.daemon.outage.
"""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import make_url

from tests.commands import run
from tests.data import change_session, connected, execute, value
from tests.scheduler.daemon_process import DaemonProcess, Daemons, eventually
from tests.scheduler.soon import HOUR, causes, instance_soon, on, session_here, wait_until_reconciled, weekly

Figures = Callable[[str], None]
HEALS_WITHIN = 2.5  # a first retry after half a second, and what a busy machine takes

RAISES = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE OF active ON session_instance FOR EACH ROW {when} EXECUTE FUNCTION refuse()
"""

ENDS_THE_CONNECTION = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE OF active ON session_instance FOR EACH ROW
        WHEN (OLD.session_instance_id = {}) EXECUTE FUNCTION refuse()
"""


@pytest.fixture
def daemon(daemons: Daemons, database_url: str) -> DaemonProcess:
    daemons.allow_errors("look_failed", "failed")
    return daemons.ready(database_url)


def status(url: str) -> tuple[int, str]:
    """Return the exit status of `status`, and the problems."""
    done = run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": url})
    return done.returncode, "; ".join(json.loads(done.stdout)["problems"]) if done.stdout else done.stderr


@pytest.mark.usefixtures("daemon")
def test_l5_poisoned_row_stops_no_other_and_is_tried_again_within_a_second_of_an_edit(
    app: Connection, figures: Figures
) -> None:
    poisoned, closing, healthy = session_here(app), session_here(app), session_here(app)
    instance = instance_soon(app, poisoned, 2, 60)
    instance_soon(app, closing, -60, 2)
    instance_soon(app, healthy, 2, 60)
    eventually(lambda: on(app, closing), "it is on")
    execute(app, RAISES.format(when=f"WHEN (OLD.session_instance_id = {instance})"))

    eventually(lambda: on(app, healthy) and not on(app, closing), "the others go on")
    eventually(lambda: failures(app, poisoned) >= 3, "it is tried again and again")
    assert causes(app, poisoned) == []
    execute(app, "DROP TRIGGER refuse ON session_instance")
    execute(app, "UPDATE session_plan SET retry_at = clock_timestamp() + interval '50 s' WHERE failures > 0")
    begun = time.monotonic()
    change_session(app, poisoned, active_buffer_minutes_after=1)

    eventually(lambda: on(app, poisoned), "an edit is reconciled, whatever the retry")
    took = time.monotonic() - begun
    figures(f"an edit of a session that backs off: on after {took:.2f} s")
    assert took < HEALS_WITHIN
    assert failures(app, poisoned) == 0


def failures(app: Connection, session_id: int) -> int:
    return int(value(app, "SELECT failures FROM session_plan WHERE session_id = %s", session_id))


@pytest.mark.usefixtures("daemon")
def test_l5_when_a_trigger_no_longer_raises_the_one_that_tries_each_second_calls_all_others(
    app: Connection, figures: Figures
) -> None:
    execute(app, RAISES.format(when=""))
    failing = [session_here(app) for _ in range(5)]
    for session_id in failing:
        instance_soon(app, session_id, -60, 60)
    eventually(lambda: all(failures(app, id_) >= 4 for id_ in failing), "all but one wait for seconds")

    execute(app, "DROP TRIGGER refuse ON session_instance")
    begun = time.monotonic()

    eventually(lambda: all(on(app, id_) for id_ in failing), "all are on")
    figures(f"a trigger raised for all for a while: right {time.monotonic() - begun:.2f} s after it was dropped")
    assert time.monotonic() - begun < HEALS_WITHIN


def test_l5_more_failures_than_a_chunk_holds_keep_nobody_waiting(
    daemon: DaemonProcess, app: Connection, figures: Figures
) -> None:
    execute(app, RAISES.format(when="WHEN (OLD.comments = 'poison')"))
    starts_in = 4.0
    execute(
        app,
        "INSERT INTO session (name, timezone, active_buffer_minutes_before, active_buffer_minutes_after) "
        "SELECT 'a session', 'UTC', 0, 0 FROM generate_series(1, 250)",
    )
    execute(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time, comments) "
        "SELECT session_id, at::date, at::time, (at + interval '3 hours')::time, 'poison' FROM session, "
        "(SELECT date_trunc('second', clock_timestamp() AT TIME ZONE 'UTC') + make_interval(secs => %s) AS at) s",
        starts_in,
    )
    healthy = session_here(app)
    instance_soon(app, healthy, starts_in + 1, 60)
    wait_until_reconciled(app)
    begun = time.monotonic()

    eventually(lambda: on(app, healthy), "the healthy one behind 250 poisoned ones is on")

    figures(f"a healthy edge behind 250 poisoned ones: {time.monotonic() - begun:.1f} s after the planning")
    assert causes(app, healthy) == [(True, "timer")], "not found by a resync"
    assert not daemon.ended


CLERK = "clerk_of_refusals"


@pytest.fixture
def clerk_url(database_url: str) -> Iterator[str]:
    """The URL of a role that may do what a daemon must, and that a privilege can be taken from."""
    with connected(database_url) as app:
        execute(app, f"CREATE ROLE {CLERK} LOGIN PASSWORD 'clerk'")
        execute(app, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {CLERK}")
        execute(app, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {CLERK}")
        yield make_url(database_url).set(username=CLERK, password="clerk").render_as_string(hide_password=False)
        execute(app, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", CLERK)
        execute(app, f"DROP OWNED BY {CLERK}; DROP ROLE {CLERK}")


@pytest.fixture
def daemon_of_clerk(daemons: Daemons, clerk_url: str) -> DaemonProcess:
    daemons.allow_errors("look_failed", "failed")
    return daemons.ready(clerk_url, RESYNC_SECONDS="1")


@pytest.mark.parametrize(
    ("take", "told"),
    [
        pytest.param("REVOKE SELECT ON activation_window FROM", "the database refuses its work", id="reading"),
        pytest.param("REVOKE UPDATE ON session_instance FROM", "sessions overdue: 1", id="writing"),
        pytest.param(
            "REVOKE SELECT, INSERT ON activation_log FROM", "sessions overdue: 1", id="logging", marks=pytest.mark.long
        ),
    ],
)
def test_p10_a_revoked_privilege_changes_nothing_and_heals_when_it_is_granted(
    daemon_of_clerk: DaemonProcess, database_url: str, app: Connection, take: str, told: str
) -> None:
    staying, opening = session_here(app), session_here(app)
    stays = instance_soon(app, staying, -60, 60)
    instance_soon(app, opening, 2, 60)
    eventually(lambda: on(app, staying), "it is on")

    execute(app, f"{take} {CLERK}")
    eventually(lambda: told in status(database_url)[1], f"status tells: {told}")

    assert (stays, None) == (on(app, staying), on(app, opening))
    assert causes(app, staying) == [(True, "notify")]
    assert daemon_of_clerk.events("database_lost") == []
    assert "permission denied" in daemon_of_clerk.log
    execute(app, f"{take.replace('REVOKE', 'GRANT').replace('FROM', 'TO')} {CLERK}")
    begun = time.monotonic()
    eventually(lambda: on(app, opening), "what was due is on")
    assert time.monotonic() - begun < 10, "it has failed for seconds, and waits no longer than that"
    assert not daemon_of_clerk.ended


def test_p10_a_heartbeat_that_is_refused_stops_no_edge(daemon_of_clerk: DaemonProcess, app: Connection) -> None:
    execute(app, f"REVOKE ALL ON daemon_heartbeat FROM {CLERK}")
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)

    daemon_of_clerk.wait_for("postponed")
    eventually(lambda: on(app, session_id), "it is on")
    assert causes(app, session_id) == [(True, "timer")]
    execute(app, f"GRANT ALL ON daemon_heartbeat TO {CLERK}")


@pytest.mark.parametrize(
    "table",
    [
        "activation_window",
        pytest.param("session_instance", marks=pytest.mark.long),
        pytest.param("session", marks=pytest.mark.long),
    ],
)
def test_l4_a_policy_that_hides_rows_is_an_error_and_closes_nothing(
    daemon_of_clerk: DaemonProcess, app: Connection, table: str
) -> None:
    session_id = session_here(app, weekly(-HOUR, HOUR))
    instance = eventually(lambda: on(app, session_id), "it is on")
    wait_until_reconciled(app)

    execute(app, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")  # without a policy, no row is visible
    execute(app, "UPDATE session_plan SET next_plan_at = clock_timestamp() WHERE %s <> 'activation_window'", table)
    time.sleep(3)  # it searches for bits without a window each second

    assert instance == on(app, session_id)
    assert "row-level security" in daemon_of_clerk.log
    execute(app, f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    eventually(lambda: value(app, "SELECT count(*) FROM session_plan WHERE failures > 0") == 0, "all is well again")
    assert instance == on(app, session_id)
    assert [active for active, _ in causes(app, session_id)] == [True]


def test_p10_a_database_made_read_only_changes_nothing_and_heals(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    daemon = daemons.ready(database_url)
    staying, closing = session_here(app), session_here(app)
    instance_soon(app, staying, -60, 60)
    instance_soon(app, closing, -60, 3)
    eventually(lambda: on(app, staying) and on(app, closing), "both are on")
    name = value(app, "SELECT current_database()")

    execute(app, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end_connections(app)
    daemon.wait_for("database_refused")
    time.sleep(3)

    assert on(app, staying)
    assert on(app, closing), "it could not be closed"
    assert "read-only transaction" in daemon.events("database_refused")[0]
    code, problems = status(database_url)
    assert code == 1
    assert "cannot be written to" in problems
    execute(app, f"SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only")
    begun = time.monotonic()
    eventually(lambda: on(app, closing) is None, "what was due is closed")
    figures(f"a read-only database can be written again: right after {time.monotonic() - begun:.2f} s")
    assert on(app, staying)
    daemon.wait_for("database_back")
    eventually(lambda: status(database_url)[0] == 0, "status is healthy again")


def end_connections(app: Connection) -> None:
    execute(app, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'seisiun %'")


def test_l5_a_session_that_costs_the_connection_each_time_stops_no_other(
    daemon: DaemonProcess, app: Connection, figures: Figures
) -> None:
    poisoned, closing, healthy = session_here(app), session_here(app), session_here(app)
    instance = instance_soon(app, poisoned, 2, 60)
    instance_soon(app, closing, -60, 2)
    instance_soon(app, healthy, 2, 60)
    eventually(lambda: on(app, closing), "it is on")
    execute(app, ENDS_THE_CONNECTION.format(instance))
    begun = time.monotonic()

    eventually(lambda: on(app, healthy) and not on(app, closing), "the others go on")
    figures(f"edges beside a session that costs the connection: {time.monotonic() - begun - 2:.1f} s late")
    eventually(lambda: failures(app, poisoned) >= 2, "it is tried again and again")
    lost = len(daemon.events("database_lost"))
    execute(app, "DROP TRIGGER refuse ON session_instance")
    eventually(lambda: on(app, poisoned), "it is on")
    assert lost <= 3
    assert not daemon.ended


def test_p10_an_answer_that_breaks_off_in_the_middle_closes_nothing(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    """Its backend is ended again and again while it reads; each time it begins again.

    After three lost passes in a row it reconciles each session alone, and calls those failed that lose the next one.
    """
    daemons.allow_errors("failed")
    daemon = daemons.ready(database_url, RESYNC_SECONDS="1")
    sessions = [session_here(app, weekly(-HOUR, HOUR)) for _ in range(20)]
    eventually(lambda: all(on(app, id_) for id_ in sessions), "all are on")
    for _ in range(40):
        execute(app, "UPDATE session SET active_buffer_minutes_after = active_buffer_minutes_after + 1")
        end_connections(app)
        time.sleep(0.05)
    wait_until_reconciled(app)

    assert all(on(app, id_) for id_ in sessions)
    assert [1] * len(sessions) == [len(causes(app, id_)) for id_ in sessions]
    assert not daemon.ended
