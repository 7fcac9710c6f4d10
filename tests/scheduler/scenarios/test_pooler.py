"""Behind a transaction-mode pooler: LISTEN is accepted, and nothing is ever delivered.

Covers core.db.listener, scheduler.daemon.worker.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.listener import Listener
from core.store.notify import SESSION_CHANGED
from tests.commands import run
from tests.data import change_session
from tests.scheduler.daemon_process import Daemons, eventually
from tests.scheduler.pooler import PROGRAM, transaction_pooler
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

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer on this machine")

Figures = Callable[[str], None]


@pytest.fixture
def pooler_url(database_url: str) -> Iterator[str]:
    with transaction_pooler(database_url) as url:
        yield url


def test_a_listener_is_not_fooled_by_its_own_notification_which_comes_back_with_the_answer(pooler_url: str) -> None:
    listener = Listener(pooler_url, SESSION_CHANGED, lambda _: None, lambda: None)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()

    eventually(lambda: listener.not_receiving or listener.listening_since, "it knows whether it receives")

    assert listener.not_receiving
    listener.stop()
    thread.join(1)
    assert not thread.is_alive()


def test_it_says_that_it_is_not_receiving_keeps_the_edges_and_polls_for_edits(
    daemons: Daemons, pooler_url: str, app: Connection, figures: Figures
) -> None:
    daemons.allow_errors("not_receiving", "database_lost")
    daemon = daemons.ready(pooler_url).wait_for("not_receiving")
    session_id = session_here(app)
    instance_soon(app, session_id, 3, 5)
    wait_until_reconciled(app)

    took = []
    edited = session_here(app)
    for minutes in (90, 30, 90):
        begun = time.monotonic()
        change_session(app, edited, recurrence=weekly(HOUR, 2 * HOUR), active_buffer_minutes_before=minutes)
        wanted = 1 if minutes == 90 else 0
        eventually(partial(_as_many_are_on, app, edited, wanted), "the edit is found")
        took.append(time.monotonic() - begun)

    figures(f"edits found by polling behind a pooler: {', '.join(f'{each:.2f}' for each in took)} s")
    assert max(took) < 2.5, "the resync is 30 s away"
    assert {"resync"} == {cause for _, cause in causes(app, edited)}
    eventually(lambda: causes(app, session_id) == [(True, "timer"), (False, "timer")], "both edges, by timers")
    assert early_flips(app) == []
    status = run("-m", "scheduler", "status", "--json", settings={"DATABASE_URL": pooler_url})
    assert status.returncode == 1
    assert any("receives no notifications" in problem for problem in json.loads(status.stdout)["problems"])
    assert len(daemon.events("not_receiving")) == 1
    assert len(daemon.events("database_lost")) <= 1, "once, when the pooler forgets what is prepared"


def _as_many_are_on(app: Connection, session_id: int, wanted: int) -> bool:
    return wanted == int(on(app, session_id) is not None)
