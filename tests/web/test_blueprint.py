"""What holds for every request to the pages: limits, tokens, what the host app is asked, and how errors look."""

from collections.abc import Callable, Iterator

import psycopg2
import pytest
import sqlalchemy
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.exc import DBAPIError, ProgrammingError

from core.db import normalise_url
from core.errors import UnsupportedDriver
from tests import data
from tests.web.site import Browser, World
from web import create_blueprint, drain
from web.blueprint import _away
from web.board import EVERYWHERE
from web.host import EXTENSION, notice
from web.hub import Shows
from web.settings import MOST_BYTES

Mount = Callable[..., Flask]


@pytest.fixture
def mount(world: World, database_url: str) -> Iterator[Mount]:
    """Mounts the pages in an app where Seán is signed in and organises Mueller's; it may state its own policies."""

    def mounted(prefix: str | None = None, engine: sqlalchemy.Engine | None = None, **config: object) -> Flask:
        app = Flask("host")
        app.config.from_mapping({"SECRET_KEY": "the host's own", "TESTING": True} | config)
        database = engine or normalise_url(database_url)
        pages = create_blueprint(database, lambda: world.sean, lambda _: [world.muellers])
        app.register_blueprint(pages, url_prefix=prefix)
        return app

    yield mounted
    drain()


@pytest.mark.parametrize("prefix", ["/now", "/now/"])
def test_the_front_page_is_at_the_prefix_with_a_slash(mount: Mount, prefix: str) -> None:
    client = mount(prefix).test_client()

    assert client.get("/now/").status_code == 200
    assert client.get("/now").status_code == 308


def test_the_host_is_asked_once_in_a_request_who_is_signed_in(world: World, database_url: str) -> None:
    asked: list[str] = []

    def current_person() -> int:
        asked.append("person")
        return world.sean

    def organises(person_id: int) -> list[int]:
        asked.append(f"sessions of {person_id}")
        return [world.muellers]

    app = Flask("host")
    app.secret_key = "the host's own"
    app.register_blueprint(create_blueprint(normalise_url(database_url), current_person, organises))
    app.test_client().get(f"/instances/{world.muellers_now}")
    drain()

    assert asked == ["person", f"sessions of {world.sean}"]


def test_the_last_five_notices_are_shown_and_shown_once(mount: Mount) -> None:
    app = mount()

    @app.get("/host/notices")
    def several() -> str:
        for number in range(7):
            notice(f"the notice {number}")
        return ""

    browser = Browser(app)
    browser.client.get("/host/notices")
    page = browser.get("/zone")

    assert [number for number in range(7) if f"the notice {number}" in page] == [2, 3, 4, 5, 6]
    assert "the notice" not in browser.get("/zone")


# Limits


def test_the_hosts_own_limits_do_not_count_here(mount: Mount, world: World) -> None:
    browser = Browser(mount(MAX_CONTENT_LENGTH=10, MAX_FORM_MEMORY_SIZE=10))
    token = browser.token("/zone")
    path = f"/instances/{world.muellers_now}/say"
    fields = {"csrf_token": token, "attendance": "yes", "comment": "with a fiddle"}

    assert browser.client.post(path, data=fields).status_code == 303
    multipart = browser.client.post(path, data=fields, content_type="multipart/form-data; boundary=part")
    assert multipart.status_code == 303


@pytest.mark.parametrize(("size", "status"), [(MOST_BYTES, 400), (MOST_BYTES + 1, 413)])
def test_a_body_has_a_greatest_size_that_is_told(mount: Mount, size: int, status: int) -> None:
    form = "application/x-www-form-urlencoded"

    answer = mount().test_client().post("/zone", data=b"x" * size, content_type=form)

    assert answer.status_code == status
    assert (f"At most {MOST_BYTES // 1024} kB are accepted." in answer.text) == (status == 413)


def test_the_hosts_own_addresses_redirect_as_ever(mount: Mount) -> None:
    pages = next(iter(mount().blueprints.values()))
    app = Flask("host")
    app.secret_key = "the host's own"
    app.add_url_rule("/their/page", "theirs", lambda: "theirs")
    app.register_blueprint(pages, name="again")
    client = app.test_client()

    assert (client.get("/their//page").status_code, client.get("/instances//1").status_code) == (308, 404)


