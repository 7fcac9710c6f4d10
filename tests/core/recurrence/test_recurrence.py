from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import count
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRecurrence
from core.recurrence import DEFAULT_LENGTH, LAST_DAY, Break, Occurrence, parse, validate, with_break, with_start
from tests.core.recurrence.documents import Document, monthly, recurrence, span, text_of, weekly, with_breaks

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAY = timedelta(days=1)


def dates(*days: str) -> list[date]:
    return [date.fromisoformat(day) for day in days]


def start_dates(found: tuple[Occurrence, ...]) -> list[date]:
    return [occurrence.start.date() for occurrence in found]


@pytest.mark.parametrize("text", [None, "", " \n\t", '{"schedules": []}'])
def test_r1_no_text_and_no_schedules_mean_no_recurrence(text: str | None) -> None:
    for read in (parse, validate):
        nothing = read(text)

        assert nothing.is_empty
        assert nothing.warnings == ()
        assert nothing.between(date.min, date.max) == ()
        assert nothing.first_on_or_after(date(2026, 11, 5)) is None


@pytest.mark.parametrize(
    ("start", "hour", "minute"), [("9:05", 9, 5), ("09:05", 9, 5), ("0:00", 0, 0), ("23:59", 23, 59)]
)
def test_r1_times(start: str, hour: int, minute: int) -> None:
    (found,) = recurrence(weekly(start=start)).between(date(2026, 11, 5), date(2026, 11, 5))

    assert datetime(2026, 11, 5, hour, minute) == found.start


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (monthly([1]), ["2026-11-01"]),
        (monthly([2, 5]), ["2026-11-08", "2026-11-29"]),
        (monthly([-1]), ["2026-11-29"]),
        (monthly([-1], "saturday"), ["2026-11-28"]),
        (monthly([-1], "monday"), ["2026-11-30"]),  # the month's last day
        (monthly([-1], "tuesday"), ["2026-11-24"]),  # as early as a last one can be
        (monthly([4, -1], "saturday"), ["2026-11-28"]),  # the fourth is also the last
        (monthly([5, -1]), ["2026-11-29"]),
        (monthly([5], "saturday"), []),
        (monthly([1, 1, 3, 3]), ["2026-11-01", "2026-11-15"]),
        (weekly("sunday"), ["2026-11-01", "2026-11-08", "2026-11-15", "2026-11-22", "2026-11-29"]),
    ],
)
def test_r1_dates_in_november(schedule: Document, expected: list[str]) -> None:
    found = recurrence(schedule).between(date(2026, 11, 1), date(2026, 11, 30))

    assert dates(*expected) == start_dates(found)


def test_r1_occurrences_of_all_schedules_are_in_order() -> None:
    found = recurrence(weekly("friday", "20:00"), weekly("friday", "9:00"), weekly("monday")).between(
        date(2026, 11, 2), date(2026, 11, 8)
    )

    assert [datetime(2026, 11, 2, 19, 30), datetime(2026, 11, 6, 9), datetime(2026, 11, 6, 20)] == [
        occurrence.start for occurrence in found
    ]


def test_r1_between_goes_by_the_date_of_the_start() -> None:
    overnight = recurrence(weekly("thursday", "22:00", "2:00"))

    assert dates("2026-11-05") == start_dates(overnight.between(date(2026, 11, 5), date(2026, 11, 5)))
    assert overnight.between(date(2026, 11, 6), date(2026, 11, 6)) == ()
    assert overnight.between(date(2026, 11, 6), date(2026, 11, 5)) == ()


@pytest.mark.parametrize(
    ("end", "expected_end", "states_end"),
    [
        ("22:30", "2026-11-05 22:30", True),
        ("0:00", "2026-11-06 00:00", True),
        ("1:00", "2026-11-06 01:00", True),
        ("19:29", "2026-11-06 19:29", True),
        ("19:30", "2026-11-05 22:30", False),
        (None, "2026-11-05 22:30", False),
    ],
)
def test_t3_end(end: str | None, expected_end: str, *, states_end: bool) -> None:
    (found,) = recurrence(weekly(end=end)).between(date(2026, 11, 5), date(2026, 11, 5))

    assert Occurrence(datetime(2026, 11, 5, 19, 30), datetime.fromisoformat(expected_end), states_end) == found


