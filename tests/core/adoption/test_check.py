"""What `adopt --check` finds in an app as it stands, and that it only reads."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from core.active_session_manager import update_active_sessions
from core.adoption import check as checks
from core.adoption.check import Check
from core.adoption.findings import Finding
from core.choices import PLAN_ONLY_WHERE
from core.db import create_engine
from core.errors import MigrationRefused, MirrorRefused
from core.migrations import migrate
from core.migrations.privileges import grants
from core.settings import Settings
from tests.core.adoption import older_app
from tests.core.migrations.catalogue import catalogue
from tests.core.migrations.existing_app import columns_of, rows_of
from tests.core.rules.planner_model import recurring, weekly
from tests.data import add_check_in, add_instance, add_person, add_session, connected, execute, value

TODAY = datetime.now(UTC).date()


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Connection]:
    with connected(empty_database_url) as connection:
        older_app.install(connection)
        yield connection


def check(url: str, **named: str) -> Check:
    return checks.check(url, Settings(), named)


def finding(found: Check, kind: str) -> Finding | None:
    return next((each for each in found.findings if each.kind == kind), None)


def says(found: Check, kind: str) -> dict[int | str, str]:
    """Return what a finding says of each of its rows."""
    one = finding(found, kind)
    return {row.about: row.says for row in one.rows} if one else {}


# It only reads


def test_it_writes_nothing_and_takes_no_transaction_id(app: Connection, empty_database_url: str) -> None:
    """Whatever writes or locks a row takes a transaction's id; two reads of the counter differ by their own alone."""
    older_app.add_evening_now(app)
    before = catalogue(app), rows_of(app, columns_of(app))

    for _ in range(5):  # the server's own work may take one
        first = int(value(app, "SELECT pg_current_xact_id()::text"))
        found = check(empty_database_url)
        taken = int(value(app, "SELECT pg_current_xact_id()::text")) - first - 1
        if not taken:
            break

    assert taken == 0
    assert found.ready
    assert (catalogue(app), rows_of(app, columns_of(app))) == before


def test_the_server_itself_would_refuse_its_writes(empty_database_url: str) -> None:
    with checks._reading(empty_database_url) as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.exec_driver_sql("CREATE TABLE written (id integer)")


def test_it_holds_no_lock_between_its_statements(app: Connection, empty_database_url: str) -> None:
    """A change of the app's own schema is let in between, however long the check takes."""
    with checks._reading(empty_database_url) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM session_instance")
        held = "SELECT count(*) FROM pg_locks WHERE relation = 'session_instance'::regclass"
        assert value(app, held) == 0


@pytest.mark.usefixtures("app")
def test_a_lock_that_the_app_holds_ends_it_after_a_second(empty_database_url: str) -> None:
    with connected(empty_database_url, autocommit=False) as other:
        execute(other, "LOCK TABLE session_instance")
        begun = time.monotonic()
        with pytest.raises(OperationalError, match="lock timeout"):
            check(empty_database_url)
        assert time.monotonic() - begun < 5


# What stands, and what is added


def test_what_it_says_will_be_added_is_exactly_what_migrate_adds(app: Connection, empty_database_url: str) -> None:
    before = check(empty_database_url)
    columns, triggers = columns_of(app), set(catalogue(app)["trigger"])

    migrate(empty_database_url)

    added = {
        f"{table}.{name}" for table, names in columns_of(app).items() for name in names if name not in columns[table]
    }
    assert before.added.columns == added
    assert len(before.added.triggers) == len(set(catalogue(app)["trigger"]) - triggers)
    after = check(empty_database_url)
    assert str(after.added) == "nothing"
    assert (after.stands - before.stands) == before.added


def test_a_database_with_nothing_in_it_is_ready(empty_database_url: str) -> None:
    found = check(empty_database_url)

    assert (found.ready, found.tables) == (True, ())
    assert {"person", "session", "session_instance", "session_instance_person"} == found.added.app_tables


