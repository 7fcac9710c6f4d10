from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

from scheduler.daemon.clock_offset import SAMPLES, ClockOffset

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def measure(offset: ClockOffset, *, took_ms: int, ahead_ms: float) -> None:
    """One exchange in which the database's clock was read exactly in the middle."""
    offset.measure(NOON, NOON + took_ms * MS / 2 + ahead_ms * MS, NOON + took_ms * MS)


def test_before_any_measure_the_clocks_are_taken_to_agree() -> None:
    assert timedelta(0) == ClockOffset().value


@pytest.mark.parametrize("ahead_ms", [-86_400_000, -3, 0, 0.25, 5_000])
def test_the_offset_is_the_databases_clock_less_the_middle_of_the_exchange(ahead_ms: float) -> None:
    offset = ClockOffset()
    measure(offset, took_ms=4, ahead_ms=ahead_ms)

    assert ahead_ms * MS == offset.value


def test_the_quickest_exchange_counts() -> None:
    offset = ClockOffset()
    for took_ms, ahead_ms in [(80, 45), (2, 7), (300, -90)]:
        measure(offset, took_ms=took_ms, ahead_ms=ahead_ms)

    assert offset.value == 7 * MS


def test_a_quick_exchange_of_long_ago_is_forgotten() -> None:
    offset = ClockOffset()
    measure(offset, took_ms=1, ahead_ms=7)
    for _ in range(SAMPLES):
        measure(offset, took_ms=5, ahead_ms=9)

    assert offset.value == 9 * MS


@pytest.mark.parametrize("ahead_ms", [-3_600_000, -40, 40, 3_600_000])
def test_l1_a_database_clock_that_was_set_counts_from_the_next_exchange_on(ahead_ms: float) -> None:
    offset = ClockOffset()
    for _ in range(SAMPLES):
        measure(offset, took_ms=1, ahead_ms=0)

    measure(offset, took_ms=20, ahead_ms=ahead_ms)

    assert offset.value == ahead_ms * MS


@pytest.mark.parametrize(("ahead_ms", "counts_anew"), [(3, False), (3.001, True)])
def test_an_offset_that_its_errors_and_a_drift_explain_was_not_set(ahead_ms: float, *, counts_anew: bool) -> None:
    offset = ClockOffset()
    measure(offset, took_ms=2, ahead_ms=0)
    measure(offset, took_ms=2, ahead_ms=ahead_ms)

    assert (offset.value != timedelta(0)) is counts_anew


# Only the wall clock is set: freezegun would move the monotonic clock with it, so that stays real in the module.
WALL_CLOCK_ONLY = ["scheduler.daemon.clock_offset"]


@pytest.mark.parametrize("seconds", [-3600, -1, 1, 86_400])
def test_a_clock_that_was_set_is_noticed_once_and_what_was_measured_is_forgotten(seconds: int) -> None:
    with freeze_time(NOON, ignore=WALL_CLOCK_ONLY) as clock:
        offset = ClockOffset()
        measure(offset, took_ms=1, ahead_ms=7)
        clock.move_to(NOON + timedelta(seconds=seconds))

        assert seconds == pytest.approx(offset.stepped(), abs=0.4)
        assert timedelta(0) == offset.value
        assert offset.stepped() == 0.0


def test_a_clock_that_is_being_slewed_was_not_set() -> None:
    with freeze_time(NOON, ignore=WALL_CLOCK_ONLY) as clock:
        offset = ClockOffset()
        measure(offset, took_ms=1, ahead_ms=7)
        clock.tick(0.1)

        assert offset.stepped() == 0.0
        assert offset.value == 7 * MS
