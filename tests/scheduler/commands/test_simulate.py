"""`simulate`, as an operator types it: what a change would do, in words or as JSON."""

import json

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import SWEEP, run
from tests.data import add_check_in, add_person, execute, only_instance
from tests.scheduler.soon import HOUR, session_here, weekly
from tests.scheduler.test_cli import scheduler


def test_a_change_is_told_line_by_line_and_nothing_is_saved(database_url: str, app: Connection) -> None:
    session = session_here(app, weekly(-HOUR, HOUR), name="Mueller's")
    run(SWEEP, settings={"DATABASE_URL": database_url})
    instance = only_instance(app, session)
    add_check_in(app, instance, add_person(app))
    run(SWEEP, settings={"DATABASE_URL": database_url})

    gone = scheduler("simulate", "Mueller", "--recurrence", "", "--days", "8", DATABASE_URL=database_url)
    wider = scheduler("simulate", str(session), "--before", "30", "--days", "1", "--json", DATABASE_URL=database_url)
    later = scheduler("simulate", str(session), "--recurrence", weekly(-60, HOUR), DATABASE_URL=database_url)
    same = scheduler("simulate", str(session), "--before", "0", DATABASE_URL=database_url)
    nothing = scheduler("simulate", str(session), DATABASE_URL=database_url)
    refused = scheduler("simulate", str(session), "--recurrence", "most Tuesdays", DATABASE_URL=database_url)

    assert (gone[0], gone[2]) == (0, "")
    first, *lines = gone[1].splitlines()
    assert first.startswith(f"Mueller's (session {session}): until ")
    assert " 2 of 2 evenings would change; times are local, " in first
    assert lines[0].split() == ["evening", "UTC", "hours", "on", "instance", "said", "yes"]
    assert lines[1].split()[0] == lines[2].split()[0] == "goes"
    assert lines[1].split()[-2:] == [str(instance), "1"]
    assert lines[3:] == [f"at once: instance {instance} turns off", "at once: 1 person is at what turns off"]
    assert [change["change"] for change in json.loads(wider[1])["changes"]] == ["changes"]
    assert later[1].splitlines()[2].count(" -> ") == 2
    assert nothing[0] == 2
    assert "expected one or more of --recurrence, --zone, --before, --after" in nothing[2]
    assert same[1].endswith(" no evening would change\n")
    assert (refused[0], refused[1]) == (1, "")
    assert execute(app, "SELECT active_buffer_minutes_before FROM session") == [(0,)]


def test_overlaps_and_rows_to_be_made_are_told(database_url: str, app: Connection) -> None:
    session = session_here(app, name="Mueller's")
    both = json.loads(weekly(-HOUR, HOUR))["schedules"] + json.loads(weekly(-HOUR / 2, HOUR / 2))["schedules"]

    _, out, _ = scheduler(
        "simulate",
        str(session),
        "--recurrence",
        json.dumps({"schedules": both}),
        "--days",
        "1",
        DATABASE_URL=database_url,
    )

    assert "overlap: the evening of " in out
    assert " is on instead of the evening of " in out
    assert "at once: a row that the pass makes turns on" in out
