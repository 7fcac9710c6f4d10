"""Output for people: tables for a terminal, just as readable when piped."""

import json
from datetime import UTC, date, datetime, time, timedelta

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import UnknownTimeZone
from core.store.views.places import Place
from core.store.views.reports import FlipRow
from core.store.views.schedule import Edge
from core.timezones import to_local

WIDTH = 1000  # more than any table needs; it takes only the width of its text
SESSION, PLACE, HOST = 22, 15, 24  # the longest cells of text, in characters, so that no row is longer than 100


def console(*, stderr: bool = False) -> Console:
    """Return a console that breaks no line and folds no table: a narrow terminal breaks lines by itself."""
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True, width=WIDTH)


def local(at: datetime, zone: str | None) -> str:
    """Return an instant as the clocks of a zone show it: "Thu 19:00:00"; nothing where the zone is unknown."""
    try:
        return f"{to_local(at, zone or ''):%a %H:%M:%S}"
    except UnknownTimeZone:
        return ""


def utc(at: datetime) -> str:
    """Return an instant in UTC; behind a pooler that refuses our options, the server's own zone may have read it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def name(text: str) -> str:
    """Return a name as one line; a character that does not print, and could command the terminal, as its escape."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def short(text: str, most: int) -> Text:
    """Return a cell of a table: a name as one line, of at most `most` characters."""
    shown = name(text)
    return Text(shown if len(shown) <= most else f"{shown[: most - 1]}…")


def cell(session_id: int, session_name: str | None) -> Text:
    """Return "12 Mueller's", the session of a row; a deleted session has no name."""
    return short(f"{session_id} {'(deleted)' if session_name is None else session_name}", SESSION)


def session(session_id: int, session_name: str | None) -> str:
    """Return "session 12 'Mueller's'"; a deleted session has no name."""
    return f"session {session_id} {name(repr(session_name)) if session_name is not None else '(deleted)'}"


def place(city: str | None, country: str | None) -> str:
    """Return "Austin, USA"."""
    return name(", ".join(filter(None, (city, country))))


def ago(age: timedelta) -> str:
    """Return an age in the largest unit that is at least two."""
    seconds = age.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def edges_table(edges: list[Edge]) -> Table:
    """Return the edges, in order of time."""
    rows = table("local time", "UTC", "", "session", "where", "instance")
    for edge in edges:
        rows.add_row(
            local(edge.at, edge.timezone),
            utc(edge.at),
            "opens" if edge.opens else "closes",
            cell(edge.session_id, edge.name),
            short(place(edge.city, edge.country), PLACE),
            str(edge.session_instance_id or "") if edge.is_planned else "not planned yet",
        )
    return rows


def on_now_table(instances: list[Place]) -> Table:
    """Return what is on, by country and city."""
    rows = table("where", "session", "until, local", "until, UTC", "instance")
    for on in instances:
        rows.add_row(
            short(place(on.city, on.country), PLACE),
            cell(on.session_id, on.name),
            local(on.closes_at, on.timezone) if on.closes_at else "",
            utc(on.closes_at) if on.closes_at else "no window: the next pass closes it",
            str(on.session_instance_id),
        )
    return rows


def flip_line(flip: FlipRow) -> Text:
    """Return one flip as a line: what, where, why, how late."""
    late = round((flip.done_at - flip.due_at).total_seconds() * 1000)
    where = place(flip.city, flip.country)
    return Text.assemble(
        f"{flip.done_at.astimezone(UTC):%H:%M:%S}  ",
        ("● on   " if flip.active else "○ over ", "green" if flip.active else "dim"),
        name(flip.name or ""),
        (f", {where}" if where else "", "dim"),
        (f"   instance={flip.session_instance_id} cause={flip.cause} late_ms={late}", "dim"),
    )


def table(*headings: str) -> Table:
    """Return an empty table with these headings."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def print_json(value: object) -> None:
    """Print a value of ours for programs."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> object:
    """Return what JSON has no form for: instants as RFC 3339, lengths of time in seconds, sets as sorted lists."""
    match value:
        case timedelta():
            return value.total_seconds()
        case datetime() | date() | time():
            return value.isoformat()
        case frozenset():
            return sorted(value)
    return str(value)
