"""`simulate`: what a change of a session would do, before anybody saves it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime

import click
from rich.table import Table
from rich.text import Text

from core.explain import FARTHEST, find_session
from core.rules.explanation.wording import between, instant, until, wall
from core.simulate import Evening, EveningChange, Simulation
from core.simulate import simulate as simulate_change
from core.timezones import to_local
from core.windows import LONGEST_BUFFER_MINUTES
from scheduler.commands import screens
from scheduler.commands.database import ready_engine

MINUTES = click.IntRange(0, LONGEST_BUFFER_MINUTES)


@click.command()
@click.argument("session")
@click.option("--recurrence", help="The new recurrence: JSON, or RFC 5545 lines; an empty text means none.")
@click.option("--zone", help="The new time zone, such as Europe/Dublin.")
@click.option("--before", type=MINUTES, help="The new buffer before the start, in minutes.")
@click.option("--after", type=MINUTES, help="The new buffer after the end, in minutes.")
@click.option("--days", default=28, show_default=True, type=click.IntRange(0, FARTHEST.days), help="How far ahead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def simulate(
    *,
    session: str,
    recurrence: str | None,
    zone: str | None,
    before: int | None,
    after: int | None,
    days: int,
    as_json: bool,
) -> None:
    """Say what a change of a SESSION (its id, its path, or the beginning of its name) would do. It writes nothing.

    Which evenings come, go or change, which overlap and who is on then, how many people that concerns, and what would
    flip at once.
    """
    if recurrence is None and zone is None and before is None and after is None:
        raise click.UsageError("expected one or more of --recurrence, --zone, --before, --after")
    with ready_engine() as engine:
        found = simulate_change(
            engine,
            find_session(engine, session),
            recurrence=recurrence,
            timezone=zone,
            before=before,
            after=after,
            days=days,
        )
    if as_json:
        screens.print_json(asdict(found))
    else:
        _print(found)


def _print(found: Simulation) -> None:
    out = screens.console()
    zones = {evening.timezone for change in found.changes for evening in (change.before, change.after) if evening}
    evenings = len(found.changes) + found.unchanged
    count = f"{len(found.changes)} of {evenings} evenings would change" if found.changes else "no evening would change"
    local = f"; times are local, {' and then '.join(sorted(zones))}" if zones else ""
    head = f"{found.name} (session {found.session_id}): until {found.until:%Y-%m-%d %H:%M} UTC {count}{local}"
    out.print(Text(screens.name(head)))
    if found.changes:
        out.print(_changes(found))
    for line in _consequences(found):
        out.print(Text(screens.name(line)))


def _changes(found: Simulation) -> Table:
    rows = screens.table("", "evening", "UTC", "hours", "on", "instance", "said yes")
    for change in found.changes:
        rows.add_row(*_row(change, found.yeses))
    return rows


def _row(change: EveningChange, yeses: dict[int, int]) -> Iterator[str]:
    evenings = [one for one in (change.before, change.after) if one]
    first, row = evenings[0], change.before.session_instance_id if change.before else None
    yield f"{change.change}{', and its row' if change.is_deleted else ''}"
    yield wall(to_local(first.starts_at, first.timezone))
    yield screens.utc(first.starts_at)
    yield _before_and_after(_span(one.starts_at, one.ends_at, first, one) for one in evenings)
    yield _before_and_after(_span(one.window.opens_at, one.window.closes_at, first, one) for one in evenings)
    yield str(row or "")
    yield str(yeses.get(row or 0, ""))


def _span(start: datetime, end: datetime, seen_from: Evening, evening: Evening) -> str:
    """Return "19:00 to 22:00", with dates where they are others than that of the evening it is seen from."""
    return " to ".join(until(at, seen_from.starts_at, evening.timezone) for at in (start, end))


def _before_and_after(spans: Iterable[str]) -> str:
    return " -> ".join(dict.fromkeys(spans))


def _consequences(found: Simulation) -> Iterator[str]:
    if any(change.is_deleted for change in found.changes):
        yield "a row goes unless something refers to it (P4)"
    for one in found.overlaps:
        span = between(one.window.opens_at, one.window.closes_at, one.winner.timezone)
        yield f"overlap: {_named(one.winner)} is on instead of {_named(one.loser)}, {span} (P7)"
    for flip in found.flips:
        row = f"instance {flip.session_instance_id}" if flip.session_instance_id > 0 else "a row that the pass makes"
        yield f"at once: {row} turns {'on' if flip.active else 'off'}"
    if found.released:
        yield f"at once: {found.released} {'person is' if found.released == 1 else 'people are'} at what turns off"


def _named(evening: Evening) -> str:
    if evening.session_instance_id:
        return f"instance {evening.session_instance_id}"
    return f"the evening of {instant(evening.starts_at, evening.timezone)}"
