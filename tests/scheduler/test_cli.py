"""What an operator types, what they read, and the exit status that their scripts see."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from rich.table import Table

from core.store.views.schedule import Edge
from core.timeline import FlipRow
from scheduler.commands import history, screens
from tests.commands import libpq_variables, run
from tests.data import add_session, change_instance, connected, execute
from tests.scheduler.daemon_process import Daemons, eventually
from tests.scheduler.soon import HOUR, instance_soon, on, session_here, wait_until_reconciled, weekly

pytestmark = pytest.mark.process

LONG_NAME = "The session in the back room of the pub by the old bridge over the river, every second week " * 2


def scheduler(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run `python -m scheduler`; return its exit status, output and errors."""
    done = run("-m", "scheduler", *arguments, settings=settings)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "settings", "code", "told"),
    [
        ("status", {"DATABASE_URL": "nonsense"}, 3, "DATABASE_URL is not a URL; accepted: postgresql://"),
        ("status", {"KEEP_DAYS": "0"}, 3, "KEEP_DAYS='0': Input should be greater than"),
        (
            "migrate",
            {"DATABASE_URL": "postgresql://u:p@h:port/n"},
            1,
            "DATABASE_URL is not a URL; accepted: postgresql://",
        ),
        ("run", {"RESYNC_SECONDS": "0"}, 1, "RESYNC_SECONDS='0': Input should be greater than"),
    ],
)
def test_a_wrong_setting_is_one_line(command: str, settings: dict[str, str], code: int, told: str) -> None:
    status, out, err = scheduler(command, **settings)

    assert (status, out) == (code, "")
    assert err.startswith(f"Error: {told}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("command", "code"), [("status", 3), ("upcoming", 1)])
def test_a_command_that_reads_makes_no_embedded_server(command: str, code: int, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"

    status, out, err = scheduler(command, EMBEDDED_POSTGRES_DIR=str(nowhere))

    assert (status, out) == (code, "")
    assert err.startswith("Error: no database is named: set DATABASE_URL, ")
    assert not nowhere.exists()


@pytest.mark.parametrize(("command", "code"), [("status", 3), ("migrate", 1)])
def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(command: str, code: int) -> None:
    status, out, err = scheduler(command, DATABASE_URL="postgresql://u:secret@127.0.0.1:1/n")

    assert (status, out) == (code, "")
    assert "Connection refused" in err
    assert err.count("\n") == 1
    assert "secret" not in err


def test_libpqs_variables_serve_every_command_and_no_embedded_server_is_started(
    empty_database_url: str, tmp_path: Path, daemons: Daemons
) -> None:
    nowhere = tmp_path / "nowhere"
    settings = libpq_variables(empty_database_url) | {"EMBEDDED_POSTGRES_DIR": str(nowhere)}
    with connected(empty_database_url) as app:
        assert scheduler("migrate", **settings) == (0, "the schema is created\n", "")
        assert scheduler("load", "scheduler/commands/data/real_sessions.json", **settings)[0] == 0
        assert execute(app, "SELECT count(*) FROM session") == [(38,)]
        assert run("jobs/check_active_sessions.py", settings=settings).returncode == 0
        assert execute(app, "SELECT count(*) FROM session_plan WHERE planned_through IS NOT NULL") == [(38,)]
        assert "no daemon is alive" in scheduler("status", **settings)[1]
        daemons.ready("", **settings)
        eventually(lambda: scheduler("status", **settings)[0] == 0, "the daemon is healthy")
        assert scheduler("upcoming", "--json", **settings)[0] == 0

    assert not nowhere.exists()


@pytest.mark.parametrize(
    ("command", "code"), [(("-m", "scheduler", "status"), 3), (("jobs/check_active_sessions.py",), 1)]
)
def test_libpqs_variables_that_lead_nowhere_are_one_line_without_the_password(
    database_url: str, tmp_path: Path, command: tuple[str, ...], code: int
) -> None:
    nowhere = tmp_path / "nowhere"
    wrong = libpq_variables(database_url) | {"PGPASSWORD": "hunter2", "EMBEDDED_POSTGRES_DIR": str(nowhere)}
    for settings, told in (
        (wrong, "password authentication failed"),
        (wrong | {"PGDATABASE": "", "PGUSER": ""}, "set PGDATABASE too"),
    ):
        done = run(*command, settings=settings)

        assert (done.returncode, done.stdout) == (code, "")
        assert told in done.stderr
        assert done.stderr.count("\n") == 1
        assert "hunter2" not in done.stderr
    assert not nowhere.exists()


def test_a_database_that_was_not_migrated_is_one_line(empty_database_url: str) -> None:
    status, out, err = scheduler("status", DATABASE_URL=empty_database_url)

    assert (status, out) == (3, "")
    assert err.startswith("Error: the database has not been migrated")
    assert err.endswith("run `python -m seisiun migrate`\n")


def test_migrate_may_be_run_twice_and_names_the_column_that_it_follows(empty_database_url: str) -> None:
    first = scheduler("migrate", DATABASE_URL=empty_database_url)
    with connected(empty_database_url) as app:
        execute(app, "ALTER TABLE person ADD COLUMN active boolean")
    second = scheduler("migrate", DATABASE_URL=empty_database_url)

    assert first == (0, "the schema is created\n", "")
    assert second[0] == 0
    assert second[1].endswith(
        " and is up to date\nfollowing person.active: people for whom it is false are placed nowhere\n"
    )


def test_load_tells_what_it_did_and_warns_on_standard_error(database_url: str) -> None:
    status, out, err = scheduler("load", "scheduler/commands/data/real_sessions.json", DATABASE_URL=database_url)

    assert (status, out) == (0, "sessions: 38 new, 0 changed, 0 unchanged\n")
    assert [line.split(":")[0] for line in err.splitlines()] == ["warning"]


def test_load_lists_what_is_wrong_and_loads_nothing(database_url: str, app: Connection, tmp_path: Path) -> None:
    file = tmp_path / "sessions.json"
    file.write_text(json.dumps({"sessions": [{"name": "one", "timezone": "UTC"}, {"name": "two", "timezone": "Mars"}]}))

    status, out, err = scheduler("load", str(file), DATABASE_URL=database_url)

    assert (status, out) == (1, "")
    assert "sessions[1]: 'Mars' is not a known time zone" in err
    assert execute(app, "SELECT 1 FROM session") == []


def test_status_without_a_daemon_is_unhealthy(database_url: str) -> None:
    status, out, err = scheduler("status", DATABASE_URL=database_url)
    as_json = scheduler("status", "--json", DATABASE_URL=database_url)

    assert (status, err) == (1, "")
    assert out.startswith("UNHEALTHY at ")
    assert "no daemon is alive: start `python -m seisiun run`" in out
    assert as_json[0] == 1
    assert json.loads(as_json[1])["healthy"] is False


def test_status_beside_a_daemon_is_healthy_and_shows_what_is_on_and_next(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    daemon = daemons.ready(database_url)
    is_on = session_here(app, weekly(-HOUR, HOUR), name=LONG_NAME, city="Kinvara", country="Ireland")
    session_here(app, weekly(2 * HOUR, 3 * HOUR), name="[bold]brackets[/]")
    broken = add_session(app, "every other tuesday", name="a broken one")
    eventually(lambda: on(app, is_on), "it is on")
    wait_until_reconciled(app)
    eventually(lambda: _first_pass_is_reported(app), "a beat after the first pass")

    status, out, err = scheduler("status", DATABASE_URL=database_url)
    found: dict[str, Any] = json.loads(scheduler("status", "--json", DATABASE_URL=database_url)[1])

    assert (status, err) == (0, "")
    assert out.startswith("healthy at ")
    assert f":{daemon.pid} " in out
    assert "on now: 1" in out
    [line] = [line for line in out.splitlines() if line.startswith("Kinvara")]
    assert f" {is_on} {LONG_NAME[:10]}" in line
    assert len(line) <= 100
    assert "next edge: " in out
    assert f"unreadable: session {broken} 'a broken one': " in out
    assert found["healthy"] is True
    assert [one["session_id"] for one in found["on_now"]] == [is_on]
    assert [one["session_id"] for one in found["unreadable"]] == [broken]
    _, upcoming, note = scheduler("upcoming", "--hours", "6", DATABASE_URL=database_url)
    assert note == ""
    assert upcoming.splitlines()[0].split()[:3] == ["local", "time", "UTC"]
    assert [(" opens " in line, "[bold]brackets[/]" in line) for line in upcoming.splitlines()[1:]] == [
        (False, False),
        (True, True),
        (False, True),
    ]


def _first_pass_is_reported(app: Connection) -> list[tuple[Any, ...]]:
    return execute(app, "SELECT 1 FROM daemon_heartbeat WHERE last_look_at IS NOT NULL AND listening_since IS NOT NULL")


def test_status_tells_what_is_overdue_and_who_is_in_the_way(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    daemons.ready(database_url)
    session_id = session_here(app)
    instance_id = instance_soon(app, session_id, 2, HOUR)
    wait_until_reconciled(app)
    with connected(database_url, autocommit=False) as holding:
        change_instance(holding, instance_id, comments="a long transaction")
        time.sleep(4.2)  # two until it is due, two more until that is a problem

        status, out, _ = scheduler("status", DATABASE_URL=database_url)
        _, why, _ = scheduler("explain", str(session_id), DATABASE_URL=database_url)

        assert f"; perhaps blocked by pid {holding.info.backend_pid} (" in why
        assert status == 1
        assert f"sessions overdue: 1, the oldest, The Cobblestone (session {session_id}), since " in out
        assert f"overdue: session {session_id} 'The Cobblestone' since " in out
        assert f"perhaps blocked by pid {holding.info.backend_pid} " in out
        info = holding.info
        assert out.splitlines()[0].endswith(f", database: {info.host}:{info.port}/{info.dbname}")
        problems = [line for line in out.splitlines() if "sessions overdue: " in line]
        ending = f"`SELECT pg_terminate_backend({holding.info.backend_pid})` ends that transaction"
        assert problems[0].endswith(f"perhaps pid {holding.info.backend_pid} blocks it: {ending}")


def test_upcoming_says_how_far_it_can_see(database_url: str) -> None:
    status, out, err = scheduler("upcoming", "--hours", "100", DATABASE_URL=database_url)

    assert (status, out) == (0, "no planned instance opens or closes within 100 hours\n")
    assert err == "note: the daemon plans instances 24 hours before they open; --days lists later ones\n"
    status, _, err = scheduler("upcoming", "--hours", "3", "--days", "14", DATABASE_URL=database_url)
    assert status == 2
    assert "expected --hours N or --days N, not both" in err


def test_p6_a_session_that_cannot_be_read_is_a_problem_where_something_of_it_is_to_come(database_url: str) -> None:
    with connected(database_url) as app:
        for number in range(12):
            add_session(app, "most evenings", name=f"Pub {number}")
        run("jobs/check_active_sessions.py", settings={"DATABASE_URL": database_url})
        _, out, _ = scheduler("status", DATABASE_URL=database_url)
        assert "sessions that cannot be read and have something" not in out
        live = session_here(app, "most evenings", name="The Back Room")
        instance_soon(app, live, -60, 600)
        run("jobs/check_active_sessions.py", settings={"DATABASE_URL": database_url})

        status, out, _ = scheduler("status", DATABASE_URL=database_url)
        _, everything, _ = scheduler("status", "--all", DATABASE_URL=database_url)
        _, as_json, _ = scheduler("status", "--json", DATABASE_URL=database_url)

    assert status == 1
    assert f"sessions that cannot be read and have something on or ahead: 1: The Back Room (session {live}): " in out
    assert "unreadable: 13 sessions; --all lists 3 more" in out
    assert out.count("unreadable: session ") == 10
    assert everything.count("unreadable: session ") == 13
    at = json.loads(as_json)["at"]
    assert "T" in at
    assert at.endswith("+00:00")


LATE = """
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause)
    VALUES (7, 1, true, now() - interval '12 seconds', now(), 'sweep')
"""


def test_what_an_adopted_table_holds_is_noted_by_migrate_and_status(database_url: str) -> None:
    with connected(database_url) as app:
        add_session(app, active_buffer_minutes_before=5000)
        execute(app, "ALTER TABLE session_instance ADD COLUMN fee integer NOT NULL")

    migrated = scheduler("migrate", DATABASE_URL=database_url)
    with connected(database_url) as app:
        execute(app, "ALTER TABLE person ADD COLUMN active boolean")
        execute(app, LATE)
    _, out, _ = scheduler("status", DATABASE_URL=database_url)

    assert migrated[0] == 0
    assert "note: person.active came after the last migrate, so people whom it deactivates are still placed: " in out
    lines = out.splitlines()
    late, on_now = (next(at for at, line in enumerate(lines) if part in line) for part in ("late: ", "on now: "))
    assert lines[late].startswith("late: session 1 'The Cobblestone', instance 7, opened 12.0 s late at ")
    assert late < on_now, "what is wrong comes first"
    for told in (migrated[2], out):
        assert "note: sessions with a buffer outside 0 to 1440 minutes: 1" in told
        assert "note: session_instance.fee: NOT NULL and without a default" in told


def test_no_row_of_a_table_is_longer_than_100_characters_and_no_id_is_cut() -> None:
    at, host = datetime(2026, 12, 2, 18, 5, tzinfo=UTC), "worker-7d9f8b6c5-x2x4z.example.org"
    where = ("Mulligan's of Poolbeg Street", "Los Angeles, CA", "USA", "America/Los_Angeles")
    edges = [Edge(at, True, 123456, id_, *where, is_planned=id_ is not None) for id_ in (1234567, None)]
    flip = FlipRow(1, 123456, 1234567, *where, False, "timer", at, at, "cancelled", f"{host}:12345")
    late = replace(flip, done_at=at + timedelta(seconds=119))

    tables = [screens.edges_table(edges), history.table([flip, late], [f"{host}:12345"])]

    lines = [line.rstrip() for made in tables for line in written(made)]
    assert max(map(len, lines)) <= 100
    assert sum("123456 Mulligan's of …" in line for line in lines) == 4
    assert all(line.endswith(("1234567", "not planned yet", "instance")) for line in lines)


def written(made: Table) -> list[str]:
    out = screens.console()
    with out.capture() as captured:
        out.print(made)
    return captured.get().splitlines()


def test_an_instant_is_shown_in_utc_also_behind_a_pooler_that_refuses_our_time_zone() -> None:
    at = datetime(2026, 11, 27, 1, 0, tzinfo=timezone(timedelta(hours=9)))

    assert screens.utc(at) == "2026-11-26 16:00:00"


def test_a_name_commands_no_terminal_and_stays_one_line() -> None:
    assert (
        screens.name("Mueller\N{RIGHT SINGLE QUOTATION MARK}s, Bóthar")
        == "Mueller\N{RIGHT SINGLE QUOTATION MARK}s, Bóthar"
    )
    assert screens.name("A\x1b[2J\r\n\u202eB") == "A\\x1b[2J\\r\\n\\u202eB"
    assert screens.place("A\x1b", "B") == "A\\x1b, B"
