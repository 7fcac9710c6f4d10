"""Streams under gunicorn: many of them, a burst of flips, a stop."""

import http.client
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import update_active_sessions
from core.db import create_engine
from tests import data
from tests.commands import ROOT
from tests.scheduler.daemon_process import eventually
from tests.web.gunicorn_process import Gunicorn
from tests.web.open_streams import OpenStreams
from tests.web.site import World

pytestmark = pytest.mark.usefixtures("database_of_its_own")

TOWNS = 100


@pytest.fixture
def gunicorn(database_url: str, tmp_path: Path) -> Iterator[Gunicorn]:
    process = Gunicorn(tmp_path / "gunicorn.log", "tests.web.host_app:app", DATABASE_URL=database_url)
    yield process
    process.kill()
    sys.stdout.write(process.log)
    assert "Traceback" not in process.log


def get(port: int, path: str, cookie: str = "") -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def signed_in(port: int, person_id: int) -> str:
    answer, _ = get(port, f"/sign-in/{person_id}")
    return str(answer.getheader("Set-Cookie")).partition(";")[0]


@pytest.mark.alone
@pytest.mark.parametrize("load", [(40, 200), pytest.param((200, 1000), marks=pytest.mark.long)], ids=["some", "all"])
def test_open_streams_starve_nobody_and_end_at_the_truth(
    gunicorn: Gunicorn, app: Connection, database_url: str, figures: Callable[[str], None], load: tuple[int, int]
) -> None:
    streams, flips = load
    sessions = flips // 2
    data.execute(app, FILL, TOWNS, sessions)
    person = data.add_person(app)
    engine = create_engine(database_url)
    update_active_sessions(engine)
    port = gunicorn.port
    member = signed_in(port, person)

    with OpenStreams(port, "/tunes/stream") as opened:
        opened.open(streams // 2)
        opened.open(streams - streams // 2, member)
        eventually(lambda: all(stream.events for stream in opened.streams), "each stream has its first board")
        pinger = subprocess.Popen(
            [sys.executable, "-m", "tests.web.pinger", str(port), "/tunes/healthz"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun = time.monotonic()
        for cancelled in (True, False):
            for chunk in range(0, sessions, 10):
                data.execute(
                    app,
                    "UPDATE session_instance SET is_cancelled = %s WHERE session_instance_id > %s "
                    "AND session_instance_id <= %s",
                    cancelled,
                    chunk,
                    chunk + 10,
                )
                update_active_sessions(engine)
        burst = time.monotonic() - begun
        truths = {cookie: json.loads(get(port, "/tunes/board", cookie)[1])["order"] for cookie in ("", member)}
        cookies = [""] * (streams // 2) + [member] * (streams - streams // 2)
        wanted = [truths[cookie] for cookie in cookies]
        eventually(lambda: [stream.order for stream in opened.streams] == wanted, "each stream is at the truth")
        settled = time.monotonic() - begun - burst
        took, _ = pinger.communicate()
    engine.dispose()

    assert data.value(app, "SELECT count(*) FROM activation_log") == sessions + flips
    answers, overslept = map(sorted, json.loads(took))
    p99 = answers[int(len(answers) * 0.99)]
    boards = [stream.events for stream in opened.streams]
    figures(
        f"{streams} streams, {flips} flips in {burst:.1f} s: /healthz p50 {answers[len(answers) // 2]:.1f} "
        f"p99 {p99:.1f} max {answers[-1]:.1f} ms of {len(answers)} (the machine woke the asker up to "
        f"{overslept[-1]:.1f} ms late); {min(boards)}-{max(boards)} boards each, "
        f"all at the truth {settled * 1000:.0f} ms after the last flip"
    )
    assert answers[-1] < 100 + 5 * overslept[-1]


# So many sessions in so many towns, each with an instance that is on now.
FILL = """
    WITH made AS (
        INSERT INTO session (name, city, country, timezone)
        SELECT 'Session ' || n, 'Town ' || n %% %s, 'Ireland', 'Etc/UTC' FROM generate_series(1, %s) n
        RETURNING session_id
    )
    INSERT INTO session_instance (session_id, date, start_time, end_time)
    SELECT session_id, at::date, at::time(0), (at + interval '3 hours')::time(0)
    FROM made, (SELECT now() AT TIME ZONE 'UTC' - interval '10 minutes' AS at) now
"""


@pytest.mark.alone
def test_a_flip_is_on_every_open_page_in_under_100_ms(
    gunicorn: Gunicorn, world: World, app: Connection, database_url: str, figures: Callable[[str], None]
) -> None:
    engine = create_engine(database_url)
    took = []
    with OpenStreams(gunicorn.port, "/tunes/stream") as opened:
        opened.open(10)
        eventually(lambda: all(stream.events for stream in opened.streams), "each stream has its first board")
        for cancelled in (True, False, True, False, True):
            time.sleep(0.2)
            before = [stream.events for stream in opened.streams]
            data.change_instance(app, world.muellers_now, is_cancelled=cancelled)
            update_active_sessions(engine)
            flipped = time.monotonic()
            eventually(partial(_all_have_more_than, opened, before), "a board on each stream")
            took.append(time.monotonic() - flipped)
    engine.dispose()
    after = sorted(took)
    figures(f"from a flip to ten open pages: median {after[2] * 1000:.0f} ms, at most {after[-1] * 1000:.0f} ms")
    assert after[2] < 0.1


def _all_have_more_than(opened: OpenStreams, before: list[int]) -> bool:
    return all(stream.events > events for stream, events in zip(opened.streams, before, strict=True))


def test_streams_drain_on_sigterm(gunicorn: Gunicorn, world: World, figures: Callable[[str], None]) -> None:
    with OpenStreams(gunicorn.port, "/tunes/stream") as opened:
        opened.open(30)
        eventually(lambda: all(stream.events for stream in opened.streams), "each stream has its first board")

        status, seconds = gunicorn.stop()

        eventually(lambda: all(stream.ended for stream in opened.streams), "each stream has ended")
    figures(f"gunicorn with 30 open streams ended {seconds:.2f} s after SIGTERM")
    assert status == 0
    assert seconds < 5
    assert world.muellers_now


@pytest.mark.parametrize("unread", [b"", b"more"], ids=["closed", "closed with something unread"])
def test_a_stream_whose_client_has_closed_gives_up_its_place(
    gunicorn: Gunicorn, world: World, figures: Callable[[str], None], unread: bytes
) -> None:
    def streams() -> int:
        return int(json.loads(get(gunicorn.port, "/tunes/healthz")[1])["streams"])

    with OpenStreams(gunicorn.port, "/tunes/stream") as opened:
        opened.open(10)
        eventually(lambda: all(stream.events for stream in opened.streams), "each stream has its first board")
        assert streams() == 10
        for stream in opened.streams:
            stream.connection.send(unread or b"\n")
            stream.connection.shutdown(socket.SHUT_RDWR)
        begun = time.monotonic()
        eventually(lambda: streams() == 0, "no place is taken", 4)
    took = time.monotonic() - begun
    figures(f"ten clients closed: their places were free after {took:.2f} s")
    assert took < 2
    assert world.muellers_now


def test_a_header_does_not_move_the_pages(gunicorn: Gunicorn, world: World) -> None:
    for header in ("SCRIPT_NAME: /tunes", "SCRIPT_NAME: /evil", "PATH_INFO: /sign-in/1"):
        with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=20) as client:
            client.sendall(f"GET /tunes/ HTTP/1.0\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
            with client.makefile("rb") as answer:
                text = answer.read().decode()

        assert re.match(r"HTTP/1\.[01] 200 ", text), (header, text[:200])
        assert 'data-root="/tunes/"' in text, header
    assert world.muellers_now
