"""The heartbeat: what it writes, and how the timers follow the database's clock."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from freezegun import freeze_time
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core import logs
from core.clock import utc_now
from core.db.listener import Listener
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip
from scheduler.daemon.heartbeat import MOST_PROBES_MISSED, OFFSET_TOLERANCE, PING_SECONDS, Heartbeat
from scheduler.daemon.outage import Outage
from scheduler.daemon.timers import Timers
from tests.data import execute, value
from tests.scheduler.daemon_process import eventually

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
SECOND, HOUR, MS = timedelta(seconds=1), timedelta(hours=1), timedelta(milliseconds=1)


class Parts:
    """A heartbeat and the parts that it tells of."""

    def __init__(self, engine: Engine) -> None:
        self.timers = Timers(lambda _: None)
        self.listener = Listener("postgresql://nobody@nowhere/nothing", "nothing", lambda _: None, lambda: None)
        self.outage = Outage()
        self.pings = 0
        self.heartbeat = Heartbeat(engine.begin, self.timers, self.listener, self.outage, self._count_ping)

    def _count_ping(self) -> None:
        self.pings += 1

    def measure(self, ahead: timedelta, took: timedelta = MS) -> None:
        """Note an exchange with a database whose clock is so far ahead."""
        self.heartbeat._offset.measure(NOON, NOON + took / 2 + ahead, NOON + took)


@pytest.fixture
def parts(engine: Engine, caplog: pytest.LogCaptureFixture) -> Parts:
    caplog.set_level(logging.INFO, logs.ROOT)
    return Parts(engine)


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[logs.Fields]:
    events = [record.msg for record in caplog.records if isinstance(record.msg, logs.Event)]
    return [each.fields for each in events if each.name == event]


def row(app: Connection) -> dict[str, Any]:
    found: dict[str, Any] = value(app, "SELECT to_jsonb(d) FROM daemon_heartbeat d")
    return found


def test_a_beat_says_who_it_is_and_what_comes_next(parts: Parts, app: Connection) -> None:
    edge = NOON + 365 * 24 * HOUR
    parts.timers.add([edge, edge + HOUR])

    parts.heartbeat.beat()

    beat = row(app)
    assert (beat["pid"], beat["trouble"], beat["listening_since"]) == (os.getpid(), None, None)
    assert datetime.fromisoformat(beat["next_timer_at"]) == edge
    assert abs(parts.heartbeat._offset.value) < SECOND, "the clock was measured"
    assert parts.heartbeat._offset.is_measured


def test_a_pass_is_told_with_the_next_beat_and_not_again(parts: Parts, app: Connection) -> None:
    parts.heartbeat.beat()
    assert row(app)["last_look_at"] is None
    parts.heartbeat.note_pass(Cause.RESYNC, ReconcileResult(), 0.5)
    parts.heartbeat.beat()
    told = row(app)["last_look_at"]
    assert told is not None
    parts.heartbeat.beat()

    assert row(app)["last_look_at"] == told


def test_a_pass_is_told_by_the_next_beat_that_can_be_written(parts: Parts, app: Connection) -> None:
    execute(app, "ALTER TABLE daemon_heartbeat RENAME TO away")
    parts.heartbeat.note_pass(Cause.RESYNC, ReconcileResult(), 0.5)
    with pytest.raises(Exception, match="daemon_heartbeat"):
        parts.heartbeat.beat()
    execute(app, "ALTER TABLE away RENAME TO daemon_heartbeat")
    parts.heartbeat.beat()

    assert row(app)["last_look_at"] is not None


TROUBLES: dict[str, Callable[[Parts], object]] = {
    "it receives no notifications": lambda parts: setattr(parts.listener, "not_receiving", True),
    "its timers are stuck": lambda parts: setattr(parts.timers, "probes_missed", MOST_PROBES_MISSED + 1),
    "the database refuses its work: no": lambda parts: setattr(parts.outage, "refused", "no"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_told(parts: Parts, app: Connection, trouble: str) -> None:
    TROUBLES[trouble](parts)
    parts.heartbeat.beat()

    assert row(app)["trouble"].startswith(trouble)
    assert ";" not in row(app)["trouble"]


def test_a_few_probes_without_an_answer_are_no_trouble(parts: Parts, app: Connection) -> None:
    parts.timers.probes_missed = MOST_PROBES_MISSED
    parts.heartbeat.beat()

    assert row(app)["trouble"] is None


@pytest.mark.parametrize(("choice", "notifies"), [("off", False), ("on", True)])
def test_it_reads_whether_the_app_notifies(parts: Parts, app: Connection, choice: str, *, notifies: bool) -> None:
    execute(app, "INSERT INTO seisiun_choice VALUES ('notifications', %s)", choice)
    parts.heartbeat.beat()

    assert parts.heartbeat.app_notifies is notifies


@pytest.mark.parametrize("edge_in", [9 * MS, -9 * MS, HOUR])
def test_l1_the_seconds_to_an_edge_are_by_the_databases_clock(parts: Parts, edge_in: timedelta) -> None:
    with freeze_time(NOON):
        parts.measure(5 * SECOND)

        assert parts.heartbeat.seconds_to(NOON + 5 * SECOND + edge_in) == edge_in.total_seconds()


def test_two_clocks_that_drift_apart_are_followed_without_a_word(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    edge = utc_now() + HOUR
    parts.timers.add([edge])
    parts.measure(OFFSET_TOLERANCE)
    assert not parts.heartbeat.follow_clock()
    assert parts.timers._clock_offset == timedelta(0)

    parts.measure(30 * MS)

    assert not parts.heartbeat.follow_clock()
    assert parts.timers._clock_offset == 30 * MS
    assert parts.timers.next_at == edge
    assert not parts.heartbeat.follow_clock()
    assert logged(caplog, "clock_skew") == []


def test_a_clock_that_was_set_asks_for_a_resync_and_is_told_when_it_is_far_off(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    for ahead, is_set, told in [
        (SECOND, True, []),
        (SECOND + 400 * MS, False, []),
        (10 * SECOND, True, [10.0]),
        (10 * SECOND + 900 * MS, True, [10.0]),
        (-10 * SECOND, True, [10.0, -10.0]),
        (timedelta(0), True, [10.0, -10.0, 0.0]),
    ]:
        parts.measure(ahead)
        assert parts.heartbeat.follow_clock() is is_set
        assert [line["database_ahead_s"] for line in logged(caplog, "clock_skew")] == told


@pytest.mark.parametrize(
    ("edge_in", "late"), [(None, []), (HOUR, []), (-999 * MS, []), (-SECOND, [1.0]), (-7 * SECOND, [7.0])]
)
def test_an_edge_that_the_timers_missed_is_noticed(
    parts: Parts, caplog: pytest.LogCaptureFixture, edge_in: timedelta | None, late: list[float]
) -> None:
    with freeze_time(NOON):
        parts.measure(5 * SECOND)
        if edge_in is not None:
            parts.timers.add([NOON + 5 * SECOND + edge_in])

        assert parts.heartbeat.timers_are_late() is bool(late)
    assert [line["seconds"] for line in logged(caplog, "timers_late")] == late
    assert parts.timers.probes_missed == 1


def test_before_the_database_was_asked_no_timer_is_late(parts: Parts) -> None:
    parts.timers.add([utc_now() - HOUR])

    assert not parts.heartbeat.timers_are_late()


def test_when_the_hosts_clock_is_set_the_timers_compute_their_wait_again(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    fired: list[datetime] = []
    timers = Timers(fired.append)
    parts.heartbeat._timers = timers
    thread = Thread(target=timers.run, daemon=True)
    thread.start()
    with freeze_time(NOON, ignore=["scheduler.daemon.clock_offset", "threading"]) as clock:
        parts.heartbeat._offset._wall = NOON
        timers.add([NOON + HOUR])
        until_next = timers._scheduler._event
        eventually(lambda: until_next._cond._waiters and not until_next.is_set(), "it waits for an hour", 5)
        assert not parts.heartbeat.clock_was_set()
        clock.move_to(NOON + HOUR)

        assert parts.heartbeat.clock_was_set()
        eventually(lambda: fired, "the timer fires", 5)
        assert not parts.heartbeat.clock_was_set()
    timers.stop()
    thread.join(5)
    [line] = logged(caplog, "clock_stepped")
    assert line["seconds"] == pytest.approx(3600, abs=1)


def test_it_pings_each_minute_in_which_a_pass_has_finished(parts: Parts) -> None:
    heartbeat = parts.heartbeat
    heartbeat._ping_if_due(1000)
    assert parts.pings == 0, "no pass has finished"
    heartbeat.note_pass(Cause.RESYNC, ReconcileResult(), 0.5)
    heartbeat._ping_if_due(1000)
    heartbeat.note_pass(Cause.RESYNC, ReconcileResult(), 0.5)
    heartbeat._ping_if_due(1000 + PING_SECONDS - 0.001)
    assert parts.pings == 1
    heartbeat._ping_if_due(1000 + PING_SECONDS)
    assert parts.pings == 2
    heartbeat._ping_if_due(1000 + 2 * PING_SECONDS)
    assert parts.pings == 2, "no pass has finished since"


def test_it_does_not_ping_when_the_beat_cannot_be_written(parts: Parts, app: Connection) -> None:
    parts.heartbeat.note_pass(Cause.RESYNC, ReconcileResult(), 0.5)
    execute(app, "ALTER TABLE daemon_heartbeat RENAME TO elsewhere")

    with pytest.raises(DBAPIError):
        parts.heartbeat.beat()
    assert parts.pings == 0
    execute(app, "ALTER TABLE elsewhere RENAME TO daemon_heartbeat")
    parts.heartbeat.beat()
    assert parts.pings == 1


def test_it_publishes_what_it_has_counted(parts: Parts, app: Connection) -> None:
    due = utc_now() - 7 * SECOND
    late = ReconcileResult(activated=(Flip(1, 1, active=True, due_at=due),))
    parts.heartbeat.note_pass(Cause.RESYNC, late, 0.25)
    parts.heartbeat.note_pass(Cause.TIMER, ReconcileResult(), 0.5)
    parts.outage.losses, parts.listener.losses = 2, 1
    parts.heartbeat.beat()

    counted = row(app)["counters"]
    assert counted["flips"] == [["resync", True, 1]]
    assert (counted["misses"], counted["passes"], counted["pass_seconds"]) == (1, 2, 0.75)
    assert (counted["late"]["5.0"], counted["late"]["30.0"]) == (0, 1)
    assert counted["reconnects"] == {"worker": 2, "listener": 1}
    assert counted["log_lines_lost"] == 0


def test_its_row_says_why_it_ends_and_no_other_does(parts: Parts, app: Connection, engine: Engine) -> None:
    Parts(engine).heartbeat.beat()
    parts.heartbeat.beat()
    parts.heartbeat.stop("stopped by SIGTERM")

    assert execute(app, "SELECT ended FROM daemon_heartbeat ORDER BY ended") == [("stopped by SIGTERM",), (None,)]