def test_other_tables_where_none_of_the_four_is_may_be_the_four_under_other_names(empty_database_url: str) -> None:
    with connected(empty_database_url) as app:
        execute(app, "CREATE TABLE gigs (id integer); CREATE TABLE players (id integer)")

    found = check(empty_database_url)

    assert not found.ready
    assert "session_instance_person exists, and there are other tables: gigs, players. If these" in found.in_the_way[0]
    assert migrate(empty_database_url) is None, "an app that has nothing of the kind may go on"
    assert check(empty_database_url).ready


def test_it_names_the_server_the_database_and_the_role(empty_database_url: str) -> None:
    server, parts = check(empty_database_url).server, make_url(empty_database_url)

    assert (server.database, server.role, server.port) == (parts.database, parts.username, parts.port)
    assert not server.is_standby


# What is in the way


@pytest.fixture
def stranger(app: Connection, empty_database_url: str) -> Iterator[str]:
    """The URL of a role that may read the app's tables, and owns none."""
    execute(app, "DROP ROLE IF EXISTS stranger_of_check; CREATE ROLE stranger_of_check LOGIN PASSWORD 'stranger'")
    execute(app, "GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO stranger_of_check")
    url = make_url(empty_database_url).set(username="stranger_of_check", password="stranger")
    yield url.render_as_string(hide_password=False)
    execute(app, "DROP OWNED BY stranger_of_check; DROP ROLE stranger_of_check")


def test_a_role_that_does_not_own_the_tables_is_not_ready_and_changes_nothing(app: Connection, stranger: str) -> None:
    before = catalogue(app)
    found = check(stranger)

    assert not found.ready
    assert any(
        "session belongs to the role postgres, and you are stranger_of_check" in each for each in found.in_the_way
    )
    with pytest.raises(MigrationRefused, match="nothing was changed, because session belongs to the role postgres"):
        migrate(stranger)
    assert catalogue(app) == before


def test_a_role_that_may_not_read_cannot_look(app: Connection, stranger: str) -> None:
    execute(app, "REVOKE SELECT ON session_instance_person FROM stranger_of_check")
    with pytest.raises(ProgrammingError, match="permission denied"):
        check(stranger)


