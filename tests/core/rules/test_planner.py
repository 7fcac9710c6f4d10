from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidRecurrence, NoSuchOccurrence, UnknownTimeZone
from core.rules.planner import (
    Binding,
    InstanceSnapshot,
    NewInstance,
    Plan,
    RetimedInstance,
    SessionSnapshot,
    first_date,
    plan,
    plan_or_freeze,
)
from tests.core.rules.planner_model import (
    HORIZON,
    LENGTH,
    apply,
    bound,
    planned,
    recurring,
    row,
    session,
    spans_after,
    utc,
    wall,
    weekly,
    windows,
)

# Tuesday the first of December; Dublin's clocks show UTC. The session is 19:00 to 22:00, its window 18:00 to 23:00.
NOON = "2026-12-01 12:00"
OPEN = "2026-12-01 20:00"
OVER = "2026-12-01 23:00"
TUESDAYS = recurring(weekly("tuesday", "19:00", "22:00"))
SEVEN_TO_TEN = bound("2026-12-01 19:00", "22:00")
EIGHT_TO_ELEVEN = bound("2026-12-01 20:00", "23:00")


def tuesday(start: str, end: str | None = None) -> str:
    return recurring(weekly("tuesday", start, end))


def tonights(binding: Binding | None = SEVEN_TO_TEN, **changes: bool) -> InstanceSnapshot:
    return row(1, "2026-12-01", "19:00", "22:00", binding, **changes)


# P1: what is made, and when


@pytest.mark.parametrize(
    ("now", "made"),
    [
        ("2026-11-30 17:59:59", []),
        ("2026-11-30 18:00", ["2026-12-01"]),
        (OPEN, ["2026-12-01"]),
        ("2026-12-01 22:59:59", ["2026-12-01"]),
        (OVER, []),
        ("2026-12-02 12:00", []),
    ],
)
def test_p1_row_is_made_when_its_window_opens_within_the_horizon_and_is_not_over(now: str, made: list[str]) -> None:
    decided = planned(session(recurrence=TUESDAYS), now)

    assert [str(new.date) for new in decided.made] == made


def test_p1_new_instance_says_what_its_occurrence_says() -> None:
    decided = planned(session(recurrence=TUESDAYS), NOON)

    expected = NewInstance(-1, date(2026, 12, 1), time(19), time(22), SEVEN_TO_TEN)
    assert decided.made == (expected,)
    assert windows(decided) == [(-1, "01 18:00", "01 23:00")]


def test_p1_new_instance_states_no_end_that_its_occurrence_does_not_state() -> None:
    decided = planned(session(recurrence=tuesday("19:00")), NOON)

    assert decided.made == (NewInstance(-1, date(2026, 12, 1), time(19), None, SEVEN_TO_TEN),)


def test_p1_new_instances_are_numbered_down_in_order_of_start() -> None:
    twice = recurring(weekly("tuesday", "20:00", "22:00"), weekly("tuesday", "14:00", "16:00"))

    decided = planned(session(recurrence=twice), NOON)

    assert [(new.key, new.start_time) for new in decided.made] == [(-1, time(14)), (-2, time(20))]


@pytest.mark.parametrize(("before", "now"), [(0, "2026-11-30 19:00"), (1440, "2026-11-29 19:00")])
def test_p1_horizon_counts_to_the_opening_whatever_the_buffer(before: int, now: str) -> None:
    snapshot = session(recurrence=TUESDAYS, before=before)

    assert planned(snapshot, now).made
    assert not planned(snapshot, utc(now) - timedelta(seconds=1)).made


def test_p1_skipped_occurrence_is_not_made_again() -> None:
    assert planned(session(recurrence=TUESDAYS, skipped=("2026-12-01 19:00",)), NOON).made == ()


def test_p1_a_session_that_did_not_opt_in_gets_no_row_and_its_rows_are_windowed() -> None:
    snapshot = replace(
        session(row(1, "2026-12-01", "19:00", "22:00"), recurrence=tuesday("14:00", "15:00")), is_planned=False
    )

    decided = planned(snapshot, NOON)

    assert (decided.made, decided.next_plan_at) == ((), None)
    assert windows(decided) == [(1, "01 18:00", "01 23:00")]


def test_p1_a_session_that_did_not_opt_in_still_gets_the_row_that_somebody_asks_for() -> None:
    snapshot = replace(session(recurrence=TUESDAYS), is_planned=False)

    assert [str(new.date) for new in planned(snapshot, NOON, "2026-12-08 19:00").made] == ["2026-12-08"]


@pytest.mark.parametrize(("hours", "counted"), [(48, 48), (1, 1), (0, 1), (-5, 1), (336, 336), (5000, 336)])
def test_p1_a_session_says_how_many_hours_ahead_its_rows_are_made(hours: int, counted: int) -> None:
    snapshot = replace(session(recurrence=TUESDAYS), hours_ahead=hours)
    opens = utc("2027-01-05 18:00")
    made = {new.date for new in planned(snapshot, opens - timedelta(hours=counted)).made}

    assert date(2027, 1, 5) in made
    assert date(2027, 1, 5) not in {
        new.date for new in planned(snapshot, opens - timedelta(hours=counted, seconds=1)).made
    }


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        ("2026-12-01 19:00", ["2026-12-01"]),
        ("2027-03-02 19:00", ["2026-12-01", "2027-03-02"]),
        ("2026-12-08 19:00", ["2026-12-01", "2026-12-08"]),
    ],
    ids=["due", "far ahead", "skipped"],
)
def test_p1_wanted_occurrence_is_made_at_once(wanted: str, made: list[str]) -> None:
    decided = planned(session(recurrence=TUESDAYS, skipped=("2026-12-08 19:00",)), NOON, wanted)

    assert [str(new.date) for new in decided.made] == made


def test_p1_wanted_occurrence_is_made_though_it_is_over() -> None:
    decided = planned(session(recurrence=TUESDAYS), "2026-12-02 09:00", "2026-12-01 19:00")

    assert [new.binding for new in decided.made] == [SEVEN_TO_TEN]
    assert windows(decided) == [(-1, "01 18:00", "01 23:00")]


