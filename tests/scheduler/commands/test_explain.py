"""`explain`, as an operator types it: one sentence and the chain behind it, in words or as JSON."""

import json
from datetime import UTC, datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import SWEEP, run
from tests.data import add_check_in, add_person, add_session, change_instance, only_instance
from tests.scheduler.soon import HOUR, session_here, weekly
from tests.scheduler.test_cli import scheduler


def test_a_session_an_instance_and_a_person_are_explained(database_url: str, app: Connection) -> None:
    session = session_here(app, weekly(-HOUR, HOUR), name="Mueller's", city="Austin")
    add_session(app, name="Mulligan's [bold]bar[/]")
    run(SWEEP, settings={"DATABASE_URL": database_url})
    instance, person = only_instance(app, session), add_person(app, first_name="Maeve")
    add_check_in(app, instance, person)

    named = scheduler("explain", "mueller", DATABASE_URL=database_url)
    where = scheduler("explain", "--person", str(person), DATABASE_URL=database_url)
    change_instance(app, instance, is_cancelled=True, cancel_reason="publican ill")
    as_json = scheduler("explain", "--instance", str(instance), "--json", DATABASE_URL=database_url)
    next_week = f"{datetime.now(UTC) + timedelta(weeks=1):%Y-%m-%dT%H:%M}+00:00"
    ahead = scheduler("explain", str(session), "--at", next_week, DATABASE_URL=database_url)

    assert (named[0], named[2]) == (0, "")
    lines = named[1].splitlines()
    assert lines[0].startswith(f"Mueller's (session {session}, instance {instance}): On until ")
    assert [line.split()[0] for line in lines[1:]] == [
        "pattern", "occurrence", "row", "hours", "buffers", "window", "bit", "flip", "people", "next", "pass",
    ]  # fmt: skip
    assert "Maeve" not in named[1] + where[1]
    assert where[1].startswith(f"Person {person}: Nowhere, and should be at Mueller's (session {session}, instance ")
    found = json.loads(as_json[1])
    assert found["verdict"].startswith("On, and should not be: cancelled, 'publican ill' (P5). No daemon works: start ")
    assert (found["why"], found["is_on"], found["agrees"]) == ("cancelled", True, False)
    assert (as_json[0], found["at"][-6:]) == (0, "+00:00")
    assert ahead[1].startswith(f"Mueller's (session {session}): Will be on until ")


def test_what_cannot_be_explained_is_one_line_that_says_what_is_accepted(database_url: str, app: Connection) -> None:
    add_session(app, name="The Crane", city="Galway")
    add_session(app, name="The Cobblestone", city="Dublin")

    unknown = scheduler("explain", "Mueller", DATABASE_URL=database_url)
    ambiguous = scheduler("explain", "the", DATABASE_URL=database_url)
    nothing = scheduler("explain", DATABASE_URL=database_url)
    when = scheduler("explain", "the", "--at", "tomorrow", DATABASE_URL=database_url)
    never = scheduler("explain", "the", "--at", "0001-01-01T00:00", DATABASE_URL=database_url)
    person = scheduler("explain", "--person", "1", "--at", "2026-12-03T19:00Z", DATABASE_URL=database_url)

    where = f"{app.info.host}:{app.info.port}/{app.info.dbname}"
    nobody = "no session has the id or the path 'Mueller', or a name that begins so"
    assert unknown == (1, "", f"Error: {nobody} (database: {where})\n")
    candidates = "2 The Cobblestone, Dublin; 1 The Crane, Galway"
    assert ambiguous == (1, "", f"Error: several sessions are named 'the'; give an id: {candidates}\n")
    assert nothing[0] == when[0] == person[0] == 2
    assert "expected one of: SESSION, --instance ID, --person ID" in nothing[2]
    assert "'tomorrow' is no instant; expected for example 2026-12-03T19:00 (local to the session)" in when[2]
    assert "'0001-01-01T00:00' is out of reach; expected a year from 1900 to 2199" in never[2]
    assert "--at is not for --person: where people were is not kept" in person[2]
