"""The network drops without a word: nothing is closed, and the nearest kernel goes on acknowledging."""

import threading
import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db.listener import Listener
from core.store.notify import SESSION_CHANGED
from tests.data import execute
from tests.scheduler.daemon_process import Daemons, assert_stops, eventually
from tests.scheduler.gate import Gate
from tests.scheduler.soon import HOUR, causes, instance_soon, on, session_here, wait_until_seen, weekly

Figures = Callable[[str], None]
HEALS_WITHIN = 15.0  # seconds


def test_worker_and_listener_heal_when_the_network_forgets_their_connections(
    daemons: Daemons, gate: Gate, app: Connection, figures: Figures
) -> None:
    gate.open()
    daemon = daemons.ready(gate.url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    wait_until_seen(app)

    gate.forget_those_inside()
    begun = time.monotonic()

    eventually(lambda: on(app, session_id), "the edge that passed meanwhile is made up for")
    worker = time.monotonic() - begun
    daemon.wait_for("listening", times=2)
    listener = time.monotonic() - begun
    time.sleep(1.2)  # what is found anew has been looked at
    heard = session_here(app, weekly(-HOUR, HOUR))
    eventually(lambda: on(app, heard), "an edit is heard")
    figures(f"silent network: worker healed in {worker:.1f} s, listener in {listener:.1f} s")
    assert max(worker, listener) < HEALS_WITHIN
    assert causes(app, heard) == [(True, "notify")]
    assert not daemon.ended


@pytest.mark.long
def test_all_is_right_within_seconds_of_a_silent_network_that_speaks_again(
    daemons: Daemons, gate: Gate, app: Connection, figures: Figures
) -> None:
    gate.open()
    daemon = daemons.ready(gate.url)
    session_id = session_here(app)
    instance_soon(app, session_id, 2, 60)
    wait_until_seen(app)
    gate.fall_silent()
    time.sleep(25)

    gate.speak()
    begun = time.monotonic()

    eventually(lambda: on(app, session_id), "it is on")
    daemon.wait_for("listening", times=2)
    took = time.monotonic() - begun
    figures(f"right {took:.1f} s after a network that was silent for 25 s speaks")
    assert took < HEALS_WITHIN
    assert not daemon.ended


@pytest.mark.long
def test_a_listener_by_itself_heals_when_the_network_forgets_its_connection(gate: Gate, app: Connection) -> None:
    """As in an app's web process, where nobody watches it."""
    gate.open()
    began = threading.Semaphore(0)
    bells: list[str] = []
    listener = Listener(gate.url, SESSION_CHANGED, bells.append, began.release)
    thread = threading.Thread(target=listener.run)
    thread.start()
    assert began.acquire(timeout=5)

    gate.forget_those_inside()

    assert began.acquire(timeout=HEALS_WITHIN)
    execute(app, "SELECT pg_notify(%s, '12')", SESSION_CHANGED)
    eventually(lambda: bells == ["12"], "a bell is heard")
    listener.stop()
    thread.join(1)
    assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0.3, pytest.param(6.5, marks=pytest.mark.long)])
def test_sigterm_ends_it_though_the_network_is_silent(
    daemons: Daemons, gate: Gate, figures: Figures, seconds: float
) -> None:
    gate.open()
    daemon = daemons.ready(gate.url)
    gate.fall_silent()
    time.sleep(1 + seconds)  # in the middle of a beat, or of the listener's own bell

    assert_stops(daemon, "in a silent network", figures)


def test_sigterm_ends_it_while_it_connects_to_what_never_answers(
    daemons: Daemons, gate: Gate, figures: Figures
) -> None:
    gate.open()
    gate.fall_silent()
    daemon = daemons.start(gate.url)
    eventually(lambda: len(gate.inside) >= 4, "worker and listener knock")  # both ends of two connections

    assert_stops(daemon, "while connecting", figures)


def test_a_database_that_is_away_is_a_line_a_second_at_most(daemons: Daemons, gate: Gate) -> None:
    gate.open()
    daemon = daemons.ready(gate.url)
    seconds = 5
    before = len(daemon.log.splitlines())

    gate.shut()
    time.sleep(seconds)

    lines = daemon.log.splitlines()[before:]
    assert 2 <= len(lines) <= seconds + 1, lines
    assert {"database_lost", "listener_lost"} == {line.split("event=")[1].split()[0] for line in lines}