def test_p1_wanted_occurrence_that_has_its_instance_is_not_made_again() -> None:
    far = row(7, "2027-03-02", "19:00", "22:00", bound("2027-03-02 19:00", "22:00"))

    decided = planned(session(far, recurrence=TUESDAYS), "2026-12-02 09:00", "2027-03-02 19:00")

    assert decided.made == ()


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ("2026-12-08 20:00", "2026-12-01 19:00:00, 2026-12-08 19:00:00, 2026-12-15 19:00:00"),
        ("2026-11-24 19:00", "2026-12-01 19:00:00, 2026-12-08 19:00:00, 2026-12-15 19:00:00"),
        ("0001-01-01 19:00", "2026-12-01 19:00:00, 2026-12-08 19:00:00, 2026-12-15 19:00:00"),
        ("9999-12-31 19:00", "none within a year"),
        ("2199-12-31 20:00", "2199-12-17 19:00:00, 2199-12-24 19:00:00, 2199-12-31 19:00:00"),
    ],
    ids=["another hour", "long past", "first year", "last year", "last year of recurrences"],
)
def test_p1_wanted_start_that_cannot_be_made_is_refused_with_the_nearest(wanted: str, nearest: str) -> None:
    with pytest.raises(NoSuchOccurrence) as refused:
        planned(session(recurrence=TUESDAYS), NOON, wanted)

    assert str(refused.value) == (
        f"session 12 has no occurrence at {wanted}:00; expected the start of one on 2026-11-27 or later; "
        f"the nearest: {nearest}"
    )


def test_p1_wanted_start_is_refused_where_nothing_occurs() -> None:
    with pytest.raises(NoSuchOccurrence, match="none within a year"):
        planned(session(), NOON, "2026-12-01 19:00")


@pytest.mark.parametrize(
    ("snapshot", "next_plan_at"),
    [
        (session(recurrence=TUESDAYS), "2026-12-07 18:00"),
        (session(recurrence=TUESDAYS, skipped=("2026-12-08 19:00",)), "2026-12-14 18:00"),
        (
            session(
                row(1, "2026-12-08", "19:00", "22:00", bound("2026-12-08 19:00", "22:00")),
                row(2, "2026-12-15", "19:00", "22:00"),
                recurrence=TUESDAYS,
            ),
            "2026-12-21 18:00",
        ),
        (session(recurrence=recurring(weekly("thursday", "0:30", "2:00"))), "2026-12-01 23:30"),
        (session(recurrence=recurring(weekly("wednesday", "14:00"), weekly("wednesday", "14:30"))), "2026-12-01 13:00"),
        (session(recurrence=TUESDAYS, since="2027-06-01"), "2027-05-31 17:00"),
        (session(recurrence=TUESDAYS, until="2026-12-07"), None),
        (session(), None),
    ],
    ids=["next week", "skipped", "bound", "tomorrow night", "two on a day", "not begun", "terminated", "nothing"],
)
def test_p1_next_plan_is_when_the_first_occurrence_without_a_row_is_due(
    snapshot: SessionSnapshot, next_plan_at: str | None
) -> None:
    assert planned(snapshot, NOON).next_plan_at == (utc(next_plan_at) if next_plan_at else None)


def test_p1_first_date_is_early_enough_for_the_last_window_that_may_be_open() -> None:
    """The longest hours and buffer, where the day ends last."""
    now = utc("2026-12-01 00:00")
    late = session(recurrence=recurring(weekly("saturday", "13:02", "13:01")), timezone="Pacific/Midway", after=1440)

    decided = planned(late, now)

    assert [new.date for new in decided.made] == [date(2026, 11, 28)]
    assert first_date(now) < date(2026, 11, 28)


# P2: which instance stands for an occurrence


@pytest.mark.parametrize(
    ("standing", "is_bound"),
    [
        (row(1, "2026-12-01", "19:00", "22:00"), True),
        (row(1, "2026-12-01", "19:00"), True),
        (row(1, "2026-12-01", "19:00", "19:30"), True),
        (row(1, "2026-12-01", "21:59", "23:00"), True),
        (row(1, "2026-12-01", "16:00", "19:01"), True),
        (row(1, "2026-12-01"), True),
        (row(1, "2026-12-01", cancelled=True), True),
        (row(1, "2026-12-01", "22:00", "23:00"), False),
        (row(1, "2026-12-01", "16:00", "19:00"), False),
        (row(1, "2026-12-02"), False),
        (row(1, "2026-12-02", "19:00", "22:00"), False),
    ],
)
def test_p2_occurrence_is_bound_to_an_instance_that_stands_for_it(standing: InstanceSnapshot, is_bound: bool) -> None:
    decided = planned(session(standing, recurrence=TUESDAYS), NOON)

    assert decided.bound == ({1: SEVEN_TO_TEN} if is_bound else {})
    assert is_bound == (decided.made == ())
    assert decided.retimed == ()


