"""The end of a run: wait until all is at rest, read what was recorded, have it checked, and report."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute
from tests.faults import history
from tests.faults.checker import BOUND_SECONDS, Fault, History, check, story, two_at_once
from tests.faults.draw import STORM
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.report import Report, report

QUIET_SECONDS = 1.0
STORIES = 5
NOTICED_SECONDS = 4.0  # a transaction that was open notices the loss of its connection when it goes on

Admin: TypeAlias = Callable[[], contextlib.AbstractContextManager[Connection]]


@dataclass(slots=True)
class Case:
    """What is known of a run beside what the database recorded; `server_down`: when the app may fail too."""

    seed: int
    load: Load
    machine: Machine
    faults: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    server_down: list[tuple[float, float]] = field(default_factory=list)


def judge(admin: Admin, case: Case) -> Report:
    faults = _stretched(case)
    with admin() as connection:
        _rest(connection, max((fault.ends for fault in faults), default=0.0))
        unfinished = _unfinished(connection)
        # As of one moment: edited instances go on opening and closing.
        execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        until, flips, log = time.time(), history.flips(connection), history.log(connection)
        execute(connection, "ROLLBACK")
    load = case.load
    told = History(load.book.versions, [flip for _, flip in flips], log, faults, load.passes, until, load.book.yeses)
    verdict = check(told)
    verdict.findings += two_at_once((id_, flip) for id_, flip in flips if id_ is not None)
    return report(
        verdict,
        faults,
        seed=case.seed,
        began=load.began,
        seconds=load.until - load.began,
        flips=len(flips),
        written=load.book.edits,
        slowness=round(case.machine.slowness(load.began, load.until), 1),
        problems=[*case.problems, *load.problems, *unfinished, *_app_errors(case)],
        stories=[line for found in verdict.findings[:STORIES] for line in ("", *story(told, found, load.began))],
        left_out=case.left_out,
    )


def _stretched(case: Case) -> Sequence[Fault]:
    """Return what was done, and how long it may have held things up on this machine."""
    done = [
        replace(
            fault,
            bound=_stretched_bound(fault.bound, case.machine.slowness(fault.begun, fault.ends)),
            # Whatever else is edited in a storm has to wait its turn. Edges need not.
            subjects=case.load.book.edited if fault.kind == STORM else fault.subjects,
        )
        for fault in case.faults
    ]
    return sorted([*done, *case.machine.stalls()], key=lambda fault: fault.begun)


def _stretched_bound(bound: float, slowness: float) -> float:
    """Only the work takes longer on a busy machine: at most two seconds of any bound. The timeouts before it do not."""
    return bound + min(bound, BOUND_SECONDS) * (slowness - 1)


def _rest(connection: Connection, latest: float) -> None:
    """Wait until all is right; at most until the last fault's bound, and a quiet second."""
    time.sleep(QUIET_SECONDS)
    while _unfinished(connection) and time.time() < latest + QUIET_SECONDS:
        pass


def _unfinished(connection: Connection) -> list[str]:
    """Return what is wrong, and still is a moment later: an edge may come at any time."""
    before = history.unfinished(connection)
    time.sleep(QUIET_SECONDS)
    return sorted({*before} & {*history.unfinished(connection)})


def _app_errors(case: Case) -> list[str]:
    return [
        f"the app failed: {error}"
        for at, error in case.load.book.errors
        if not any(begun - 0.1 <= at <= over + NOTICED_SECONDS for begun, over in case.server_down)
    ]
