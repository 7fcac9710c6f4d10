"""The server's notification queue is full: edges are in time, and edits are found by asking.

Covers core.db.transactions, core.db.listener, core.store.notify.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import update_active_sessions
from core.db import create_engine
from core.db.embedded import EmbeddedPostgres, connect_or_start
from core.migrations import migrate
from tests.data import add_check_in, add_person, connected, execute, person_at, value
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