def test_a_database_that_is_read_only_is_not_ready(app: Connection, empty_database_url: str) -> None:
    name = make_url(empty_database_url).database
    execute(app, f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    assert "read-only" in " ".join(check(empty_database_url).in_the_way)


def test_what_migrate_would_refuse_is_in_the_way(app: Connection, empty_database_url: str) -> None:
    execute(app, "ALTER TABLE session_instance ADD COLUMN active boolean")
    assert [each[:32] for each in check(empty_database_url).in_the_way] == ["session_instance.active exists: "]


# What one should know before


def test_older_columns_are_named_with_what_reads_them(app: Connection, empty_database_url: str) -> None:
    _, today, _ = older_app.add_evening_now(app)
    execute(app, "UPDATE session_instance SET is_active = true WHERE session_instance_id = %s", today)

    older = says(check(empty_database_url), "older_columns")

    assert older.keys() == {"session_instance.is_active", "person.at_active_session_instance_id"}
    assert older["session_instance.is_active"].startswith("boolean, rows that say so now: 1; read by view on_now")
    assert "it fires noted, which what a mirror writes does not" in older["session_instance.is_active"]


def test_a_boolean_that_is_true_by_default_says_something_else(app: Connection, empty_database_url: str) -> None:
    execute(app, "ALTER TABLE session_instance DROP COLUMN is_active CASCADE")
    execute(app, "ALTER TABLE session_instance ADD COLUMN is_active boolean DEFAULT true")

    assert "session_instance.is_active" not in says(check(empty_database_url), "older_columns")


def test_columns_of_other_spellings_are_asked_for_and_taken_as_they_are_named(
    app: Connection, empty_database_url: str
) -> None:
    execute(app, "ALTER TABLE session_instance RENAME COLUMN is_active TO live")
    execute(app, "ALTER TABLE person DROP COLUMN at_active_session_instance_id, ADD COLUMN gig integer")
    _, today, person_id = older_app.add_evening_now(app)

    found = check(empty_database_url)
    assert says(found, "older_columns") == {}
    assert says(found, "unrecognised") == {"session_instance.live": "boolean", "person.gig": "integer"}

    named = check(empty_database_url, older_active="live", older_pointer="gig")
    assert says(named, "older_columns").keys() == {"session_instance.live", "person.gig"}
    assert says(named, "unrecognised") == {}
    assert says(named, "bits") == {today: "comes on: its window is open now"}
    assert says(named, "people") == {person_id: f"from nowhere to instance {today}"}
    with pytest.raises(MirrorRefused, match="--active-column='is_on': expected a boolean of session_instance"):
        check(empty_database_url, older_active="is_on")


def test_bits_and_people_that_will_be_other_than_the_older_columns_say(
    app: Connection, empty_database_url: str
) -> None:
    _, today, person_id = older_app.add_evening_now(app)
    long_over = add_instance(app, add_session(app, path="b"), "2026-01-01", "19:00", "22:00", is_active=True)
    away = add_person(app, at_active_session_instance_id=long_over)
    gone = add_person(app, active=False)
    add_check_in(app, today, gone)

    found = check(empty_database_url)

    assert says(found, "bits") == {
        long_over: "goes off: its window is not open now",
        today: "comes on: its window is open now",
    }
    assert says(found, "people") == {
        person_id: f"from nowhere to instance {today}",
        away: f"from instance {long_over} to nowhere",
    }


def test_a2_people_are_placed_as_a_pass_places_them(app: Connection, empty_database_url: str) -> None:
    """Two yeses, both open: the check says what the first pass does."""
    _, first, person_id = older_app.add_evening_now(app)
    session_id = add_session(app, None, timezone="UTC", path="b")
    second = add_instance(app, session_id, str(TODAY), "00:00", "23:58")
    add_check_in(app, second, person_id, created_date=datetime.now(UTC) - timedelta(seconds=1))

    moved = says(check(empty_database_url), "people")[person_id]
    migrate(empty_database_url)
    engine = create_engine(empty_database_url)
    update_active_sessions(engine)
    engine.dispose()
    at = value(app, "SELECT active_session_instance_id FROM person WHERE person_id = %s", person_id)
    assert at in {first, second}
    assert moved == f"from nowhere to instance {at}"


def test_p1_sessions_that_get_rows_are_named_with_when(app: Connection, empty_database_url: str) -> None:
    day = f"{TODAY:%A}".lower()
    every_week = add_session(
        app, recurring(weekly(day, "00:00", "23:59")), timezone="UTC", path="a", auto_create_instances=True
    )
    opted_out = add_session(app, recurring(weekly(day, "00:00", "23:59")), timezone="UTC", path="b")

    of_all = says(check(empty_database_url), "rows")
    assert of_all.keys() >= {every_week, opted_out}
    assert of_all[every_week].startswith(f"'The Cobblestone': rows at once for {TODAY:%a %d %b %Y} 00:00")
    next_week, made = TODAY + timedelta(days=7), TODAY + timedelta(days=5)
    later = f"a row for {next_week:%a %d %b %Y} 00:00 is made at {made:%a %d %b %Y} 23:00"
    assert of_all[every_week].endswith(later), "an hour before the evening its window opens, and a day before that"
    assert says(check(empty_database_url, plan_only_where="auto_create_instances"), "rows").keys() == {every_week}
    assert "session.auto_create_instances" in says(check(empty_database_url), "opt_in")
    migrate(empty_database_url, planning={PLAN_ONLY_WHERE: "auto_create_instances"})
    assert says(check(empty_database_url), "rows").keys() == {every_week}, "once it is chosen, it need not be named"
    with pytest.raises(MigrationRefused, match="--plan-only-where='recurrence': expected a column of session of type"):
        check(empty_database_url, plan_only_where="recurrence")


def test_p6_what_cannot_be_read_is_named_with_a_recurrence_that_its_last_evenings_follow(
    app: Connection, empty_database_url: str
) -> None:
    session_id = add_session(app, "most weeks", path="a")
    for day in older_app.evenings(TODAY - timedelta(days=3), 4):
        add_instance(app, session_id, str(day), "19:00", "22:30")

    told = says(check(empty_database_url), "unreadable")[session_id]

    weekday = f"{TODAY - timedelta(days=3):%A}".lower()
    proposal = f'"weekday": "{weekday}", "start_time": "19:00", "end_time": "22:30"'
    assert f'4 of its last evenings follow {{"schedules": [{{"type": "weekly", {proposal}}}]}}' in told


def test_a_session_without_a_time_zone_is_never_on_and_only_that_is_said(
    app: Connection, empty_database_url: str
) -> None:
    session_id, _, _ = older_app.add_evening_now(app, path="a")
    execute(app, "UPDATE session SET timezone = NULL WHERE session_id = %s", session_id)

    found = check(empty_database_url)

    assert session_id in says(found, "zoneless")
    assert session_id not in says(found, "unreadable")
    zoneless = finding(found, "zoneless")
    assert zoneless
    assert "no evening of theirs is ever on" in zoneless.then
    migrate(empty_database_url)
    engine = create_engine(empty_database_url)
    update_active_sessions(engine)
    engine.dispose()
    assert value(app, "SELECT count(*) FROM session_instance WHERE active") == 0


def test_r2_a_fortnightly_session_whose_last_evenings_fall_in_other_weeks_is_named(
    app: Connection, empty_database_url: str
) -> None:
    last = TODAY - timedelta(days=2)
    pattern = recurring(weekly(f"{last:%A}".lower(), "19:00", "22:00") | {"every_n_weeks": 2})
    days = older_app.evenings(last, 5, every=14)
    wrong = add_session(app, pattern, path="a", initiation_date=days[0] - timedelta(weeks=53))
    right = add_session(app, pattern, path="b", initiation_date=days[0] - timedelta(weeks=52))
    for session_id in (wrong, right):
        for day in days:
            add_instance(app, session_id, str(day), "19:00", "22:00")

    found = says(check(empty_database_url), "weeks")

    assert found.keys() == {wrong}
    assert f"0 of its last 5 evenings fall in them; with initiation_date {days[-1]} it would be 5" in found[wrong]


def test_p7_pairs_on_one_date_are_named(app: Connection, empty_database_url: str) -> None:
    session_id = add_session(app, path="a")
    for start, cancelled in (("10:00", False), ("14:00", None), ("18:00", True)):
        add_instance(app, session_id, str(TODAY), start, None, is_cancelled=cancelled)

    assert says(check(empty_database_url), "pairs") == {session_id: f"'The Cobblestone': 2 on {TODAY}"}


def test_buffers_out_of_bounds_and_columns_that_must_not_be_empty_are_named(
    app: Connection, empty_database_url: str
) -> None:
    session_id = add_session(app, path="a", active_buffer_minutes_before=2000)
    execute(app, "DELETE FROM session_instance_person; DELETE FROM session_tune; DELETE FROM session_instance")
    execute(app, "ALTER TABLE session_instance ADD COLUMN created_by_user_id integer NOT NULL")

    found = check(empty_database_url)

    assert says(found, "buffers") == {session_id: "'The Cobblestone': 2000 minutes before, 60 after"}
    assert "session_instance.created_by_user_id" in says(found, "empty_columns")


def test_a2_words_of_people_that_do_not_count_are_named(app: Connection, empty_database_url: str) -> None:
    execute(app, "ALTER TABLE session_instance_person DROP CONSTRAINT session_instance_person_attendance_check")
    execute(app, "UPDATE session_instance_person SET attendance = 'going' WHERE attendance = 'yes'")

    assert says(check(empty_database_url), "attendances") == {"going": "rows: 1"}


def test_triggers_that_each_flip_fires_are_named_with_what_they_use_and_others_are_not(
    app: Connection, empty_database_url: str
) -> None:
    assert says(check(empty_database_url), "triggers") == {"session_instance.touched": "calls touch"}
    execute(app, "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
                 "$$ BEGIN INSERT INTO session_tune VALUES (NEW.session_instance_id); RETURN NEW; END $$")  # fmt: skip
    assert says(check(empty_database_url), "triggers") == {
        "session_instance.touched": "calls touch, which uses public.session_tune"
    }


def test_a_trigger_function_that_does_not_follow_a_renamed_column_is_named(
    app: Connection, empty_database_url: str
) -> None:
    source = """BEGIN -- OLD.word_of_a_comment
        IF TG_OP = 'UPDATE' AND new.IS_ON AND OLD."Is On" AND NEW.date <> old.date AND NEW.xmin IS NOT NULL THEN
            INSERT INTO kept VALUES (OLD.id);
        END IF; RETURN NEW; END"""
    execute(app, f"CREATE FUNCTION keep_gig() RETURNS trigger LANGUAGE plpgsql AS $${source}$$")
    execute(app, "CREATE FUNCTION called_by_none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD.id; END'")
    execute(app, "CREATE TRIGGER kept AFTER UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION keep_gig()")

    assert says(check(empty_database_url), "broken_functions") == {
        "function keep_gig": "NEW.IS_ON, OLD.Is On, OLD.id; a trigger of session_instance calls it"
    }
    execute(app, 'ALTER TABLE session_instance ADD is_on boolean, ADD id integer, ADD "Is On" boolean')
    assert says(check(empty_database_url), "broken_functions") == {}


@pytest.mark.usefixtures("stranger")
def test_roles_that_write_and_own_nothing_are_named_until_they_have_their_grants(
    app: Connection, empty_database_url: str
) -> None:
    assert "stranger_of_check" in says(check(empty_database_url), "roles")
    migrate(empty_database_url)
    assert "stranger_of_check" in says(check(empty_database_url), "roles")
    engine = create_engine(empty_database_url)
    with engine.connect() as connection:
        for statement in grants(connection, "stranger_of_check", daemon=True):
            execute(app, statement)
    engine.dispose()
    assert "stranger_of_check" not in says(check(empty_database_url), "roles")


def test_questions_that_migrate_has_answered_are_not_asked_again(app: Connection, empty_database_url: str) -> None:
    execute(app, "ALTER TABLE session_instance RENAME COLUMN is_active TO live")
    assert {"opt_in", "unrecognised"} <= {each.kind for each in check(empty_database_url).findings}
    migrate(empty_database_url)
    assert not {"opt_in", "unrecognised"} & {each.kind for each in check(empty_database_url).findings}


def test_a_column_that_a_trigger_fills_is_not_called_empty(app: Connection, empty_database_url: str) -> None:
    execute(app, "ALTER TABLE session_instance ADD COLUMN fee integer")
    execute(app, "UPDATE session_instance SET fee = 1; ALTER TABLE session_instance ALTER COLUMN fee SET NOT NULL")
    assert "session_instance.fee" in says(check(empty_database_url), "empty_columns")
    function = "CREATE FUNCTION free() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.fee := 0; RETURN NEW; END $$;"
    for event, is_filled in (("AFTER INSERT", False), ("BEFORE UPDATE", False), ("BEFORE INSERT", True)):
        execute(app, f"DROP FUNCTION IF EXISTS free CASCADE; {function} CREATE TRIGGER free {event} "
                     "ON session_instance FOR EACH ROW EXECUTE FUNCTION free()")  # fmt: skip
        assert ("session_instance.fee" in says(check(empty_database_url), "empty_columns")) is not is_filled, event


@pytest.mark.usefixtures("app")
def test_who_holds_the_tables_for_long_is_named(empty_database_url: str) -> None:
    with connected(empty_database_url, autocommit=False) as other:
        execute(other, "UPDATE session SET name = name")
        time.sleep(1.1)
        assert f"pid {other.info.backend_pid}" in says(check(empty_database_url), "holders")
    expected = says(check(empty_database_url), "locks")
    assert expected["session_instance"].startswith("columns: 3 (ACCESS EXCLUSIVE, milliseconds each")
    assert expected["session"].startswith("triggers (SHARE ROW EXCLUSIVE")