@pytest.mark.parametrize(
    ("recurrence", "standing"),
    [
        (recurring(weekly("monday", "22:00", "2:00")), row(1, "2026-12-01", "01:00", "03:00")),
        (recurring(weekly("wednesday", "0:30", "2:00")), row(1, "2026-12-01", "23:00", "1:00".zfill(5))),
    ],
    ids=["of the day before", "of the day after"],
)
def test_p2_instance_past_midnight_stands_for_the_occurrence_that_it_overlaps(
    recurrence: str, standing: InstanceSnapshot
) -> None:
    decided = planned(session(standing, recurrence=recurrence), "2026-11-30 23:00")

    assert list(decided.bound) == [1]
    assert decided.made == ()


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (row(2, "2026-12-02", "10:00", "11:00", SEVEN_TO_TEN), row(1, "2026-12-01", "19:00", "22:00")),
        (row(2, "2026-12-01", "19:00", "20:00"), row(1, "2026-12-01", "18:59", "22:00")),
        (
            row(2, "2026-12-01", "19:00", "20:00"),
            row(1, "2026-12-01", "12:00", "13:00", bound("2026-12-01 12:00", "13:00")),
        ),
        (
            row(2, "2026-12-01", "12:00", "13:00", bound("2026-12-01 12:00", "13:00")),
            row(1, "2026-12-01", "18:59", "22:00"),
        ),
        (row(2, "2026-12-01", "21:00", "23:00"), row(1, "2026-12-01")),
        (row(2, "2026-12-01", "19:00", "22:00"), row(1, "2026-12-01", "19:00", "21:00")),
        (row(2, "2026-12-01", "20:00", "21:00"), row(1, "2026-12-01", "17:00", "20:00")),
        (row(1, "2026-12-01", "19:00", "22:00"), row(2, "2026-12-01", "19:00", "22:00")),
        (row(1, "2026-12-01"), row(2, "2026-12-01")),
        (row(1, "2026-12-02", "10:00", "11:00", SEVEN_TO_TEN), row(2, "2026-12-01", "19:00", "22:00", SEVEN_TO_TEN)),
    ],
    ids=[
        "a binding before the same start",
        "the same start before an overlap",
        "the same start before one whose occurrence is gone",
        "one whose occurrence is gone before an overlap",
        "an overlap before none stated",
        "the same end, too",
        "the nearer start",
        "the lower id",
        "the lower id of those without a start",
        "the lower id of those bound to it",
    ],
)
def test_p2_of_several_instances_the_best_ground_counts(better: InstanceSnapshot, worse: InstanceSnapshot) -> None:
    for rows in ((better, worse), (worse, better)):
        snapshot = session(*rows, recurrence=TUESDAYS)

        after = apply(planned(snapshot, "2026-12-01 09:00"), snapshot)

        holders = [found.session_instance_id for found in after.instances if found.binding == SEVEN_TO_TEN]
        assert [better.session_instance_id] == holders


def test_p2_instance_takes_the_nearest_of_several_occurrences() -> None:
    twice = recurring(weekly("tuesday", "14:00", "18:00"), weekly("tuesday", "17:00", "20:00"))

    decided = planned(session(row(1, "2026-12-01", "16:00", "18:00"), recurrence=twice), NOON)

    assert decided.bound == {1: bound("2026-12-01 17:00", "20:00")}
    assert [new.start_time for new in decided.made] == [time(14)]


def test_p2_extra_counts_by_its_own_times() -> None:
    extra = row(1, "2026-12-01", "13:00", "15:00")

    decided = planned(session(extra, recurrence=TUESDAYS), NOON)

    assert windows(decided) == [(1, "01 12:00", "01 16:00"), (-1, "01 18:00", "01 23:00")]
    assert decided.bound == {}


def test_p2_row_moved_to_another_date_keeps_its_occurrence() -> None:
    moved = row(1, "2026-12-03", "20:00", "21:00", SEVEN_TO_TEN)

    decided = planned(session(moved, recurrence=TUESDAYS), NOON)

    assert (decided.made, decided.bound, decided.retimed) == ((), {}, ())
    assert windows(decided) == [(1, "03 19:00", "03 22:00")]


def test_p2_row_moved_from_long_ago_keeps_its_occurrence() -> None:
    moved = row(1, "2026-12-03", "20:00", "21:00", bound("2026-06-02 19:00", "22:00"))

    decided = planned(session(moved, recurrence=TUESDAYS), NOON)

    assert decided.bound == {}
    assert (1, "03 19:00", "03 22:00") in windows(decided)


@pytest.mark.parametrize(
    ("standing", "window"),
    [
        (row(1, "2026-12-01"), ("01 18:00", "02 00:30")),
        (row(1, "2026-12-01", "19:00"), ("01 18:00", "02 00:30")),
        (row(1, "2026-12-01", "19:00", "20:00"), ("01 18:00", "01 21:00")),
        (row(1, "2026-12-01", "19:30"), ("01 18:30", "01 23:30")),
        (row(1, "2026-12-03", None, None, bound("2026-12-01 19:00", "23:30")), ("03 18:00", "04 00:30")),
    ],
    ids=["neither", "no end", "both", "no end, another start", "neither, moved to another date"],
)
def test_p2_bound_row_takes_what_it_does_not_state_from_its_occurrence(
    standing: InstanceSnapshot, window: tuple[str, str]
) -> None:
    decided = planned(session(standing, recurrence=tuesday("19:00", "23:30")), NOON)

    assert windows(decided) == [(1, *window)]
    assert decided.retimed == ()


# P3: a bound instance follows its occurrence


@pytest.mark.parametrize(
    ("standing", "recurrence", "times"),
    [
        (tonights(), tuesday("19:00", "22:30"), (time(19), time(22, 30))),
        (tonights(), tuesday("20:00", "23:00"), (time(20), time(23))),
        (tonights(), tuesday("20:00"), (time(20), None)),
        (row(1, "2026-12-01", "19:00", None, SEVEN_TO_TEN), tuesday("20:00", "23:00"), (time(20), None)),
        (tonights(cancelled=True), tuesday("20:00", "23:00"), (time(20), time(23))),
        (tonights(), TUESDAYS, None),
        (tonights(), tuesday("19:00"), None),
        (row(1, "2026-12-01", "19:00", None, SEVEN_TO_TEN), tuesday("19:00", "23:30"), None),
        (row(1, "2026-12-01", None, None, SEVEN_TO_TEN), tuesday("19:00", "23:30"), None),
        (row(1, "2026-12-01", "19:00", "22:15", SEVEN_TO_TEN), tuesday("20:00", "23:00"), None),
        (row(1, "2026-12-01", "19:15", "22:00", SEVEN_TO_TEN), tuesday("20:00", "23:00"), None),
        (tonights(None), tuesday("19:00", "23:00"), None),
    ],
    ids=[
        "another end",
        "another start",
        "an end no longer stated",
        "an end never stated",
        "a cancelled row",
        "nothing new",
        "the same end, no longer stated",
        "another end for a row that states none",
        "a row that states nothing",
        "an end that somebody changed",
        "a start that somebody changed",
        "not bound before",
    ],
)
def test_p3_row_is_retimed_while_its_own_times_equal_its_binding(
    standing: InstanceSnapshot, recurrence: str, times: tuple[time, time | None] | None
) -> None:
    decided = planned(session(standing, recurrence=recurrence), NOON)

    expected = (RetimedInstance(1, date(2026, 12, 1), *times),) if times else ()
    assert decided.retimed == expected
    assert decided.made == ()


