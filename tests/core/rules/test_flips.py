from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules.flips import EARLY_OPENING, Decision, Flip, Phase, PhaseChange, SessionState, WindowState, decide
from tests.core.rules.planner_model import utc

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
PLANNED = utc("2026-11-30 12:00")
OPENS, CLOSES = utc("2026-12-01 18:00"), utc("2026-12-01 23:00")
MIDNIGHT = utc("2026-12-02 00:00")


def window(
    instance: int = 1,
    opens_at: datetime = OPENS,
    closes_at: datetime = CLOSES,
    phase: Phase = "ahead",
    planned_at: datetime = PLANNED,
) -> WindowState:
    return WindowState(instance, opens_at, closes_at, phase, planned_at)


def state(*windows: WindowState, active: int | None = None) -> SessionState:
    return SessionState(7, windows, active)


def applied(decided: Decision, before: SessionState) -> SessionState:
    """What the store would make of it."""
    active = None if decided.off else before.active
    phases = {(change.session_instance_id, change.opens_at): change.phase for change in decided.phases}
    return SessionState(
        before.session_id,
        tuple(
            replace(stored, phase=phases.get((stored.session_instance_id, stored.opens_at), stored.phase))
            for stored in before.windows
        ),
        decided.on.session_instance_id if decided.on else active,
    )


def flips(decided: Decision) -> list[tuple[int, bool]]:
    return [(flip.session_instance_id, flip.active) for flip in decided.flips]


# A1, T4: what is on


@pytest.mark.parametrize(
    ("now", "is_on", "phase"),
    [
        (OPENS - 2 * MINUTE, False, "ahead"),
        (OPENS - SECOND, False, "ahead"),
        (OPENS, True, "open"),
        (CLOSES - SECOND, True, "open"),
        (CLOSES, False, "over"),
        (CLOSES + 3 * 24 * 60 * MINUTE, False, "over"),
    ],
)
def test_a1_instance_is_on_exactly_while_its_window_is_open(now: datetime, *, is_on: bool, phase: Phase) -> None:
    after = applied(decide(state(window()), now), state(window()))

    assert after == state(window(phase=phase), active=1 if is_on else None)


@pytest.mark.parametrize("phase", ["ahead", "open", "over"])
@pytest.mark.parametrize("active", [None, 1, 2])
@pytest.mark.parametrize("now", [OPENS, CLOSES - SECOND])
def test_a1_open_window_wins_whatever_was_stored(phase: Phase, active: int | None, now: datetime) -> None:
    before = state(window(phase=phase), active=active)

    assert applied(decide(before, now), before) == state(window(phase="open"), active=1)


def test_a1_nothing_to_write_is_an_empty_decision() -> None:
    assert decide(state(window(phase="open"), active=1), OPENS) == Decision(7, None, None, ())
    assert decide(state(), OPENS) == Decision(7, None, None, ())


@pytest.mark.parametrize(
    ("stored", "is_nothing"),
    [
        (state(window(phase="open"), active=1), True),
        (state(), True),
        (state(window()), False),
        (state(window(phase="ahead"), active=1), False),
        (state(active=1), False),
    ],
    ids=["agrees", "no window", "to be switched on", "only the phase is to be written", "to be switched off"],
)
def test_a1_decision_is_nothing_only_where_what_is_stored_agrees(stored: SessionState, *, is_nothing: bool) -> None:
    assert decide(stored, OPENS).is_nothing is is_nothing


def test_a1_active_instance_without_any_window_is_switched_off_now() -> None:
    off = Flip(7, 3, active=False, due_at=OPENS, at_edge=False)
    assert decide(state(active=3), OPENS) == Decision(7, off, None, ())


def test_a1_window_missed_for_days_is_over_and_was_never_on() -> None:
    decided = decide(state(window()), CLOSES + timedelta(days=3))

    assert decided == Decision(7, None, None, (PhaseChange(1, OPENS, "over"),))


