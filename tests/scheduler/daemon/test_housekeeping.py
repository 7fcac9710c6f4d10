"""What the worker reports of sessions that it cannot finish."""

import logging
import time
from contextlib import AbstractContextManager

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as Ours
from sqlalchemy import Engine

from core import logs
from scheduler.daemon.agenda import GRACE, Agenda
from scheduler.daemon.backoff import REPORT_AFTER_SECONDS
from scheduler.daemon.housekeeping import Housekeeping
from tests.core.passes import senders_to
from tests.data import connected, execute

KEEP_DAYS = 30


@pytest.fixture
def agenda() -> Agenda:
    return Agenda(30)


@pytest.fixture
def housekeeping(engine: Engine, agenda: Agenda, caplog: pytest.LogCaptureFixture) -> Housekeeping:
    caplog.set_level(logging.INFO, logs.ROOT)
    return Housekeeping(engine.begin, agenda, KEEP_DAYS)


def reported(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    lines = [record.msg.fields for record in caplog.records if isinstance(record.msg, logs.Event)]
    return [(line["session"], line["held_by"]) for line in lines]


def test_a_session_that_is_deferred_for_long_is_told_of_once_with_who_holds_its_rows(
    housekeeping: Housekeeping, agenda: Agenda, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    long_ago = time.monotonic() - REPORT_AFTER_SECONDS - 1
    agenda.backoff.add([7], long_ago)
    agenda.backoff.add([8], time.monotonic())
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "LOCK TABLE person IN ROW EXCLUSIVE MODE")
        time.sleep(GRACE.total_seconds())
        housekeeping.report_deferred()
        housekeeping.report_deferred()
        pid = str(holding.info.backend_pid)

    assert reported(caplog) == [(7, pid)]
    assert housekeeping.held_by == {7: pid}
    housekeeping.forget(frozenset({7, 9}))
    assert housekeeping.held_by == {}


def test_it_warms_up_what_an_edge_needs(housekeeping: Housekeeping, engine: Engine) -> None:
    with senders_to(engine) as senders:
        housekeeping.warm_up()

    assert "flips._flip" in senders


def test_who_holds_them_may_be_unknown(
    housekeeping: Housekeeping, agenda: Agenda, caplog: pytest.LogCaptureFixture
) -> None:
    agenda.backoff.add([7], time.monotonic() - REPORT_AFTER_SECONDS - 1)
    housekeeping.report_deferred()

    assert reported(caplog) == [(7, "unknown")]


def test_without_such_a_session_nothing_is_asked(agenda: Agenda) -> None:
    def refused() -> AbstractContextManager[Ours]:
        pytest.fail("it asks the database")

    Housekeeping(refused, agenda, KEEP_DAYS).report_deferred()
    Housekeeping(refused, agenda, KEEP_DAYS).prune_if_due()


def test_history_is_pruned_when_that_is_due(housekeeping: Housekeeping, agenda: Agenda, app: Connection) -> None:
    for days in (KEEP_DAYS - 1, KEEP_DAYS + 1):
        execute(
            app,
            "INSERT INTO activation_log (session_id, session_instance_id, active, due_at, done_at, cause) "
            "VALUES (1, %s, true, now(), clock_timestamp() - make_interval(days => %s), 'timer')",
            *(days, days),
        )
    left = "SELECT session_instance_id FROM activation_log"
    housekeeping.prune_if_due()
    assert len(execute(app, left)) == 2, "not before the daemon is ready"
    agenda.is_ready = True

    housekeeping.prune_if_due()

    assert execute(app, left) == [(KEEP_DAYS - 1,)]
