"""The live board: a stream of Server-Sent Events and, for a page that was refused one, the same board to ask for."""

import hashlib
import json
import select
import socket

from flask import Response, current_app, request

from core.db.transaction_settings import clock
from core.ids import is_id
from core.store.views.places import Town
from web import board as boards
from web.host import host, require_session, transaction, viewer
from web.hub import Full, Shows
from web.settings import POLL_SECONDS, SEND_SECONDS


def stream() -> Response:
    """Open a stream of the board at this address; 503 if there is no room.

    `session`, the id of a session, or `me`: only tell when anything has changed that a page of it shows.
    """
    person_id = viewer().person_id
    session_id: int | None = None
    with transaction() as connection:
        clock(connection)  # without a database there is nothing to stream, and the page must ask again later
        if "session" in request.args:
            text = request.args["session"]
            session = require_session(connection, int(text) if is_id(text) else 0)
            session_id = session.session_id
            parts: boards.Parts = (boards.Part(Town(session.city, session.state, session.country)),)
        else:
            parts = () if "me" in request.args else boards.parts_of(connection, request.args, person_id)
    shows = Shows(parts, person_id, session_id, only_tell=session_id is not None or not parts)
    try:
        opened = host().hub.join(shows, address=request.remote_addr)
    except Full:
        return Response("too many streams are open\n", 503, {"Retry-After": str(POLL_SECONDS)}, mimetype="text/plain")
    # A client that stops reading would hold a thread until TCP gives up. Only gunicorn has this key.
    client: socket.socket | None = request.environ.get("gunicorn.socket")
    if client is not None:
        client.settimeout(SEND_SECONDS)
    response = Response(opened.messages(lambda: _has_closed(client)), mimetype="text/event-stream")
    # Not in the generator: a generator that never begins would not free the place.
    response.call_on_close(opened.close)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy that buffers output would delay the board
    return response


def _has_closed(client: socket.socket | None) -> bool:
    """Return whether the client has closed its end, also where it sent something before that nobody reads."""
    if client is None:
        return False
    poll = select.poll()  # not select.select, which refuses descriptors from 1024 on
    poll.register(client, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))


def board() -> Response:
    """Return the whole board at this address, or 304 if the page has it already."""
    person_id = viewer().person_id
    with transaction() as connection:
        parts = boards.parts_of(connection, request.args, person_id)
        snapshot = boards.read(connection, parts)
        you = boards.read_you(connection, [person_id], snapshot.now)[person_id] if person_id else boards.You()
    made = boards.one_board(current_app, snapshot if person_id else snapshot.public(), parts)
    data: dict[str, object] = {"order": made.order, "html": {block.key: block.html for block in made.blocks}}
    if person_id:
        data["you"] = boards.render_you(current_app, you)
    response = Response(json.dumps(data), mimetype="application/json")
    versions = json.dumps([made.order, data.get("you")]).encode()
    response.set_etag(hashlib.sha256(versions).hexdigest()[:16])
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response
