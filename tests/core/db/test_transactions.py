"""Our own short transactions, and savepoints in an app's; which errors are whose."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as Ours
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from core import logs
from core.db.transaction_settings import OWN_TRANSACTION, PASS_SETTINGS, fires_no_triggers, is_read_only
from core.db.transactions import (
    after_commit,
    has_failed_already,
    is_contention,
    is_disconnected,
    is_own,
    is_privilege_missing,
    reading,
    transactions,
    with_commit,
)
from tests.core.passes import senders_to
from tests.data import add_person, execute, value

CHANNEL = "a_channel"


def error_of(db: Connection, statement: str) -> DBAPIError:
    """Return the error that the server tells of this statement, as SQLAlchemy hands it on."""
    with pytest.raises(psycopg2.Error) as told:
        execute(db, statement)
    return DBAPIError(statement, None, told.value)


def raising(condition: str) -> str:
    return f"DO $$ BEGIN RAISE SQLSTATE '{condition}'; END $$"


KINDS: dict[Callable[[Exception], bool], list[type[psycopg2.Error]]] = {
    is_contention: [
        errors.LockNotAvailable,
        errors.DeadlockDetected,
        errors.QueryCanceled,
        errors.ForeignKeyViolation,
        errors.SerializationFailure,
    ],
    is_privilege_missing: [errors.InsufficientPrivilege],
    has_failed_already: [errors.InFailedSqlTransaction],
    is_disconnected: [],
}
STATES = {
    "55P03": errors.LockNotAvailable,
    "40P01": errors.DeadlockDetected,
    "57014": errors.QueryCanceled,
    "23503": errors.ForeignKeyViolation,
    "40001": errors.SerializationFailure,
    "42501": errors.InsufficientPrivilege,
    "25P02": errors.InFailedSqlTransaction,
    "23505": errors.UniqueViolation,
}


@pytest.mark.parametrize("state", STATES)
def test_each_error_of_the_server_is_of_one_kind_at_most(app: Connection, state: str) -> None:
    error = error_of(app, raising(state))

    assert isinstance(error.orig, STATES[state])
    assert {kind.__name__ for kind, of_it in KINDS.items() if STATES[state] in of_it} == {
        kind.__name__ for kind in KINDS if kind(error)
    }


class AdminShutdownWithState(errors.AdminShutdown):
    """As a libpq gives it that reads the server's last message before it notices the end of the connection."""

    pgcode = "57P01"


def test_a_lost_connection_is_told_by_sqlalchemy_or_by_an_error_without_a_state() -> None:
    refused = DBAPIError("", None, psycopg2.OperationalError("connection refused"))
    ended = DBAPIError("", None, AdminShutdownWithState("terminated"), connection_invalidated=True)

    for error in (refused, ended):
        assert {kind.__name__ for kind in KINDS if kind(error)} == {"is_disconnected"}


def test_an_error_of_something_else_is_of_no_kind() -> None:
    assert [kind for kind in KINDS if kind(ValueError("something else"))] == []


# Settings


def raw(db: Ours) -> Any:
    """Return psycopg2's own connection."""
    return db.connection.dbapi_connection


def settings(db: Ours, names: dict[str, str]) -> dict[str, str]:
    return {name: str(db.scalar(text(f"SELECT current_setting('{name}', true)"))) for name in names}


def test_our_own_transaction_has_our_settings_and_leaves_none_behind(engine: Engine) -> None:
    with engine.connect() as db:
        before = settings(db, OWN_TRANSACTION)
    with transactions(engine) as begin, begin() as db:
        assert settings(db, OWN_TRANSACTION) == OWN_TRANSACTION
        assert is_own(db)
        assert raw(db).notices == [], "nobody else has begun it"
    with engine.connect() as db:
        after = settings(db, OWN_TRANSACTION)

    assert after | {"seisiun.own_write": ""} == before | {"seisiun.own_write": ""}
    assert after["seisiun.own_write"] != "on"


