"""Outages: lost, refused and busy are told apart, and when each session gets a transaction of its own."""

import logging
from collections.abc import Callable
from contextlib import suppress

import psycopg2
import pytest
from sqlalchemy.exc import DBAPIError

from core import logs
from scheduler.daemon.outage import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, MOST_PASSES_LOST, Outage


def lost() -> DBAPIError:
    return DBAPIError(
        "SELECT 1", None, psycopg2.OperationalError("server closed the connection"), connection_invalidated=True
    )


class Answer(psycopg2.Error):
    """An error that the server tells."""

    pgcode = "42501"


class Held(psycopg2.errors.LockNotAvailable):
    pgcode = "55P03"


def refused() -> DBAPIError:
    return DBAPIError("SELECT 1", None, Answer("permission denied\nLINE 1: ..."))


def busy() -> DBAPIError:
    return DBAPIError("SELECT 1", None, Held("canceling statement due to lock timeout"))


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.msg.name for record in caplog.records if isinstance(record.msg, logs.Event)]


@pytest.fixture(autouse=True)
def unthrottled(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO, logs.ROOT)
    monkeypatch.setattr("scheduler.daemon.outage.OUTAGES", logs.ThrottledLog(0))


def test_each_kind_is_told_by_its_name_and_only_a_refusal_is_kept_for_status(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    outage.note(lost())
    outage.note(busy())
    assert outage.refused is None
    outage.note(refused())

    assert events(caplog) == ["database_lost", "database_busy", "database_refused"]
    assert outage.refused == "permission denied"


def test_its_end_is_told_once_and_with_how_long_it_was(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    outage.over()
    outage.note(refused())
    assert outage._since is not None
    outage._since -= 10
    outage.note(refused())
    outage.over()
    outage.over()

    [back] = [
        record.msg for record in caplog.records if isinstance(record.msg, logs.Event) and "back" in record.msg.name
    ]
    assert back.fields["away_s"] == pytest.approx(10, abs=5), "since the first error"
    assert outage.refused is None


def test_the_pauses_grow_and_begin_anew_after_a_try_that_lasted() -> None:
    outage = Outage()
    outage.begin()
    pauses = [outage.note(lost()) for _ in range(6)]

    assert pauses[:3] == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
    assert pauses[-1] == LAST_RETRY_SECONDS
    outage._pauses._begun -= LAST_RETRY_SECONDS + 0.1
    assert outage.note(lost()) == FIRST_RETRY_SECONDS
    outage._pauses._begun -= LAST_RETRY_SECONDS + 0.1
    outage.begin()
    assert outage.note(lost()) == 2 * FIRST_RETRY_SECONDS


@pytest.mark.parametrize(
    ("error", "passes", "isolates"),
    [(lost, MOST_PASSES_LOST, True), (lost, MOST_PASSES_LOST - 1, False), (busy, 9, False), (refused, 9, False)],
)
def test_sessions_stand_alone_after_several_passes_of_a_task_in_a_row_lost_the_connection(
    error: Callable[[], DBAPIError], passes: int, *, isolates: bool
) -> None:
    outage = Outage()
    for _ in range(passes):
        with outage.a_pass("edges"):
            pass
        with suppress(DBAPIError), outage.a_pass("requests"):
            raise error()
    outage.note(error())

    assert outage.isolate is isolates


@pytest.mark.parametrize("error", [busy, refused])
def test_a_pass_that_the_server_answered_lost_no_connection(error: Callable[[], DBAPIError]) -> None:
    outage = Outage()
    for _ in range(MOST_PASSES_LOST):
        with suppress(DBAPIError), outage.a_pass("a resync"):
            raise error()
    outage.note(lost())

    assert not outage.isolate


def test_a_pass_that_finishes_ends_the_row_of_its_task() -> None:
    outage = Outage()
    for _ in range(2):
        for _ in range(MOST_PASSES_LOST - 1):
            with suppress(DBAPIError), outage.a_pass("requests"):
                raise lost()
        outage.note(lost())
        with outage.a_pass("requests"):
            pass

    assert not outage.isolate
