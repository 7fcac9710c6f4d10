"""`history`: the log of flips, with how late each was and by what."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click
from rich.table import Table
from rich.text import Text

from core.clock import utc_now
from core.explain import find_session
from core.reconcile.log import MISSED
from core.rules.flips import Cause, Change
from core.settings import load_settings
from core.timeline import FlipRow
from core.timeline import history as read_history
from scheduler.commands import screens
from scheduler.commands.database import ready_engine
from scheduler.commands.explain import instant

DELETION = "deletion"  # no pass caused it: a trigger logs that a row was deleted while it was on


@click.command()
@click.argument("session", required=False)
@click.option("--since", callback=instant, help="From this instant on; without an offset in UTC.  [default: a day ago]")
@click.option("--late", is_flag=True, help=f"Only flips that came over {MISSED.seconds} s late.")
@click.option("--cause", type=click.Choice([*map(str, Cause), DELETION]), help="Only flips with this cause.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(min=1), help="The last so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def history(
    *, session: str | None, since: datetime | None, late: bool, cause: str | None, limit: int, as_json: bool
) -> None:
    """List the flips, of all sessions or of one SESSION (its id, its path, or the beginning of its name)."""
    since = since or utc_now() - timedelta(days=1)
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    with ready_engine() as engine:
        session_id = find_session(engine, session) if session is not None else None
        found = read_history(
            engine,
            session_id,
            since=since,
            late=MISSED if late else None,
            cause=Cause(cause) if cause and cause != DELETION else None,
            change=Change.DELETED if cause == DELETION else None,
            limit=limit,
        )
    if as_json:
        screens.print_json([asdict(flip) for flip in found])
    elif found:
        daemons = list(dict.fromkeys(flip.daemon for flip in found if flip.daemon))
        out = screens.console()
        out.print(table(found, daemons))
        for number, daemon in enumerate(daemons, 1):
            out.print(Text(f"daemon {number}: {daemon}"))
    else:
        click.echo(f"no such flip since {screens.utc(since)} UTC; the log is kept for {load_settings().keep_days} days")
    if len(found) == limit:
        click.echo(f"note: only the last {limit} are listed; --limit lists more", err=True)


def table(flips: list[FlipRow], daemons: list[str]) -> Table:
    """Return the flips, in order of time; a daemon is named by its number in `daemons`, from 1 on."""
    rows = screens.table("local time", "UTC", "", "late", "cause", "by", "session", "instance")
    for flip in flips:
        rows.add_row(
            screens.local(flip.done_at, flip.timezone),
            screens.utc(flip.done_at),
            flip.change or ("opened" if flip.active else "closed"),
            "" if flip.cause == Cause.REPAIR else _late(flip),
            DELETION if flip.change == Change.DELETED else flip.cause,
            str(daemons.index(flip.daemon) + 1) if flip.daemon else "",
            screens.cell(flip.session_id, flip.name),
            str(flip.session_instance_id),
        )
    return rows


def _late(flip: FlipRow) -> str:
    late = max(flip.done_at - flip.due_at, timedelta(0))
    return screens.ago(late) if late >= timedelta(seconds=1) else f"{late / timedelta(milliseconds=1):.0f} ms"
