from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from alembic.command import upgrade
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core import __version__
from core.db import create_engine
from core.errors import SchemaNotReady
from core.migrations import migrate, require_schema
from core.migrations.damage import damage
from core.migrations.definition import config
from tests.commands import run
from tests.core.migrations.catalogue import catalogue
from tests.data import connected, execute, value

TRIGGERS = {
    "active_instance": {"seisiun_guard_mirror"},
    "person": {"seisiun_pointer_written"},
    "session": {"seisiun_session_inserted", "seisiun_session_updated"},
    "session_instance": {
        "seisiun_instance_deleted",
        "seisiun_instance_inserted",
        "seisiun_instance_updated",
        "seisiun_mirror_inserted",
        "seisiun_mirror_updated",
        "zz_seisiun_instance_restored",
    },
    "session_instance_person": {"seisiun_check_in_inserted", "seisiun_check_in_updated", "zz_seisiun_said_yes"},
}
FUNCTIONS = {
    "seisiun_check_in_saved",
    "seisiun_guard_mirror",
    "seisiun_instance_deleted",
    "seisiun_instance_restored",
    "seisiun_instance_saved",
    "seisiun_mirror_active",
    "seisiun_person_saved",
    "seisiun_pointer_written",
    "seisiun_request",
    "seisiun_request_about",
    "seisiun_said_yes",
    "seisiun_session_saved",
}
TABLES = {
    "activation_log",
    "activation_window",
    "active_instance",
    "daemon_heartbeat",
    "person",
    "deactivated_person",
    "plan_request",
    "seisiun_choice",
    "planned_instance",
    "seisiun_schema_version",
    "session",
    "session_instance",
    "session_instance_person",
    "session_plan",
    "skipped_occurrence",
}
FOREIGN_KEYS = {
    ("activation_window", "session_instance", "c"),
    ("active_instance", "session_instance", "c"),
    ("deactivated_person", "person", "c"),
    ("person", "active_instance", "n"),
    ("planned_instance", "session_instance", "c"),
    ("session_instance", "session", "c"),
    ("session_instance_person", "person", "c"),
    ("session_instance_person", "session_instance", "c"),
    ("session_plan", "session", "c"),
}


