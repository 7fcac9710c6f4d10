"""What is refused, and that nothing is written then."""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from pydantic import SecretStr

from core.errors import DatabaseUnavailable
from core.settings import Settings
from tests import data
from tests.web.site import Browser, World
from web import create_app

Open = Callable[[], Browser]

SCRIPT = "<script>alert(1)</script>"
HUGE = 9223372036854775808  # one more than any id


def unchanged(app: Connection) -> object:
    """Return everything that anybody may write."""
    return [
        data.execute(app, f"SELECT to_jsonb(t) FROM {table} t ORDER BY 1")
        for table in ("session", "session_instance", "person", "session_instance_person")
    ]


def writes(world: World) -> dict[str, dict[str, object]]:
    """Return every address that writes, with what it takes."""
    return {
        f"/instances/{world.muellers_now}/say": {"attendance": "yes"},
        f"/instances/{world.muellers_now}/leave": {},
        f"/instances/{world.muellers_now}/people": {"attendance": "yes", "person_id": world.noirin},
        f"/instances/{world.muellers_now}/cancel": {},
        f"/instances/{world.muellers_now}/restore": {},
        f"/sessions/{world.muellers}/dates": {"attendance": "yes", "start": "2026-11-26T19:00"},
        f"/sessions/{world.muellers}/dates/cancel": {"start": "2026-11-26T19:00"},
        f"/sessions/{world.muellers}/edit": {"do": "save"},
    }


def test_a_visitor_who_is_not_signed_in_writes_nothing(world: World, app: Connection, browser: Open) -> None:
    before = unchanged(app)
    for path, fields in writes(world).items():
        assert "Sign in first" in browser().post(path, 403, **fields)
    assert "Sign in first" in browser().get(f"/sessions/{world.muellers}/edit", 403)

    assert unchanged(app) == before


def test_a_person_who_does_not_organise_edits_nothing_and_answers_for_nobody_else(
    world: World, app: Connection, browser: Open
) -> None:
    before = unchanged(app)
    visitor = browser().be(world.sean)
    for path, fields in writes(world).items():
        if not path.endswith(("/say", "/leave", "/dates")):
            assert "Only this session&#39;s organisers" in visitor.post(path, 403, **fields)
    visitor.get(f"/sessions/{world.muellers}/edit", 403)

    assert unchanged(app) == before
    assert "For organisers" not in visitor.get(f"/instances/{world.muellers_now}?who=n")


def test_a_form_without_its_token_or_with_anothers(world: World, app: Connection, pages: Flask) -> None:
    before = unchanged(app)
    visitor = Browser(pages).be(world.organiser, organiser=True)
    stolen = Browser(pages).token()
    for path, fields in writes(world).items():
        for token in ({}, {"csrf_token": ""}, {"csrf_token": "made-up"}, {"csrf_token": stolen}):
            answer = visitor.client.post(path, data=fields | token)
            assert answer.status_code == 400, path
            assert "CSRF" in answer.text
    assert visitor.client.post("/who", data={"person_id": world.sean}).status_code == 400
    assert visitor.client.post("/zone", data={"zone": "UTC"}).status_code == 400

    assert unchanged(app) == before


def test_script_in_a_name_or_a_comment_is_text(world: World, app: Connection, browser: Open) -> None:
    data.execute(app, "UPDATE person SET first_name = %s", SCRIPT)
    data.execute(app, "UPDATE session SET name = %s, city = %s", SCRIPT, '"><img src=x>')
    data.execute(app, "UPDATE session_instance SET comments = %s, location_override = %s", SCRIPT, SCRIPT)
    visitor = browser().be(world.noirin, organiser=True)
    page = visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes", comment=SCRIPT)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    pages_of_it = ("/", "/who", f"/sessions/{world.muellers}", f"/sessions/{world.muellers}/edit")
    for shown in (page, *map(visitor.get, pages_of_it), visitor.get(f"/instances/{world.muellers_now}?who={SCRIPT}")):
        assert "<script>alert" not in shown
        assert "<img src=x>" not in shown
    assert "<img src=x>" not in "".join(json.loads(visitor.get("/board"))["html"].values())


def test_an_id_that_is_none(world: World, browser: Open) -> None:
    visitor = browser().be(world.organiser, organiser=True)
    for bad in ("0", "999999", str(HUGE), "1e3", "-1", "1;DROP", "%00", "x"):
        gets = ("instances/{}", "instances/{}/cancel", "sessions/{}", "sessions/{}/edit", "sessions/{}.ics")
        for path in (f"/{address.format(bad)}" for address in gets):
            visitor.get(path, 404)
        for path in (
            f"/instances/{bad}/say",
            f"/instances/{bad}/leave",
            f"/instances/{bad}/people",
            f"/instances/{bad}/restore",
        ):
            visitor.post(path, 404, attendance="yes", person_id=world.noirin)
        visitor.post(f"/instances/{world.muellers_now}/people", 404, attendance="yes", person_id=bad)
        visitor.post("/who", 404, person_id=bad)


