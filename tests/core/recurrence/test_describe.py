import json
import re
from calendar import day_name, month_name
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.recurrence import Recurrence, parse, validate
from core.recurrence.describe import describe, hours
from tests.core.recurrence.documents import Document, monthly, recurrence, span, text_of, weekly

START = "DTSTART:20261105T193000\nDTEND:20261105T223000\n"


@pytest.mark.parametrize(
    ("schedules", "expected"),
    [
        ([], "No regular times"),
        ([weekly("thursday", "19:00", "22:30")], "Thursdays, 7-10:30pm"),
        ([weekly("thursday", "19:00", "22:30", every_n_weeks=2)], "Every other Thursday, 7-10:30pm"),
        ([weekly("thursday", "19:00", "22:30", every_n_weeks=3)], "Every 3 weeks on Thursday, 7-10:30pm"),
        ([monthly([-1, 3, 1], "sunday", "16:00", "20:00")], "First, third and last Sundays, 4-8pm"),
        ([monthly([2, 2], "sunday", "16:00", "20:00")], "Second Sunday of the month, 4-8pm"),
        ([monthly([-1], "friday", "21:00", None)], "Last Friday of the month, from 9pm"),
        ([monthly([1, 2, 3, 4, 5], "friday", "21:00", None)], "Fridays, from 9pm"),
        ([monthly([1, 2, 3, 4, -1], "friday", "21:00", None)], "Fridays, from 9pm"),
        ([monthly([1, 2, 3, 4], "friday", "21:00", None)], "First, second, third and fourth Fridays, from 9pm"),
        # hours
        ([weekly("monday", "9:30", "11:00")], "Mondays, 9:30-11am"),
        ([weekly("monday", "11:00", "14:05")], "Mondays, 11am-2:05pm"),
        ([weekly("monday", "21:00", "0:30")], "Mondays, 9pm-12:30am"),
        ([weekly("monday", "21:00", "0:00")], "Mondays, 9pm-midnight"),
        ([weekly("monday", "0:00", "3:00")], "Mondays, midnight-3am"),
        ([weekly("monday", "0:15", "3:00")], "Mondays, 12:15-3am"),
        ([weekly("monday", "12:00", "15:00")], "Mondays, noon-3pm"),
        ([weekly("monday", "12:15", "15:00")], "Mondays, 12:15-3pm"),
        ([weekly("monday", "10:00", "12:00")], "Mondays, 10am-noon"),
        ([weekly("monday", "0:00", "12:00")], "Mondays, midnight-noon"),
        ([weekly("monday", "12:00", "0:00")], "Mondays, noon-midnight"),
        ([weekly("monday", "22:00", "21:00")], "Mondays, 10pm-9pm"),  # until the next evening
        ([weekly("monday", "12:00", None)], "Mondays, from noon"),
        ([weekly("monday", "0:00", "0:00")], "Mondays, from midnight"),
        # several
        (
            [weekly("thursday", "19:00", "22:00"), weekly("sunday", "16:00", "20:00")],
            "Thursdays, 7-10pm; Sundays, 4-8pm",
        ),
        (
            [weekly("thursday", "19:00", "22:00"), weekly("monday", "19:00", "22:00")],
            "Mondays and Thursdays, 7-10pm",
        ),
        (
            [weekly("sunday", "14:00", "16:00"), weekly("sunday", "18:00", "21:00")],
            "Sundays, 2-4pm and 6-9pm",
        ),
        ([weekly("sunday", "14:00", "16:00")] * 2, "Sundays, 2-4pm"),
        (
            [weekly("sunday", "14:00", "16:00"), monthly([1], "friday", "21:00", None)],
            "Sundays, 2-4pm; first Friday of the month, from 9pm",
        ),
        ([weekly(day, "17:00", None) for day in ("monday", "tuesday", "wednesday")], "Monday to Wednesday, from 5pm"),
        (
            [weekly(day, "17:00", None) for day in ("monday", "wednesday", "friday")],
            "Mondays, Wednesdays and Fridays, from 5pm",
        ),
        (
            [weekly(day, "17:00", None, every_n_weeks=2) for day in ("monday", "thursday")],
            "Every other Monday, from 5pm; every other Thursday, from 5pm",  # each counts for itself (R2)
        ),
        # two ends at one start (R4)
        ([weekly("monday", "20:00", "22:00"), weekly("monday", "20:00", "0:00")], "Mondays, 8pm-midnight"),
        ([weekly("monday", "20:00", "0:00"), monthly([1], "monday", "20:00", "22:00")], "Mondays, 8pm-midnight"),
        (
            [weekly("monday", "20:00", "22:00"), monthly([1], "monday", "20:00", "0:00")],
            "Mondays, 8-10pm; first Monday of the month, 8pm-midnight; where two begin together, the later end counts",
        ),
        (
            [monthly([4], "monday", "20:00", "22:00"), monthly([-1], "monday", "20:00", "0:00")],
            (
                "Fourth Monday of the month, 8-10pm; last Monday of the month, 8pm-midnight; "
                "where two begin together, the later end counts"
            ),
        ),
        (
            [monthly([5], "monday", "20:00", "22:00"), monthly([-1], "monday", "20:00", "0:00")],
            "Last Monday of the month, 8pm-midnight",
        ),
        (
            [monthly([1], "monday", "20:00", "22:00"), monthly([-1], "monday", "20:00", "0:00")],
            "First Monday of the month, 8-10pm; last Monday of the month, 8pm-midnight",
        ),
        ([weekly("monday", "20:00", None), weekly("monday", "20:00", "23:00")], "Mondays, 8-11pm"),
    ],
)
def test_json_in_words(schedules: list[Document], expected: str) -> None:
    assert expected == describe(recurrence(*schedules))


