from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import Empty, Queue
from threading import Thread

import pytest

from core.clock import utc_now
from scheduler.daemon.timers import Timers
from tests.scheduler.daemon_process import eventually

SOON = timedelta(milliseconds=150)
HOUR = timedelta(hours=1)
TIMEOUT_SECONDS = 10


class Running:
    """Timers that run in a thread, and what they have fired: the edge, and when."""

    def __init__(self) -> None:
        self.fired: Queue[tuple[datetime, datetime]] = Queue()
        self.timers = Timers(lambda edge: self.fired.put((edge, utc_now())))
        self.thread = Thread(target=self.timers.run, daemon=True)
        self.thread.start()

    def next(self) -> tuple[datetime, datetime]:
        return self.fired.get(timeout=TIMEOUT_SECONDS)

    def stop(self) -> None:
        self.timers.stop()
        self.thread.join(TIMEOUT_SECONDS)
        assert not self.thread.is_alive()


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


def test_an_edge_fires_once_and_not_early(running: Running) -> None:
    edge = utc_now() + SOON

    running.timers.add([edge])
    running.timers.add([edge])

    fired, at = running.next()
    assert edge == fired
    assert at >= edge
    with pytest.raises(Empty):
        running.fired.get(timeout=0.2)
    assert len(running.timers) == 0


def test_edges_fire_in_order_whatever_order_they_came_in(running: Running) -> None:
    now = utc_now()
    edges = [now + SOON * factor for factor in (1, 2, 3)]

    for edge in reversed(edges):
        running.timers.add([edge])

    assert edges == [running.next()[0] for _ in edges]


@pytest.mark.parametrize("age", [timedelta(seconds=5), timedelta(days=2)])
def test_an_edge_that_has_passed_fires_at_once_however_late(running: Running, age: timedelta) -> None:
    edge = utc_now() - age

    running.timers.add([edge])

    assert edge == running.next()[0]


def test_five_thousand_edges_at_once_all_fire(running: Running) -> None:
    now = utc_now()
    edges = {now + SOON + timedelta(microseconds=number) for number in range(5000)}

    running.timers.add(edges)

    assert edges == {running.next()[0] for _ in edges}


def test_keep_disarms_what_is_gone_and_leaves_what_stands() -> None:
    timers = Timers(lambda _edge: None)
    now = datetime(2026, 12, 1, tzinfo=UTC)
    timers.keep(frozenset({now + HOUR, now + 2 * HOUR}))

    timers.keep(frozenset({now + 2 * HOUR, now + 3 * HOUR}))

    assert len(timers) == 2
    assert now + 2 * HOUR == timers.next_at
    timers.keep(frozenset())
    assert len(timers) == 0
    assert timers.next_at is None


def test_a_disarmed_edge_does_not_fire(running: Running) -> None:
    gone, kept = utc_now() + SOON, utc_now() + 2 * SOON
    running.timers.add([gone, kept])

    running.timers.keep(frozenset({kept}))

    assert kept == running.next()[0]
    assert running.fired.empty()


def test_l1_a_timer_fires_when_the_databases_clock_shows_the_edge(running: Running) -> None:
    ahead = timedelta(seconds=30)
    edge = utc_now() + ahead + SOON
    running.timers.add([edge])

    running.timers.set_clock_offset(ahead)

    fired, at = running.next()
    assert edge == fired
    assert edge <= at + ahead


def test_waking_it_does_no_harm(running: Running) -> None:
    edge = utc_now() + SOON
    running.timers.add([edge])

    for _ in range(100):
        running.timers.wake()

    assert edge == running.next()[0]


def test_probes_from_before_it_ran_are_answered() -> None:
    timers = Timers(lambda _edge: None)
    timers.probe()
    timers.probe()
    assert timers.probes_missed == 2

    thread = Thread(target=timers.run, daemon=True)
    thread.start()

    eventually(lambda: timers.probes_missed == 0, "it answers", TIMEOUT_SECONDS)
    timers.stop()
    thread.join(TIMEOUT_SECONDS)


def test_stop_may_be_called_twice() -> None:
    running = Running()
    running.timers.add([utc_now() + HOUR])

    running.stop()
    running.stop()


def test_stop_before_run_makes_run_return() -> None:
    timers = Timers(lambda _edge: None)
    timers.stop()

    thread = Thread(target=timers.run, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)

    assert not thread.is_alive()
