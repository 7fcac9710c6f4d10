"""The server's notification queue is full, or the app's transactions do not notify: edges and edits are in time.

Covers core.db.transactions, core.db.listener, core.store.notify, core.migrations.choices, scheduler.daemon.worker.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import check_in, instance_saved, session_saved, update_active_sessions
from core.db import create_engine
from core.db.embedded import EmbeddedPostgres, connect_or_start
from core.db.transactions import transactions
from core.migrations import migrate
from core.status import status
from core.store.queue.requests import new_since
from tests.commands import run
from tests.data import add_check_in, add_person, change_session, connected, execute, person_at, requests, value
from tests.scheduler.daemon_process import Daemons, eventually
from tests.scheduler.soon import HOUR, causes, instance_soon, on, session_here, wait_until_reconciled

Figures = Callable[[str], None]

SETTINGS = {"max_notify_queue_pages": "64", "max_prepared_transactions": "4"}


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server whose notification queue is as small as can be, and which accepts prepared transactions."""
    directory = tmp_path_factory.mktemp("small") / "postgres"
    with connect_or_start(directory, durable=False, settings=SETTINGS) as server:
        migrate(server.url)
        yield server


@pytest.fixture
def small_app(small_server: EmbeddedPostgres) -> Iterator[Connection]:
    with connected(small_server.url) as connection:
        yield connection
        execute(connection, "SELECT pg_notification_queue_usage()")  # drops what nobody waits for any more


@contextlib.contextmanager
def full_queue(url: str) -> Iterator[None]:
    """Keep the notification queue full: somebody listens, and stays in a transaction."""
    with connected(url) as idle, connected(url) as filling:
        execute(idle, "LISTEN filler")
        execute(idle, "BEGIN")
        while notifies(filling, "x" * 7900):
            pass
        yield


def notifies(app: Connection, payload: str = "") -> bool:
    """Notify; return whether PostgreSQL accepts the commit."""
    with contextlib.suppress(psycopg2.errors.ProgramLimitExceeded):
        execute(app, "SELECT pg_notify('filler', %s)", payload)
        return True
    return False


def test_l6_a_full_notification_queue_stops_no_edge_and_is_freed(
    daemons: Daemons, small_server: EmbeddedPostgres, small_app: Connection, figures: Figures
) -> None:
    daemon = daemons.ready(small_server.url)
    closing, opening = session_here(small_app), session_here(small_app)
    here, there = instance_soon(small_app, closing, -60, HOUR), instance_soon(small_app, opening, 3, HOUR)
    person = add_person(small_app)
    add_check_in(small_app, here, person)
    eventually(lambda: person_at(small_app, person) == here, "the person is at the first")
    add_check_in(small_app, there, person)  # in the minute before the opening: the person moves at the edge
    wait_until_reconciled(small_app)

    with full_queue(small_server.url):
        eventually(lambda: on(small_app, opening) and person_at(small_app, person) == there, "it opens, and they move")
        wait_until_reconciled(small_app)  # the request that the move leaves for others is found by asking
        assert daemon.events("not_notified")
        assert not notifies(small_app)
    eventually(lambda: notifies(small_app), "once the slow listener has gone, the daemon frees the queue", seconds=5)

    assert causes(small_app, opening) == [(True, "timer")]
    assert value(small_app, "SELECT count(*) FROM session_plan WHERE failures > 0") == 0
    late = value(small_app, "SELECT max(done_at - due_at) FROM activation_log WHERE session_id = %s", opening)
    figures(f"an edge while the notification queue is full: {late.total_seconds() * 1000:.0f} ms late")
    assert late.total_seconds() < 1


def test_l6_a_pass_while_the_notification_queue_is_full_commits(
    small_server: EmbeddedPostgres, small_app: Connection
) -> None:
    session = session_here(small_app)
    instance = instance_soon(small_app, session, -60, HOUR)
    engine = create_engine(small_server.url)
    with full_queue(small_server.url):
        begun = time.monotonic()
        result = update_active_sessions(engine)
        assert time.monotonic() - begun < 1
    engine.dispose()

    assert [flip.session_instance_id for flip in result.activated] == [instance]
    assert not result.failed
    assert on(small_app, session) == instance


