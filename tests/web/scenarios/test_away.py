"""The pages while their database is away, and with what no page should have to show."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from flask import Flask
from icalendar import Calendar, vText
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from werkzeug.datastructures import Headers

from core.active_session_manager import check_in
from core.db import normalise_url
from tests import data
from tests.postgres import Server
from tests.web.site import Browser, World, make_world
from web import create_app, create_blueprint, drain

Open = Callable[[], Browser]
FAR = ("10000-01-01", "4713-01-01 BC", "infinity", "-infinity", "9999-12-31", "0001-01-01")
WICKED = "Tunes;\r\nX-EVIL:1,\\\rBEGIN:VEVENT\n\x07\x0b" + "é" * 80


@pytest.fixture
def away(server: Server) -> Iterator[Flask]:
    """The pages, of a database that is gone."""
    with server.database(server.migrated) as url:
        app = create_app({"DATABASE_URL": url, "SESSION_COOKIE_NAME": "session"})
    yield app
    drain()


@pytest.fixture(params=["nobody", "signed in"])
def visitor(away: Flask, request: pytest.FixtureRequest) -> Browser:
    browser = Browser(away)
    with browser.client.session_transaction() as cookie:
        cookie.update({"person_id": 1, "organiser": True} if request.param == "signed in" else {})
    return browser


PAGES = ("/", "/instances/1", "/sessions/1", "/sessions/1/edit", "/sessions/1.ics", "/who")


def test_every_address_says_503_while_the_database_is_away(visitor: Browser, caplog: pytest.LogCaptureFixture) -> None:
    for path in PAGES:
        answer = visitor.client.get(path)
        assert (answer.status_code, path) == (503, path)
        assert "The database does not answer." in answer.text
        assert "<title>One moment" in answer.text, "in the looks of a page"
        assert_safe(answer.headers)
    for path, mimetype in (("/board", "application/json"), ("/metrics", "text/plain"), ("/stream", "text/plain")):
        answer = visitor.client.get(path)
        assert (answer.status_code, answer.mimetype) == (503, mimetype), path
        assert_safe(answer.headers)
    assert visitor.client.get("/board").get_json() == {"error": "The database does not answer."}
    assert "unavailable endpoint=seisiun.board" in caplog.text


def assert_safe(found: Headers) -> None:
    assert found["Content-Security-Policy"].startswith("default-src 'none'")
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Cache-Control"] == "private, no-store"
    assert found["Retry-After"] == "15"


def test_a_refusal_is_a_page_while_the_database_is_away(visitor: Browser) -> None:
    for path in ("/instances/1/say", "/instances/1/cancel", "/sessions/1/edit", "/zone"):
        answer = visitor.client.post(path)
        assert answer.status_code == 400, path
        assert "CSRF" in answer.text
        assert "seisiun.css" in answer.text, "in the looks of a page"


def test_who_is_not_signed_in_chooses_a_zone_without_the_database(away: Flask) -> None:
    assert "Europe/Dublin" in Browser(away).get("/zone")


# What the database may hold


@pytest.mark.parametrize("far", FAR)
def test_dates_beyond_pythons_calendar_are_a_page(world: World, app: Connection, browser: Open, far: str) -> None:
    check_in(app, world.noirin, world.muellers_now, "yes")
    at_the_end = data.add_instance(app, world.muellers, far, "23:30", "01:00")
    without_hours = data.add_instance(app, world.muellers, far)
    data.change_session(app, world.muellers, initiation_date=far)
    data.change_session(app, world.donns, termination_date=far)
    data.execute(app, "UPDATE session_instance_person SET checked_in_at = %s, created_date = %s", far, far)
    data.execute(app, "INSERT INTO skipped_occurrence SELECT session_id, %s FROM session", far)
    data.execute(app, "UPDATE activation_window SET closes_at = 'infinity' WHERE phase = 'open'")
    visitor = browser().be(world.noirin, organiser=True)

    for session in (world.muellers, world.donns):
        for path in (f"/sessions/{session}", f"/sessions/{session}/edit", f"/sessions/{session}.ics"):
            visitor.get(path)
    for instance in (world.muellers_now, at_the_end, without_hours):
        visitor.get(f"/instances/{instance}")
        visitor.post(f"/instances/{instance}/say", attendance="yes")
    for path in ("/", "/board", "/metrics"):
        visitor.get(path)


def test_pages_on_a_hosts_own_engine_read_values_as_ours_do(world: World, app: Connection, database_url: str) -> None:
    """psycopg2 itself cannot read the year 10000, and reads 24:00 as 0:00."""
    all_day = data.add_instance(app, world.muellers, "2026-12-01", "00:00", "24:00")
    data.execute(app, "UPDATE activation_window SET closes_at = '10000-01-01' WHERE phase = 'open'")
    engine = sqlalchemy.create_engine(normalise_url(database_url))
    host = Flask(__name__)
    host.config["SECRET_KEY"] = "the host's own"
    host.register_blueprint(create_blueprint(engine, current_person=lambda: None, organises=lambda _: ()))
    visitor = Browser(host)

    assert "midnight–midnight" in visitor.get(f"/instances/{all_day}")
    for path in (f"/instances/{world.muellers_now}", f"/sessions/{world.muellers}", "/board"):
        visitor.get(path)
    drain()
    engine.dispose()


def test_what_is_in_a_name_stays_in_it(world: World, app: Connection, browser: Open) -> None:
    data.change_session(app, world.muellers, name=WICKED, city=WICKED)
    data.change_instance(app, world.muellers_now, comments=WICKED, location_override=WICKED)
    visitor = browser().be(world.organiser, organiser=True)
    for path in ("/", "/board", f"/sessions/{world.muellers}", f"/sessions/{world.muellers}/edit"):
        visitor.get(path)
    answer = visitor.client.get(f"/sessions/{world.muellers}.ics")

    assert answer.status_code == 200
    lines = answer.get_data().split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert not [byte for line in lines for byte in line if byte < 32]
    calendar = Calendar.from_ical(answer.text)
    clean = "Tunes;\nX-EVIL:1,\\\nBEGIN:VEVENT\n\n" + "é" * 80
    assert str(calendar["x-wr-calname"]) == vText(clean).to_ical().decode(), "the reader leaves it escaped"
    assert "X-EVIL" not in calendar
    [event] = calendar.walk("VEVENT")
    assert {str(event[name]) for name in ("summary", "location", "description")} == {clean}


# The Host header is the client's word

EVIL = {"Host": "attacker.example", "X-Forwarded-Host": "attacker.example", "Forwarded": "host=attacker.example"}


def host(database_url: str, **options: str) -> Flask:
    app = Flask("host")
    app.secret_key = "the host's own"
    pages = create_blueprint(normalise_url(database_url), lambda: 1, lambda _: [1, 2, 3], **options)  # type: ignore[arg-type]
    app.register_blueprint(pages, url_prefix="/now")
    return app


@pytest.mark.parametrize(
    ("options", "uid", "url"),
    [
        ({}, "@seisiun", None),
        ({"site_url": "https://tunes.example/"}, "@tunes.example", "https://tunes.example/now/instances/"),
    ],
    ids=["no site_url", "site_url"],
)
def test_an_evil_host_header_changes_no_url(
    app: Connection, database_url: str, options: dict[str, str], uid: str, url: str | None
) -> None:
    world = make_world(app, database_url)
    client = host(database_url, **options).test_client()
    paths = ("/now/", "/now/board", f"/now/sessions/{world.muellers}", f"/now/instances/{world.muellers_now}")
    for path in (*paths, f"/now/sessions/{world.muellers}.ics", f"/now/sessions/{world.muellers}/edit"):
        assert "attacker" not in client.get(path, headers=EVIL).text
        assert "attacker" not in str(client.get(path, headers=EVIL).headers)
    for path in ("//now", "/now//", f"/now//sessions/{world.muellers}", "/now/seisiun-static//seisiun.css"):
        doubled = client.get(path, headers=EVIL)
        assert (doubled.status_code, "attacker" in str(doubled.headers)) == (404, False), path
    moved = client.get("/now", headers=EVIL)
    assert (moved.status_code, "attacker" in str(moved.headers)) == (308, False)
    [event] = Calendar.from_ical(client.get(f"/now/sessions/{world.muellers}.ics").text).walk("VEVENT")
    assert str(event["uid"]).endswith(uid)
    assert (str(event["url"]) if "url" in event else None) == (url and f"{url}{world.muellers_now}")
    drain()


@pytest.mark.parametrize(
    "wrong",
    ["tunes.example", "ftp://tunes.example", "https://", "https://tunes.example/now", "https://tunes.example?a=b"],
)
def test_a_site_url_that_is_none(database_url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="accepted is a scheme and a host"):
        host(database_url, site_url=wrong)
