"""What the app's own statements set off, from any program: psql, an ORM, an import."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.core.passes import TUESDAYS
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    connected,
    execute,
    forget_requests,
    requests,
    value,
)


@contextmanager
def apps(url: str) -> Iterator[Connection]:
    """The app, with two sessions, two instances of the first, and two people."""
    with connected(url) as connection:
        assert [add_session(connection, TUESDAYS), add_session(connection)] == [1, 2]
        assert [add_instance(connection, 1, f"2026-12-{day}", "19:00", "22:00") for day in ("01", "08")] == [1, 2]
        assert [add_person(connection), add_person(connection)] == [1, 2]
        yield connection


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    with apps(database_url) as connection:
        yield connection


@pytest.fixture
def every_app(every_database_url: str) -> Iterator[Connection]:
    """The app, on each version of PostgreSQL."""
    with apps(every_database_url) as connection:
        yield connection


def received(app: Connection) -> list[str]:
    execute(app, "SELECT 1")
    payloads = [notify.payload for notify in app.notifies]
    app.notifies.clear()
    return payloads


# Requests and notifications


ASKED: dict[str, list[int]] = {
    # of a session
    "UPDATE session SET recurrence = NULL WHERE session_id = 1": [1],
    "UPDATE session SET recurrence = '' WHERE session_id = 2": [2],
    "UPDATE session SET timezone = 'Europe/Paris' WHERE session_id = 1": [1],
    "UPDATE session SET initiation_date = '2026-01-01' WHERE session_id = 1": [1],
    "UPDATE session SET termination_date = '2026-01-01'": [1, 2],
    "UPDATE session SET active_buffer_minutes_before = 30 WHERE session_id = 1": [1],
    "UPDATE session SET active_buffer_minutes_after = 30 WHERE session_id = 1": [1],
    "UPDATE session SET timezone = timezone, recurrence = recurrence": [],
    "UPDATE session SET name = 'x', path = 'x', city = 'x', state = 'x', country = 'x'": [],
    "INSERT INTO session (name) VALUES ('new')": [3],
    "DELETE FROM session WHERE session_id = 2": [],
    "DELETE FROM session WHERE session_id = 1": [1, 1],
    # of an instance
    "INSERT INTO session_instance (session_id, date) VALUES (2, '2026-12-01')": [2],
    "UPDATE session_instance SET date = '2026-12-02' WHERE session_instance_id = 1": [1],
    "UPDATE session_instance SET start_time = NULL WHERE session_instance_id = 1": [1],
    "UPDATE session_instance SET end_time = '23:00'": [1, 1],
    "UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = 1": [1],
    "UPDATE session_instance SET active = true WHERE session_instance_id = 1": [1],
    "UPDATE session_instance SET session_id = 2 WHERE session_instance_id = 1": [1, 2],
    "UPDATE session_instance SET comments = 'x', location_override = 'x'": [],
    "UPDATE session_instance SET date = date, start_time = start_time, active = active": [],
    "DELETE FROM session_instance WHERE session_instance_id = 2": [1],
    # of somebody at an instance whose window is near
    "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (1, 2, 'yes')": [1],
    "UPDATE session_instance_person SET attendance = 'no'": [1],
    "UPDATE session_instance_person SET attendance = NULL": [1],
    "UPDATE session_instance_person SET person_id = 2": [1],
    "UPDATE session_instance_person SET checked_in_at = '2020-01-01'": [1],
    "UPDATE session_instance_person SET session_instance_id = 2": [1],
    "UPDATE session_instance_person SET left_at = now()": [1],
    "UPDATE session_instance_person SET left_at = left_at": [],
    "UPDATE session_instance_person SET comment = 'x', last_modified_date = now()": [],
    "UPDATE session_instance_person SET attendance = attendance": [],
    "DELETE FROM session_instance_person": [1],
    "DELETE FROM person WHERE person_id = 1": [1],
    # of somebody at an instance whose window is not
    "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (2, 2, 'yes')": [],
    # of a person
    "UPDATE person SET first_name = 'x', city = 'x'": [],
}


@pytest.mark.parametrize("own_write", [False, True], ids=["the app's write", "our own"])
def test_what_matters_leaves_a_request_and_rings_the_doorbell(every_app: Connection, *, own_write: bool) -> None:
    add_check_in(every_app, 1, 1)
    near = (
        "INSERT INTO activation_window (session_instance_id, opens_at, closes_at, session_id, starts_at, planned_at) "
    )
    execute(every_app, near + "SELECT 1, now() + interval '59 minutes', now() + interval '5 hours', 1, now(), now()")
    far = "SELECT 2, now() + interval '61 minutes', now() + interval '5 hours', 1, now(), now()"
    execute(every_app, near + far)
    execute(every_app, "LISTEN session_changed")
    asked = {}
    every_app.autocommit = False
    for statement in ASKED:
        forget_requests(every_app)
        if own_write:
            execute(every_app, "SELECT set_config('seisiun.own_write', 'on', true)")
        execute(every_app, "SAVEPOINT before")
        execute(every_app, "SELECT setval('session_session_id_seq', 2)")
        execute(every_app, statement)
        asked[statement] = sorted(requests(every_app))
        every_app.rollback()
    every_app.autocommit = True

    assert received(every_app) == []
    for statement, sessions in ASKED.items():
        concerns_a_session = statement.split()[1] == "session" or statement.startswith("INSERT INTO session (")
        assert asked[statement] == (sessions if not own_write or concerns_a_session else []), statement


LEAVING = [
    "UPDATE session_instance_person SET left_at = now() WHERE session_instance_id = 3",
    "UPDATE session_instance_person SET left_at = NULL WHERE session_instance_id = 4",
    "UPDATE session_instance_person SET person_id = 2 WHERE session_instance_id = 4",
    "DELETE FROM session_instance_person WHERE session_instance_id = 4",
    "INSERT INTO session_instance_person (session_instance_id, person_id, left_at) VALUES (5, 1, now())",
]


@pytest.mark.parametrize("statement", LEAVING)
def test_a2_a_leaving_requests_all_that_the_person_said_yes_to_and_that_is_near(
    app: Connection, statement: str
) -> None:
    """Whatever evening it is written beside: who leaves one leaves all that are open."""
    assert [add_instance(app, 2, f"2020-01-0{day}") for day in (1, 2, 3)] == [3, 4, 5]
    window = (
        "INSERT INTO activation_window (session_instance_id, opens_at, closes_at, session_id, starts_at, planned_at) "
    )
    execute(app, window + "SELECT 1, now(), now() + interval '5 hours', 1, now(), now()")
    add_check_in(app, 1, 1)
    for instance, left_at in ((3, None), (4, datetime.now(UTC) - timedelta(days=3))):
        add_check_in(app, instance, 1, "maybe", left_at=left_at)
    forget_requests(app)

    execute(app, statement)

    assert set(requests(app)) == {1}
    forget_requests(app)
    execute(app, "UPDATE session_instance_person SET comment = 'x'")
    assert requests(app) == []


def test_a_leaving_of_the_past_that_an_import_writes_requests_nothing(app: Connection) -> None:
    """Nor does it visit all that the person said yes to."""
    add_instance(app, 2, "2020-01-01")
    add_check_in(app, 1, 1)
    forget_requests(app)

    add_check_in(app, 3, 1, left_at="2020-01-02")

    assert requests(app) == []


@pytest.mark.parametrize(
    ("statement", "payloads"),
    [
        ("UPDATE session SET timezone = 'Europe/Paris'", [""]),
        ("UPDATE session_instance SET end_time = '23:00'", [""]),
        ("UPDATE session_instance SET comments = 'x'", []),
        ("INSERT INTO session (name) VALUES ('new')", [""]),
    ],
)
def test_the_notifications_of_a_statement_are_one_because_the_requests_name_the_sessions(
    app: Connection, statement: str, payloads: list[str]
) -> None:
    execute(app, "LISTEN session_changed")
    execute(app, statement)

    assert sorted(received(app)) == payloads


def test_writes_after_our_own_in_the_same_connection_are_received(app: Connection) -> None:
    forget_requests(app)
    app.autocommit = False
    execute(app, "SELECT set_config('seisiun.own_write', 'on', true)")
    app.commit()
    execute(app, "UPDATE session_instance SET end_time = '23:00' WHERE session_instance_id = 1")
    app.commit()
    app.autocommit = True

    assert requests(app) == [1]


# What the app's own triggers write


SPELLINGS = """
ALTER TABLE session ADD COLUMN tz text;
ALTER TABLE session_instance ADD COLUMN state text, ADD COLUMN opens timestamp;
ALTER TABLE session_instance_person ADD COLUMN going boolean;
CREATE FUNCTION spell_session() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.timezone := NEW.tz; RETURN NEW; END $$;
CREATE FUNCTION spell_instance() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.is_cancelled := NEW.state = 'off'; NEW.start_time := NEW.opens::time; RETURN NEW; END $$;
CREATE FUNCTION spell_answer() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.attendance := CASE WHEN NEW.going THEN 'yes' ELSE 'no' END; RETURN NEW; END $$;
CREATE TRIGGER spell BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION spell_session();
CREATE TRIGGER spell BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION spell_instance();
CREATE TRIGGER spell BEFORE INSERT OR UPDATE ON session_instance_person FOR EACH ROW EXECUTE FUNCTION spell_answer();
"""
SPELLED = {
    "UPDATE session SET tz = 'Europe/Paris' WHERE session_id = 1": [1],
    "UPDATE session_instance SET state = 'off' WHERE session_instance_id = 1": [1],
    "UPDATE session_instance SET opens = '2026-12-01 20:00' WHERE session_instance_id = 1": [1],
    "UPDATE session_instance_person SET going = true": [1],
    "UPDATE session_instance_person SET comment = 'x'": [],
}


@pytest.fixture
def spelling_app(every_app: Connection) -> Connection:
    """An app with columns of its own, from which its BEFORE triggers set those that we read."""
    execute(every_app, SPELLINGS)
    execute(every_app, "UPDATE session SET tz = timezone; UPDATE session_instance SET opens = date + start_time")
    add_check_in(every_app, 1, 1)
    return every_app


def test_what_a_trigger_of_the_apps_changes_is_noticed_as_an_edit(spelling_app: Connection) -> None:
    asked = {}
    spelling_app.autocommit = False
    for statement in SPELLED:
        forget_requests(spelling_app)
        execute(spelling_app, statement)
        asked[statement] = requests(spelling_app)
        spelling_app.rollback()

    assert asked == SPELLED


def test_a_trigger_of_the_apps_that_says_yes_sets_when_and_one_that_restores_clears_the_reason(
    spelling_app: Connection,
) -> None:
    assert checked_in_at(spelling_app) is None
    execute(spelling_app, "UPDATE session_instance_person SET going = true")
    assert checked_in_at(spelling_app) == value(spelling_app, "SELECT current_date::text")

    for state in ("off", "on"):
        execute(spelling_app, "UPDATE session_instance SET state = %s, cancel_reason = 'no room'", state)
        execute(spelling_app, "UPDATE session_instance SET comments = 'x'")
    assert execute(spelling_app, "SELECT DISTINCT cancel_reason FROM session_instance") == [(None,)]


def test_new_session_has_its_plan_at_once(app: Connection) -> None:
    assert execute(app, "SELECT session_id, next_plan_at < now() FROM session_plan ORDER BY 1") == [
        (1, True),
        (2, True),
    ]


# What cannot be stored


def test_raw_sql_cannot_store_two_active_instances_of_a_session(every_app: Connection) -> None:
    execute(every_app, "UPDATE session_instance SET active = true WHERE session_instance_id = 1")
    other = add_instance(every_app, 2, "2026-12-01", active=True)

    for statement in (
        "UPDATE session_instance SET active = true WHERE session_instance_id = 2",
        "INSERT INTO session_instance (session_id, date, active) VALUES (1, '2026-12-02', true)",
        f"UPDATE session_instance SET session_id = 1 WHERE session_instance_id = {other}",
    ):
        with pytest.raises(psycopg2.errors.UniqueViolation, match="one_active_instance_per_session"):
            execute(every_app, statement)
    assert (active_of(every_app, 1), active_of(every_app, 2)) == (1, other)


def test_raw_sql_cannot_store_a_person_at_an_inactive_instance(app: Connection) -> None:
    with pytest.raises(psycopg2.errors.ForeignKeyViolation, match="person_at_active_instance"):
        execute(app, "UPDATE person SET active_session_instance_id = 1")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO active_instance VALUES (2, 2)",
        "UPDATE active_instance SET session_instance_id = 2",
        "DELETE FROM active_instance",
    ],
)
def test_raw_sql_cannot_write_the_mirror(app: Connection, statement: str) -> None:
    execute(app, "UPDATE session_instance SET active = true WHERE session_instance_id = 1")

    with pytest.raises(psycopg2.errors.RaiseException, match="change that column instead"):
        execute(app, statement)
    assert active_of(app, 1) == 1


def test_no_check_of_ours_refuses_a_buffer_that_the_app_writes(app: Connection) -> None:
    for minutes in (-1, 1441, 100_000):
        execute(app, "UPDATE session SET active_buffer_minutes_before = %s", minutes)


# People are released


RELEASING: dict[str, str] = {
    "the bit goes": "UPDATE session_instance SET active = false WHERE session_instance_id = 1",
    "the instance goes": "DELETE FROM session_instance WHERE session_instance_id = 1",
    "the session goes": "DELETE FROM session WHERE session_id = 1",
    "it becomes another session's that has none": "UPDATE session_instance SET session_id = 2, active = false",
}


@pytest.mark.parametrize("how", RELEASING)
def test_people_are_released_when_the_instance_is_no_longer_active(app: Connection, how: str) -> None:
    execute(app, "UPDATE session_instance SET active = true WHERE session_instance_id = 1")
    execute(app, "UPDATE person SET active_session_instance_id = 1")
    execute(app, RELEASING[how])

    assert execute(app, "SELECT active_session_instance_id FROM person") == [(None,), (None,)]
    assert execute(app, "SELECT * FROM active_instance") == []


def test_everything_of_ours_goes_with_its_session(every_app: Connection) -> None:
    bind = "INSERT INTO planned_instance VALUES (1, 1, '2026-12-01 19:00', '2026-12-01 22:00')"
    execute(every_app, bind)
    window = (
        "INSERT INTO activation_window (session_instance_id, session_id, opens_at, closes_at, starts_at, planned_at)"
    )
    execute(every_app, window + " SELECT 1, 1, now(), now() + interval '1 hour', now(), now()")
    execute(every_app, "DELETE FROM session WHERE session_id = 1")

    for table in ("planned_instance", "activation_window", "active_instance"):
        assert execute(every_app, f"SELECT * FROM {table}") == [], table
    assert execute(every_app, "SELECT session_id FROM session_plan") == [(2,)]


@pytest.mark.parametrize(
    ("bound_to", "lost", "own_write", "is_noted"),
    [(1, False, False, True), (1, True, False, False), (2, False, False, False), (1, False, True, False)],
    ids=["bound", "lost its occurrence", "of another session", "our own write"],
)
def test_p4_deleting_a_bound_instance_notes_that_its_occurrence_is_skipped(
    app: Connection, *, bound_to: int, lost: bool, own_write: bool, is_noted: bool
) -> None:
    bind = "INSERT INTO planned_instance VALUES (1, %s, '2026-12-01 19:00', '2026-12-01 22:00', %s)"
    execute(app, bind, bound_to, lost)
    if own_write:
        execute(app, "SET seisiun.own_write = 'on'")
    execute(app, "DELETE FROM session_instance WHERE session_instance_id = 1")

    noted = execute(app, "SELECT session_id, occurrence_start::text FROM skipped_occurrence")
    assert noted == ([(1, "2026-12-01 19:00:00")] if is_noted else [])


def test_p4_a_session_that_comes_back_with_the_same_id_skips_nothing(app: Connection) -> None:
    """Deleting a session deletes its instances, and each of these is noted like one that somebody deleted by hand."""
    execute(app, "INSERT INTO planned_instance VALUES (1, 1, '2026-12-01 19:00', '2026-12-01 22:00')")
    execute(app, "DELETE FROM session WHERE session_id = 1")

    execute(app, "INSERT INTO session (session_id, name) VALUES (1, 'again')")

    assert execute(app, "SELECT * FROM skipped_occurrence WHERE session_id = 1") == []


# checked_in_at


def checked_in_at(app: Connection) -> str | None:
    found: str | None = value(app, "SELECT checked_in_at::date::text FROM session_instance_person")
    return found


@pytest.mark.parametrize(
    ("attendance", "columns", "change", "expected"),
    [
        ("yes", {}, None, "now"),
        ("maybe", {}, None, None),
        (None, {}, None, None),
        ("yes", {"checked_in_at": "2020-01-01"}, None, "2020-01-01"),
        ("maybe", {}, "attendance = 'yes'", "now"),
        ("no", {"checked_in_at": "2020-01-01"}, "attendance = 'yes'", "now"),
        (None, {}, "attendance = 'yes'", "now"),
        ("maybe", {}, "attendance = 'yes', checked_in_at = '2021-01-01'", "2021-01-01"),
        ("maybe", {}, "attendance = 'no'", None),
        ("yes", {"checked_in_at": "2020-01-01"}, "comment = 'x'", "2020-01-01"),
        ("yes", {"checked_in_at": "2020-01-01"}, "attendance = 'yes', comment = 'x'", "2020-01-01"),
        ("yes", {"checked_in_at": "2020-01-01"}, "attendance = 'no'", "2020-01-01"),
        ("yes", {"checked_in_at": "2020-01-01"}, "checked_in_at = '2021-01-01'", "2021-01-01"),
    ],
)
def test_checked_in_at_is_when_the_yes_was_said(
    app: Connection, attendance: str, columns: dict[str, str], change: str | None, expected: str | None
) -> None:
    add_check_in(app, 1, 1, attendance, **columns)
    if change:
        execute(app, f"UPDATE session_instance_person SET {change}")

    today = value(app, "SELECT current_date::text")
    assert checked_in_at(app) == (today if expected == "now" else expected)


def test_upsert_of_a_yes_that_was_said_keeps_its_instant(every_app: Connection) -> None:
    add_check_in(every_app, 1, 1, checked_in_at="2020-01-01")
    execute(
        every_app,
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (1, 1, 'yes') "
        "ON CONFLICT (session_instance_id, person_id) DO UPDATE SET attendance = excluded.attendance",
    )

    assert checked_in_at(every_app) == "2020-01-01"


# cancel_reason


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["is_cancelled = true, cancel_reason = 'no room'"], "no room"),
        (["cancel_reason = 'no room'", "is_cancelled = true"], "no room"),
        (["is_cancelled = true, cancel_reason = 'no room'", "comments = 'x', end_time = '23:00'"], "no room"),
        (["is_cancelled = true, cancel_reason = 'no room'", "is_cancelled = true"], "no room"),
        (["is_cancelled = true, cancel_reason = 'no room'", "cancel_reason = 'a wedding'"], "a wedding"),
        (["is_cancelled = true, cancel_reason = 'no room'", "is_cancelled = false"], None),
        (["is_cancelled = true, cancel_reason = 'no room'", "is_cancelled = NULL"], None),
        (["is_cancelled = true", "is_cancelled = false, cancel_reason = 'no room'"], None),
        (["is_cancelled = true, cancel_reason = 'no room'", "is_cancelled = false", "is_cancelled = true"], None),
    ],
)
def test_the_reason_of_a_cancellation_is_kept_with_it_and_goes_when_it_is_taken_back(
    every_app: Connection, changes: list[str], expected: str | None
) -> None:
    for change in changes:
        execute(every_app, f"UPDATE session_instance SET {change} WHERE session_instance_id = 1")

    assert value(every_app, "SELECT cancel_reason FROM session_instance WHERE session_instance_id = 1") == expected


# Roles


@pytest.fixture
def clerk(every_app: Connection) -> Iterator[Connection]:
    """The app under a role that was granted its own four tables, and nothing of ours."""
    execute(
        every_app,
        "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk; "
        "GRANT ALL ON session, session_instance, person, session_instance_person TO clerk; "
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk; SET ROLE clerk",
    )
    yield every_app
    execute(every_app, "RESET ROLE; DROP OWNED BY clerk; DROP ROLE clerk")


SAVES: dict[str, Callable[[Connection], object]] = {
    "a session": lambda app: add_session(app, TUESDAYS),
    "a recurrence": lambda app: execute(app, "UPDATE session SET recurrence = NULL"),
    "an instance": lambda app: add_instance(app, 1, "2026-12-01", "19:00"),
    "an active instance": lambda app: add_instance(app, 2, "2026-12-01", active=True),
    "a person's place": lambda app: execute(
        app, "UPDATE session_instance SET active = true WHERE session_instance_id = 1; "
        "UPDATE person SET active_session_instance_id = 1; UPDATE session_instance SET active = false",
    ),
    "a check-in": lambda app: add_check_in(app, 1, 1),
    "a leaving": lambda app: execute(app, "UPDATE session_instance_person SET left_at = now()"),
    "a cancellation with its reason, and no cancellation": lambda app: execute(
        app, "UPDATE session_instance SET is_cancelled = true, cancel_reason = 'no room'; "
        "UPDATE session_instance SET is_cancelled = false",
    ),
    "no instance": lambda app: execute(app, "DELETE FROM session_instance"),
    "no session": lambda app: execute(app, "DELETE FROM session"),
}  # fmt: skip


def test_role_without_a_grant_on_our_tables_saves_its_own_rows(clerk: Connection) -> None:
    for save in SAVES.values():
        save(clerk)

    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(clerk, "SELECT * FROM plan_request")


def test_triggers_are_not_led_astray_by_a_roles_temporary_tables(clerk: Connection) -> None:
    execute(clerk, "CREATE TEMPORARY TABLE plan_request (session_id bigint)")
    execute(clerk, "SET search_path = pg_temp")
    execute(clerk, "UPDATE public.session SET recurrence = NULL WHERE session_id = 1")

    assert value(clerk, "SELECT count(*) FROM pg_temp.plan_request") == 0
    execute(clerk, "RESET search_path")