def test_p3_binding_is_the_present_span_of_its_occurrence() -> None:
    changed = row(1, "2026-12-01", "18:00", "21:00", SEVEN_TO_TEN)

    decided = planned(session(changed, recurrence=tuesday("19:00", "23:00")), NOON)

    assert decided.bound == {1: bound("2026-12-01 19:00", "23:00")}
    assert windows(decided) == [(1, "01 17:00", "01 22:00")]


def test_p3_row_can_stand_for_an_occurrence_longer_than_it_can_state() -> None:
    """No schedule is so long today; a row states times of day only."""
    binding = bound("2026-12-01 19:00", "2026-12-02 19:30")
    standing = row(1, "2026-12-01", "19:00", "19:30", binding)

    decided = planned(session(standing, recurrence=tuesday("19:00", "20:00")), NOON)

    assert decided.retimed == (RetimedInstance(1, date(2026, 12, 1), time(19), time(20)),)


# P4: an instance whose occurrence is gone


def test_p4_gone_occurrence_is_replaced_in_place_by_a_free_one_of_its_date() -> None:
    for now in (NOON, OPEN):
        decided = planned(session(tonights(), recurrence=tuesday("20:00", "23:00")), now)

        assert decided.retimed == (RetimedInstance(1, date(2026, 12, 1), time(20), time(23)),)
        assert decided.bound == {1: EIGHT_TO_ELEVEN}
        assert windows(decided) == [(1, "01 19:00", "02 00:00")]


def test_p4_gone_occurrence_is_replaced_by_the_nearest_then_the_earliest() -> None:
    three = recurring(
        weekly("tuesday", "14:00", "15:00"), weekly("tuesday", "18:00", "19:00"), weekly("tuesday", "20:00", "23:00")
    )

    decided = planned(session(tonights(), recurrence=three), NOON)

    assert decided.bound == {1: bound("2026-12-01 18:00", "19:00")}


def test_p4_row_with_times_of_its_own_is_bound_to_the_free_occurrence_and_keeps_them() -> None:
    changed = row(1, "2026-12-01", "18:00", "21:00", SEVEN_TO_TEN)

    decided = planned(session(changed, recurrence=tuesday("20:00", "23:00")), NOON)

    assert (decided.bound, decided.retimed, decided.made) == ({1: EIGHT_TO_ELEVEN}, (), ())
    assert windows(decided) == [(1, "01 17:00", "01 22:00")]


@pytest.mark.parametrize("now", [NOON, OPEN])
@pytest.mark.parametrize("recurrence", [None, recurring(weekly("wednesday", "19:00", "22:00"))])
def test_p4_gone_occurrence_without_a_free_one_takes_the_window_along(now: str, recurrence: str | None) -> None:
    decided = planned(session(tonights(), recurrence=recurrence), now)

    assert decided.bound == {1: bound("2026-12-01 19:00", "22:00", lost=True)}
    assert decided.unwindowed == (1,)
    assert 1 not in {span.session_instance_id for span in decided.windows}
    assert decided.deletable == frozenset()


def test_p4_skipped_occurrence_does_not_replace_one_that_is_gone() -> None:
    snapshot = session(tonights(), recurrence=tuesday("20:00", "23:00"), skipped=("2026-12-01 20:00",))

    assert planned(snapshot, NOON).bound == {1: bound("2026-12-01 19:00", "22:00", lost=True)}


def test_p4_planned_row_that_nobody_touched_is_deletable_and_lost_until_then() -> None:
    snapshot = session(tonights(untouched=True))

    first = planned(snapshot, NOON)
    again = planned(apply(first, snapshot, referred_to=frozenset({1})), NOON)

    assert (set(first.deletable), first.unwindowed) == ({1}, (1,))
    assert (set(again.deletable), again.bound, again.unwindowed) == ({1}, {}, (1,))


def test_p4_row_whose_window_is_over_is_never_deletable() -> None:
    lost = bound("2026-12-01 19:00", "22:00", lost=True)

    for standing in (tonights(untouched=True), tonights(lost, untouched=True)):
        assert planned(session(standing), OVER).deletable == frozenset()


@pytest.mark.parametrize("binding", [SEVEN_TO_TEN, bound("2026-12-01 19:00", "22:00", lost=True)])
def test_p4_row_that_has_opened_is_not_deletable_once_its_occurrence_is_gone(binding: Binding) -> None:
    standing = tonights(binding, untouched=True, has_opened=True)

    assert planned(session(standing), OPEN).deletable == frozenset()


def test_p4_row_that_still_has_its_occurrence_is_not_deletable() -> None:
    assert planned(session(tonights(untouched=True), recurrence=TUESDAYS), NOON).deletable == frozenset()


def test_p4_row_without_a_start_whose_occurrence_is_gone_is_forgotten() -> None:
    decided = planned(session(row(1, "2026-12-01", None, None, SEVEN_TO_TEN)), NOON)

    assert (set(decided.unbound), decided.bound, decided.unwindowed) == ({1}, {}, (1,))


def test_p4_lost_row_that_somebody_gives_other_times_is_an_extra_with_a_window() -> None:
    given = row(1, "2026-12-01", "19:30", "22:00", bound("2026-12-01 19:00", "22:00", lost=True))

    decided = planned(session(given), NOON)

    assert (set(decided.unbound), decided.unwindowed) == ({1}, ())
    assert windows(decided) == [(1, "01 18:30", "01 23:00")]