def test_a_savepoint_in_the_apps_transaction_has_those_of_a_pass_and_gives_the_apps_back(engine: Engine) -> None:
    with engine.connect() as theirs:
        theirs.execute(text("SET LOCAL lock_timeout = '7s'"))
        before = settings(theirs, OWN_TRANSACTION)
        with transactions(theirs) as begin, begin() as db:
            assert settings(db, PASS_SETTINGS) == PASS_SETTINGS
            assert settings(db, {"synchronous_commit": ""}) == {"synchronous_commit": before["synchronous_commit"]}
            assert not is_own(db)
        after = settings(theirs, OWN_TRANSACTION)

    assert after | {"seisiun.own_write": ""} == before | {"seisiun.own_write": ""}
    assert after["seisiun.own_write"] != "on"


@pytest.mark.parametrize("is_so", [True, False])
def test_what_the_database_is_set_to_is_told(engine: Engine, *, is_so: bool) -> None:
    with engine.connect() as db:
        if is_so:
            db.execute(text("SET TRANSACTION READ ONLY"))
            db.execute(text("SET LOCAL session_replication_role = 'replica'"))
        assert (is_read_only(db), fires_no_triggers(db)) == (is_so, is_so)


def test_our_own_transactions_share_a_connection(engine: Engine) -> None:
    pids = []
    for _ in range(2):
        with transactions(engine) as begin, begin() as db:
            pids.append(raw(db).info.backend_pid)

    assert pids[0] == pids[1]


@pytest.mark.parametrize("fails", [False, True])
def test_a_statement_that_is_sent_with_the_commit_decides_about_it(
    engine: Engine, app: Connection, *, fails: bool
) -> None:
    with (
        pytest.raises(DBAPIError) if fails else nullcontext(),
        transactions(engine) as begin,
        begin() as db,
    ):
        db.execute(text("INSERT INTO person (first_name) VALUES ('Nóirín')"))
        with_commit(db, f"SELECT 1 / {int(not fails)}; INSERT INTO person (first_name) VALUES ('Seán')")

    assert execute(app, "SELECT first_name FROM person") == ([] if fails else [("Nóirín",), ("Seán",)])


def fail_after(work: Callable[[], object]) -> None:
    work()
    raise ZeroDivisionError


def test_an_error_in_our_own_transaction_is_told_also_where_its_connection_is_lost(
    engine: Engine, app: Connection
) -> None:
    with pytest.raises(ZeroDivisionError), transactions(engine) as begin, begin() as db:
        fail_after(partial(end_the_connection, app, db))


def test_an_error_in_an_apps_autocommit_is_told_also_where_its_connection_is_lost(
    app: Connection, db_connect: Callable[[], Connection]
) -> None:
    theirs = db_connect()
    theirs.autocommit = True
    with pytest.raises(ZeroDivisionError), transactions(theirs) as begin, begin():
        fail_after(lambda: execute(app, "SELECT pg_terminate_backend(%s, 5000)", theirs.info.backend_pid))


def test_what_fails_in_a_savepoint_of_the_apps_transaction_is_undone_alone(engine: Engine, app: Connection) -> None:
    with engine.begin() as theirs:
        theirs.execute(text("INSERT INTO person (first_name) VALUES ('Nóirín')"))
        with pytest.raises(ZeroDivisionError), transactions(theirs) as begin, begin() as db:
            fail_after(lambda: db.execute(text("INSERT INTO person (first_name) VALUES ('Seán')")))

    assert execute(app, "SELECT first_name FROM person") == [("Nóirín",)]


# Notifications


@pytest.fixture
def listening(db_connect: Callable[[], Connection]) -> Connection:
    connection = db_connect()
    connection.autocommit = True
    execute(connection, f"LISTEN {CHANNEL}")
    return connection


def told(listening: Connection) -> list[str]:
    execute(listening, "SELECT 1")
    return [notify.payload for notify in listening.notifies]


