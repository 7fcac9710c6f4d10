"""Tells whether this process serves and its database answers; `/metrics` tells about the daemons."""

import json
import time

from flask import Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core.logs import logger
from web.host import host

log = logger(__name__)


def healthz() -> Response:
    """Return 200, or 503 if the database does not answer within two seconds; it uses a connection of its own."""
    begun = time.perf_counter()
    try:
        with host().health_engine.connect() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '2s'; SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("unhealthy", error=str(error).strip().splitlines()[0])
        return _answer({"ok": False, "database": "does not answer"}, 503)
    took = round((time.perf_counter() - begun) * 1000, 1)
    hub = host().hub
    return _answer({"ok": True, "database_ms": took, "streams": hub.streams, "listening": hub.is_listening}, 200)


def _answer(data: dict[str, object], status: int) -> Response:
    return Response(json.dumps(data) + "\n", status, mimetype="application/json")
