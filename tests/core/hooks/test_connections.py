"""A hook joins the app's transaction, of whatever kind: it never commits, and leaves everything as it was."""

from collections.abc import Iterator
from datetime import date, time
from typing import Any

import psycopg2
import pytest
import sqlalchemy
from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import wait_select
from sqlalchemy import Engine, ForeignKey
from sqlalchemy.exc import DBAPIError, IntegrityError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session

from core.active_session_manager import (
    ReconcileResult,
    active_instances,
    check_in,
    elsewhere_in_town,
    instance_saved,
    remove_check_in,
    session_saved,
    whereabouts,
    who_is_here,
)
from core.db import normalise_url
from core.errors import UnknownPerson
from tests.core.hooks.apps import EVERY_KIND, ONE_OF_EACH, OUTSIDE_TRANSACTIONS, TRANSACTIONAL, App, raw_connection
from tests.core.passes import DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.data import (
    active_of,
    add_instance,
    add_person,
    add_session,
    connected,
    execute,
    only_instance,
    person_at,
    value,
)

SETTINGS = {
    "lock_timeout": "7s",
    "statement_timeout": "8s",
    "idle_in_transaction_session_timeout": "9s",
    "enable_seqscan": "on",
    "timezone": "America/New_York",
    "seisiun.own_write": "",
}


@pytest.fixture
def tonight(engine: Engine, app: Connection) -> tuple[int, int, int]:
    """A session, its instance of tonight, not open yet, and a person."""
    session, person = add_session(app, TUESDAYS, city="Dublin", country="Ireland"), add_person(app)
    reconcile_at(engine, NOON)
    return session, only_instance(app, session), person


def settings_of(theirs: App) -> dict[str, str]:
    names = [name for name in SETTINGS if name != "seisiun.own_write"]
    found = theirs.run("SELECT " + ", ".join(f"current_setting('{name}') AS s{at}" for at, name in enumerate(names)))
    return dict(zip(names, found[0], strict=True))


def is_marked_as_ours(theirs: App) -> bool:
    return bool(theirs.run("SELECT current_setting('seisiun.own_write', true) IS NOT DISTINCT FROM 'on' AS it")[0][0])


def every_hook(theirs: App, session: int, instance: int, person: int) -> None:
    """Each in turn; together they open the instance, and the person stays there."""
    session_saved(theirs.db, session, now=utc(OPENS))
    instance_saved(theirs.db, instance, now=utc(OPENS))
    check_in(theirs.db, person, instance, "yes", now=utc(DURING))
    remove_check_in(theirs.db, person, instance, now=utc(DURING))
    check_in(theirs.db, person, instance, "yes", "with a fiddle", now=utc(DURING))
    place = whereabouts(theirs.db, person)
    assert place is not None
    assert (place.session_instance_id, place.date, place.start_time) == (instance, date(2026, 12, 1), time(19))
    assert [attendee.comment for attendee in who_is_here(theirs.db, instance).here] == ["with a fiddle"]
    assert active_instances(theirs.db) == (place,)
    assert elsewhere_in_town(theirs.db, instance) == ()


@pytest.mark.parametrize("kind", TRANSACTIONAL)
def test_hook_never_commits_and_the_apps_rollback_undoes_it_all(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str
) -> None:
    session, instance, person = tonight
    before = execute(app, "SELECT * FROM activation_window"), execute(app, "SELECT * FROM session_plan")
    with TRANSACTIONAL[kind](database_url) as theirs:
        [(transaction,)] = theirs.run("SELECT pg_current_xact_id()::text AS it")
        every_hook(theirs, session, instance, person)

        assert theirs.run("SELECT pg_current_xact_id()::text AS it") == [(transaction,)]
        assert theirs.run("SELECT active_session_instance_id FROM person") == [(instance,)]
        assert (active_of(app, session), person_at(app, person)) == (None, None)
        theirs.rollback()
        assert theirs.run("SELECT active_session_instance_id FROM person") == [(None,)]

    assert (active_of(app, session), person_at(app, person)) == (None, None)
    assert before == (execute(app, "SELECT * FROM activation_window"), execute(app, "SELECT * FROM session_plan"))
    assert value(app, "SELECT count(*) FROM session_instance_person") == 0


