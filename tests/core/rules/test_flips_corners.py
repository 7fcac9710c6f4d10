"""What only a changed line of `core.activation` told apart from the other tests."""

from datetime import UTC, datetime, timedelta

import pytest

from core.rules.flips import Decision, SessionState, WindowState, decide

OPENS = datetime(2026, 12, 1, 18, tzinfo=UTC)
CLOSES = datetime(2026, 12, 1, 23, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(("early", "stays"), [(60, True), (61, False)])
def test_l2_opened_early_stays_for_a_minute_to_the_second(early: int, *, stays: bool) -> None:
    window = WindowState(1, OPENS, CLOSES, "open", OPENS)
    on = SessionState(7, (window,), active=1)

    assert (decide(on, OPENS - timedelta(seconds=early)).off is None) == stays
    assert (decide(on, OPENS - timedelta(seconds=60) - MICROSECOND).off is None) is False


def test_l3_a_bit_that_somebody_cleared_is_something_to_write() -> None:
    cleared = SessionState(7, (WindowState(1, OPENS, CLOSES, "open", OPENS),), active=None)

    decided = decide(cleared, OPENS)

    assert decided.phases == ()
    assert not decided.is_nothing
    assert Decision(7, None, None, ()).is_nothing
