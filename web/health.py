"""Tells whether this process serves and its database answers; with `deep=1`, whether all is well, as `status` does."""

import json
import time

from flask import Response, request
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from core.logs import logger
from core.status import status
from web.host import host

log = logger(__name__)


def healthz() -> Response:
    """Return 200, or 503 if the database does not answer within two seconds; it uses a connection of its own.

    With `deep=1` also 503 if `status` is unhealthy: the answer has its problems and its notes.
    """
    is_deep = request.args.get("deep") == "1"
    try:
        with host().health_engine.connect() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '2s'"))
            return _deep(connection) if is_deep else _shallow(connection)
    except SQLAlchemyError as error:
        log.warning("unhealthy", error=str(error).strip().splitlines()[0])
        is_schema = isinstance(error, ProgrammingError)
        said = "its schema is missing, or of another release" if is_schema else "does not answer"
        return _answer({"ok": False, "database": said}, 503)


def _shallow(connection: Connection) -> Response:
    begun = time.perf_counter()
    connection.execute(text("SELECT 1"))
    took = round((time.perf_counter() - begun) * 1000, 1)
    hub = host().hub
    return _answer({"ok": True, "database_ms": took, "streams": hub.streams, "listening": hub.is_listening}, 200)


def _deep(connection: Connection) -> Response:
    found = status(connection)
    told = {"ok": found.healthy, "problems": found.problems, "notes": found.notes}
    return _answer(told, 200 if found.healthy else 503)


def _answer(data: dict[str, object], status: int) -> Response:
    return Response(json.dumps(data) + "\n", status, mimetype="application/json")