@pytest.mark.parametrize(
    ("breaks", "expected"),
    [
        (["2026-12-24"], "but not 24 December 2026"),
        ([span("2026-12-24", "2026-12-24", why="Christmas Eve")], "but not 24 December 2026 (Christmas Eve)"),
        (
            [span("2026-07-01", "2026-08-31", why="summer break"), "2026-06-18"],
            "but not 18 June 2026; but not from 1 July 2026 to 31 August 2026 (summer break)",
        ),
        (
            ["2027-01-01", "2026-12-24", span("2026-07-01", "2026-08-31"), "2026-12-31"],
            "but not in 4 breaks from 1 July 2026 to 1 January 2027",
        ),
    ],
)
def test_r7_breaks_in_words(breaks: list[Any], expected: str) -> None:
    assert describe(recurrence(weekly(), breaks=breaks)) == f"Thursdays, 7:30-10:30pm; {expected}"


def test_r7_where_all_is_a_break_nothing_is_regular() -> None:
    assert describe(recurrence(breaks=["2026-12-24"])) == "No regular times"
    assert describe(recurrence(weekly(), breaks=[span("1900-01-01", "2199-12-31")])) == "No regular times"


def test_every_day() -> None:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

    assert describe(recurrence(*(weekly(day, "21:30", None) for day in days))) == "Every day, from 9:30pm"