# Notifications off: the app's own transactions do not notify


@pytest.fixture
def quiet_url(small_server: EmbeddedPostgres) -> Iterator[str]:
    """A database whose app does not notify."""
    migrate(small_server.url, notifications=False)
    migrate(small_server.url)  # migrating again leaves the choice as it is
    yield small_server.url
    migrate(small_server.url, notifications=True)


@contextlib.contextmanager
def hears(url: str, channel: str) -> Iterator[Callable[[], list[str]]]:
    """Yield a function that returns the payloads received on a channel so far."""
    with connected(url) as listening:
        execute(listening, f"LISTEN {channel}")

        def payloads() -> list[str]:
            execute(listening, "SELECT 1")
            return [notify.payload for notify in listening.notifies]

        yield payloads


@pytest.mark.parametrize("hooks", [False, True], ids=["raw SQL", "hooks"])
def test_l6_with_notifications_off_the_app_may_prepare_its_transactions(
    quiet_url: str, small_app: Connection, hooks: bool
) -> None:
    session, person = session_here(small_app), add_person(small_app)
    instance = instance_soon(small_app, session, -60, HOUR)
    with connected(quiet_url, autocommit=False) as app:
        app.tpc_begin(app.xid(1, f"an evening {hooks}", "here"))
        change_session(app, session, city="Dublin", active_buffer_minutes_after=1)
        if hooks:
            assert instance_saved(app, instance).activated
            at = check_in(app, person, instance, "yes").at
            assert at is not None
            assert at.session_instance_id == instance
        else:
            add_check_in(app, instance, person)
        app.tpc_prepare()
        app.tpc_commit()

    assert on(small_app, session) == (instance if hooks else None)
    assert session in requests(small_app)


def test_l6_with_notifications_on_a_prepared_transaction_is_refused_by_postgresql(
    small_server: EmbeddedPostgres, small_app: Connection
) -> None:
    session = session_here(small_app)
    with connected(small_server.url, autocommit=False) as app:
        app.tpc_begin(app.xid(1, "an evening", "here"))
        change_session(app, session, active_buffer_minutes_after=1)
        with pytest.raises(psycopg2.errors.FeatureNotSupported):
            app.tpc_prepare()


def test_with_notifications_off_the_app_sends_none_and_a_daemon_finds_its_edits_and_tells_the_pages(
    daemons: Daemons, quiet_url: str, small_app: Connection, figures: Figures
) -> None:
    daemons.ready(quiet_url)
    session = session_here(small_app)
    wait_until_reconciled(small_app)
    took = []
    with hears(quiet_url, "session_changed") as asked, hears(quiet_url, "active_changed") as told:
        for _ in range(10):
            begun = time.monotonic()
            instance = instance_soon(small_app, session, -60, HOUR)
            eventually(lambda: on(small_app, session), "the edit is found")
            took.append(time.monotonic() - begun)
            execute(small_app, "DELETE FROM session_instance WHERE session_instance_id = %s", instance)
            wait_until_reconciled(small_app)
        assert asked() == []
        assert "" in told()
    figures(f"edits with notifications off, of 10: {1000 * min(took):.0f} to {1000 * max(took):.0f} ms")
    assert max(took) < 1


def test_with_notifications_off_a_daemon_tells_the_pages_of_a_hooks_flips(
    daemons: Daemons, quiet_url: str, small_app: Connection
) -> None:
    daemons.ready(quiet_url)
    session = session_here(small_app)
    instance = instance_soon(small_app, session, 600, HOUR)
    wait_until_reconciled(small_app)
    with connected(quiet_url, autocommit=False) as app, hears(quiet_url, "active_changed") as told:
        eventually(lambda: told() == [], "nothing is told")
        # No edit: what the hook itself changes must reach the pages.
        assert session_saved(app, session, now=datetime.now(UTC) + timedelta(minutes=11)).activated
        assert told() == []
        app.commit()
        eventually(lambda: "" in told(), "the pages are told")
    assert instance