def test_t3_end_may_be_left_out_and_its_default_is_a_setting() -> None:
    schedule = weekly()
    del schedule["end_time"]

    for read in (parse, validate):
        (found,) = read(text_of(schedule), default_length=timedelta(hours=5)).between(
            date(2026, 11, 5), date(2026, 11, 5)
        )
        assert Occurrence(datetime(2026, 11, 5, 19, 30), datetime(2026, 11, 6, 0, 30), states_end=False) == found


@pytest.mark.parametrize(
    ("initiation", "every_n_weeks", "expected"),
    [
        ("2026-11-05", 2, ["2026-11-05", "2026-11-19"]),  # a Thursday itself
        ("2026-11-06", 2, ["2026-11-12", "2026-11-26"]),  # the first Thursday after it
        ("2026-10-23", 2, ["2026-11-12", "2026-11-26"]),
        ("2025-01-02", 3, ["2026-11-05", "2026-11-26"]),
        (None, 1, ["2026-11-05", "2026-11-12", "2026-11-19", "2026-11-26"]),
        (None, 2, ["2026-11-12", "2026-11-26"]),  # 2026-11-02 is 2,965 weeks after Monday 1970-01-05
    ],
)
def test_r2_weeks_count_from_the_first_matching_weekday(
    initiation: str | None, every_n_weeks: int, expected: list[str]
) -> None:
    found = recurrence(weekly(every_n_weeks=every_n_weeks)).between(
        date(2026, 11, 1),
        date(2026, 11, 30),
        initiation_date=date.fromisoformat(initiation) if initiation else None,
    )

    assert dates(*expected) == start_dates(found)


def test_r2_each_schedule_counts_its_own_weekday() -> None:
    """From a Wednesday on, the first Thursday is tomorrow and the first Tuesday is next week."""
    found = recurrence(weekly("thursday", every_n_weeks=2), weekly("tuesday", every_n_weeks=2)).between(
        date(2026, 11, 1), date(2026, 11, 30), initiation_date=date(2026, 11, 4)
    )

    assert dates("2026-11-05", "2026-11-10", "2026-11-19", "2026-11-24") == start_dates(found)


def test_r2_says_whether_an_initiation_date_is_needed() -> None:
    assert recurrence(weekly(), weekly(every_n_weeks=2)).needs_initiation_date
    assert not recurrence(weekly(every_n_weeks=1), monthly([1])).needs_initiation_date


def test_r3_bounds_are_inclusive_local_dates_of_the_start() -> None:
    overnight = recurrence(weekly("thursday", "22:00", "2:00"))

    def found(initiation: str, termination: str) -> list[date]:
        return start_dates(
            overnight.between(
                date(2026, 1, 1),
                date(2026, 12, 31),
                initiation_date=date.fromisoformat(initiation),
                termination_date=date.fromisoformat(termination),
            )
        )

    assert dates("2026-11-05", "2026-11-12") == found("2026-11-05", "2026-11-12")
    assert found("2026-11-06", "2026-11-11") == []
    assert found("2026-11-12", "2026-11-05") == []


def test_r3_bounds_hold_for_the_first_on_or_after() -> None:
    thursdays = recurrence(weekly())
    day = date(2026, 11, 1)

    late = thursdays.first_on_or_after(day, initiation_date=date(2027, 11, 1))
    assert late is not None
    assert date(2027, 11, 4) == late.start.date()
    assert thursdays.first_on_or_after(day, termination_date=date(2026, 11, 5)) is not None
    assert thursdays.first_on_or_after(day, termination_date=date(2026, 11, 4)) is None


def test_r4_same_start_is_one_occurrence_with_the_latest_end() -> None:
    day = date(2026, 11, 1)
    start = datetime(2026, 11, 1, 15)
    schedules = [
        monthly([1], end="17:00"),
        weekly("sunday", "15:00", "20:00"),
        monthly([1], end=None),
        weekly("sunday", "15:00", "18:00"),
    ]

    for order in (schedules, schedules[::-1]):
        both = recurrence(*order)
        assert (Occurrence(start, datetime(2026, 11, 1, 20)),) == both.between(day, day)
        assert both.between(day, day)[0] == both.first_on_or_after(day)


