"""Hooks in databases whose schema has more, or less, than we expect: the app's own triggers and columns."""

import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import (
    ReconcileResult,
    WhyNot,
    check_in,
    instance_saved,
    remove_check_in,
    session_saved,
)
from tests.core.passes import DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_person,
    add_session,
    change_instance,
    change_session,
    connected,
    execute,
    only_instance,
    person_at,
    value,
)

pytestmark = pytest.mark.usefixtures("database_of_its_own")


@pytest.fixture
def theirs(db_connect: Callable[[], Connection]) -> Connection:
    """The app, in a transaction."""
    return db_connect()


@pytest.mark.parametrize("hook", ["session_saved", "instance_saved", "check_in", "remove_check_in"])
def test_l6_app_whose_own_trigger_refuses_the_flip_saves_all_the_same(
    engine: Engine, app: Connection, theirs: Connection, hook: str
) -> None:
    session, person = add_session(app, TUESDAYS), add_person(app)
    reconcile_at(engine, NOON)
    instance = only_instance(app, session)
    execute(
        app,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; "
        "CREATE TRIGGER poison BEFORE UPDATE OF active ON session_instance FOR EACH ROW EXECUTE FUNCTION refuse()",
    )

    change_instance(theirs, instance, comments="in the snug")
    match hook:
        case "session_saved":
            assert session_saved(theirs, session, now=utc(OPENS)) == ReconcileResult(deferred=frozenset({session}))
        case "instance_saved":
            assert instance_saved(theirs, instance, now=utc(OPENS)) == ReconcileResult(deferred=frozenset({session}))
        case "check_in":
            checked_in = check_in(theirs, person, instance, "yes", now=utc(OPENS))
            assert (checked_in.at, checked_in.why_not, checked_in.deferred) == (None, WhyNot.DEFERRED, True)
        case "remove_check_in":
            assert remove_check_in(theirs, person, instance, now=utc(OPENS)).deferred
    theirs.commit()

    assert value(app, "SELECT comments FROM session_instance") == "in the snug"
    assert value(app, "SELECT count(*) FROM session_instance_person") == (hook == "check_in")
    assert active_of(app, session) is None


def test_hook_before_the_tables_are_ready_does_not_fail_the_apps_save(
    app: Connection, theirs: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    session = add_session(app, TUESDAYS)
    execute(app, "ALTER TABLE planned_instance RENAME TO elsewhere")
    change_session(theirs, session, city="Doolin")
    begun = time.perf_counter()

    assert session_saved(theirs, session, now=utc(NOON)) == ReconcileResult(deferred=frozenset({session}))
    assert time.perf_counter() - begun < 1
    theirs.commit()

    assert value(app, "SELECT city FROM session") == "Doolin"
    assert "hook_failed" in caplog.text


def test_raw_connection_of_an_app_in_another_time_zone(engine: Engine, app: Connection, database_url: str) -> None:
    """What the planner wrote is known again, whatever the zone in which instants are shown there (P4)."""
    execute(app, "ALTER TABLE session_instance ADD created_date timestamptz DEFAULT now()")
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    instance = only_instance(app, session)
    with connected(database_url, autocommit=False) as theirs:
        execute(theirs, "SET TIME ZONE 'America/New_York'")
        execute(theirs, "UPDATE session SET recurrence = NULL")
        result = session_saved(theirs, session, now=utc(NOON))

    assert (result.deleted, result.unwindowed) == ((instance,), ())


def test_a2_person_whose_best_instance_could_never_open_goes_on_when_it_is_over(
    engine: Engine, app: Connection
) -> None:
    sessions = [
        add_session(app, recurring(weekly("tuesday", *hours))) for hours in (("19:00", "20:00"), ("20:00", "23:00"))
    ]
    person = add_person(app)
    reconcile_at(engine, NOON)
    first, second = (only_instance(app, session) for session in sessions)
    for instance in (first, second):
        add_check_in(app, instance, person, checked_in_at=utc(NOON))
    execute(
        app,
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE TRIGGER poison BEFORE UPDATE ON session_instance FOR EACH ROW
            WHEN (OLD.session_instance_id = {first}) EXECUTE FUNCTION refuse()
        """,
    )
    assert reconcile_at(engine, OPENS).failed
    reconcile_at(engine, DURING)
    assert person_at(app, person) is None  # the first is where they are, by the clock
    after = utc("2026-12-01 21:30")
    reconcile_at(engine, after)

    assert person_at(app, person) == second
    assert not reconcile_at(engine, after).deferred
