import pytest

from scheduler.daemon.backoff import Backoff


def test_l6_a_session_is_tried_again_after_50_ms_and_then_later_and_later_up_to_a_second() -> None:
    backoff, now, pauses = Backoff(), 100.0, []
    for _ in range(7):
        backoff.add([1], now)
        retry_at = backoff.next_at()
        assert retry_at is not None
        pauses.append(retry_at - now)
        now = retry_at
        assert backoff.take_due(now)

    assert pytest.approx(pauses) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_until_then_it_is_left_alone() -> None:
    backoff = Backoff()
    backoff.add([1, 2], 100.0)

    assert backoff.waiting(100.04) == {1, 2}
    assert not backoff.take_due(100.04)
    assert backoff.waiting(100.05) == frozenset()
    assert backoff.take_due(100.05)


def test_each_retry_is_taken_once() -> None:
    backoff = Backoff()
    backoff.add([1], 100.0)

    assert backoff.take_due(100.1)
    assert not backoff.take_due(100.1)
    assert backoff.next_at() is None


def test_a_session_that_was_not_deferred_again_begins_again() -> None:
    backoff = Backoff()
    backoff.add([1], 100.0)
    assert backoff.take_due(100.05)
    assert not backoff.take_due(103.0)

    backoff.add([1], 103.0)

    assert backoff.next_at() == pytest.approx(103.05)
    assert backoff.take_long(106.0) == {}


def test_over_five_seconds_is_reported_once() -> None:
    backoff, now = Backoff(), 100.0
    backoff.add([1], now)
    while (now := backoff.next_at() or now) <= 105.0:
        assert backoff.take_long(now) == {}
        backoff.take_due(now)
        backoff.add([1], now)

    assert backoff.take_long(106.0) == {1: pytest.approx(6.0)}
    backoff.add([1], 106.0)
    assert backoff.take_long(108.0) == {}


def test_a_session_that_finished_meanwhile_is_not_deferred_for_long() -> None:
    backoff = Backoff()
    for second in range(10):
        backoff.add([1], 100.0 + second)
        backoff.clear([1, 2])

    backoff.add([1], 110.0)

    assert backoff.next_at() == pytest.approx(110.05)
    assert backoff.take_long(110.1) == {}


def test_only_a_session_that_is_deferred_again_after_its_retry_is_told_of() -> None:
    backoff = Backoff()
    for second in range(6):
        backoff.add([1], 100.0 + second)
        assert backoff.take_long(100.0 + second) == {}, "not after five seconds, but after more"
    assert backoff.take_due(106.0)

    assert backoff.take_long(106.0) == {}
    backoff.add([1], 106.0)
    assert backoff.take_long(106.0) == {1: 6.0}


def test_two_seconds_after_its_retry_it_is_still_known() -> None:
    backoff = Backoff()
    backoff.add([1], 100.0)
    then = 100.0 + 0.05 + 2.0
    assert backoff.take_due(then)
    backoff.add([1], then)

    assert backoff.next_at() == then + 0.1
