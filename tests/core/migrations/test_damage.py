"""What somebody dropped, disabled, revoked or changed: `status` names it, `migrate` mends it."""

import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from core.db import create_engine
from core.migrations import migrate
from core.migrations.damage import damage
from core.migrations.definition import definition
from core.status import status
from tests.core.migrations.catalogue import catalogue
from tests.core.passes import DURING, TUESDAYS, reconcile_at
from tests.data import add_session, change_instance, connected, execute, only_instance, value

DAMAGE = {
    "ALTER TABLE session DISABLE TRIGGER seisiun_session_updated": (
        "the trigger seisiun_session_updated of session is disabled"
    ),
    "ALTER TABLE person ENABLE REPLICA TRIGGER seisiun_pointer_written": (
        "the trigger seisiun_pointer_written of person is disabled"
    ),
    "DROP TRIGGER seisiun_guard_mirror ON active_instance": (
        "the trigger seisiun_guard_mirror of active_instance is missing"
    ),
    "DROP FUNCTION seisiun_said_yes() CASCADE": (
        "the function seisiun_said_yes is missing",
        "the trigger zz_seisiun_said_yes of session_instance_person is missing",
    ),
    "CREATE OR REPLACE FUNCTION seisiun_request(wanted bigint) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'": (
        "the function seisiun_request is not as this release makes it"
    ),
    "ALTER FUNCTION seisiun_session_saved() SECURITY INVOKER": (
        "the function seisiun_session_saved is not as this release makes it"
    ),
    "ALTER FUNCTION seisiun_session_saved() SET search_path = pg_temp, public": (
        "the function seisiun_session_saved is not as this release makes it"
    ),
    "GRANT EXECUTE ON FUNCTION seisiun_request(bigint) TO PUBLIC": (
        "everybody may use the function seisiun_request(bigint)"
    ),
    "GRANT INSERT, UPDATE ON skipped_occurrence TO PUBLIC": "everybody may use the table skipped_occurrence",
    "GRANT USAGE ON plan_request_request_id_seq TO PUBLIC": (
        "everybody may use the sequence plan_request_request_id_seq"
    ),
    "DROP INDEX activation_window_open_closes": (
        "the index activation_window_open_closes of activation_window is missing"
    ),
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'session_plan_next'::regclass": (
        "the index session_plan_next of session_plan is missing"
    ),
    "DROP INDEX session_instance_person_once": (
        "the index session_instance_person_once of session_instance_person is missing"
    ),
    "ALTER TABLE active_instance DROP CONSTRAINT one_active_instance_per_session": (
        "the constraint one_active_instance_per_session of active_instance is missing"
    ),
    "ALTER TABLE person DROP CONSTRAINT person_at_active_instance": (
        "the constraint person_at_active_instance of person is missing"
    ),
    "ALTER TABLE plan_request DROP CONSTRAINT plan_request_pkey": (
        "the constraint plan_request_pkey of plan_request is missing"
    ),
    "ALTER TABLE activation_log DROP CONSTRAINT activation_log_causes, ADD CONSTRAINT activation_log_causes "
    "CHECK (cause IN ('timer', 'notify', 'start', 'resync', 'hook', 'sweep', 'repair')) NOT VALID": (
        "the constraint activation_log_causes of activation_log is not validated"
    ),
    "DROP TABLE skipped_occurrence": (
        "the table skipped_occurrence is missing",
        "the constraint skipped_occurrence_pkey of skipped_occurrence is missing",
    ),
}


