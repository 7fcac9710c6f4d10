"""Edges prepared ahead: flipped at their very instant, never before, and never against an edit (L1).

Covers core.reconcile.ahead, core.store.hold.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event

from core import logs
from core.db import create_engine
from core.migrations.privileges import grants
from core.reconcile import ahead
from core.reconcile.ahead import LONGEST_LEAD_SECONDS, REMEMBERED, Lead, reconcile_ahead
from core.reconcile.batches import CHUNK, reconcile
from core.reconcile.result import PassOptions, ReconcileResult
from core.rules.flips import Cause
from core.settings import Settings
from core.store import hold
from tests.core.passes import senders_to
from tests.data import (
    add_check_in,
    add_instance,
    add_person,
    change_instance,
    execute,
    flips_of,
    forget_requests,
    person_at,
    requests,
    value,
)
from tests.scheduler.soon import NOON, on, session_here

TIMER = PassOptions(Cause.TIMER, Settings())
BEFORE_SECONDS = 0.04  # the edge
MS = 0.001


@dataclass(frozen=True)
class Opening:
    """An instance that opens in a moment."""

    session_id: int
    instance_id: int
    at: datetime

    def seconds(self) -> float:
        """Return how many seconds it is ahead: the server is on this machine."""
        return (self.at - datetime.now(UTC)).total_seconds()


@pytest.fixture
def opening(engine: Engine, app: Connection) -> Opening:
    reconcile(engine, TIMER)  # connects
    at = datetime.now(UTC) + timedelta(seconds=0.3)
    start, end = (each.astimezone(ZoneInfo(NOON)) for each in (at, at + timedelta(hours=1)))
    session_id = session_here(app)
    instance_id = add_instance(app, session_id, f"{start:%Y-%m-%d}", f"{start:%H:%M:%S.%f}", f"{end:%H:%M:%S}")
    reconcile(engine, TIMER)
    return Opening(session_id, instance_id, at)


def prepare(engine: Engine, opening: Opening, options: PassOptions = TIMER) -> ReconcileResult:
    """Prepare the opening as a daemon does, which wakes up a little before."""
    time.sleep(max(0.0, opening.seconds() - BEFORE_SECONDS))
    result, _ = reconcile_ahead(
        engine, options, opening.at, Lead(), excluded=frozenset(), seconds_to_edge=opening.seconds()
    )
    return result


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine look like a process that was stopped."""
    monkeypatch.setattr(hold, "end_soon_if_stopped", lambda _: None)


@contextmanager
def in_the_hold(engine: Engine, do: Callable[[], object]) -> Iterator[None]:
    """Do this when everything is written, just before the server is told to wait and to commit."""

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "DO $$" in statement:
            do()

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)


@pytest.mark.usefixtures("unhurried")
def test_l1_an_edge_is_flipped_at_its_instant_and_not_before(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection], opening: Opening
) -> None:
    person = add_person(app)
    add_check_in(app, opening.instance_id, person)
    reconcile(engine, TIMER)
    other, seen, stop = db_connect(), [], Event()
    other.autocommit = True

    def watch() -> None:
        while not stop.is_set():
            [(at, is_on)] = execute(other, "SELECT clock_timestamp(), active FROM session_instance")
            seen.append((at, is_on))

    watcher = Thread(target=watch)
    watcher.start()
    result = prepare(engine, opening)
    stop.set()
    watcher.join()

    assert [flip.active for flip in result.flips] == [True]
    # It reads the clock in the statement, so after the snapshot.
    assert [at for at, is_on in seen if is_on and at < opening.at] == []
    assert on(app, opening.session_id) == person_at(app, person) == opening.instance_id
    [(_, active, due_at, done_at, cause)] = flips_of(app, opening.session_id)
    assert (active, due_at, cause) == (True, opening.at, "timer")
    assert opening.at <= done_at < opening.at + timedelta(seconds=1)


def test_l1_an_edit_that_is_committed_before_the_edge_counts(engine: Engine, app: Connection, opening: Opening) -> None:
    with in_the_hold(engine, lambda: change_instance(app, opening.instance_id, comments="no more")):
        execute(app, "SET statement_timeout = '1s'")

        result = prepare(engine, opening)

    assert result.flips == ()
    assert on(app, opening.session_id) is None


@pytest.mark.parametrize(
    "written",
    [
        "INSERT INTO plan_request (session_id) VALUES (%s)",
        "UPDATE session_plan SET next_plan_at = now() WHERE session_id = %s",
    ],
    ids=["a request", "its plan is due"],
)
def test_what_must_be_planned_first_is_left_to_the_timer(
    engine: Engine, app: Connection, opening: Opening, written: str
) -> None:
    execute(app, written, opening.session_id)

    assert prepare(engine, opening).flips == ()
    assert on(app, opening.session_id) is None