def test_t4_abutting_windows_change_over_in_one_decision_the_off_first() -> None:
    before = state(window(phase="open"), window(2, CLOSES, MIDNIGHT), active=1)

    decided = decide(before, CLOSES)

    assert flips(decided) == [(1, False), (2, True)]
    assert decided.phases == (PhaseChange(1, OPENS, "over"), PhaseChange(2, CLOSES, "open"))


def test_p7_nested_instance_takes_over_and_hands_back() -> None:
    """The outer instance has two windows; the order in which they are stored does not matter."""
    nested, back = utc("2026-12-01 20:00"), utc("2026-12-01 21:00")
    stored = state(window(1, back, CLOSES), window(2, nested, back), window(1, OPENS, nested))
    active = []
    for now in (OPENS, nested, back, CLOSES):
        stored = applied(decide(stored, now), stored)
        active.append(stored.active)

    assert active == [1, 2, 1, None]


# When it was due


@pytest.mark.parametrize(
    ("planned_at", "due_at"),
    [(PLANNED, OPENS), (OPENS + 5 * MINUTE, OPENS + 5 * MINUTE)],
    ids=["planned before", "planned when it should have been open already"],
)
def test_opening_is_due_when_its_window_opens_or_is_planned(planned_at: datetime, due_at: datetime) -> None:
    decided = decide(state(window(planned_at=planned_at)), OPENS + 6 * MINUTE)

    assert decided.on == Flip(7, 1, active=True, due_at=due_at)


@pytest.mark.parametrize(
    ("windows", "due_at"),
    [
        ([window(phase="open")], CLOSES),
        ([window(1, OPENS - 60 * MINUTE, OPENS, "open"), window(1, OPENS + MINUTE, CLOSES, "open")], CLOSES),
        ([window(1, OPENS, CLOSES, "over")], CLOSES + MINUTE),
        ([window(2, OPENS, CLOSES, "open")], CLOSES + MINUTE),
        ([window(1, CLOSES + 60 * MINUTE, CLOSES + 120 * MINUTE, "open")], CLOSES + MINUTE),
        ([], CLOSES + MINUTE),
    ],
    ids=["closed", "the last that closed", "was over", "another's", "moved ahead", "no window"],
)
def test_closing_is_due_when_its_window_closed_else_now(windows: list[WindowState], due_at: datetime) -> None:
    decided = decide(state(*windows, active=1), CLOSES + MINUTE)

    assert decided.off is not None
    assert (decided.off.due_at, decided.off.at_edge) == (due_at, due_at == CLOSES)


@pytest.mark.parametrize(
    ("windows", "opens_again"),
    [
        ([window(1, CLOSES + 60 * MINUTE, CLOSES + 120 * MINUTE)], True),
        ([window(1, CLOSES + 60 * MINUTE, CLOSES + 120 * MINUTE, "open")], True),
        ([window(phase="open"), window(1, CLOSES + 60 * MINUTE, CLOSES + 120 * MINUTE)], False),
        ([window(2, CLOSES + 60 * MINUTE, CLOSES + 120 * MINUTE)], False),
        ([window(1, OPENS, CLOSES, "over")], False),
        ([], False),
    ],
    ids=["moved", "moved while it was open", "an edge, and a later window", "another's", "moved back", "no window"],
)
def test_an_instance_that_an_edit_turns_off_is_moved_if_it_opens_again(
    windows: list[WindowState], *, opens_again: bool
) -> None:
    off = decide(state(*windows, active=1), CLOSES + MINUTE).off

    assert off is not None
    assert off.opens_again is opens_again


@pytest.mark.parametrize(
    ("requested_at", "due_at"),
    [(OPENS + MINUTE, OPENS + MINUTE), (None, CLOSES - MINUTE), (CLOSES + MINUTE, CLOSES - MINUTE)],
    ids=["since the request", "without a request", "a request of before the clock was set back"],
)
def test_what_an_edit_takes_away_is_due_since_the_request(requested_at: datetime | None, due_at: datetime) -> None:
    before = SessionState(7, (), 1, requested_at)

    assert decide(before, CLOSES - MINUTE).off == Flip(7, 1, active=False, due_at=due_at, at_edge=False)


