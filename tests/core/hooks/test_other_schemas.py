"""Hooks in databases whose schema has more, or less, than we expect: the app's own triggers and columns."""

import time
from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from core.active_session_manager import (
    CheckedIn,
    ReconcileResult,
    WhyNot,
    active_instances,
    check_in,
    elsewhere_in_town,
    instance_saved,
    remove_check_in,
    session_saved,
    whereabouts,
    who_is_here,
)
from core.errors import UnknownRole
from core.migrations.privileges import grants
from tests.core.passes import DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
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


# A role that was granted only the app's own tables


CLERK = 'the "clerk" of hooks'


@pytest.fixture
def clerk(database_url: str) -> Iterator[Connection]:
    """The app, in a transaction, as a role that may use the app's four tables and nothing of ours."""
    quoted = '"' + CLERK.replace('"', '""') + '"'
    with connected(database_url) as owner:
        execute(owner, f"DROP ROLE IF EXISTS {quoted}; CREATE ROLE {quoted} LOGIN PASSWORD 'clerk'")
        execute(owner, f"GRANT ALL ON session, session_instance, person, session_instance_person TO {quoted}")
        url = make_url(database_url).set(username=CLERK, password="clerk")
        with connected(url.render_as_string(hide_password=False), autocommit=False) as connection:
            yield connection
        execute(owner, f"DROP OWNED BY {quoted}; DROP ROLE {quoted}")


LEFT_TO_THE_DAEMON = CheckedIn(None, None, deferred=True)


def test_a_hook_of_a_role_without_our_grants_costs_a_log_line_and_no_save(
    clerk: Connection, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = add_session(app)
    instance_id, person_id = add_instance(app, session_id, "2026-12-01", "19:00"), add_person(app)
    hooks: dict[str, Callable[[], object]] = {
        "session_saved": lambda: session_saved(clerk, session_id).deferred == {session_id},
        "instance_saved": lambda: instance_saved(clerk, instance_id).deferred == {session_id},
        "check_in": lambda: check_in(clerk, person_id, instance_id, "yes").why_not is WhyNot.DEFERRED,
        "remove_check_in": lambda: remove_check_in(clerk, person_id, instance_id) == LEFT_TO_THE_DAEMON,
    }
    for name, hook in hooks.items():
        execute(clerk, "UPDATE session SET city = %s", name)
        assert hook(), name
        clerk.commit()
        lines = [*caplog.messages]
        caplog.clear()
        assert len(lines) == 1, lines
        assert "hook_refused" in lines[0]
        assert "permission denied for table" in lines[0]
        assert value(app, "SELECT city FROM session") == name


def test_the_grants_that_are_printed_are_all_that_hooks_and_queries_need(
    clerk: Connection, engine: Engine, app: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.connect() as connection:
        for statement in grants(connection, CLERK):
            execute(app, statement)
    session_id = add_session(app, "FREQ=DAILY", timezone="Europe/Dublin")
    now = value(app, "SELECT date_trunc('hour', now() AT TIME ZONE 'Europe/Dublin')")
    add_instance(app, session_id, str(now.date()), str(now.time()))
    person_id = add_person(app)

    assert session_saved(clerk, session_id).flips
    assert check_in(clerk, person_id, 1, "yes").at is not None
    assert whereabouts(clerk, person_id)
    assert who_is_here(clerk, 1).here
    assert len(active_instances(clerk)) == 1
    assert elsewhere_in_town(clerk, 1) == ()
    execute(clerk, "UPDATE session_instance SET is_cancelled = true")
    assert instance_saved(clerk, 1).flips
    assert remove_check_in(clerk, person_id, 1).at is None
    execute(app, "INSERT INTO plan_request (session_id) VALUES (999)")
    session_saved(clerk, 999)  # it drops the request of a session that is no more
    clerk.commit()
    assert "hook" not in caplog.text


def test_grants_for_a_role_that_does_not_exist_are_an_error_that_names_it(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(UnknownRole, match="there is no role 'nobody; --'"):
        grants(connection, "nobody; --")