def test_r4_a_stated_end_wins_over_an_equal_default() -> None:
    day = date(2026, 11, 5)
    (found,) = recurrence(weekly(end="22:30"), weekly(end=None)).between(day, day)

    assert found.states_end


@pytest.mark.parametrize(
    ("schedule", "day", "expected"),
    [
        (weekly(), "2026-11-05", "2026-11-05"),
        (weekly(), "2026-11-06", "2026-11-12"),
        (monthly([5], "friday"), "2026-11-05", "2027-01-29"),
        (monthly([5], "friday"), "2026-05-30", "2026-07-31"),
        (weekly(every_n_weeks=52), "2026-11-06", "2027-10-28"),
    ],
)
def test_r1_first_on_or_after(schedule: Document, day: str, expected: str) -> None:
    found = recurrence(schedule).first_on_or_after(date.fromisoformat(day))

    assert found is not None
    assert date.fromisoformat(expected) == found.start.date()


@pytest.mark.parametrize("every_n_weeks", range(1, 53))
def test_r2_first_on_or_after_finds_every_count_of_weeks(every_n_weeks: int) -> None:
    thursdays = recurrence(weekly(every_n_weeks=every_n_weeks))
    first_started = date(2026, 11, 5)

    found = thursdays.first_on_or_after(first_started + DAY, initiation_date=first_started)

    assert found is not None
    assert first_started + timedelta(weeks=every_n_weeks) == found.start.date()


def test_r1_the_ends_of_the_calendar_are_no_error() -> None:
    every_day = recurrence(*(weekly(weekday, "23:00", "22:59") for weekday in WEEKDAYS), monthly([-1, 5]))

    assert date.min == every_day.between(date.min, date(1, 2, 1))[0].start.date()
    assert every_day.between(date(2199, 11, 1), date.max)[-1].start.date() == LAST_DAY
    assert every_day.between(LAST_DAY, date.max, initiation_date=LAST_DAY)[0].start.date() == LAST_DAY
    assert every_day.first_on_or_after(date.min) is not None
    assert every_day.first_on_or_after(LAST_DAY) is not None
    assert every_day.first_on_or_after(date.max) is None
    assert every_day.first_on_or_after(date.max, initiation_date=date.max, termination_date=date.min) is None


def days_of_its_month(day: date) -> list[date]:
    first = day.replace(day=1)
    return [first + shift * DAY for shift in range(31) if (first + shift * DAY).month == day.month]


def days_from(day: date) -> Iterator[date]:
    return (day + shift * DAY for shift in count())


def falls_on(schedule: Document, day: date, initiation: date | None) -> bool:
    weekday = WEEKDAYS.index(schedule["weekday"])
    if day.weekday() != weekday:
        return False
    if schedule["type"] == "monthly_nth_weekday":
        matching = [other for other in days_of_its_month(day) if other.weekday() == weekday]
        on = {matching[nth - 1 if nth > 0 else nth] for nth in schedule["which"] if nth <= len(matching)}
        return day in on
    if initiation is None:
        monday = day - day.weekday() * DAY
        weeks = (monday - date(1970, 1, 5)).days // 7
    else:
        counted_from = next(later for later in days_from(initiation) if later.weekday() == weekday)
        weeks = len(range(counted_from.toordinal(), day.toordinal(), 7))
    return weeks in range(0, 9999, schedule["every_n_weeks"])


def days_off(breaks: Sequence[Any]) -> set[date]:
    off: set[date] = set()
    for one in breaks:
        first, last = (one, one) if isinstance(one, str) else (one["from"], one["to"])
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            off.add(day)
            day += DAY
    return off


