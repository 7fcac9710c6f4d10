import pytest

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