def test_fresh_database_has_exactly_what_is_expected(every_empty_database_url: str) -> None:
    assert migrate(every_empty_database_url) is None

    with connected(every_empty_database_url) as db:
        tables = {row[0] for row in execute(db, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")}
        triggers = execute(db, "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal")
        functions = execute(
            db, "SELECT proname, prosecdef, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
        keys = execute(
            db, "SELECT conrelid::regclass::text, confrelid::regclass::text, confdeltype FROM pg_constraint "
            "WHERE contype = 'f'",
        )  # fmt: skip
        wrong = "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)"
        unchecked = "SELECT count(*) FROM pg_constraint WHERE NOT convalidated"
        assert tables == TABLES
        assert set(triggers) == {(table, name) for table, names in TRIGGERS.items() for name in names}
        assert {name for name, _, _ in functions} == FUNCTIONS
        assert {(definer, *config) for _, definer, config in functions} == {(True, "search_path=pg_catalog, pg_temp")}
        assert set(keys) == FOREIGN_KEYS
        assert (value(db, wrong), value(db, unchecked)) == (0, 0)


@pytest.mark.parametrize(
    ("table", "column", "described"),
    [
        ("session", "active_buffer_minutes_before", "integer not null default 60"),
        ("session", "active_buffer_minutes_after", "integer not null default 60"),
        ("session_instance", "active", "boolean not null default false"),
        ("person", "active_session_instance_id", "bigint"),
        ("session_instance_person", "checked_in_at", "timestamp with time zone"),
        ("session_instance_person", "left_at", "timestamp with time zone"),
        ("session_instance", "cancel_reason", "text"),
    ],
)
def test_columns_that_the_spec_asks_for(empty_database_url: str, table: str, column: str, described: str) -> None:
    migrate(empty_database_url)

    with connected(empty_database_url) as db:
        assert f"{table}.{column} {described}" in catalogue(db)["column"]


NUMBERED = """
    SELECT c.relname || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attidentity::text
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attidentity <> '' ORDER BY 1
"""


def test_every_key_that_is_counted_has_eight_bytes_and_may_be_stated(every_empty_database_url: str) -> None:
    migrate(every_empty_database_url)

    with connected(every_empty_database_url) as db:
        assert [row[0] for row in execute(db, NUMBERED)] == [
            "activation_log.activation_log_id bigint d",
            "person.person_id bigint d",
            "plan_request.request_id bigint d",
            "session.session_id bigint d",
            "session_instance.session_instance_id bigint d",
            "session_instance_person.session_instance_person_id bigint d",
        ]
        narrow = "SELECT count(*) FROM pg_attribute WHERE attname LIKE '%%\\_id' AND atttypid = 'int4'::regtype"
        assert value(db, f"{narrow} AND attrelid::regclass::text = ANY (%s)", sorted(TABLES)) == 0


def test_backup_of_insert_statements_is_restored_into_a_database_that_was_migrated_before(
    empty_database_url: str,
) -> None:
    """Ids that are stated are accepted where an earlier revision refused them; no row is written anew."""
    engine = create_engine(empty_database_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        upgrade(config(connection), "0006")
    with connected(empty_database_url) as db:
        with pytest.raises(psycopg2.Error, match="GENERATED ALWAYS"):
            execute(db, "INSERT INTO plan_request (request_id, session_id) VALUES (42, 7)")
        flip = "INSERT INTO activation_log ({}session_instance_id, session_id, active, due_at, done_at, cause) VALUES "
        execute(db, flip.format("") + "(1, 1, true, now(), now(), 'timer')")
        file = "SELECT pg_relation_filenode('activation_log')"
        before = value(db, file)

        assert migrate(empty_database_url) == "0006"
        assert value(db, file) == before
        execute(db, "INSERT INTO plan_request (request_id, session_id) VALUES (42, 7)")
        execute(db, flip.format("activation_log_id, ") + "(42, 1, 1, false, now(), now(), 'timer')")
        with engine.connect() as connection:
            assert [one.what for one in damage(connection)] == [
                "the sequence of activation_log.activation_log_id is behind the rows",
                "the sequence of plan_request.request_id is behind the rows",
            ]
        migrate(empty_database_url)
        with engine.connect() as connection:
            assert damage(connection) == []
        assert value(db, "INSERT INTO plan_request (session_id) VALUES (7) RETURNING request_id") == 43
        assert value(db, flip.format("") + "(1, 1, true, now(), now(), 'timer') RETURNING activation_log_id") == 43
    engine.dispose()


def test_migrating_again_changes_nothing(every_empty_database_url: str) -> None:
    migrate(every_empty_database_url)
    with connected(every_empty_database_url) as db:
        before = catalogue(db)

        assert migrate(every_empty_database_url) == "0013"
        assert catalogue(db) == before
        assert value(db, "SELECT count(*) FROM plan_request") == 0


def test_two_migrations_at_once_are_as_good_as_one(every_empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        before = list(pool.map(migrate, [every_empty_database_url] * 2))

    assert sorted(before, key=str) == ["0013", None]


def test_migration_that_is_cut_off_at_any_step_goes_on_where_it_stopped(
    every_empty_database_url: str, every_database_url: str
) -> None:
    """The server itself cuts it off: the first run at its first definition, the next at its fourth, and so on."""
    with connected(every_empty_database_url) as db, connected(every_database_url) as whole:
        execute(
            db,
            """
            CREATE SCHEMA test;
            CREATE SEQUENCE test.definitions;
            CREATE FUNCTION test.cut_off() RETURNS event_trigger LANGUAGE plpgsql AS $$
                BEGIN IF nextval('test.definitions') = 1000 THEN RAISE EXCEPTION 'cut off'; END IF; END $$;
            CREATE EVENT TRIGGER cut_off ON ddl_command_end EXECUTE FUNCTION test.cut_off();
            """,
        )
        runs = 0
        while runs == 0 or not _migrates(every_empty_database_url):
            execute(db, "SELECT setval('test.definitions', %s)", 998 - 3 * runs)
            runs += 1
        execute(db, "DROP EVENT TRIGGER cut_off")

        assert runs > 5
        assert catalogue(db) == catalogue(whole)


def _migrates(url: str) -> bool:
    try:
        migrate(url)
    except DBAPIError as error:
        assert "cut off" in str(error)  # noqa: PT017 - any other error is a failure
        return False
    return True


def test_schema_is_required_to_be_this_releases(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    with engine.connect() as connection:
        with pytest.raises(SchemaNotReady, match="has not been migrated, this release needs 0013: run"):
            require_schema(connection)
        migrate(empty_database_url)
        require_schema(connection)
        with connected(empty_database_url) as db:
            execute(db, "UPDATE seisiun_schema_version SET version_num = '0003'")
        with pytest.raises(SchemaNotReady, match="is at revision 0003, this release needs 0013"):
            require_schema(connection)
    engine.dispose()


def test_to_ask_for_the_revision_again_and_again_takes_no_memory(engine: Engine) -> None:
    """A daemon asks at each new connection; a statement that is made anew each time would be compiled and kept."""
    compiled: list[int] = []
    for _ in range(3):
        with engine.connect() as connection:
            require_schema(connection)
        assert engine._compiled_cache is not None
        compiled.append(len(engine._compiled_cache))

    assert compiled[0] == compiled[1] == compiled[2]


def test_a_database_of_a_newer_release_is_named_and_left_alone(database_url: str) -> None:
    with connected(database_url) as db:
        execute(db, "UPDATE seisiun_schema_version SET version_num = '0014'")
        execute(db, "UPDATE seisiun_choice SET value = '0.9.1' WHERE name = 'release'")
        before = catalogue(db)
        newer = f"revision 0014, which is newer than this release, {__version__} .*: run release 0.9.1 or newer"
        with pytest.raises(SchemaNotReady, match=newer):
            migrate(database_url)
        engine = create_engine(database_url)
        with engine.connect() as connection, pytest.raises(SchemaNotReady, match=newer):
            require_schema(connection)
        engine.dispose()
        assert catalogue(db) == before


@pytest.mark.process
def test_commands_and_daemon_end_with_one_line_where_a_newer_release_was_here(database_url: str) -> None:
    with connected(database_url) as db:
        execute(db, "UPDATE seisiun_schema_version SET version_num = '0014'")
    for command in ("migrate", "status", "run"):
        done = run("-m", "scheduler", command, settings={"DATABASE_URL": database_url})
        told = [line for line in done.stderr.splitlines() if "newer than this release" in line]
        assert (done.returncode, len(told)) == (3 if command == "status" else 1, 1), done.stderr
        assert "Traceback" not in done.stderr