def test_what_never_happens_has_no_words() -> None:
    assert describe(parse(text_of(monthly([])))) == "No regular times"
    assert describe(Recurrence()) == "No regular times"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("RRULE:FREQ=WEEKLY", "Thursdays, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;BYDAY=SU,TH", "Thursdays and Sundays, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU", "Every day, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2", "Every other Thursday, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TH,SU", "Every other week on Thursday and Sunday, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=3", "Every 3 weeks on Thursday, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;BYMONTH=11,12", "Thursdays in November and December, 7:30-10:30pm"),
        ("RRULE:FREQ=DAILY", "Every day, 7:30-10:30pm"),
        ("RRULE:FREQ=DAILY;INTERVAL=2", "Every other day, 7:30-10:30pm"),
        ("RRULE:FREQ=DAILY;INTERVAL=10", "Every 10 days, 7:30-10:30pm"),
        ("RRULE:FREQ=DAILY;BYDAY=TH", "Thursdays, 7:30-10:30pm"),
        ("RRULE:FREQ=MONTHLY", "5th of the month, 7:30-10:30pm"),
        (
            "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1,1,2,3,5,12,22",
            "1st, 2nd, 3rd, 5th, 12th, 22nd and last day of the month, 7:30-10:30pm",
        ),
        ("RRULE:FREQ=MONTHLY;BYDAY=1TH", "First Thursday of the month, 7:30-10:30pm"),
        ("RRULE:FREQ=MONTHLY;BYDAY=1TH,-2TH", "First and second to last Thursdays, 7:30-10:30pm"),
        ("RRULE:FREQ=MONTHLY;BYDAY=1TH,3SU", "First Thursday and third Sunday of the month, 7:30-10:30pm"),
        ("RRULE:FREQ=MONTHLY;BYDAY=TH", "Thursdays, 7:30-10:30pm"),
        ("RRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1TH", "First Thursday of every other month, 7:30-10:30pm"),
        (
            "RRULE:FREQ=MONTHLY;INTERVAL=3;BYDAY=1TH,3TH",
            "First and third Thursdays of every 3 months, 7:30-10:30pm",
        ),
        ("RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1TH", "First Thursday of November, every year, 7:30-10:30pm"),
        ("RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=TH", "Thursdays in November, 7:30-10:30pm"),
        ("RRULE:FREQ=YEARLY", "5th of November, every year, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;COUNT=1", "5 November 2026, 7:30-10:30pm"),
        ("RRULE:FREQ=WEEKLY;COUNT=10", "Thursdays, 7:30-10:30pm, 10 times from 5 November 2026"),
        ("RRULE:FREQ=WEEKLY;UNTIL=20261231T193000", "Thursdays, 7:30-10:30pm, until 31 December 2026"),
        (
            "RRULE:FREQ=DAILY;BYDAY=TH,SU;BYHOUR=0,19\nEXDATE:20261108T003000",
            "Thursdays and Sundays, 12:30-3:30am and 7:30-10:30pm; but not 8 November 2026 at 12:30am",
        ),
        (
            "RRULE:FREQ=WEEKLY\nRRULE:FREQ=MONTHLY;BYMONTHDAY=30",
            "Thursdays, 7:30-10:30pm; 30th of the month, 7:30-10:30pm",
        ),
        ("RDATE:20261112T193000", "5 November 2026 and 12 November 2026, 7:30-10:30pm"),
        ("RDATE:20261112T193000\nEXDATE:20261105T193000", "12 November 2026, 7:30-10:30pm"),
        (
            "RDATE;VALUE=PERIOD:20261112T200000/PT1H",
            "5 November 2026, 7:30-10:30pm; 12 November 2026, 8-9pm",
        ),
        (
            "RRULE:FREQ=WEEKLY\nRDATE:20261224T120000\nEXDATE:20261112T193000",
            "Thursdays, 7:30-10:30pm; also 24 December 2026, noon-3pm; but not 12 November 2026",
        ),
        (
            "RRULE:FREQ=WEEKLY\nEXDATE:20261112T193000,20261119T193000,20261126T193000,20261203T193000",
            "Thursdays, 7:30-10:30pm; but not 4 dates from 12 November 2026 to 3 December 2026",
        ),
        # only what is so
        ("RRULE:FREQ=WEEKLY;UNTIL=20261231T120000", "Thursdays, 7:30-10:30pm, until 24 December 2026"),
        ("RRULE:FREQ=WEEKLY;UNTIL=20270103T120000", "Thursdays, 7:30-10:30pm, until 31 December 2026"),
        (
            "RRULE:FREQ=WEEKLY;UNTIL=20261231T193000\nEXDATE:20261231T193000",
            "Thursdays, 7:30-10:30pm, until 24 December 2026",
        ),
        (
            "RRULE:FREQ=WEEKLY;BYHOUR=19,22;UNTIL=20261231T200000",
            "Thursdays, 7:30-10:30pm and 10:30pm-1:30am, until 31 December 2026 at 7:30pm",
        ),
        (
            "RRULE:FREQ=WEEKLY;COUNT=10\nEXDATE:20261105T193000,20261119T193000,20270107T193000",
            "Thursdays, 7:30-10:30pm, 7 times from 12 November 2026; but not 19 November 2026",
        ),
        (
            "RRULE:FREQ=WEEKLY;COUNT=4\nEXDATE:20261119T193000",
            "5 November 2026, 12 November 2026 and 26 November 2026, 7:30-10:30pm",
        ),
        ("RRULE:FREQ=WEEKLY;COUNT=2\nEXDATE:20261105T193000,20261112T193000", "No regular times"),
        (
            "RRULE:FREQ=WEEKLY;BYDAY=TH,FR,SA,SU,MO,TU,WE;COUNT=4",
            "Thursday to Sunday, 7:30-10:30pm, 4 times from 5 November 2026",
        ),
        (
            "RRULE:FREQ=WEEKLY;BYMONTH=10,11,12;UNTIL=20261224T193000",
            "Thursdays in November and December, 7:30-10:30pm, until 24 December 2026",
        ),
        (
            "RRULE:FREQ=MONTHLY;BYMONTHDAY=31,5;BYMONTH=11,6",
            "5th of the month in June and November, 7:30-10:30pm",
        ),
        (
            "RRULE:FREQ=WEEKLY\nRDATE;VALUE=PERIOD:20261112T193000/PT5H,20261119T193000/PT1H",
            "Thursdays, 7:30-10:30pm; but 12 November 2026, 7:30pm-12:30am",
        ),
        (
            "RDATE;VALUE=PERIOD:20261112T193000/PT1H,20261112T193000/PT5H",
            "5 November 2026, 7:30-10:30pm; 12 November 2026, 7:30pm-12:30am",
        ),
        (
            "RRULE:FREQ=WEEKLY\nRDATE:20261112T120000\nEXDATE:20261112T193000,20261119T193000",
            (
                "Thursdays, 7:30-10:30pm; also 12 November 2026, noon-3pm; but not 19 November 2026; "
                "but not 12 November 2026 at 7:30pm"
            ),
        ),
        (
            "RRULE:FREQ=DAILY;BYHOUR=8,19\nEXDATE:" + ",".join(f"202611{day}T083000" for day in range(10, 15)),
            (
                "Every day, 8:30-11:30am and 7:30-10:30pm; "
                "but not 5 starts from 10 November 2026 at 8:30am to 14 November 2026 at 8:30am"
            ),
        ),
        # quoted, where English is not made for it
        (
            "RRULE:FREQ=WEEKLY;BYDAY=TH,FR;BYSETPOS=1",
            "On the days that FREQ=WEEKLY;BYDAY=TH,FR;BYSETPOS=1 gives, counted from 5 November 2026, 7:30-10:30pm",
        ),
        *(
            (f"RRULE:{rule}", f"On the days that {rule} gives, counted from 5 November 2026, 7:30-10:30pm")
            for rule in (
                "FREQ=YEARLY;BYYEARDAY=309",
                "FREQ=YEARLY;BYWEEKNO=45",
                "FREQ=YEARLY;INTERVAL=2",
                "FREQ=YEARLY;BYDAY=TH",
                "FREQ=MONTHLY;BYDAY=TH;BYMONTHDAY=5",
                "FREQ=MONTHLY;BYDAY=TH,1SU",
                "FREQ=MONTHLY;BYDAY=1TH,-5SU",
                "FREQ=MONTHLY;BYMONTHDAY=5,-2",
                "FREQ=MONTHLY;INTERVAL=2;BYMONTH=11",
                "FREQ=MONTHLY;INTERVAL=2;BYDAY=TH",
                "FREQ=DAILY;INTERVAL=2;BYDAY=TH",
                "FREQ=DAILY;BYMONTHDAY=5",
            )
        ),
    ],
)
def test_rfc5545_in_words(lines: str, expected: str) -> None:
    assert expected == describe(validate(START + lines))


