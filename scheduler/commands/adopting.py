"""`adopt`: looks before a database is adopted, mirrors an older form of the feature, and takes ours away again."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from core import choices
from core.adoption import catalogue, removal, takeover
from core.adoption import check as checks
from core.adoption.check import Check
from core.adoption.findings import Finding
from core.adoption.removal import Removal
from core.db import database, is_embedded
from core.errors import DatabaseUnavailable, MirrorRefused, SeisiunError
from core.migrations import older_columns
from core.migrations.inventory import Inventory
from core.migrations.older_columns import quoted
from core.settings import load_settings
from core.store.heartbeats import BEAT_STALE
from scheduler.commands import screens
from scheduler.commands.database import command_engine, connected_to

NOT_READY, CANNOT_LOOK = 1, 2
MOST_ROWS = 10
OURS = {
    choices.OLDER_ACTIVE: "session_instance.active",
    choices.OLDER_POINTER: "person.active_session_instance_id",
}

PLANNING = (
    click.option(
        "--plan-only-where",
        metavar="COLUMN",
        help="Make rows only for sessions where this boolean column of session is true.",
    ),
    click.option(
        "--plan-ahead-from",
        metavar="COLUMN",
        help="Make a session's rows as many hours before their windows as this column of session says (1 to 336).",
    ),
)


def planning(command: Any) -> Any:
    """Add the options that name columns of `session`."""
    for option in reversed(PLANNING):
        command = option(command)
    return command


def chosen_planning(plan_only_where: str | None, plan_ahead_from: str | None) -> dict[str, str]:
    """Return the choices that the options name."""
    named = {choices.PLAN_ONLY_WHERE: plan_only_where, choices.PLAN_AHEAD_FROM: plan_ahead_from}
    return {name: column for name, column in named.items() if column}


def chosen_older(active_column: str | None, pointer_column: str | None) -> dict[str, str]:
    """Return the older columns that the options name."""
    named = {choices.OLDER_ACTIVE: active_column, choices.OLDER_POINTER: pointer_column}
    return {name: column for name, column in named.items() if column}


@contextmanager
def app_database() -> Iterator[str]:
    """Yield the URL of the app's database. Raises `DatabaseUnavailable` where none is configured."""
    settings = load_settings()
    if is_embedded(settings):
        raise DatabaseUnavailable("no database is named: set DATABASE_URL, or PGHOST and the others that your app sets")
    with database(settings) as url:
        yield url


# --check


def check(named: Mapping[str, str], *, as_json: bool) -> None:
    """Print what was found, and end with its exit status. `named`: the columns that the options name."""
    try:
        with app_database() as url:
            found = checks.check(url, load_settings(), named)
    except (SeisiunError, DBAPIError) as error:
        click.echo(f"Error: cannot look: {' '.join(str(getattr(error, 'orig', error)).split())}", err=True)
        sys.exit(CANNOT_LOOK)
    if as_json:
        screens.print_json(asdict(found))
    else:
        click.echo("\n".join(_lines(found)))
    sys.exit(0 if found.ready else NOT_READY)


def _lines(found: Check) -> Iterator[str]:
    """Yield the check in plain words; the verdict comes first."""
    server = found.server
    where = f"{server.address}:{server.port}" if server.address else "a local socket"
    yield "ready" if found.ready else "NOT READY"
    yield f"database {server.database} on {where}, PostgreSQL {server.version}"
    yield f"as role {server.role}, in schema {server.schema}"
    yield from (f"in the way: {problem}" for problem in found.in_the_way)
    yield "your tables:" if found.tables else "none of the app's four tables exists: `migrate` makes them"
    yield from (f"  {table}" for table in found.tables)
    yield from _additions(found.added)
    for finding in found.findings:
        yield from _finding(finding)


def _additions(added: Inventory) -> Iterator[str]:
    yield f"`migrate` would add {added}" + (":" if str(added) != "nothing" else "")
    for kind in ("app_tables", "columns", "tables", "triggers", "indexes"):
        if names := sorted(getattr(added, kind)):
            yield f"  {kind.replace('_', ' ')}: {', '.join(names)}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"\n{finding}"
    yield from (f"  {row}" for row in finding.rows[:MOST_ROWS])
    if len(finding.rows) > MOST_ROWS:
        yield f"  and {len(finding.rows) - MOST_ROWS} more: --json has all"


