"""Shows what a recurrence would plan, before anybody saves it; needs no database."""

from datetime import date, datetime, timedelta

import click
from rich.table import Table

from core.clock import utc_now
from core.recurrence import Recurrence, parse
from core.recurrence.describe import describe
from core.recurrence.rfc5545.values import FIRST_DAY
from core.recurrence.schedules import Occurrence
from core.settings import load_settings
from core.timezones import changes_of_night, require_zone, to_local
from core.windows import activation_window
from scheduler.commands import screens

DATE = click.DateTime(formats=["%Y-%m-%d"])


def _require_era(_context: click.Context, _parameter: click.Parameter, value: datetime | None) -> datetime | None:
    """Refuse dates that are too early for the zone data."""
    if value and value.date() < FIRST_DAY:
        raise click.BadParameter(f"{value:%Y-%m-%d} is too early; expected {FIRST_DAY} or later")
    return value


@click.command()
@click.argument("recurrence")
@click.option("--zone", required=True, help="The session's time zone, such as Europe/Dublin.")
@click.option("--from", "first", type=DATE, callback=_require_era, help="The first local date.  [default: today]")
@click.option("--days", default=60, show_default=True, type=click.IntRange(1, 3660), help="How many days to list.")
@click.option("--initiation-date", type=DATE, help="The session's first date. Weeks are counted from it.")
def preview(*, recurrence: str, zone: str, first: datetime | None, days: int, initiation_date: datetime | None) -> None:
    """List when a RECURRENCE (JSON, or RFC 5545 lines) takes place and is active, in local time and in UTC.

    It marks the nights when the clocks change. If it cannot read the recurrence, it says why (exit status 1).
    """
    found = parse(recurrence, default_length=load_settings().default_length, zone=require_zone(zone))
    initiated = initiation_date.date() if initiation_date else None
    begins = first.date() if first else to_local(utc_now(), zone).date()
    click.echo(f"{describe(found)} ({zone})")
    for warning in _warnings(found, initiated):
        click.echo(f"warning: {warning}", err=True)
    occurrences = found.between(begins, _days_after(begins, days - 1), initiation_date=initiated)
    if occurrences:
        screens.console().print(_table(occurrences, zone))
    else:
        click.echo(_nothing(found, begins, days, initiated))


def _days_after(day: date, days: int) -> date:
    return day + min(timedelta(days=days), date.max - day)


def _warnings(found: Recurrence, initiated: date | None) -> list[str]:
    """Return the warnings of the recurrence, and R2's warning."""
    warnings = [f"{warning} (a form would refuse to save it)" for warning in found.warnings]
    if found.needs_initiation_date and not initiated:
        warnings.append("it skips weeks; without --initiation-date they may be the wrong weeks")
    return warnings


def _table(occurrences: tuple[Occurrence, ...], zone: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("local time", "active, local time", "active, UTC", ""):
        table.add_column(heading, overflow="fold")
    for occurrence in occurrences:
        table.add_row(*_row(occurrence, zone))
    return table


def _row(occurrence: Occurrence, zone: str) -> tuple[str, str, str, str]:
    """Return the stated hours, the window on the clocks of the zone and in UTC, and what happens to the clocks."""
    start, end = occurrence.start, occurrence.end
    window = activation_window(start, end, zone)
    opens_at, closes_at = window.opens_at, window.closes_at
    stated = f"{start:%H:%M}-{end:%H:%M}" if occurrence.states_end else f"{start:%H:%M}"
    return (
        f"{start:%a %d %b %Y} {stated}",
        f"{to_local(opens_at, zone):%a %H:%M} - {to_local(closes_at, zone):%a %H:%M}",
        f"{opens_at:%Y-%m-%d %H:%M} - {closes_at:%Y-%m-%d %H:%M}",
        ", ".join(map(str, changes_of_night(start.date(), zone))),
    )


def _nothing(found: Recurrence, begins: date, days: int, initiated: date | None) -> str:
    later = found.first_on_or_after(begins, initiation_date=initiated)
    next_one = f"the next date is {later.start:%a %d %b %Y}" if later else "there is no later date"
    return f"nothing occurs in the {days} days from {begins}; {next_one}"
