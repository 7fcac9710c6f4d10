"""The network drops packets without an error: no connection closes, and the nearest kernel still acknowledges.

Covers core.db.timeouts, core.db.listener, scheduler.daemon.outage.
"""

import threading
import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.listener import Listener
from core.store.notify import SESSION_CHANGED
from tests.data import execute
from tests.scheduler.daemon_process import Daemons, assert_stops, eventually
from tests.scheduler.port_forwarder import PortForwarder
from tests.scheduler.soon import HOUR, causes, instance_soon, on, session_here, wait_until_reconciled, weekly

Figures = Callable[[str], None]
HEALS_WITHIN = 15.0  # seconds


def test_worker_and_listener_heal_when_the_network_forgets_their_connections(
    daemons: Daemons, forwarder: PortForwarder, app: Connection, figures: Figures
) -> None:
    forwarder.open()
    daemon = daemons.ready(forwarder.url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    wait_until_reconciled(app)

    forwarder.forget_connections()
    begun = time.monotonic()

    eventually(lambda: on(app, session_id), "the edge that passed meanwhile is made up for")
    worker = time.monotonic() - begun
    daemon.wait_for("listening", times=2)
    listener = time.monotonic() - begun
    time.sleep(1.2)  # the sessions that it found again are reconciled
    edited = session_here(app, weekly(-HOUR, HOUR))
    eventually(lambda: on(app, edited), "an edit is received")
    figures(f"silent network: worker healed in {worker:.1f} s, listener in {listener:.1f} s")
    assert max(worker, listener) < HEALS_WITHIN
    assert causes(app, edited) == [(True, "notify")]
    assert not daemon.ended


@pytest.mark.long
def test_all_is_right_within_seconds_of_a_silent_network_that_speaks_again(
    daemons: Daemons, forwarder: PortForwarder, app: Connection, figures: Figures
) -> None:
    forwarder.open()
    daemon = daemons.ready(forwarder.url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    wait_until_reconciled(app)
    forwarder.fall_silent()
    time.sleep(25)

    forwarder.carry_again()
    begun = time.monotonic()

    eventually(lambda: on(app, session_id), "it is on")
    daemon.wait_for("listening", times=2)
    took = time.monotonic() - begun
    figures(f"right {took:.1f} s after a network that was silent for 25 s speaks")
    assert took < HEALS_WITHIN
    assert not daemon.ended


@pytest.mark.long
def test_a_listener_by_itself_heals_when_the_network_forgets_its_connection(
    forwarder: PortForwarder, app: Connection
) -> None:
    """As in an app's web process, where nobody watches it."""
    forwarder.open()
    began = threading.Semaphore(0)
    payloads: list[str] = []
    listener = Listener(forwarder.url, SESSION_CHANGED, payloads.append, began.release)
    thread = threading.Thread(target=listener.run)
    thread.start()
    assert began.acquire(timeout=5)

    forwarder.forget_connections()

    assert began.acquire(timeout=HEALS_WITHIN)
    execute(app, "SELECT pg_notify(%s, '12')", SESSION_CHANGED)
    eventually(lambda: payloads == ["12"], "a notification is received")
    listener.stop()
    thread.join(1)
    assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0.3, pytest.param(6.5, marks=pytest.mark.long)])
def test_sigterm_ends_it_though_the_network_is_silent(
    daemons: Daemons, forwarder: PortForwarder, figures: Figures, seconds: float
) -> None:
    forwarder.open()
    daemon = daemons.ready(forwarder.url)
    forwarder.fall_silent()
    time.sleep(1 + seconds)  # in the middle of a beat, or of the listener's own notification

    assert_stops(daemon, "in a silent network", figures)


def test_sigterm_ends_it_while_it_connects_to_what_never_answers(
    daemons: Daemons, forwarder: PortForwarder, figures: Figures
) -> None:
    forwarder.open()
    forwarder.fall_silent()
    daemon = daemons.start(forwarder.url)
    eventually(lambda: len(forwarder.sockets) >= 4, "worker and listener connect")  # both ends of two connections

    assert_stops(daemon, "while connecting", figures)


def test_a_database_that_is_away_is_a_line_a_second_at_most(daemons: Daemons, forwarder: PortForwarder) -> None:
    forwarder.open()
    daemon = daemons.ready(forwarder.url)
    seconds = 5
    before = len(daemon.log.splitlines())

    forwarder.shut()
    time.sleep(seconds)

    lines = daemon.log.splitlines()[before:]
    assert 2 <= len(lines) <= seconds + 1, lines
    assert {"database_lost", "listener_lost"} == {line.split("event=")[1].split()[0] for line in lines}