@pytest.mark.parametrize("kind", TRANSACTIONAL)
def test_apps_commit_brings_what_the_hook_wrote(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str
) -> None:
    session, instance, person = tonight
    with TRANSACTIONAL[kind](database_url) as theirs:
        every_hook(theirs, session, instance, person)
        theirs.commit()

    assert (active_of(app, session), person_at(app, person)) == (instance, instance)


@pytest.mark.parametrize("scope", ["SET", "SET LOCAL"])
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_settings_and_transaction_are_afterwards_as_before(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str, scope: str
) -> None:
    session, instance, person = tonight
    with EVERY_KIND[kind](database_url) as theirs:
        if scope == "SET LOCAL" and kind not in TRANSACTIONAL:
            theirs.run("BEGIN")
        for name, setting in SETTINGS.items():
            theirs.run(f"{scope} {name} = '{setting}'")
        before = settings_of(theirs)
        assert before["lock_timeout"] == "7s"
        every_hook(theirs, session, instance, person)
        with pytest.raises(UnknownPerson):
            check_in(theirs.db, 999, instance, "yes")

        assert settings_of(theirs) == before
        assert not is_marked_as_ours(theirs)
        theirs.run("UPDATE person SET city = 'Miltown Malbay'")
        assert value(app, "SELECT city FROM person") == (
            "Miltown Malbay" if kind not in TRANSACTIONAL and scope == "SET" else None
        )
        theirs.run("COMMIT") if kind not in TRANSACTIONAL else theirs.commit()
        assert settings_of(theirs) == (before if scope == "SET" else settings_of(theirs))

    assert value(app, "SELECT city FROM person") == "Miltown Malbay"
    assert person_at(app, person) == instance


def driver_of(theirs: App) -> Connection:
    """Return the psycopg2 connection behind the app's."""
    db: Any = theirs.db() if isinstance(theirs.db, scoped_session) else theirs.db
    if isinstance(db, Session):
        db = db.connection()
    if isinstance(db, sqlalchemy.Connection):
        db = db.connection
    raw = getattr(db, "driver_connection", db)
    assert isinstance(raw, Connection)
    return raw


def belief_of(theirs: App) -> tuple[object, ...]:
    """What psycopg2 believes of its connection, and what the server knows of it."""
    raw = driver_of(theirs)
    return raw.autocommit, raw.status, raw.info.transaction_status, raw.cursor_factory, raw.isolation_level


@pytest.mark.parametrize("kind", OUTSIDE_TRANSACTIONS)
def test_outside_transactions_each_hook_commits_its_own_work_and_leaves_the_connection_as_it_was(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str
) -> None:
    session, instance, person = tonight
    with OUTSIDE_TRANSACTIONS[kind](database_url) as theirs:
        before = belief_of(theirs)
        assert before[2] == TRANSACTION_STATUS_IDLE
        assert session_saved(theirs.db, session, now=utc(OPENS)).activated
        assert belief_of(theirs) == before
        assert active_of(app, session) == instance
        with pytest.raises(UnknownPerson):
            check_in(theirs.db, 999, instance, "yes")
        assert belief_of(theirs) == before
        check_in(theirs.db, person, instance, "yes", now=utc(DURING))
        assert person_at(app, person) == instance
        every_hook(theirs, session, instance, person)
        assert belief_of(theirs) == before
        theirs.run("UPDATE person SET city = 'Ennis'")
        assert value(app, "SELECT city FROM person") == "Ennis"


@pytest.mark.parametrize("kind", OUTSIDE_TRANSACTIONS)
def test_transaction_that_was_begun_as_text_is_the_apps(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str
) -> None:
    session, instance, person = tonight
    with OUTSIDE_TRANSACTIONS[kind](database_url) as theirs:
        for end, at in (("ROLLBACK", None), ("COMMIT", instance)):
            theirs.run("BEGIN")
            before = belief_of(theirs)
            assert before[2] == TRANSACTION_STATUS_INTRANS
            every_hook(theirs, session, instance, person)
            assert belief_of(theirs) == before
            assert person_at(app, person) is None
            theirs.run(end)
            assert (active_of(app, session), person_at(app, person)) == (at, at)


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_hook_inside_a_savepoint_of_the_apps_is_undone_with_it(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str
) -> None:
    session, instance, person = tonight
    with EVERY_KIND[kind](database_url) as theirs:
        if kind not in TRANSACTIONAL:
            theirs.run("BEGIN")
        theirs.run("UPDATE person SET city = 'Ennis'")
        theirs.run("SAVEPOINT sa_savepoint_1")  # as SQLAlchemy would call it
        every_hook(theirs, session, instance, person)
        theirs.run("ROLLBACK TO sa_savepoint_1")
        assert theirs.run("SELECT active_session_instance_id, city FROM person") == [(None, "Ennis")]
        every_hook(theirs, session, instance, person)
        theirs.run("RELEASE sa_savepoint_1")
        assert person_at(app, person) is None
        theirs.run("COMMIT")

    assert (active_of(app, session), person_at(app, person)) == (instance, instance)