def test_what_a_notification_named_is_left_to_the_timer(engine: Engine, app: Connection, opening: Opening) -> None:
    named = PassOptions(Cause.TIMER, Settings(), notified=frozenset({opening.session_id}))

    assert prepare(engine, opening, named).flips == ()
    assert on(app, opening.session_id) is None


@pytest.mark.usefixtures("unhurried")
def test_who_says_yes_in_the_hold_is_requested(engine: Engine, app: Connection, opening: Opening) -> None:
    person = add_person(app)

    with in_the_hold(engine, lambda: add_check_in(app, opening.instance_id, person)):
        result = prepare(engine, opening)

    assert len(result.flips) == 1
    assert requests(app) == [opening.session_id]
    reconcile(engine, TIMER)
    assert person_at(app, person) == opening.instance_id


def test_an_edge_that_is_far_away_is_not_held(
    engine: Engine, app: Connection, opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    """The host's clock and the database's may be apart, by how much nobody has measured yet."""
    caplog.set_level(logging.DEBUG, logs.ROOT)
    begun = time.monotonic()
    result, _ = reconcile_ahead(engine, TIMER, opening.at, Lead(), excluded=frozenset(), seconds_to_edge=0.0)

    assert result.flips == ()
    assert time.monotonic() - begun < opening.seconds() + 1
    assert opening.seconds() > 0 or on(app, opening.session_id) is None
    [why] = [record.getMessage() for record in caplog.records if "left_to_the_timer" in record.getMessage()]
    assert "exception=" in why


@pytest.mark.usefixtures("unhurried")
def test_the_log_says_so_if_the_edge_has_passed_before_the_commit(
    engine: Engine, app: Connection, opening: Opening
) -> None:
    with in_the_hold(engine, lambda: time.sleep(opening.seconds() + 0.02)):
        assert len(prepare(engine, opening).flips) == 1

    [(*_, done_at, _)] = flips_of(app, opening.session_id)
    assert done_at >= opening.at + timedelta(seconds=0.02)


@pytest.fixture
def daemons_role(engine: Engine, app: Connection) -> Iterator[Engine]:
    """A daemon with a role of its own, which has what `grants` prints and nothing else."""
    with engine.connect() as owner:
        execute(app, "DROP ROLE IF EXISTS ahead; CREATE ROLE ahead LOGIN PASSWORD 'ahead'")
        for statement in grants(owner, "ahead", daemon=True):
            execute(app, statement)
    role = create_engine(engine.url.set(username="ahead", password="ahead").render_as_string(hide_password=False))
    yield role
    role.dispose()
    execute(app, "DROP OWNED BY ahead; DROP ROLE ahead")


def test_a_daemons_own_role_may_put_right_when_a_late_edge_was_done(daemons_role: Engine) -> None:
    a_second_ago = datetime.now(UTC) - timedelta(seconds=1)

    with daemons_role.begin() as connection:
        connection.exec_driver_sql(hold.until(a_second_ago, [1]))


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("way", ["ended by the server", "cut off"])
def test_a_connection_that_is_lost_in_the_hold_leaves_all_of_the_edge_or_nothing(
    engine: Engine, app: Connection, opening: Opening, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on where the client is gone; where it ends the transaction itself, the next pass flips."""
    monkeypatch.setattr(hold, "FARTHEST", timedelta(seconds=1))  # so that there is time for it on a busy machine
    losing: list[Thread] = []

    def lose(raw: Any) -> None:
        time.sleep(0.01)  # the server has begun to wait
        if way == "cut off":
            with socket.socket(fileno=os.dup(raw.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)
        else:
            execute(app, "SELECT pg_terminate_backend(%s)", raw.info.backend_pid)

    def lose_soon(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "DO $$" in statement:
            losing.append(Thread(target=lose, args=(connection.connection.dbapi_connection,)))
            losing[0].start()

    event.listen(engine, "before_cursor_execute", lose_soon)
    result, _ = reconcile_ahead(engine, TIMER, opening.at, Lead(), excluded=frozenset(), seconds_to_edge=0.0)
    event.remove(engine, "before_cursor_execute", lose_soon)
    losing[0].join()
    time.sleep(max(0.0, opening.seconds()) + 0.05)

    assert result.flips == (), "nobody has told us that it was committed"
    assert (on(app, opening.session_id) == opening.instance_id) == (way == "cut off")
    assert len(reconcile(engine, TIMER).flips) == (way != "cut off")
    assert len(flips_of(app, opening.session_id)) == 1


def test_a_process_that_is_stopped_in_the_hold_loses_its_locks(
    engine: Engine, app: Connection, opening: Opening
) -> None:
    locked: list[object] = []

    def stopped() -> None:
        execute(app, "SET lock_timeout = '1s'")
        locked.append(value(app, "SELECT session_id FROM session_plan FOR UPDATE"))

    with in_the_hold(engine, stopped):
        assert prepare(engine, opening).flips == ()

    assert locked == [opening.session_id]
    assert reconcile(engine, TIMER).sessions == {opening.session_id}
    assert on(app, opening.session_id) == opening.instance_id


@pytest.mark.usefixtures("database_of_its_own")
def test_a_clock_that_is_set_back_in_the_hold_does_not_hold_the_locks(
    engine: Engine, app: Connection, opening: Opening
) -> None:
    before = opening.at - timedelta(milliseconds=20)
    execute(app, "CREATE SEQUENCE back MINVALUE -1000 MAXVALUE 0 START 0 INCREMENT -1")
    execute(
        app,
        "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ "
        f"SELECT '{before}'::timestamptz + nextval('public.back') * interval '1 hour' $$",
    )

    def set_back(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "DO $$" in statement:
            connection.exec_driver_sql("SET LOCAL search_path = public, pg_catalog")

    event.listen(engine, "before_cursor_execute", set_back)
    begun = time.monotonic()

    assert prepare(engine, opening).flips == ()
    assert time.monotonic() - begun < 1
    assert value(app, "SELECT last_value FROM back") < 0


def test_it_locks_no_earlier_than_a_pass_needs_and_the_server_waits_no_longer_than_it_must(
    engine: Engine, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "HELD_SECONDS", 0.0)  # not until the edge
    left: list[float] = []
    held: list[float] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        left.append(opening.seconds())
        held.extend(left[-1:] if "DO $$" in statement else ())

    lead = Lead()
    event.listen(engine, "before_cursor_execute", note)
    with senders_to(engine) as senders:
        reconcile_ahead(engine, TIMER, opening.at, lead, excluded=frozenset(), seconds_to_edge=opening.seconds())
    event.remove(engine, "before_cursor_execute", note)

    searched, ended = senders.index("due.due_sessions"), senders.index("hold.end_soon_if_stopped")
    assert ended < senders.index("requests.lock_plans"), "the app waits for no process that was stopped before"
    assert left[ended] <= Lead().seconds(1) + MS < left[searched]
    assert held[0] <= MS, "it spins: a processor is busy"
    assert len(lead._slowness) == 2, "what this pass took counts for the next"


def test_nothing_is_begun_for_an_edge_at_which_nothing_is_due(
    engine: Engine, app: Connection, opening: Opening
) -> None:
    execute(app, "UPDATE activation_window SET opens_at = opens_at + interval '1 minute'")
    with senders_to(engine) as senders:
        assert prepare(engine, opening) == ReconcileResult()

    assert "requests.lock_plans" not in senders
    assert senders.count("transactions._own_transaction") == 2, "the search begins and ends"


def test_nothing_is_held_for_an_edge_at_which_nothing_flips(engine: Engine, app: Connection, opening: Opening) -> None:
    change_instance(app, opening.instance_id, active=True)
    forget_requests(app)
    with in_the_hold(engine, lambda: pytest.fail("it holds")):
        assert prepare(engine, opening) == ReconcileResult()

    assert value(app, "SELECT phase FROM activation_window") == "ahead", "the pass at the edge writes it"


def test_the_lead_follows_how_long_passes_took_but_for_one() -> None:
    lead = Lead()
    for _ in range(REMEMBERED):
        lead.note(1, 0.006)
    usual = lead.seconds(1)

    lead.note(1, 0.5)
    assert lead.seconds(1) == usual
    lead.note(1, 0.012)
    assert usual < lead.seconds(1) < 2 * usual
    assert lead.seconds(1) < lead.seconds(50)
    lead.note(1, 10)
    assert lead.seconds(1) == LONGEST_LEAD_SECONDS


def test_no_more_sessions_are_prepared_than_the_longest_lead_is_enough_for() -> None:
    lead = Lead()
    for slowness in (0.5, 1.5, 3, 1000):
        for _ in range(REMEMBERED):
            lead.note(1, slowness * 0.0062)
        most = lead.most_sessions
        assert 1 <= most <= CHUNK
        assert most == 1 or lead.seconds(most) < LONGEST_LEAD_SECONDS
        assert most == CHUNK or lead.seconds(most + 2) == LONGEST_LEAD_SECONDS