def test_our_own_transaction_notifies_after_its_commit_each_payload_once(
    engine: Engine, app: Connection, listening: Connection
) -> None:
    with transactions(engine) as begin, begin() as db:
        db.execute(text("INSERT INTO person (first_name) VALUES ('Nóirín')"))
        assert after_commit(db, CHANNEL, ["2", "1"])
        assert after_commit(db, CHANNEL, ["1"])
        assert told(listening) == []

    assert told(listening) == ["1", "2"]
    with senders_to(engine) as senders, transactions(engine) as begin, begin() as db:
        pass
    assert senders == ["transactions._own_transaction"] * 2, "its begin and its end"
    assert told(listening) == ["1", "2"], "the next transaction on this connection tells only of its own"
    assert value(app, "SELECT count(*) FROM person") == 1


def test_an_app_on_psycopg2_gets_psycopg2s_own_error(app: Connection) -> None:
    with pytest.raises(errors.DivisionByZero), transactions(app) as begin, begin() as db:
        db.execute(text("SELECT 1 / 0"))


def test_a_reading_sees_one_state_of_the_database_and_writes_nothing(engine: Engine, app: Connection) -> None:
    people = text("SELECT count(*) FROM person")
    with reading(engine) as db:
        assert settings(db, OWN_TRANSACTION) == OWN_TRANSACTION
        before = db.scalar(people)
        add_person(app)

        assert db.scalar(people) == before
        with pytest.raises(DBAPIError, match="read-only transaction"):
            db.execute(text("INSERT INTO person (first_name) VALUES ('Seán')"))


def test_a_reading_in_the_apps_transaction_sees_what_that_wrote_and_gives_its_settings_back(engine: Engine) -> None:
    with engine.connect() as theirs:
        theirs.execute(text("INSERT INTO person (first_name) VALUES ('Nóirín')"))
        before = settings(theirs, PASS_SETTINGS)
        with reading(theirs) as db:
            assert db.scalar(text("SELECT count(*) FROM person")) == 1
            assert settings(db, PASS_SETTINGS) == PASS_SETTINGS
        after = settings(theirs, PASS_SETTINGS)

    assert after | {"seisiun.own_write": ""} == before | {"seisiun.own_write": ""}


def test_what_was_not_committed_is_not_told(engine: Engine, listening: Connection) -> None:
    with pytest.raises(ZeroDivisionError), transactions(engine) as begin, begin() as db:
        fail_after(lambda: after_commit(db, CHANNEL, ["1"]))

    assert told(listening) == []


def test_a_notification_that_fails_costs_nothing_that_was_committed(
    engine: Engine, app: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logs.ROOT)
    monkeypatch.setattr("core.db.transactions.OUTAGES", logs.ThrottledLog(0))
    with transactions(engine) as begin, begin() as db:
        db.execute(text("INSERT INTO person (first_name) VALUES ('Nóirín')"))
        after_commit(db, "x" * 64, ["1"])  # no channel has so long a name

    assert "not_notified" in caplog.text
    assert value(app, "SELECT count(*) FROM person") == 1


def end_the_connection(app: Connection, ours: Ours) -> None:
    """End our connection to the server; return when it has ended."""
    execute(app, "SELECT pg_terminate_backend(%s, 5000)", raw(ours).info.backend_pid)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("when", ["before_cursor_execute", "after_cursor_execute"])
def test_l6_a_connection_that_ends_at_the_notification_costs_nothing_that_was_committed(
    engine: Engine, app: Connection, caplog: pytest.LogCaptureFixture, when: str, isolation: str
) -> None:
    def end(ours: Ours, _cursor: object, statement: str, *_: object) -> None:
        if "pg_notify" in statement:
            end_the_connection(app, ours)

    theirs = create_engine(engine.url, isolation_level=isolation)
    event.listen(theirs, when, end)
    with transactions(theirs) as begin, begin() as db:
        db.execute(text("INSERT INTO person (first_name) VALUES ('Nóirín')"))
        after_commit(db, CHANNEL, ["1"])
    theirs.dispose()

    assert value(app, "SELECT count(*) FROM person") == 1
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_in_the_apps_transaction_nothing_is_left_for_after_the_commit(engine: Engine) -> None:
    with engine.begin() as theirs, transactions(theirs) as begin, begin() as db:
        assert not after_commit(db, CHANNEL, ["1"])
