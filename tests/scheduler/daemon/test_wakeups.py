import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from scheduler.daemon.wakeups import MOST_NOTIFIED, Wakeup, Wakeups

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOTHING = Wakeup(edge=None, notification=False, resync=False)


def test_wakeups_coalesce_and_are_taken_once() -> None:
    wakeups = Wakeups()
    for number in range(10_000):
        wakeups.notification(str(number))
    wakeups.resync()

    assert Wakeup(edge=None, notification=True, resync=True) == replace(wakeups.take(0), notified=frozenset())
    assert wakeups.take(0) == NOTHING


def test_of_several_edges_the_latest_is_taken() -> None:
    wakeups = Wakeups()
    for minutes in (1, 3, 2):
        wakeups.edge(NOON + timedelta(minutes=minutes))

    assert Wakeup(edge=NOON + timedelta(minutes=3), notification=False, resync=False) == wakeups.take(0)


def test_take_waits_no_longer_than_it_was_told() -> None:
    begun = time.monotonic()

    assert Wakeups().take(0.05) == NOTHING
    assert time.monotonic() - begun >= 0.05


@pytest.mark.parametrize(
    "wake", [lambda it: it.edge(NOON), Wakeups.notification, Wakeups.resync, Wakeups.stop], ids=lambda it: it.__name__
)
def test_whatever_comes_from_another_thread_ends_the_wait(wake: Callable[[Wakeups], None]) -> None:
    wakeups, begun = Wakeups(), time.monotonic()

    def wake_when_it_waits() -> None:
        while not wakeups._condition._waiters:  # type: ignore[attr-defined] # a condition's own
            time.sleep(0.001)
        wake(wakeups)

    thread = Thread(target=wake_when_it_waits)
    thread.start()

    wakeups.take(20)
    assert time.monotonic() - begun < 10
    thread.join()


def test_stop_ends_every_wait_from_then_on() -> None:
    wakeups = Wakeups()
    before = wakeups.stopping

    wakeups.stop()

    assert (before, wakeups.stopping) == (False, True)
    assert wakeups.take(60) == NOTHING
    assert wakeups.take(60) == NOTHING


def test_ids_are_kept_and_other_payloads_are_ignored() -> None:
    wakeups = Wakeups()
    for payload in ("7", "12", "7", "x", "-1", "1.5", "9" * 19, "\u0667"):
        wakeups.notification(payload)

    assert Wakeup(edge=None, notification=True, resync=False, notified=frozenset({7, 12})) == wakeups.take(0)
    wakeups.notification("nothing of ours")
    assert wakeups.take(0) == NOTHING


def test_a_flood_of_ids_is_one_resync_and_leaves_no_memory_behind() -> None:
    wakeups = Wakeups()
    for number in range(10 * MOST_NOTIFIED):
        wakeups.notification(str(number))

    taken = wakeups.take(0)

    assert taken.resync
    assert len(taken.notified) <= MOST_NOTIFIED


def test_as_many_ids_as_are_kept_need_no_resync() -> None:
    wakeups = Wakeups()
    for number in range(1, MOST_NOTIFIED + 1):
        wakeups.notification(str(number))

    assert wakeups.take(0) == replace(NOTHING, notification=True, notified=frozenset(range(1, MOST_NOTIFIED + 1)))
