"""Connections to PostgreSQL.

__init__              URLs, engines, and which database to use
timeouts              cuts a connection when no answer comes in time
pauses                how long to wait before each retry
listener              LISTEN, with proof that notifications arrive
transactions          our own short transactions, and savepoints in an app's transaction
transaction_settings  the settings of those transactions
casts                 how values are read
prepared              statements that the server plans once for a connection
embedded              the development server

All statements about sessions, instances and people are in `core.store`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from sqlalchemy import URL, Dialect, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.db.casts import register_casts
from core.db.prepared import prepare_statements
from core.db.timeouts import with_response_timeout
from core.errors import DatabaseUnavailable
from core.settings import Settings

# With these parameters each side notices within about nine seconds that the other host is gone. With the defaults the
# server would keep our connection, and its locks, for two hours.
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
    "-c tcp_user_timeout=8000 -c timezone=UTC "
    # A role or a database may have other defaults (ALTER ROLE ... SET): a NULL in an array, and the text of a float or
    # of an interval, must mean what we mean, and a connection that waits in a pool must live. psycopg2 itself sets
    # DateStyle.
    "-c array_nulls=on -c intervalstyle=postgres -c extra_float_digits=1 -c transform_null_equals=off "
    "-c idle_session_timeout=0 -c default_transaction_isolation=read\\ committed"
)


def normalise_url(url: str) -> str:
    """Return `url` in the form `postgresql+psycopg2://`; raise `DatabaseUnavailable` if it is not a PostgreSQL URL.

    Many platforms give `postgres://`, which SQLAlchemy refuses. SQLAlchemy 2.1 reads `postgresql://` as psycopg 3. If
    the URL names several hosts (a primary and its standbys, in libpq's form or in SQLAlchemy's), we connect to the one
    that accepts writes, unless the URL sets `target_session_attrs` itself. No error shows a part of the password.
    """
    if _TWO_ATS.match(url):
        raise DatabaseUnavailable(
            f"DATABASE_URL has two @; write one that belongs to the user or the password as %40; accepted: {_ACCEPTED}"
        )
    try:
        parsed = make_url(_SEVERAL_HOSTS.sub(_as_parameters, url))
        _DIALECT.create_connect_args(parsed)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        # Not `from` that error: it shows as the port whatever follows a colon, perhaps a password.
        raise DatabaseUnavailable(f"DATABASE_URL is not a URL; accepted: {_ACCEPTED}") from None
    if parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise DatabaseUnavailable(f"DATABASE_URL begins with {parsed.drivername!r}; accepted: {_ACCEPTED}")
    if _names_several_hosts(parsed) and "target_session_attrs" not in parsed.query:
        parsed = parsed.update_query_dict({"target_session_attrs": "read-write"})
    if isinstance(password := parsed.query.get("password"), str):  # SQLAlchemy hides only the one before the host
        parsed = parsed.difference_update_query(["password"]).set(password=password)
    return parsed.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


_DIALECT: Dialect = make_url("postgresql+psycopg2://").get_dialect()()
_ACCEPTED = "postgresql://user:password@host:port/name (also postgres:// and postgresql+psycopg2://)"

# After the first @ follows the host: what stands before the second would be shown as the host that cannot be found.
_TWO_ATS = re.compile(r"^[^:/?]+://[^:/@?]*(?::[^@]*)?@[^?]*@")

# libpq accepts several hosts where SQLAlchemy reads only one: postgresql://user:password@host:port,host:port/name.
_SEVERAL_HOSTS = re.compile(
    r"^(?P<before>[^:/?]+://(?:[^:/@?]*(?::[^@]*)?@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<name>/[^?]*)?(?:[?](?P<query>.*))?$"
)


def _as_parameters(url: re.Match[str]) -> str:
    hosts = [f"host={host}" for host in url["hosts"].split(",")]
    return f"{url['before']}{url['name'] or '/'}?{'&'.join([*hosts, *filter(None, [url['query']])])}"


def _names_several_hosts(url: URL) -> bool:
    hosts = url.query.get("host", "")  # also those that stood before the name: see `_as_parameters`
    return not isinstance(hosts, str) or "," in hosts


def connection_parameters(url: str) -> dict[str, Any]:
    """Return the parameters of `psycopg2.connect` for `url`, with keepalives.

    Keep the URL's own `options`, or those of PGOPTIONS. What `url` leaves out libpq takes from its own environment
    variables. Raises `DatabaseUnavailable` as `normalise_url` does.
    """
    _, parameters = _DIALECT.create_connect_args(make_url(normalise_url(url)))
    options = f"{parameters.get('options', os.environ.get('PGOPTIONS', ''))} {SERVER_OPTIONS}".strip()
    return {**parameters, **KEEPALIVES, "client_encoding": "UTF8", "options": options}


def connect(parameters: Mapping[str, Any]) -> Psycopg2Connection:
    """Connect; if a pooler refuses our options (PgBouncer does), connect without them. Raises psycopg2's errors."""
    try:
        connection: Psycopg2Connection = psycopg2.connect(**parameters)
    except psycopg2.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
        own = parameters["options"].removesuffix(SERVER_OPTIONS).strip()
        connection = psycopg2.connect(**{**parameters, "options": own})
        connection.isolation_level = ISOLATION_LEVEL_READ_COMMITTED
    register_casts(connection)
    return connection


