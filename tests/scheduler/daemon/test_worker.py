"""The worker in a thread of this process. Its timers do not run and nobody listens: each test says what has come."""

import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core import logs
from core.active_session_manager import session_saved
from core.clock import utc_now
from core.db.listener import Listener
from core.errors import SchemaNotReady
from core.settings import Settings
from core.store.notify import ACTIVE_CHANGED
from scheduler.daemon import agenda as tasks
from scheduler.daemon.heartbeat import Heartbeat
from scheduler.daemon.timers import Timers
from scheduler.daemon.wakeups import Wakeups
from scheduler.daemon.worker import Worker
from tests.data import (
    add_check_in,
    add_person,
    change_session,
    connected,
    execute,
    only_instance,
    person_at,
    value,
)
from tests.scheduler.daemon_process import eventually
from tests.scheduler.soon import HOUR, causes, instance_soon, on, session_here, weekly

SECONDS = 10.0  # for what takes milliseconds; far below the next resync
LATER, NOW = (5 * HOUR, 7 * HOUR), (-2 * HOUR, 2 * HOUR)


class Receiving(Listener):
    """A listener that says that notifications arrive; the test brings them to the worker."""

    @property
    def listening_since(self) -> datetime | None:
        return datetime(2026, 12, 1, tzinfo=UTC)


class AtWork:
    def __init__(self, url: str, listener_type: type[Listener] = Receiving, **settings: Any) -> None:
        self.wakeups = Wakeups()
        self.timers = Timers(lambda _: None)
        self.ready = Event()
        listener = listener_type(url, "nothing", lambda _: None, lambda: None)
        self.worker = Worker(url, Settings(**settings), self.wakeups, self.timers, listener, on_ready=self.ready.set)
        self.error: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)  # a test that fails may leave it behind
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except Exception as error:  # noqa: BLE001 -- the test asks for it
            self.error = error

    def end(self) -> None:
        """Stop it; may be called twice."""
        self.wakeups.stop()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        gc.unfreeze()  # what the worker froze when it was ready


Work = Callable[..., AtWork]


@pytest.fixture
def work(database_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Work]:
    """Starts a worker, and waits until it has nothing to do; the worker is ended after the test."""
    caplog.set_level(logging.INFO, logs.ROOT)
    with ExitStack() as started:

        def start(**settings: Any) -> AtWork:
            at_work = AtWork(database_url, **settings)
            started.callback(at_work.end)
            assert at_work.ready.wait(SECONDS)
            soon(lambda: at_work.worker._agenda.next_task() is None, "the first resync is done too")
            return at_work

        yield start


def soon(condition: Callable[[], object], what: str) -> None:
    eventually(condition, what, SECONDS)


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[logs.Fields]:
    """Return the fields of each line with this event."""
    return [
        record.msg.fields
        for record in caplog.records
        if isinstance(record.msg, logs.Event) and record.msg.name == event
    ]


def edges(app: Connection) -> set[datetime]:
    """Return the edges that the database knows."""
    found = execute(app, "SELECT opens_at, closes_at FROM activation_window")
    return {edge for window in found for edge in window}


def opens_in(app: Connection, seconds: float) -> tuple[int, datetime]:
    """Return a session whose only window opens in so many seconds, and the edge; no timer is armed for it."""
    session_id = session_here(app)
    instance_soon(app, session_id, *LATER)
    session_saved(app, session_id)
    execute(app, "DELETE FROM plan_request")
    edge = value(
        app,
        "UPDATE activation_window SET opens_at = clock_timestamp() + make_interval(secs => %s) WHERE session_id = %s "
        "RETURNING opens_at",
        *(seconds, session_id),
    )
    return session_id, edge


def test_at_its_start_it_reconciles_everything_and_arms_the_timers_of_a_day(work: Work, app: Connection) -> None:
    now_on, later, in_two_days = session_here(app, weekly(*NOW)), session_here(app), session_here(app)
    instance_soon(app, later, *LATER)
    instance_soon(app, in_two_days, 48 * HOUR, 50 * HOUR)

    at_work = work()

    assert causes(app, now_on) == [(True, "start")]
    day = utc_now() + timedelta(days=1)
    assert at_work.timers._armed == {edge for edge in edges(app) if utc_now() < edge < day}
    assert len(at_work.timers) == 3


