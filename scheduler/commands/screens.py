"""Output for people: tables for a terminal, just as readable when piped."""

import sys
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import UnknownTimeZone
from core.store.views.places import Place
from core.store.views.reports import FlipRow
from core.store.views.schedule import Edge
from core.timezones import to_local
from scheduler.commands.status import MOST_NAMES, Status

PIPED_WIDTH = 1000  # more than any table needs; it takes only the width of its text
MOST_MISSES = 20


def console(*, stderr: bool = False) -> Console:
    """Return a console that breaks no line, so that what it prints can be copied, and folds no table when piped."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True, width=width)


def local(at: datetime, zone: str | None) -> str:
    """Return an instant as the clocks of a zone show it, with the zone named; in UTC where the zone is unknown."""
    try:
        return f"{to_local(at, zone or ''):%a %d %b %H:%M:%S} {zone}"
    except UnknownTimeZone:
        return f"{utc(at)} UTC"


def utc(at: datetime) -> str:
    """Return an instant in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def place(city: str | None, country: str | None) -> str:
    """Return "Austin, USA"."""
    return ", ".join(filter(None, (city, country)))


def ago(age: timedelta) -> str:
    """Return an age in the largest unit that is at least two."""
    seconds = age.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def edges_table(edges: list[Edge]) -> Table:
    """Return the edges, in order of time."""
    table = _table("local time", "UTC", "", "session", "where", "instance")
    for edge in edges:
        table.add_row(
            local(edge.at, edge.timezone),
            utc(edge.at),
            "opens" if edge.opens else "closes",
            Text(edge.name),
            Text(place(edge.city, edge.country)),
            str(edge.session_instance_id),
        )
    return table


def on_now_table(instances: list[Place]) -> Table:
    """Return what is on, by country and city."""
    table = _table("where", "session", "until", "instance")
    for on in instances:
        until = local(on.closes_at, on.timezone) if on.closes_at else "(no window: the next pass closes it)"
        table.add_row(Text(place(on.city, on.country)), Text(on.name), until, str(on.session_instance_id))
    return table


def flip_line(flip: FlipRow) -> Text:
    """Return one flip as a line: what, where, why, how late."""
    late = round((flip.done_at - flip.due_at).total_seconds() * 1000)
    where = place(flip.city, flip.country)
    return Text.assemble(
        f"{flip.done_at:%H:%M:%S}  ",
        ("● on   " if flip.active else "○ over ", "green" if flip.active else "dim"),
        f"{flip.name}",
        (f", {where}" if where else "", "dim"),
        (f"   instance={flip.session_instance_id} cause={flip.cause} late_ms={late}", "dim"),
    )


def print_status(out: Console, status: Status, *, everything: bool) -> None:
    """Print the operator's screen."""
    verdict = Text("healthy", "green") if status.healthy else Text("UNHEALTHY", "bold red")
    out.print(verdict, f"at {utc(status.at)} UTC, zone data {status.zone_version}")
    for problem in status.problems:
        out.print(Text(f"  {problem}", "red"))
    for note in status.notes:
        out.print(Text(f"  note: {note}", "yellow"))
    _print_daemons(out, status)
    if status.next_edge:
        edge = status.next_edge
        kind = "opens" if edge.opens else "closes"
        out.print(Text(f"next edge: {edge.name} {kind} {local(edge.at, edge.timezone)} ({utc(edge.at)} UTC)"))
    out.print(f"on now: {len(status.on_now)}")
    if status.on_now:
        out.print(on_now_table(status.on_now))
    _print_troubles(out, status, everything=everything)


def _print_daemons(out: Console, status: Status) -> None:
    table = _table("daemon", "version", "beat", "listening since", "next timer", "clock offset", "zone data")
    for daemon in status.daemons:
        table.add_row(
            f"{daemon.host}:{daemon.pid}",
            daemon.version,
            f"{ago(daemon.beat_age)} ago",
            utc(daemon.listening_since) if daemon.listening_since else "not listening",
            utc(daemon.next_timer_at) if daemon.next_timer_at else "none",
            f"{daemon.clock_offset_ms:.1f} ms",
            daemon.zone_version,
        )
    if status.daemons:
        out.print(table)


def _print_troubles(out: Console, status: Status, *, everything: bool) -> None:
    for overdue in status.overdue:
        out.print(f"overdue: session {overdue.session_id} since {utc(overdue.since)} UTC")
    for holder in status.holders:
        out.print(
            Text(
                f"perhaps blocked by pid {holder.pid} ({holder.application or 'unnamed'}, {holder.state}, "
                f"transaction open for {ago(holder.open_for)}): {holder.query}"
            )
        )
    if len(status.misses) > MOST_MISSES:
        out.print(f"late: {len(status.misses)} flips in the last day; the latest {MOST_MISSES}:")
    for miss in status.misses[-MOST_MISSES:]:
        late = ago(miss.done_at - miss.due_at)
        word = "on" if miss.active else "off"
        out.print(
            f"late: instance {miss.session_instance_id} {word} {late} late at {utc(miss.done_at)} by {miss.cause}"
        )
    listed = status.unreadable if everything else status.unreadable[:MOST_NAMES]
    if len(listed) < len(status.unreadable):
        out.print(f"unreadable: {len(status.unreadable)} sessions; the first {MOST_NAMES} follow, --all lists the rest")
    for session in listed:
        out.print(Text(f"unreadable: session {session.session_id} {session.name!r}: {session.error}"))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
