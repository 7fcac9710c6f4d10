import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core import logs
from core.db.listener import OVERDUE_SECONDS, SILENCE_SECONDS, Listener
from core.store.notify import ACTIVE_CHANGED, SESSION_CHANGED, active_changed, app_notifies
from tests.data import add_session, execute, value
from tests.scheduler.port_forwarder import PortForwarder

LONG = 5.0
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


class RunningListener:
    """A listener in a thread of its own, and what it has received: payloads, and None for each time it began."""

    def __init__(self, url: str) -> None:
        self.received: queue.Queue[str | None] = queue.Queue()
        self.listener = Listener(url, SESSION_CHANGED, self.received.put, lambda: self.received.put(None))
        self.thread = threading.Thread(target=self.listener.run)

    def next(self) -> str | None:
        return self.received.get(timeout=LONG)


@contextmanager
def listening(url: str) -> Iterator[RunningListener]:
    running = RunningListener(url)
    running.thread.start()
    try:
        assert running.next() is None
        yield running
    finally:
        running.listener.stop()
        running.thread.join(LONG)
        assert not running.thread.is_alive()


def end_listeners(app: Connection) -> int:
    """End every listener's connection, as a failover would; return how many there were."""
    of_listeners = "FROM pg_stat_activity WHERE application_name = 'seisiun listener' AND datname = current_database()"
    return len(execute(app, f"SELECT pg_terminate_backend(pid) {of_listeners}"))


def notify(app: Connection, payload: str) -> None:
    execute(app, "SELECT pg_notify(%s, %s)", SESSION_CHANGED, payload)


def test_listener_receives_what_the_app_sends_in_order(app: Connection, database_url: str) -> None:
    with listening(database_url) as running:
        assert running.listener.listening_since is not None
        add_session(app)
        notify(app, "")
        notify(app, "12")

        assert [running.next() for _ in range(3)] == ["", "", "12"], "a trigger names no session: its request does"


@pytest.mark.alone
def test_listener_receives_within_milliseconds(app: Connection, database_url: str) -> None:
    with listening(database_url) as running:
        took = []
        for _ in range(20):
            begun = time.monotonic()
            notify(app, "12")
            running.next()
            took.append(time.monotonic() - begun)

    assert sorted(took)[10] < 0.05


def test_listener_does_not_receive_other_channels(app: Connection, database_url: str) -> None:
    with listening(database_url) as running:
        execute(app, "SELECT pg_notify('active_changed', '1')")
        notify(app, "12")

        assert running.next() == "12"


@pytest.mark.alone
def test_listener_heals_within_a_second_and_requests_a_full_pass(app: Connection, database_url: str) -> None:
    with listening(database_url) as running:
        for _ in range(3):
            begun = time.monotonic()
            assert end_listeners(app) == 1
            assert running.next() is None
            assert time.monotonic() - begun < 1
            notify(app, "12")
            assert running.next() == "12"


def test_listener_is_never_idle_in_a_transaction(app: Connection, database_url: str) -> None:
    with listening(database_url) as running:
        notify(app, "12")
        running.next()
        state = "SELECT state FROM pg_stat_activity WHERE application_name = 'seisiun listener' "

        assert value(app, state + "AND datname = current_database()") == "idle"