def test_p4_lost_row_that_somebody_gives_the_times_of_an_occurrence_is_bound_to_it() -> None:
    given = row(1, "2026-12-01", "20:00", "22:00", bound("2026-12-01 19:00", "22:00", lost=True))

    decided = planned(session(given, recurrence=tuesday("20:00", "23:00")), NOON)

    assert ({1: EIGHT_TO_ELEVEN}, frozenset(), ()) == (decided.bound, decided.unbound, decided.retimed)
    assert windows(decided) == [(1, "01 19:00", "01 23:00")]


@pytest.mark.parametrize(
    ("recurrence", "binding", "retimed_to"),
    [(TUESDAYS, SEVEN_TO_TEN, []), (tuesday("20:00", "23:00"), EIGHT_TO_ELEVEN, [time(20)])],
    ids=["as it was", "an hour later"],
)
def test_p4_lost_row_is_bound_again_when_the_recurrence_comes_back(
    recurrence: str, binding: Binding, retimed_to: list[time]
) -> None:
    snapshot = session(tonights())
    lost = apply(planned(snapshot, NOON), snapshot)

    decided = planned(replace(lost, recurrence=recurrence), NOON)

    assert (decided.bound, decided.made, decided.unwindowed) == ({1: binding}, (), ())
    assert [change.start_time for change in decided.retimed] == retimed_to


def test_p4_lost_row_with_times_of_its_own_keeps_them_when_it_is_bound_again() -> None:
    snapshot = session(row(1, "2026-12-01", "21:00", "23:00", SEVEN_TO_TEN))
    lost = apply(planned(snapshot, NOON), snapshot)

    decided = planned(replace(lost, recurrence=TUESDAYS), NOON)

    assert (decided.bound, decided.retimed) == ({1: SEVEN_TO_TEN}, ())
    assert windows(decided) == [(1, "01 20:00", "02 00:00")]


@pytest.mark.parametrize("untouched", [True, False], ids=["that nobody touched", "that somebody touched"])
def test_p4_row_on_a_date_of_a_break_is_lost_until_the_break_is_taken_back(*, untouched: bool) -> None:
    days_off = {"from": "2026-11-28", "to": "2026-12-01", "why": "painting"}
    snapshot = session(
        tonights(untouched=untouched), recurrence=recurring(weekly("tuesday", "19:00", "22:00"), breaks=[days_off])
    )

    decided = planned(snapshot, NOON)

    assert decided.bound == {1: bound("2026-12-01 19:00", "22:00", lost=True)}
    assert (decided.made, decided.windows, set(decided.deletable)) == ((), (), {1} if untouched else set())
    assert [left.session_instance_id for left in decided.left_behind] == [1]
    back = planned(replace(apply(decided, snapshot, referred_to=frozenset({1})), recurrence=TUESDAYS), NOON)
    assert back.bound == {1: SEVEN_TO_TEN}
    assert windows(back) == [(1, "01 18:00", "01 23:00")]


def test_r7_an_evening_that_a_person_adds_in_a_break_takes_place() -> None:
    by_hand = row(1, "2026-12-01", "19:00", "22:00")

    decided = planned(
        session(by_hand, recurrence=recurring(weekly("tuesday", "19:00", "22:00"), breaks=["2026-12-01"])), NOON
    )

    assert windows(decided) == [(1, "01 18:00", "01 23:00")]
    assert (decided.made, decided.bound, decided.unwindowed) == ((), {}, ())


def test_r7_after_a_break_the_next_row_is_made_in_time() -> None:
    days_off = {"from": "2026-12-01", "to": "2027-01-18"}
    snapshot = session(recurrence=recurring(weekly("tuesday", "19:00", "22:00"), breaks=[days_off]))

    assert planned(snapshot, NOON).next_plan_at == utc("2027-01-18 18:00")
    with pytest.raises(NoSuchOccurrence, match="2027-01-19"):
        planned(snapshot, NOON, wanted="2026-12-01 19:00")


def test_p4_row_of_the_past_is_left_as_it_is() -> None:
    for recurrence in (None, tuesday("18:00", "21:00"), tuesday("19:00", "21:30")):
        decided = planned(session(tonights(), recurrence=recurrence), OVER)

        assert ((), {}, frozenset(), ()) == (decided.retimed, decided.bound, decided.unbound, decided.unwindowed)
        assert windows(decided) == [(1, "01 18:00", "01 23:00")]


def test_p4_lost_row_of_the_past_stays_lost() -> None:
    lost = tonights(bound("2026-12-01 19:00", "22:00", lost=True))

    decided = planned(session(lost, recurrence=TUESDAYS), OVER)

    assert (decided.bound, decided.windows, decided.unwindowed) == ({}, (), ())


@pytest.mark.parametrize("end", ["22:01", "23:59"])
def test_p4_edit_that_puts_now_back_inside_a_window_opens_it(end: str) -> None:
    decided = planned(session(tonights(), recurrence=tuesday("19:00", end)), OVER)

    assert [change.end_time for change in decided.retimed] == [time.fromisoformat(end)]
    assert [span.session_instance_id for span in decided.windows if span.window.contains(utc(OVER))] == [1]


def test_p4_past_row_is_left_to_the_past_when_the_recurrence_moves_to_tonight() -> None:
    morning = row(1, "2026-12-01", "08:00", "09:00", bound("2026-12-01 08:00", "09:00"))

    decided = planned(session(morning, recurrence=tuesday("20:00", "23:00")), NOON)

    assert (decided.retimed, decided.bound) == ((), {})
    assert [new.binding for new in decided.made] == [EIGHT_TO_ELEVEN]


def test_p4_past_row_follows_hours_that_are_drawn_out_until_now_with_the_recurrences_times_only() -> None:
    drawn_out = tuesday("08:30", "12:00")
    morning = bound("2026-12-01 08:00", "09:00")

    follows = planned(session(row(1, "2026-12-01", "08:00", "09:00", morning), recurrence=drawn_out), NOON)
    keeps = planned(session(row(1, "2026-12-01", "08:15", "09:00", morning), recurrence=drawn_out), NOON)

    assert ([change.session_instance_id for change in follows.retimed], follows.made) == ([1], ())
    assert (keeps.retimed, keeps.bound, len(keeps.made)) == ((), {}, 1)


