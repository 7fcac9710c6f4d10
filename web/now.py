"""Now: what is on, in the viewer's own town and by country, and what opens next."""

from flask import abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from core.errors import UnknownTimeZone
from core.store.views.places import Town
from core.timezones import require_zone, zone_names
from web import words
from web.board import You, one_board, parts_of, read, read_you, render_you
from web.host import ZONE_COOKIE, transaction, viewer
from web.settings import POLL_SECONDS

A_YEAR_SECONDS = 365 * 24 * 3600


def page() -> str:
    """Show the board of everywhere, or of the country that the address names; a stream keeps it up to date."""
    person_id = viewer().person_id
    with transaction() as connection:
        parts = parts_of(connection, request.args, person_id)
        snapshot = read(connection, parts)
        you = read_you(connection, [person_id], snapshot.now)[person_id] if person_id else You()
    return render_template(
        "seisiun/now.html",
        board=one_board(current_app, snapshot if person_id else snapshot.public(), parts),
        you=render_you(current_app, you),
        country=parts[0].country,
        area=words.town_query(Town(None, None, parts[0].country)),
        poll_seconds=POLL_SECONDS,
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
    try:
        zone = require_zone(chosen) if chosen else ""  # an empty cookie stays: the script sets one that is missing
    except UnknownTimeZone as error:
        abort(400, str(error))
    response.set_cookie(ZONE_COOKIE, zone, max_age=A_YEAR_SECONDS, samesite="Lax", secure=request.is_secure)
    return response
