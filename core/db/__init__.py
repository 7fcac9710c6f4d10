"""Connections to PostgreSQL.

__init__              URLs, engines, and the database to use when none is configured
timeouts              connections that are cut when no answer comes in time
pauses                how long to wait before each retry
listener              LISTEN, with proof that notifications arrive
transactions          our own short transactions, or savepoints in the app's
transaction_settings  what those run with
embedded              the development server

No statement about sessions, instances or people is here: those are in `core.store`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from sqlalchemy import URL, Dialect, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.db.timeouts import with_response_timeout
from core.errors import DatabaseUnavailable
from core.settings import Settings

# A host that is gone is noticed in about nine seconds, on our side and on the server's: otherwise the server would
# keep the session, and its locks, for two hours.
KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}
SERVER_OPTIONS = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 "
    "-c tcp_user_timeout=8000 -c timezone=UTC"
)


def normalise_url(url: str) -> str:
    """Return `url` in the form that SQLAlchemy and psycopg2 agree on; raise `DatabaseUnavailable` if it is not one.

    Platforms hand out `postgres://`, which SQLAlchemy refuses; from 2.1 on it reads `postgresql://` as psycopg 3.
    Of several hosts (a primary and its standbys, in libpq's form or SQLAlchemy's) the one is meant that can be written
    to, unless the URL says otherwise.
    """
    try:
        parsed = make_url(_SEVERAL_HOSTS.sub(_as_parameters, url))
        _DIALECT.create_connect_args(parsed)
    except (ArgumentError, ValueError) as error:  # the second of a port that is no number
        raise DatabaseUnavailable(f"DATABASE_URL is not a URL; accepted: {_ACCEPTED}") from error
    if parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise DatabaseUnavailable(f"DATABASE_URL begins with {parsed.drivername!r}; accepted: {_ACCEPTED}")
    if _names_several_hosts(parsed) and "target_session_attrs" not in parsed.query:
        parsed = parsed.update_query_dict({"target_session_attrs": "read-write"})
    return parsed.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


_DIALECT: Dialect = make_url("postgresql+psycopg2://").get_dialect()()
_ACCEPTED = "postgresql://user:password@host:port/name (also postgres:// and postgresql+psycopg2://)"

# In libpq's form the hosts stand where SQLAlchemy reads one: postgresql://user:password@host:port,host:port/name.
_SEVERAL_HOSTS = re.compile(
    r"^(?P<before>[^:/?]+://(?:[^:/@?]*(?::[^@]*)?@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<name>/[^?]*)?(?:[?](?P<query>.*))?$"
)


def _as_parameters(url: re.Match[str]) -> str:
    hosts = [f"host={host}" for host in url["hosts"].split(",")]
    return f"{url['before']}{url['name'] or '/'}?{'&'.join([*hosts, *filter(None, [url['query']])])}"


def _names_several_hosts(url: URL) -> bool:
    hosts = url.query.get("host", url.host or "")
    return not isinstance(hosts, str) or "," in hosts


def connection_parameters(url: str) -> dict[str, Any]:
    """Return what psycopg2 takes for `url`, with bounded waits; `options` of the URL's own are kept."""
    _, parameters = _DIALECT.create_connect_args(make_url(normalise_url(url)))
    options = f"{parameters.get('options', '')} {SERVER_OPTIONS}".strip()
    return {**parameters, **KEEPALIVES, "options": options}


def connect(parameters: Mapping[str, Any]) -> Psycopg2Connection:
    """Connect; without our options where a pooler refuses them (PgBouncer does: they are for a server, not for it)."""
    try:
        connection: Psycopg2Connection = psycopg2.connect(**parameters)
    except psycopg2.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
        own = parameters["options"].removesuffix(SERVER_OPTIONS).strip()
        connection = psycopg2.connect(**{**parameters, "options": own})
    return connection


def create_engine(
    url: str, *, pool_size: int = 2, application_name: str = "seisiun", response_timeout_seconds: float | None = None
) -> Engine:
    """Make the engine for `url`, READ COMMITTED whatever the server's default.

    `response_timeout_seconds`: a connection that waits longer for an answer is cut (default: never).
    """
    engine = sqlalchemy.create_engine(
        normalise_url(url),
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=2,
        pool_pre_ping=False,
    )
    parameters = {**connection_parameters(url), "application_name": application_name}
    if response_timeout_seconds is not None:
        parameters["connection_factory"] = with_response_timeout(response_timeout_seconds)
    event.listen(engine, "do_connect", lambda *_: connect(parameters))
    return engine


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
        # Imported where it is started: in production no development server is even read.
        from core.db.embedded import connect_or_start  # noqa: PLC0415

        with connect_or_start(settings.embedded_postgres_dir) as server:
            yield normalise_url(server.url)


def is_embedded(settings: Settings) -> bool:
    """Say whether `database` would use the embedded server."""
    return not settings.database_url and not settings.render