# P5, P6, P7, R3, T3


@pytest.mark.parametrize("binding", [None, SEVEN_TO_TEN])
def test_p5_cancelled_instance_has_no_window_and_keeps_its_occurrence(binding: Binding | None) -> None:
    decided = planned(session(tonights(binding, cancelled=True), recurrence=TUESDAYS), NOON)

    assert (decided.made, decided.windows, decided.unwindowed) == ((), (), ())


def test_p6_unreadable_recurrence_is_refused() -> None:
    with pytest.raises(InvalidRecurrence):
        planned(session(recurrence="every other Tuesday"), NOON)


@pytest.mark.parametrize("timezone", [None, "", "Europe/Galway"])
def test_p6_unknown_zone_is_refused_though_nothing_recurs(timezone: str | None) -> None:
    with pytest.raises(UnknownTimeZone):
        planned(session(timezone=timezone), NOON)


def test_p6_warnings_are_handed_on() -> None:
    decided = planned(session(recurrence=TUESDAYS.replace("tuesday", "Tuesday")), NOON)

    assert decided.warnings


def test_p7_windows_are_disjoint_and_nested_instance_hands_back() -> None:
    nested = row(1, "2026-12-01", "20:00", "21:00")
    session_itself = row(2, "2026-12-01", "19:00", "22:00", SEVEN_TO_TEN)

    decided = planned(session(nested, session_itself, recurrence=TUESDAYS), NOON)

    assert windows(decided) == [
        (2, "01 18:00", "01 20:00"),
        (1, "01 20:00", "01 21:00"),
        (2, "01 21:00", "01 23:00"),
    ]


def test_p7_of_equals_the_lowest_id_is_on_and_what_stands_comes_before_what_is_new() -> None:
    same = [row(key, "2026-12-01", "19:00", "22:00") for key in (5, 3)]
    kept_elsewhere = row(4, "2026-12-03", "10:00", "11:00", SEVEN_TO_TEN)

    assert [span.session_instance_id for span in planned(session(*same), NOON).windows] == [3]
    decided = planned(session(*same, kept_elsewhere, recurrence=TUESDAYS), NOON)
    assert [span.session_instance_id for span in decided.windows] == [3, 4]


@pytest.mark.parametrize(("until", "has_window"), [("2026-12-01", True), ("2026-11-30", False)])
def test_r3_instance_dated_after_the_termination_has_no_window(until: str, has_window: bool) -> None:
    by_hand = row(1, "2026-12-01", "13:00", "15:00")

    decided = planned(session(by_hand, until=until), NOON)

    assert ([1] if has_window else []) == [span.session_instance_id for span in decided.windows]
    assert decided.unwindowed == (() if has_window else (1,))


def test_r3_terminated_instance_of_the_past_is_not_named() -> None:
    by_hand = row(1, "2026-12-01", "13:00", "15:00")

    assert planned(session(by_hand, until="2026-11-30"), OVER).unwindowed == ()


@pytest.mark.parametrize(
    ("day", "now", "named"),
    [
        ("2026-12-01", NOON, True),
        ("2026-12-01", "2026-12-02 00:59", True),
        ("2026-12-01", "2026-12-02 01:00", False),
        ("2026-11-30", NOON, False),
    ],
)
def test_t3_instance_with_neither_start_nor_occurrence_has_no_window(day: str, now: str, named: bool) -> None:
    decided = planned(session(row(1, day, None, "22:00")), now)

    assert decided.windows == ()
    assert decided.unwindowed == ((1,) if named else ())


def test_t3_missing_end_is_the_default_length_after_the_start() -> None:
    decided = planned(session(row(1, "2026-12-01", "13:00")), NOON)

    assert windows(decided) == [(1, "01 12:00", "01 17:00")]


def test_t2_buffers_are_elapsed_time() -> None:
    """New York's clocks go back at 02:00 on the first of November 2026."""
    snapshot = session(row(1, "2026-11-01", "00:30", "01:30"), timezone="America/New_York", before=120, after=60)

    decided = planned(snapshot, "2026-11-01 00:00")

    assert windows(decided) == [(1, "01 02:30", "01 06:30")]


@pytest.mark.parametrize("day", ["0001-01-01", "0001-01-08", "9998-12-31", "9999-12-24", "9999-12-25", "9999-12-31"])
@pytest.mark.parametrize("start", [None, "00:00", "23:59"])
@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Midway"])
@pytest.mark.parametrize("lost", [False, True])
def test_instances_at_the_ends_of_the_calendar_are_planned_around(
    day: str, start: str | None, timezone: str, lost: bool
) -> None:
    far_binding = Binding(wall(f"{day} 19:00"), wall(f"{day} 22:00"), lost)
    rows = (
        row(1, day, start, binding=SEVEN_TO_TEN),
        row(2, day, start, binding=far_binding),
        row(3, day, start),
    )

    decided = planned(session(*rows, recurrence=TUESDAYS, timezone=timezone), NOON)

    assert decided.made == ()
    assert 1 not in decided.bound


def test_far_instance_is_named_when_it_has_no_window() -> None:
    snapshot = session(row(1, "9999-12-31", "19:00", "22:00"), row(2, "0001-01-01", "19:00", "22:00", SEVEN_TO_TEN))

    assert planned(snapshot, NOON).unwindowed == (1,)


# Any session

MINUTES = st.sampled_from([0, 30, 60, 90, 120, 180, 300, 720, 1439])
CLOCK_TIMES = st.sampled_from([time(0), time(0, 30), time(10), time(19), time(20), time(21, 30), time(23, 30)])
DAYS = st.dates(date(2026, 11, 27), date(2026, 12, 6))
MOMENTS = st.datetimes(datetime(2026, 11, 30), datetime(2026, 12, 3), timezones=st.just(UTC))
WEEKDAYS = st.sampled_from(["monday", "tuesday", "wednesday", "thursday"])