def test_rfc5545_without_an_end_in_words() -> None:
    assert describe(validate("DTSTART:20261105T193000\nRRULE:FREQ=WEEKLY")) == "Thursdays, from 7:30pm"


def test_a_dtstart_that_no_rule_yields_is_a_date_beside_the_pattern() -> None:
    words = describe(parse(f"{START}RRULE:FREQ=WEEKLY;BYDAY=SU;COUNT=10"))

    assert words == "Sundays, 7:30-10:30pm, 9 times from 8 November 2026; also 5 November 2026, 7:30-10:30pm"


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("BYMONTH=2;BYMONTHDAY=29", "29th of February"),
        ("BYMONTH=11;BYDAY=5TH", "Fifth Thursday of November"),
        ("BYMONTH=11;BYDAY=-1TH", "Last Thursday of November, every year"),
        ("BYMONTH=2;BYMONTHDAY=-1", "Last day of February, every year"),
    ],
)
def test_a_day_that_not_each_year_has_is_not_said_to_be_every_year(rule: str, days: str) -> None:
    text = parse(f"{START}RRULE:FREQ=YEARLY;{rule}\nEXDATE:20261105T193000")

    assert describe(text) == f"{days}, 7:30-10:30pm"


def test_the_real_sessions_in_words() -> None:
    """Each reads as the page that it was taken from, or nearly."""
    path = Path(__file__).parents[3] / "scheduler" / "commands" / "data" / "real_sessions.json"
    sessions: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["sessions"]

    words = {session["name"]: describe(recurrence(*session["schedules"])) for session in sessions}

    assert words["Portland Monday session"] == "Mondays, 8-10pm"
    assert {"Every other Saturday, 11am-1pm", "Second and fourth Sundays, 11am-noon"} <= set(words.values())
    assert {"Monday to Friday, from 5pm", "Every day, from 9:30pm"} <= set(words.values())


