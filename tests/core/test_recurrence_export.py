from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRecurrence, UnknownTimeZone
from core.recurrence import Occurrence, parse, validate
from core.recurrence_export import to_rfc5545
from tests.core.documents import Document, monthly, recurrence, text_of, weekly
from tests.core.test_recurrence import FEW_DATES, SCHEDULES

DUBLIN = "Europe/Dublin"
NOVEMBER = date(2026, 11, 1)


def test_r5_a_text_for_each_schedule() -> None:
    found = to_rfc5545(
        recurrence(
            weekly("thursday", "22:00", "1:30", every_n_weeks=2),
            monthly([-1, 3, 1], "sunday", "16:00", None),
        ),
        DUBLIN,
        first=NOVEMBER,
        initiation_date=date(2026, 10, 1),
    )

    assert [text.split("\r\n") for text in found] == [
        [
            "DTSTART;TZID=Europe/Dublin:20261112T220000",
            "DTEND;TZID=Europe/Dublin:20261113T013000",
            "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TH",
        ],
        ["DTSTART;TZID=Europe/Dublin:20261101T160000", "RRULE:FREQ=MONTHLY;BYDAY=1SU,3SU,-1SU"],
    ]


@pytest.mark.parametrize(
    ("zone", "termination", "until"),
    [
        (DUBLIN, "2026-12-17", "20261217T193000Z"),
        (DUBLIN, "2027-06-17", "20270617T183000Z"),
        ("America/New_York", "2026-12-17", "20261218T003000Z"),
    ],
)
def test_r5_termination_date_is_until_in_utc(zone: str, termination: str, until: str) -> None:
    (text,) = to_rfc5545(
        recurrence(weekly("thursday", "19:30")),
        zone,
        first=NOVEMBER,
        termination_date=date.fromisoformat(termination),
    )

    assert text.endswith(f"\r\nRRULE:FREQ=WEEKLY;BYDAY=TH;UNTIL={until}")


def test_r5_what_is_over_or_never_happens_has_no_text() -> None:
    assert to_rfc5545(recurrence(weekly()), DUBLIN, first=NOVEMBER, termination_date=date(2026, 10, 31)) == ()
    assert to_rfc5545(parse(text_of(monthly([]))), DUBLIN, first=NOVEMBER) == ()
    assert to_rfc5545(recurrence(), DUBLIN, first=NOVEMBER) == ()


def test_r5_lines_need_no_folding() -> None:
    texts = to_rfc5545(
        recurrence(monthly([1, 2, 3, 4, -1], "sunday", "23:59", "23:58"), weekly(every_n_weeks=52)),
        "America/Argentina/ComodRivadavia",
        first=NOVEMBER,
        termination_date=date(2027, 12, 31),
    )

    assert max(len(line.encode()) for text in texts for line in text.split("\r\n")) <= 75


def test_r5_refuses_text_that_is_rfc5545_already_and_unknown_zones() -> None:
    with pytest.raises(InvalidRecurrence, match="the recurrence is RFC 5545 text already; expected JSON"):
        to_rfc5545(validate("DTSTART:20261105T193000"), DUBLIN, first=NOVEMBER)
    with pytest.raises(UnknownTimeZone):
        to_rfc5545(recurrence(weekly()), "Mars/Olympus", first=NOVEMBER, termination_date=date(2027, 1, 1))


@given(
    SCHEDULES,
    st.sampled_from([DUBLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    FEW_DATES,
    st.none() | FEW_DATES,
    st.none() | FEW_DATES,
)
@settings(max_examples=100)
def test_r5_the_texts_yield_what_the_json_yields(
    schedules: list[Document], zone: str, first: date, initiation: date | None, termination: date | None
) -> None:
    read = recurrence(*schedules)
    texts = to_rfc5545(read, zone, first=first, initiation_date=initiation, termination_date=termination)
    last = first + timedelta(days=3 * 366)

    expected = read.between(first, last, initiation_date=initiation, termination_date=termination)
    events = [validate(text, zone=zone).between(date.min, last) for text in texts]

    by_start: dict[datetime, Occurrence] = {}
    for occurrence in sorted(occurrence for event in events for occurrence in event):
        by_start[occurrence.start] = occurrence
    assert list(expected) == list(by_start.values())
