"""`history`, as an operator types it; and `upcoming --days`, which lists what no pass has planned yet."""

import json
from datetime import UTC, datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import SWEEP, run
from tests.data import add_session, delete_instance, execute, only_instance
from tests.scheduler.soon import HOUR, session_here, weekly
from tests.scheduler.test_cli import scheduler


def test_the_log_is_listed_with_names_and_how_late_each_flip_was(database_url: str, app: Connection) -> None:
    session = session_here(app, weekly(-HOUR, HOUR), name="Mueller's", city="Austin")
    run(SWEEP, settings={"DATABASE_URL": database_url})
    instance = only_instance(app, session)
    execute(app, "UPDATE activation_log SET due_at = done_at - interval '12 seconds'")

    status, out, err = scheduler("history", "muel", "--late", "--cause", "sweep", DATABASE_URL=database_url)
    one = scheduler("history", "--limit", "1", "--json", DATABASE_URL=database_url)
    since = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    nothing = scheduler("history", "--since", since, DATABASE_URL=database_url)

    assert (status, err) == (0, "")
    heading, line = out.splitlines()
    assert heading.split() == ["local", "time", "UTC", "late", "cause", "by", "session", "instance"]
    assert line.split()[-1] == str(instance)
    for part in (" opened ", " 12.0 s ", " sweep ", f" {session} Mueller's "):
        assert part in line
    assert [(flip["session_id"], flip["cause"]) for flip in json.loads(one[1])] == [(session, "sweep")]
    assert one[2] == "note: only the last 1 are listed; --limit lists more\n"
    assert nothing[1].startswith("no such flip since ")

    delete_instance(app, instance)
    last = scheduler("history", "--cause", "deletion", DATABASE_URL=database_url)
    assert last[1].splitlines()[1].split()[4:8] == ["deleted", "0", "ms", "deletion"]
    assert scheduler("history", "--cause", "hook", DATABASE_URL=database_url)[1].startswith("no such flip since ")


def test_upcoming_days_lists_what_is_not_planned_yet(database_url: str, app: Connection) -> None:
    session = session_here(app, weekly(2 * HOUR, 3 * HOUR), name="Mueller's")
    add_session(app, name="The Cobblestone")
    run(SWEEP, settings={"DATABASE_URL": database_url})

    status, out, err = scheduler("upcoming", "Mueller", "--days", "8", DATABASE_URL=database_url)
    as_json = scheduler("upcoming", "--days", "8", "--json", DATABASE_URL=database_url)
    nothing = scheduler("upcoming", "The Cob", "--days", "8", DATABASE_URL=database_url)
    refused = scheduler("upcoming", "Mueller", DATABASE_URL=database_url)

    assert (status, err) == (0, "")
    lines = out.splitlines()[1:]
    assert [("not planned yet" in line, " opens " in line) for line in lines] == [
        (False, True), (False, False), (True, True), (True, False),
    ]  # fmt: skip
    assert all(f" {session} Mueller's " in line for line in lines)
    assert [(edge["session_instance_id"], edge["is_planned"]) for edge in json.loads(as_json[1])] == [
        (only_instance(app, session), True), (only_instance(app, session), True), (None, False), (None, False),
    ]  # fmt: skip
    assert nothing[1] == "no instance opens or closes within 192 hours\n"
    assert refused[0] == 2
    assert "expected --days N with SESSION" in refused[2]
