from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.recurrence import Occurrence
from core.store.views.pages import PersonRow
from core.windows import StatedHours
from web import words


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("America/Chicago", "Chicago time"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires time"),
        ("UTC", "UTC"),
        (None, "no time zone"),
    ],
)
def test_zones_are_called_by_their_town(zone: str | None, said: str) -> None:
    assert words.zone(zone) == said


@pytest.mark.parametrize(
    ("zone", "start", "told"),
    [
        ("Europe/Dublin", "2027-03-28 01:30", "The clocks skip 1:30am that night, so it starts at 2:30am."),
        ("Europe/Dublin", "2027-03-27 01:30", None),
        ("Europe/Dublin", "2026-10-25 01:30", None),
        ("Mars/Olympus", "2027-03-28 01:30", None),
    ],
    ids=["skipped", "the night before", "shown twice", "an unknown zone"],
)
def test_t1_a_start_that_the_clocks_skip_is_said_to_be_so(zone: str, start: str, told: str | None) -> None:
    starts = datetime.fromisoformat(start)

    assert words.skipped(Occurrence(starts, starts + timedelta(hours=2)), zone) == told


def test_t1_of_no_hours_nothing_is_skipped() -> None:
    assert words.skipped(None, "Europe/Dublin") is None


def test_an_instant_of_an_unknown_zone_is_shown_in_utc_whatever_zone_the_hosts_engine_reads_it_in() -> None:
    at = datetime(2026, 11, 27, 1, 0, tzinfo=timezone(timedelta(hours=9)))

    assert words.local_clock(at, "Mars/Olympus") == "16:00 UTC"
    assert words.local_day_and_clock(at, "Mars/Olympus", at) == "Today 16:00 UTC"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ("2026-12-21 06:01", "Today 11pm"),
        ("2026-12-21 05:59", "Mon 11pm"),
        ("2026-12-15 06:01", "Mon 11pm"),
        ("2026-12-15 05:59", "Mon 21 Dec 11pm"),
        ("2026-12-22 12:00", "Mon 21 Dec 11pm"),
    ],
)
def test_a_day_that_is_more_than_six_days_away_has_its_date(now: str, told: str) -> None:
    at = datetime(2026, 12, 22, 5, tzinfo=UTC)

    assert words.local_day_and_clock(at, "America/Chicago", datetime.fromisoformat(f"{now}Z")) == told


@pytest.mark.parametrize(
    ("minute", "states_end", "told"),
    [
        (-1, True, "Starts at 7pm, people are gathering"),
        (0, True, "Playing until 9pm"),
        (0, False, "Playing"),
        (119, True, "Playing until 9pm"),
        (120, True, "Winding down"),
        (120, False, "Winding down"),
    ],
)
def test_t2_of_an_evening_that_is_on_the_hours_of_the_music_are_told_and_not_the_buffers(
    minute: int, told: str, *, states_end: bool
) -> None:
    starts_at = datetime(2026, 11, 27, 1, tzinfo=UTC)
    hours = StatedHours(starts_at, starts_at + timedelta(hours=2))
    now = starts_at + timedelta(minutes=minute)

    assert words.music(hours, "America/Chicago", now, states_end=states_end) == told


def test_without_hours_or_a_zone_an_evening_is_only_on() -> None:
    starts = datetime(2026, 11, 26, 19)
    occurrence = Occurrence(starts, starts + timedelta(hours=2))
    assert words.stated(None, "America/Chicago") is None
    assert words.stated(occurrence, "Mars/Olympus") is None
    assert words.stated(occurrence, "America/Chicago") is not None

    assert words.music(None, "America/Chicago", datetime(2026, 11, 27, 1, tzinfo=UTC), states_end=False) == "On now"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("one thing", "One thing."),
        ("is it?", "Is it?"),
        ("", "."),
        ("schedules[2] is a list; expected an object", "Schedule 3 is a list. Accepted: an object."),
        ("except[0].to is '1'; expected 2026-07-01 or later", "In break 1, to is '1'. Accepted: 2026-07-01 or later."),
        ("line 1, BEGIN is unknown; expected only DTSTART", "Line 1, BEGIN is unknown. Accepted: DTSTART."),
        (
            "'{]' is not JSON (Expecting property name: line 1 column 2 (char 1)); expected text such as {}",
            "'{]' cannot be read as JSON from line 1, column 2 on. Accepted: text such as {}.",
        ),
    ],
)
def test_an_error_is_told_in_sentences(message: str, told: str) -> None:
    assert words.problem(message) == told


@pytest.mark.parametrize(("count", "told"), [(0, "Nobody"), (1, "1 person"), (2, "2 people")])
def test_people_are_counted_in_words(count: int, told: str) -> None:
    assert words.people(count) == told


def test_people_of_one_name_are_told_apart_by_their_towns() -> None:
    people = [
        PersonRow(1, "Seán", "Ó Riada", "Cork"),
        PersonRow(2, "Seán", "Ó Riada", None),
        PersonRow(3, "Seán", "Ó Riada", "Dublin"),
        PersonRow(4, "Nóirín", None, "Dublin"),
    ]

    assert words.told_apart(people) == ["Seán Ó Riada (Cork)", "Seán Ó Riada", "Seán Ó Riada (Dublin)", "Nóirín"]


def test_people_of_one_name_and_one_town_are_told_apart_by_their_numbers() -> None:
    people = [
        PersonRow(1, "Seán", "Ó Riada", "Cork"),
        PersonRow(2, "Seán", "Ó Riada", "Cork"),
        PersonRow(3, "Nóirín", None, None),
        PersonRow(4, "Nóirín", None, None),
    ]

    assert words.told_apart(people) == [
        "Seán Ó Riada (Cork), no. 1",
        "Seán Ó Riada (Cork), no. 2",
        "Nóirín, no. 3",
        "Nóirín, no. 4",
    ]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `python -m seisiun migrate`", "run <code>python -m seisiun migrate</code>"),
        ("<i> and `SELECT '<b>' & 1`", "&lt;i&gt; and <code>SELECT &#39;&lt;b&gt;&#39; &amp; 1</code>"),
        ("O`Brien's: `NOTIFY x` requests it", "O`Brien&#39;s: <code>NOTIFY x</code> requests it"),
        ("", ""),
    ],
)
def test_a_command_is_shown_as_code_and_everything_is_escaped(text: str, html: str) -> None:
    assert words.with_commands(text) == html