def test_before_the_first_edge_it_has_prepared_what_flips(work: Work) -> None:
    at_work = work()

    def flips_are_prepared() -> bool:
        with at_work.worker._engine.connect() as connection:
            statements = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars()
            return any("UPDATE session_instance SET active" in statement for statement in statements)

    soon(flips_are_prepared, "the connection that the worker uses is free")


def test_while_its_database_is_away_it_tries_less_and_less_often_and_shows_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scheduler.daemon.outage.FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("scheduler.daemon.outage.LAST_RETRY_SECONDS", 0.2)
    at_work = AtWork("postgresql://nobody@127.0.0.1:1/nowhere")
    begun = time.monotonic()
    time.sleep(1)
    at_work.end()

    assert 2 <= at_work.worker._outage.losses <= 12, "eight, or forty where the pauses do not grow"
    assert at_work.worker.progress_at > begun + 0.3


def test_after_an_outage_a_poll_begins_anew(work: Work, app: Connection, caplog: pytest.LogCaptureFixture) -> None:
    """Another server may have taken over, whose transactions have other numbers."""
    at_work = work()
    vars(at_work.worker).update(_polled="100:100:")
    execute(
        app,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seisiun daemon'",
    )
    soon(lambda: logged(caplog, "database_back"), "it works again")

    assert at_work.worker._polled is None
    soon(lambda: at_work.worker._agenda.next_task() is None, "everything is reconciled")
    assert len(logged(caplog, "ready")) == 1


def test_a_poll_that_finds_nothing_new_asks_for_no_pass(work: Work, app: Connection) -> None:
    at_work = work()
    session_here(app)
    found = []
    at_work.end()
    for _ in range(2):
        at_work.worker._poll()
        found.append(at_work.worker._agenda.next_task())
        at_work.worker._agenda._pending.clear()

    assert found == [tasks.NOTIFICATIONS, None]


def test_while_nothing_notifies_it_polls(work: Work, app: Connection) -> None:
    work(listener_type=Listener)
    session_id = session_here(app, weekly(*NOW))

    soon(lambda: on(app, session_id), "a tick has found it: the next resync is half a minute away")


def test_edges_that_a_hook_planned_before_it_started_get_timers(work: Work, app: Connection) -> None:
    _, edge = opens_in(app, 600)

    assert edge in work().timers._armed


def test_l6_a_session_whose_pass_ends_the_connection_fails_alone_in_the_end(
    work: Work, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    at_work = work()
    culprit, other = (session_here(app, weekly(*NOW)) for _ in range(2))
    execute(
        app,
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1); RETURN NEW; END $$;"
        "CREATE TRIGGER cut BEFORE UPDATE OF active ON session_instance FOR EACH ROW "
        f"WHEN (NEW.session_id = {culprit}) EXECUTE FUNCTION cut()",
    )
    at_work.wakeups.notification()

    soon(lambda: on(app, other), "the other one is on")
    soon(lambda: [line["session"] for line in logged(caplog, "failed")] == [culprit], "the failure is told")
    assert at_work.worker._outage.isolate


def test_l7_what_was_due_before_the_first_daemon_is_no_miss_and_what_a_later_one_finds_is(
    work: Work, caplog: pytest.LogCaptureFixture, app: Connection
) -> None:
    an_hour_ago = "UPDATE plan_request SET requested_at = requested_at - interval '1 hour'"
    adopted = session_here(app, weekly(*NOW))
    execute(app, an_hour_ago)

    at_work = work()
    assert causes(app, adopted) == [(True, "start")]
    assert logged(caplog, "missed") == []
    assert value(app, "SELECT max(done_at - due_at) < interval '5 seconds' FROM activation_log")

    at_work.end()
    added_meanwhile = session_here(app, weekly(*NOW))
    execute(app, an_hour_ago)
    work()
    assert [miss["session"] for miss in logged(caplog, "missed")] == [added_meanwhile]


def test_l7_a_first_start_that_is_cut_off_is_still_the_first(
    caplog: pytest.LogCaptureFixture, app: Connection, database_url: str
) -> None:
    caplog.set_level(logging.INFO, logs.ROOT)
    adopted, saved = session_here(app, weekly(*NOW)), session_here(app, weekly(*LATER))
    execute(app, "UPDATE plan_request SET requested_at = requested_at - interval '1 hour'")
    execute(
        app,
        "CREATE TABLE cut (); INSERT INTO cut DEFAULT VALUES;"
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  IF EXISTS (SELECT FROM cut) THEN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1); END IF;"
        "  RETURN NEW; END $$;"
        "CREATE TRIGGER cut BEFORE UPDATE OF active ON session_instance FOR EACH ROW EXECUTE FUNCTION cut()",
    )

    at_work = AtWork(database_url)
    soon(lambda: logged(caplog, "database_lost"), "its first pass is cut off")
    session_saved(app, saved)
    execute(app, "TRUNCATE cut")

    soon(lambda: on(app, adopted), "it is on")
    at_work.end()
    assert logged(caplog, "missed") == []