@given(st.times(), st.times())
def test_hours_can_be_read_back(start: time, end: time) -> None:
    """Two different hours never read the same."""
    words = describe(recurrence(weekly("monday", f"{start:%H:%M}", f"{end:%H:%M}"))).removeprefix("Mondays, ")

    if f"{start:%H:%M}" == f"{end:%H:%M}":
        assert start.replace(second=0, microsecond=0) == clock(words.removeprefix("from "))
    else:
        first, _, last = words.partition("-")
        half = "" if first.endswith(("m", "noon", "midnight")) else last[-2:]
        assert [start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)] == [
            clock(first + half),
            clock(last),
        ]


# Whatever is drawn, the words say what `between` yields

YEARS = (date(2026, 1, 1), date(2037, 12, 31))
CLOCK = r"(?:noon|midnight|\d[\d:]*[ap]m)"
DATE = re.compile(rf"(\d+) ({'|'.join(month_name[1:])}) (\d{{4}})(?: at ({CLOCK}))?")
HOURS = re.compile(rf"(?:noon|midnight|\d[\d:]*(?:am|pm)?)-{CLOCK}|from {CLOCK}")
QUOTED = re.compile("on the days that .* gives, counted from [^,]*", re.IGNORECASE)  # names no date of an occurrence
DAYS = [
    "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=TH,SU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
    "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,TU,WE,TH,FR,SA,SU", "FREQ=WEEKLY;BYMONTH=1,6,11", "FREQ=MONTHLY",
    "FREQ=MONTHLY;BYDAY=1TH,3SU", "FREQ=MONTHLY;BYMONTHDAY=5,31;BYMONTH=6,11", "FREQ=YEARLY",
]  # fmt: skip


