import random
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import import_module

import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnknownTimeZone
from core.timezones import changes_of_night, clock_changes, require_zone, to_local, to_utc, zone_data_version
from tests.core import oracle

# Before 1972 pytz rounds offsets to minutes, and after 2037 it has no transitions.
FIRST, LAST = datetime(1972, 2, 1), datetime(2037, 12, 1)
AROUND = [timedelta(minutes=minutes) for minutes in (-1500, -90, -60, -30, -15, -1, 0, 1, 15, 30, 60, 90, 1500)]


def transitions(zone: str, first: datetime = FIRST, last: datetime = LAST) -> list[datetime]:
    """The UTC instants, naive, at which a zone's offset changes."""
    times = getattr(pytz.timezone(zone), "_utc_transition_times", [])
    return [transition for transition in times if first < transition < last]


def walls_around(transition: datetime, zone: str, shift: timedelta) -> list[datetime]:
    """The wall times that lie `shift` from where the clock is set from, and from where it is set to."""
    info = oracle.zone_info(zone)
    before, after = (
        (transition + second).replace(tzinfo=UTC).astimezone(info).replace(tzinfo=None)
        for second in (timedelta(seconds=-1), timedelta())
    )
    return [before + timedelta(seconds=1) + shift, after + shift]


@cache
def zones_that_change() -> list[str]:
    return [zone for zone in pytz.all_timezones if transitions(zone)]


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("Europe/Dublin", "2026-11-05 19:30", "2026-11-05 19:30"),
        ("Europe/Dublin", "2026-03-29 01:30", "2026-03-29 01:30"),  # gap: winter time, Dublin's "DST", counts
        ("Europe/Dublin", "2026-10-25 01:30", "2026-10-25 00:30"),  # overlap: summer time came first
        ("America/New_York", "2026-03-08 01:59", "2026-03-08 06:59"),
        ("America/New_York", "2026-03-08 02:30", "2026-03-08 07:30"),  # gap
        ("America/New_York", "2026-03-08 03:00", "2026-03-08 07:00"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30"),  # overlap
        ("America/New_York", "2026-11-01 02:00", "2026-11-01 07:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:45"),  # a gap of thirty minutes
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45"),  # an overlap of thirty minutes
        ("Africa/Casablanca", "2023-03-19 02:30", "2023-03-19 01:30"),  # overlap, as Ramadan begins
        ("Africa/Casablanca", "2023-04-23 02:30", "2023-04-23 02:30"),  # gap, as it ends: negative DST again
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 22:00"),  # a day that never was
        ("Pacific/Apia", "2011-12-31 00:00", "2011-12-30 10:00"),
        ("Asia/Kathmandu", "2026-06-01 00:00", "2026-05-31 18:15"),
        ("UTC", "2026-06-01 00:00", "2026-06-01 00:00"),
        ("Etc/GMT+5", "2026-06-01 00:00", "2026-06-01 05:00"),
    ],
)
def test_t1_wall_time_becomes_instant(zone: str, local: str, expected: str) -> None:
    assert datetime.fromisoformat(expected + "Z") == to_utc(datetime.fromisoformat(local), zone)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_t1_agrees_with_pep_495_around_every_kind_of_change(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(zones_that_change()))
    transition = data.draw(st.sampled_from(transitions(zone)))
    shift = data.draw(st.timedeltas(timedelta(hours=-26), timedelta(hours=26)))

    for local in walls_around(transition, zone, shift):
        assert oracle.instant(local, zone) == to_utc(local, zone)


def wall_times(changes: Iterable[tuple[str, datetime]]) -> Iterator[tuple[str, datetime]]:
    """The wall times around each of these changes, with their zones."""
    for zone, transition in changes:
        for shift in AROUND:
            for local in walls_around(transition, zone, shift):
                yield zone, local


def changes(first: datetime = FIRST, last: datetime = LAST) -> list[tuple[str, datetime]]:
    """Every change of every zone between two instants, naive in UTC."""
    return [(zone, transition) for zone in pytz.all_timezones for transition in transitions(zone, first, last)]


def disagreements(cases: Iterable[tuple[str, datetime]]) -> list[tuple[str, datetime]]:
    return [(zone, local) for zone, local in cases if oracle.instant(local, zone) != to_utc(local, zone)]


def test_t1_agrees_with_pep_495_at_every_change_of_a_year() -> None:
    assert disagreements(wall_times(changes(datetime(2026, 10, 1), datetime(2027, 10, 1)))) == []


