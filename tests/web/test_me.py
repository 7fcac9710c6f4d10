"""My evenings: where I am, coming, been, cancelled."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import data
from tests.web.site import Browser, World
from web import me

Open = Callable[[], Browser]


def lists(page: str) -> dict[str, list[int]]:
    """Return the instances in each list, by its heading."""
    sections = re.findall(r"<h2>(\w+)</h2>(.*?)</section>", page, re.DOTALL)
    return {title: [*map(int, re.findall(r'href="/instances/(\d+)"', text))] for title, text in sections}


def on_day(app: Connection, session_id: int, days: int, **columns: object) -> int:
    day = datetime.now(UTC).date() + timedelta(days=days)
    return data.add_instance(app, session_id, str(day), "19:00", "22:00", **columns)


def test_where_i_am_coming_been_and_cancelled(world: World, app: Connection, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    assert "You are at no session now." in visitor.get("/me")
    been, maybe_been = on_day(app, world.later, -9), on_day(app, world.later, -16)
    cancelled, maybe_not = (on_day(app, world.later, days) for days in (5, 33))
    coming, maybe, no = (on_day(app, world.later, days) for days in (12, 19, 26))
    said = {
        world.muellers_now: "yes",
        been: "yes",
        maybe_been: "maybe",
        cancelled: "yes",
        coming: "yes",
        maybe: "maybe",
    }
    for instance, attendance in {**said, no: "no", maybe_not: "maybe"}.items():
        visitor.post(f"/instances/{instance}/say", attendance=attendance)

    data.change_instance(app, cancelled, is_cancelled=True, cancel_reason="A wedding")
    data.change_instance(app, maybe_not, is_cancelled=True, cancel_reason="No room")

    page = visitor.get("/me")

    assert lists(page) == {"Coming": [world.muellers_now, coming, maybe, maybe_not], "Been": [been]}
    assert f'You\'re at <a href="instances/{world.muellers_now}">' in page
    assert re.findall(r'<strong>Cancelled</strong>: <a href="instances/(\d+)">', page) == [str(cancelled)]
    assert "(A wedding). You said yes to it." in page
    assert "<strong>cancelled</strong>: No room · you said maybe" in page
    assert page.count("you said maybe") == 2
    assert "you left" not in page
    visitor.post(f"/instances/{world.muellers_now}/leave")
    left = visitor.get("/me")
    assert "You are at no session now." in left
    assert "<strong>on now</strong> · you left" in left
    assert lists(browser().be(world.sean).get("/me")) == {"Coming": [], "Been": []}


def test_where_i_have_been_page_by_page(
    world: World, app: Connection, browser: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(me, "MOST_BEEN", 3)
    evenings = [on_day(app, world.later, -days) for days in (3, 10, 10, 17, 24, 24, 24)]
    for evening in evenings:
        data.add_check_in(app, evening, world.noirin)
    visitor, seen, path = browser().be(world.noirin), [], "/me"
    while path:
        page = visitor.get(path)
        seen += lists(page)["Been"]
        more = re.search(r'href="([^"]+)">Earlier', page)
        path = more[1] if more else ""

    assert seen == [evenings[0], evenings[2], evenings[1], evenings[3], evenings[6], evenings[5], evenings[4]]
    assert "Coming" not in lists(visitor.get(f"/me?before={evenings[3]}"))
    visitor.get("/me?before=x")


def test_my_evenings_are_mine_alone(world: World, browser: Open) -> None:
    refused = browser().get("/me?before=7", 403)
    assert "Sign in first" in refused
    assert '<a href="/who?next=/me?before%3D7">Sign in</a> to go on.' in refused
    assert 'href="/who?next=/who' not in browser().get("/who?next=/me")
    assert "My evenings" not in browser().get("/")
    assert 'href="/me"' in browser().be(world.sean).get("/")