def test_hook_inside_a_nested_transaction_of_the_orm_is_undone_with_it(
    app: Connection, database_url: str, tonight: tuple[int, int, int]
) -> None:
    session, instance, person = tonight
    theirs = sqlalchemy.create_engine(normalise_url(database_url))
    with Session(theirs) as db, db.begin():
        nested = db.begin_nested()
        session_saved(db, session, now=utc(OPENS))
        nested.rollback()
        with db.begin_nested():
            musician = db.get_one(Musician, person)
            check_in(db, person, instance, "yes", now=utc(DURING))
            assert musician.active_session_instance_id == instance
        assert person_at(app, person) is None
    theirs.dispose()

    assert (active_of(app, session), person_at(app, person)) == (instance, instance)


@pytest.fixture
def wait_callback() -> Iterator[list[int]]:
    """As gevent and eventlet set it, for the whole process; the list grows with each wait."""
    waits: list[int] = []

    def wait(connection: Any) -> None:
        waits.append(1)
        wait_select(connection)

    extensions.set_wait_callback(wait)
    yield waits
    extensions.set_wait_callback(None)


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_hooks_work_where_a_wait_callback_is_set(
    app: Connection, database_url: str, tonight: tuple[int, int, int], wait_callback: list[int], kind: str
) -> None:
    session, instance, person = tonight
    with EVERY_KIND[kind](database_url) as theirs:
        waits = len(wait_callback)
        every_hook(theirs, session, instance, person)
        assert len(wait_callback) > waits
        theirs.commit()

    assert (active_of(app, session), person_at(app, person)) == (instance, instance)


class Traced:
    """A connection as tracing libraries wrap it: it passes for the one that it wraps."""

    def __init__(self, wrapped: Connection) -> None:
        self._wrapped = wrapped
        self.cursors = 0

    @property  # type: ignore[misc] # as wrapt's ObjectProxy does it
    def __class__(self) -> type:
        return type(self._wrapped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def cursor(self, **options: Any) -> Any:
        self.cursors += 1
        return self._wrapped.cursor(**options)


def test_connection_that_a_tracing_library_wraps_is_as_good(
    app: Connection, database_url: str, tonight: tuple[int, int, int]
) -> None:
    session, instance, person = tonight
    with connected(database_url, autocommit=False) as theirs:
        traced: Any = Traced(theirs)
        session_saved(traced, session, now=utc(OPENS))
        check_in(traced, person, instance, "yes", now=utc(DURING))
        assert traced.cursors > 0
        assert person_at(app, person) is None
        theirs.commit()

    assert person_at(app, person) == instance


def test_raw_connections_own_cursors_are_afterwards_as_before(database_url: str, tonight: tuple[int, int, int]) -> None:
    session, instance, person = tonight
    for name, kind in EVERY_KIND.items():
        with kind(database_url) as theirs:
            if not isinstance(theirs.db, Connection):
                continue
            factory = theirs.db.cursor_factory
            check_in(theirs.db, person, instance, "maybe")
            session_saved(theirs.db, session)
            assert theirs.db.cursor_factory is factory, name
            with theirs.db.cursor() as cursor:
                cursor.execute("SELECT 1 AS one")
                found: Any = cursor.fetchone()
                assert isinstance(found, dict) == ("RealDict" in name)
                assert [*(found.values() if isinstance(found, dict) else found)] == [1]


def read_as_text(theirs: App) -> None:
    """Let the app read dates, times, numbers and truths as text, as psycopg2 allows it to."""
    as_text = extensions.new_type((16, 20, 23, 25, 701, 1043, 1082, 1083, 1114, 1184), "TEXT", lambda found, _: found)
    extensions.register_type(as_text, driver_of(theirs))


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_an_app_may_read_its_dates_as_text_and_set_how_texts_are_read(
    app: Connection, database_url: str, tonight: tuple[int, int, int], kind: str
) -> None:
    session, instance, person = tonight
    other = add_instance(app, session, "2026-12-01", "18:30")  # no end: a NULL in an array
    data_type = "SELECT date, active FROM session_instance WHERE session_instance_id = "
    with EVERY_KIND[kind](database_url) as theirs:
        for name, setting in {"array_nulls": "off", "intervalstyle": "iso_8601", "extra_float_digits": "-15"}.items():
            theirs.run(f"SET {name} = '{setting}'")
        read_as_text(theirs)
        before = theirs.run("SELECT current_setting('array_nulls')")
        every_hook(theirs, session, instance, person)

        assert theirs.run(f"{data_type}{other}") == [("2026-12-01", "f")]
        assert theirs.run("SELECT current_setting('array_nulls')") == before
        theirs.run("COMMIT") if kind not in TRANSACTIONAL else theirs.commit()

    assert active_of(app, session) == instance


# The app's ORM


class Base(DeclarativeBase):
    pass


class Gathering(Base):
    """The app's own model of an instance."""

    __tablename__ = "session_instance"

    session_instance_id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int]
    start_time: Mapped[time | None]
    end_time: Mapped[time | None]
    comments: Mapped[str | None]
    active: Mapped[bool]


