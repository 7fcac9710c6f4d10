"""Which starts a rule yields; how the text is read is in `test_text`."""

import contextlib
import json
import re
import sys
import time as clock
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import InvalidRecurrence
from core.recurrence import LAST_DAY, Recurrence, parse, validate
from core.recurrence.rfc5545 import expansion
from core.recurrence.rfc5545.expansion import EVERY, Days, RecurrenceSet
from tests.core.recurrence.rfc5545 import rfc5545_oracle as oracle

NEW_YORK = "America/New_York"


EXAMPLES = json.loads(Path(__file__).with_name("rfc5545_examples.json").read_text(encoding="utf-8"))["examples"]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["text"].partition("RRULE:")[2] for example in EXAMPLES])
def test_r5_published_examples(example: dict[str, Any]) -> None:
    read = validate(example["text"], zone=NEW_YORK)
    expected = [datetime.fromisoformat(f"{day} 09:00") for day in example["dates"].split()]

    found = read.between(date.min, expected[-1].date())

    assert expected == [occurrence.start for occurrence in found]
    if example["ends"]:
        assert read.first_on_or_after(expected[-1].date() + timedelta(days=1)) is None


def test_r5_published_example_of_several_times_a_day() -> None:
    hours = ",".join(map(str, range(9, 17)))  # for a few days, because each day of a year would be too many (R6)
    read = validate(f"DTSTART:19970902T090000\nRRULE:FREQ=DAILY;COUNT=72;BYHOUR={hours};BYMINUTE=0,20,40")

    found = read.between(date(1997, 9, 2), date(1997, 9, 3))

    times = [time(hour, minute) for hour in range(9, 17) for minute in (0, 20, 40)]
    expected = [datetime.combine(date(1997, 9, day), start) for day in (2, 3) for start in times]
    assert expected == [occurrence.start for occurrence in found]


# What python-dateutil gets wrong


@pytest.mark.parametrize(
    ("start", "rule", "expected"),
    [
        pytest.param(
            "20261102",
            "FREQ=MONTHLY;BYDAY=MO,1TH",
            ["2026-11-02", "2026-11-05", "2026-11-09", "2026-11-16", "2026-11-23", "2026-11-30"],
            id="plain and numbered days together: it yields nothing",
        ),
        pytest.param(
            "20261105",
            "FREQ=WEEKLY;BYDAY=MO,TH;BYSETPOS=2",
            ["2026-11-05", "2026-11-12", "2026-11-19", "2026-11-26"],
            id="the second day of each week, from a Thursday on: it counts only what is left of the first week",
        ),
        pytest.param(
            "20261105", "FREQ=YEARLY;BYWEEKNO=45", ["2026-11-05"], id="a week without a day: it takes all seven"
        ),
    ],
)
def test_r5_what_dateutil_gets_wrong(start: str, rule: str, expected: list[str]) -> None:
    text = f"DTSTART:{start}T193000\nRRULE:{rule}"
    by_dateutil = rrulestr(text).between(datetime(2026, 11, 1), datetime(2026, 12, 1))

    found = starts_between(validate(text), date(2026, 11, 1), date(2026, 11, 30))

    assert [datetime.fromisoformat(f"{day} 19:30") for day in expected] == found
    assert by_dateutil != found, "dateutil has been mended: dateutil_is_right may say so"


# Random rules


