"""The blueprint: one table of all addresses, and the rules for every request to them.

The pages do not rely on a policy of the host app, and do not change it: the limits, the headers and the CSRF check
apply to these addresses only.
"""

import json
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, g, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_wtf.csrf import generate_csrf, validate_csrf
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from werkzeug.exceptions import HTTPException
from wtforms import ValidationError

from core.db import create_engine
from core.db.transactions import is_disconnected, joined, require_psycopg2
from core.errors import SeisiunError, SessionBusy
from core.logs import logger
from web import (
    attendance,
    board,
    calendar,
    cancelling,
    changing,
    edit,
    health,
    instances,
    me,
    metrics,
    now,
    operators,
    search,
    sessions,
    stream,
    words,
)
from web.host import EXTENSION, CurrentPerson, Host, MayOperate, Organises, host, nobody, notices, viewer
from web.hub import Boards, Hub, Shows
from web.settings import MOST_BYTES, MOST_STREAMS, MOST_STREAMS_OF_ADDRESS, POLL_SECONDS, RESPONSE_TIMEOUT_SECONDS

log = logger(__name__)


def no_page(**_: str) -> Response:
    """Answer 404 in words, for an address that is below ours and that no page has."""
    abort(404, "There is no such page. Perhaps a part of the address is missing.")


LARGEST_ID = 2**63 - 1
SESSION, INSTANCE = "<int:session_id>", "<int:session_instance_id>"
READ, WRITE = ["GET"], ["POST"]

ADDRESSES: tuple[tuple[str, str, Callable[..., Any], list[str]], ...] = (
    ("/", "now", now.page, READ),
    ("/board", "board", stream.board, READ),
    ("/stream", "stream", stream.stream, READ),
    ("/zone", "choose_zone", now.zone_page, READ),
    ("/zone", "keep_zone", now.keep_zone, WRITE),
    ("/me", "me", me.page, READ),
    ("/sessions", "sessions", search.page, READ),
    ("/sessions.ics", "town_calendar", calendar.town_feed, READ),
    (f"/instances/{INSTANCE}", "instance", instances.page, READ),
    (f"/instances/{INSTANCE}/say", "say", instances.say, WRITE),
    (f"/instances/{INSTANCE}/leave", "leave", instances.go, WRITE),
    (f"/instances/{INSTANCE}/people", "say_for", instances.say_for, WRITE),
    (f"/instances/{INSTANCE}/cancel", "ask_cancel", cancelling.ask, READ),
    (f"/instances/{INSTANCE}/cancel", "cancel", cancelling.cancel, WRITE),
    (f"/instances/{INSTANCE}/change", "change_form", changing.page, READ),
    (f"/instances/{INSTANCE}/change", "change", changing.change, WRITE),
    (f"/instances/{INSTANCE}/keep", "keep", changing.keep, WRITE),
    (f"/instances/{INSTANCE}/restore", "restore", cancelling.restore, WRITE),
    (f"/sessions/{SESSION}", "session", sessions.page, READ),
    (f"/sessions/{SESSION}/dates", "say_early", sessions.say_early, WRITE),
    (f"/sessions/{SESSION}/dates/cancel", "ask_cancel_early", cancelling.ask_early, READ),
    (f"/sessions/{SESSION}/dates/cancel", "cancel_early", cancelling.cancel_early, WRITE),
    (f"/sessions/{SESSION}/dates/change", "change_early_form", changing.page_early, READ),
    (f"/sessions/{SESSION}/dates/change", "change_early", changing.change_early, WRITE),
    (f"/sessions/{SESSION}/dates/add", "add_form", changing.page_new, READ),
    (f"/sessions/{SESSION}/dates/add", "add", changing.add, WRITE),
    (f"/sessions/{SESSION}/past", "past", attendance.page, READ),
    (f"/sessions/{SESSION}/past.csv", "attendance_table", attendance.table, READ),
    (f"/sessions/{SESSION}/edit", "edit", edit.page, READ),
    (f"/sessions/{SESSION}/edit", "save", edit.save, WRITE),
    (f"/sessions/{SESSION}.ics", "calendar", calendar.feed, READ),
    ("/operator", "operator", operators.page, READ),
    ("/operator/why", "why", operators.why, READ),
    ("/instances/<path:unknown>", "no_instance", no_page, READ + WRITE),
    ("/sessions/<path:unknown>", "no_session", no_page, READ + WRITE),
    ("/healthz", "healthz", health.healthz, READ),
    ("/metrics", "metrics", metrics.page, READ),
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
}