def by_the_definition(
    schedules: list[Document],
    first: date,
    last: date,
    initiation: date | None,
    termination: date | None,
    *,
    breaks: Sequence[Any] = (),
) -> Iterator[tuple[datetime, datetime]]:
    day, off = first, days_off(breaks)
    while day <= last:
        ends: dict[datetime, datetime] = {}
        for schedule in schedules:
            started = initiation is None or day >= initiation
            ended = termination is not None and day > termination
            if started and not ended and day not in off and falls_on(schedule, day, initiation):
                start = datetime.combine(day, time.fromisoformat(schedule["start_time"]))
                end = start + DEFAULT_LENGTH
                if schedule["end_time"] not in {None, schedule["start_time"]}:
                    end = datetime.combine(day, time.fromisoformat(schedule["end_time"]))
                    end = end if end >= start else end + DAY
                ends[start] = max(end, ends.get(start, end))
        yield from sorted(ends.items())
        day += DAY


FEW_TIMES = st.sampled_from(["00:00", "15:00", "19:30", "23:59"])
FEW_DATES = st.dates(date(2026, 1, 1), date(2027, 6, 1))
SCHEDULES = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("weekly"),
            "weekday": st.sampled_from(WEEKDAYS),
            "start_time": FEW_TIMES,
            "end_time": st.none() | FEW_TIMES,
            "every_n_weeks": st.integers(1, 6) | st.just(52),
        }
    )
    | st.fixed_dictionaries(
        {
            "type": st.just("monthly_nth_weekday"),
            "weekday": st.sampled_from(WEEKDAYS),
            "start_time": FEW_TIMES,
            "end_time": st.none() | FEW_TIMES,
            "which": st.lists(st.sampled_from([1, 2, 3, 4, 5, -1]), min_size=1, max_size=4),
        }
    ),
    min_size=1,
    max_size=4,
)


# Single dates, a few weeks and years, also one within another.
BREAKS = st.lists(
    FEW_DATES.map(str)
    | st.builds(
        lambda first, days: span(str(first), str(first + days * DAY)),
        FEW_DATES,
        st.sampled_from([0, 1, 6, 7, 30, 70, 400, 4000]),
    ),
    max_size=4,
)


SPANS = st.builds(lambda first, days: (first, first + days * DAY), FEW_DATES, st.integers(0, 120))


@given(SCHEDULES, BREAKS, SPANS, st.none() | FEW_DATES, st.none() | FEW_DATES)
@settings(max_examples=150, deadline=None)
def test_r1_to_r7_agree_with_the_definition(
    schedules: list[Document],
    breaks: list[Any],
    dates: tuple[date, date],
    initiation: date | None,
    termination: date | None,
) -> None:
    first, last = dates

    found = recurrence(*schedules, breaks=breaks).between(
        first, last, initiation_date=initiation, termination_date=termination
    )

    expected = list(by_the_definition(schedules, first, last, initiation, termination, breaks=breaks))
    assert expected == [(occurrence.start, occurrence.end) for occurrence in found]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_r1_to_r4_agree_with_the_definition_over_20_years(capsys: pytest.CaptureFixture[str]) -> None:
    cases = occurrences = 0
    far_dates = st.dates(date(1990, 1, 1), date(2030, 1, 1))

    @given(SCHEDULES, far_dates, st.none() | far_dates, st.none() | st.dates(date(2000, 1, 1), date(2060, 1, 1)))
    @settings(max_examples=1000)
    def check(schedules: list[Document], first: date, initiation: date | None, termination: date | None) -> None:
        nonlocal cases, occurrences
        last = first + 20 * 366 * DAY
        found = recurrence(*schedules).between(first, last, initiation_date=initiation, termination_date=termination)
        expected = list(by_the_definition(schedules, first, last, initiation, termination))
        assert expected == [(occurrence.start, occurrence.end) for occurrence in found]
        cases += 1
        occurrences += len(expected)

    check()
    with capsys.disabled():
        print(f"\n{cases} recurrences over 20 years agree: {occurrences} occurrences")  # noqa: T201 - asked for


@given(SCHEDULES, BREAKS, FEW_DATES, st.none() | FEW_DATES, st.none() | FEW_DATES)
@settings(deadline=None)
def test_r1_first_on_or_after_is_the_first_of_all(
    schedules: list[Document], breaks: list[Any], day: date, initiation: date | None, termination: date | None
) -> None:
    read = recurrence(*schedules, breaks=breaks)

    all_found = read.between(day, day + 20_000 * DAY, initiation_date=initiation, termination_date=termination)
    found = read.first_on_or_after(day, initiation_date=initiation, termination_date=termination)

    assert next(iter(all_found), None) == found


