"""A small app around the blueprint, for development and demonstration: every visitor chooses who they are.

It must never be public. So it answers only requests from its own machine, refuses to run on the platform, and each
process makes a secret key of its own.
"""

import ipaddress
import re
import secrets
from collections.abc import Collection, Mapping
from typing import Any

from flask import Blueprint, Flask, abort, redirect, render_template, request, session, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from core.db import configured_url, create_engine
from core.errors import DatabaseUnavailable
from core.ids import is_id
from core.settings import load_settings
from core.store.views import pages
from web.blueprint import create_blueprint, no_page
from web.host import notice
from web.settings import MOST_BYTES

PERSON, ORGANISER = "person_id", "organiser"
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
LONGEST_NAME = 80
MOST_PEOPLE = 200


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app; `config` may have DATABASE_URL and SECRET_KEY. Raises `DatabaseUnavailable` without a database."""
    settings = load_settings()
    if settings.render:
        raise DatabaseUnavailable(
            "in the demonstration app every visitor can choose to be anybody, so it does not run on Render: "
            "mount the blueprint in your app"
        )
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY=secrets.token_hex(32),
        MAX_CONTENT_LENGTH=MOST_BYTES,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_NAME="seisiun_demo",
        TRUSTED_HOSTS=LOOPBACK,  # another site could have a name that resolves to 127.0.0.1
    )
    app.config.from_mapping(config or {})
    url = app.config.get("DATABASE_URL") or configured_url(settings)
    if not url:
        raise DatabaseUnavailable(
            "DATABASE_URL is not set, nor are PGHOST and PGDATABASE; `make run` sets it for the demonstration"
        )
    engine = create_engine(url, pool_size=10, application_name="seisiun demo pages")
    app.before_request(_refuse_strangers)
    seisiun = create_blueprint(
        engine, _current_person, lambda _: _organised(engine), may_operate=lambda _: bool(session.get(ORGANISER))
    )
    _add_picker(seisiun, engine)
    app.register_blueprint(seisiun)
    return app


def _refuse_strangers() -> None:
    if not ipaddress.ip_address(request.remote_addr or "0.0.0.0").is_loopback:  # noqa: S104 -- compared, not bound
        abort(403, "This app answers only requests from the machine that it runs on.")


def _current_person() -> int | None:
    return session.get(PERSON)


def _organised(engine: Engine) -> Collection[int]:
    if not session.get(ORGANISER):
        return ()
    with engine.connect() as connection:
        return pages.session_ids(connection)


def _add_picker(blueprint: Blueprint, engine: Engine) -> None:
    """Add the page where visitors choose who they are: the only difference from a real host."""

    def page() -> str:
        with engine.connect() as connection:
            people = pages.people_named(connection, "", MOST_PEOPLE)
        return render_template("seisiun/who.html", people=people, is_organiser=bool(session.get(ORGANISER)))

    def pick() -> Response:
        chosen = request.form.get("person_id", "")
        if chosen == "new":
            _become(_new_person(engine))
        elif chosen:
            _become(_person(engine, chosen))
        else:
            session.pop(PERSON, None)
            notice("You are signed out.")
        session[ORGANISER] = "organiser" in request.form
        return redirect(_back() if chosen else url_for(".now"), 303)

    blueprint.add_url_rule("/<path:unknown>", "no_page", no_page, methods=["GET"])
    blueprint.add_url_rule("/who", "who", page, methods=["GET"])
    blueprint.add_url_rule("/who", "pick", pick, methods=["POST"])


def _back() -> str:
    """Return the page to come back to: a path of this app, never another site's address."""
    back = request.args.get("next", "")
    return back if re.fullmatch(r"/(?:[^/\\\s]\S*)?", back) else url_for(".now")


def _become(person: pages.PersonRow) -> None:
    session[PERSON] = person.person_id
    notice(f"You are {' '.join(filter(None, (person.first_name, person.last_name)))}.")


def _person(engine: Engine, text: str) -> pages.PersonRow:
    with engine.connect() as connection:
        return (pages.person(connection, int(text)) if is_id(text) else None) or abort(404, "There is no such person.")


def _new_person(engine: Engine) -> pages.PersonRow:
    first, last = (request.form.get(name, "").strip() for name in ("first_name", "last_name"))
    if not first or max(len(first), len(last)) > LONGEST_NAME:
        abort(400, f"Give a first name. The first and the last name may each have at most {LONGEST_NAME} characters.")
    with engine.begin() as connection:
        person_id = pages.insert_person(connection, first, last or None)
    return pages.PersonRow(person_id, first, last or None)
