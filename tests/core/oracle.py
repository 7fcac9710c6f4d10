"""The standard library's zone rules, read from the same release of the zone database as pytz's.

`ZoneInfo(name)` would read the system's zone files first, so the files are opened by hand.
"""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo


@cache
def zone_info(zone: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as zone_file:
        return ZoneInfo.from_file(zone_file, key=zone)


def instant(local: datetime, zone: str) -> datetime:
    """PEP 495: fold=0 takes the offset before a gap, and the first instant of an overlap."""
    return local.replace(tzinfo=zone_info(zone), fold=0).astimezone(UTC)
