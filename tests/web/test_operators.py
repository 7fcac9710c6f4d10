"""The operator's page: for those whom the host app names, and for nobody where it names none."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db import normalise_url
from tests import data
from tests.web.site import Browser, World
from web import create_blueprint, drain

HEARTBEAT = """
    INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, listening_since, zone_version)
    VALUES (gen_random_uuid(), 'pub', 17, '0.2.0', now(), now(), '2026f')
"""
LATE = """
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause, daemon)
    VALUES (%s, %s, true, now() - interval '12 seconds', now(), 'timer', 'pub:17')
"""


@pytest.fixture
def desk(database_url: str, world: World) -> Iterator[Callable[[int | None], Browser]]:
    """Opens a browser of this person's; only the organiser may operate."""

    def opened(person_id: int | None) -> Browser:
        app = Flask(__name__)
        app.config.update(SECRET_KEY="known to the tests alone", TESTING=True)
        url = normalise_url(database_url)
        pages = create_blueprint(url, lambda: person_id, lambda _: (), may_operate=lambda who: who == world.organiser)
        app.register_blueprint(pages)
        return Browser(app)

    yield opened
    drain()


def test_there_is_no_such_page_where_the_host_app_names_nobody(database_url: str, world: World) -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="known to the tests alone", TESTING=True)
    app.register_blueprint(create_blueprint(normalise_url(database_url), lambda: world.organiser, lambda _: ()))

    for path in ("/operator", "/operator/why?session=1"):
        Browser(app).get(path, status=404)
    drain()


def test_others_are_refused(world: World, desk: Callable[[int | None], Browser]) -> None:
    for who in (None, world.sean):
        for path in ("/operator", "/operator/why?session=1"):
            assert "no daemon is alive" not in desk(who).get(path, status=403)


def test_it_says_what_status_says(app: Connection, world: World, desk: Callable[[int | None], Browser]) -> None:
    alone = desk(world.organiser).get("/operator")
    data.execute(app, HEARTBEAT)
    data.execute(app, "DELETE FROM plan_request")
    data.execute(app, "UPDATE session_plan SET error = 'cannot be read' WHERE session_id = %s", world.later)
    data.execute(app, "UPDATE activation_window SET phase = 'over' WHERE session_id = %s", world.later)
    data.execute(app, LATE, world.muellers_now, world.muellers)

    found = desk(world.organiser).get("/operator")

    assert "<h1>Not well</h1>" in alone
    assert "no daemon is alive: start <code>python -m seisiun run</code>" in alone
    assert "<h1>All is well</h1>" in found
    assert f"Late session (session {world.later})</a>: cannot be read" in found
    assert f"Mueller&#39;s (session {world.muellers}, instance {world.muellers_now})</a> on at " in found
    assert "12.0 s late, by timer" in found
    assert '<th scope="row">under 60 s</th><td>1</td>' in found
    assert '<th scope="row">pub:17</th>' in found


def test_it_explains_sessions_instances_and_people_without_names_of_people(
    app: Connection, world: World, desk: Callable[[int | None], Browser]
) -> None:
    data.add_check_in(app, world.muellers_now, world.noirin)
    data.execute(app, LATE, world.muellers_now, world.muellers)
    visitor = desk(world.organiser)

    named = visitor.get("/operator/why?session=muellers")
    instance = visitor.get(f"/operator/why?instance={world.muellers_now}&at=2026-01-01T00:00Z")
    person = visitor.get(f"/operator/why?person={world.noirin}")
    ahead = visitor.get("/operator/why?session=late")

    assert f"<h1>Mueller&#39;s (session {world.muellers}, instance {world.muellers_now})</h1>" in named
    assert ">On until " in named
    flips = named.partition("The last flips")[2]
    assert 0 < flips.index("by timer (pub:17): ") < flips.index("by hook: "), "the newest first"
    assert "Not known: the log of flips is kept for" in instance
    assert f"<h1>Person {world.noirin}</h1>" in person
    assert "Nóirín" not in named + person
    assert "opens " in ahead
    assert "The next 14 days" in ahead


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("session=nowhere", 404, "no session has the id or the path &#39;nowhere&#39;, or a name that begins so"),
        ("instance=999", 404, "there is no instance 999"),
        ("person=x", 400, "person is &#39;x&#39;; give an id, such as 42."),
        ("session=late&at=tomorrow", 400, "The instant is &#39;tomorrow&#39;; expected for example 2026-12-03T19:00"),
        ("", 404, "no session has the id"),
    ],
)
def test_what_cannot_be_explained_is_said(
    world: World, desk: Callable[[int | None], Browser], query: str, status: int, told: str
) -> None:
    assert told in desk(world.organiser).get(f"/operator/why?{query}", status=status)