def test_an_engine_that_speaks_another_driver_is_refused(mount: Mount) -> None:
    with pytest.raises(UnsupportedDriver, match="the engine speaks sqlite"):
        mount(engine=sqlalchemy.create_engine("sqlite://"))


# Errors


def test_a_refusal_is_in_the_looks_of_a_page(mount: Mount, world: World) -> None:
    client = mount().test_client()
    for path, status in {
        "/?x=%00": 400,
        f"/sessions/{world.donns}/edit": 403,
        "/instances/999": 404,
    }.items():
        answer = client.get(path)
        assert answer.status_code == status
        assert "seisiun.css" in answer.text


def test_what_cannot_be_done_is_told_and_not_done(mount: Mount, world: World, app: Connection) -> None:
    data.change_session(app, world.muellers, recurrence="Thursdays, most weeks")
    page = Browser(mount())
    page.token("/zone")

    told = page.post(f"/sessions/{world.muellers}/dates", 409, attendance="yes", start="2026-12-03T19:00")

    assert "That cannot be done" in told


def test_a_session_that_somebody_else_is_saving_is_asked_for_again(
    mount: Mount, world: World, app: Connection, database_url: str
) -> None:
    day = '{"schedules": [{"type": "weekly", "weekday": "thursday", "start_time": "19:00"}]}'
    data.change_session(app, world.muellers, recurrence=day)
    browser = Browser(mount())
    browser.token("/zone")
    with data.connected(database_url, autocommit=False) as saving:
        data.execute(saving, "SELECT FROM session_plan FOR UPDATE")
        answer = browser.send(f"/sessions/{world.muellers}/dates", attendance="yes", start="2030-01-03T19:00")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "Somebody else is saving this session." in answer.text


def test_without_a_free_connection_it_says_503(mount: Mount, database_url: str) -> None:
    engine = sqlalchemy.create_engine(normalise_url(database_url), pool_size=1, max_overflow=0, pool_timeout=0.1)
    client = mount(engine=engine).test_client()
    with engine.connect():
        answer = client.get("/")
    engine.dispose()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "15")


@pytest.mark.usefixtures("database_of_its_own")
def test_a_mistake_of_ours_stays_an_error(mount: Mount, app: Connection) -> None:
    client = mount().test_client()
    data.execute(app, "ALTER TABLE activation_window RENAME TO elsewhere")

    with pytest.raises(ProgrammingError):
        client.get("/")


def test_a_connection_that_is_lost_in_any_way_is_no_mistake_of_ours(mount: Mount) -> None:
    lost = DBAPIError("SELECT 1", None, psycopg2.DatabaseError("lost"), connection_invalidated=True)
    with mount().test_request_context("/zone"):
        assert _away(lost).status_code == 503


def test_the_streams_read_on_a_hosts_own_engine_as_we_do(mount: Mount, app: Connection, database_url: str) -> None:
    data.execute(app, "UPDATE activation_window SET closes_at = '10000-01-01' WHERE phase = 'open'")
    engine = sqlalchemy.create_engine(normalise_url(database_url))

    everywhere = Shows((EVERYWHERE,))
    assert mount(engine=engine).extensions[EXTENSION].hub._read({everywhere}).public[EVERYWHERE,].blocks
    engine.dispose()


@pytest.mark.parametrize(
    "path", ["/instances/abc", "/sessions/12/nothing", "/sessions/-1", "/instances/1/say", f"/instances/{2**63}"]
)
def test_an_unknown_address_below_ours_gets_a_page_of_words(mount: Mount, path: str) -> None:
    answer = mount("/now").test_client().get(f"/now{path}")

    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text
    assert "There is no such page." in answer.text
    assert 'href="/now/">What is on now</a>' in answer.text


def test_an_address_that_is_not_ours_stays_the_hosts(mount: Mount) -> None:
    assert "Seisiún" not in mount().test_client().get("/nothing").text


def test_the_demonstration_answers_every_unknown_address_in_words(browser: Callable[[], Browser]) -> None:
    assert "There is no such page." in browser().get("/nothing/at/all", 404)