class Musician(Base):
    """The app's own model of a person."""

    __tablename__ = "person"

    person_id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str | None]
    active_session_instance_id: Mapped[int | None] = mapped_column(ForeignKey("session_instance.session_instance_id"))


def shown(gathering: Gathering, musician: Musician) -> tuple[bool, int | None]:
    return gathering.active, musician.active_session_instance_id


@pytest.mark.parametrize("expire_on_commit", [True, False])
@pytest.mark.parametrize("autoflush", [True, False])
def test_apps_objects_show_the_new_truth_and_what_they_hold_unsaved_counts(
    database_url: str, tonight: tuple[int, int, int], *, autoflush: bool, expire_on_commit: bool
) -> None:
    session, instance, person = tonight
    theirs = sqlalchemy.create_engine(normalise_url(database_url))
    with Session(theirs, autoflush=autoflush, expire_on_commit=expire_on_commit) as db:
        gathering, musician = db.get_one(Gathering, instance), db.get_one(Musician, person)
        assert shown(gathering, musician) == (False, None)
        gathering.start_time, gathering.end_time = time(11), time(13)
        gathering.comments, musician.city = "in the back room", "Ennis"

        instance_saved(db, instance, now=utc(NOON))
        assert shown(gathering, musician) == (True, None)
        check_in(db, person, instance, "yes", now=utc(NOON))
        assert shown(gathering, musician) == (True, instance)

        gathering.end_time = time(11, 30)
        session_saved(db, session, now=utc("2026-12-01 12:45"))
        assert shown(gathering, musician) == (False, None)
        assert (gathering.comments, musician.city) == ("in the back room", "Ennis")
        db.commit()
        assert (gathering.active, musician.city) == (False, "Ennis")
    theirs.dispose()


# A transaction that is lost


