"""What is logged of a pass, line by line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as Ours
from sqlalchemy import Engine

from core import logs
from core.reconcile.log import MISSED, MOST_FLIP_LINES, NAMELESS, log_dropped, log_result, names_for
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip
from tests.data import add_session

DUE = datetime(2026, 12, 1, 18, tzinfo=UTC)
MS = timedelta(milliseconds=1)


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logs.ROOT)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since this was asked last."""
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def flips(number: int, *, is_repair: bool = False) -> tuple[Flip, ...]:
    return tuple(Flip(7, 40 + place, True, DUE, is_repair=is_repair) for place in range(number))


def test_each_flip_is_a_line_with_its_lateness_and_its_session_by_name_where_that_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened, repaired = ReconcileResult(activated=flips(1)), ReconcileResult(activated=flips(1, is_repair=True))
    log_result(Cause.TIMER, opened, DUE + 3 * MS)
    log_result(Cause.RESYNC, opened, DUE, names={7: "Crane"}, dry_run=True)
    log_result(Cause.RESYNC, repaired, DUE)

    assert lines(caplog) == [
        "flip instance=40 session=7 active=true cause=timer late_ms=3",
        "would_flip instance=40 session=7 name=Crane active=true cause=resync late_ms=0",
        "flip instance=40 session=7 active=true cause=repair late_ms=0",
    ]


def test_many_flips_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log_result(Cause.TIMER, ReconcileResult(activated=flips(MOST_FLIP_LINES)), DUE)
    assert len(lines(caplog)) == MOST_FLIP_LINES

    log_result(Cause.TIMER, ReconcileResult(activated=flips(MOST_FLIP_LINES), deactivated=flips(1)), DUE)
    assert lines(caplog) == [f"flips activated={MOST_FLIP_LINES} deactivated=1 cause=timer"]


def test_l7_a_flip_that_came_too_late_has_a_line_of_its_own_and_a_repair_is_never_late(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = []
    for at, is_repair in ((DUE + MISSED, False), (DUE + MISSED + MS, True), (DUE + MISSED + MS, False)):
        result = ReconcileResult(activated=flips(1, is_repair=is_repair))
        log_result(Cause.SWEEP, result, at, {7: "4711"}, names={7: "Crane"})
        told.append([line for line in lines(caplog) if not line.startswith("flip")])

    on_time, repaired, [missed] = told
    assert on_time == repaired == []
    assert missed == (
        "missed session=7 name=Crane instance=40 active=true due=2026-12-01T18:00:00+00:00 "
        "done=2026-12-01T18:00:05.001000+00:00 cause=sweep held_by=4711"
    )


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (ReconcileResult(planned=(1,)), "planned made=1 retimed=0 deleted=0"),
        (ReconcileResult(retimed=(1,)), "planned made=0 retimed=1 deleted=0"),
        (ReconcileResult(deleted=(1,)), "planned made=0 retimed=0 deleted=1"),
        (ReconcileResult(unreadable={7: "no zone"}), 'unreadable session=7 name=Crane error="no zone"'),
        (ReconcileResult(failed={8: "busy"}), "failed session=8 error=busy"),
    ],
)
def test_what_was_planned_and_what_went_wrong_has_a_line(
    caplog: pytest.LogCaptureFixture, result: ReconcileResult, line: str
) -> None:
    log_result(Cause.TIMER, result, DUE, names={7: "Crane"})

    assert lines(caplog) == [line]


def test_nothing_is_logged_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log_result(Cause.TIMER, ReconcileResult(sessions=frozenset({7})), DUE)
    log_dropped(0)
    assert lines(caplog) == []

    log_dropped(2)
    assert lines(caplog) == ['dropped rows=2 why="their sessions were deleted"']


def test_names_are_read_of_the_sessions_that_lines_name_and_only_then(engine: Engine, app: Connection) -> None:
    for name in "ABCDEFGHI":
        add_session(app, name=name)
    begun = 0

    @contextmanager
    def begin() -> Iterator[Ours]:
        nonlocal begun
        begun += 1
        with engine.connect() as connection:
            yield connection

    wrong = ReconcileResult(unreadable={8: "no zone"}, failed={9: "busy"})
    assert names_for(begin, replace(wrong, activated=flips(MOST_FLIP_LINES))) == {7: "G", 8: "H", 9: "I"}
    assert names_for(begin, replace(wrong, activated=flips(MOST_FLIP_LINES + 1))) == {8: "H", 9: "I"}
    assert begun == 2
    assert names_for(begin, ReconcileResult(sessions=frozenset({7}))) is NAMELESS
    assert begun == 2
