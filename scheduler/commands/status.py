"""The operator's screen: is a daemon alive and listening, what is on, what is late, what could not be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text
from sqlalchemy import Connection

from core import choices
from core.adoption.takeover import mirrored
from core.db.transaction_settings import clock, fires_no_triggers, is_read_only
from core.migrations.damage import damage
from core.reconcile.log import MISSED
from core.reconcile.result import ZONE_VERSION
from core.store import heartbeats, notify, older_columns
from core.store.heartbeats import BEAT_STALE, HeartbeatRow
from core.store.views import places, reports, schedule
from core.store.views.places import Place
from core.store.views.reports import Holder, Miss, Overdue, Unreadable
from core.store.views.schedule import Edge
from core.windows import LONGEST_BUFFER_MINUTES
from scheduler.commands import screens
from scheduler.daemon.heartbeat import SKEW_REPORTED

PASS_STALE = timedelta(seconds=60)
LATE = timedelta(seconds=2)
SKEW_MS = SKEW_REPORTED / timedelta(milliseconds=1)
DAY = timedelta(days=1)
FILLING = 0.5  # PostgreSQL warns in its log from here on
MOST_NAMES = 10
MOST_MISSES = 20
MOST_ENDED = 5


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
    overdue = reports.overdue(connection, LATE)
    unreadable = reports.unreadable(connection)
    mirroring = tuple(mirrored(choices.read(connection)).values())
    problems = (
        *_database_problems(connection),
        *_schema_problems(connection),
        *_queue_problems(queue),
        *_daemon_problems(daemons),
        *_mirror_problems(connection, mirroring, daemons),
        *_overdue_problems(overdue),
        *_failing_problems(unreadable),
        *_unreadable_problems(unreadable),
    )
    return Status(
        at=at,
        healthy=not problems,
        problems=problems,
        notes=(*_clock_notes(daemons), *adoption_notes(connection)),
        daemons=daemons,
        ended=heartbeats.ended(connection),
        next_edge=next(iter(schedule.upcoming(connection, timedelta(days=30), limit=1)), None),
        on_now=list(places.places(connection)),
        unreadable=unreadable,
        overdue=overdue,
        holders=reports.holders(connection, LATE) if overdue else [],
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
        *_overdue_problems(reports.overdue(connection, LATE)),
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
    damaged = [f"{found.what}: run `python -m seisiun migrate`" for found in damage(connection)]
    return damaged + choices.gone(connection)


def _queue_problems(usage: float) -> list[str]:
    full = (
        f"the server's notification queue is {usage:.0%} full, because a session that LISTENs stays in a transaction: "
        "end that session; pg_stat_activity shows it as idle in transaction, with the oldest xact_start"
    )
    return [full] * (usage >= FILLING)


def _daemon_problems(daemons: list[HeartbeatRow]) -> list[str]:
    alive = [daemon for daemon in daemons if _is_alive(daemon)]
    if not alive:
        return ["no daemon is alive: start `python -m seisiun run`"]
    reconciling = [daemon for daemon in alive if _reconciles(daemon)]
    if not reconciling:
        return [f"no daemon has finished a pass within {PASS_STALE.seconds} s: read its log, and restart it"]
    problems = [f"{daemon.host}:{daemon.pid}: {daemon.trouble}" for daemon in alive if daemon.trouble]
    if not any(daemon.listening_since for daemon in reconciling):
        problems.append(
            "no daemon is listening, so edits are found by asking each second: "
            "if this lasts, look for listener_lost and not_receiving in its log"
        )
    return problems


def _mirror_problems(connection: Connection, mirroring: tuple[str, ...], daemons: list[HeartbeatRow]) -> Iterator[str]:
    names = ", ".join(mirroring)
    if mirroring and not any(map(_is_alive, daemons)):
        yield (
            f"mirroring without a daemon: {names} show what was on when it ended: "
            "start `python -m seisiun run`, or run `python -m seisiun adopt --drop-mirror`"
        )
    if mirroring and (differing := older_columns.differing(connection)):
        yield f"rows in which {names} differ from ours: {differing}; the next resync mends them"


def _is_alive(daemon: HeartbeatRow) -> bool:
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
    what = f"sessions whose passes fail: {_names(failing)}; of the first: {screens.name(failing[0].error)}"
    granting = "`python -m seisiun grants ROLE --daemon` prints what triggers of yours need in a daemon's own role"
    return [f"{what}: correct that, and they are tried again within a minute; {granting}"]


def _names(sessions: list[Unreadable]) -> str:
    names = ", ".join(screens.name(session.name) for session in sessions[:MOST_NAMES])
    more = f" and {len(sessions) - MOST_NAMES} more" if len(sessions) > MOST_NAMES else ""
    return f"{len(sessions)}: {names}{more}"


def _clock_notes(daemons: list[HeartbeatRow]) -> list[str]:
    return [_skewed(daemon) for daemon in daemons if _is_alive(daemon) and abs(daemon.clock_offset_ms) > SKEW_MS]


def adoption_notes(connection: Connection) -> list[str]:
    """Return what is read otherwise than it is written, and what the planner cannot write; `migrate` prints it too."""
    notes = []
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


def _skewed(daemon: HeartbeatRow) -> str:
    ahead = daemon.clock_offset_ms / 1000
    return (
        f"the clock of {daemon.host} is {abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'} "
        "the database's; only the database's clock counts"
    )


def _reconciles(daemon: HeartbeatRow) -> bool:
    return daemon.last_look_at is not None and daemon.beat_at - daemon.last_look_at < PASS_STALE


def _overdue_problems(overdue: list[Overdue]) -> list[str]:
    if not overdue:
        return []
    oldest = overdue[0]
    what = f"sessions overdue: {len(overdue)}, the oldest since {oldest.since.astimezone(UTC):%H:%M:%S} UTC"
    return [f"{what}: run `python -m seisiun explain {oldest.session_id}`; who may block it is named below"]


# The operator's screen


def print_status(out: Console, status: Status, *, everything: bool) -> None:
    """Print the operator's screen."""
    verdict = Text("healthy", "green") if status.healthy else Text("UNHEALTHY", "bold red")
    out.print(verdict, f"at {screens.utc(status.at)} UTC, zone data {status.zone_version}")
    for problem in status.problems:
        out.print(Text(f"  {problem}", "red"))
    for note in status.notes:
        out.print(Text(f"  note: {note}", "yellow"))
    word = "on" if status.app_notifies else "off: the daemons ask for edits"
    if status.mirroring:
        out.print(f"mirroring: {', '.join(status.mirroring)} are kept equal to our columns")
    out.print(f"notifications {word}; the server's queue of them is {status.notification_queue:.0%} full")
    _print_daemons(out, status)
    if status.next_edge:
        edge = status.next_edge
        kind = "opens" if edge.opens else "closes"
        when = f"{screens.local(edge.at, edge.timezone)} ({screens.utc(edge.at)} UTC)"
        out.print(Text(f"next edge: {screens.name(edge.name)} {kind} {when}"))
    out.print(f"on now: {len(status.on_now)}")
    if status.on_now:
        out.print(screens.on_now_table(status.on_now))
    _print_troubles(out, status, everything=everything)


