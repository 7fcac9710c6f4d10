"""The sweep: the safety net that cron runs at 14, 29, 44 and 59 minutes past the hour.

While a daemon is alive it looks at the present, and what it still finds to repair is the daemon's miss. With none it
looks a minute ahead, for openings only, so that sessions are on just before they should be.

Exit status: 0 done; 1 it could not do its work; with --alert also 2, when no daemon is alive or an edge was missed by
more than 5 seconds since the last sweep.
"""

import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

# Run as a plain script, Python looks for modules beside the script, not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core import logs
from core.active_session_manager import Cause, Seen, sweep_look_ahead, update_active_sessions
from core.db import create_engine, database
from core.errors import SeisiunError
from core.migrations import require_schema
from core.settings import Settings, load_settings
from core.store import looks, reports

EXIT_FAILED = 1
EXIT_ALERT = 2
NO_LOOK_AHEAD = timedelta(0)
GRACE = timedelta(seconds=1)  # what a daemon that is alive is left to deal with
MISSED = timedelta(seconds=5)
BETWEEN_SWEEPS = timedelta(minutes=15)
ANSWER_SECONDS = 15.0  # a sweep that waits for ever would keep out all those after it
PATIENCE_SECONDS = 5.0  # for sessions of which somebody else holds a row

log = logs.logger("jobs.check_active_sessions")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did, and what it found of the daemon."""

    seen: Seen
    daemon_alive: bool
    repaired: int
    missed: int


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done, and write nothing.")
@click.option("--alert", is_flag=True, help="Exit with 2 when no daemon is alive or an edge was missed.")
def main(*, dry_run: bool, alert: bool) -> None:
    """Repair what the daemon missed."""
    logs.configure(Settings.model_construct())  # the defaults: what is wrong with the settings is logged too
    try:
        settings = load_settings()
        logs.configure(settings)
        with database(settings) as url:
            done = _sweep(url, settings, dry_run=dry_run)
    except (SeisiunError, DBAPIError) as error:
        log.error("sweep_failed", error=str(getattr(error, "orig", error)).strip())  # noqa: TRY400 -- it says it all
        sys.exit(EXIT_FAILED)
    _report(done, dry_run=dry_run)
    if done.seen.failed or done.seen.deferred:
        sys.exit(EXIT_FAILED)
    if alert and (done.missed or not done.daemon_alive):
        sys.exit(EXIT_ALERT)


def _sweep(url: str, settings: Settings, *, dry_run: bool) -> Sweep:
    engine = create_engine(url, application_name="seisiun sweep", patience_seconds=ANSWER_SECONDS)
    try:
        with engine.connect() as connection:
            require_schema(connection)
            look_ahead = sweep_look_ahead(connection)
            connection.rollback()
            if dry_run:
                return _look(connection, connection, settings, look_ahead)
            return _look(engine, connection, settings, look_ahead)
    finally:
        engine.dispose()


def _look(db: Engine | Connection, connection: Connection, settings: Settings, look_ahead: timedelta) -> Sweep:
    """Look through `db`; given the plain connection, all that is written there is rolled back when it closes."""
    daemon_alive = look_ahead == NO_LOOK_AHEAD
    seen = _until_nothing_is_deferred(db, settings, look_ahead, GRACE if daemon_alive else NO_LOOK_AHEAD)
    missed = reports.misses(connection, BETWEEN_SWEEPS, MISSED)
    overdue_before = looks.clock(connection) - GRACE
    repaired = sum(flip.due_at < overdue_before for flip in (*seen.activated, *seen.deactivated))
    return Sweep(seen, daemon_alive, repaired, len(missed))


def _until_nothing_is_deferred(
    db: Engine | Connection, settings: Settings, look_ahead: timedelta, grace: timedelta
) -> Seen:
    deadline = time.monotonic() + PATIENCE_SECONDS
    total = Seen()
    while True:
        seen = update_active_sessions(db, look_ahead=look_ahead, cause=Cause.SWEEP, grace=grace, settings=settings)
        total = total.followed_by(seen)
        if not seen.deferred or time.monotonic() > deadline:
            return total
        time.sleep(0.1)


def _report(done: Sweep, *, dry_run: bool) -> None:
    seen = done.seen
    for flip in (*seen.deactivated, *seen.activated):
        log.info("flip", instance=flip.session_instance_id, session=flip.session_id, active=flip.active, cause="sweep")
    for session_id, error in seen.unreadable.items():
        log.warning("unreadable", session=session_id, error=error)
    for session_id, error in seen.failed.items():
        log.error("failed", session=session_id, error=error)
    log.info(
        "sweep",
        activated=len(seen.activated),
        deactivated=len(seen.deactivated),
        planned=len(seen.planned),
        repaired=done.repaired,
        deferred=len(seen.deferred),
        missed=done.missed,
        daemon_alive=done.daemon_alive,
        dry_run=dry_run,
    )


if __name__ == "__main__":
    main()