@st.composite
def recurrences(draw: st.DrawFn) -> str:
    schedules = [
        weekly(draw(WEEKDAYS), f"{draw(CLOCK_TIMES):%H:%M}", f"{end:%H:%M}" if end else None)
        for end in draw(st.lists(st.none() | CLOCK_TIMES, max_size=3))
    ]
    breaks = draw(st.lists(DAYS, max_size=2))
    return recurring(*schedules, breaks=[{"from": str(day), "to": str(max(breaks))} for day in breaks])


@st.composite
def bindings(draw: st.DrawFn) -> Binding:
    start = datetime.combine(draw(DAYS), draw(CLOCK_TIMES))
    lost = draw(st.booleans())
    return Binding(start, start + timedelta(minutes=draw(MINUTES) + 1), lost, lost and draw(st.booleans()))


@st.composite
def instances(draw: st.DrawFn, session_instance_id: int) -> InstanceSnapshot:
    """Half of those that are bound have the times of their binding; only of a bound one we know what we wrote."""
    binding = draw(st.none() | bindings())
    day, start, end = draw(DAYS), draw(st.none() | CLOCK_TIMES), draw(st.none() | CLOCK_TIMES)
    if binding and draw(st.booleans()):
        day, start, end = binding.start.date(), binding.start.time(), binding.end.time()
    is_cancelled, untouched, has_opened = (draw(st.booleans()) for _ in range(3))
    return InstanceSnapshot(
        session_instance_id, day, start, end, is_cancelled, binding, untouched and binding is not None, has_opened
    )


@st.composite
def sessions(draw: st.DrawFn) -> SessionSnapshot:
    return SessionSnapshot(
        12,
        draw(recurrences()),
        draw(st.sampled_from(["Europe/Dublin", "Pacific/Kiritimati", "Pacific/Midway"])),
        draw(st.none() | DAYS),
        draw(st.none() | DAYS),
        draw(MINUTES),
        draw(MINUTES),
        tuple(draw(instances(key)) for key in range(1, draw(st.integers(0, 4)) + 1)),
        draw(st.frozensets(st.builds(datetime.combine, DAYS, CLOCK_TIMES), max_size=2)),
    )


@given(sessions(), MOMENTS)
def test_windows_are_disjoint(snapshot: SessionSnapshot, now: datetime) -> None:
    spans = planned(snapshot, now).windows

    assert all(span.window.opens_at < span.window.closes_at for span in spans)
    assert all(one.window.closes_at <= other.window.opens_at for one, other in pairwise(spans))


def test_p2_row_without_a_start_whose_occurrence_is_gone_takes_a_skipped_one_on_its_date_at_once() -> None:
    stray = row(1, "2026-12-01", None, None, bound("2026-11-27 00:00", "00:01"))
    snapshot = session(stray, recurrence=tuesday("20:00", "23:00"), skipped=("2026-12-01 20:00",))

    decided = planned(snapshot, NOON)

    assert decided.bound == {1: EIGHT_TO_ELEVEN}
    assert_changes_nothing(planned(apply(decided, snapshot), NOON))


def test_p2_row_that_a_person_made_comes_before_one_that_a_trigger_moved_to_the_same_start() -> None:
    lost = bound("2026-11-27 20:00", "23:00", lost=True)
    moved = row(1, "2026-12-01", "20:00", "23:00", lost, untouched=True)
    by_hand = row(2, "2026-12-01", "20:00", "23:00")
    snapshot = session(moved, by_hand, recurrence=tuesday("20:00", "23:00"))

    decided = planned(snapshot, NOON)

    assert decided.bound == {2: EIGHT_TO_ELEVEN}
    assert decided.deletable == {1}
    assert_changes_nothing(planned(apply(decided, snapshot), NOON))


def test_p2_of_two_untouched_rows_that_are_bound_to_one_occurrence_one_goes() -> None:
    rows = [row(key, "2026-12-01", "20:00", "23:00", EIGHT_TO_ELEVEN, untouched=True) for key in (1, 2)]
    snapshot = session(*rows, recurrence=tuesday("20:00", "23:00"))

    decided = planned(snapshot, NOON)

    assert decided.deletable == {2}
    assert not decided.unbound
    assert_changes_nothing(planned(apply(decided, snapshot), NOON))


@given(sessions(), MOMENTS)
def test_planning_again_at_the_same_instant_changes_nothing(snapshot: SessionSnapshot, now: datetime) -> None:
    first = planned(snapshot, now)

    again = planned(apply(first, snapshot), now)

    assert_changes_nothing(again)
    assert spans_after(first, snapshot) == again.windows
    assert first.next_plan_at == again.next_plan_at


def assert_changes_nothing(decided: Plan) -> None:
    changes = (decided.made, decided.retimed, decided.bound, decided.unbound, decided.deletable)
    assert ((), (), {}, frozenset(), frozenset()) == changes


@given(sessions(), MOMENTS, st.integers(1, 6))
def test_p1_planning_in_one_step_or_in_many_makes_the_same_rows(
    snapshot: SessionSnapshot, now: datetime, steps: int
) -> None:
    whole = HORIZON + timedelta(hours=20) * steps
    at_once = apply(plan(snapshot, now, horizon=whole, default_length=LENGTH), snapshot)

    step_by_step = snapshot
    for step in range(steps + 1):
        at = now + timedelta(hours=20) * step
        step_by_step = apply(planned(step_by_step, at), step_by_step)

    assert made_rows(at_once, snapshot) == made_rows(step_by_step, snapshot)


def made_rows(after: SessionSnapshot, before: SessionSnapshot) -> set[tuple[date, time | None, time | None]]:
    known = {instance.session_instance_id for instance in before.instances}
    rows = [instance for instance in after.instances if instance.session_instance_id not in known]
    return {(instance.date, instance.start_time, instance.end_time) for instance in rows}


@given(sessions(), MOMENTS)
def test_p1_planning_only_at_the_noted_times_makes_every_row_in_time(snapshot: SessionSnapshot, now: datetime) -> None:
    for _ in range(4):
        decided = planned(snapshot, now)
        assert decided.next_plan_at is None or decided.next_plan_at > now
        snapshot = apply(decided, snapshot)
        if decided.next_plan_at is None:
            return
        assert planned(snapshot, decided.next_plan_at - timedelta(microseconds=1)).made == ()
        now = decided.next_plan_at
        assert planned(snapshot, now).made