def _print_daemons(out: Console, status: Status) -> None:
    table = screens.table("daemon", "version", "beat", "listening since", "next timer", "clock offset", "zone data")
    for daemon in status.daemons:
        table.add_row(
            f"{daemon.host}:{daemon.pid}",
            daemon.version,
            f"{screens.ago(daemon.beat_age)} ago",
            screens.utc(daemon.listening_since) if daemon.listening_since else "not listening",
            screens.utc(daemon.next_timer_at) if daemon.next_timer_at else "none",
            f"{daemon.clock_offset_ms:.1f} ms",
            daemon.zone_version,
        )
    if status.daemons:
        out.print(table)
    silent = [daemon for daemon in status.daemons if abs(daemon.beat_age) > BEAT_STALE]
    gone = sorted([*status.ended, *silent], key=lambda daemon: daemon.beat_at, reverse=True)
    for daemon in gone[:MOST_ENDED]:
        why = daemon.ended or "then silent: killed, or cut off from the database"
        out.print(Text(f"last seen: {daemon.host}:{daemon.pid} at {screens.utc(daemon.beat_at)} UTC, {why}"))
    if len(gone) > MOST_ENDED:
        out.print(f"last seen: {len(gone) - MOST_ENDED} more")


def _print_troubles(out: Console, status: Status, *, everything: bool) -> None:
    for overdue in status.overdue:
        out.print(f"overdue: session {overdue.session_id} since {screens.utc(overdue.since)} UTC")
    for holder in status.holders:
        out.print(
            Text(
                f"perhaps blocked by pid {holder.pid} ({holder.application or 'unnamed'}, {holder.state}, "
                f"transaction open for {screens.ago(holder.open_for)}): {holder.query}"
            )
        )
    if len(status.misses) > MOST_MISSES:
        out.print(f"late: {len(status.misses)} flips in the last day; the latest {MOST_MISSES}:")
    for miss in status.misses[-MOST_MISSES:]:
        late, done = screens.ago(miss.done_at - miss.due_at), screens.utc(miss.done_at)
        word = "on" if miss.active else "off"
        out.print(f"late: instance {miss.session_instance_id} {word} {late} late at {done} by {miss.cause}")
    listed = status.unreadable if everything else status.unreadable[:MOST_NAMES]
    if listed:
        rest = len(status.unreadable) - len(listed)
        failing = sum(session.is_failing for session in status.unreadable)
        counts = {"unreadable": len(status.unreadable) - failing, "failing": failing}
        told = ", ".join(f"{word}: {count} sessions" for word, count in counts.items() if count)
        out.print(told + (f"; --all lists {rest} more" if rest else ""))
    for session in listed:
        word = "failing" if session.is_failing else "unreadable"
        out.print(Text(f"{word}: session {session.session_id} {session.name!r}: {session.error}"))
