from datetime import UTC, datetime, timedelta

import pytest

from core.timezones import to_utc
from web import strips


@pytest.mark.parametrize(
    ("zone", "wall", "begins", "hours"),
    [
        ("Europe/Dublin", (2026, 11, 26, 5, 59), (2026, 11, 25, 6), 24),
        ("Europe/Dublin", (2026, 11, 26, 6, 0), (2026, 11, 26, 6), 24),
        ("America/New_York", (2026, 11, 1, 0, 30), (2026, 10, 31, 6), 25),
        ("America/New_York", (2026, 3, 8, 1, 30), (2026, 3, 7, 6), 23),
        ("Mars/Olympus", (2026, 11, 26, 12, 0), (2026, 11, 26, 6), 24),
    ],
)
def test_a_day_of_music_ends_at_six_in_the_morning(
    zone: str, wall: tuple[int, ...], begins: tuple[int, ...], hours: int
) -> None:
    known = zone if zone != "Mars/Olympus" else "UTC"
    day = strips.day_of(to_utc(datetime(*wall), known), zone)  # type: ignore[arg-type] # of year to minute

    assert day.begins_at == to_utc(datetime(*begins), known)  # type: ignore[arg-type]
    assert day.ends_at - day.begins_at == timedelta(hours=hours)
    assert day.percent(day.begins_at - timedelta(hours=1)) == 0
    assert day.percent(datetime(2100, 1, 1, tzinfo=UTC)) == 100