# R7: breaks


def test_r7_nothing_starts_on_the_dates_of_a_break_and_weeks_count_through_it() -> None:
    fortnightly = recurrence(
        weekly("thursday", "22:00", "2:00", every_n_weeks=2),
        breaks=["2026-11-06", span("2026-11-19", "2026-12-16", why="painting"), "2026-12-31", "2027-01-01"],
    )
    started = date(2026, 11, 5)

    found = fortnightly.between(started, date(2027, 1, 31), initiation_date=started)

    # 5 November lasts into the 6th, which is a break: the date of the start counts.
    assert start_dates(found) == dates("2026-11-05", "2026-12-17", "2027-01-14", "2027-01-28")
    later = fortnightly.first_on_or_after(date(2026, 11, 6), initiation_date=started)
    assert later is not None
    assert later.start.date() == date(2026, 12, 17)


def test_r7_a_break_of_all_time_leaves_nothing() -> None:
    never = recurrence(weekly(), breaks=[span("1900-01-01", "2199-12-31")])

    assert never.between(date(1900, 1, 1), date.max) == ()
    assert never.first_on_or_after(date(1900, 1, 1)) is None
    assert never.first_on_or_after(LAST_DAY) is None


def test_r7_the_worst_breaks_are_passed_over_in_milliseconds(figures: Callable[[str], None]) -> None:
    """As many schedules and breaks as may be, and each break hits the next start.

    Measured in CPU time, whatever runs beside us.
    """
    yearly = [weekly("thursday", f"{number % 24}:{number // 24:02}", None, every_n_weeks=52) for number in range(40)]
    first = recurrence(*yearly).first_on_or_after(date(2026, 1, 1))
    assert first is not None
    hit = [str(first.start.date() + timedelta(weeks=52 * number)) for number in range(100)]
    worst = recurrence(*yearly, breaks=hit)

    begun = process_time()
    found = worst.first_on_or_after(date(2026, 1, 1))
    took = process_time() - begun

    assert found is not None
    assert found.start.date() == first.start.date() + timedelta(weeks=5200)
    figures(f"a recurrence of {len(yearly)} schedules and {len(hit)} breaks: {took * 1000:.0f} ms to its next start")
    assert took < 0.2


SUMMER = (date(2026, 7, 1), date(2026, 8, 31))


def test_r7_a_break_is_added_to_a_json_text_beside_those_that_it_has() -> None:
    text = with_breaks(["2026-12-24"], weekly())

    added = with_break(text, *SUMMER, "Ferien am Grünen See")

    assert validate(added).breaks == (
        Break(date(2026, 12, 24), date(2026, 12, 24)),
        Break(*SUMMER, "Ferien am Grünen See"),
    )
    assert added is not None
    assert "Grünen" in added
    assert validate(with_break(text_of(weekly()), *SUMMER)).breaks == (Break(*SUMMER),)


def test_r7_an_rfc_5545_text_takes_a_break_by_an_exdate_for_each_of_its_starts() -> None:
    text = "DTSTART:20260625T193000\nRRULE:FREQ=WEEKLY;BYDAY=TH,SU\nRDATE:20260701T120000"

    added = with_break(text, date(2026, 7, 1), date(2026, 7, 9), "summer")

    assert added == f"{text}\nEXDATE:20260701T120000,20260702T193000,20260705T193000,20260709T193000"
    assert with_break(text, date(2026, 6, 1), date(2026, 6, 24)) == text


@given(
    st.sampled_from(
        [
            text_of(weekly(), monthly([1, -1])),
            "DTSTART:20260101T193000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TH,SU\nRDATE:20260707T120000",
        ]
    ),
    FEW_DATES,
    st.integers(0, 200),
)
def test_r7_with_a_break_the_same_starts_are_left_but_for_its_own(text: str, first: date, days: int) -> None:
    last, year = first + days * DAY, (date(2026, 1, 1), date(2027, 12, 31))

    left = validate(with_break(text, first, last)).between(*year)

    assert left == tuple(one for one in validate(text).between(*year) if not first <= one.start.date() <= last)


