"""The stream of the board, and the poll that stands in for it, in one process."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import check_in
from tests import data
from tests.scheduler.daemon_process import eventually
from tests.web.site import Browser, World, reconcile
from web.hub import party_of

pytestmark = pytest.mark.usefixtures("app_of_its_own")


def first_events(client: Browser, count: int, path: str = "/stream") -> list[str]:
    """Return the first events of a stream, its greeting apart."""
    response = client.client.get(path)
    assert response.status_code == 200
    assert response.headers["X-Accel-Buffering"] == "no"
    body: Iterator[str] = (chunk.decode() if isinstance(chunk, bytes) else chunk for chunk in response.response)
    assert next(body).startswith("retry: ")
    found = [next(body) for _ in range(count)]
    response.close()
    return found


def test_the_stream_begins_with_the_whole_board_and_names_nobody_to_the_public(
    world: World, app: Connection, pages: Flask
) -> None:
    check_in(app, world.noirin, world.muellers_now, "yes")
    [public] = first_events(Browser(pages), 1)
    [member] = first_events(Browser(pages).be(world.noirin), 1)

    assert "event: board" in public
    assert set(json.loads(public.split("data: ")[1])["html"]) == {"summary", "group:USA/None/None", "next"}
    assert "Bhriain" not in public
    assert "Bhriain" in member
    assert "You're at" in json.loads(member.split("event: you\ndata: ")[1])["html"]


def test_a_stream_has_the_difference_when_something_flips(
    world: World, app: Connection, database_url: str, pages: Flask
) -> None:
    response = Browser(pages).client.get("/stream")
    body = (chunk.decode() if isinstance(chunk, bytes) else chunk for chunk in response.response)
    next(body), next(body)

    data.change_instance(app, world.muellers_now, is_cancelled=True)
    reconciling = threading.Thread(target=reconcile, args=(database_url,))
    reconciling.start()

    html: dict[str, str] = {}
    while "Mueller" in html.get("group:USA/None/None", "Mueller") or "1 session" not in html.get("summary", ""):
        html |= json.loads(next(body).split("data: ")[1])["html"]
    assert "next" not in html
    response.close()
    reconciling.join()


def test_a_stream_has_the_board_of_its_own_area(world: World, app: Connection, pages: Flask) -> None:
    data.change(app, "person", world.noirin, city="Austin", country="USA")
    check_in(app, world.sean, world.muellers_now, "yes")

    def blocks(client: Browser, address: str) -> set[str]:
        [first] = first_events(client, 1, f"/stream{address}")
        return set(json.loads(first.split("data: ")[1].split("\n")[0])["html"])

    member, public = Browser(pages).be(world.noirin), Browser(pages)
    assert blocks(member, "") == {"usa/tx/austin", "summary", "group:USA/None/None", "next"}
    assert blocks(public, "?country=USA") == {"summary", "group:USA/TX/Austin", "next"}
    assert blocks(public, "?city=Austin&country=usa") == {"usa/tx/austin"}
    assert blocks(public, "?city=Cork") == {"quiet"}
    assert Browser(pages).client.get("/stream?session=99").status_code == 404


@pytest.mark.parametrize("page", ["session={later}", "me=1"])
def test_a_page_that_fetches_what_it_shows_is_told_first_and_at_each_change(
    world: World, app: Connection, pages: Flask, page: str
) -> None:
    next_week = data.add_instance(app, world.later, "2099-01-05", "19:00", "22:00")
    data.add_check_in(app, next_week, world.noirin)
    member = Browser(pages).be(world.noirin)
    response = member.client.get(f"/stream?{page.format(later=world.later)}")
    body = (chunk.decode() if isinstance(chunk, bytes) else chunk for chunk in response.response)
    next(body)
    told = "event: changed\ndata: {}\n\n"
    assert next(body) == told

    for change in ({"is_cancelled": True}, {"cancel_reason": "A wedding"}, {"is_cancelled": False}):
        data.change_instance(app, next_week, **change)
        pages.extensions["seisiun"].hub._notified.set()
        assert next(body) == told
    check_in(app, world.noirin, world.muellers_now, "yes")
    assert next(body) == told
    response.close()


def test_a_stream_too_many_is_refused_with_when_to_ask_again(pages: Flask) -> None:
    hub = pages.extensions["seisiun"].hub
    hub._most_streams = 1
    opened = Browser(pages).client.get("/stream")

    refused = Browser(pages).client.get("/stream")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "15")

    opened.close()  # one that nobody has read from, too
    assert hub.streams == 0
    assert Browser(pages).client.get("/stream").status_code == 200


def test_polling_is_told_when_nothing_is_new(world: World, app: Connection, pages: Flask) -> None:
    client = Browser(pages).client
    tag = client.get("/board").headers["ETag"]

    assert client.get("/board", headers={"If-None-Match": tag}).status_code == 304
    data.change_session(app, world.muellers, name="Another name")
    assert client.get("/board", headers={"If-None-Match": tag}).status_code == 200


def test_the_pages_listener_notifies_itself_seldom(app: Connection, pages: Flask) -> None:
    """Each notification wakes every listener of the server; the board is read again in any case."""
    hub = pages.extensions["seisiun"].hub
    opened = Browser(pages).client.get("/stream")
    eventually(lambda: hub.is_listening, "the hub listens")
    last = "SELECT query_start FROM pg_stat_activity WHERE application_name = 'seisiun listener' AND datname = %s"
    name = app.info.dbname
    begun = data.value(app, last, name)

    time.sleep(3.3)  # the daemon's listener would have notified itself after 3 s

    assert data.value(app, last, name) == begun
    assert hub.is_listening
    opened.close()


def test_one_address_does_not_take_the_places_of_all(pages: Flask) -> None:
    hub = pages.extensions["seisiun"].hub
    hub._most_of_address = 2
    client = Browser(pages).client

    def status(address: str) -> int:
        return client.get("/stream", environ_base={"REMOTE_ADDR": address}).status_code

    assert [status("127.0.0.1") for _ in range(3)] == [200, 200, 503]
    assert [status("127.0.0.2") for _ in range(3)] == [200, 200, 503]


@pytest.mark.parametrize(
    ("address", "party"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", None),
        (None, None),
        ("unix:", None),
    ],
)
def test_an_ipv6_client_counts_by_its_network(address: str | None, party: str | None) -> None:
    assert party_of(address) == party
