from datetime import datetime, timedelta, timezone

import pytest

from core.recurrence import Occurrence
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
    assert words.local_day_and_clock(at, "Mars/Olympus") == "Thu 16:00 UTC"
