"""What `migrate` and `adopt` say, and their exit statuses."""

import json
from collections.abc import Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.migrations import migrate
from scheduler.commands import adopting
from tests.commands import run
from tests.core.adoption import older_app
from tests.core.migrations.catalogue import catalogue
from tests.core.migrations.existing_app import columns_of
from tests.data import connected, execute, value
from tests.scheduler.daemon_process import Daemons, eventually

pytestmark = pytest.mark.process


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Connection]:
    with connected(empty_database_url) as connection:
        older_app.install(connection)
        yield connection


def scheduler(url: str, *arguments: str) -> tuple[int, str, str]:
    done = run("-m", "scheduler", *arguments, settings={"DATABASE_URL": url})
    return done.returncode, done.stdout, done.stderr


# migrate


def test_migrate_says_what_it_added_to_the_apps_tables(app: Connection, empty_database_url: str) -> None:
    before = {part: len(names) for part, names in catalogue(app).items()}
    before_columns = sum(map(len, columns_of(app).values()))

    status, out, err = scheduler(empty_database_url, "migrate")

    after = {part: len(names) for part, names in catalogue(app).items()}
    triggers, functions = (after[part] - before[part] for part in ("trigger", "function"))
    columns = sum(map(len, columns_of(app).values())) - before_columns
    assert (status, err) == (0, "")
    told = f"Adopted your 4 tables: added {columns} columns, 11 tables, {triggers} triggers, {functions} functions, "
    assert out.startswith(told)
    assert out.splitlines()[1] == "following person.active: people for whom it is false are placed nowhere"


# adopt --check


@pytest.mark.usefixtures("app")
def test_check_says_first_whether_it_is_ready(empty_database_url: str) -> None:
    status, out, err = scheduler(empty_database_url, "adopt", "--check")

    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "ready"
    assert lines[1].startswith("database test_")
    assert "  session_instance.is_active: boolean, rows that say so now: 0; read by view on_now" in out
    assert "`migrate` would add 10 columns, 11 tables, " in out


def test_check_names_what_is_in_the_way_and_exits_with_1(app: Connection, empty_database_url: str) -> None:
    execute(app, "ALTER TABLE session_instance DROP COLUMN end_time")

    status, out, _ = scheduler(empty_database_url, "adopt", "--check")

    assert status == 1
    assert out.startswith("NOT READY\n")
    assert "in the way: session_instance has no column end_time" in out


@pytest.mark.usefixtures("app")
def test_check_for_programs(empty_database_url: str) -> None:
    status, out, _ = scheduler(empty_database_url, "adopt", "--check", "--json")
    found = json.loads(out)

    assert (status, found["ready"], found["in_the_way"]) == (0, True, [])
    assert found["added"]["columns"][0] == "person.active_session_instance_id"
    kinds = [finding["kind"] for finding in found["findings"]]
    assert {"older_columns", "opt_in", "unreadable", "triggers", "locks"} <= {*kinds}


def test_check_that_cannot_look_exits_with_2_in_one_line() -> None:
    for url in ("postgresql://u:secret@127.0.0.1:1/n", "nonsense"):
        status, out, err = scheduler(url, "adopt", "--check")
        assert (status, out) == (2, "")
        assert err.startswith("Error: cannot look: ")
        assert err.count("\n") == 1
        assert "secret" not in err


def test_check_needs_an_apps_database() -> None:
    done = run("-m", "scheduler", "adopt", "--check", settings={})

    assert (done.returncode, done.stdout) == (2, "")
    assert "no database is named: set DATABASE_URL, or PGHOST and the others that your app sets" in done.stderr


@pytest.mark.usefixtures("app")
def test_check_of_an_adopted_database_adds_nothing(empty_database_url: str) -> None:
    scheduler(empty_database_url, "migrate")

    status, out, _ = scheduler(empty_database_url, "adopt", "--check")

    assert status == 0
    assert "`migrate` would add nothing" in out


def test_a_column_that_cannot_say_which_sessions_get_rows_is_refused(app: Connection, empty_database_url: str) -> None:
    status, out, err = scheduler(empty_database_url, "migrate", "--plan-only-where", "recurrence")

    assert (status, out) == (1, "")
    assert "--plan-only-where='recurrence': expected a column of session of type boolean: auto_create_instances" in err
    assert value(app, "SELECT to_regclass('seisiun_choice')") is None


# adopt --mirror, --drop-mirror


def test_mirror_is_refused_until_a_daemon_is_healthy(app: Connection, empty_database_url: str) -> None:
    """With the mirror on and no daemon, the unchanged app's check-ins would move nobody."""
    scheduler(empty_database_url, "migrate")
    before = catalogue(app)

    status, out, err = scheduler(empty_database_url, "adopt", "--mirror")

    assert (status, out) == (1, "")
    assert err.startswith("Error: nothing was changed: no daemon is alive: start `python -m seisiun run`")
    assert catalogue(app) == before