def test_a_closing_that_was_planned_after_its_edge_is_due_since_then() -> None:
    before = state(window(phase="open", planned_at=CLOSES + 2 * SECOND), active=1)

    off = decide(before, CLOSES + MINUTE).off

    assert off == Flip(7, 1, active=False, due_at=CLOSES + 2 * SECOND)


def test_a_bit_that_somebody_turned_off_is_due_since_the_request_and_no_edge_explains_it() -> None:
    asked = OPENS + 90 * MINUTE
    before = SessionState(7, (window(phase="open"),), None, asked)

    assert decide(before, asked + SECOND).on == Flip(7, 1, active=True, due_at=asked, at_edge=False)


# L2: early


@pytest.mark.parametrize(
    ("early", "look_ahead", "is_on"),
    [
        (MINUTE, MINUTE, True),
        (MINUTE + SECOND, MINUTE, False),
        (SECOND, MINUTE, True),
        (SECOND, timedelta(0), False),
        (5 * MINUTE, 5 * MINUTE, True),
    ],
)
def test_l2_look_ahead_opens_early(early: timedelta, look_ahead: timedelta, *, is_on: bool) -> None:
    before = state(window())

    after = applied(decide(before, OPENS - early, look_ahead=look_ahead), before)

    assert after == (state(window(phase="open"), active=1) if is_on else before)


def test_l2_early_opening_is_due_when_its_window_opens() -> None:
    decided = decide(state(window()), OPENS - SECOND, look_ahead=MINUTE)

    assert decided.on == Flip(7, 1, active=True, due_at=OPENS)


@pytest.mark.parametrize("look_ahead", [MINUTE, 60 * MINUTE])
def test_l2_look_ahead_never_closes_early(look_ahead: timedelta) -> None:
    before = state(window(phase="open"), active=1)

    assert decide(before, CLOSES - SECOND, look_ahead=look_ahead) == Decision(7, None, None, ())


@pytest.mark.parametrize(
    ("early", "is_on"), [(SECOND, True), (EARLY_OPENING, True), (EARLY_OPENING + SECOND, False), (60 * MINUTE, False)]
)
def test_l2_early_opening_is_kept_for_a_minute_by_a_pass_at_the_present(early: timedelta, *, is_on: bool) -> None:
    before = state(window(phase="open"), active=1)

    after = applied(decide(before, OPENS - early), before)

    assert after == (before if is_on else state(window(phase="ahead")))


def test_l2_a_sweep_hands_over_to_an_abutting_instance_a_minute_early_and_nobody_hands_back() -> None:
    before = state(window(phase="open"), window(2, CLOSES, MIDNIGHT), active=1)
    now = CLOSES - MINUTE

    decided = decide(before, now, look_ahead=MINUTE)

    off, on = Flip(7, 1, active=False, due_at=CLOSES), Flip(7, 2, active=True, due_at=CLOSES)
    assert decided == Decision(7, off, on, (PhaseChange(1, OPENS, "over"), PhaseChange(2, CLOSES, "open")))
    after = applied(decided, before)
    for seconds in (0, 30, 59, 60, 90):
        assert decide(after, now + seconds * SECOND) == Decision(7, None, None, ())


@pytest.mark.parametrize(
    ("next_window", "early"),
    [
        (window(2, CLOSES + SECOND, MIDNIGHT), MINUTE),
        (window(2, CLOSES, MIDNIGHT), 61 * SECOND),
        (window(1, CLOSES, MIDNIGHT), MINUTE),
    ],
    ids=["opens beyond the minute", "a second too early", "the same instance"],
)
def test_l2_nothing_closes_early_without_a_hand_over(next_window: WindowState, early: timedelta) -> None:
    before = state(window(phase="open"), next_window, active=1)

    assert decide(before, CLOSES - early, look_ahead=MINUTE) == Decision(7, None, None, ())


def test_l2_of_two_early_windows_the_first_is_opened() -> None:
    soon = OPENS + 10 * SECOND
    before = state(window(2, soon, CLOSES), window(1, OPENS, soon))

    assert flips(decide(before, OPENS - SECOND, look_ahead=MINUTE)) == [(1, True)]


