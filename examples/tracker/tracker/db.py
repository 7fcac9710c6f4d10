"""The database connection of a request. PGHOST, PGUSER and the like say which database, as they do for psql."""

import time
from typing import Any, cast

import psycopg2
from flask import Flask, Response, abort, g
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from psycopg2.extras import RealDictCursor

Row = dict[str, Any]


def connect() -> Connection:
    """Connect; the connection is not in autocommit."""
    return psycopg2.connect("", cursor_factory=RealDictCursor)


def connection() -> Connection:
    """Return the connection of this request."""
    if "connection" not in g:
        g.connection = connect()
        g.connected_at = time.perf_counter()
    return cast("Connection", g.connection)


def rows(statement: str, *values: object) -> list[Row]:
    """Run a statement, and return its rows."""
    with connection().cursor() as cursor:
        cursor.execute(statement, values)
        return [dict(row) for row in cursor.fetchall()]


def row(statement: str, *values: object) -> Row:
    """Run a statement, and return its first row; answer 404 if there is none."""
    found = rows(statement, *values)
    return found[0] if found else abort(404)


def init_app(app: Flask) -> None:
    """Close each request's connection, and tell in its answer how long the request worked with it."""

    @app.after_request
    def tell_how_long(answer: Response) -> Response:
        if "connection" in g:
            answer.headers["Server-Timing"] = f"db;dur={1000 * (time.perf_counter() - g.connected_at):.2f}"
        return answer

    @app.teardown_appcontext
    def close(_: BaseException | None) -> None:
        if "connection" in g:
            g.pop("connection").close()
