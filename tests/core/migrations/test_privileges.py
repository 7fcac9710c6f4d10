"""What a role may do with what is ours, and what it may not, whatever it creates for that."""

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from core.active_session_manager import update_active_sessions
from core.db import create_engine
from core.migrations import migrate, privileges
from core.migrations.damage import damage
from core.migrations.privileges import grants
from core.status import status
from tests.data import add_instance, add_person, add_session, connected, execute

HOSTILE = "hostile_of_privileges"
TRIGGER_FUNCTIONS = {
    "seisiun_check_in_saved()": "session_instance_person",
    "seisiun_guard_mirror()": "active_instance",
    "seisiun_instance_deleted()": "session_instance",
    "seisiun_instance_restored()": "session_instance",
    "seisiun_instance_saved()": "session_instance",
    "seisiun_mirror_active()": "session_instance",
    "seisiun_person_saved()": "person",
    "seisiun_pointer_written()": "person",
    "seisiun_said_yes()": "session_instance_person",
    "seisiun_session_saved()": "session",
}
OTHER_FUNCTIONS = ("seisiun_request(bigint)", "seisiun_request_about(bigint,text)")
TABLES = (
    "activation_log",
    "activation_window",
    "active_instance",
    "daemon_heartbeat",
    "deactivated_person",
    "plan_request",
    "planned_instance",
    "seisiun_choice",
    "seisiun_schema_version",
    "session_plan",
    "skipped_occurrence",
)
SEQUENCES = ("activation_log_activation_log_id_seq", "plan_request_request_id_seq")
APP_SEQUENCES = (
    "person_person_id_seq",
    "session_session_id_seq",
    "session_instance_session_instance_id_seq",
    "session_instance_person_session_instance_person_id_seq",
)
APP_TABLES = ("person", "session", "session_instance", "session_instance_person")


@pytest.fixture
def hostile(database_url: str, app: Connection) -> Iterator[Connection]:
    """A role that may connect and make temporary tables, and nothing else."""
    execute(app, f"DROP ROLE IF EXISTS {HOSTILE}; CREATE ROLE {HOSTILE} LOGIN PASSWORD 'hostile'")
    url = make_url(database_url).set(username=HOSTILE, password="hostile")
    with connected(url.render_as_string(hide_password=False)) as connection:
        yield connection
    execute(app, f"DROP OWNED BY {HOSTILE}; DROP ROLE {HOSTILE}")


def url_of(app: Connection) -> str:
    parts = app.info
    return f"postgresql://{parts.user}:{parts.password}@{parts.host}:{parts.port}/{parts.dbname}"


