"""Corner cases of the planner: each fails for a change of one line that the other tests do not notice."""

from datetime import date, time

import pytest

from core.errors import NoSuchOccurrence
from core.rules.binding import FIRST_DAY, LAST_DAY
from core.rules.planner import InstanceSnapshot
from tests.core.rules.planner_model import bound, planned, recurring, row, session, utc, weekly, windows

NOON = "2026-12-01 12:00"
SEVEN_TO_TEN = bound("2026-12-01 19:00", "22:00")


def tuesday(start: str, end: str | None = None) -> str:
    return recurring(weekly("tuesday", start, end))


def test_p4_a_row_that_nobody_calls_deletable_is_kept() -> None:
    left = InstanceSnapshot(1, date(2026, 12, 1), time(19), time(22), is_cancelled=False, binding=SEVEN_TO_TEN)

    assert planned(session(left, recurrence=None), NOON).deletable == frozenset()


def test_p2_second_row_of_one_occurrence_is_an_extra_with_a_window_of_its_own() -> None:
    first = row(1, "2026-12-01", "19:00", "22:00", SEVEN_TO_TEN)
    second = row(2, "2026-12-01", "14:00", "15:00", SEVEN_TO_TEN)

    decided = planned(session(first, second, recurrence=tuesday("19:00", "22:00")), NOON)

    assert windows(decided) == [(2, "01 13:00", "01 16:00"), (1, "01 18:00", "01 23:00")]
    assert decided.unbound == {2}


def test_p2_row_without_a_start_contends_by_its_id_whatever_it_lost() -> None:
    lost = bound("2026-12-01 08:00", "09:00", lost=True)

    decided = planned(
        session(row(1, "2026-12-01", binding=lost), row(2, "2026-12-01"), recurrence=tuesday("19:00", "22:00")), NOON
    )

    assert decided.bound == {1: SEVEN_TO_TEN}


def test_p3_row_whose_end_equals_its_start_follows_an_occurrence_that_states_none() -> None:
    equal = row(1, "2026-12-01", "19:00", "19:00", SEVEN_TO_TEN)

    decided = planned(session(equal, recurrence=tuesday("20:00")), NOON)

    assert [(change.session_instance_id, change.start_time) for change in decided.retimed] == [(1, time(20))]


@pytest.mark.parametrize("day", [FIRST_DAY, LAST_DAY])
def test_t3_rows_at_the_ends_of_the_calendar_have_their_times(day: date) -> None:
    far = row(1, day.isoformat(), "19:00", "22:00", None)

    assert [span.session_instance_id for span in planned(session(far, recurrence=None), NOON).windows] == [1]


def test_p5_cancelled_row_without_times_is_not_one_that_somebody_waits_for() -> None:
    without_times = row(1, "2026-12-08", cancelled=True)

    assert planned(session(without_times, recurrence=None), NOON).unwindowed == ()


def test_p1_refusal_names_what_is_nearest_within_53_weeks() -> None:
    a_year_on = "DTSTART:20271207T190000"
    text = f"{a_year_on}\nRDATE:20271208T190000,20271209T190000"

    with pytest.raises(NoSuchOccurrence, match=r": 2027-12-07 19:00:00$"):
        planned(session(recurrence=text), NOON, "2026-12-01 20:00")


def test_p4_past_row_with_times_of_its_own_takes_no_drawn_out_occurrence_from_another() -> None:
    over = row(1, "2026-12-01", "08:15", "09:00", bound("2026-12-01 08:00", "09:00"))
    extra = row(2, "2026-12-01", "11:00", "13:00")

    decided = planned(session(over, extra, recurrence=tuesday("08:30", "12:00")), NOON)

    assert decided.bound == {2: bound("2026-12-01 08:30", "12:00")}
    assert decided.made == ()


@pytest.mark.parametrize(
    ("day", "times", "occurrence"),
    [
        ("2027-03-01", ("22:00", "02:00"), ("2027-03-02 01:00", "2027-03-02 03:00")),
        ("2027-03-03", ("01:00", "03:00"), ("2027-03-02 22:00", "2027-03-03 02:00")),
    ],
)
def test_p2_row_is_bound_to_what_it_overlaps_across_midnight_however_far_ahead(
    day: str, times: tuple[str, str], occurrence: tuple[str, str]
) -> None:
    start, end = occurrence

    decided = planned(session(row(1, day, *times), recurrence=tuesday(start[-5:], end[-5:])), NOON)

    assert decided.bound == {1: bound(start, end)}


def test_p1_wanted_occurrence_may_be_on_the_first_date_that_matters() -> None:
    decided = planned(session(recurrence=tuesday("19:00", "22:00")), "2026-12-05 12:00", "2026-12-01 19:00")

    assert [new.binding for new in decided.made] == [SEVEN_TO_TEN]
    with pytest.raises(NoSuchOccurrence):
        planned(session(recurrence=tuesday("19:00", "22:00")), "2026-12-06 00:00", "2026-12-01 19:00")


def test_p1_occurrence_on_a_day_that_the_zone_skipped_is_not_forgotten() -> None:
    """Apia had no 30 December 2011: that Friday's 20:00 is the instant at which clocks show Saturday's."""
    fridays = session(recurrence=recurring(weekly("friday", "20:00", "22:00")), timezone="Pacific/Apia")

    assert planned(fridays, "2011-12-29 12:00").next_plan_at == utc("2011-12-30 05:00")
    assert [new.date for new in planned(fridays, "2011-12-30 05:00").made] == [date(2011, 12, 30)]


def test_p1_next_time_to_plan_is_found_on_the_day_after_a_skipped_one() -> None:
    both = recurring(weekly("wednesday", "19:00", "22:00"), weekly("thursday", "19:00", "22:00"))

    decided = planned(session(recurrence=both, skipped=("2026-12-02 19:00",)), NOON)

    assert decided.next_plan_at == utc("2026-12-02 18:00")


def test_p1_occurrence_that_is_over_and_was_never_made_is_no_reason_to_plan_again() -> None:
    decided = planned(session(recurrence=tuesday("08:00", "09:00")), NOON)

    assert decided.made == ()
    assert decided.next_plan_at == utc("2026-12-07 07:00")
