"""Now: what is on, by country and town, and what opens next."""

from flask import abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from core.errors import UnknownTimeZone
from core.timezones import require_zone, zone_names
from web import me
from web.board import Renderer, read, render_you, renderer
from web.host import ZONE_COOKIE, transaction, viewer
from web.settings import POLL_SECONDS

A_YEAR_SECONDS = 365 * 24 * 3600


def page() -> str:
    """Show the board as it is now; a stream keeps it up to date."""
    with transaction() as connection:
        snapshot = read(connection)
        person_id = viewer().person_id
        ahead = me.ahead(connection, person_id, snapshot.now) if person_id else []
    board = Renderer(renderer(current_app)).board(snapshot if person_id else snapshot.public(), "page")
    you = render_you(current_app, board.at.get(person_id)) if person_id else ""
    return render_template(
        "seisiun/now.html", board=board, you=you, cancelled=me.cancelled(ahead), poll_seconds=POLL_SECONDS
    )


def front() -> BaseResponse:
    """Add the slash to the blueprint's prefix: Flask itself would redirect to an address with the request's Host."""
    return redirect(url_for(".now"), 308)


def zone_page() -> str:
    """Let viewers choose their own time zone; in most browsers our script has set it already."""
    return render_template("seisiun/zone.html", zones=zone_names())


def keep_zone() -> BaseResponse:
    """Remember the viewer's own time zone, or forget it; it is only in a cookie."""
    chosen = request.form.get("zone", "")
    response: BaseResponse = redirect(url_for(".now"), 303)
    if not chosen:
        response.delete_cookie(ZONE_COOKIE)
        return response
    try:
        zone = require_zone(chosen)
    except UnknownTimeZone as error:
        abort(400, str(error))
    response.set_cookie(ZONE_COOKIE, zone, max_age=A_YEAR_SECONDS, samesite="Lax", secure=request.is_secure)
    return response