def create_blueprint(
    database: Engine | str,
    current_person: CurrentPerson,
    organises: Organises,
    *,
    most_streams: int = MOST_STREAMS,
    most_streams_of_address: int = MOST_STREAMS_OF_ADDRESS,
    site_url: str | None = None,
    sign_in_url: str | None = None,
    may_operate: MayOperate | None = None,
) -> Blueprint:
    """Make the blueprint that an app mounts.

    `database`: the app's engine, or the URL of a direct connection (a transaction-mode pooler delivers no NOTIFY).
    `current_person`: called in every request; returns the `person_id` of the person who is signed in, or None.
    `organises`: called with a `person_id`; returns the ids of the sessions that this person organises.

    `most_streams`: how many streams this process allows; each open page that keeps itself up to date holds one.
    `most_streams_of_address`: how many of them one client address may have open.
    `site_url`: where the public reaches the app, such as "https://example.org". A calendar feed links to its pages only
    if it is given: a request's Host header is the client's word. Raises ValueError if it is no such URL.
    `sign_in_url`: where the app signs people in, such as "/sign-in"; the pages link to it where one must be signed in,
    and add `next`, the path of the page to come back to, unless the address has a `next`.
    `may_operate`: called with a `person_id`; returns whether this person may see the page at /operator. None: nobody,
    and there is no such page.

    The app needs a SECRET_KEY, and threads: open streams may hold up to `most_streams` of them.
    """
    site_url = _checked(site_url)
    engine = database if isinstance(database, Engine) else _engine(database)
    require_psycopg2(engine.dialect)
    url = engine.url.render_as_string(hide_password=False)
    health_engine = create_engine(
        url, pool_size=1, application_name="seisiun health", response_timeout_seconds=RESPONSE_TIMEOUT_SECONDS
    )
    blueprint = Blueprint(
        EXTENSION, __name__, static_folder="static", template_folder="templates", static_url_path="/seisiun-static"
    )
    for rule, endpoint, view, methods in ADDRESSES:
        blueprint.add_url_rule(rule, endpoint, view, methods=methods)

    def mount(state: BlueprintSetupState) -> None:
        app = state.app
        assert isinstance(app, Flask)
        if not app.secret_key:
            raise RuntimeError("the people pages need the app's SECRET_KEY: set it before they are mounted")
        if state.url_prefix and not state.url_prefix.endswith("/"):
            state.add_url_rule("", "front", now.front, methods=READ)
        hub = Hub(
            url,
            _board_reader(app, engine),
            lambda you: board.render_you(app, you),
            most_streams=most_streams,
            most_of_address=most_streams_of_address,
        )
        app.extensions[EXTENSION] = Host(
            engine, health_engine, hub, current_person, organises, site_url, sign_in_url, may_operate
        )
        # Flask would redirect "//" to an address with the request's Host.
        for rule in app.url_map.iter_rules():
            if rule.endpoint.startswith(f"{state.name_prefix}.{state.name}.".lstrip(".")):
                rule.merge_slashes = False

    blueprint.record_once(mount)
    blueprint.before_request(_refuse)
    blueprint.after_request(_add_headers)
    blueprint.context_processor(_context)
    blueprint.register_error_handler(HTTPException, _refused)
    blueprint.register_error_handler(SessionBusy, _busy)
    blueprint.register_error_handler(DBAPIError, _away)
    blueprint.register_error_handler(NoConnectionFree, _away)
    blueprint.register_error_handler(SeisiunError, _cannot)
    return blueprint


def _checked(site_url: str | None) -> str | None:
    if site_url is None:
        return None
    parts = urlsplit(site_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"site_url is {site_url!r}; accepted is a scheme and a host, such as 'https://example.org'")
    return site_url.rstrip("/")


def _engine(url: str) -> Engine:
    return create_engine(
        url, pool_size=10, application_name="seisiun pages", response_timeout_seconds=RESPONSE_TIMEOUT_SECONDS
    )


def _board_reader(app: Flask, engine: Engine) -> Callable[[Collection[Shows]], Boards]:
    """Return a function that reads what pages show at the present moment, outside any request."""
    members, public = board.Renderer(board.renderer(app)), board.Renderer(board.renderer(app))

    def read(shown: Collection[Shows]) -> Boards:
        wanted = {shows.parts for shows in shown}
        people = {shows.person_id for shows in shown if shows.person_id is not None}
        session_ids = {shows.session_id for shows in shown if shows.session_id is not None}
        with engine.begin() as connection, joined(connection):
            snapshot = board.read(connection, {part for parts in wanted for part in parts})
            you = board.read_you(connection, people, snapshot.now)
            sessions_ = sessions.versions(connection, session_ids, snapshot.now)
        return Boards(members.boards(snapshot, wanted), public.boards(snapshot.public(), wanted), you, sessions_)

    return read


