"""`status`, printed: problems and notes first, then the daemons, what comes, what is on, and what is behind it."""

from rich.console import Console
from rich.text import Text

from core.status import MOST_NAMES, Status, is_alive
from scheduler.commands import screens

MOST_MISSES = 20
MOST_ENDED = 5


def print_status(out: Console, status: Status, database: str, *, everything: bool) -> None:
    """Print the operator's screen; `database`: which one it is about."""
    verdict = Text("healthy", "green") if status.healthy else Text("UNHEALTHY", "bold red")
    out.print(verdict, f"at {screens.utc(status.at)} UTC, zone data {status.zone_version}, database: {database}")
    for problem in status.problems:
        out.print(Text(screens.name(f"  {problem}"), "red"))
    for note in status.notes:
        out.print(Text(f"  note: {note}", "yellow"))
    _print_troubles(out, status, everything=everything)
    word = "on" if status.app_notifies else "off: the daemons ask for edits"
    if status.mirroring:
        out.print(f"mirroring: {', '.join(status.mirroring)} are kept equal to our columns")
    out.print(f"notifications {word}; the server's queue of them is {status.notification_queue:.0%} full")
    _print_daemons(out, status)
    if status.next_edge:
        edge = status.next_edge
        kind = "opens" if edge.opens else "closes"
        local = screens.local(edge.at, edge.timezone)
        out.print(
            Text.assemble(
                "next edge: ", screens.cell(edge.session_id, edge.name), f" {kind} {screens.utc(edge.at)} UTC"
            ),
            Text(f"({local} local)" if local else ""),
        )
    out.print(f"on now: {len(status.on_now)}")
    if status.on_now:
        out.print(screens.on_now_table(status.on_now))


def _print_daemons(out: Console, status: Status) -> None:
    table = screens.table("daemon", "version", "beat", "listening for", "next timer", "clock", "zone data")
    for daemon in status.daemons:
        table.add_row(
            f"{screens.short(daemon.host, screens.HOST)}:{daemon.pid}",
            daemon.version,
            f"{screens.ago(daemon.beat_age)} ago",
            screens.ago(status.at - daemon.listening_since) if daemon.listening_since else "not listening",
            f"in {screens.ago(daemon.next_timer_at - status.at)}" if daemon.next_timer_at else "none",
            f"{daemon.clock_offset_ms:.1f} ms",
            daemon.zone_version,
        )
    if status.daemons:
        out.print(table)
    silent = [daemon for daemon in status.daemons if not is_alive(daemon)]
    gone = sorted([*status.ended, *silent], key=lambda daemon: daemon.beat_at, reverse=True)
    for daemon in gone[:MOST_ENDED]:
        why = daemon.ended or "then silent: killed, or cut off from the database"
        out.print(Text(f"last seen: {daemon.host}:{daemon.pid} at {screens.utc(daemon.beat_at)} UTC, {why}"))
    if len(gone) > MOST_ENDED:
        out.print(f"last seen: {len(gone) - MOST_ENDED} more")


def _print_troubles(out: Console, status: Status, *, everything: bool) -> None:
    overdue_shown = status.overdue if everything else status.overdue[:MOST_NAMES]
    if len(overdue_shown) < len(status.overdue):
        out.print(f"overdue: the oldest {MOST_NAMES}; --all lists more")
    for overdue in overdue_shown:
        session = screens.session(overdue.session_id, overdue.name)
        out.print(Text(f"overdue: {session} since {screens.utc(overdue.since)} UTC"))
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
        word = "opened" if miss.active else "closed"
        which = f"{screens.session(miss.session_id, miss.name)}, instance {miss.session_instance_id}"
        out.print(Text(f"late: {which}, {word} {late} late at {done} UTC by {miss.cause}"))
    listed = status.unreadable if everything else status.unreadable[:MOST_NAMES]
    if listed:
        rest = len(status.unreadable) - len(listed)
        failing = sum(session.is_failing for session in status.unreadable)
        counts = {"unreadable": len(status.unreadable) - failing, "failing": failing}
        told = ", ".join(f"{word}: {count} session{'s' * (count > 1)}" for word, count in counts.items() if count)
        out.print(told + (f"; --all lists {rest} more" if rest else ""))
    for one in listed:
        word = "failing" if one.is_failing else "unreadable"
        out.print(Text(f"{word}: {screens.session(one.session_id, one.name)}: {one.error}"))