def test_mirror_says_which_of_our_columns_it_does_not_mirror(
    app: Connection, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(app, "ALTER TABLE person RENAME COLUMN at_active_session_instance_id TO gig")
    execute(app, "ALTER TABLE person DROP CONSTRAINT person_at_active_session_instance_id_fkey")
    migrate(empty_database_url)

    adopting.mirror(empty_database_url, [], {})

    told = (
        "not mirrored: person.active_session_instance_id; if a column of yours says the same, name it with "
        "--pointer-column\n"
    )
    assert told in capsys.readouterr().out


def test_the_take_over_step_by_step_and_back(app: Connection, empty_database_url: str, daemons: Daemons) -> None:
    url = empty_database_url
    _, today, person_id = older_app.add_evening_now(app)
    execute(app, "UPDATE session_instance SET is_active = true WHERE session_instance_id < 3")
    scheduler(url, "migrate")
    daemon = daemons.ready(url)
    eventually(lambda: value(app, "SELECT last_look_at FROM daemon_heartbeat"), "a beat after the first pass")

    status, out, err = scheduler(url, "adopt", "--mirror")

    assert (status, err) == (0, "")
    assert "mirroring: session_instance.is_active is kept equal to session_instance.active\n" in out
    assert "rows brought into line: 4\n" in out, "two bits of the past, tonight's, and who is there"
    assert value(app, "SELECT at_active_session_instance_id FROM person WHERE person_id = %s", person_id) == today

    status, out, _ = scheduler(url, "status")
    assert status == 0, out
    assert "mirroring: session_instance.is_active, person.at_active_session_instance_id are kept equal" in out
    execute(app, "UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = %s", today)
    eventually(
        lambda: value(app, "SELECT NOT is_active FROM session_instance WHERE session_instance_id = %s", today),
        "the daemon and the mirror show the cancellation",
    )

    execute(app, "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD.is_active; END'")
    daemon.stop()
    status, out, _ = scheduler(url, "status")
    assert status == 1
    assert "mirroring without a daemon: session_instance.is_active, person.at_active" in out

    status, out, err = scheduler(url, "adopt", "--drop-mirror")
    assert status == 0
    assert err.startswith("warning: the constraint person_at_active_session_instance_id_fkey of person, FOREIGN KEY (")
    assert err.endswith("ALTER TABLE person DROP CONSTRAINT person_at_active_session_instance_id_fkey;\n")
    assert "search your app, its reports and jobs for: is_active, at_active_session_instance_id\n" in out
    assert "in the database is_active is read by view on_now, function keep\n" in out
    assert "in the database at_active_session_instance_id is read by no view and no function\n" in out
    assert 'ALTER TABLE session_instance DROP COLUMN "is_active";' in out
    assert scheduler(url, "adopt", "--drop-mirror") == (0, "nothing was mirrored\n", "")


def test_one_step_at_a_time(empty_database_url: str) -> None:
    status, _, err = scheduler(empty_database_url, "adopt")
    assert (status, "expected one of --check, --mirror, --drop-mirror, --remove" in err) == (2, True)
    status, _, err = scheduler(empty_database_url, "adopt", "--drop-mirror", "--active-column", "live")
    assert (status, "expected --mirror or --check with --active-column and --pointer-column" in err) == (2, True)


# adopt --remove


def test_remove_says_before_and_after_what_it_takes(app: Connection, empty_database_url: str) -> None:
    before = catalogue(app)
    scheduler(empty_database_url, "migrate")
    adopted = catalogue(app)

    status, would, err = scheduler(empty_database_url, "adopt", "--remove", "--check")
    assert (status, err) == (0, "")
    assert catalogue(app) == adopted
    status, out, err = scheduler(empty_database_url, "adopt", "--remove")

    assert (status, err) == (0, "")
    assert out == would.replace("would take", "took")
    assert "took 11 tables: " in out
    assert catalogue(app) == before
    assert scheduler(empty_database_url, "adopt", "--remove") == (0, "nothing of ours is here\n", "")


def test_remove_is_refused_beside_a_daemon(app: Connection, empty_database_url: str, daemons: Daemons) -> None:
    scheduler(empty_database_url, "migrate")
    daemon = daemons.ready(empty_database_url)
    before = catalogue(app)

    checked = scheduler(empty_database_url, "adopt", "--remove", "--check")
    status, _, err = scheduler(empty_database_url, "adopt", "--remove")

    assert (checked[0], f":{daemon.pid} is alive: stop it first" in checked[1]) == (1, True)
    assert (status, f":{daemon.pid} is alive: stop it first" in err) == (1, True)
    assert catalogue(app) == before
