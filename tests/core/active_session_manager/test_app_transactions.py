"""A pass in a transaction of the app's own: joined, never committed, and left as it was found."""

from collections.abc import Callable
from datetime import date, time

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from core.active_session_manager import update_active_sessions
from core.models import MusicSession, Person, SessionInstance
from tests.core.passes import DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.data import active_of, add_person, add_session, change_session, execute, only_instance, requests

SETTINGS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "enable_seqscan")
SHOW = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)


def test_connection_is_joined_and_not_committed(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    with engine.connect() as connection:
        result = reconcile_at(connection, DURING)
        assert len(result.activated) == 1
        assert connection.in_transaction()
        assert active_of(app, session) is None
        connection.rollback()
    assert active_of(app, session) is None

    with engine.begin() as connection:
        reconcile_at(connection, DURING)
    assert active_of(app, session) == only_instance(app, session)


def test_raw_connection_is_joined_and_not_committed(app: Connection, db_connect: Callable[[], Connection]) -> None:
    session = add_session(app, TUESDAYS)
    raw = db_connect()
    execute(raw, "UPDATE session SET city = 'Dublin'")
    result = reconcile_at(raw, DURING)

    assert len(result.activated) == 1
    assert active_of(raw, session) is not None
    assert active_of(app, session) is None
    raw.rollback()
    assert active_of(app, session) is None
    execute(raw, "UPDATE session SET city = 'Dublin'")
    reconcile_at(raw, DURING)
    raw.commit()
    assert active_of(app, session) is not None


def test_edits_of_the_open_transaction_count(engine: Engine) -> None:
    with Session(engine) as db:
        session = MusicSession(name="Hughes'", timezone="Europe/Dublin", recurrence=TUESDAYS)
        db.add(session)
        reconcile_at(db, DURING)

        found = db.query(SessionInstance).one()
        assert (found.session_id, found.date, found.active) == (session.session_id, date(2026, 12, 1), True)


def test_orm_objects_show_the_new_truth(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    person = add_person(app)
    with Session(engine) as db:
        instance = db.get_one(SessionInstance, only_instance(app, session))
        before = instance.active
        reconcile_at(db, OPENS)
        assert (before, instance.active) == (False, True)

        somebody = db.get_one(Person, person)
        somebody.active_session_instance_id = instance.session_instance_id
        instance.is_cancelled = True
        reconcile_at(db, DURING)
        assert not instance.active
        assert db.get_one(Person, person).active_session_instance_id is None

        db.get_one(MusicSession, session).recurrence = TUESDAYS.replace("19:00", "19:30")
        instance.is_cancelled = False
        reconcile_at(db, DURING)
        assert (instance.active, instance.start_time) == (True, time(19, 30))
        db.rollback()
    assert active_of(app, session) is None


@pytest.mark.parametrize("recurrence", [TUESDAYS, None], ids=["something to do", "nothing to do"])
def test_settings_of_the_apps_transaction_are_put_back(engine: Engine, app: Connection, recurrence: str | None) -> None:
    add_session(app, recurrence)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '7s'"))
        connection.execute(text("SET LOCAL statement_timeout = '8s'"))
        before = connection.execute(text(SHOW)).one()
        reconcile_at(connection, DURING)

        assert connection.execute(text(SHOW)).one() == before
        assert connection.scalar(text("SELECT current_setting('seisiun.own_write', true)")) != "on"


@pytest.mark.usefixtures("database_of_its_own")
def test_failure_leaves_the_apps_transaction_usable_and_its_settings_as_they_were(
    engine: Engine, app: Connection
) -> None:
    poisoned, healthy = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    execute(
        app,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
        "CREATE TRIGGER poison BEFORE UPDATE ON session_instance FOR EACH ROW "
        f"WHEN (OLD.session_instance_id = {only_instance(app, poisoned)}) EXECUTE FUNCTION refuse()",
    )
    with engine.begin() as connection:
        connection.execute(text("UPDATE session SET city = 'Dublin'"))
        before = connection.execute(text(SHOW)).one()
        result = reconcile_at(connection, OPENS)
        assert result.failed.keys() == {poisoned}
        assert connection.execute(text(SHOW)).one() == before
        assert connection.scalar(text("SELECT current_setting('seisiun.own_write', true)")) != "on"

    assert execute(app, "SELECT DISTINCT city FROM session") == [("Dublin",)]
    assert active_of(app, healthy) is not None


def test_held_row_defers_its_session_and_does_not_fail_the_app(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    other = db_connect()
    execute(other, "UPDATE session_instance SET comments = 'x'")
    with engine.begin() as connection:
        connection.execute(text("UPDATE session SET city = 'Dublin'"))
        assert reconcile_at(connection, OPENS).deferred == {session}
    other.rollback()

    assert execute(app, "SELECT city FROM session") == [("Dublin",)]


def test_rolled_back_edit_leaves_no_request_and_no_flip(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    with engine.connect() as connection:
        connection.execute(text("UPDATE session SET recurrence = NULL"))
        assert len(reconcile_at(connection, DURING).deactivated) == 1
        connection.rollback()

    assert active_of(app, session) == only_instance(app, session)
    assert requests(app) == []


@pytest.mark.usefixtures("database_of_its_own")
def test_raises_when_the_connection_is_lost(engine: Engine, app: Connection) -> None:
    add_session(app, TUESDAYS)

    @event.listens_for(engine, "before_cursor_execute")
    def cut(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM session_plan" in statement and "FOR UPDATE" in statement:
            terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            execute(app, terminate + "AND datname = current_database() AND application_name = 'seisiun'")

    with pytest.raises(Exception, match=r"terminating connection|server closed the connection") as raised:
        update_active_sessions(engine)
    assert isinstance(raised.value.__cause__, psycopg2.OperationalError)


def test_repeatable_read_is_no_harm(engine: Engine, app: Connection) -> None:
    """What was committed since the app's snapshot cannot be seen there: the daemon sees it."""
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SELECT count(*) FROM session")).one()
        reconcile_at(engine, OPENS)
        change_session(app, session, city="Dublin")
        result = reconcile_at(connection, DURING)
        connection.commit()

    assert result.failed == {}
    reconcile_at(engine, DURING)
    assert active_of(app, session) == only_instance(app, session)
    assert execute(app, "SELECT error, failures FROM session_plan") == [(None, 0)]
