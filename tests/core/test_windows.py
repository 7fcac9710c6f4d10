from datetime import UTC, date, datetime, time, timedelta

import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from core.recurrence.schedules import END_OF_DAY
from core.windows import StatedHours, Window, activation_window, stated_hours, stated_span
from tests.core import oracle
from tests.core.test_timezones import transitions, zones_that_change

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NEW_YORK = "America/New_York"
DUBLIN = "Europe/Dublin"
LORD_HOWE = "Australia/Lord_Howe"
CASABLANCA = "Africa/Casablanca"
APIA = "Pacific/Apia"
CHANGE_NIGHTS = [
    (NEW_YORK, date(2026, 3, 8)),
    (NEW_YORK, date(2026, 11, 1)),
    (DUBLIN, date(2026, 3, 29)),
    (DUBLIN, date(2026, 10, 25)),
    (LORD_HOWE, date(2026, 10, 4)),
    (LORD_HOWE, date(2026, 4, 5)),
    (CASABLANCA, date(2023, 3, 19)),
    (CASABLANCA, date(2023, 4, 23)),
    (APIA, date(2011, 12, 30)),
]


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text + "Z")


@pytest.mark.parametrize(
    ("start", "end", "expected_end"),
    [
        (time(19), time(22), "2026-11-05 22:00"),
        (time(19), time(23, 59), "2026-11-05 23:59"),
        (time(21), time(0), "2026-11-06 00:00"),
        (time(21), time(1, 30), "2026-11-06 01:30"),
        (time(21), time(20, 59), "2026-11-06 20:59"),
        (time(19), None, "2026-11-05 22:00"),
        (time(22), None, "2026-11-06 01:00"),
        (time(19), time(19), "2026-11-05 22:00"),
        (time(0), time(0), "2026-11-05 03:00"),
    ],
)
def test_t3_end_before_the_start_is_next_day_and_no_end_is_three_hours(
    start: time, end: time | None, expected_end: str
) -> None:
    day = date(2026, 11, 5)

    assert (datetime.combine(day, start), wall(expected_end)) == stated_span(day, start, end)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (time(21), END_OF_DAY, ("2026-11-05 21:00", "2026-11-06 00:00")),
        (time(0), END_OF_DAY, ("2026-11-05 00:00", "2026-11-06 00:00")),
        (END_OF_DAY, time(2), ("2026-11-06 00:00", "2026-11-06 02:00")),
        (END_OF_DAY, None, ("2026-11-06 00:00", "2026-11-06 03:00")),
        (END_OF_DAY, time(0), ("2026-11-06 00:00", "2026-11-06 03:00")),
        (END_OF_DAY, END_OF_DAY, ("2026-11-06 00:00", "2026-11-06 03:00")),
    ],
)
def test_t3_24_00_is_the_midnight_at_the_end_of_the_date(
    start: time, end: time | None, expected: tuple[str, str]
) -> None:
    span = stated_span(date(2026, 11, 5), start, end)

    assert span == tuple(map(wall, expected))
    assert [at.fold for at in span] == [0, 0]


def test_t3_default_length_is_a_setting() -> None:
    _, end = stated_span(date(2026, 11, 5), time(19), None, default_length=2 * HOUR)

    assert wall("2026-11-05 21:00") == end