def test_it_says_once_that_it_is_ready(work: Work, caplog: pytest.LogCaptureFixture, app: Connection) -> None:
    instance_soon(app, session_here(app), *LATER)
    work()

    assert logged(caplog, "ready") == [{"timers": 2}]
    assert gc.get_freeze_count() > 0, "no collection walks through what stays, and delays an edge"


def test_a_session_whose_plan_row_is_missing_is_planned(work: Work, app: Connection) -> None:
    session_id = session_here(app, weekly(*NOW))
    execute(app, "DELETE FROM session_plan; DELETE FROM plan_request")

    work()

    assert causes(app, session_id) == [(True, "start")]


def test_l1_a_timer_that_fires_early_waits_for_the_databases_clock(work: Work, app: Connection) -> None:
    at_work = work()
    session_id, edge = opens_in(app, 0.4)

    at_work.wakeups.edge(edge)

    soon(lambda: on(app, session_id), "it is on")
    assert causes(app, session_id) == [(True, "timer")]
    assert value(app, "SELECT done_at >= due_at FROM activation_log")


def test_l1_a_timer_that_fires_late_waits_for_nothing(work: Work, app: Connection) -> None:
    at_work = work()
    session_id, edge = opens_in(app, 0.05)
    soon(lambda: utc_now() > edge + timedelta(seconds=0.1), "it is past")

    at_work.wakeups.edge(edge)

    soon(lambda: on(app, session_id), "it is on")
    soon(lambda: at_work.worker._agenda.next_task() is None, "it goes on")
    assert at_work.error is None


def test_l1_a_timer_that_fires_far_too_early_is_armed_again(work: Work, app: Connection) -> None:
    at_work = work()
    session_id, edge = opens_in(app, 60)
    begun = beats(app)

    at_work.wakeups.edge(edge)

    soon(lambda: at_work.timers.next_at == edge, "the timer is armed again")
    soon(lambda: beats(app) > begun, "the clocks are compared")
    assert causes(app, session_id) == []


def test_l1_an_edge_is_flipped_though_its_timer_never_fires_and_who_was_held_is_moved_after(
    work: Work, app: Connection, database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heartbeat, "timers_are_late", lambda _: False)  # a resync would find who was held, too
    at_work, person = work(), add_person(app)
    for _ in range(3):  # a busy machine may come too late for one
        session_id = session_here(app)
        instance = instance_soon(app, session_id, 2, HOUR)
        session_saved(app, session_id)
        add_check_in(app, instance, person)
        execute(app, "DELETE FROM plan_request")
        with connected(database_url, autocommit=False) as holding:
            execute(holding, "SELECT FROM person FOR UPDATE")
            at_work.timers.keep(frozenset(edges(app)))  # they do not run
            soon(lambda: on(app, session_id), "it is on")  # noqa: B023 -- called in this turn
        if causes(app, session_id) == [(True, "timer")]:
            break
        at_work.timers.keep(frozenset())

    assert causes(app, session_id) == [(True, "timer")]
    soon(lambda: person_at(app, person) == instance, "who was held is moved")
    assert session_id in [line["session"] for line in logged(caplog, "flip")]
    flips = "SELECT jsonb_array_elements(counters->'flips')->>0 FROM daemon_heartbeat"
    soon(lambda: ("timer",) in execute(app, flips), "it counts it")


def test_while_each_session_stands_alone_no_edge_is_prepared(work: Work, app: Connection) -> None:
    at_work = work()
    at_work.worker._outage._isolate_until = float("inf")
    _, edge = opens_in(app, 1.2)
    at_work.timers.add([edge])

    soon(lambda: utc_now() > edge, "it is past")

    assert at_work.worker._agenda._taken_ahead is None


def beats(app: Connection) -> datetime:
    found: datetime = value(app, "SELECT max(beat_at) FROM daemon_heartbeat")
    return found


