from datetime import UTC, date, datetime, timedelta

import pytest
import pytz

from core.errors import UnknownTimeZone
from core.timezones import changes_of_night, clock_changes
from tests.core import oracle
from tests.core.test_timezones import transitions

YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Dublin", "2026-10-24", ["clocks go back 1 h at 02:00 on Sun 25 Oct"]),
        ("Europe/Dublin", "2026-10-25", ["clocks go back 1 h at 02:00 on Sun 25 Oct"]),
        ("Europe/Dublin", "2026-10-23", []),
        ("Europe/Dublin", "2026-10-26", []),
        ("Europe/Dublin", "2026-03-28", ["clocks go forward 1 h at 01:00 on Sun 29 Mar"]),
        ("Australia/Lord_Howe", "2026-04-04", ["clocks go back 30 min at 02:00 on Sun 05 Apr"]),
        ("America/Havana", "2026-03-08", ["clocks go forward 1 h at 00:00 on Sun 08 Mar"]),  # as the date begins
        ("Pacific/Apia", "2011-12-29", ["clocks go forward 24 h at 00:00 on Fri 30 Dec"]),
        ("UTC", "2026-10-25", []),
    ],
)
def test_changes_of_a_night(zone: str, day: str, expected: list[str]) -> None:
    assert expected == [str(change) for change in changes_of_night(date.fromisoformat(day), zone)]


def moves_clocks(at: datetime, zone: str) -> bool:
    """Some changes only give the offset another name: Vancouver's of November 2026."""
    info = oracle.zone_info(zone)
    return (at - timedelta(seconds=1)).astimezone(info).utcoffset() != at.astimezone(info).utcoffset()


def test_every_change_of_a_year_is_found_to_the_second() -> None:
    first, last = (at.replace(tzinfo=None) for at in YEAR)
    for zone in pytz.all_timezones:
        expected = [at.replace(tzinfo=UTC) for at in transitions(zone, first, last)]

        found = [change.at for change in clock_changes(*YEAR, zone)]

        assert [at for at in expected if moves_clocks(at, zone)] == found


def test_both_ends_count_as_stated() -> None:
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    second = timedelta(seconds=1)

    assert len(clock_changes(change - second, change, "Europe/Dublin")) == 1
    assert clock_changes(change, change + second, "Europe/Dublin") == ()
    assert clock_changes(change, change - second, "Europe/Dublin") == ()


def test_unknown_zone_is_refused() -> None:
    with pytest.raises(UnknownTimeZone):
        clock_changes(*YEAR, "Mars/Olympus")