def found(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [one.what for one in damage(connection)]


def test_a_fresh_database_has_no_damage(every_database_url: str) -> None:
    engine = create_engine(every_database_url)
    assert found(engine) == []
    engine.dispose()


def test_how_a_database_quotes_names_is_no_damage(engine: Engine, database_url: str) -> None:
    with connected(database_url) as app:
        execute(app, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET quote_all_identifiers = on', "
                     "current_database()); END $$")  # fmt: skip
        execute(app, "DROP FUNCTION seisiun_said_yes() CASCADE")
    assert found(engine) != []

    migrate(database_url)

    assert found(engine) == []


def test_each_damage_is_named_and_mended(engine: Engine, database_url: str) -> None:
    """One database for all: each is mended before the next."""
    with connected(database_url) as app:
        whole = catalogue(app)
        for spoil, what in DAMAGE.items():
            execute(app, spoil)
            assert found(engine) == ([what] if isinstance(what, str) else [*what]), spoil
            with engine.connect() as connection:
                assert found(engine)[0] in " ".join(status(connection).problems)

            migrate(database_url)

            assert found(engine) == [], spoil
            assert {part: sorted(names) for part, names in catalogue(app).items()} == whole, spoil


def test_foreign_keys_that_were_disabled_with_the_triggers_are_named_and_mended(
    engine: Engine, database_url: str
) -> None:
    with connected(database_url) as app:
        execute(app, "ALTER TABLE active_instance DISABLE TRIGGER ALL")
        assert {
            "the trigger seisiun_guard_mirror of active_instance is disabled",
            "the foreign key person_at_active_instance is disabled on active_instance",
            "the foreign key active_instance_session_instance_id_fkey is disabled on active_instance",
        } == set(found(engine))

        migrate(database_url)

        assert found(engine) == []
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            execute(app, "SET session_replication_role = DEFAULT; UPDATE person SET active_session_instance_id = 9; "
                         "INSERT INTO person (active_session_instance_id) VALUES (9)")  # fmt: skip


def test_all_damage_is_named_at_once_and_mended_at_once(engine: Engine, database_url: str) -> None:
    with connected(database_url) as app:
        whole = catalogue(app)
        for table in definition().tables:
            execute(app, f"DROP TABLE {table} CASCADE")
        assert "the table activation_window is missing" in found(engine)

        migrate(database_url)

        assert (found(engine), catalogue(app)) == ([], whole)


WORKER = "worker_of_damage"


@pytest.fixture
def daemon(database_url: str) -> Iterator[Connection]:
    """A connection like a daemon's, as a role of its own that lacks a privilege."""
    with connected(database_url) as app:
        execute(app, f"DROP ROLE IF EXISTS {WORKER}; CREATE ROLE {WORKER} LOGIN PASSWORD 'worker'")
        execute(app, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {WORKER}")
        execute(app, f"REVOKE UPDATE ON session_instance FROM {WORKER}")
        url = make_url(database_url).set(username=WORKER, password="worker")
        with connected(url.render_as_string(hide_password=False)) as connection:
            execute(connection, "SET application_name = 'seisiun daemon'")
            yield connection
        execute(app, f"DROP OWNED BY {WORKER}; DROP ROLE {WORKER}")


def test_a_privilege_that_the_daemons_role_lacks_is_named_and_granted(
    engine: Engine, database_url: str, daemon: Connection
) -> None:
    assert found(engine) == [f"the role {WORKER} may not UPDATE session_instance"]

    migrate(database_url)

    assert found(engine) == []
    execute(daemon, "UPDATE session_instance SET comments = NULL")


@pytest.mark.parametrize(
    "damaging",
    [
        "DROP TRIGGER seisiun_instance_updated ON session_instance",
        "CREATE OR REPLACE FUNCTION seisiun_request(wanted bigint) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'",
    ],
    ids=["a trigger", "a function"],
)
def test_what_was_saved_while_nothing_heard_it_is_served_after_the_mending(
    engine: Engine, app: Connection, database_url: str, damaging: str
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    instance = only_instance(app, session)
    execute(app, damaging)
    change_instance(app, instance, is_cancelled=True)
    assert value(app, "SELECT count(*) FROM plan_request") == 0

    migrate(database_url)
    reconcile_at(engine, DURING)

    assert value(app, "SELECT active FROM session_instance") is False


def test_the_triggers_on_an_apps_column_of_active_people_are_mended_too(empty_database_url: str) -> None:
    with connected(empty_database_url) as app:
        execute(app, "CREATE TABLE person (person_id integer PRIMARY KEY, active boolean)")
        migrate(empty_database_url)
        engine = create_engine(empty_database_url)
        assert found(engine) == []
        execute(app, "DROP TRIGGER seisiun_person_updated ON person")
        assert found(engine) == ["the trigger seisiun_person_updated of person is missing"]

        migrate(empty_database_url)
        assert found(engine) == []

        execute(app, "ALTER TABLE person DROP COLUMN active CASCADE")
        assert found(engine) == [], "the column is the app's: without it there is nothing to follow"
        engine.dispose()


def test_the_damage_is_found_within_a_second(engine: Engine, figures: Callable[[str], None]) -> None:
    found(engine)
    begun = time.monotonic()
    for _ in range(20):
        found(engine)
    took = (time.monotonic() - begun) / 20
    figures(f"the schema is compared with the catalogue in {1000 * took:.1f} ms")
    assert took < 1
