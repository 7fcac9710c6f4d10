"""A2, the pure rule: which of the yeses to instances that are on counts."""

from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules.presence import Attends, Left, SaidYes, attends, deciding_yes
from tests.core.rules.planner_model import utc
from tests.core.rules.presence_model import where

SECOND = timedelta(seconds=1)


def yes(instance: int, said: str, opened: str = "18:00", starts: str = "19:00", closes: str = "23:00") -> SaidYes:
    return SaidYes(instance, at(said), at(opened), at(closes), at(starts))


def left(instance: int, when: str) -> Left:
    return Left(instance, at(when))


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
        counts = deciding_yes(iter(order), ())
        assert (counts.session_instance_id if counts else None) == instance


LEAVING: dict[str, tuple[list[SaidYes], list[Left], int | None]] = {
    "who leaves is nowhere": ([yes(1, BEFORE)], [left(1, "20:00")], None),
    "who said I'm here, too": ([yes(1, "19:00")], [left(1, "20:00")], None),
    "whatever else is open": ([yes(1, "19:30"), yes(2, BEFORE, "18:30"), yes(3, "19:00")], [left(1, "20:00")], None),
    "until they say yes again": ([yes(1, "21:00"), yes(2, BEFORE)], [left(1, "20:00")], 1),
    "or yes elsewhere": ([yes(1, "19:00"), yes(2, "20:30")], [left(1, "20:00")], 2),
    "a microsecond later is again": ([yes(1, "20:00:00.000001")], [left(1, "20:00")], 1),
    "at the same instant is before": ([yes(1, "20:00")], [left(1, "20:00")], None),
    "or until the next opening": ([yes(1, "19:00"), yes(2, BEFORE, "21:00")], [left(1, "20:00")], 2),
    "what opens at that instant is open": ([yes(2, BEFORE, "20:00")], [left(1, "20:00")], None),
    "what opens a moment later is not": ([yes(2, BEFORE, "20:00:01")], [left(1, "20:00")], 2),
    "what was opened a minute early can be left": ([yes(1, BEFORE, "20:00")], [left(1, "19:59")], None),
    "but not earlier than that": ([yes(1, BEFORE, "20:00")], [left(1, "19:58:59")], 1),
    "and then the other that opens with it still comes": (
        [yes(1, BEFORE, "20:00"), yes(2, BEFORE, "20:00")],
        [left(1, "19:59")],
        2,
    ),
    "what was left the evening before": ([yes(1, EARLIER)], [left(2, BEFORE)], 1),
    "a leaving that is dated after the end": ([yes(1, BEFORE)], [left(1, "23:00")], 1),
    "a leaving that is dated before the end, in the future": ([yes(1, BEFORE)], [left(1, "22:59")], None),
    "who left twice": ([yes(1, "20:30"), yes(2, BEFORE)], [left(1, "20:00"), left(2, "21:00")], None),
    "who came back in between": ([yes(1, "21:30"), yes(2, BEFORE)], [left(2, "20:00"), left(1, "21:00")], 1),
    "a yes of before, though one of since is given up": (
        [yes(1, "19:00"), yes(2, BEFORE, "21:00"), yes(3, EARLIER, "22:00")],
        [left(1, "20:00")],
        2,
    ),
}


@pytest.mark.parametrize(("said", "gone", "instance"), LEAVING.values(), ids=LEAVING)
def test_a2_which_yes_counts_for_those_who_left(said: list[SaidYes], gone: list[Left], instance: int | None) -> None:
    for order in (said, said[::-1]):
        counts = deciding_yes(iter(order), gone[::-1])
        assert (counts.session_instance_id if counts else None) == instance


ATTENDING: dict[str, tuple[SaidYes | None, list[Left], bool, Attends | None]] = {
    "said before": (yes(1, BEFORE), [], False, Attends.EXPECTED),
    "said before, and is there": (yes(1, BEFORE), [], True, Attends.EXPECTED),
    "said since": (yes(1, "19:00"), [], True, Attends.HERE),
    "said since, and has moved on": (yes(1, "19:00"), [], False, Attends.WAS_HERE),
    "has left": (yes(1, "19:00"), [left(1, "20:00")], False, Attends.WAS_HERE),
    "has left, and has not been moved yet": (yes(1, "19:00"), [left(1, "20:00")], True, Attends.WAS_HERE),
    "was expected, and has left": (yes(1, BEFORE), [left(1, "20:00")], False, Attends.WAS_HERE),
    "has left, and is back": (yes(1, "21:00"), [left(1, "20:00")], True, Attends.HERE),
    "has left another": (yes(1, BEFORE), [left(2, "20:00")], False, None),
    "has left another, and this one": (yes(1, BEFORE), [left(2, "20:00"), left(1, "21:00")], False, Attends.WAS_HERE),
    "left another before this one opened": (yes(1, BEFORE, "21:00"), [left(2, "20:00")], False, Attends.EXPECTED),
    "is not active": (None, [left(1, "20:00")], False, Attends.EXPECTED),
}


@pytest.mark.parametrize(("said", "gone", "is_there", "expected"), ATTENDING.values(), ids=ATTENDING)
def test_a2_who_is_here_who_is_expected_and_who_was_here(
    said: SaidYes | None, gone: list[Left], expected: Attends | None, *, is_there: bool
) -> None:
    assert attends(said, gone, is_there=is_there) == expected


# Few instants, close together, so that every tie comes up.
INSTANTS = st.sampled_from([utc("2026-12-01 18:00") + seconds * SECOND for seconds in (-3600, -61, -60, -59, 0, 1, 60)])
LENGTHS = st.sampled_from([seconds * SECOND for seconds in (1, 60, 61, 3600)])
YESES = st.lists(
    st.builds(
        lambda instance, said_at, opens_at, length, starts_at: SaidYes(
            instance, said_at, opens_at, opens_at + length, starts_at
        ),
        *(st.integers(1, 6), INSTANTS, INSTANTS, LENGTHS, INSTANTS),
    ),
    max_size=6,
).map(lambda said: list({yes.session_instance_id: yes for yes in said}.values()))
LEFT = st.lists(st.builds(Left, st.integers(1, 6), INSTANTS), max_size=3)


@given(YESES, LEFT)
def test_a2_agrees_with_the_rules_applied_one_by_one(said: list[SaidYes], gone: list[Left]) -> None:
    assert deciding_yes(said, gone) == where(said, gone)


@given(YESES, LEFT, st.randoms())
def test_a2_order_of_the_rows_does_not_matter(said: list[SaidYes], gone: list[Left], random: Random) -> None:
    shuffled = random.sample(said, len(said))
    assert deciding_yes(shuffled, random.sample(gone, len(gone))) == deciding_yes(said, gone)


@given(YESES, LEFT)
def test_a2_the_place_where_the_rule_puts_somebody_has_not_seen_them_go(said: list[SaidYes], gone: list[Left]) -> None:
    """Who should be at an instance is expected there or here; never of those who left it, or went home."""
    deciding = deciding_yes(said, gone)
    if deciding:
        assert attends(deciding, gone, is_there=True) in {Attends.EXPECTED, Attends.HERE}