def create_engine(
    url: str,
    *,
    pool_size: int = 2,
    application_name: str = "seisiun",
    response_timeout_seconds: float | None = None,
    prepares: bool = False,
) -> Engine:
    """Return an engine for `url`; its transactions are READ COMMITTED, whatever the server's default is.

    The text of its errors shows no parameters of a statement: they may be names and comments of people.
    `response_timeout_seconds`: cut a connection that waits longer for an answer; None means never. `prepares`: each
    connection prepares its statements, for a program that executes them again and again.
    """
    engine = sqlalchemy.create_engine(
        normalise_url(url),
        pool_size=pool_size,
        max_overflow=2,
        hide_parameters=True,
    )
    parameters = {**connection_parameters(url), "application_name": application_name}
    if response_timeout_seconds is not None:
        parameters["connection_factory"] = with_response_timeout(response_timeout_seconds)
    if prepares:
        prepare_statements(engine)
    event.listen(engine, "do_connect", lambda *_: connect(parameters))
    return engine


LIBPQ = ("pghost", "pghostaddr", "pgport", "pgdatabase", "pguser", "pgservice")


def configured_url(settings: Settings) -> str | None:
    """Return the URL of the database that the environment names, or None if it names none.

    Without DATABASE_URL, libpq's own variables count, and libpq fills in what the URL leaves out. Raises
    `DatabaseUnavailable` if DATABASE_URL is not accepted, or these variables do not say which database it is.
    """
    if settings.database_url:
        return normalise_url(settings.database_url.get_secret_value())
    given = [name.upper() for name in LIBPQ if getattr(settings, name)]
    if not given:
        return None
    if not (settings.pgdatabase or settings.pguser or settings.pgservice):  # libpq would take the system user's name
        raise DatabaseUnavailable(
            f"{given[0]} is set, but nothing says which database: "
            "set PGDATABASE too, or PGSERVICE, or DATABASE_URL instead"
        )
    several = "," in (settings.pghost or settings.pghostaddr or "") and "PGTARGETSESSIONATTRS" not in os.environ
    return normalise_url("postgresql://?target_session_attrs=read-write" if several else "postgresql://")


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Yield the URL of the configured database, or of an embedded server that runs as long as the block.

    Raises `DatabaseUnavailable` as `configured_url` does; if no database is configured and we run on Render; or if the
    embedded server's package is not installed.
    """
    url = configured_url(settings)
    if url is not None:
        yield url
    elif settings.render:
        raise DatabaseUnavailable(
            "DATABASE_URL is not set, nor are PGHOST and PGDATABASE. On Render, set DATABASE_URL from the database's "
            "connectionString (see render.yaml)."
        )
    else:
        # Imported only here, so that production never loads the development server.
        from core.db.embedded import connect_or_start  # noqa: PLC0415

        with connect_or_start(settings.embedded_postgres_dir) as server:
            yield normalise_url(server.url)


def is_embedded(settings: Settings) -> bool:
    """Return whether `database` would use the embedded server."""
    return configured_url(settings) is None and not settings.render
