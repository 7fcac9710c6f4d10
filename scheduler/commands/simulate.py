"""`simulate`: what a change of a session would do, before anybody saves it."""

from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.text import Text

from core.explain import FARTHEST, find_session
from core.rules.explanation.wording import between, instant
from core.simulate import Change, Evening, EveningChange, Simulation
from core.simulate import simulate as simulate_change
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
        for line in _lines(found):
            screens.console().print(Text(screens.name(line)))


def _lines(found: Simulation) -> Iterator[str]:
    count = f"{len(found.changes)} of its evenings would change" if found.changes else "no evening would change"
    yield f"{found.name} (session {found.session_id}): until {found.until:%Y-%m-%d %H:%M} UTC {count}"
    for change in found.changes:
        yield f"{change.change}: {_told(change)}{_yeses(found, change)}"
    for one in found.overlaps:
        zone = one.winner.timezone
        span = between(one.window.opens_at, one.window.closes_at, zone)
        yield f"overlap: {_named(one.winner)} is on instead of {_named(one.loser)}, {span} (P7)"
    for flip in found.flips:
        row = f"instance {flip.session_instance_id}" if flip.session_instance_id > 0 else "a row that the pass makes"
        yield f"at once: {row} turns {'on' if flip.active else 'off'}"
    if found.released:
        yield f"at once: {found.released} people are at what turns off"


def _told(change: EveningChange) -> str:
    if change.change is Change.CHANGES and change.before and change.after:
        return f"{_named(change.before)}: {_hours(change.before)} becomes {_hours(change.after)}"
    [evening] = [one for one in (change.before, change.after) if one]
    deleted = ", and its row is deleted unless something refers to it (P4)" if change.is_deleted else ""
    return f"{_named(evening)}: {_hours(evening)}{deleted}"


def _hours(evening: Evening) -> str:
    window = between(evening.window.opens_at, evening.window.closes_at, evening.timezone)
    return f"{between(evening.starts_at, evening.ends_at, evening.timezone)}, on {window}"


def _named(evening: Evening) -> str:
    if evening.session_instance_id:
        return f"instance {evening.session_instance_id}"
    return f"the evening of {instant(evening.starts_at, evening.timezone)}"


def _yeses(found: Simulation, change: EveningChange) -> str:
    row = change.before.session_instance_id if change.before else None
    count = found.yeses.get(row or 0, 0)
    return f"; {count} said yes" if count else ""
