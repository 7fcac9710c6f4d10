import pytest

from scheduler.deferrals import Deferrals


def test_l6_a_session_is_tried_again_after_50_ms_and_then_later_and_later_up_to_a_second() -> None:
    deferrals, now, pauses = Deferrals(), 100.0, []
    for _ in range(7):
        deferrals.put_off([1], now)
        retry_at = deferrals.next_at()
        assert retry_at is not None
        pauses.append(retry_at - now)
        now = retry_at
        assert deferrals.take_due(now)

    assert pytest.approx(pauses) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_until_then_it_is_left_alone() -> None:
    deferrals = Deferrals()
    deferrals.put_off([1, 2], 100.0)

    assert deferrals.waiting(100.04) == {1, 2}
    assert not deferrals.take_due(100.04)
    assert deferrals.waiting(100.05) == frozenset()
    assert deferrals.take_due(100.05)


def test_each_retry_is_taken_once() -> None:
    deferrals = Deferrals()
    deferrals.put_off([1], 100.0)

    assert deferrals.take_due(100.1)
    assert not deferrals.take_due(100.1)
    assert deferrals.next_at() is None


def test_a_session_that_was_not_put_off_again_begins_anew() -> None:
    deferrals = Deferrals()
    deferrals.put_off([1], 100.0)
    assert deferrals.take_due(100.05)
    assert not deferrals.take_due(103.0)

    deferrals.put_off([1], 103.0)

    assert deferrals.next_at() == pytest.approx(103.05)
    assert deferrals.take_long(106.0) == {}


def test_over_five_seconds_is_reported_once() -> None:
    deferrals, now = Deferrals(), 100.0
    deferrals.put_off([1], now)
    while (now := deferrals.next_at() or now) <= 105.0:
        assert deferrals.take_long(now) == {}
        deferrals.take_due(now)
        deferrals.put_off([1], now)

    assert deferrals.take_long(106.0) == {1: pytest.approx(6.0)}
    deferrals.put_off([1], 106.0)
    assert deferrals.take_long(108.0) == {}


def test_a_session_that_was_looked_at_meanwhile_is_not_put_off_for_long() -> None:
    deferrals = Deferrals()
    for second in range(10):
        deferrals.put_off([1], 100.0 + second)
        deferrals.settle([1, 2])

    deferrals.put_off([1], 110.0)

    assert deferrals.next_at() == pytest.approx(110.05)
    assert deferrals.take_long(110.1) == {}