def test_a_request_that_commits_late_is_found_by_the_next_poll(quiet_url: str, small_app: Connection) -> None:
    session, other = session_here(small_app), session_here(small_app)
    engine = create_engine(quiet_url)
    with connected(quiet_url, autocommit=False) as slow, engine.connect() as connection:
        change_session(slow, session, active_buffer_minutes_after=1)
        change_session(small_app, other, active_buffer_minutes_after=1)
        polls = connection.execution_options(isolation_level="AUTOCOMMIT")
        is_new, polled = new_since(polls, None)
        assert is_new
        is_new, polled = new_since(polls, polled)
        assert not is_new, "what is known is no news"
        slow.commit()
        is_new, polled = new_since(polls, polled)
        assert is_new, "its transaction began before the last poll"
        assert not new_since(polls, polled)[0]
    engine.dispose()


def test_l6_an_old_snapshot_does_not_slow_the_poll(quiet_url: str, small_app: Connection, figures: Figures) -> None:
    dead = 400_000  # ten minutes of 700 requests a second
    engine = create_engine(quiet_url)
    with connected(quiet_url, autocommit=False) as old, transactions(engine) as begin:
        execute(old, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        execute(old, "SELECT 1")
        execute(small_app, "INSERT INTO plan_request (session_id) SELECT n FROM generate_series(1, %s) n", dead)
        execute(small_app, "DELETE FROM plan_request")
        polled: str | None = None
        took = []
        for _ in range(50):
            with begin() as connection:
                begun = time.perf_counter()
                is_new, polled = new_since(connection, polled)
                took.append(time.perf_counter() - begun)
        assert not is_new
    engine.dispose()
    figures(f"a poll behind an old snapshot and {dead:,} dead requests: {1000 * median(took):.2f} ms (median of 50)")
    assert median(took) < 0.005


@pytest.fixture(params=["on", "off"])
def either_url(request: pytest.FixtureRequest, small_server: EmbeddedPostgres) -> str:
    """A database with this choice of notifications."""
    return str(request.getfixturevalue("quiet_url") if request.param == "off" else small_server.url)


def test_l6_a_full_queue_stops_neither_the_app_nor_its_edits(
    daemons: Daemons, either_url: str, small_app: Connection
) -> None:
    daemons.ready(either_url)
    session, person = session_here(small_app), add_person(small_app)
    engine = create_engine(either_url)
    with full_queue(either_url), connected(either_url, autocommit=False) as hooked:
        instance = instance_soon(small_app, session, -60, HOUR)
        eventually(lambda: on(small_app, session) == instance, "the edit is found", seconds=2)
        execute(hooked, "UPDATE session SET active_buffer_minutes_before = 30 WHERE session_id = %s", session)
        session_saved(hooked, session)
        check_in(hooked, person, instance, "yes")
        hooked.commit()
        assert person_at(small_app, person) == instance
        wait_until_reconciled(small_app)
        with engine.connect() as connection:
            found = status(connection)
    assert "notification queue is 100% full" in " ".join(found.problems)
    assert "seisiun_request_about" not in " ".join(found.problems), "the choice is no damage"
    assert not found.app_notifies
    engine.dispose()


def test_a_daemon_follows_the_choice_while_it_runs(
    daemons: Daemons, small_server: EmbeddedPostgres, small_app: Connection
) -> None:
    daemons.ready(small_server.url)
    session, url = session_here(small_app), small_server.url
    chosen = run("-m", "scheduler", "migrate", "--notifications=off", settings={"DATABASE_URL": url})
    assert chosen.returncode == 0, chosen.stderr
    instance = instance_soon(small_app, session, -60, HOUR)
    eventually(lambda: on(small_app, session), "an edit is found by asking", seconds=2)
    migrate(url, notifications=True)
    execute(small_app, "DELETE FROM session_instance WHERE session_instance_id = %s", instance)
    wait_until_reconciled(small_app)
    migrate(small_server.url)
    with hears(small_server.url, "session_changed") as asked:
        change_session(small_app, session, active_buffer_minutes_after=1)
        assert asked() == [""], "migrating again leaves the choice as it is"
