"""The live board: a stream of Server-Sent Events and, for a page that was refused one, the same to be asked for."""

import hashlib
import json

from flask import Response, current_app, request

from web import board as boards
from web.host import host, transaction, viewer
from web.hub import Full
from web.settings import POLL_SECONDS, SEND_SECONDS


def stream() -> Response:
    """Open a stream; `only`: the name of a town's block, to be told when that changes. 503 where there is no room."""
    only = request.args.get("only")
    try:
        opened = host().hub.join(person_id=viewer().person_id, only=only)
    except Full:
        return Response("too many streams are open\n", 503, {"Retry-After": str(POLL_SECONDS)}, mimetype="text/plain")
    # A client that reads no more would hold a thread until TCP gives up on it. Other servers have no such key.
    if (connection := request.environ.get("gunicorn.socket")) is not None:
        connection.settimeout(SEND_SECONDS)
    response = Response(opened.messages(), mimetype="text/event-stream")
    # Not in the generator: one that was never begun would not free the place.
    response.call_on_close(opened.close)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy that gathers output would hold the board back
    return response


def board() -> Response:
    """Return the whole board, or 304 where the page has it already."""
    with transaction() as connection:
        snapshot = boards.read(connection)
    person_id = viewer().person_id
    made = boards.Renderer(boards.renderer(current_app)).board(snapshot if person_id else snapshot.public(), "page")
    data: dict[str, object] = {"order": made.order, "html": {block.key: block.html for block in made.blocks}}
    if person_id:
        data["you"] = boards.render_you(current_app, made.at.get(person_id))
    response = Response(json.dumps(data), mimetype="application/json")
    versions = json.dumps([made.order, data.get("you")]).encode()
    response.set_etag(hashlib.sha256(versions).hexdigest()[:16])
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response