@pytest.mark.parametrize("seed", [1, 2, 2026])
def test_t1_agrees_with_pep_495_at_changes_chosen_by_a_fixed_seed(seed: int) -> None:
    sample = random.Random(seed).sample(changes(), 400)

    assert disagreements(wall_times(sample)) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(datetime(2020, 1, 1), LAST, id="from 2020 on"),
        pytest.param(FIRST, LAST, id="all"),
    ],
)
def test_t1_agrees_with_pep_495_at_every_change(
    first: datetime, last: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    every_change = changes(first, last)
    cases = list(wall_times(every_change))

    assert disagreements(cases) == []
    with capsys.disabled():
        print(f"\n{len(cases)} wall times around {len(every_change)} changes agree")  # noqa: T201 - asked for


@given(st.sampled_from(pytz.all_timezones), st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
@settings(deadline=None)
def test_t1_wall_time_of_an_instant_leads_back_to_its_first_occurrence(zone: str, instant: datetime) -> None:
    local = to_local(instant, zone)

    assert local.tzinfo is None
    assert instant.astimezone(oracle.zone_info(zone)).replace(tzinfo=None, fold=0) == local
    assert to_utc(local, zone) <= instant
    assert local == to_local(to_utc(local, zone), zone)


@given(st.sampled_from(pytz.all_timezones), st.datetimes(datetime(1900, 1, 1), datetime(2200, 12, 31)))
@settings(deadline=None)
def test_t1_two_centuries_of_dates_have_an_instant_in_utc(zone: str, local: datetime) -> None:
    instant = to_utc(local, zone)

    assert instant.tzinfo is UTC


def test_t1_fold_is_ignored() -> None:
    second = datetime(2026, 11, 1, 1, 30, fold=1)

    assert to_utc(second.replace(fold=0), "America/New_York") == to_utc(second, "America/New_York")


def test_t1_refuses_values_of_the_wrong_kind() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        to_utc(datetime(2026, 11, 5, tzinfo=UTC), "Europe/Dublin")
    with pytest.raises(ValueError, match="expected a datetime with a time zone"):
        to_local(datetime(2026, 11, 5), "Europe/Dublin")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "no time zone is given; expected a name such as 'Europe/Dublin'"),
        ("", "no time zone is given; expected a name such as 'Europe/Dublin'"),
        ("  ", "no time zone is given; expected a name such as 'Europe/Dublin'"),
        ("europe/dublin", "'europe/dublin' is not a known time zone; expected 'Europe/Dublin'"),
        (" Europe/Dublin", "' Europe/Dublin' is not a known time zone; expected 'Europe/Dublin'"),
        ("america/New York", "'america/New York' is not a known time zone; expected 'America/New_York'"),
        ("Dublin", "'Dublin' is not a known time zone; expected 'Europe/Dublin'"),
        ("Qqqq", "'Qqqq' is not a known time zone; expected a name such as 'Europe/Dublin'"),
        (
            "../etc/passwd",
            "'../etc/passwd' is not a known time zone; expected a name such as 'Europe/Dublin'",
        ),
    ],
)
def test_t1_unknown_zone_is_named_with_the_nearest(name: str | None, message: str) -> None:
    with pytest.raises(UnknownTimeZone) as caught:
        require_zone(name)

    assert message == str(caught.value)


def test_t1_unknown_zone_is_refused_by_both_directions() -> None:
    with pytest.raises(UnknownTimeZone):
        to_utc(datetime(2026, 11, 5), "Mars/Olympus")
    with pytest.raises(UnknownTimeZone):
        to_local(datetime(2026, 11, 5, tzinfo=UTC), "Mars/Olympus")


def test_t1_known_zone_passes() -> None:
    assert require_zone("Europe/Dublin") == "Europe/Dublin"


def test_t5_zone_data_version_is_that_of_the_oracle() -> None:
    assert zone_data_version() == import_module("tzdata").IANA_VERSION


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


@pytest.mark.thorough
def test_every_change_of_a_year_is_found_to_the_second() -> None:
    first, last = (at.replace(tzinfo=None) for at in YEAR)
    for zone in pytz.all_timezones:
        expected = [at.replace(tzinfo=UTC) for at in transitions(zone, first, last)]

        found = [change.at for change in clock_changes(*YEAR, zone)]

        assert [at for at in expected if moves_clocks(at, zone)] == found


def test_clock_changes_count_after_the_first_instant_and_up_to_the_last() -> None:
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    second = timedelta(seconds=1)

    assert len(clock_changes(change - second, change, "Europe/Dublin")) == 1
    assert clock_changes(change, change + second, "Europe/Dublin") == ()
    assert clock_changes(change, change - second, "Europe/Dublin") == ()


def test_clock_changes_of_an_unknown_zone_are_refused() -> None:
    with pytest.raises(UnknownTimeZone):
        clock_changes(*YEAR, "Mars/Olympus")
