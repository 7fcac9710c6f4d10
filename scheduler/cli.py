"""The operator's commands: `python -m scheduler COMMAND`."""

import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core import __version__, choices, logs, streams
from core.db import database
from core.db.embedded import connect_or_start
from core.errors import SeisiunError
from core.explain import FARTHEST, find_session
from core.migrations import migrate as migrate_database
from core.migrations import privileges
from core.migrations.inventory import Inventory, standing
from core.settings import Settings, load_settings
from core.status import adoption_notes
from core.status import hindrances as mirror_hindrances
from core.status import status as read_status
from core.store.views import schedule
from core.store.views.schedule import Edge
from core.timeline import upcoming_days
from scheduler.commands import adopting, loading, screens
from scheduler.commands.database import (
    command_engine,
    configured,
    connected,
    connected_to,
    described,
    ready_engine,
)
from scheduler.commands.demo import Demo
from scheduler.commands.explain import explain
from scheduler.commands.history import history
from scheduler.commands.preview import preview
from scheduler.commands.simulate import simulate
from scheduler.commands.status import print_status
from scheduler.daemon import Daemon


class CouldNotTell(click.ClickException):
    """Ends `status` where it cannot tell whether all is well."""

    exit_code = 3


class Commands(click.Group):
    """Turns our own errors, those of the database and those of files into one line and exit status 1; `status`: 3."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (SeisiunError, OSError) as error:
            raise _failure(ctx, str(error)) from error
        except DBAPIError as error:
            raise _failure(ctx, f"the database reports an error: {' '.join(str(error.orig).split())}") from error


def _failure(context: click.Context, message: str) -> click.ClickException:
    return CouldNotTell(message) if context.invoked_subcommand == "status" else click.ClickException(message)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context) -> None:
    """Keep true, to the second, which music sessions are on right now."""
    if context.invoked_subcommand == "run":  # an error in the settings, too, must not wait for a reader
        streams.send_stderr_through(logs.configure(Settings.model_construct()))
    logs.configure(load_settings())


@main.command()
def run() -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    settings = load_settings()
    streams.send_stderr_through(logs.configure(settings))
    with configured(settings) as url:
        sys.exit(Daemon(url, settings).run())


@main.command()
def demo() -> None:
    """Run the daemon with real sessions on the embedded database (it does not touch DATABASE_URL)."""
    settings = load_settings().model_copy(update={"log_level": "WARNING"})
    logs.configure(settings)
    with connect_or_start(settings.embedded_postgres_dir) as server:
        sys.exit(Demo(server, settings, screens.console()).run())


@main.command()
@click.option(
    "--notifications",
    type=click.Choice(["on", "off"]),
    help="Choose whether the app's own transactions notify (at first: on). Off: the daemon asks for edits every 50 ms.",
)
@adopting.planning
@click.option("--plan-all", is_flag=True, help="Take those two choices back: make rows for every session.")
def migrate(
    *, notifications: str | None, plan_only_where: str | None, plan_ahead_from: str | None, plan_all: bool
) -> None:
    """Create the schema, adopt an app's tables, or update the schema.

    You can run it again at any time, also while the app runs. What it chooses, it chooses for good: run it again
    without an option, and the choice stays.
    """
    taken_back = (choices.PLAN_ONLY_WHERE, choices.PLAN_AHEAD_FROM) if plan_all else ()
    planning: dict[str, str | None] = dict.fromkeys(taken_back)
    planning |= adopting.chosen_planning(plan_only_where, plan_ahead_from)
    with database(load_settings()) as url:
        before = _inventory(url)
        revision = migrate_database(
            url, notifications=None if notifications is None else notifications == "on", planning=planning
        )
        with connected_to(url) as connection:
            notes = adoption_notes(connection)
            chosen = choices.read(connection)
        told = adopting.told(before, _inventory(url), revision, chosen)
    click.echo(told)
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _inventory(url: str) -> Inventory:
    with command_engine(url) as engine, engine.connect() as connection:
        return standing(connection)


@main.command()
@click.option("--check", is_flag=True, help="Look only: write nothing, and hold no lock.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print JSON, for programs.")
@click.option("--mirror", is_flag=True, help="Keep the app's older columns equal to ours; needs a healthy daemon.")
@click.option("--drop-mirror", is_flag=True, help="End that; the older columns stay.")
@click.option("--remove", is_flag=True, help="Take everything of ours away; with --check only say what.")
@click.option(
    "--active-column",
    metavar="NAME",
    help="With --mirror or --check: the older boolean of session_instance, if it is not found.",
)
@click.option(
    "--pointer-column",
    metavar="NAME",
    help="With --mirror or --check: the older number of person, if it is not found.",
)
@adopting.planning
def adopt(
    *,
    check: bool,
    as_json: bool,
    mirror: bool,
    drop_mirror: bool,
    remove: bool,
    active_column: str | None,
    pointer_column: str | None,
    plan_only_where: str | None,
    plan_ahead_from: str | None,
) -> None:
    """Take an app's database over, step by step (docs/adopting.md). Give one step.

    Exit status of --check: 0 ready, 1 not ready, 2 it could not look.
    """
    if mirror + drop_mirror + remove + (check and not remove) != 1:
        raise click.UsageError("expected one of --check, --mirror, --drop-mirror, --remove")
    older = adopting.chosen_older(active_column, pointer_column)
    if older and (drop_mirror or remove):
        raise click.UsageError("expected --mirror or --check with --active-column and --pointer-column")
    if check and not remove:
        adopting.check(adopting.chosen_planning(plan_only_where, plan_ahead_from) | older, as_json=as_json)
    with adopting.app_database() as url:
        if mirror:
            with connected_to(url) as connection:
                hindrances = mirror_hindrances(connection)
            adopting.mirror(url, hindrances, older)
        elif drop_mirror:
            adopting.drop_mirror(url)
        elif check:
            adopting.check_removal(url)
        else:
            adopting.remove(url)


@main.command()
@click.argument("role")
@click.option("--daemon", is_flag=True, help="What the daemon, the sweep and `status` need, instead.")
def grants(*, role: str, daemon: bool) -> None:
    """Print the SQL that grants ROLE what an app's hooks and pages need. It executes nothing."""
    with connected() as connection:
        statements = privileges.grants(connection, role, daemon=daemon)
    click.echo("\n".join(statements))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load(file: Path) -> None:
    """Load sessions from a JSON FILE; update those that exist already (same name and city)."""
    err = screens.console(stderr=True)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        found, warnings = loading.read(file)
        progress.update(task, description="loading", total=len(found))
        with connected(may_make=True) as connection:
            loaded = loading.load(connection, found, warnings, lambda number: progress.advance(task, number))
    click.echo(f"sessions: {loaded.inserted} new, {loaded.updated} changed, {loaded.unchanged} unchanged")
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


