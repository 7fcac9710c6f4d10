"""Pings: what is sent, and what an address that does not behave can hold up: nothing."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter

from core import logs, pings
from core.pings import MOST_WAITING, Pinger
from core.settings import PingUrl
from tests.ping_server import (
    HOSTILE,
    TOKEN,
    PingServer,
    Serve,
    never_answer,
    ping_server,
    send_a_header_without_end,
    send_without_end,
    serving,
)

pytestmark = pytest.mark.process  # each has a server


TIMEOUT_SECONDS, CLOSE_SECONDS = 0.6, 1.4


@pytest.fixture(autouse=True)
def _five_times_as_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping waits as it does, but a fifth as long."""
    ratio = pings.CLOSE_SECONDS / pings.TIMEOUT_SECONDS
    assert ratio == pytest.approx(CLOSE_SECONDS / TIMEOUT_SECONDS)
    monkeypatch.setattr(pings, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    monkeypatch.setattr(pings, "CLOSE_SECONDS", CLOSE_SECONDS)


@pytest.fixture
def service() -> Iterator[PingServer]:
    with ping_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _all_events(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logs.ROOT)


def pinger(url: str) -> Pinger:
    return Pinger(TypeAdapter(PingUrl).validate_python(url))


def test_success_is_the_address_itself_and_start_and_failure_follow_its_path(service: PingServer) -> None:
    told = pinger(service.url)
    told.send("start")
    told.close()
    told = pinger(service.url)
    told.send()
    told.send("fail", "OperationalError")
    told.close()

    assert service.ends() == [("/start", ""), ("", ""), ("/fail", "OperationalError")]


def test_a_query_stays_behind_the_path(service: PingServer) -> None:
    told = pinger(f"{service.url}/?every=minute")
    told.send("start")
    told.close()

    assert service.ends() == [("/start?every=minute", "")]


def test_without_an_address_nothing_is_sent_and_nothing_waits() -> None:
    told = Pinger(None)
    told.send("fail", "x")

    assert seconds_to_close(told) < 0.1


@pytest.mark.parametrize("serve", HOSTILE)
def test_an_address_that_does_not_behave_holds_up_nothing_and_no_log_line_shows_it(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(serve) as url:
        told = pinger(url)
        begun = time.monotonic()
        for _ in range(100):
            told.send("fail", "OperationalError")
        assert time.monotonic() - begun < 0.5
        assert told._waiting.qsize() <= MOST_WAITING

        assert seconds_to_close(told) < CLOSE_SECONDS + 1

    if serve is not send_without_end:
        assert "ping_failed" in caplog.text
    assert TOKEN not in caplog.text
    assert url.split("/")[2] not in caplog.text


def test_an_address_at_which_nobody_listens_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    told = pinger(f"http://127.0.0.1:{port}/{TOKEN}")
    told.send()

    assert seconds_to_close(told) < 1
    assert "ping_failed ping=success error=ConnectionRefusedError" in caplog.text


def test_an_answer_that_does_not_come_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with serving(never_answer) as url:
        told = pinger(url)
        told.send()

        assert TIMEOUT_SECONDS - 0.5 < seconds_to_close(told) < TIMEOUT_SECONDS + 2
    assert "error=TimeoutError" in caplog.text


def test_one_that_answers_by_drops_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    with serving(send_a_header_without_end) as url:
        told = pinger(url)
        told.send()

        assert CLOSE_SECONDS - 0.5 < seconds_to_close(told) < CLOSE_SECONDS + 2
    assert 'error="no answer in time"' in caplog.text


def seconds_to_close(told: Pinger) -> float:
    begun = time.monotonic()
    told.close()
    return time.monotonic() - begun