def test_a_body_of_a_megabyte(world: World, app: Connection, pages: Flask) -> None:
    before = unchanged(app)
    visitor = Browser(pages).be(world.organiser, organiser=True)
    much = "x" * 1_000_000
    for path, fields in writes(world).items():
        answer = visitor.client.post(path, data=fields | {"csrf_token": visitor.token(), "comment": much})
        assert answer.status_code == 413, path
    parts = "multipart/form-data; boundary=part"
    path = f"/instances/{world.muellers_now}/say"
    assert visitor.client.post(path, data=much, content_type=parts).status_code == 413
    assert visitor.client.get("/", data=much).status_code == 413

    assert unchanged(app) == before


def test_what_nobody_may_say(world: World, app: Connection, browser: Open) -> None:
    before = unchanged(app)
    visitor = browser().be(world.noirin)
    for fields in (
        {"attendance": "perhaps"},
        {"attendance": ""},
        {},
        {"attendance": "yes", "comment": "x" * 301},
        {"attendance": "yes", "comment": "a\0b"},
    ):
        visitor.post(f"/instances/{world.muellers_now}/say", 400, **fields)

    assert unchanged(app) == before


def test_a_question_that_is_no_text(world: World, browser: Open) -> None:
    browser().be(world.organiser, organiser=True).get(f"/instances/{world.muellers_now}?who=%00", 400)


def test_other_methods(world: World, pages: Flask) -> None:
    client = Browser(pages).client
    assert client.get(f"/instances/{world.muellers_now}/restore").status_code == 404, "a page of words"
    assert client.delete(f"/sessions/{world.muellers}").status_code == 405


def test_the_policy_is_strict_and_on_every_answer(world: World, pages: Flask) -> None:
    client = Browser(pages).client
    for path in ("/", f"/instances/{world.muellers_now}", "/instances/999", "/healthz", "/seisiun-static/seisiun.js"):
        with client.get(path) as answer:
            headers = answer.headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = client.get(f"/instances/{world.muellers_now}")
    assert page.headers["Cache-Control"] == "private, no-store"
    assert "style=" not in page.text
    assert " onclick" not in page.text


def test_the_demonstration_is_for_this_machine_only(pages: Flask) -> None:
    client = pages.test_client()
    assert client.get("/", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 403
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", environ_base={"REMOTE_ADDR": "::1"}).status_code == 200


def test_the_demonstration_refuses_to_run_on_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "web.app.load_settings", lambda: Settings(render=True, database_url=SecretStr("postgresql://x"))
    )
    with pytest.raises(DatabaseUnavailable, match="mount the blueprint"):
        create_app()


def test_no_database_and_no_secret_of_everybodys(monkeypatch: pytest.MonkeyPatch, pages: Flask) -> None:
    monkeypatch.setattr("web.app.load_settings", lambda: Settings(render=False, database_url=None))
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL is not set"):
        create_app()
    other = create_app({"DATABASE_URL": pages.config["DATABASE_URL"]})
    assert other.secret_key != pages.secret_key
    assert len(str(other.secret_key)) == 64


def test_being_somebody_new(app: Connection, browser: Open) -> None:
    visitor = browser()
    assert "You are Fiach." in visitor.post("/who", person_id="new", first_name=" Fiach ")
    assert "You are signed out." in visitor.post("/who", person_id="")
    visitor.post("/who", 400, person_id="new", first_name=" ")
    visitor.post("/who", 400, person_id="new", first_name="x" * 81)

    assert data.execute(app, "SELECT first_name, last_name FROM person") == [("Fiach", None)]


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("/sessions?q=mue&day=", "/sessions?q=mue&day="),
        ("/", "/"),
        ("", "/"),
        ("//example.org", "/"),
        ("/\\example.org", "/"),
        ("/\t/example.org", "/"),
        ("https://example.org/", "/"),
        ("sessions", "/"),
    ],
)
def test_w9_who_has_chosen_who_they_are_comes_back_and_to_no_other_site(
    world: World, browser: Open, back: str, leads_to: str
) -> None:
    visitor, path = browser(), f"/who?{urlencode({'next': back})}"

    assert visitor.send(path, person_id=world.sean).location == leads_to
    assert visitor.send(path, person_id="").location == "/"