def test_l2_instance_whose_next_window_opens_within_a_minute_is_not_switched_off_in_between() -> None:
    again = CLOSES + 30 * SECOND
    before = state(window(phase="open"), window(1, again, MIDNIGHT), active=1)

    decided = decide(before, CLOSES)

    assert decided == Decision(7, None, None, (PhaseChange(1, OPENS, "over"), PhaseChange(1, again, "open")))


# Any passes, in any order


@st.composite
def disjoint_windows(draw: st.DrawFn) -> SessionState:
    minutes = sorted(draw(st.sets(st.integers(0, 240), min_size=2, max_size=9)))
    windows = [
        window(draw(st.integers(1, 3)), OPENS + start * MINUTE, OPENS + end * MINUTE, draw(phases), PLANNED)
        for start, end in pairwise(minutes)
        if draw(st.booleans())
    ]
    return state(*draw(st.permutations(windows)), active=draw(st.sampled_from([None, 1, 2, 3])))


phases: st.SearchStrategy[Phase] = st.sampled_from(["ahead", "open", "over"])
seconds = st.integers(-120, 241 * 60)
passes = st.lists(st.tuples(seconds, st.sampled_from([timedelta(0), MINUTE])), max_size=8)


@given(disjoint_windows(), passes, seconds)
def test_a1_passes_at_any_times_in_any_order_end_in_the_same_place(
    stored: SessionState, earlier: list[tuple[int, timedelta]], last: int
) -> None:
    for at, look_ahead in earlier:
        stored = applied(decide(stored, OPENS + at * SECOND, look_ahead=look_ahead), stored)
    now = OPENS + last * SECOND
    after = applied(decide(stored, now), stored)

    on_now = [one.session_instance_id for one in stored.windows if one.opens_at <= now < one.closes_at]
    soon = {one.session_instance_id for one in stored.windows if now < one.opens_at <= now + EARLY_OPENING}
    handed_over = on_now and after.active in soon and after.active == stored.active
    if on_now:
        assert [after.active] == on_now or handed_over
    else:
        assert after.active is None or (after.active == stored.active and after.active in soon)
    assert decide(after, now) == Decision(7, None, None, ())
    for one in after.windows:
        expected = "over" if one.closes_at <= now else "open" if one.opens_at <= now else "ahead"
        kept_early = one.phase == "open" and one.session_instance_id == after.active in soon
        gave_way = handed_over and one.phase == "over" and one.closes_at <= now + EARLY_OPENING
        assert one.phase == expected or kept_early or gave_way


@given(disjoint_windows(), seconds)
def test_l2_look_ahead_only_adds_openings_to_a_pass_at_the_present(stored: SessionState, at: int) -> None:
    now = OPENS + at * SECOND
    present, ahead = (applied(decide(stored, now, look_ahead=early), stored) for early in (timedelta(0), MINUTE))

    soon = {one.session_instance_id for one in stored.windows if now < one.opens_at <= now + MINUTE}
    assert present.active is None or present.active == ahead.active or ahead.active in soon
    assert applied(decide(ahead, now), ahead) == ahead


@pytest.mark.parametrize(("early", "stays"), [(60, True), (61, False)])
def test_l2_opened_early_stays_for_a_minute_to_the_second(early: int, *, stays: bool) -> None:
    window = WindowState(1, OPENS, CLOSES, "open", OPENS)
    on = SessionState(7, (window,), active=1)

    assert (decide(on, OPENS - early * SECOND).off is None) == stays
    assert (decide(on, OPENS - MINUTE - timedelta(microseconds=1)).off is None) is False


def test_l3_a_bit_that_somebody_cleared_is_something_to_write() -> None:
    cleared = SessionState(7, (WindowState(1, OPENS, CLOSES, "open", OPENS),), active=None)

    decided = decide(cleared, OPENS)

    assert decided.phases == ()
    assert not decided.is_nothing
    assert Decision(7, None, None, ()).is_nothing