def test_listener_waits_for_a_database_that_is_away(app: Connection, database_url: str) -> None:
    name = value(app, "SELECT current_database()")
    with listening(database_url) as running:
        execute(app, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        execute(app, "CREATE ROLE visitor LOGIN PASSWORD 'visitor'")
        away = RunningListener(_as_visitor(database_url))
        away.thread.start()
        with pytest.raises(queue.Empty):
            away.received.get(timeout=0.3)
        assert away.listener.listening_since is None
        execute(app, f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        assert away.next() is None
        notify(app, "12")
        assert (away.next(), running.next()) == ("12", "12")
        away.listener.stop()
        away.thread.join(LONG)
    execute(app, "DROP ROLE visitor")


def _as_visitor(url: str) -> str:
    where = url.rsplit("@", 1)[-1]
    return f"postgresql://visitor:visitor@{where}"


@pytest.mark.parametrize("times", [1, 2, 100])
def test_stop_may_be_called_again_and_again(database_url: str, times: int) -> None:
    with listening(database_url) as running:
        for _ in range(times):
            running.listener.stop()
        running.thread.join(1)
        assert not running.thread.is_alive()
        assert running.listener.listening_since is None


def test_stop_waits_for_nobody_also_while_its_listener_is_busy(database_url: str) -> None:
    busy, done = threading.Event(), threading.Event()

    def work() -> None:
        busy.set()
        done.wait(LONG)

    listener = Listener(database_url, SESSION_CHANGED, lambda _: None, work)
    thread = threading.Thread(target=listener.run)
    thread.start()
    assert busy.wait(LONG)

    def stop_again_and_again() -> None:
        for _ in range(2000):
            listener.stop()

    stopping = threading.Thread(target=stop_again_and_again, daemon=True)
    stopping.start()
    stopping.join(LONG)
    assert not stopping.is_alive()
    done.set()
    thread.join(LONG)


def test_when_it_says_that_it_listens_it_does(database_url: str) -> None:
    told: queue.Queue[datetime | None] = queue.Queue()
    listener = Listener(database_url, SESSION_CHANGED, lambda _: None, lambda: told.put(listener.listening_since))
    thread = threading.Thread(target=listener.run)
    thread.start()

    assert told.get(timeout=LONG)
    listener.stop()
    thread.join(LONG)


def test_it_tries_a_database_that_is_away_less_and_less_often_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.db.listener.FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("core.db.listener.LAST_RETRY_SECONDS", 0.2)
    listener = Listener("postgresql://nobody@127.0.0.1:1/nowhere", SESSION_CHANGED, lambda _: None, lambda: None)
    thread = threading.Thread(target=listener.run)
    thread.start()
    time.sleep(1)
    listener.stop()
    thread.join(LONG)

    assert 2 <= listener.losses <= 12, "eight, or forty where the pauses do not grow"


def test_stop_before_run_means_that_run_returns_at_once(database_url: str) -> None:
    running = RunningListener(database_url)
    running.listener.stop()
    running.listener.stop()
    running.listener.run()

    assert running.received.empty()


@pytest.mark.alone
def test_stop_ends_the_wait_for_a_database_that_is_away() -> None:
    running = RunningListener("postgresql://nobody@127.0.0.1:1/nowhere")
    running.thread.start()
    time.sleep(0.4)
    begun = time.monotonic()
    running.listener.stop()
    running.thread.join(LONG)

    assert time.monotonic() - begun < 0.5
    assert running.received.empty()


@pytest.mark.parametrize(
    ("ids", "payloads"),
    [([], []), ([7], ["7"]), (list(range(20)), [str(id_) for id_ in range(20)]), (list(range(21)), [""])],
    ids=["none", "one", "twenty", "more"],
)
def test_flips_notify_once_each_and_many_are_one_empty_payload(
    engine: Engine, db_connect: Callable[[], Connection], ids: list[int], payloads: list[str]
) -> None:
    hearer = db_connect()
    hearer.autocommit = True
    execute(hearer, "INSERT INTO session (session_id, name) VALUES (1, 'Mueller''s')")
    for id_ in (*ids, 99):  # of the last nothing is told
        execute(
            hearer, "INSERT INTO session_instance (session_instance_id, session_id, date) VALUES (%s, 1, now())", id_
        )
    execute(hearer, f"LISTEN {ACTIVE_CHANGED}")
    with engine.begin() as connection:
        active_changed(connection, ids)
        execute(hearer, "SELECT 1")
        assert hearer.notifies == []
    execute(hearer, "SELECT 1")

    assert [notify.payload for notify in hearer.notifies] == payloads


@pytest.mark.parametrize(
    ("chosen", "notifies"),
    [
        (("notifications", "on"), True),
        (("notifications", "off"), False),
        (("plan_only_where", "off"), True),  # a column of this name
    ],
)
def test_whether_the_apps_transactions_notify_is_what_the_database_has_chosen(
    engine: Engine, app: Connection, chosen: tuple[str, str], *, notifies: bool
) -> None:
    with engine.connect() as connection:
        assert app_notifies(connection)
    execute(app, "INSERT INTO seisiun_choice (name, value) VALUES (%s, %s)", *chosen)
    with engine.connect() as connection:
        assert app_notifies(connection) is notifies
    execute(app, "DELETE FROM seisiun_choice")


def test_database_errors_of_the_listener_do_not_escape_it(app: Connection, database_url: str) -> None:
    """Not even when the connection ends while it says that it listens."""
    times = []

    def cut_off_once() -> None:
        times.append(value(app, "SELECT 1"))
        if len(times) == 1:
            end_listeners(app)

    listener = Listener(database_url, SESSION_CHANGED, lambda _: None, cut_off_once)
    thread = threading.Thread(target=listener.run)
    thread.start()
    deadline = time.monotonic() + LONG
    while len(times) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    listener.stop()
    thread.join(LONG)

    assert len(times) == 2
    assert not thread.is_alive()
    assert app.closed == 0
    assert not isinstance(times[0], psycopg2.Error)


class Deaf(Listener):
    """It receives its own notifications only `heard` times: then it is behind a pooler, or its network is silent."""

    heard = 0

    def _notify_private(self, connection: Connection) -> None:
        self.heard -= 1
        if self.heard >= 0:
            super()._notify_private(connection)

    def _report_not_receiving(self, connection: Connection, *, again: bool) -> None:
        super()._report_not_receiving(connection, again=again)
        assert execute(connection, "SELECT pg_listening_channels()") == [], "a pooler keeps the connection"


class RunningDeaf(RunningListener):
    listener: Deaf

    def __init__(self, url: str, heard: int, silence_seconds: float = 0.2) -> None:
        super().__init__(url)
        self.listener = Deaf(
            url, SESSION_CHANGED, self.received.put, lambda: self.received.put(None), silence_seconds=silence_seconds
        )
        self.listener.heard = heard
        self.thread = threading.Thread(target=self.listener.run)
        self.thread.start()

    def end(self) -> None:
        begun = time.monotonic()
        self.listener.stop()
        self.thread.join(LONG)
        assert not self.thread.is_alive()
        assert time.monotonic() - begun < 2


def logged(caplog: pytest.LogCaptureFixture, event: str) -> int:
    return sum(isinstance(record.msg, logs.Event) and record.msg.name == event for record in caplog.records)


def test_where_nothing_is_delivered_it_says_so_once_and_asks_for_everything(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.listener.LOOPBACK_SECONDS", 0.2)
    monkeypatch.setattr("core.db.listener.NOT_RECEIVING_RETRY_SECONDS", 0.1)
    running = RunningDeaf(database_url, heard=0)
    assert running.next() is None
    before = running.listener.progress_at
    time.sleep(1)  # it tries again and again

    assert running.listener.not_receiving
    assert running.listener.listening_since is None
    assert running.listener.progress_at > before
    assert running.received.empty()
    assert logged(caplog, "not_receiving") == 1
    running.listener.heard = 1_000_000
    assert running.next() is None
    running.end()
    assert running.listener.progress_at > before


def test_it_waits_long_before_it_tries_again_where_nothing_is_delivered(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.listener.LOOPBACK_SECONDS", 0.1)
    running = RunningDeaf(database_url, heard=0)
    assert running.next() is None
    running.listener.heard = 1_000_000
    with pytest.raises(queue.Empty):
        running.received.get(timeout=1)

    running.end()


def test_while_it_waits_it_shows_progress_and_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.db.listener.SILENCE_SECONDS", 0.05)
    listener = Listener("postgresql://nobody@nowhere/nothing", "nothing", lambda _: None, lambda: None)
    begun = time.monotonic()
    listener._pause(0.3)
    assert 0.3 <= time.monotonic() - begun < 3
    assert listener.progress_at > begun + 0.1

    threading.Timer(0.1, listener.stop).start()
    listener._pause(60)
    assert time.monotonic() - begun < 3


def test_a_listener_that_hears_nothing_more_not_even_itself_connects_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.listener.LOOPBACK_SECONDS", 0.2)
    running = RunningDeaf(database_url, heard=3)  # the proof, and two more after a silence each
    assert running.next() is None
    begun = time.monotonic()
    assert running.next() is None
    assert time.monotonic() - begun > 3 * 0.2
    running.end()


def test_its_own_notifications_show_that_it_receives_and_are_passed_on_to_nobody(
    app: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.listener.OVERDUE_SECONDS", 0.3)
    running = RunningDeaf(database_url, heard=1_000_000)
    assert running.next() is None
    before = running.listener.progress_at
    for _ in range(10):
        time.sleep(0.1)
        assert running.listener.listening_since is not None
    assert running.listener.progress_at > before
    assert running.received.empty()
    notify(app, "12")
    assert running.next() == "12"
    running.end()


def test_while_others_notify_it_does_not_notify_itself(app: Connection, database_url: str) -> None:
    running = RunningDeaf(database_url, heard=1, silence_seconds=60)  # the proof at the start
    assert running.next() is None
    for number in range(3):
        notify(app, str(number))
        assert running.next() == str(number)
    running.end()

    assert running.listener.heard == 0


def test_stop_waits_for_no_answer_through_a_network_that_is_silent(database_url: str) -> None:
    forwarder = PortForwarder(database_url)
    forwarder.open()
    running = RunningDeaf(forwarder.url, heard=1_000_000, silence_seconds=60)
    assert running.next() is None
    forwarder.fall_silent()
    running.end()
    forwarder.shut()


def test_a_thread_that_hangs_is_soon_not_listening() -> None:
    listener = Listener("postgresql://nobody@nowhere/nothing", "nothing", lambda _: None, lambda: None)
    listener._since = NOON
    listener._received_at = time.monotonic() - SILENCE_SECONDS - OVERDUE_SECONDS + 1
    assert listener.listening_since == NOON
    listener._received_at -= 1.1
    assert listener.listening_since is None


def test_what_arrives_together_with_the_proof_is_passed_on_at_once(app: Connection, database_url: str) -> None:
    class Busy(Listener):
        def _notify_private(self, connection: Connection) -> None:
            notify(app, "12")
            super()._notify_private(connection)

    running = RunningListener(database_url)
    running.listener = Busy(database_url, SESSION_CHANGED, running.received.put, lambda: running.received.put(None))
    running.thread = threading.Thread(target=running.listener.run)
    running.thread.start()
    assert running.next() is None
    begun = time.monotonic()
    assert running.next() == "12"
    assert time.monotonic() - begun < SILENCE_SECONDS / 2
    running.listener.stop()
    running.thread.join(LONG)


def test_a_connection_that_was_cut_is_told_of_and_made_again(
    app: Connection, database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logs.ROOT)
    monkeypatch.setattr("core.db.listener.OUTAGES", logs.ThrottledLog(0))
    with listening(database_url) as running:
        assert end_listeners(app) == 1
        assert running.next() is None
        notify(app, "12")
        assert running.next() == "12"

    assert logged(caplog, "listener_lost") == 1
    assert logged(caplog, "listening") == 2