# --mirror, --drop-mirror


def mirror(url: str, hindrances: list[str], named: Mapping[str, str]) -> None:
    """Begin the take-over, once a daemon is healthy; say what is mirrored, and how many rows were brought into line."""
    if hindrances:
        raise MirrorRefused(
            f"nothing was changed: {'; '.join(hindrances)}. Until a healthy daemon keeps our columns true, yours "
            "would show what is not so"
        )
    columns = takeover.begin(url, named)
    for column in columns:
        click.echo(f"mirroring: {column} is kept equal to {OURS[column.choice]}")
    for choice in OURS.keys() - {column.choice for column in columns}:
        click.echo(
            f"not mirrored: {OURS[choice]}; if a column of yours says the same, name it with "
            f"{older_columns.OPTIONS[choice]}"
        )
    changed, left = takeover.bring_into_line(url)
    click.echo(f"rows brought into line: {changed}")
    if left:
        raise MirrorRefused(
            f"rows that other transactions hold, and that still differ: {left}; the daemon's next resyncs bring them "
            "into line, or run this again"
        )


def drop_mirror(url: str) -> None:
    """End the take-over; say what to search the app for, and what would refuse its deletes from now on."""
    with connected_to(url) as connection:
        keys = takeover.refusing_keys(connection)
    ended = takeover.end(url)
    if not ended:
        click.echo("nothing was mirrored")
        return
    columns = [name.partition(".")[::2] for name in ended.values()]
    click.echo(f"no longer mirrored: {', '.join(ended.values())}; they keep what they say now")
    click.echo(f"search your app, its reports and jobs for: {', '.join(name for _, name in columns)}")
    with connected_to(url) as connection:
        for table, name in columns:
            readers = catalogue.readers(connection, table, name)
            click.echo(f"in the database {name} is read by {', '.join(readers) or 'no view and no function'}")
    for name, definition in keys:
        click.echo(
            f"warning: the constraint {name} of person, {definition}, refuses from now on to delete an evening where "
            f"the older pointer stands still: ALTER TABLE person DROP CONSTRAINT {name};",
            err=True,
        )
    click.echo("once nothing reads them:")
    for table, name in columns:
        click.echo(f"  ALTER TABLE {table} DROP COLUMN {quoted(name)};")


# --remove


def check_removal(url: str) -> None:
    """Print what --remove would take, and what it would keep; exit status 1 if it would be refused."""
    with command_engine(url) as engine, engine.connect() as connection:
        found = removal.removal(connection)
        hindrances = removal.hindrances(connection, found, BEAT_STALE)
    click.echo("\n".join((*(f"in the way: {each}" for each in hindrances), *_taken(found, "would take"))))
    sys.exit(NOT_READY if hindrances else 0)


def remove(url: str) -> None:
    """Take everything of ours away, and say what was taken."""
    click.echo("\n".join(_taken(removal.remove(url, BEAT_STALE), "took")))


def _taken(found: Removal, verb: str) -> Iterator[str]:
    if found.is_empty:
        yield "nothing of ours is here"
    for kind in ("triggers", "columns", "tables", "functions", "indexes"):
        if names := getattr(found, kind):
            yield f"{verb} {len(names)} {kind}: {', '.join(names)}"
    yield from (f"kept {row}" for row in found.keeps)


# migrate


def told(before: Inventory, after: Inventory, revision: str | None, chosen: Mapping[str, str]) -> str:
    """Return what `migrate` did, in words. `revision`: the one from before it; `chosen`: the choices that hold now."""
    column = chosen.get(choices.DEACTIVATED_PEOPLE)
    follows = f"\nfollowing person.{column}: people for whom it is false are placed nowhere" if column else ""
    if revision is not None:
        return f"the schema was at revision {revision} and is up to date{follows}"
    if not before.app_tables:
        return "the schema is created"
    made = after - before
    tables = f", and made {len(made.app_tables)} that were missing" if made.app_tables else ""
    return f"Adopted your {len(before.app_tables)} tables{tables}: added {made}{follows}"