def test_r7_a_break_that_cannot_be_added_is_refused() -> None:
    daily = "DTSTART:20260101T193000\nRRULE:FREQ=DAILY"
    for text in (text_of(weekly()), daily):
        with pytest.raises(InvalidRecurrence, match=r"^the break ends on 2026-07-01; expected 2026-08-31, "):
            with_break(text, *SUMMER[::-1])
    with pytest.raises(InvalidRecurrence, match="366"):
        with_break(daily, date(2026, 1, 2), date(2027, 1, 3))
    with pytest.raises(InvalidRecurrence, match=r"^except\[0\]\.why is ' '; expected printable text"):
        with_break(text_of(weekly()), *SUMMER, " ")
    with pytest.raises(InvalidRecurrence, match="is not JSON"):
        with_break("Thursdays", *SUMMER)
    assert with_break(None, *SUMMER) is None
    assert with_break(" ", *SUMMER) is None


# R6: at most 48 starts a day, and 1,000 a year

TEN_RULES = [f"RRULE:FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11;BYMINUTE={minute}" for minute in range(10)]


def at_hours(weekday: str, minutes: int, times: int) -> str:
    at = [f"{number % 24}:{minutes + number // 24:02}" for number in range(times)]
    schedule = '{"type": "weekly", "weekday": "%s", "start_time": "%s"}'
    return f'{{"schedules": [{", ".join(schedule % (weekday, start) for start in at)}]}}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("DTSTART:20260101T000000\n" + "\n".join(TEN_RULES), "up to 120 starts a day; expected at most 48"),
        ("DTSTART:20260101T010000\nRRULE:FREQ=DAILY;BYHOUR=1,2,3", "up to 1098 starts a year; expected at most 1000"),
        (at_hours("friday", 0, 49), "up to 49 starts a day; expected at most 48"),
        (at_hours("friday", 0, 19), "up to 1007 starts a year; expected at most 1000"),
    ],
    ids=["rules together", "thrice a day", "JSON, a day", "JSON, a year"],
)
def test_r6_more_starts_than_anybody_needs_are_refused_by_both_doors(text: str, problem: str) -> None:
    for read in (parse, validate):
        with pytest.raises(InvalidRecurrence, match=problem):
            read(text)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        (at_hours("friday", 0, 18), 18 * 52),
        ("DTSTART:20260101T010000\nRRULE:FREQ=DAILY;BYHOUR=1,2", 2 * 365),
        ("DTSTART:20260101T000000\nRRULE:FREQ=YEARLY;BYMINUTE=0,30;BYHOUR=" + ",".join(map(str, range(24))), 48),
    ],
)
def test_r6_as_many_starts_as_may_be_are_accepted(text: str, starts: int) -> None:
    assert len(validate(text).between(date(2026, 1, 1), date(2026, 12, 31))) == starts


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("RRULE:FREQ=WEEKLY;BYDAY=TH", "20261105T193000"),
        ("RRULE:FREQ=WEEKLY;BYDAY=TH;BYHOUR=20", "20261105T203000"),
        ("RRULE:FREQ=WEEKLY;BYDAY=TH\nRRULE:FREQ=WEEKLY;BYDAY=TU", "20261103T193000"),
        ("RDATE:20261224T200000", "20261102T193000"),
    ],
    ids=["weekly", "at an hour", "two rules", "no rule"],
)
def test_r5_a_text_without_a_start_gets_the_first_that_its_rules_yield(text: str, start: str) -> None:
    started = with_start(text, datetime(2026, 11, 2, 19, 30))

    assert started == f"{text}\nDTSTART:{start}"
    assert validate(started).schedules


def test_r5_an_error_in_a_text_without_a_start_names_the_line_as_it_was_written() -> None:
    with pytest.raises(InvalidRecurrence, match="line 2, RRULE, FREQ is 'HOURLY'"):
        with_start("DURATION:PT2H\nRRULE:FREQ=HOURLY", datetime(2026, 11, 2, 19, 30))