def refused(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the hooks have logged since the last call: one line for each that was refused."""
    lines = [*caplog.messages]
    caplog.clear()
    assert all(line.startswith("hook_refused ") and "\n" not in line for line in lines)
    return lines


@pytest.mark.parametrize("kind", [kind for kind in ONE_OF_EACH if kind in TRANSACTIONAL])
def test_hook_in_a_transaction_that_has_failed_is_one_line_and_no_error(
    app: Connection, database_url: str, tonight: tuple[int, int, int], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    session, instance, person = tonight
    with TRANSACTIONAL[kind](database_url) as theirs:
        with pytest.raises((psycopg2.Error, DBAPIError), match="no_such_table"):
            theirs.run("SELECT FROM no_such_table")
        assert session_saved(theirs.db, session, now=utc(OPENS)) == ReconcileResult(deferred=frozenset({session}))
        assert ["current transaction is aborted" in line for line in refused(caplog)] == [True]
        assert instance_saved(theirs.db, instance, now=utc(OPENS)) == ReconcileResult()
        assert len(refused(caplog)) == 1
        # These write for the app, so it is told as by its own statement.
        with pytest.raises((psycopg2.Error, DBAPIError), match="current transaction is aborted"):
            check_in(theirs.db, person, instance, "yes")
        with pytest.raises((psycopg2.Error, DBAPIError), match="current transaction is aborted"):
            remove_check_in(theirs.db, person, instance)
        theirs.rollback()
        every_hook(theirs, session, instance, person)
        theirs.commit()

    assert person_at(app, person) == instance


def test_hook_with_an_orm_session_that_has_failed_is_one_line_without_what_somebody_wrote(
    database_url: str, tonight: tuple[int, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    session, instance, person = tonight
    theirs = sqlalchemy.create_engine(normalise_url(database_url))
    with Session(theirs) as db:
        db.add(Musician(person_id=person, city="Miltown Malbay"))
        with pytest.raises(IntegrityError, match="duplicate key"):
            session_saved(db, session)  # flushing is the app's own work
        assert session_saved(db, session) == ReconcileResult(deferred=frozenset({session}))
        assert instance_saved(db, instance) == ReconcileResult()
        lines = refused(caplog)
        assert len(lines) == 2
        assert "Miltown" not in "".join(lines)
        with pytest.raises(PendingRollbackError):
            check_in(db, person, instance, "yes")
        with pytest.raises(PendingRollbackError):
            db.commit()
    theirs.dispose()


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_lost_connection_is_one_line_and_the_apps_own_commit_tells(
    app: Connection, database_url: str, tonight: tuple[int, int, int], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    session, instance, person = tonight
    with EVERY_KIND[kind](database_url) as theirs:
        theirs.run("UPDATE person SET city = 'Ennis'")
        [(pid,)] = theirs.run("SELECT pg_backend_pid()")
        execute(app, "SELECT pg_terminate_backend(%s, 5000)", pid)

        assert session_saved(theirs.db, session) == ReconcileResult(deferred=frozenset({session}))
        assert len(refused(caplog)) == 1
        with pytest.raises((psycopg2.Error, SQLAlchemyError)):
            check_in(theirs.db, person, instance, "yes")
        with pytest.raises((psycopg2.Error, SQLAlchemyError)):
            theirs.commit() if kind in TRANSACTIONAL else theirs.run("SELECT 1")


@pytest.mark.usefixtures("database_of_its_own")
def test_own_transaction_whose_commit_is_refused_is_one_line_and_the_apps_save_stands(
    app: Connection, database_url: str, tonight: tuple[int, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    session, instance, person = tonight
    execute(
        app,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; "
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE OF active ON session_instance DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    with raw_connection(database_url, autocommit=True) as theirs:
        theirs.run("UPDATE session SET city = 'Ennis'")
        before = belief_of(theirs)
        assert session_saved(theirs.db, session, now=utc(OPENS)) == ReconcileResult(deferred=frozenset({session}))
        assert ["no" in line for line in refused(caplog)] == [True]
        with pytest.raises(psycopg2.Error, match="no"):
            check_in(theirs.db, person, instance, "yes", now=utc(OPENS))
        assert belief_of(theirs) == before

    assert value(app, "SELECT city FROM session") == "Ennis"
    assert value(app, "SELECT count(*) FROM session_instance_person") == 0


def test_a_name_that_the_apps_encoding_lacks_does_not_fail_the_apps_save(
    app: Connection, engine: Engine, database_url: str
) -> None:
    """PostgreSQL cannot send the name: the person is recorded, and moved by the daemon."""
    session, person = add_session(app, TUESDAYS, name="Mueller\N{RIGHT SINGLE QUOTATION MARK}s"), add_person(app)
    reconcile_at(engine, DURING)
    with connected(database_url, autocommit=False) as theirs:
        theirs.set_client_encoding("LATIN1")
        execute(theirs, "UPDATE person SET first_name = 'saved' WHERE person_id = %s", person)

        told = check_in(theirs, person, only_instance(app, session), "yes", now=utc(DURING))

        theirs.commit()
    assert (told.at, told.deferred) == (None, True)
    assert value(app, "SELECT first_name FROM person") == "saved"
    assert value(app, "SELECT attendance FROM session_instance_person") == "yes"


def test_an_instance_that_cannot_be_read_does_not_fail_the_apps_save(
    app: Connection, tonight: tuple[int, int, int], database_url: str
) -> None:
    _, instance, person = tonight
    with connected(database_url, autocommit=False) as theirs:
        execute(theirs, "UPDATE person SET first_name = 'saved' WHERE person_id = %s", person)
        execute(theirs, "SET LOCAL search_path = pg_catalog")

        assert instance_saved(theirs, instance) == ReconcileResult()

        theirs.commit()
    assert value(app, "SELECT first_name FROM person") == "saved"
