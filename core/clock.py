"""The host's clock. It only wakes us: the database's clock decides what is true (L1)."""

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """Return what the host's clock shows: an aware instant in UTC."""
    return datetime.now(UTC)
