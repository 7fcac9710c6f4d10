import time
from datetime import UTC, datetime, timedelta
from threading import Timer

from scheduler.marks import Marks, Taken

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOTHING = Taken(edge=None, bell=False, resync=False)


def test_marks_coalesce_and_are_taken_once() -> None:
    marks = Marks()
    for number in range(10_000):
        marks.bell(str(number))
    marks.resync()

    assert Taken(edge=None, bell=True, resync=True) == marks.take(0)
    assert marks.take(0) == NOTHING


def test_of_several_edges_the_latest_is_told() -> None:
    marks = Marks()
    for minutes in (1, 3, 2):
        marks.edge(NOON + timedelta(minutes=minutes))

    assert Taken(edge=NOON + timedelta(minutes=3), bell=False, resync=False) == marks.take(0)


def test_take_waits_no_longer_than_it_was_told() -> None:
    begun = time.monotonic()

    assert Marks().take(0.05) == NOTHING
    assert time.monotonic() - begun >= 0.05


def test_a_mark_from_another_thread_ends_the_wait() -> None:
    marks = Marks()
    thread = Timer(0.05, marks.edge, [NOON])
    thread.start()

    assert marks.take(60).edge == NOON
    thread.join()


def test_stop_ends_every_wait_from_then_on() -> None:
    marks = Marks()

    marks.stop()

    assert marks.stopping
    assert marks.take(60) == NOTHING
    assert marks.take(60) == NOTHING