@given(sessions(), MOMENTS, recurrences())
def test_p3_nothing_that_a_person_wrote_is_retimed_or_deleted(
    snapshot: SessionSnapshot, now: datetime, other: str
) -> None:
    """A person's are the rows with other times than their binding's, whatever becomes of the recurrence later."""
    written = {found.session_instance_id: found for found in snapshot.instances if is_a_persons(found)}

    for recurrence in (snapshot.recurrence, None, other):
        snapshot = replace(snapshot, recurrence=recurrence)
        decided = planned(snapshot, now)
        assert not written.keys() & {change.session_instance_id for change in decided.retimed}
        assert not {key for key, found in written.items() if not found.untouched} & decided.deletable
        snapshot = apply(decided, snapshot)
        written = {key: found for key, found in written.items() if is_still(found, snapshot)}


def is_a_persons(instance: InstanceSnapshot) -> bool:
    """Whether no binding's times are the row's own; a row without a start is nobody's."""
    binding = instance.binding
    if binding is None or instance.start_time is None:
        return True
    return (instance.date, instance.start_time) != (binding.start.date(), binding.start.time())


def is_still(written: InstanceSnapshot, snapshot: SessionSnapshot) -> bool:
    """Whether the row still differs from its binding, which may have come to equal it, or is lost as a person's."""
    for found in snapshot.instances:
        if found.session_instance_id == written.session_instance_id:
            return is_a_persons(found) or (found.binding is not None and found.binding.moved)
    return False


# P6: what cannot be read


def frozen(snapshot: SessionSnapshot, now: str = "2026-12-01 12:00") -> Plan:
    return plan_or_freeze(snapshot, utc(now), horizon=timedelta(hours=24), default_length=timedelta(hours=3))


def test_p6_what_can_be_read_is_planned_as_ever() -> None:
    snapshot = session(recurrence=recurring(weekly("tuesday", "19:00", "22:00")))

    assert frozen(snapshot) == planned(snapshot, "2026-12-01 12:00")
    assert frozen(snapshot).unreadable is None


def test_p6_without_any_row_an_unreadable_recurrence_plans_nothing() -> None:
    plan = frozen(session(recurrence="most Tuesdays"))

    assert (plan.made, plan.windows, plan.next_plan_at) == ((), (), None)
    assert plan.unreadable is not None
    assert "most Tuesdays" in plan.unreadable


def test_p6_a_bound_row_keeps_its_occurrence_and_a_cancelled_one_its_silence() -> None:
    kept = row(1, "2026-12-01", "19:00", "22:00", bound("2026-12-01 19:00", "2026-12-01 22:00"), untouched=True)
    called_off = row(2, "2026-12-02", "19:00", "22:00", bound("2026-12-02 19:00", "2026-12-02 22:00"), cancelled=True)
    by_hand = row(3, "2026-12-03", "20:00", "21:00")
    lost = row(4, "2026-12-04", "19:00", "22:00", bound("2026-12-04 19:00", "2026-12-04 22:00", lost=True))

    plan = frozen(session(kept, called_off, by_hand, lost, recurrence="most Tuesdays"))

    assert windows(plan) == [(1, "01 18:00", "01 23:00"), (3, "03 19:00", "03 22:00")]
    assert (plan.made, plan.retimed, plan.bound, plan.unbound, plan.deletable) == ((), (), {}, frozenset(), frozenset())


@pytest.mark.parametrize("zone", [None, "Eire/Dublin"])
def test_p6_with_an_unknown_zone_only_what_has_no_window_in_any_zone_is_known(zone: str | None) -> None:
    stands, cancelled, too_late = (
        row(1, "2026-12-01", "19:00", "22:00"),
        row(2, "2026-12-01", "19:00", "22:00", cancelled=True),
        row(3, "2026-12-24", "19:00", "22:00"),
    )

    plan = frozen(session(stands, cancelled, too_late, timezone=zone, until="2026-12-20"))

    assert plan.unknown_hours
    assert plan.windowless == {2, 3}
    assert (plan.made, plan.windows, plan.bound, plan.deletable) == ((), (), {}, frozenset())


# P2: a row made by hand beside the planner's


@pytest.mark.parametrize(
    ("untouched", "bound_to_hand_made"), [(True, True), (False, False)], ids=["untouched", "touched"]
)
@pytest.mark.parametrize(("now", "has_opened"), [("2026-12-01 12:00", False), ("2026-12-01 20:00", True)])
def test_p2_a_row_that_nobody_touched_gives_way_to_one_made_by_hand(
    now: str, *, has_opened: bool, untouched: bool, bound_to_hand_made: bool
) -> None:
    hours = bound("2026-12-01 19:00", "2026-12-01 22:00")
    planners = row(1, "2026-12-01", "19:00", "22:00", hours, untouched=untouched, has_opened=has_opened)
    hand_made = row(2, "2026-12-01", "19:00", "22:00")

    plan = planned(session(planners, hand_made, recurrence=recurring(weekly("tuesday", "19:00", "22:00"))), now)

    assert (plan.bound.get(2) == hours) == bound_to_hand_made
    assert plan.deletable == ({1} if bound_to_hand_made else frozenset())
    assert [id_ for id_, _, _ in windows(plan)] == [2 if bound_to_hand_made else 1]


def test_p4_what_a_new_pattern_leaves_behind_is_named_once() -> None:
    hours = bound("2026-12-01 19:00", "2026-12-01 22:00")
    snapshot = session(
        row(1, "2026-12-01", "19:00", "22:00", hours), recurrence=recurring(weekly("friday", "19:00", "22:00"))
    )

    plan = planned(snapshot, "2026-12-01 12:00")

    assert [left.session_instance_id for left in plan.left_behind] == [1]
    assert planned(apply(plan, snapshot), "2026-12-01 12:00").left_behind == ()