@pytest.mark.parametrize(
    ("zone", "start", "end", "expected_start", "expected_end"),
    [
        pytest.param(
            NEW_YORK, "2026-03-07 22:00", "2026-03-08 01:00", "2026-03-08 03:00", "2026-03-08 06:00",
            id="before the clock goes forward",
        ),
        pytest.param(
            NEW_YORK, "2026-03-07 23:00", "2026-03-08 02:30", "2026-03-08 04:00", "2026-03-08 07:30",
            id="ends in the gap: lasts as long as stated",
        ),
        pytest.param(
            NEW_YORK, "2026-03-07 23:00", "2026-03-08 03:30", "2026-03-08 04:00", "2026-03-08 07:30",
            id="spans the gap: an hour shorter",
        ),
        pytest.param(
            NEW_YORK, "2026-10-31 23:00", "2026-11-01 02:30", "2026-11-01 03:00", "2026-11-01 07:30",
            id="spans the overlap: an hour longer",
        ),
        pytest.param(
            NEW_YORK, "2026-11-01 00:30", "2026-11-01 01:30", "2026-11-01 04:30", "2026-11-01 05:30",
            id="ends at the first of the two",
        ),
        pytest.param(
            NEW_YORK, "2026-03-08 02:45", "2026-03-08 03:15", "2026-03-08 07:45", "2026-03-08 08:15",
            id="starts in the gap, would end before: T2",
        ),
        pytest.param(
            NEW_YORK, "2026-03-08 02:30", "2026-03-08 03:30", "2026-03-08 07:30", "2026-03-08 08:30",
            id="starts in the gap, would end at once: T2",
        ),
        pytest.param(
            DUBLIN, "2026-10-24 23:00", "2026-10-25 01:30", "2026-10-24 22:00", "2026-10-25 00:30",
            id="negative DST, ends in the overlap",
        ),
        pytest.param(
            LORD_HOWE, "2026-10-04 02:20", "2026-10-04 02:40", "2026-10-03 15:50", "2026-10-03 16:10",
            id="half an hour's gap: T2",
        ),
        pytest.param(
            APIA, "2011-12-29 22:00", "2011-12-30 02:00", "2011-12-30 08:00", "2011-12-30 12:00",
            id="ends on the skipped day",
        ),
        pytest.param(
            APIA, "2011-12-30 23:00", "2011-12-31 01:00", "2011-12-31 09:00", "2011-12-31 11:00",
            id="starts on the skipped day, would end a day before: T2",
        ),
    ],
)  # fmt: skip
def test_t2_stated_hours(zone: str, start: str, end: str, expected_start: str, expected_end: str) -> None:
    assert StatedHours(utc(expected_start), utc(expected_end)) == stated_hours(wall(start), wall(end), zone)


@pytest.mark.parametrize(
    ("zone", "start", "end", "opens_at", "closes_at"),
    [
        (DUBLIN, "2026-11-05 19:30", "2026-11-05 22:30", "2026-11-05 18:30", "2026-11-05 23:30"),
        # An hour before 03:30 of the short night is 01:30, an hour after 01:00 is 03:00.
        (NEW_YORK, "2026-03-08 03:30", "2026-03-08 05:00", "2026-03-08 06:30", "2026-03-08 10:00"),
        (NEW_YORK, "2026-03-07 22:00", "2026-03-08 01:30", "2026-03-08 02:00", "2026-03-08 07:30"),
        # An hour after the first 01:30 of the long night is the second.
        (NEW_YORK, "2026-10-31 22:00", "2026-11-01 01:30", "2026-11-01 01:00", "2026-11-01 06:30"),
    ],
)
def test_t2_buffers_are_elapsed_time(zone: str, start: str, end: str, opens_at: str, closes_at: str) -> None:
    assert Window(utc(opens_at), utc(closes_at)) == activation_window(wall(start), wall(end), zone)


def test_t2_buffers_are_the_callers() -> None:
    window = activation_window(
        wall("2026-11-05 19:00"), wall("2026-11-05 22:00"), "UTC", before=15 * MINUTE, after=timedelta()
    )

    assert Window(utc("2026-11-05 18:45"), utc("2026-11-05 22:00")) == window


@given(
    st.sampled_from(CHANGE_NIGHTS),
    st.integers(-240, 360),
    st.integers(1, 24 * 60),
    st.integers(0, 180),
    st.integers(0, 180),
)
@settings(max_examples=200, deadline=None)
def test_t2_window_is_the_minutes_that_a_stopwatch_counts(
    night: tuple[str, date], starts: int, lasts: int, before: int, after: int
) -> None:
    zone, day = night
    start = datetime.combine(day, time()) + starts * MINUTE
    end = start + lasts * MINUTE
    first, over = oracle.instant(start, zone), oracle.instant(end, zone)
    playing = int((over - first) / MINUTE)
    counted = range(-before, (playing if playing > 0 else lasts) + after)

    window = activation_window(start, end, zone, before=before * MINUTE, after=after * MINUTE)

    around = range(-before - 2, lasts + after + 26 * 60)
    assert list(counted) == [minute for minute in around if window.contains(first + minute * MINUTE)]


