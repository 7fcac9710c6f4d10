"""A2, the pure rule: which of the yeses to instances that are on counts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules.presence import SaidYes, deciding_yes
from tests.core.rules.planner_model import utc
from tests.core.rules.presence_model import where

SECOND = timedelta(seconds=1)


def yes(instance: int, said: str, opened: str = "18:00", starts: str = "19:00") -> SaidYes:
    return SaidYes(instance, at(said), at(opened), at(starts))


def at(text: str) -> datetime:
    """`18:00` on the first of December, or `30 18:00` on the thirtieth of November."""
    return utc(f"2026-11-{text}") if " " in text else utc(f"2026-12-01 {text}")


BEFORE, EARLIER = "30 12:00", "30 11:00"

CASES: dict[str, tuple[list[SaidYes], int | None]] = {
    "nobody said yes": ([], None),
    "the only yes, said before": ([yes(1, BEFORE)], 1),
    "the only yes, said since": ([yes(1, "20:00")], 1),
    "what opened first": ([yes(1, BEFORE, "19:00"), yes(2, BEFORE, "18:00")], 2),
    "what opened first, though it starts later": (
        [yes(1, BEFORE, "18:30", "19:00"), yes(2, BEFORE, "18:00", "20:00")],
        2,
    ),
    "what opened first, though the other yes came later": (
        [yes(1, BEFORE, "18:30"), yes(2, EARLIER, "18:00")],
        2,
    ),
    "tie: the earliest stated start": (
        [yes(1, BEFORE, starts="19:30"), yes(2, EARLIER, starts="19:00")],
        2,
    ),
    "tie: the latest yes": ([yes(1, EARLIER), yes(2, BEFORE)], 2),
    "tie: the lowest id": ([yes(2, BEFORE), yes(1, BEFORE)], 1),
    "I'm here beats what opened first": ([yes(1, BEFORE), yes(2, "20:30", "20:00")], 2),
    "I'm here, said last": ([yes(1, "20:45"), yes(2, "20:30", "20:00")], 1),
    "a yes before one's own opening is no I'm here, though the other was open": (
        [yes(1, BEFORE), yes(2, "19:00", "20:00")],
        1,
    ),
    "I'm here at the very opening": ([yes(1, BEFORE), yes(2, "20:00", "20:00")], 2),
    "I'm here at what was opened a minute early": ([yes(1, BEFORE), yes(2, "19:59", "20:00")], 2),
    "no I'm here earlier than that": ([yes(1, BEFORE), yes(2, "19:58:59.999999", "20:00")], 1),
    "both said at one instant: what opened first": ([yes(1, "21:00", "20:00"), yes(2, "21:00")], 2),
    "both said at one instant: the earliest stated start": (
        [yes(1, "21:00", starts="19:30"), yes(2, "21:00", starts="19:00")],
        2,
    ),
    "both said at one instant: the lowest id": ([yes(2, "21:00"), yes(1, "21:00")], 1),
    "a microsecond later is later": ([yes(1, "21:00"), yes(2, "21:00:00.000001")], 2),
}


@pytest.mark.parametrize(("said", "instance"), CASES.values(), ids=CASES)
def test_a2_which_yes_counts(said: list[SaidYes], instance: int | None) -> None:
    for order in (said, said[::-1]):
        counts = deciding_yes(iter(order))
        assert (counts.session_instance_id if counts else None) == instance


# Few instants, close together, so that every tie comes up.
INSTANTS = st.sampled_from([utc("2026-12-01 18:00") + seconds * SECOND for seconds in (-3600, -61, -60, -59, 0, 1, 60)])


@given(st.lists(st.builds(SaidYes, st.integers(1, 6), INSTANTS, INSTANTS, INSTANTS), max_size=6))
def test_a2_agrees_with_the_rules_applied_one_by_one(said: Sequence[SaidYes]) -> None:
    said = list({yes.session_instance_id: yes for yes in said}.values())
    assert deciding_yes(said) == where(said)


@given(st.lists(st.builds(SaidYes, st.integers(1, 6), INSTANTS, INSTANTS, INSTANTS), min_size=1), st.randoms())
def test_a2_order_of_the_rows_does_not_matter(said: list[SaidYes], random: Random) -> None:
    said = list({yes.session_instance_id: yes for yes in said}.values())
    shuffled = random.sample(said, len(said))
    assert deciding_yes(shuffled) == deciding_yes(said)
