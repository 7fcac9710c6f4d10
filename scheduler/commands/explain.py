"""`explain`: why a session, an instance or a person is as they are."""

from dataclasses import asdict
from datetime import datetime

import click
from rich.text import Text
from sqlalchemy import Engine

from core.explain import (
    Explanation,
    PersonExplanation,
    explain_instance,
    explain_person,
    explain_session,
    find_session,
)
from core.recurrence.schedules import FIRST_YEAR, LAST_YEAR
from scheduler.commands import screens
from scheduler.commands.database import ready_engine


def instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read an instant in ISO 8601; without an offset it is local to the session."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        accepted = "2026-12-03T19:00 (local to the session), 2026-12-03T19:00Z or 2026-12-03T19:00+01:00"
        raise click.BadParameter(f"{value!r} is no instant; expected for example {accepted}") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise click.BadParameter(f"{value!r} is out of reach; expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    return found


@click.command()
@click.argument("session", required=False)
@click.option("--instance", "instance_id", type=click.IntRange(min=1), help="Explain this instance, by id.")
@click.option("--person", "person_id", type=click.IntRange(min=1), help="Explain where this person is, by id.")
@click.option("--at", callback=instant, help="At this instant, ahead or past; without an offset local to the session.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def explain(
    *,
    session: str | None,
    instance_id: int | None,
    person_id: int | None,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Say why a SESSION is on or not: by its id, its path, or the beginning of its name.

    Or why an instance is, or where a person is. It writes nothing.
    """
    if sum(asked is not None for asked in (session, instance_id, person_id)) != 1:
        raise click.UsageError("expected one of: SESSION, --instance ID, --person ID")
    if person_id is not None and at is not None:
        raise click.UsageError("--at is not for --person: where people were is not kept")
    with ready_engine() as engine:
        found = _explained(engine, session, instance_id, person_id, at)
    if as_json:
        screens.print_json(asdict(found))
    else:
        _print(found)


def _explained(
    engine: Engine, session: str | None, instance_id: int | None, person_id: int | None, at: datetime | None
) -> Explanation | PersonExplanation:
    if session is not None:
        return explain_session(engine, find_session(engine, session), at)
    if instance_id is not None:
        return explain_instance(engine, instance_id, at)
    assert person_id
    return explain_person(engine, person_id)


def _print(found: Explanation | PersonExplanation) -> None:
    out = screens.console()
    out.print(Text(screens.name(f"{_subject(found)}: {found.verdict}"), "bold" if found.agrees else "bold red"))
    subjects = ["", *(step.subject for step in found.steps)]
    width = max(map(len, subjects))
    for before, step in zip(subjects, found.steps, strict=False):
        subject = "" if step.subject == before else step.subject
        out.print(Text(f"{subject:{width}}  {screens.name(step.text)}"))


def _subject(found: Explanation | PersonExplanation) -> str:
    if isinstance(found, PersonExplanation):
        return f"Person {found.person_id}"
    instance = f", instance {found.session_instance_id}" if found.session_instance_id else ""
    return f"{found.name} (session {found.session_id}{instance})"
