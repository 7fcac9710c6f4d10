"""Whether all is well: is a daemon alive and listening, what is on, what is late, what could not be read.

Each problem says after its last colon what to do about it. What else an operator should know is a note.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from core import choices
from core.db.transaction_settings import clock, fires_no_triggers, is_read_only
from core.reconcile.log import MISSED
from core.reconcile.result import ZONE_VERSION
from core.rules.explanation.reading import Holder
from core.store import heartbeats, notify, older_columns
from core.store.heartbeats import BEAT_STALE, SKEW_REPORTED, HeartbeatRow
from core.store.views import places, reports, schedule
from core.store.views.places import Place
from core.store.views.reports import Miss, Overdue, Unreadable
from core.store.views.schedule import Edge
from core.windows import LONGEST_BUFFER_MINUTES

if TYPE_CHECKING:
    from core.migrations.damage import Damage

PASS_STALE = timedelta(seconds=60)
SKEW_MS = SKEW_REPORTED / timedelta(milliseconds=1)
DAY = timedelta(days=1)
FILLING = 0.5  # PostgreSQL warns in its log from here on
MOST_NAMES = 10
CHECKS_SCHEMA = find_spec("alembic") is not None


@dataclass(frozen=True, slots=True)
class Status:
    """What is true at `at`, by the database's clock; `problems` is empty when all is well.

    notes  what an operator should know although nothing is wrong
    app_notifies  whether the app's own transactions notify now
    notification_queue  which part of the server's notification queue is full, 0 to 1
    ended  the daemons that ended within a day; those in `daemons` run, or were killed or cut off
    mirroring  the app's older columns that a take-over keeps equal to ours
    """

    at: datetime
    healthy: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    daemons: list[HeartbeatRow]
    ended: list[HeartbeatRow]
    next_edge: Edge | None
    on_now: list[Place]
    unreadable: list[Unreadable]
    overdue: list[Overdue]
    holders: list[Holder]
    misses: list[Miss]
    zone_version: str
    app_notifies: bool
    notification_queue: float
    mirroring: tuple[str, ...]


def status(connection: Connection) -> Status:
    """Read the status from the database."""
    at = clock(connection)
    daemons = heartbeats.heartbeats(connection)
    queue = notify.queue_usage(connection)
    overdue = reports.overdue(connection, reports.LATE)
    holders = reports.holders(connection, reports.LATE) if overdue else []
    unreadable = reports.unreadable(connection)
    mirroring = tuple(choices.mirrored(choices.read(connection)).values())
    problems = (
        *_database_problems(connection),
        *_schema_problems(connection),
        *_queue_problems(queue),
        *_daemon_problems(daemons),
        *_mirror_problems(connection, mirroring, daemons),
        *_overdue_problems(overdue, _blocked(holders)),
        *_failing_problems(unreadable),
        *_unreadable_problems(unreadable),
    )
    return Status(
        at=at,
        healthy=not problems,
        problems=problems,
        notes=(*_clock_notes(daemons), *adoption_notes(connection), *_UNCHECKED),
        daemons=daemons,
        ended=heartbeats.ended(connection),
        next_edge=next(iter(schedule.upcoming(connection, timedelta(days=30), limit=1)), None),
        on_now=list(places.places(connection)),
        unreadable=unreadable,
        overdue=overdue,
        holders=holders,
        misses=reports.misses(connection, DAY, MISSED),
        zone_version=ZONE_VERSION,
        app_notifies=notify.app_notifies(connection),
        notification_queue=queue,
        mirroring=mirroring,
    )


def hindrances(connection: Connection) -> list[str]:
    """Return why a take-over must not begin now: what is on is not kept true by a healthy daemon."""
    return [
        *_database_problems(connection),
        *_schema_problems(connection),
        *_daemon_problems(heartbeats.heartbeats(connection)),
        *_overdue_problems(reports.overdue(connection, reports.LATE)),
        *_failing_problems(reports.unreadable(connection)),
    ]


def _database_problems(connection: Connection) -> list[str]:
    standby = (
        "this database cannot be written to: it is a standby, or read-only: "
        "let DATABASE_URL name the primary, or all hosts"
    )
    read_only = [standby] * is_read_only(connection)
    silent = (
        "session_replication_role is replica, set on the role or the database, and no trigger tells us of an edit: "
        "ALTER DATABASE ... RESET session_replication_role, or ALTER ROLE; then restart what is connected"
    )
    return read_only + [silent] * fires_no_triggers(connection)


def _schema_problems(connection: Connection) -> list[str]:
    damaged = [f"{found.what}: run `python -m seisiun migrate`" for found in schema_damage(connection)]
    return damaged + choices.gone(connection)


def schema_damage(connection: Connection) -> "list[Damage]":
    """Return what of our schema is missing, disabled, changed, revoked or open to everybody.

    Return nothing where the app has our pages alone, and no Alembic.
    """
    if not CHECKS_SCHEMA:
        return []
    from core.migrations.damage import damage  # noqa: PLC0415 -- it needs Alembic

    return damage(connection)


def _queue_problems(usage: float) -> list[str]:
    full = (
        f"the server's notification queue is {usage:.0%} full, because a session that LISTENs stays in a transaction: "
        "end that session; pg_stat_activity shows it as idle in transaction, with the oldest xact_start"
    )
    return [full] * (usage >= FILLING)


def _daemon_problems(daemons: list[HeartbeatRow]) -> list[str]:
    alive = [daemon for daemon in daemons if is_alive(daemon)]
    if not alive:
        return ["no daemon is alive: start `python -m seisiun run`"]
    problems = [f"{daemon.host}:{daemon.pid}: {daemon.trouble}" for daemon in alive if daemon.trouble]
    reconciling = [daemon for daemon in alive if _reconciles(daemon)]
    if not reconciling and any(daemon.beat_at - daemon.started_at < PASS_STALE for daemon in alive):
        return ["a daemon has just started, and has not finished a pass yet: ask again in some seconds", *problems]
    if not reconciling:
        return [f"no daemon has finished a pass within {PASS_STALE.seconds} s: read its log, and restart it", *problems]
    if not any(daemon.listening_since for daemon in reconciling):
        problems.append(
            "no daemon is listening, so edits are found by asking each second: "
            "if this lasts, look for listener_lost and not_receiving in its log"
        )
    return problems


def _mirror_problems(connection: Connection, mirroring: tuple[str, ...], daemons: list[HeartbeatRow]) -> Iterator[str]:
    names = ", ".join(mirroring)
    if mirroring and not any(map(is_alive, daemons)):
        yield (
            f"mirroring without a daemon: {names} show what was on when it ended: "
            "start `python -m seisiun run`, or run `python -m seisiun adopt --drop-mirror`"
        )
    if mirroring and (differing := older_columns.differing(connection)):
        yield f"rows in which {names} differ from ours: {differing}; the next resync mends them"


def is_alive(daemon: HeartbeatRow) -> bool:
    """Return whether a daemon has beaten lately."""
    return abs(daemon.beat_age) < BEAT_STALE  # absolute: the clock may have been set back since the beat


def _unreadable_problems(unreadable: list[Unreadable]) -> list[str]:
    """Return a problem where a session that cannot be read has something on or ahead: people may come."""
    live = [session for session in unreadable if session.is_live and not session.is_failing]
    if not live:
        return []
    what = f"sessions that cannot be read and have something on or ahead: {_names(live)}"
    return [
        f"{what}: correct the recurrence or the zone; `python -m seisiun status --all` says what is wrong with each"
    ]


def _failing_problems(unreadable: list[Unreadable]) -> list[str]:
    failing = [session for session in unreadable if session.is_failing]
    if not failing:
        return []
    what = f"sessions whose passes fail: {_names(failing)}; of the first: {failing[0].error}"
    granting = "`python -m seisiun grants ROLE --daemon` prints what triggers of yours need in a daemon's own role"
    return [f"{what}: correct that, and they are tried again within a minute; {granting}"]


def _names(sessions: list[Unreadable]) -> str:
    names = ", ".join(f"{session.name} (session {session.session_id})" for session in sessions[:MOST_NAMES])
    more = f" and {len(sessions) - MOST_NAMES} more" if len(sessions) > MOST_NAMES else ""
    return f"{len(sessions)}: {names}{more}"


def _clock_notes(daemons: list[HeartbeatRow]) -> list[str]:
    return [_skewed(daemon) for daemon in daemons if is_alive(daemon) and abs(daemon.clock_offset_ms) > SKEW_MS]


def adoption_notes(connection: Connection) -> list[str]:
    """Return what is read otherwise than it is written, and what the planner cannot write; `migrate` prints it too."""
    notes = []
    if choices.follows_nobody(connection):
        notes.append(choices.NOT_FOLLOWED)
    if count := reports.buffers_out_of_bounds(connection):
        notes.append(
            f"sessions with a buffer outside 0 to {LONGEST_BUFFER_MINUTES} minutes: {count}; "
            "each is read as the nearest bound"
        )
    if columns := reports.columns_without_value(connection):
        names = ", ".join(columns)
        notes.append(
            f"session_instance.{names}: NOT NULL and without a default; an instance that leaves it empty is not made, "
            "until a BEFORE INSERT trigger names it and fills it; existing instances are activated as ever"
        )
    return notes


_UNCHECKED = () if CHECKS_SCHEMA else ("the schema is not checked here, because Alembic is not installed",)


def _skewed(daemon: HeartbeatRow) -> str:
    ahead = daemon.clock_offset_ms / 1000
    return (
        f"the clock of {daemon.host} is {abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'} "
        "the database's; only the database's clock counts"
    )


def _reconciles(daemon: HeartbeatRow) -> bool:
    return daemon.last_look_at is not None and daemon.beat_at - daemon.last_look_at < PASS_STALE


def _blocked(holders: list[Holder]) -> str:
    if not holders:
        return ""
    pids = " and ".join(str(holder.pid) for holder in holders[:MOST_NAMES])
    return f"; perhaps pid {pids} blocks it: `SELECT pg_terminate_backend({holders[0].pid})` ends that transaction"


def _overdue_problems(overdue: list[Overdue], blocked: str = "") -> list[str]:
    if not overdue:
        return []
    oldest = overdue[0]
    named = f"{oldest.name or 'deleted'} (session {oldest.session_id})"
    many = f"{len(overdue)}{' or more' if len(overdue) == reports.MOST_OVERDUE else ''}"
    what = f"sessions overdue: {many}, the oldest, {named}, since {oldest.since.astimezone(UTC):%H:%M:%S} UTC"
    return [f"{what}: run `python -m seisiun explain {oldest.session_id}`{blocked}"]
