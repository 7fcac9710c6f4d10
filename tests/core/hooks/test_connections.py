"""A hook joins the app's transaction, of whatever kind: it never commits, and leaves everything as it was."""

from datetime import date, time
from typing import Any

import psycopg2
import pytest
import sqlalchemy
from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session

from core.active_session_manager import (
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
from tests.core.hooks.apps import EVERY_KIND, TRANSACTIONAL, App
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


def test_raw_connection_in_autocommit_is_committed_by_each_hook_and_left_in_autocommit(
    app: Connection, database_url: str, tonight: tuple[int, int, int]
) -> None:
    session, instance, person = tonight
    with connected(database_url) as theirs:
        session_saved(theirs, session, now=utc(OPENS))
        assert theirs.autocommit
        assert theirs.info.transaction_status == TRANSACTION_STATUS_IDLE
        assert active_of(app, session) == instance
        with pytest.raises(UnknownPerson):
            check_in(theirs, 999, instance, "yes")
        assert theirs.autocommit
        assert theirs.info.transaction_status == TRANSACTION_STATUS_IDLE
        check_in(theirs, person, instance, "yes", now=utc(DURING))
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
                assert cursor.fetchone() == ({"one": 1} if "RealDict" in name else (1,))


def read_as_text(theirs: App) -> None:
    """Let the app read dates, times, numbers and truths as text, as psycopg2 allows it to."""
    db = theirs.db() if isinstance(theirs.db, scoped_session) else theirs.db
    raw: Any = db.connection() if isinstance(db, Session) else db
    raw = raw.connection if isinstance(raw, sqlalchemy.Connection) else raw
    as_text = extensions.new_type((16, 20, 23, 25, 701, 1043, 1082, 1083, 1114, 1184), "TEXT", lambda found, _: found)
    extensions.register_type(as_text, getattr(raw, "dbapi_connection", raw))


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


def test_sqlalchemy_connection_in_autocommit_does_not_fail_the_apps_save(
    app: Connection, database_url: str, tonight: tuple[int, int, int]
) -> None:
    """Without a transaction there is nothing to join: it is left to the daemon."""
    session, instance, person = tonight
    theirs = sqlalchemy.create_engine(normalise_url(database_url), isolation_level="AUTOCOMMIT")
    with theirs.connect() as db:
        assert session_saved(db, session, now=utc(OPENS)).deferred == {session}
        assert check_in(db, person, instance, "yes", now=utc(OPENS)).deferred
    theirs.dispose()

    assert value(app, "SELECT attendance FROM session_instance_person") == "yes"


def test_lost_connection_of_the_app_is_the_apps_error(
    app: Connection, database_url: str, tonight: tuple[int, int, int]
) -> None:
    session, *_ = tonight
    with TRANSACTIONAL["psycopg2"](database_url) as theirs:
        [(pid,)] = theirs.run("SELECT pg_backend_pid()")
        execute(app, "SELECT pg_terminate_backend(%s)", pid)
        with pytest.raises(psycopg2.Error):
            session_saved(theirs.db, session)


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

        instance_saved(theirs, instance)

        theirs.commit()
    assert value(app, "SELECT first_name FROM person") == "saved"
