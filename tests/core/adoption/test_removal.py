"""Everything of ours is taken out of an app's database again, and nothing of the app's."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.active_session_manager import update_active_sessions
from core.adoption import removal, takeover
from core.choices import PLAN_ONLY_WHERE
from core.db import create_engine
from core.errors import DatabaseUnavailable, RemovalRefused
from core.migrations import live, migrate
from tests.core.adoption import older_app
from tests.core.migrations.catalogue import catalogue
from tests.core.migrations.existing_app import columns_of, rows_of
from tests.core.passes import NOON, TUESDAYS, reconcile_at
from tests.data import add_session, change, connected, execute, times_of, value

ALIVE = timedelta(seconds=5)


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Connection]:
    with connected(empty_database_url) as connection:
        older_app.install(connection)
        yield connection


@pytest.fixture
def engine(app: Connection, empty_database_url: str) -> Iterator[Engine]:  # noqa: ARG001 - the tables come first
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_the_database_is_as_it_was_and_can_be_adopted_again(app: Connection, empty_database_url: str) -> None:
    columns, before = columns_of(app), catalogue(app)
    rows = rows_of(app, columns)
    for _ in range(2):
        migrate(empty_database_url, planning={PLAN_ONLY_WHERE: "auto_create_instances"})
        assert not _removal(empty_database_url).is_empty

        removal.remove(empty_database_url, ALIVE)

        assert catalogue(app) == before
        assert rows_of(app, columns) == rows
        assert _removal(empty_database_url).is_empty


def _removal(url: str) -> removal.Removal:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return removal.removal(connection)
    finally:
        engine.dispose()


def test_what_it_says_before_is_what_it_takes(app: Connection, empty_database_url: str) -> None:
    migrate(empty_database_url)
    before = catalogue(app)
    said = _removal(empty_database_url)
    assert catalogue(app) == before, "to look changes nothing"

    assert removal.remove(empty_database_url, ALIVE) == said

    assert len(said.triggers) == len(before["trigger"]) - len(catalogue(app)["trigger"])
    assert "session_instance_person_once" not in said.indexes, "the app has a constraint of its own for that"


def test_rows_that_people_wrote_and_columns_in_which_they_wrote_stay(
    app: Connection, engine: Engine, empty_database_url: str
) -> None:
    migrate(empty_database_url)
    session_id, today, person_id = older_app.add_evening_now(app)
    planned = add_session(app, TUESDAYS, path="b")
    update_active_sessions(engine)
    reconcile_at(engine, NOON)
    change(app, "person", person_id, city="Kinvara")

    taken = removal.remove(empty_database_url, ALIVE)

    assert value(app, "SELECT city FROM person WHERE person_id = %s", person_id) == "Kinvara"
    assert ("person.city", "people have written in it") in {(row.about, row.says) for row in taken.keeps}
    assert "person.country" in taken.columns
    assert times_of(app, planned) == ["2026-12-01 19:00-22:00"]
    said = "SELECT attendance FROM session_instance_person WHERE (session_instance_id, person_id) = (%s, %s)"
    assert value(app, said, today, person_id) == "yes"
    assert session_id


def test_in_a_database_that_we_made_the_four_tables_stay(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with connected(empty_database_url) as app:
        add_session(app, TUESDAYS, active_buffer_minutes_before=90)

        removal.remove(empty_database_url, ALIVE)

        tables = execute(app, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        assert [name for (name,) in tables] == ["person", "session", "session_instance", "session_instance_person"]
        assert value(app, "SELECT active_buffer_minutes_before FROM session") == 90
        assert catalogue(app)["trigger"] == catalogue(app)["function"] == []


def test_it_is_refused_while_a_daemon_is_alive_or_older_columns_follow_ours_or_a_view_reads_ours(
    app: Connection, empty_database_url: str
) -> None:
    migrate(empty_database_url)
    takeover.begin(empty_database_url, {})
    execute(
        app,
        "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, zone_version) "
        "VALUES (gen_random_uuid(), 'host', 7, '1', '1'); "
        "CREATE VIEW is_on AS SELECT session_id FROM session_instance WHERE active",
    )
    before = catalogue(app)

    with pytest.raises(RemovalRefused) as refused:
        removal.remove(empty_database_url, ALIVE)

    assert str(refused.value) == (
        "nothing was taken: session_instance.is_active, person.at_active_session_instance_id are kept equal to our "
        "columns: run `adopt --drop-mirror` first; the daemon host:7 is alive: stop it first; "
        "view is_on depends on session_instance.active: drop or change it first"
    )
    assert catalogue(app) == before

    takeover.end(empty_database_url)
    execute(app, "UPDATE daemon_heartbeat SET beat_at = now() - interval '1 minute'; DROP VIEW is_on")
    removal.remove(empty_database_url, ALIVE)


DEPENDENTS = {
    "a trigger that names our column": (
        "CREATE TRIGGER on_air AFTER UPDATE OF active ON session_instance FOR EACH ROW EXECUTE FUNCTION note()",
        "trigger on_air on table session_instance depends on session_instance.active",
    ),
    "a trigger that asks for it": (
        (
            "CREATE TRIGGER moved AFTER UPDATE ON person FOR EACH ROW WHEN ("
            "OLD.active_session_instance_id IS DISTINCT FROM NEW.active_session_instance_id) EXECUTE FUNCTION note()"
        ),
        "trigger moved on table person depends on person.active_session_instance_id",
    ),
    "a view of our log": (
        "CREATE VIEW flips AS SELECT session_id, done_at FROM activation_log",
        "view flips depends on activation_log",
    ),
    "a foreign key to our table": (
        "CREATE TABLE posted (about bigint REFERENCES activation_log)",
        "constraint posted_about_fkey on table posted depends on activation_log",
    ),
    "a function of our rows": (
        "CREATE FUNCTION latest(activation_log) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "function latest(activation_log) depends on activation_log",
    ),
    "a generated column": (
        "ALTER TABLE session_instance ADD COLUMN on_air text GENERATED ALWAYS AS (active::text) STORED",
        "default value for column on_air of table session_instance depends on session_instance.active",
    ),
}


def test_what_of_the_apps_depends_on_ours_is_named_and_nothing_is_taken(
    app: Connection, empty_database_url: str
) -> None:
    migrate(empty_database_url)
    for statement, _ in DEPENDENTS.values():
        execute(app, statement)
    execute(app, "CREATE INDEX on_now_by_date ON session_instance (date) WHERE active")
    execute(app, "ALTER TABLE session_instance ADD CONSTRAINT not_both CHECK (NOT (active AND is_cancelled))")
    before = catalogue(app)

    with pytest.raises(RemovalRefused) as refused:
        removal.remove(empty_database_url, ALIVE)

    told = str(refused.value).removeprefix("nothing was taken: ").split("; ")
    assert sorted(told) == sorted(f"{what}: drop or change it first" for _, what in DEPENDENTS.values())
    assert catalogue(app) == before

    execute(app, "DROP TRIGGER on_air ON session_instance; DROP TRIGGER moved ON person; DROP VIEW flips")
    execute(app, "DROP TABLE posted; DROP FUNCTION latest; ALTER TABLE session_instance DROP COLUMN on_air")
    removal.remove(empty_database_url, ALIVE)  # the index and the check go with the column


def test_a_server_that_does_not_answer_is_told_in_words_that_fit() -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^the database cannot be changed: .*Connection refused"):
        removal.remove("postgresql://u:p@127.0.0.1:1/n", ALIVE)


READERS = {
    "a trigger function that reads the row": (
        (
            "CREATE FUNCTION keep_gig() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN IF OLD.active THEN PERFORM 1; END IF; RETURN NULL; END'; "
            "CREATE TRIGGER kept AFTER UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION keep_gig()"
        ),
        "function keep_gig names session_instance.active",
    ),
    "a function that asks for people": (
        (
            "CREATE FUNCTION who(bigint) RETURNS SETOF bigint LANGUAGE sql AS "
            "'SELECT person_id FROM person WHERE active_session_instance_id = $1'"
        ),
        "function who names person.active_session_instance_id",
    ),
    "a function that builds a statement on our log": (
        "CREATE FUNCTION flips() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TABLE activation_log'; END $$",
        "function flips names activation_log",
    ),
}
NO_READERS = (
    "CREATE FUNCTION a() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM person WHERE active -- session_instance'",
    (
        "CREATE FUNCTION b() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM person, session_instance_person "
        "JOIN session_instance USING (session_instance_id) WHERE person.active'"
    ),
    "CREATE FUNCTION c() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM session_instance WHERE is_active'",
)


def test_functions_whose_source_reads_ours_are_named_and_nothing_is_taken(
    app: Connection, empty_database_url: str
) -> None:
    migrate(empty_database_url)
    for statement in (*NO_READERS, *(creating for creating, _ in READERS.values())):
        execute(app, statement)
    before = catalogue(app)

    with pytest.raises(RemovalRefused) as refused:
        removal.remove(empty_database_url, ALIVE)

    told = str(refused.value).removeprefix("nothing was taken: ").split("; ")
    assert sorted(told) == sorted(f"{what}: drop or change it first" for _, what in READERS.values())
    assert catalogue(app) == before

    execute(app, "DROP FUNCTION keep_gig CASCADE; DROP FUNCTION who; DROP FUNCTION flips")
    removal.remove(empty_database_url, ALIVE)


def test_what_is_cut_off_at_any_step_goes_on_or_is_adopted_again(app: Connection, empty_database_url: str) -> None:
    """The server itself cuts it off: the first run at its first definition, the next at its fourth, and so on."""
    before = catalogue(app)
    execute(
        app,
        """
        CREATE SCHEMA test;
        CREATE SEQUENCE test.definitions;
        CREATE FUNCTION test.cut_off() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN IF nextval('test.definitions') = 1000 THEN RAISE EXCEPTION 'cut off'; END IF; END $$;
        """,
    )
    event_trigger = "CREATE EVENT TRIGGER cut_off ON ddl_command_end EXECUTE FUNCTION test.cut_off()"
    for runs in range(0, 40, 8):
        migrate(empty_database_url)
        execute(app, event_trigger)
        execute(app, "SELECT setval('test.definitions', %s)", 998 - runs)
        with pytest.raises(DBAPIError, match="cut off"):
            removal.remove(empty_database_url, ALIVE)
        execute(app, "DROP EVENT TRIGGER cut_off")
        if runs % 16 == 0:
            removal.remove(empty_database_url, ALIVE)
            assert catalogue(app) == before


def test_an_app_that_writes_meanwhile_meets_no_error(app: Connection, empty_database_url: str) -> None:
    migrate(empty_database_url)
    _, today, person_id = older_app.add_evening_now(app)
    stopped, errors, written = threading.Event(), list[str](), 0

    def write() -> None:
        nonlocal written
        with connected(empty_database_url) as other:
            while not stopped.is_set():
                try:
                    execute(
                        other, "UPDATE session_instance SET end_time = '23:58' WHERE session_instance_id = %s", today
                    )
                    execute(
                        other, "UPDATE session_instance_person SET attendance = 'yes' WHERE person_id = %s", person_id
                    )
                    execute(other, "UPDATE person SET last_name = 'x' WHERE person_id = %s", person_id)
                    written += 1
                except psycopg2.Error as error:
                    errors.append(str(error))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        removal.remove(empty_database_url, ALIVE)
    finally:
        stopped.set()
        writing.join(20)
    assert (errors, written > 10) == ([], True)


def test_an_app_that_deletes_an_evening_after_any_step_meets_no_error(
    app: Connection, empty_database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion cascades to the rows of ours, whose triggers may read a column that is gone already."""
    migrate(empty_database_url)
    evenings = [older_app.add_evening_now(app)[1] for _ in range(60)]
    update_active_sessions(engine)
    assert value(app, "SELECT count(*) FROM session_instance WHERE active") == len(evenings)

    def step_and_delete(statement: str, *, lock_timeout_ms: int) -> None:
        live.step(statement, lock_timeout_ms=lock_timeout_ms)
        execute(app, "DELETE FROM session_instance_person WHERE session_instance_id = %s", evenings[-1])
        execute(app, "DELETE FROM session_instance WHERE session_instance_id = %s", evenings.pop())

    monkeypatch.setattr(removal, "step", step_and_delete)
    removal.remove(empty_database_url, ALIVE)

    assert 0 < len(evenings) < 30
