"""How RFC 5545 text is read; which starts its rules yield is in `test_expansion`."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRecurrence, UnknownTimeZone
from core.recurrence import DEFAULT_LENGTH, Occurrence, Recurrence, parse, validate
from core.recurrence.rfc5545.values import last_wall, walls
from core.timezones import to_local, to_utc
from tests.core.recurrence.documents import recurrence, weekly

DUBLIN = "Europe/Dublin"
NEW_YORK = "America/New_York"
START = "DTSTART:20261105T193000"
WEEKLY = f"{START}\nRRULE:FREQ=WEEKLY"


def occurrences(read: Recurrence) -> list[str]:
    """November and December 2026."""
    found = read.between(date(2026, 11, 1), date(2026, 12, 31))
    return [f"{occurrence.start:%m-%d %H:%M} to {occurrence.end:%m-%d %H:%M}" for occurrence in found]


def starts(read: Recurrence) -> list[str]:
    return [occurrence.partition(" to ")[0] for occurrence in occurrences(read)]


def test_r5_all_kinds_of_lines_together() -> None:
    read = validate(
        "EXDATE;TZID=Europe/Dublin:20261112T193000,20261203T193000\r\n"
        "RRULE:FREQ=MONTHLY;BYDAY=1TH,2TH\r\n"
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=30\r\n"
        "DTEND;TZID=Europe/Dublin:20261106T013000\r\n"
        "RDATE;TZID=Europe/Dublin;VALUE=DATE-TIME:20261224T200000\r\n"
        "RDATE;VALUE=PERIOD:20261226T150000/20261226T183000,20261227T150000/PT1H30M\r\n"
        "DTSTART;TZID=Europe/Dublin:20261105T193000\r\n",
        zone=DUBLIN,
    )

    assert occurrences(read) == [
        "11-05 19:30 to 11-06 01:30",
        "11-30 19:30 to 12-01 01:30",
        "12-10 19:30 to 12-11 01:30",
        "12-24 20:00 to 12-25 02:00",
        "12-26 15:00 to 12-26 18:30",
        "12-27 15:00 to 12-27 16:30",
        "12-30 19:30 to 12-31 01:30",
    ]
    assert not read.is_empty
    assert not read.needs_initiation_date
    assert read.warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        f"{START}\nRRULE:FREQ=WEEKLY;COUNT=2",
        f"  {START}\r\nRRULE:FREQ=WEEKLY;COUNT=2\r\n\r\n",
        f"RRULE:FREQ=WEEKLY;COUNT=2\r{START}",
        "dtstart:20261105t193000\nrrule:freq=weekly;count=2;byday=th;wkst=mo",
        "DTSTART:2026110\r\n 5T193000\r\nRRU\r\n\tLE:FREQ=WEE\r\n KLY;COUNT=2",
        'DTSTART;VALUE="DATE-TIME":20261105T193000\nRRULE:COUNT=2;FREQ=WEEKLY',
        f"{START}\nRDATE:20261112T193000",
        f"{START}\nRRULE:FREQ=DAILY;BYDAY=TH;COUNT=2",
        f"{START}\nRRULE:FREQ=DAILY;INTERVAL=007;COUNT=2",
        f"{START}\nRRULE:FREQ=MONTHLY;BYDAY=+1TH,2TH;COUNT=2",
        f"{START}\nRRULE:FREQ=WEEKLY;UNTIL=20261112T193000",
        f"{START}\nRRULE:FREQ=WEEKLY;UNTIL=20261119T192959",
    ],
)
def test_r5_the_same_said_differently(text: str) -> None:
    for read in (parse, validate):
        assert starts(read(text)) == ["11-05 19:30", "11-12 19:30"]


@pytest.mark.parametrize(
    ("line", "end", "states_end"),
    [
        ("DTEND:20261105T223000", "11-05 22:30", True),
        ("DTEND:20261106T000000", "11-06 00:00", True),
        ("DTEND:20261106T192900", "11-06 19:29", True),
        ("DURATION:PT3H", "11-05 22:30", True),
        ("DURATION:+PT2H30M", "11-05 22:00", True),
        ("DURATION:PT150M", "11-05 22:00", True),
        ("DURATION:P0DT23H59M0S", "11-06 19:29", True),
        ("duration:pt1h", "11-05 20:30", True),
        ("", "11-05 22:30", False),
    ],
)
def test_t3_dtend_and_duration(line: str, end: str, *, states_end: bool) -> None:
    (found,) = validate(f"{START}\n{line}").between(date.min, date.max)

    assert Occurrence(datetime(2026, 11, 5, 19, 30), datetime.fromisoformat(f"2026-{end}"), states_end) == found


def test_t3_no_end_is_the_default_length() -> None:
    for read in (parse, validate):
        (found,) = read(START, default_length=timedelta(hours=5)).between(date.min, date.max)
        assert Occurrence(datetime(2026, 11, 5, 19, 30), datetime(2026, 11, 6, 0, 30), states_end=False) == found
    assert timedelta(hours=3) == DEFAULT_LENGTH


def test_t2_an_end_is_on_the_wall_in_the_night_when_clocks_change() -> None:
    """From 22:00 to 1:30, which comes twice that night: the first of the two."""
    text = "DTSTART;TZID=Europe/Dublin:20261017T220000\n{}\nRRULE:FREQ=WEEKLY"

    for end in ("DTEND;TZID=Europe/Dublin:20261018T013000", "DURATION:PT3H30M"):
        read = validate(text.format(end), zone=DUBLIN)
        assert datetime(2026, 10, 25, 1, 30) == read.between(date(2026, 10, 24), date(2026, 10, 24))[0].end


def test_r4_same_start_is_one_occurrence_with_the_latest_end() -> None:
    read = validate(f"{WEEKLY}\nRRULE:FREQ=MONTHLY;BYDAY=1TH\nRDATE;VALUE=PERIOD:20261112T193000/PT5H")
    days = date(2026, 11, 5), date(2026, 11, 12)

    assert starts(Recurrence(read.schedules, ()))[:2] == ["11-05 19:30", "11-12 19:30"]
    assert [datetime(2026, 11, 5, 22, 30), datetime(2026, 11, 13, 0, 30)] == [one.end for one in read.between(*days)]
    assert read.between(*days)[1] == read.first_on_or_after(date(2026, 11, 6))


def test_r5_initiation_date_only_filters() -> None:
    fortnightly = validate(f"{START}\nRRULE:FREQ=WEEKLY;INTERVAL=2")

    found = fortnightly.between(
        date(2026, 1, 1), date(2026, 12, 31), initiation_date=date(2026, 11, 12), termination_date=date(2026, 12, 17)
    )

    assert [date(2026, 11, 19), date(2026, 12, 3), date(2026, 12, 17)] == [one.start.date() for one in found]
    assert found[0] == fortnightly.first_on_or_after(date(2026, 1, 1), initiation_date=date(2026, 11, 12))
    assert fortnightly.first_on_or_after(date(2026, 11, 6), termination_date=date(2026, 11, 18)) is None


# UTC


@pytest.mark.parametrize(
    ("zone", "start", "until", "last"),
    [
        (DUBLIN, "20261022T193000", "20261105T193000Z", "11-05 19:30"),
        (DUBLIN, "20261022T193000", "20261105T192959Z", "10-29 19:30"),
        (DUBLIN, "20261022T193000", "20261022T183000Z", "10-22 19:30"),  # summer time
        (NEW_YORK, "20261022T193000", "20261106T003000Z", "11-05 19:30"),
        (NEW_YORK, "20261022T193000", "20261106T002959Z", "10-29 19:30"),
        (NEW_YORK, "20261101T013000", "20261101T053000Z", "11-01 01:30"),  # the first of two
        (NEW_YORK, "20261101T014500", "20261101T063000Z", "11-01 01:45"),  # it is before the second 1:30
        (NEW_YORK, "20260308T023000", "20260308T073000Z", "03-08 02:30"),  # in the gap
        ("Pacific/Apia", "20111230T200000", "20111231T060000Z", "12-30 20:00"),  # a day that never was
        ("Pacific/Apia", "20111229T070000", "20111230T100000Z", "12-29 07:00"),  # the midnight after it
    ],
)
def test_r5_until_in_utc_is_converted(zone: str, start: str, until: str, last: str) -> None:
    read = validate(f"DTSTART;TZID={zone}:{start}\nRRULE:FREQ=WEEKLY;UNTIL={until}", zone=zone)

    assert last == f"{read.between(date.min, date.max)[-1].start:%m-%d %H:%M}"


@given(
    st.sampled_from([DUBLIN, NEW_YORK, "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"]),
    st.datetimes(datetime(2011, 12, 20), datetime(2012, 12, 1)).map(lambda at: at.replace(second=0, microsecond=0)),
    st.integers(0, 60 * 24 * 12),
)
@settings(max_examples=60)
def test_r5_until_in_utc_ends_with_the_last_start_that_is_not_later(zone: str, start: datetime, minutes: int) -> None:
    until = to_utc(start, zone) + timedelta(minutes=minutes)
    text = f"DTSTART;TZID={zone}:{start:%Y%m%dT%H%M%S}\nRRULE:FREQ=DAILY"

    found = validate(f"{text};UNTIL={until:%Y%m%dT%H%M%S}Z", zone=zone).between(date.min, date.max)

    everything = validate(text, zone=zone).between(date.min, start.date() + timedelta(days=20))
    assert [one for one in everything if to_utc(one.start, zone) <= until] == list(found)


def test_r5_until_at_the_end_of_time_is_no_error() -> None:
    for until in ("99991231T235959Z", "99991231T235959"):
        for zone in (NEW_YORK, "Asia/Tokyo"):
            read = validate(f"{WEEKLY};UNTIL={until}", zone=zone)
            assert read.first_on_or_after(date(2199, 12, 20)) is not None


@pytest.mark.parametrize(
    ("zone", "start", "excluded"),
    [
        (DUBLIN, "20261024T193000", "20261024T183000Z"),
        (DUBLIN, "20261025T193000", "20261025T193000Z"),
        (NEW_YORK, "20260308T023000", "20260308T073000Z"),  # in the gap, when clocks show 3:30
        (NEW_YORK, "20261101T013000", "20261101T053000Z"),
    ],
)
def test_r5_exdate_in_utc_leaves_out_what_starts_then(zone: str, start: str, excluded: str) -> None:
    read = validate(f"DTSTART;TZID={zone}:{start}\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:{excluded}", zone=zone)

    (found,) = read.between(date.min, date.max)
    assert datetime.fromisoformat(start) + timedelta(days=1) == found.start


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        (NEW_YORK, datetime(2026, 3, 8, 7, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 11, 1, 6, tzinfo=UTC)),
        (DUBLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a whole day was skipped
    ],
)
def test_r5_a_time_in_utc_means_every_wall_time_of_that_instant(zone: str, change: datetime) -> None:
    for hours in (-30, -1, 0, 0.5, 1, 2, 23.5, 24, 30):
        instant = change + timedelta(hours=hours)
        near = [to_local(instant, zone) + timedelta(minutes=30 * number) for number in range(-100, 100)]
        meant = {wall for wall in near if to_utc(wall, zone) == instant}
        times = {wall.time() for wall in near}

        assert walls(instant.replace(tzinfo=None), zone) == meant | {to_local(instant, zone)}
        assert last_wall(instant.replace(tzinfo=None), zone, times) == max(
            wall for wall in near if to_utc(wall, zone) <= instant
        )


def test_r5_an_unknown_zone_is_named_where_it_is_needed() -> None:
    for text in (f"{WEEKLY};UNTIL=20261203T193000Z", f"{WEEKLY}\nEXDATE:20261112T193000Z"):
        with pytest.raises(UnknownTimeZone):
            parse(text, zone="Mars/Olympus")


# What is refused


PROBLEMS = json.loads(Path(__file__).with_name("rfc5545_problems.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", PROBLEMS["refused"], ids=itemgetter("text"))
def test_r5_what_cannot_be_understood_is_refused_by_both_doors(case: dict[str, str]) -> None:
    for read in (parse, validate):
        with pytest.raises(InvalidRecurrence) as caught:
            read(case["text"], zone=DUBLIN)
        assert case["problem"] == str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RRULE:FREQ=WEEKLY;UNTIL=20261203T193000Z", "a local time"),
        ("EXDATE:20261203T193000Z", "a local time such as 20261105T193000"),
    ],
)
def test_r5_without_a_zone_a_time_in_utc_is_refused(line: str, expected: str) -> None:
    for read in (parse, validate):
        with pytest.raises(InvalidRecurrence) as caught:
            read(f"{START}\n{line}")
        assert str(caught.value).endswith(
            f" is '20261203T193000Z'; expected {expected}, because the session's zone is not given"
        )


# What is forgiven


@pytest.mark.parametrize("case", PROBLEMS["forgiven"], ids=itemgetter("text"))
def test_r5_oddities_are_refused_on_saving_and_forgiven_where_stored(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecurrence) as caught:
        validate(case["text"])
    stored = parse(case["text"])

    assert case["problem"] == str(caught.value)
    assert (case["problem"],) == stored.warnings
    assert case["starts"] == [f"2026-{start}" for start in starts(stored)]


def test_r5_dtstart_may_be_left_out_and_is_counted_all_the_same() -> None:
    read = validate(f"{START}\nRRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=3\nEXDATE:20261105T193000")

    assert starts(read) == ["11-06 19:30", "11-13 19:30"]


def test_r5_dtstart_need_be_yielded_by_one_rule_only() -> None:
    read = validate(f"{START}\nRRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=2\nRRULE:FREQ=WEEKLY;COUNT=2")

    assert starts(read) == ["11-05 19:30", "11-06 19:30", "11-12 19:30", "11-13 19:30"]


# Whatever else there may be


LINES = st.sampled_from(
    [START, "DTSTART;TZID=Europe/Dublin:20261105T193000", "DTEND:20261105T223000", "DURATION:PT3H", "RRULE:FREQ=WEEKLY",
     "RRULE:FREQ=MONTHLY;BYDAY=1TH,-1TH;COUNT=9", "RDATE:20261224T193000", "EXDATE:20261112T193000Z", " ", "\tX", ":"]
)  # fmt: skip
PARTS = st.sampled_from(
    ["FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTHDAY", "BYSETPOS", "BYHOUR", "X"]
)
VALUES = st.sampled_from(["YEARLY", "WEEKLY", "1", "-1", "99", "TH", "5TH", "20261203T193000Z"]) | st.text(max_size=4)
RULES = st.lists(st.tuples(PARTS, VALUES), max_size=4).map(
    lambda parts: "RRULE:" + ";".join(f"{name}={value}" for name, value in parts)
)


def read_or_refused(read: Callable[..., Recurrence], text: str) -> Recurrence | None:
    try:
        return read(text, zone=DUBLIN)
    except InvalidRecurrence:
        return None


@given(
    st.lists(LINES | RULES | st.text(max_size=20), max_size=6).map("\n".join)
    | st.tuples(RULES, LINES).map(lambda lines: "\r\n".join((START, *lines)))
    | st.binary(max_size=30).map(lambda noise: START + noise.decode("latin-1"))
)
@settings(max_examples=200)
def test_r5_whatever_is_stored_is_read_or_refused(text: str) -> None:
    validated, parsed = read_or_refused(validate, text), read_or_refused(parse, text)

    if validated is not None:
        assert validated == parsed
        assert validated.warnings == ()
    if parsed is not None:
        parsed.between(date(2026, 1, 1), date(2027, 12, 31))


def test_r1_the_two_forms_agree() -> None:
    as_lines = validate(f"{START}\nDURATION:PT3H\nRRULE:FREQ=WEEKLY")
    december = date(2026, 12, 1), date(2026, 12, 31)

    assert recurrence(weekly("thursday", "19:30", "22:30")).between(*december) == as_lines.between(*december)


def test_r5_an_rdate_in_utc_is_converted_to_the_sessions_zone_like_an_exdate() -> None:
    """In Chicago clocks are six hours behind UTC in winter, and five in summer."""
    text = (
        "DTSTART:20261105T193000\nRDATE:20261225T013000Z,20270701T003000Z\n"
        "RDATE;VALUE=PERIOD:20270115T013000Z/20270115T033000Z,20270116T013000Z/PT1H\nEXDATE:20261106T013000Z"
    )

    found = validate(text, zone="America/Chicago").between(date(2026, 1, 1), date(2027, 12, 31))

    assert [(f"{one.start:%Y-%m-%d %H:%M}", one.end - one.start) for one in found] == [
        ("2026-12-24 19:30", timedelta(hours=3)),
        ("2027-01-14 19:30", timedelta(hours=2)),
        ("2027-01-15 19:30", timedelta(hours=1)),
        ("2027-06-30 19:30", timedelta(hours=3)),
    ]


def test_r5_an_rdate_in_utc_needs_the_sessions_zone() -> None:
    with pytest.raises(InvalidRecurrence, match="because the session's zone is not given"):
        validate("DTSTART:20261105T193000\nRDATE:20261224T193000Z")


def test_r5_an_rdate_in_utc_is_in_whole_minutes() -> None:
    with pytest.raises(InvalidRecurrence, match="in whole minutes"):
        validate("DTSTART:20261105T193000\nRDATE:20261224T193030Z", zone="Europe/Dublin")