def test_a_notification_is_served_and_its_edges_get_timers(work: Work, app: Connection) -> None:
    at_work = work()
    now_on, later = session_here(app, weekly(*NOW)), session_here(app)
    instance_soon(app, later, *LATER)

    at_work.wakeups.notification()

    soon(lambda: on(app, now_on), "it is on")
    assert causes(app, now_on) == [(True, "notify")]
    soon(lambda: at_work.timers._armed == {edge for edge in edges(app) if edge > utc_now()}, "the timers are armed")


def test_a_session_that_a_notification_names_is_planned_without_a_request(work: Work, app: Connection) -> None:
    at_work = work()
    session_id = session_here(app, weekly(*NOW))
    execute(app, "DELETE FROM plan_request")

    at_work.wakeups.notification(str(session_id))

    soon(lambda: on(app, session_id), "it is on")
    assert causes(app, session_id) == [(True, "notify")]


def test_edges_that_another_process_planned_get_timers_after_a_notification(work: Work, app: Connection) -> None:
    at_work = work(resync_seconds=10)
    _, near = opens_in(app, 19)
    _, far = opens_in(app, 60)

    at_work.wakeups.notification()

    soon(lambda: near in at_work.timers._armed, "the timer is armed")
    assert far not in at_work.timers._armed, "the next resync finds it in time"


