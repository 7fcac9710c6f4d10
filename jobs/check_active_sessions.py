"""The sweep: the safety net that cron runs at 14, 29, 44 and 59 minutes past the hour.

While a daemon is alive, the sweep reconciles for the present instant, and everything that it repairs the daemon has
missed. Without a daemon it opens instances up to a minute early, so that sessions are on in time, and closes none early
(L2).

Exit status: 0 done; 1 it could not do all its work; with --alert also 2, if no daemon is alive, or an edge since the
last sweep was missed by more than 5 seconds.
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

if __name__ == "__main__":
    # For a plain script Python looks for modules beside the script, not in the repository's root.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core import logs, streams
from core.active_session_manager import LEFT_TO_DAEMON, NO_LOOK_AHEAD, Cause, ReconcileResult, update_active_sessions
from core.db import create_engine, database
from core.db.transaction_settings import clock
from core.errors import SeisiunError
from core.migrations import require_schema
from core.pings import Pinger
from core.reconcile.log import MISSED, log_dropped, log_result, names_for
from core.rules.flips import EARLY_OPENING
from core.settings import Settings, load_settings
from core.store import heartbeats
from core.store.views import reports

EXIT_FAILED = 1
EXIT_ALERT = 2
BETWEEN_SWEEPS = timedelta(minutes=15)
RESPONSE_TIMEOUT_SECONDS = 15.0  # a sweep that waits forever would keep out all later ones
DEFERRED_FOR_SECONDS = 5.0  # how long it retries sessions while another transaction holds a row of theirs

log = logs.logger("jobs.check_active_sessions")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did, and what it found out about the daemon."""

    result: ReconcileResult
    daemon_alive: bool
    repaired: int
    missed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sweep ends: its exit status, and in a word the kind of failure, if it failed."""

    status: int = 0
    failure: str = ""


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what the sweep would do, but write nothing.")
@click.option("--alert", is_flag=True, help="Exit with status 2 if no daemon is alive, or an edge was missed.")
def main(*, dry_run: bool, alert: bool) -> None:
    """Repair what the daemon missed."""
    # The defaults first, so that errors in the settings are logged too.
    streams.send_stderr_through(logs.configure(Settings.model_construct()))
    try:
        settings = load_settings()
    except SeisiunError as error:
        sys.exit(_failed(error).status)
    streams.send_stderr_through(logs.configure(settings))
    outcome = _pinging(Pinger(None if dry_run else settings.sweep_ping_url), lambda: _run(settings, dry_run, alert))
    sys.exit(outcome.status)


def _pinging(pinger: Pinger, sweep: Callable[[], Outcome]) -> Outcome:
    pinger.send("start")
    try:
        outcome = sweep()
        pinger.send("fail" if outcome.failure else "success", outcome.failure)
    except Exception as error:
        pinger.send("fail", type(error).__name__)
        raise
    finally:
        pinger.close()
    return outcome


def _run(settings: Settings, dry_run: bool, alert: bool) -> Outcome:  # noqa: FBT001 -- both are the command's options
    try:
        with database(settings) as url:
            done = _sweep(url, dry_run=dry_run)
    except (SeisiunError, DBAPIError) as error:
        return _failed(error)
    if done.result.failed or done.result.deferred:
        return Outcome(EXIT_FAILED, "failed" if done.result.failed else "deferred")
    if alert and (done.missed or not done.daemon_alive):
        return Outcome(EXIT_ALERT, "missed" if done.missed else "no daemon is alive")
    return Outcome()


def _failed(error: SeisiunError | DBAPIError) -> Outcome:
    reason = getattr(error, "orig", error)
    log.error("sweep_failed", error=str(reason).strip())
    return Outcome(EXIT_FAILED, type(reason).__name__)


def _sweep(url: str, *, dry_run: bool) -> Sweep:
    timeout = RESPONSE_TIMEOUT_SECONDS
    engine = create_engine(url, application_name="seisiun sweep", response_timeout_seconds=timeout)
    try:
        with engine.connect() as connection:
            require_schema(connection)
            daemon_alive = heartbeats.has_reconciled_within(connection)
            connection.rollback()
            # A dry run writes through the plain connection; closing that rolls its writes back.
            done = _reconcile(connection if dry_run else engine, connection, daemon_alive=daemon_alive)
            _log(done, connection, dry_run=dry_run)
            return done
    finally:
        engine.dispose()


def _reconcile(db: Engine | Connection, connection: Connection, *, daemon_alive: bool) -> Sweep:
    result = _until_nothing_is_deferred(db, NO_LOOK_AHEAD if daemon_alive else EARLY_OPENING)
    missed = reports.misses(connection, BETWEEN_SWEEPS, MISSED)
    overdue_before = clock(connection) - LEFT_TO_DAEMON
    repaired = sum(flip.due_at < overdue_before and not flip.is_repair for flip in result.flips)
    return Sweep(result, daemon_alive, repaired, len(missed))


def _until_nothing_is_deferred(db: Engine | Connection, look_ahead: timedelta) -> ReconcileResult:
    deadline = time.monotonic() + DEFERRED_FOR_SECONDS
    total = ReconcileResult()
    while True:
        result = update_active_sessions(db, look_ahead=look_ahead, cause=Cause.SWEEP)
        total = total.followed_by(result)
        if not result.deferred or time.monotonic() > deadline:
            return total
        time.sleep(0.1)


def _log(done: Sweep, connection: Connection, *, dry_run: bool) -> None:
    result = done.result
    names = names_for(lambda: nullcontext(connection), result)
    log_result(Cause.SWEEP, result, clock(connection), names=names, dry_run=dry_run)
    log_dropped(result.dropped)
    log.info(
        "sweep",
        activated=len(result.activated),
        deactivated=len(result.deactivated),
        planned=len(result.planned),
        people=result.people,
        repaired=done.repaired,
        deferred=len(result.deferred),
        missed=done.missed,
        daemon_alive=done.daemon_alive,
        dry_run=dry_run,
    )


if __name__ == "__main__":
    streams.prepare()
    main()
