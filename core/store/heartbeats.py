"""The daemons that live: a row each, so that the sweep and the operator see them (a worker takes no requests)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, true
from sqlalchemy.dialects import postgresql

from core.models import DaemonHeartbeat

FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class HeartbeatRow:
    """What a daemon says of itself; every instant is the database's, the ages are measured by its clock.

    `beat_age` is negative where that clock was set back. `trouble`: what the daemon knows to be wrong with itself.
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


@dataclass(frozen=True, slots=True)
class Beat:
    """What is written with each beat; `pass_finished` says that a pass has finished since the last one."""

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


def beat(connection: Connection, beat: Beat) -> datetime:
    """Write the beat; return the database's clock."""
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
    } | ({"last_look_at": now} if beat.pass_finished else {})
    statement = postgresql.insert(DaemonHeartbeat).values(daemon_id=beat.daemon_id, **values)
    statement = statement.on_conflict_do_update(index_elements=["daemon_id"], set_=values)
    return connection.execute(statement.returning(DaemonHeartbeat.beat_at)).scalar_one()


def forget(connection: Connection, daemon_id: UUID) -> None:
    """Delete the row of a daemon that ends, and those of daemons that were killed long ago."""
    long_ago = DaemonHeartbeat.beat_at < func.clock_timestamp() - FORGOTTEN_AFTER
    connection.execute(delete(DaemonHeartbeat).where((DaemonHeartbeat.daemon_id == daemon_id) | long_ago))


def heartbeats(connection: Connection) -> list[HeartbeatRow]:
    """Return all the daemons that have a row, the latest beat first."""
    heart = DaemonHeartbeat
    statement = select(
        heart.daemon_id,
        heart.host,
        heart.pid,
        heart.version,
        heart.started_at,
        heart.beat_at,
        (func.clock_timestamp() - heart.beat_at).label("beat_age"),
        heart.last_look_at,
        heart.listening_since,
        heart.next_timer_at,
        heart.clock_offset_ms,
        heart.zone_version,
        heart.trouble,
    ).order_by(heart.beat_at.desc())
    return [HeartbeatRow(*row) for row in connection.execute(statement)]


def has_reconciled_within(connection: Connection, age: timedelta) -> bool:
    """Say whether any daemon has finished a pass in the last `age`; one that lies ahead was before a clock was set."""
    recent = DaemonHeartbeat.last_look_at.between(func.clock_timestamp() - age, func.clock_timestamp())
    return bool(connection.scalar(select(select(true()).where(recent).exists())))