def test_a_session_that_failed_is_tried_again_without_another_wakeup(
    work: Work, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    at_work = work()
    refuse_flips(app)
    session_id = session_here(app, weekly(*NOW))
    at_work.wakeups.notification()
    soon(lambda: logged(caplog, "failed"), "it failed")

    execute(app, "DROP TRIGGER refuse ON session_instance")

    soon(lambda: on(app, session_id), "it is on")
    assert logged(caplog, "database_lost") == []


def refuse_flips(app: Connection) -> None:
    execute(
        app,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no flips today'; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE OF active ON session_instance FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def test_a_retry_that_was_noted_before_it_started_is_kept(work: Work, app: Connection) -> None:
    session_id = session_here(app, weekly(*NOW))
    execute(
        app,
        "DELETE FROM plan_request; UPDATE session_plan SET failures = 1, error = 'x', "
        "failed_at = clock_timestamp(), retry_at = clock_timestamp() + interval '2 s'",
    )
    work()
    assert causes(app, session_id) == []

    soon(lambda: on(app, session_id), "it is on")


def test_a_deferred_session_is_done_when_its_row_is_free(work: Work, app: Connection, database_url: str) -> None:
    at_work = work()
    session_id = session_here(app, weekly(*LATER))
    at_work.wakeups.notification()
    soon(lambda: value(app, "SELECT count(*) FROM plan_request") == 0, "it is planned")
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "SELECT FROM session_instance WHERE session_id = %s FOR UPDATE", session_id)
        change_session(app, session_id, recurrence=weekly(*NOW))
        at_work.wakeups.notification()
        soon(lambda: at_work.worker._agenda.backoff.next_at() is not None, "it is deferred")
        assert on(app, session_id) is None

    soon(lambda: on(app, session_id), "it is on")


def test_a_lost_connection_is_made_again_and_everything_is_reconciled(
    work: Work, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    work()
    session_id = session_here(app, weekly(*NOW))
    execute(
        app,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seisiun daemon'",
    )

    soon(lambda: on(app, session_id), "it is on, though nothing notified")
    soon(lambda: logged(caplog, "database_back"), "the outage is over")
    assert len(logged(caplog, "database_lost")) == 1


def test_work_that_the_database_refuses_is_postponed_and_stops_no_edit(
    work: Work, app: Connection, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    at_work = work()
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "LOCK TABLE daemon_heartbeat")
        soon(lambda: logged(caplog, "postponed"), "a beat is postponed")
        session_id = session_here(app, weekly(*NOW))
        at_work.wakeups.notification()
        soon(lambda: on(app, session_id), "it is on")

    assert {line["work"] for line in logged(caplog, "postponed")} == {"beat"}
    assert logged(caplog, "database_busy") == []


def test_a_schema_of_another_release_ends_it(work: Work, app: Connection) -> None:
    at_work = work()
    execute(app, "UPDATE seisiun_schema_version SET version_num = '9999'")
    execute(
        app,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seisiun daemon'",
    )

    soon(lambda: at_work.error is not None, "it ends")
    assert isinstance(at_work.error, SchemaNotReady)


def test_it_beats_each_second_and_says_when_it_ends(work: Work, app: Connection) -> None:
    at_work = work()
    soon(lambda: value(app, "SELECT count(*) FROM daemon_heartbeat WHERE last_look_at IS NOT NULL") == 1, "a beat")
    first, begun = beats(app), at_work.worker.progress_at
    soon(lambda: beats(app) > first, "another beat")
    assert at_work.worker.progress_at > begun, "it shows progress while it is idle"

    at_work.end()

    assert value(app, "SELECT count(*) FROM daemon_heartbeat WHERE ended IS NULL") == 0
    connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seisiun daemon'"
    soon(lambda: value(app, connections) == 0, "the server has noticed that it is gone")


def test_history_that_is_too_old_is_pruned(work: Work, app: Connection) -> None:
    session_id = session_here(app, weekly(*NOW))
    session_saved(app, session_id)
    execute(app, "UPDATE activation_log SET done_at = clock_timestamp() - interval '3 days'")

    work(keep_days=2)

    soon(lambda: causes(app, session_id) == [], "it is pruned")


def test_an_edge_that_no_timer_told_of_is_found_by_the_tick(work: Work, app: Connection) -> None:
    at_work = work()
    session_id, edge = opens_in(app, -1.5)

    at_work.timers.add([edge])  # they do not run: it never fires

    soon(lambda: on(app, session_id), "it is on")
    assert causes(app, session_id) == [(True, "resync")]


def test_while_nothing_arrives_it_asks_for_requests_each_second(database_url: str, app: Connection) -> None:
    class NotReceiving(Receiving):
        @property
        def listening_since(self) -> datetime | None:
            return None

    at_work = AtWork(database_url)
    at_work.worker._listener = NotReceiving(database_url, "nothing", lambda _: None, lambda: None)
    assert at_work.ready.wait(SECONDS)
    session_id = session_here(app, weekly(*NOW))

    soon(lambda: on(app, session_id), "it is on")
    at_work.end()
    assert causes(app, session_id) == [(True, "resync")]


def test_where_the_app_does_not_notify_it_asks_for_requests_and_tells_the_pages(
    work: Work, app: Connection, database_url: str
) -> None:
    execute(app, "INSERT INTO seisiun_choice VALUES ('notifications', 'off')")
    at_work = work()
    soon(lambda: not at_work.worker._heartbeat.app_notifies, "it has read the choice")
    with connected(database_url) as pages:
        execute(pages, f"LISTEN {ACTIVE_CHANGED}")
        session_id = session_here(app, weekly(*NOW))
        soon(lambda: on(app, session_id), "it is on")
        assert causes(app, session_id) == [(True, "notify")]

        soon(lambda: "" in told(pages), "the pages read everything")


def told(listening: Connection) -> list[str]:
    """Return the payloads of all notifications since it listens."""
    listening.poll()
    return [notify.payload for notify in listening.notifies]


def test_rows_of_a_deleted_session_are_deleted_and_counted(
    work: Work, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    at_work = work()
    session_id = session_here(app, weekly(*LATER))
    at_work.wakeups.notification()
    soon(lambda: value(app, "SELECT count(*) FROM plan_request") == 0, "it is planned")
    only_instance(app, session_id)

    for told in ([1], [1, 1]):
        execute(app, "INSERT INTO plan_request (session_id) VALUES (%s)", 987_654)
        at_work.wakeups.notification()
        soon(lambda: [line["rows"] for line in logged(caplog, "dropped")] == told, "each is told of, once")  # noqa: B023 -- called in this turn
    assert value(app, "SELECT count(*) FROM plan_request") == 0


class FiresMeanwhile(Timers):
    """Its timer for an edge that is near has fired when somebody asks again: then the next edge is hours away."""

    is_asked_again = False

    @property
    def next_at(self) -> datetime | None:
        far = super().next_at
        self.is_asked_again = not self.is_asked_again
        return utc_now() + timedelta(milliseconds=20) if far and self.is_asked_again else far


def test_an_edge_whose_timer_fires_meanwhile_is_not_taken_for_the_next_one(
    work: Work, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for hours, with an edge that it takes to be near."""
    monkeypatch.setattr("tests.scheduler.daemon.test_worker.Timers", FiresMeanwhile)
    session_id = session_here(app, weekly(*LATER))
    at_work = work()

    change_session(app, session_id, recurrence=weekly(*NOW))
    at_work.wakeups.notification()

    soon(lambda: on(app, session_id), "the worker goes on")