def walked(zone: str, start: datetime, end: datetime, before: int, after: int) -> list[datetime]:
    """The minutes of a window, by brute force: walk UTC minute by minute, and ask the zone what its clocks show.

    A wall time is reached when the clocks first show it or, where they jump over it, when those of the minute before
    the jump would have shown it, had they gone on. The end, where the jump leaves nothing, is timed by a stopwatch.
    """
    info = oracle.zone_info(zone)
    walk = [
        (utc_minute, utc_minute.astimezone(info).replace(tzinfo=None, fold=0))
        for minute in range(-2 * 1440, int((end - start) / MINUTE) + 2 * 1440)
        for utc_minute in [start.replace(tzinfo=UTC) + minute * MINUTE]
    ]

    def reached(wall_time: datetime) -> datetime:
        earlier, earlier_shown = walk[0]
        for utc_minute, shown in walk:
            if shown == wall_time:
                return utc_minute
            if shown > wall_time:
                return earlier + (wall_time - earlier_shown)
            earlier, earlier_shown = utc_minute, shown
        raise AssertionError((zone, wall_time))

    first, over = reached(start), reached(end)
    if over <= first:
        over = first + (end - start)
    opened = first - before * MINUTE
    return [opened + minute * MINUTE for minute in range(before + after + int((over - first) / MINUTE))]


def check_walk(zone: str, start: datetime, lasts: int, before: int, after: int) -> None:
    end = start + lasts * MINUTE
    on = walked(zone, start, end, before, after)

    window = activation_window(start, end, zone, before=before * MINUTE, after=after * MINUTE)

    assert [on[0], on[-1] + MINUTE] == [window.opens_at, window.closes_at]
    assert all(window.contains(minute) for minute in on)
    assert not window.contains(on[0] - MINUTE)
    assert not window.contains(on[-1] + MINUTE)


@st.composite
def nights(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and a start, to the minute: on or around a change of its clocks, or anywhere in fifty years."""
    if draw(st.booleans()):
        zone, day = draw(st.sampled_from(CHANGE_NIGHTS))
        return zone, datetime.combine(day, time()) + draw(st.integers(-1600, 1600)) * MINUTE
    if draw(st.booleans()):
        zone = draw(st.sampled_from(zones_that_change()))
        change = draw(st.sampled_from(transitions(zone)))
        return zone, change.replace(second=0) + draw(st.integers(-1600, 1600)) * MINUTE
    anywhere = draw(st.datetimes(datetime(1972, 2, 2), datetime(2037, 11, 1)))
    return draw(st.sampled_from(pytz.all_timezones)), anywhere.replace(second=0, microsecond=0)


LASTS = st.integers(1, 24 * 60 - 1)
BUFFERS = st.sampled_from([0, 60, 1440]) | st.integers(0, 1440)


@pytest.mark.thorough
@given(nights(), LASTS, BUFFERS, BUFFERS)
@settings(max_examples=80, deadline=None)
def test_t2_window_is_what_a_walk_through_the_minutes_finds(
    night: tuple[str, datetime], lasts: int, before: int, after: int
) -> None:
    check_walk(*night, lasts, before, after)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_t2_many_windows_are_what_a_walk_through_the_minutes_finds(capsys: pytest.CaptureFixture[str]) -> None:
    cases = 0

    @given(nights(), LASTS, BUFFERS, BUFFERS)
    @settings(max_examples=10_000, deadline=None)
    def check(night: tuple[str, datetime], lasts: int, before: int, after: int) -> None:
        nonlocal cases
        check_walk(*night, lasts, before, after)
        cases += 1

    check()
    with capsys.disabled():
        print(f"\n{cases} windows agree with a walk through their minutes")  # noqa: T201 - asked for


def test_t4_intervals_are_half_open() -> None:
    opens_at, closes_at = utc("2026-11-05 18:30"), utc("2026-11-05 23:30")
    microsecond = timedelta(microseconds=1)

    for interval in (Window(opens_at, closes_at), StatedHours(opens_at, closes_at)):
        assert not interval.contains(opens_at - microsecond)
        assert interval.contains(opens_at)
        assert interval.contains(closes_at - microsecond)
        assert not interval.contains(closes_at)


def test_t2_instants_are_in_utc() -> None:
    window = activation_window(wall("2026-11-05 19:00"), wall("2026-11-05 22:00"), DUBLIN)

    assert UTC is window.opens_at.tzinfo
    assert UTC is window.closes_at.tzinfo
