"""An app that mounts the pages, as the README says."""

import re
from typing import Any

import pytest
from flask import Flask, session
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import check_in
from core.db import create_engine, normalise_url
from tests.distribution import readme
from tests.web.site import Browser, World, make_world
from web import create_blueprint, drain


@pytest.fixture
def host(app: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Flask:
    make_world(app, database_url)
    monkeypatch.setenv("DATABASE_URL", normalise_url(database_url))
    monkeypatch.setenv("SECRET_KEY", "the host's own")
    names: dict[str, Any] = {"__name__": "host"}
    exec(compile(readme.pages(), str(readme.README), "exec"), names)
    host = names["app"]
    assert isinstance(host, Flask)

    @host.get("/")
    def front() -> str:
        return "the host's own page"

    @host.get("/sign-in/<int:person_id>")
    def sign_in(person_id: int) -> str:
        session["person_id"] = person_id
        return ""

    return host


class Guest(Browser):
    def token(self, path: str = "/now/zone") -> str:
        return super().token(path)


def test_the_readmes_app_serves_the_pages_under_its_prefix(host: Flask, app: Connection) -> None:
    check_in(app, 2, 1, "yes")
    guest = Guest(host)
    assert "Mueller" in guest.get("/now/")
    assert "Seán" not in guest.get("/now/")
    assert 'data-root="/now/"' in guest.get("/now/")
    assert 'href="/now/seisiun-static/seisiun.css"' in guest.get("/now/")
    with guest.client.get("/now/seisiun-static/seisiun.css") as style:
        assert style.status_code == 200

    guest.get("/sign-in/1")
    assert "Seán" in guest.get("/now/")
    assert "You&#39;re here" in guest.post("/now/instances/1/say", attendance="yes")
    guest.get("/now/who", 404)  # the host says who one is


def test_who_organises_is_for_the_host_to_say(host: Flask) -> None:
    guest = Guest(host)
    guest.get("/sign-in/1")

    assert "For organisers" not in guest.get("/now/instances/1")
    guest.post("/now/instances/1/cancel", 403)


def test_the_hosts_own_pages_keep_their_own_headers_and_limits(host: Flask) -> None:
    answer = host.test_client().get("/")

    assert "Content-Security-Policy" not in answer.headers
    assert host.config["MAX_CONTENT_LENGTH"] is None


def test_a_person_that_the_host_knows_and_the_database_does_not(host: Flask) -> None:
    guest = Guest(host)
    guest.get("/sign-in/999")

    assert "Sign in to say" in guest.get("/now/instances/1")
    guest.post("/now/instances/1/say", 403, attendance="yes")


def test_behind_a_proxy_that_takes_a_prefix_away(host: Flask) -> None:
    page = host.test_client().get("/now/", environ_overrides={"SCRIPT_NAME": "/tunes"}).text

    assert 'data-root="/tunes/now/"' in page


def test_an_app_without_a_secret_is_told_so(database_url: str) -> None:
    blueprint = create_blueprint(normalise_url(database_url), lambda: None, lambda _: ())
    with pytest.raises(RuntimeError, match="SECRET_KEY"):
        Flask("host").register_blueprint(blueprint)


def test_with_the_hosts_own_engine(world: World, database_url: str) -> None:
    engine = create_engine(database_url)
    host = Flask("host")
    host.secret_key = "the host's own"
    host.register_blueprint(create_blueprint(engine, lambda: world.sean, lambda _: [world.muellers]))
    guest = Browser(host)

    assert "For organisers" in guest.get(f"/instances/{world.muellers_now}")
    assert "For organisers" not in guest.get(f"/instances/{world.donns_now}")
    drain()
    engine.dispose()


@pytest.mark.parametrize(
    ("sign_in_url", "shown"),
    [
        ("/sign-in?next=/now", '<a href="/sign-in?next=/now">Sign in</a> to say'),
        ("/sign-in", '<a href="/sign-in?next=%2Finstances%2F1">Sign in</a> to say'),
        ("/sign-in?of=us", '<a href="/sign-in?of=us&amp;next=%2Finstances%2F1">Sign in</a> to say'),
        (None, ">Sign in to say"),
    ],
)
def test_who_is_not_signed_in_is_shown_the_way_to_the_hosts_own_sign_in(
    world: World, database_url: str, sign_in_url: str | None, shown: str
) -> None:
    host = Flask(__name__)
    host.config["SECRET_KEY"] = "known to the tests alone"
    pages = create_blueprint(normalise_url(database_url), lambda: None, lambda _: (), sign_in_url=sign_in_url)
    host.register_blueprint(pages)

    page = host.test_client().get(f"/instances/{world.muellers_now}").text

    assert shown in page
    assert page.count("/sign-in?") == (2 if sign_in_url else 0)
    sent = host.test_client().post(f"/instances/{world.muellers_now}/say").text
    assert "say" not in "".join(re.findall('href="(/sign-in[^"]*)"', sent)), "it leads back to no form"
    assert "None" not in sent
    drain()
