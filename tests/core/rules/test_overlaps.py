import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.rules.overlaps import Contender, disjoint
from core.windows import StatedHours, Window

MIDNIGHT = datetime(2026, 11, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 200
"""The length in minutes of the day that the minute-by-minute tests check."""


def at(minute: float) -> datetime:
    return MIDNIGHT + minute * MINUTE


def contender(session_instance_id: int, starts: float, ends: float, before: float = 60, after: float = 60) -> Contender:
    hours = StatedHours(at(starts), at(ends))
    return Contender(session_instance_id, hours, hours.window(before=before * MINUTE, after=after * MINUTE))


def evening(session_instance_id: int, starts: float, ends: float) -> Contender:
    """A contender stated in hours, with the usual buffers."""
    return contender(session_instance_id, starts * 60, ends * 60)


def span(session_instance_id: int, opens: float, closes: float) -> tuple[int, Window]:
    return session_instance_id, Window(at(opens * 60), at(closes * 60))


@pytest.mark.parametrize(
    ("contenders", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([evening(1, 19, 22)], [span(1, 18, 23)], id="alone"),
        pytest.param(
            [evening(1, 12, 14), evening(2, 19, 22)], [span(1, 11, 15), span(2, 18, 23)],
            id="apart",
        ),
        pytest.param(
            [evening(1, 19, 22), evening(2, 24, 26)], [span(1, 18, 23), span(2, 23, 27)],
            id="windows abut",
        ),
        pytest.param(
            [evening(1, 19, 22), evening(2, 22, 24)], [span(1, 18, 22), span(2, 22, 25)],
            id="hours abut: a room that still plays is not emptied by the next buffer",
        ),
        pytest.param(
            [evening(1, 19, 22), evening(2, 23, 25)], [span(1, 18, 22), span(2, 22, 26)],
            id="only buffers overlap: the later start",
        ),
        pytest.param(
            [evening(1, 19, 22), evening(2, 21, 24)], [span(1, 18, 21), span(2, 21, 25)],
            id="hours overlap: the later start",
        ),
        pytest.param(
            [evening(1, 14, 24), evening(2, 18, 20)], [span(1, 13, 18), span(2, 18, 20), span(1, 20, 25)],
            id="a nested instance takes over and hands back",
        ),
        pytest.param(
            [evening(1, 19, 23), evening(2, 19, 21)], [span(2, 18, 21), span(1, 21, 24)],
            id="same start: the sooner end, then the other plays on",
        ),
        pytest.param(
            [evening(2, 19, 22), evening(1, 19, 22)], [span(2, 18, 23)],
            id="same hours: the earlier contender",
        ),
        pytest.param([contender(1, 60, 120, before=-30, after=-30)], [], id="a window that closes as it opens"),
    ],
)  # fmt: skip
def test_p7_active_spans(contenders: list[Contender], expected: list[tuple[int, Window]]) -> None:
    spans = disjoint(contenders)

    starts = {contender.session_instance_id: contender.hours.starts_at for contender in contenders}
    assert expected == [(span.session_instance_id, span.window) for span in spans]
    assert all(span.starts_at == starts[span.session_instance_id] for span in spans)


def on_by_the_rule(contenders: Sequence[Contender], now: datetime) -> int | None:
    """P7, word by word."""
    rivals = [each for each in contenders if each.window.opens_at <= now < each.window.closes_at]
    playing = [each for each in rivals if each.hours.starts_at <= now < each.hours.ends_at]
    rivals = playing or rivals
    rivals = [each for each in rivals if each.hours.starts_at == max(rival.hours.starts_at for rival in rivals)]
    rivals = [each for each in rivals if each.hours.ends_at == min(rival.hours.ends_at for rival in rivals)]
    return rivals[0].session_instance_id if rivals else None


@st.composite
def some_contenders(draw: st.DrawFn) -> list[Contender]:
    contenders = []
    for session_instance_id in range(draw(st.integers(1, 6))):
        starts = draw(st.integers(30, 130))
        ends = starts + draw(st.sampled_from([1, 10, 20, 40]))
        before, after = draw(st.sampled_from([0, 5, 30])), draw(st.sampled_from([-10, 0, 5, 30]))
        contenders.append(contender(session_instance_id, starts, ends, before, after))
    return contenders


@given(some_contenders())
@example([contender(1, 30, 31, 0, -10), contender(2, 30, 31)])
@settings(max_examples=150, deadline=None)
def test_p7_each_minute_has_the_instance_that_the_rule_names(contenders: list[Contender]) -> None:
    spans = disjoint(contenders)

    for minute in range(DAY):
        on = [each.session_instance_id for each in spans if each.window.contains(at(minute))]
        by_the_rule = on_by_the_rule(contenders, at(minute))
        assert ([] if by_the_rule is None else [by_the_rule]) == on


@given(some_contenders())
@settings(deadline=None)
def test_p7_active_spans_are_in_order_and_as_long_as_they_can_be(contenders: list[Contender]) -> None:
    spans = disjoint(contenders)

    assert all(each.window.opens_at < each.window.closes_at for each in spans)
    for one, next_one in pairwise(spans):
        assert one.window.closes_at <= next_one.window.opens_at
        abut = one.window.closes_at == next_one.window.opens_at
        assert not (abut and one.session_instance_id == next_one.session_instance_id)


@given(some_contenders())
@settings(deadline=None)
def test_p7_windows_that_are_disjoint_already_stay_as_they_are(contenders: list[Contender]) -> None:
    spans = disjoint(contenders)
    again = disjoint(
        [
            Contender(index, StatedHours(each.window.opens_at, each.window.closes_at), each.window)
            for index, each in enumerate(spans)
        ]
    )

    assert [each.window for each in spans] == [each.window for each in again]


def test_p7_thousands_of_evenings_take_less_than_a_second() -> None:
    """A simulation of a year plans a thousand; the time grows with what overlaps, and not with their square."""
    contenders = [evening(number, 24 * number + 19, 24 * number + 22) for number in range(4000)]

    begun = time.process_time()
    spans = disjoint(contenders)

    assert time.process_time() - begun < 1
    assert len(spans) == 4000
