import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread, Timer, stack_size

import psycopg2
import pytest
import sqlalchemy
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.exc import OperationalError

from core.db import create_engine, timeouts
from core.db.timeouts import TimeoutConnection, _WatchedSocket, with_response_timeout
from tests.data import add_person, execute, value
from tests.scheduler.daemon_process import eventually
from tests.scheduler.port_forwarder import PortForwarder

TIMEOUT = 1.0
TOO_LATE = 5.0


@pytest.fixture
def forwarder(database_url: str) -> Iterator[PortForwarder]:
    forwarder = PortForwarder(database_url)
    forwarder.open()
    otherwise = Timer(2 * TOO_LATE, forwarder.shut)  # libpq would wait for ever, and no signal ends that
    otherwise.start()
    yield forwarder
    otherwise.cancel()
    forwarder.shut()


@pytest.fixture
def line(forwarder: PortForwarder) -> Iterator[TimeoutConnection]:
    connection = psycopg2.connect(forwarder.url, connection_factory=with_response_timeout(TIMEOUT))
    yield connection
    connection.close()


def ask(connection: Connection) -> None:
    connection.cursor().execute("SELECT 1")


def ask_for_each(connection: Connection) -> None:
    connection.cursor().executemany("SELECT %s", [(1,), (2,)])


@pytest.mark.parametrize(
    "exchange",
    [
        pytest.param(ask, id="execute"),
        pytest.param(TimeoutConnection.commit, id="commit"),
        pytest.param(ask_for_each, id="executemany"),
        pytest.param(TimeoutConnection.rollback, id="rollback"),
    ],
)
def test_where_no_answer_comes_in_time_the_line_is_cut(
    line: TimeoutConnection, forwarder: PortForwarder, exchange: Callable[[Connection], None]
) -> None:
    ask(line)
    forwarder.fall_silent()
    begun = time.monotonic()

    with pytest.raises(psycopg2.OperationalError, match=r"^no answer for 1 s"):
        exchange(line)

    assert TIMEOUT <= time.monotonic() - begun < TOO_LATE
    assert line.closed


def test_a_line_is_cut_in_the_round_in_which_the_time_is_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = _WatchedSocket(ours.fileno(), timeout_rounds=3)
        watched.exchanges += 1
        cut = []
        for _ in range(4):  # the first round sees that an answer is awaited; three more make the time
            watched.count_round()
            cut.append(watched.cut)
        watched.close()

    assert cut == [False, False, False, True]


def test_a_line_that_was_closed_is_not_cut() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = _WatchedSocket(ours.fileno(), timeout_rounds=1)
        watched.exchanges += 1
        watched.close()
        for _ in range(3):
            watched.count_round()

    assert not watched.cut


def test_a_line_that_the_other_end_has_reset_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        watched = _WatchedSocket(ours.fileno(), timeout_rounds=1)
        watched.exchanges += 1
        for _ in range(2):
            watched.count_round()
        watched.close()

    assert watched.cut