def test_nobody_but_the_owner_has_any_privilege_on_what_is_ours(every_database_url: str) -> None:
    """The whole list: what a migration adds must be added here, with a thought."""
    with connected(every_database_url) as app:
        functions = execute(
            app,
            "SELECT oid::regprocedure::text, prosecdef, proconfig, coalesce(proacl, acldefault('f', proowner))::text "
            "FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        )
        relations = execute(
            app,
            "SELECT relname::text, ARRAY(SELECT grantee FROM aclexplode(relacl) WHERE grantee <> relowner) "
            "FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f', 'S') "
            "AND relname <> ALL (%s) ORDER BY 1",
            [*APP_TABLES, *APP_SEQUENCES],
        )

    own = "{postgres=X/postgres}"
    expected = [
        (name, True, ["search_path=pg_catalog, pg_temp"], own) for name in (*TRIGGER_FUNCTIONS, *OTHER_FUNCTIONS)
    ]
    assert functions == sorted(expected)
    assert relations == [(name, []) for name in sorted((*TABLES, *SEQUENCES))]


def test_a_role_that_may_only_connect_cannot_touch_our_tables_and_sequences(hostile: Connection) -> None:
    for table in TABLES:
        for statement in (
            f"SELECT FROM {table}",
            f"INSERT INTO {table} DEFAULT VALUES",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                execute(hostile, statement)
    for sequence in SEQUENCES:
        for call in (f"nextval('{sequence}')", f"setval('{sequence}', 1)"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                execute(hostile, f"SELECT {call}")


def test_a_role_that_may_only_connect_cannot_call_our_functions_nor_have_a_trigger_call_them(
    hostile: Connection,
) -> None:
    execute(hostile, "CREATE TEMPORARY TABLE mine (session_id bigint)")
    create = "CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION"
    calls = ["SELECT seisiun_request(1)", "SELECT seisiun_request_about(1, 'hours')"]
    for statement in (*calls, *(f"{create} {function}" for function in TRIGGER_FUNCTIONS)):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for function"):
            execute(hostile, statement)


YES_TO_ALL = "SELECT session_instance_id, person_id, 'yes' FROM session_instance, person"
OVERLOADS = """
    CREATE FUNCTION mine() RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN RAISE WARNING 'runs as %', current_user; RETURN true; END $$;
    CREATE FUNCTION seisiun_request(integer) RETURNS void LANGUAGE sql AS 'SELECT mine()';
    CREATE FUNCTION seisiun_request_about(integer, text) RETURNS void LANGUAGE sql AS 'SELECT mine()';
    CREATE FUNCTION to_jsonb(person) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(mine())';
    CREATE FUNCTION differs(oid, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT NOT mine()';
    CREATE OPERATOR <> (FUNCTION = differs, LEFTARG = oid, RIGHTARG = regclass);
    CREATE FUNCTION is_less(double precision, numeric) RETURNS boolean LANGUAGE sql AS 'SELECT mine()';
    CREATE OPERATOR < (FUNCTION = is_less, LEFTARG = double precision, RIGHTARG = numeric);
"""


def test_a_role_that_may_create_in_our_schema_cannot_have_our_functions_run_its_own(
    database_url: str, app: Connection, hostile: Connection
) -> None:
    """Its functions and operators are for exactly the types of a call or comparison, where ours need a cast."""
    execute(app, "ALTER TABLE person ADD active boolean")
    migrate(database_url)
    execute(app, f"GRANT CREATE, USAGE ON SCHEMA public TO {HOSTILE}")
    execute(app, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(APP_TABLES)} TO {HOSTILE}")
    execute(hostile, OVERLOADS)

    session_id = execute(hostile, "INSERT INTO session (name) VALUES ('A') RETURNING session_id")[0][0]
    for statement in (
        f"INSERT INTO session_instance (session_id, date) VALUES ({session_id}, current_date)",
        "INSERT INTO person (active) VALUES (false)",
        f"INSERT INTO session_instance_person (session_instance_id, person_id, attendance) {YES_TO_ALL}",
        "UPDATE session_instance SET active = true",
        "UPDATE person SET active_session_instance_id = (SELECT session_instance_id FROM session_instance)",
        "DELETE FROM session_instance",
    ):
        execute(hostile, statement)

    assert hostile.notices == []
    with create_engine(database_url).connect() as connection:
        assert damage(connection) == [], "what is not ours is no damage of ours"


def test_every_trigger_function_serves_the_triggers_of_its_own_table_only(app: Connection, hostile: Connection) -> None:
    """Even where somebody has granted EXECUTE to all, as ALTER DEFAULT PRIVILEGES may."""
    session_id = add_session(app)
    instance_id = add_instance(app, session_id, "2026-12-01", active=True)
    add_person(app, active_session_instance_id=instance_id)
    before = _all_rows(app)
    execute(app, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC")
    columns = {"session_instance_id": "bigint", "session_id": "bigint", "active": "boolean", "person_id": "bigint"}
    columns |= {
        "active_session_instance_id": "bigint",
        "attendance": "text",
        "checked_in_at": "timestamptz",
        "left_at": "timestamptz",
    }
    execute(hostile, f"CREATE TEMPORARY TABLE mine ({', '.join(map(' '.join, columns.items()))})")
    execute(hostile, "INSERT INTO mine VALUES (%s, %s, true, 1, %s, 'yes')", instance_id, session_id, instance_id)
    for function, table in TRIGGER_FUNCTIONS.items():
        for event in ("BEFORE", "AFTER"):
            execute(
                hostile,
                "DROP TRIGGER IF EXISTS mine ON mine; "
                f"CREATE TRIGGER mine {event} INSERT OR UPDATE OR DELETE ON mine FOR EACH ROW "
                f"EXECUTE FUNCTION {function}",
            )
            for statement in (
                "INSERT INTO mine SELECT * FROM mine",
                "UPDATE mine SET active = false",
                "DELETE FROM mine",
            ):
                with pytest.raises(psycopg2.errors.RaiseException, match=f"serves the triggers of {table} only"):
                    execute(hostile, statement)

    assert _all_rows(app) == before


def _all_rows(app: Connection) -> dict[str, list[tuple[object, ...]]]:
    return {table: execute(app, f"SELECT * FROM {table}") for table in (*TABLES, *APP_TABLES)}


# What triggers of the app's need


HISTORY = """
CREATE TABLE history (history_id serial PRIMARY KEY, about integer);
CREATE FUNCTION note_history() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO history (about) VALUES (NEW.session_instance_id); RETURN NULL; END $$;
CREATE TRIGGER history AFTER UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION note_history();
CREATE FUNCTION as_owner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN INSERT INTO history (about) VALUES (0); RETURN NULL; END $$;
CREATE TRIGGER as_owner AFTER UPDATE ON person FOR EACH ROW EXECUTE FUNCTION as_owner();
"""


def test_a_daemons_own_role_is_granted_what_triggers_of_the_apps_write_and_status_says_what_it_lacks(
    database_url: str, app: Connection, hostile: Connection
) -> None:
    """`hostile` may only connect; it becomes the daemon's role."""
    execute(app, HISTORY)
    owner, engine = create_engine(database_url), create_engine(url_of(hostile))
    session_id = add_session(app, timezone="UTC")
    today = add_instance(app, session_id, str(execute(app, "SELECT current_date")[0][0]), "00:00", "23:59")
    try:
        with owner.connect() as connection:
            granted = grants(connection, HOSTILE, daemon=True)
        for statement in granted:
            if "history" not in statement:
                execute(app, statement)
        failed = update_active_sessions(engine).failed
        where = "PL/pgSQL function note_history() line 2 at SQL statement"
        assert failed == {session_id: f"InsufficientPrivilege: permission denied for table history ({where})"}
        with owner.connect() as connection:
            problems = " ".join(status(connection).problems)
        assert f"sessions whose passes fail: 1: The Cobblestone (session {session_id}); of the first: " in problems
        assert failed[session_id] in problems
        assert "cannot be read" not in problems

        assert [statement for statement in granted if "history" in statement] == [
            f"GRANT INSERT ON public.history TO {HOSTILE}; -- for your trigger session_instance.history",
            f"GRANT USAGE ON SEQUENCE public.history_history_id_seq TO {HOSTILE};",
        ]
        for statement in granted:
            execute(app, statement)
        execute(app, "UPDATE session SET active_buffer_minutes_before = 59")
        assert update_active_sessions(engine).failed == {}
        assert execute(app, "SELECT about FROM history") == [(today,)]
    finally:
        engine.dispose()
        owner.dispose()


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("INSERT INTO history (about) VALUES (1) ON CONFLICT DO NOTHING", {"SELECT", "INSERT", "UPDATE"}),
        ("UPDATE history SET about = 1", {"SELECT", "UPDATE"}),
        ('DELETE\n FROM ONLY public."history"', {"SELECT", "DELETE"}),
        ("PERFORM 1 FROM history", {"SELECT"}),
        ("PERFORM 1 FROM unnest(ARRAY[1]) JOIN nothing ON true", None),
    ],
)
def test_what_a_function_needs_is_read_from_its_source(
    engine: Engine, app: Connection, source: str, needed: set[str] | None
) -> None:
    execute(app, HISTORY)
    with engine.connect() as connection:
        assert privileges._uses(connection, source) == ({"public.history": needed} if needed else {})


# The guard of the mirror


@pytest.fixture
def two_instances(app: Connection) -> Connection:
    """The owner of everything, and of a table whose trigger it lets write to the mirror."""
    session_id = add_session(app)
    add_instance(app, session_id, "2026-12-01", active=True)
    add_instance(app, session_id, "2026-12-02")
    execute(app, "CREATE TABLE mine (id integer)")
    return app


@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO active_instance VALUES (2, 1)",
        "UPDATE active_instance SET session_instance_id = 2",
        "UPDATE active_instance SET session_id = 9",
        "DELETE FROM active_instance",
    ],
)
def test_a_trigger_of_the_apps_cannot_make_the_mirror_lie(two_instances: Connection, write: str) -> None:
    execute(
        two_instances,
        f"CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {write}; RETURN NULL; END $$; "
        "CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION write()",
    )
    with pytest.raises(psycopg2.errors.RaiseException, match="change that column instead"):
        execute(two_instances, "INSERT INTO mine VALUES (1)")
    assert execute(two_instances, "SELECT * FROM active_instance") == [(1, 1)]


def test_the_mirror_follows_an_instance_to_another_id_to_another_session_and_away(two_instances: Connection) -> None:
    add_session(two_instances)
    for change, mirror in (
        ("UPDATE session_instance SET session_instance_id = 9 WHERE session_instance_id = 1", [(9, 1)]),
        ("UPDATE session_instance SET session_id = 2 WHERE session_instance_id = 9", [(9, 2)]),
        ("UPDATE session_instance SET session_instance_id = 8, active = false WHERE session_instance_id = 9", []),
        ("UPDATE session_instance SET active = true", [(2, 1), (8, 2)]),
        ("DELETE FROM session WHERE session_id = 2", [(2, 1)]),
    ):
        execute(two_instances, change)
        assert execute(two_instances, "SELECT * FROM active_instance ORDER BY 1") == mirror, change
