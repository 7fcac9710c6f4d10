"""One row per daemon of the last day, so that the sweep and the operator see it: a daemon answers no requests."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, select, true, update
from sqlalchemy.dialects import postgresql

from core.models import DaemonHeartbeat

FORGOTTEN_AFTER = timedelta(days=1)
DAEMON_ALIVE_WITHIN = timedelta(seconds=60)
BEAT_STALE = timedelta(seconds=5)
SKEW_REPORTED = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class HeartbeatRow:
    """What a daemon last wrote about itself. Every instant, and `beat_age`, is by the database's clock.

    `beat_age` is negative if somebody has set that clock back. `trouble`: the daemon's own problems, as text. `ended`:
    why it ended, at `beat_at`; None while it runs, and where it was killed or cut off. `counters`: what it has counted
    from its start on; empty in the row of an earlier release.
    """

    daemon_id: UUID
    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    beat_age: timedelta
    last_look_at: datetime | None
    listening_since: datetime | None
    next_timer_at: datetime | None
    clock_offset_ms: float
    zone_version: str
    trouble: str | None
    ended: str | None
    counters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Beat:
    """What a daemon writes with each beat; `pass_finished`: a pass has finished since the beat before."""

    daemon_id: UUID
    host: str
    pid: int
    version: str
    pass_finished: bool
    listening_since: datetime | None
    next_timer_at: datetime | None
    clock_offset_ms: float
    zone_version: str
    trouble: str | None
    counters: dict[str, Any]


def beat(connection: Connection, beat: Beat) -> datetime:
    """Write the beat; return the instant of it, by the database's clock."""
    now = func.clock_timestamp()
    values = {
        "host": beat.host,
        "pid": beat.pid,
        "version": beat.version,
        "beat_at": now,
        "listening_since": beat.listening_since,
        "next_timer_at": beat.next_timer_at,
        "clock_offset_ms": beat.clock_offset_ms,
        "zone_version": beat.zone_version,
        "trouble": beat.trouble,
        "counters": beat.counters,
    } | ({"last_look_at": now} if beat.pass_finished else {})
    statement = postgresql.insert(DaemonHeartbeat).values(daemon_id=beat.daemon_id, **values)
    statement = statement.on_conflict_do_update(index_elements=["daemon_id"], set_=values)
    return connection.execute(statement.returning(DaemonHeartbeat.beat_at)).scalar_one()


def end(connection: Connection, daemon_id: UUID, why: str) -> None:
    """Note that a daemon ends; delete the rows of daemons whose last beat is older than `FORGOTTEN_AFTER`."""
    row, now = DaemonHeartbeat, func.clock_timestamp()
    connection.execute(update(row).where(row.daemon_id == daemon_id).values(ended=why, beat_at=now))
    connection.execute(delete(row).where(row.beat_at < now - FORGOTTEN_AFTER))


def heartbeats(connection: Connection) -> list[HeartbeatRow]:
    """Return the rows of the daemons that have not noted their end, the latest beat first."""
    return _rows(connection, DaemonHeartbeat.ended.is_(None))


def ended(connection: Connection) -> list[HeartbeatRow]:
    """Return the rows of the daemons that ended within `FORGOTTEN_AFTER`, the latest first."""
    row = DaemonHeartbeat
    return _rows(connection, row.ended.is_not(None) & (row.beat_at > func.clock_timestamp() - FORGOTTEN_AFTER))


def _rows(connection: Connection, which: ColumnElement[bool]) -> list[HeartbeatRow]:
    row = DaemonHeartbeat
    statement = select(
        row.daemon_id,
        row.host,
        row.pid,
        row.version,
        row.started_at,
        row.beat_at,
        (func.clock_timestamp() - row.beat_at).label("beat_age"),
        row.last_look_at,
        row.listening_since,
        row.next_timer_at,
        row.clock_offset_ms,
        row.zone_version,
        row.trouble,
        row.ended,
        row.counters,
    )
    return [HeartbeatRow(*found) for found in connection.execute(statement.where(which).order_by(row.beat_at.desc()))]


def has_reconciled_within(
    connection: Connection, age: timedelta = DAEMON_ALIVE_WITHIN, *, beats: timedelta = DAEMON_ALIVE_WITHIN
) -> bool:
    """Return whether a daemon that has not noted its end has finished a pass in the last `age`, and beaten in `beats`.

    A pass with a date in the future does not count: somebody set the database's clock back after it.
    """
    daemon, now = DaemonHeartbeat, func.clock_timestamp()
    recent = daemon.last_look_at.between(now - age, now), daemon.beat_at > now - beats
    return bool(connection.scalar(select(select(true()).where(*recent, daemon.ended.is_(None)).exists())))