def test_nobody_closes_a_line_while_it_is_cut() -> None:
    """Otherwise it might cut another one, which has got the same descriptor meanwhile."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = _WatchedSocket(ours.fileno(), timeout_rounds=1)
        closing = Thread(target=watched.close)
        of_line = watched._socket

        class Slow:
            close = of_line.close

            def shutdown(self, how: int) -> None:
                closing.start()
                closing.join(0.3)
                of_line.shutdown(how)  # raises if it is closed

        watched._socket = Slow()  # type: ignore[assignment]  # what a system may do: its calls take their time
        watched._cut()
        closing.join()
        with pytest.raises(BrokenPipeError):
            ours.send(b"?")


def test_a_line_that_opens_while_the_watchdog_ends_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "ROUND_SECONDS", 0.05)
    watchdog = timeouts._Watchdog()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = _WatchedSocket(ours.fileno(), timeout_rounds=1)
        watched.exchanges += 1
        opening = Thread(target=watchdog.add, args=(watched,))

        class Last:
            @property
            def closed(self) -> bool:
                opening.start()
                opening.join(0.3)
                return True

        watchdog._sockets, watchdog._thread = {Last()}, opening  # type: ignore[arg-type]
        assert not watchdog._any_left()
        eventually(lambda: watched.cut, "it is cut")
        watched.close()


def test_a_line_that_no_thread_can_watch_is_not_opened_and_leaks_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "_WATCHDOG", timeouts._Watchdog())
    before = descriptors()
    usual = stack_size(1 << 46)  # no system has as much for a thread
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            psycopg2.connect(database_url, connection_factory=with_response_timeout(TIMEOUT))
    finally:
        stack_size(usual)

    assert descriptors() == before


def test_an_answer_that_comes_in_time_is_taken_however_many_there_are(line: TimeoutConnection) -> None:
    for _ in range(5):
        line.cursor().execute("SELECT pg_sleep(0.4)")

    assert not line.closed


def test_a_connection_that_asks_nothing_is_left_alone(line: TimeoutConnection) -> None:
    ask(line)
    line.commit()
    time.sleep(TIMEOUT * 2.5)
    ask(line)


def test_the_watchdog_runs_while_there_are_connections_and_lets_a_process_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "ROUND_SECONDS", 0.05)
    watchdog = timeouts._Watchdog()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(2):
            watched = _WatchedSocket(ours.fileno(), timeout_rounds=1)
            watched.exchanges += 1
            watchdog.add(watched)
            thread = watchdog._thread
            assert thread
            assert thread.daemon, "a connection may stay open"
            eventually(partial(getattr, watched, "cut"), "it is cut")
            watched.close()
            thread.join(TOO_LATE)
            assert not thread.is_alive()


def test_it_commits_and_rolls_back(line: TimeoutConnection, app: Connection) -> None:
    for name, end in (("gone", line.rollback), ("kept", line.commit)):
        add_person(line, first_name=name)
        end()

    assert execute(app, "SELECT first_name FROM person") == [("kept",)]


FORKS = """\
import os, psycopg2, sys
from core.db import timeouts

line = psycopg2.connect(sys.argv[1], connection_factory=timeouts.with_response_timeout(0.5))
line.cursor().execute("SELECT 1")
child = os.fork()
if not child:
    other = psycopg2.connect(sys.argv[1], connection_factory=timeouts.with_response_timeout(0.5))
    try:
        other.cursor().execute("SELECT pg_sleep(10)")
    except psycopg2.OperationalError as error:
        os._exit(0 if "no answer" in str(error) else 1)
assert os.waitpid(child, 0)[1] == 0
line.cursor().execute("SELECT 1")
"""


def test_a_forked_process_watches_its_own_lines(database_url: str) -> None:
    subprocess.run([sys.executable, "-c", FORKS, database_url], check=True, timeout=60)


def test_an_error_that_the_server_tells_is_told_as_it_is(line: TimeoutConnection) -> None:
    with pytest.raises(psycopg2.errors.DivisionByZero):
        line.cursor().execute("SELECT 1/0")


def test_closing_lets_go_of_the_socket_and_may_be_done_twice(database_url: str, app: Connection) -> None:
    line = psycopg2.connect(
        database_url, connection_factory=with_response_timeout(TIMEOUT), application_name="to be closed"
    )
    before = descriptors()
    line.close()
    line.close()

    assert descriptors() == before - 2
    others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'to be closed'"
    eventually(lambda: value(app, others) == 0, "the server has noticed that it is gone")


def test_a_connection_that_nobody_closes_leaks_nothing(database_url: str) -> None:
    before = descriptors()
    for _ in range(3):
        psycopg2.connect(database_url, connection_factory=with_response_timeout(TIMEOUT))

    assert descriptors() == before


def descriptors() -> int:
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


def test_an_engine_takes_a_connection_that_timed_out_as_lost_and_connects_again(forwarder: PortForwarder) -> None:
    engine = create_engine(forwarder.url, response_timeout_seconds=TIMEOUT)
    with engine.connect() as connection:
        forwarder.forget_connections()
        with pytest.raises(OperationalError, match="no answer for 1 s") as lost:
            connection.execute(sqlalchemy.text("SELECT 1"))
        assert lost.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
    engine.dispose()