# What holds for every request


def _refuse() -> None:
    """Refuse a body that is too long, a form without our token, and text with a NUL, which PostgreSQL cannot store."""
    # Not <int(max=...)> in the addresses: for what is above it, Flask would answer with its own bare page.
    if any(isinstance(value, int) and value > LARGEST_ID for value in (request.view_args or {}).values()):
        no_page()
    request.max_content_length = MOST_BYTES
    request.max_form_memory_size = MOST_BYTES
    if (request.content_length or 0) > MOST_BYTES:
        abort(413, f"The form is too large. At most {MOST_BYTES // 1024} kB are accepted.")
    if request.method == "POST":
        _check_token()
    texts = [text for _, values in (*request.args.lists(), *request.form.lists()) for text in values]
    if any("\0" in text for text in texts):
        abort(400, "The text has a NUL character, which cannot be stored. Remove it and try again.")


def _check_token() -> None:
    field = current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token")
    try:
        validate_csrf(request.form.get(field))
    except ValidationError as error:
        abort(400, f"{error} Go back, load the page again and try once more.")


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _context() -> dict[str, object]:
    return {
        "words": words.FUNCTIONS,
        "viewer": viewer(),
        "csrf_token": generate_csrf,
        "notices": notices,
        "picker_url": _picker_url(),
        "sign_in_url": _sign_in_url(host().sign_in_url) or _picker_url(),
    }


def _picker_url() -> str | None:
    """Return the address of the page where visitors choose who they are; None outside the demonstration app."""
    who = f"{request.blueprint}.who"
    if who not in current_app.view_functions:
        return None
    return _own_address() if request.endpoint == who else url_for(".who", next=_own_address())


def _sign_in_url(url: str | None) -> str | None:
    """Return where the host app signs people in, with the page to come back to unless it names one itself."""
    back = _own_address()
    if url is None or back is None or "next=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'next': back})}"


def _own_address() -> str | None:
    """Return the address of this page, without its host; None for what a form has sent."""
    return request.script_root + request.full_path.rstrip("?") if request.method == "GET" else None


_TITLES = {400: "That did not work", 403: "Not allowed", 404: "Not found", 413: "Too much text"}


def _refused(error: HTTPException) -> tuple[str, int]:
    assert error.code is not None  # Flask hands on no redirect of its own, and no response that somebody raised
    shown = {"code": error.code, "name": _TITLES.get(error.code, error.name), "description": error.description}
    return _page_that_says(shown), error.code


def _page_that_says(error: object) -> str:
    """Return the page of an error; if the database does not say who the viewer is, as nobody sees it."""
    try:
        return render_template("seisiun/refused.html", error=error)
    except SQLAlchemyError:
        g.seisiun_viewer = nobody()
        return render_template("seisiun/refused.html", error=error)


_UNAVAILABLE = (OperationalError, InterfaceError, InternalError, NoConnectionFree)


def _away(error: SQLAlchemyError) -> Response:
    """Answer 503, to programs in the form that they read; an error that is a mistake of ours stays one."""
    if not isinstance(error, _UNAVAILABLE) and not is_disconnected(error):
        raise error
    log.warning("unavailable", endpoint=request.endpoint, error=str(error).strip().splitlines()[0])
    said = "The database does not answer."
    endpoint = (request.endpoint or "").rpartition(".")[2]
    if endpoint == "board":
        answer = Response(json.dumps({"error": said}) + "\n", 503, mimetype="application/json")
    elif endpoint in {"metrics", "stream"}:
        answer = Response(said + "\n", 503, mimetype="text/plain")
    else:
        g.seisiun_viewer = nobody()
        shown = {"code": 503, "name": "One moment", "description": f"{said} Wait a few seconds and try again."}
        answer = Response(_page_that_says(shown), 503)
    answer.headers["Retry-After"] = str(POLL_SECONDS)
    return answer


def _busy(_error: SessionBusy) -> Response:
    page = _page_that_says(
        {
            "code": 503,
            "name": "One moment",
            "description": "Somebody else is saving this session. Wait a few seconds and try again.",
        },
    )
    return Response(page, 503, {"Retry-After": "2"})


def _cannot(error: SeisiunError) -> tuple[str, int]:
    shown = {"code": 409, "name": "That cannot be done", "description": str(error)}
    return _page_that_says(shown), 409