@main.command()
@click.option("--all", "everything", is_flag=True, help="List more than ten sessions that are overdue or unreadable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(*, as_json: bool, everything: bool) -> None:
    """Tell whether all is well (exit status 0) or not (1), and what is on; 3: it could not tell."""
    with connected() as connection:
        found, where = read_status(connection), described(connection)
    if as_json:
        screens.print_json(asdict(found))
    else:
        print_status(screens.console(), found, where, everything=everything)
    sys.exit(0 if found.healthy else 1)


@main.command()
@click.argument("session", required=False)
@click.option("--hours", show_default="24", type=click.FloatRange(min=0, max=24 * 365))
@click.option("--days", type=click.FloatRange(min=0, max=FARTHEST.days), help="Also what is not planned yet.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def upcoming(*, session: str | None, hours: float | None, days: float | None, as_json: bool) -> None:
    """List the coming edges: what opens and closes, in local time and in UTC.

    Without --days, those of the planned instances of all sessions: the daemon plans an instance PLAN_HORIZON_HOURS
    before it opens. With --days, also those that only the patterns say, of all sessions or of one SESSION (its id, its
    path, or the beginning of its name).
    """
    if session is not None and days is None:
        raise click.UsageError("expected --days N with SESSION")
    if hours is not None and days is not None:
        raise click.UsageError("expected --hours N or --days N, not both")
    hours = 24.0 if hours is None else hours
    hours = hours if days is None else days * 24
    with ready_engine() as engine:
        edges = _edges_ahead(engine, session, hours, days)
    if as_json:
        screens.print_json([asdict(edge) for edge in edges])
    elif edges:
        screens.console().print(screens.edges_table(edges))
    else:
        click.echo(f"no {'planned ' if days is None else ''}instance opens or closes within {hours:g} hours")
    planned_hours = load_settings().plan_horizon_hours
    if days is None and hours > planned_hours:
        click.echo(
            f"note: the daemon plans instances {planned_hours:g} hours before they open; --days lists later ones",
            err=True,
        )


def _edges_ahead(engine: Engine, session: str | None, hours: float, days: float | None) -> list[Edge]:
    if days is not None:
        return upcoming_days(engine, days, find_session(engine, session) if session is not None else None)
    with engine.begin() as connection:
        return schedule.upcoming(connection, timedelta(hours=hours))


main.add_command(explain)
main.add_command(history)
main.add_command(preview)
main.add_command(simulate)
