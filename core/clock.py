"""The host's clock: it only wakes us. What is true is decided by the database's clock (L1)."""

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """Return the host's present instant, aware, in UTC."""
    return datetime.now(UTC)
