"""The operator's screen: is a daemon alive and listening, what is on, what is late, what could not be read."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from core.db.transaction_settings import clock, is_read_only
from core.reconcile.result import ZONE_VERSION
from core.store import heartbeats
from core.store.heartbeats import HeartbeatRow
from core.store.views import places, reports, schedule
from core.store.views.places import Place
from core.store.views.reports import Holder, Miss, Overdue, Unreadable
from core.store.views.schedule import Edge
from scheduler.daemon.heartbeat import SKEW_REPORTED

BEAT_STALE = timedelta(seconds=5)
PASS_STALE = timedelta(seconds=60)
LATE = timedelta(seconds=2)
SKEW_MS = SKEW_REPORTED / timedelta(milliseconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Status:
    """What is true at `at`, by the database's clock; `problems` is empty when all is well.

    notes  what an operator should know although nothing is wrong
    """

    at: datetime
    healthy: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    daemons: list[HeartbeatRow]
    next_edge: Edge | None
    on_now: list[Place]
    unreadable: list[Unreadable]
    overdue: list[Overdue]
    holders: list[Holder]
    misses: list[Miss]
    zone_version: str


def status(connection: Connection) -> Status:
    """Read the status from the database."""
    at = clock(connection)
    daemons = heartbeats.heartbeats(connection)
    overdue = reports.overdue(connection, LATE)
    problems = (*_database_problems(connection), *_daemon_problems(daemons), *_overdue_problems(overdue))
    return Status(
        at=at,
        healthy=not problems,
        problems=problems,
        notes=tuple(
            _skewed(daemon) for daemon in daemons if _is_alive(daemon) and abs(daemon.clock_offset_ms) > SKEW_MS
        ),
        daemons=daemons,
        next_edge=next(iter(schedule.upcoming(connection, timedelta(days=30), limit=1)), None),
        on_now=list(places.places(connection)),
        unreadable=reports.unreadable(connection),
        overdue=overdue,
        holders=reports.holders(connection, LATE) if overdue else [],
        misses=reports.misses(connection, DAY, timedelta(seconds=5)),
        zone_version=ZONE_VERSION,
    )


def _database_problems(connection: Connection) -> list[str]:
    return ["this database cannot be written to: it is a standby, or read-only"] * is_read_only(connection)


def _daemon_problems(daemons: list[HeartbeatRow]) -> list[str]:
    alive = [daemon for daemon in daemons if _is_alive(daemon)]
    if not alive:
        return ["no daemon is alive: start `python -m scheduler run`"]
    reconciling = [daemon for daemon in alive if _reconciles(daemon)]
    if not reconciling:
        return [f"no daemon has finished a pass within {PASS_STALE.seconds} s"]
    problems = [f"{daemon.host}:{daemon.pid}: {daemon.trouble}" for daemon in alive if daemon.trouble]
    if not any(daemon.listening_since for daemon in reconciling):
        problems.append("no daemon is listening: edits are found by asking each second")
    return problems


def _is_alive(daemon: HeartbeatRow) -> bool:
    return abs(daemon.beat_age) < BEAT_STALE  # absolute: the clock may have been set back since the beat


def _skewed(daemon: HeartbeatRow) -> str:
    ahead = daemon.clock_offset_ms / 1000
    return (
        f"the clock of {daemon.host} is {abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'} "
        "the database's; only the database's clock counts"
    )


def _reconciles(daemon: HeartbeatRow) -> bool:
    return daemon.last_look_at is not None and daemon.beat_at - daemon.last_look_at < PASS_STALE


def _overdue_problems(overdue: list[Overdue]) -> list[str]:
    return [f"sessions overdue: {len(overdue)}, the oldest since {overdue[0].since:%H:%M:%S} UTC"] if overdue else []