@st.composite
def rfc5545(draw: st.DrawFn) -> Recurrence:
    """Up to two rules that may end soon, with periods beside them, and some of all that left out."""
    times = st.sampled_from(["", ";BYHOUR=19", ";BYHOUR=0,19", ";BYHOUR=12,19,22"])
    rules = st.builds("RRULE:{}{}{}".format, st.sampled_from(DAYS), times, ENDS)
    positions = st.builds("RRULE:FREQ=MONTHLY;BYDAY=MO,TU,FR;BYSETPOS=1,-1{}".format, ENDS)
    periods = st.builds(
        "RDATE;VALUE=PERIOD:202611{:02}T{}/PT{}H".format,
        st.integers(5, 20),
        st.sampled_from(["193000", "120000"]),
        st.sampled_from([1, 3, 5]),
    )
    lines = START + "\n".join(draw(st.lists(rules | positions, max_size=2)) + draw(st.lists(periods, max_size=3)))
    starts = [one.start for one in parse(lines).between(*YEARS)][:30]
    left_out = draw(st.sets(st.sampled_from(starts), max_size=6)) if starts else ()
    return parse("\n".join([lines, *(f"EXDATE:{start:%Y%m%dT%H%M%S}" for start in sorted(left_out))]))


ENDS = st.sampled_from(["", ";COUNT=1", ";COUNT=2", ";COUNT=4", ";COUNT=5", ";COUNT=9"]) | st.dates(
    date(2026, 11, 5), date(2027, 3, 1)
).map(";UNTIL={:%Y%m%d}T120000".format)


@st.composite
def json_text(draw: st.DrawFn) -> Recurrence:
    """Schedules, many with the same start, and breaks."""
    days, times = st.sampled_from(["monday", "thursday"]), st.sampled_from(["19:00", "20:00"])
    ends, which = st.sampled_from(["22:00", "0:30", None]), st.lists(st.sampled_from([1, 2, 3, 4, 5, -1]), min_size=1)
    weeks = st.builds(weekly, days, times, ends, every_n_weeks=st.integers(1, 4))
    dates = st.dates(date(2026, 6, 1), date(2027, 6, 1)).map(str)
    spans = st.builds(span, dates, st.just("2027-08-31"), why=st.sampled_from(["painting", "the harp is away"]))
    breaks = draw(st.lists(dates | spans, max_size=5))
    schedules = draw(st.lists(weeks | st.builds(monthly, which, days, times, ends), max_size=4))
    return recurrence(*schedules, breaks=breaks)


@given(rfc5545() | json_text())
def test_the_words_name_only_what_is_so_and_all_the_hours(found: Recurrence) -> None:
    occurrences = found.between(*YEARS)
    starts = {one.start for one in occurrences} | {one.start.date() for one in occurrences}
    words = describe(found)
    assert bool(occurrences) == (words != "No regular times")

    told = [QUOTED.sub("", phrase) for phrase in words.split("; ")]
    left_out = [phrase for phrase in told if phrase.startswith("but not")]
    names = [phrase for phrase in told if phrase not in left_out]

    assert starts >= {moment for phrase in names for moment in moments(phrase)}
    assert starts.isdisjoint(moment for phrase in left_out for moment in moments(phrase))
    assert {day for day in day_name if day in words} <= {f"{one.start:%A}" for one in occurrences}
    assert {at for phrase in names for at in HOURS.findall(phrase)} == {hours(one) for one in occurrences}


def moments(phrase: str) -> list[date]:
    """The dates that a phrase names, or the starts where it names their times."""
    dates = [
        (date(int(year), [*month_name].index(month), int(day)), at) for day, month, year, at in DATE.findall(phrase)
    ]
    return [datetime.combine(day, clock(at)) if at else day for day, at in dates]


def clock(words: str) -> time:
    if words in {"noon", "midnight"}:
        return time(12) if words == "noon" else time()
    hour, _, minute = words[:-2].partition(":")
    return time(int(hour) % 12 + (12 if words.endswith("pm") else 0), int(minute or 0))