def listed(values: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(lambda found: ",".join(map(str, found)))


def signed(highest: int) -> st.SearchStrategy[int]:
    return st.integers(1, highest) | st.integers(-highest, -1)


@st.composite
def rules(draw: st.DrawFn) -> oracle.Parts:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = {"FREQ": frequency}

    def maybe(name: str, values: st.SearchStrategy[str], chance: int = 3) -> None:
        if draw(st.integers(1, chance)) == 1:
            parts[name] = draw(values)

    maybe("INTERVAL", st.integers(1, 14).map(str), 2)
    maybe("WKST", st.sampled_from(oracle.WEEKDAYS))
    maybe("BYMONTH", listed(st.integers(1, 12), 5))
    if frequency == "YEARLY":
        maybe("BYWEEKNO", listed(signed(53), 3), 4)
        maybe("BYYEARDAY", listed(signed(366), 20), 4)
    if frequency != "WEEKLY":
        maybe("BYMONTHDAY", listed(signed(31), 8))
    if parts.keys() & {"BYWEEKNO"}:
        parts.pop("INTERVAL", None)
    plain = st.sampled_from(oracle.WEEKDAYS)
    days = plain
    if frequency in {"MONTHLY", "YEARLY"} and "BYWEEKNO" not in parts:
        days = plain | st.tuples(signed(5 if frequency == "MONTHLY" else 53), plain).map(
            lambda pair: f"{pair[0]}{pair[1]}"
        )
    maybe("BYDAY", listed(days, 4), 2)
    maybe("BYHOUR", listed(st.integers(0, 23), 2), 5)
    maybe("BYMINUTE", listed(st.integers(0, 59), 2), 5)
    several = "," in parts.get("BYHOUR", "") + parts.get("BYMINUTE", "")
    if any(name.startswith("BY") for name in parts) and "BYWEEKNO" not in parts and not several:
        maybe("BYSETPOS", listed(signed(4), 2), 3)
    maybe("COUNT", st.integers(1, 400).map(str), 4)
    if "COUNT" not in parts:
        maybe("UNTIL", st.datetimes(datetime(2000, 6, 1), datetime(2045, 1, 1)).map("{:%Y%m%dT%H%M%S}".format), 5)
    return parts


STARTS = st.datetimes(datetime(2000, 1, 1), datetime(2030, 12, 31, 23, 59)).map(
    lambda moment: moment.replace(second=0, microsecond=0)
)
YEARS = timedelta(days=20 * 366)


def in_step(start: datetime, parts: oracle.Parts) -> datetime:
    """The first start that the rule yields, if it does in the next few years, and else `start`."""
    unbounded = {name: value for name, value in parts.items() if name != "COUNT"}
    return next(iter(oracle.expand(start, unbounded, start.date() + timedelta(days=1500))), start)


def read_rule(start: datetime, parts: oracle.Parts) -> Recurrence:
    return parse(f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{oracle.rrule_of(parts)}")


def starts_between(read: Recurrence, first: date, last: date) -> list[datetime]:
    return [occurrence.start for occurrence in read.between(first, last)]


def expected_by_the_book(start: datetime, parts: oracle.Parts, last: date) -> list[datetime]:
    """DTSTART is an occurrence, and COUNT counts it, even where the rule itself does not yield it."""
    once = {"COUNT": str(int(parts["COUNT"]) - 1)} if "COUNT" in parts else {}
    by_rule = oracle.expand(start, parts, last)
    return by_rule if start in by_rule else [start, *oracle.expand(start, parts | once, last)]


def check_rule(start: datetime, parts: oracle.Parts) -> int:
    """Compare 20 years, as a whole and in pieces that begin anywhere; return the number of starts."""
    last = start.date() + YEARS
    expected = expected_by_the_book(start, parts, last)
    read = read_rule(start, parts)
    assert expected == starts_between(read, date.min, last)
    for piece in range(0, YEARS.days, 977):
        first = start.date() + timedelta(days=piece)
        over = first + timedelta(days=40)
        assert [moment for moment in expected if first <= moment.date() <= over] == starts_between(read, first, over)
    return len(expected)


@pytest.mark.thorough
@given(STARTS, rules())
@settings(max_examples=40)
def test_r5_random_rules_agree_with_the_book_over_20_years(start: datetime, parts: oracle.Parts) -> None:
    check_rule(in_step(start, parts), parts)


def dateutil_is_right(parts: oracle.Parts) -> bool:
    by_day = re.findall(r"([+-]?\d*)[A-Z]{2}", parts.get("BYDAY", ""))
    is_mixed = any(by_day) and not all(by_day)
    return not (is_mixed or "BYWEEKNO" in parts or (parts["FREQ"] == "WEEKLY" and "BYSETPOS" in parts))


@pytest.mark.thorough
@given(STARTS, rules().filter(dateutil_is_right))
@settings(max_examples=60)
def test_r5_random_rules_agree_with_dateutil_where_it_is_right(start: datetime, parts: oracle.Parts) -> None:
    start = in_step(start, parts)
    read = read_rule(start, parts)
    last = start + timedelta(days=3000)
    if read.warnings or read.first_on_or_after(last.date(), termination_date=last.date() + timedelta(days=900)) is None:
        assume(False)
    rule = rrulestr(f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{oracle.rrule_of(parts)}")

    try:
        by_dateutil = rule.between(start, last, inc=True)
    except IndexError:  # a month has no 25th Monday
        assume(False)

    assert by_dateutil == [moment for moment in starts_between(read, start.date(), last.date()) if moment <= last]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_r5_many_random_rules_agree_with_the_book_over_20_years(capsys: pytest.CaptureFixture[str]) -> None:
    rules_seen = starts_seen = 0

    @given(STARTS, rules(), st.booleans())
    @settings(max_examples=10_000)
    def check(start: datetime, parts: oracle.Parts, is_in_step: bool) -> None:
        nonlocal rules_seen, starts_seen
        rules_seen += 1
        starts_seen += check_rule(in_step(start, parts) if is_in_step else start, parts)

    check()
    with capsys.disabled():
        print(f"\n{rules_seen} random rules over 20 years agree: {starts_seen} starts")  # noqa: T201 - asked for


# Bounds

MONSTERS = {
    "never": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "never a Monday": "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
    "never, and counted in long steps": "FREQ=DAILY;INTERVAL=30;BYDAY=MO;BYSETPOS=2",
    "never, in every step": "FREQ=MONTHLY;INTERVAL=7;BYDAY=MO;BYSETPOS=-6",
    "millions": "FREQ=DAILY;COUNT=5000000;BYMONTH=2,3,4,5,6,7,8,9,10,11",
    "millions of weeks": "FREQ=WEEKLY;INTERVAL=11;COUNT=999999999;BYMONTH=3,11;BYDAY=MO,TH",
    "a huge step": "FREQ=DAILY;INTERVAL=999999999",
    "a huge step of years": "FREQ=YEARLY;INTERVAL=999999999",
    "once in decades": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=TH",
    "eighteen times a day": "FREQ=WEEKLY;BYHOUR=10,11,12,13,14,15;BYMINUTE=0,20,40",
    "long": "FREQ=YEARLY;BYYEARDAY=" + ",".join(str(number % 366 + 1) for number in range(2500)),
    "long, chosen from": "FREQ=YEARLY;BYSETPOS=-1,1;BYDAY="
    + ",".join(f"{number % 53 + 1}TH" for number in range(2000)),
}
LONGEST_CALL = 0.5
"""In seconds. Alone on a machine no call takes a tenth of that."""


@pytest.mark.parametrize("rule", MONSTERS.values(), ids=MONSTERS)
@pytest.mark.parametrize("start", ["19000105", "20261105"])
def test_r5_no_rule_takes_long(rule: str, start: str) -> None:
    read = parse(f"DTSTART:{start}T193000\nRRULE:{rule}")
    days = [date(1900, 1, 5), date(2026, 11, 5), date(2026, 11, 6), date(2100, 1, 1), date(2198, 12, 1), LAST_DAY]

    for first in days:
        expansion._days_of_year.cache_clear()
        begun = clock.process_time()
        read.between(first, min(first, LAST_DAY - timedelta(days=7)) + timedelta(days=7))
        read.first_on_or_after(first)
        assert clock.process_time() - begun < LONGEST_CALL


def test_r5_ten_rules_of_the_worst_kind_are_read_in_time() -> None:
    begun = clock.process_time()

    parse("DTSTART:20261105T193000" + f"\nRRULE:{MONSTERS['never, and counted in long steps']}" * 10)

    assert clock.process_time() - begun < 4 * LONGEST_CALL


@pytest.mark.parametrize(
    ("rule", "day", "expected"),
    [
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2096-03-01", "2104-02-29"),  # 2100 has none
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=TH", "2027-01-01", "2052-02-29"),
        ("FREQ=YEARLY;INTERVAL=100", "2027-01-01", "2126-11-05"),
        ("FREQ=YEARLY", "2198-11-06", "2199-11-05"),
        ("FREQ=YEARLY;INTERVAL=173", "2026-11-06", "2199-11-05"),
        ("FREQ=YEARLY;INTERVAL=174", "2026-11-06", None),
        ("FREQ=DAILY", "2199-12-31", "2199-12-31"),
        ("FREQ=DAILY", "2200-01-01", None),
        ("FREQ=DAILY;COUNT=3", "2026-11-07", "2026-11-07"),
        ("FREQ=DAILY;COUNT=3", "2026-11-08", None),
        ("FREQ=DAILY;UNTIL=20261107T192959", "2026-11-07", None),
    ],
)
def test_r5_first_on_or_after_passes_as_far_as_the_calendar_goes(rule: str, day: str, expected: str | None) -> None:
    found = parse(f"DTSTART:20261105T193000\nRRULE:{rule}").first_on_or_after(date.fromisoformat(day))

    assert expected == (found and found.start.date().isoformat())


# R6: how many starts a text may have


@pytest.mark.parametrize(
    ("parts", "most"),
    [
        ({"frequency": "DAILY"}, 366),
        ({"frequency": "DAILY", "interval": 3}, 122),
        ({"frequency": "DAILY", "weekdays": frozenset({(EVERY, 0), (EVERY, 1)})}, 106),
        ({"frequency": "WEEKLY", "interval": 2, "weekdays": frozenset({(EVERY, 3)})}, 27),
        ({"frequency": "MONTHLY", "month_days": frozenset({1, -1})}, 24),
        ({"frequency": "MONTHLY", "weekdays": frozenset({(1, 3), (-1, 3)})}, 24),
        ({"frequency": "MONTHLY", "months": frozenset({7}), "weekdays": frozenset({(EVERY, 3)})}, 5),
        ({"frequency": "MONTHLY", "weekdays": frozenset({(EVERY, 3)}), "positions": frozenset({-1})}, 12),
        ({"frequency": "YEARLY", "year_days": frozenset({1, 366})}, 2),
        ({"frequency": "YEARLY", "weekdays": frozenset({(20, 0), (EVERY, 1)})}, 54),
        ({"frequency": "YEARLY", "weeks": frozenset({1}), "weekdays": frozenset({(EVERY, 0)})}, 14),
    ],
    ids=str,
)
def test_r6_days_of_a_year_are_counted_from_the_parts(parts: dict[str, Any], most: int) -> None:
    days = Days(**parts)

    assert days.most_a_year == most
    assert all(days.of_year(year, date(2026, 1, 1)).bit_count() <= most for year in range(2026, 2066))


@given(
    frequency=st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    interval=st.integers(1, 5),
    months=st.frozensets(st.integers(1, 12), max_size=3),
    weekdays=st.frozensets(st.tuples(st.just(EVERY), st.integers(0, 6)), max_size=7),
    positions=st.frozensets(st.sampled_from([1, 2, -1]), max_size=2),
    year=st.integers(2020, 2060),
)
@settings(max_examples=50, deadline=None)
def test_r6_no_year_has_more_days_than_are_counted(year: int, **parts: Any) -> None:
    days = Days(**parts)

    assert days.of_year(year, date(2020, 1, 1)).bit_count() <= days.most_a_year


def the_set(text: str) -> RecurrenceSet:
    [found] = parse(text).schedules
    assert isinstance(found, RecurrenceSet)
    return found


@pytest.mark.parametrize(
    ("lines", "a_day", "a_year"),
    [
        ("RRULE:FREQ=WEEKLY", 1, 53),
        ("RRULE:FREQ=WEEKLY;BYHOUR=18,20", 3, 107),  # DTSTART is not at one of these times, so it counts too
        ("RRULE:FREQ=DAILY;COUNT=5", 1, 5),
        ("RRULE:FREQ=DAILY;UNTIL=20261110T193000", 1, 6),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY;BYHOUR=20", 2, 419),
        ("RDATE:20261105T180000,20261105T200000,20280105T200000", 3, 3),
    ],
)
def test_r6_rules_and_single_dates_count_together(lines: str, a_day: int, a_year: int) -> None:
    found = the_set(f"DTSTART:20261105T193000\n{lines}")

    assert (found.most_a_day, found.most_a_year) == (a_day, a_year)


@pytest.mark.parametrize(
    ("rule", "last"),
    [
        ("FREQ=WEEKLY", None),
        ("FREQ=WEEKLY;COUNT=5", "2026-12-03 19:30"),
        ("FREQ=DAILY;COUNT=1", "2026-11-05 19:30"),
        ("FREQ=DAILY;BYHOUR=18,19,20;COUNT=7", "2026-11-07 19:30"),
        ("FREQ=DAILY;COUNT=400", "2027-12-09 19:30"),
        ("FREQ=WEEKLY;INTERVAL=40;COUNT=3", "2028-05-18 19:30"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=3", "2032-02-29 19:30"),
        ("FREQ=DAILY;COUNT=10;UNTIL=20261108T000000", "2026-11-08 00:00"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20261108T000000", "2026-11-06 19:30"),
        ("FREQ=DAILY;COUNT=999999999", None),
        ("FREQ=DAILY;COUNT=999999999;UNTIL=20261108T000000", "2026-11-08 00:00"),
    ],
)
def test_r5_count_is_counted_once_to_a_last_start(rule: str, last: str | None) -> None:
    [counted] = the_set(f"DTSTART:20261105T193000\nRRULE:{rule}").rules

    assert counted.last == (last and datetime.fromisoformat(last))


HOURS = ",".join(map(str, range(24)))
DAYS_OF_300_YEARS = [f"{1900 + n % 299}{1 + n % 12:02}{1 + n % 28:02}" for n in range(366)]
SUNDAYS_IN_MARCH = [
    datetime(2000 + n % 38, 3, 31 - (datetime(2000 + n % 38, 3, 31).isoweekday() % 7)) for n in range(366)
]


def ten_rules(parts: str) -> str:
    return "".join(f"\nRRULE:{parts.format(n=n, many=n + 30)}" for n in range(1, 11))


WORST = {
    "never, and counted in long steps": "DTSTART:19000101T000000"
    + ten_rules("FREQ=DAILY;INTERVAL={many};BYDAY=MO;BYSETPOS=2"),
    "never, and chosen from weeks": "DTSTART:19000101T000000"
    + ten_rules("FREQ=WEEKLY;INTERVAL={n};BYMONTH={n};BYDAY=MO,TU;BYSETPOS=5"),
    "never, and chosen from months": "DTSTART:19000101T000000"
    + ten_rules("FREQ=MONTHLY;INTERVAL={n};BYDAY=MO,TU;BYSETPOS=-16"),
    "weeks of the year": "DTSTART:19000101T000000"
    + ten_rules("FREQ=YEARLY;BYMONTH=7;BYWEEKNO=1,2,-{n};BYDAY=MO,TU,WE,TH,FR"),
    "many counts, and an EXDATE in each year": "DTSTART:19000101T000000"
    + ten_rules("FREQ=MONTHLY;BYDAY=1MO,2TU,3WE,4TH,5FR,-1SA,-{n}SU;COUNT=99999")
    + "\nEXDATE:"
    + ",".join(f"{day}T000000" for day in DAYS_OF_300_YEARS),
    "whole days excluded": f"DTSTART:19000101T000000\nRRULE:FREQ=MONTHLY;BYMINUTE=0,30;BYHOUR={HOURS}"
    "\nEXDATE;VALUE=DATE:" + ",".join(f"{1900 + n // 12}{1 + n % 12:02}01" for n in range(366)),
    "hours in UTC, excluded after the clocks changed": "DTSTART:20000101T000000"
    f"\nRRULE:FREQ=MONTHLY;BYMINUTE=0,30;BYHOUR={HOURS}"
    "\nEXDATE:" + ",".join(f"{day:%Y%m%d}T010000Z" for day in SUNDAYS_IN_MARCH),
    "UNTIL in UTC": "DTSTART:20260101T000000"
    + ten_rules("FREQ=YEARLY;BYMONTHDAY={n};BYHOUR=" + HOURS + ";BYMINUTE=0,30;UNTIL=20260329T010000Z"),
    "single dates": "DTSTART:19000101T000000\nRDATE:"
    + ",".join(f"{1900 + n // 12}{1 + n % 12:02}01T000000Z" for n in range(550)),
}
MOST_STEPS = 200_000
"""In calls of functions: some 20 ms. The text of the tenth kind took 2,000,000 when each day was tested by itself."""


@pytest.mark.parametrize("text", WORST.values(), ids=WORST)
def test_r6_a_text_of_the_worst_kind_is_read_in_few_steps(text: str) -> None:
    for cache in (expansion._days_of_year, expansion._selected, expansion._at_positions, expansion._numbered):
        cache.cache_clear()
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        with contextlib.suppress(InvalidRecurrence):
            parse(text, zone="Europe/Dublin").first_on_or_after(date(2026, 11, 24))
    finally:
        sys.setprofile(None)

    assert steps < MOST_STEPS


def test_r6_more_exdates_than_a_year_has_days_are_refused_by_both_doors() -> None:
    text = "DTSTART:20261105T193000\nRRULE:FREQ=DAILY\nEXDATE:20261106T193000"

    assert len(the_set(text + ",20261107T193000" * 365).excluded) == 2
    for door in (parse, validate):
        with pytest.raises(InvalidRecurrence, match="there are 367 dates in EXDATE; expected at most 366"):
            door(text + ",20261107T193000" * 366)
