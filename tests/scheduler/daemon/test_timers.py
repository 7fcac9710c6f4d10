import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import Empty, Queue
from threading import Thread, current_thread
from typing import Any

import pytest
from freezegun import freeze_time

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


def test_an_edge_that_fires_while_it_is_disarmed_is_disarmed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_job = running.timers._scheduler.remove_job

    def remove_once_it_has_fired(*job: str) -> None:
        if current_thread() is not running.thread:
            running.next()
        remove_job(*job)

    running.timers.add([utc_now() + SOON])
    monkeypatch.setattr(running.timers._scheduler, "remove_job", remove_once_it_has_fired)
    running.timers.keep(frozenset())

    assert len(running.timers) == 0


def test_an_edge_that_fires_while_it_is_armed_is_not_armed_any_more(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job = running.timers._scheduler.add_job

    def add_and_see_it_fire(*job: Any, **options: Any) -> None:
        add_job(*job, **options)
        running.next()

    monkeypatch.setattr(running.timers._scheduler, "add_job", add_and_see_it_fire)
    running.timers.add([utc_now()])

    assert len(running.timers) == 0


def test_l1_an_edge_that_the_database_has_still_ahead_may_be_armed_again_as_soon_as_it_fires() -> None:
    fired: list[datetime] = []

    def arm_again(edge: datetime) -> None:
        fired.append(edge)
        if len(fired) == 1:
            worker = Thread(target=timers.add, args=([edge],))
            worker.start()
            worker.join(0.3)  # it waits for this thread, which has the scheduler's lock

    timers = Timers(arm_again)
    timers.add([utc_now()])
    thread = Thread(target=timers.run, daemon=True)
    thread.start()

    eventually(lambda: len(fired) == 2, "it fires again", TIMEOUT_SECONDS)
    timers.stop()
    thread.join(TIMEOUT_SECONDS)


def test_l1_a_timer_fires_when_the_databases_clock_shows_the_edge(running: Running) -> None:
    ahead = timedelta(seconds=30)
    edge = utc_now() + ahead + SOON
    running.timers.add([edge])

    running.timers.set_clock_offset(ahead)

    fired, at = running.next()
    assert edge == fired
    assert edge <= at + ahead


def test_l1_woken_it_fires_what_a_clock_that_was_set_has_passed(running: Running) -> None:
    edge = utc_now() + HOUR
    running.timers.add([edge])
    until_next = running.timers._scheduler._event
    eventually(lambda: until_next._cond._waiters and not until_next.is_set(), "it waits for an hour", TIMEOUT_SECONDS)

    with freeze_time(edge, tick=True):
        running.timers.wake()
        assert edge == running.next()[0]


def test_probes_from_before_it_ran_are_answered() -> None:
    timers = Timers(lambda _edge: None)
    timers.probe()
    timers.probe()
    assert timers.probes_missed == 2
    asked_at = time.monotonic()

    thread = Thread(target=timers.run, daemon=True)
    thread.start()

    eventually(lambda: timers.progress_at > asked_at, "it answers", TIMEOUT_SECONDS)
    assert timers.probes_missed == 0
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
