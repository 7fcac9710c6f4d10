"""Connections: one engine per process, and the database that is used when none is configured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.embedded_postgres import connect_or_start
from core.errors import DatabaseUnavailable
from core.settings import Settings

# A dropped network is noticed in about nine seconds, on our side and on the server's: otherwise the server would
# keep the session, and its locks, for two hours.
KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "options": (
        "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 "
        "-c tcp_user_timeout=8000 -c timezone=UTC"
    ),
}


def normalise_url(url: str) -> str:
    """Return `url` in the form that SQLAlchemy and psycopg2 agree on; raise `DatabaseUnavailable` if it is not one.

    Platforms hand out `postgres://`, which SQLAlchemy refuses; from 2.1 on it reads `postgresql://` as psycopg 3.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # the second of a port that is no number
        raise DatabaseUnavailable(f"DATABASE_URL is not a URL; accepted: {_ACCEPTED}") from error
    if parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise DatabaseUnavailable(f"DATABASE_URL begins with {parsed.drivername!r}; accepted: {_ACCEPTED}")
    return parsed.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


_ACCEPTED = "postgresql://user:password@host:port/name (also postgres:// and postgresql+psycopg2://)"


def libpq_url(url: str) -> str:
    """Return `url` as psql and psycopg2 take it."""
    return make_url(normalise_url(url)).set(drivername="postgresql").render_as_string(hide_password=False)


def create_engine(url: str, *, pool_size: int = 2, application_name: str = "seisiun") -> Engine:
    """Make the engine for `url`, READ COMMITTED whatever the server's default, in UTC, with bounded waits."""
    return sqlalchemy.create_engine(
        normalise_url(url),
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=2,
        pool_pre_ping=False,
        connect_args=KEEPALIVES | {"application_name": application_name},
    )


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Yield the URL of the configured database, or of an embedded one that lives as long as the block.

    Raises `DatabaseUnavailable` on the platform, or where the embedded server's package is not installed.
    """
    if settings.database_url:
        yield normalise_url(settings.database_url)
    elif settings.render:
        raise DatabaseUnavailable(
            "DATABASE_URL is not set. On Render, set it from the database's connectionString (see render.yaml)."
        )
    else:
        with connect_or_start(settings.embedded_postgres_dir) as server:
            yield normalise_url(server.url)


def is_embedded(settings: Settings) -> bool:
    """Say whether `database` would use the embedded server."""
    return not settings.database_url and not settings.render
