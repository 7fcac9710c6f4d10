"""The app's older columns, kept equal to ours: what the app reads, what it writes, and how it ends."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from core.active_session_manager import instance_saved, update_active_sessions
from core.adoption import removal, takeover
from core.choices import OLDER_ACTIVE, OLDER_POINTER
from core.db import create_engine
from core.errors import MigrationRefused, MirrorRefused
from core.migrations import migrate
from core.migrations.damage import damage
from core.migrations.live import SHORT_LOCK_TIMEOUT_MS
from core.store import older_columns
from tests.core.adoption import older_app
from tests.core.migrations.catalogue import catalogue
from tests.core.passes import NOON, TUESDAYS, reconcile_at
from tests.data import (
    add_check_in,
    add_fleet,
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    connected,
    delete_instance,
    execute,
    times_of,
    value,
)
from tests.scheduler.daemon_process import eventually

BIT = "SELECT is_active FROM session_instance WHERE session_instance_id = %s"
POINTER = "SELECT at_active_session_instance_id FROM person WHERE person_id = %s"
DIFFERING = (
    "SELECT (SELECT count(*) FROM session_instance WHERE is_active IS DISTINCT FROM active), "
    "(SELECT count(*) FROM person WHERE at_active_session_instance_id IS DISTINCT FROM active_session_instance_id)"
)


@pytest.fixture
def app(adopted: Connection) -> Connection:
    """An adopted app, with its older form beside ours."""
    return adopted


@pytest.fixture
def engine(adopted_url: str) -> Iterator[Engine]:
    engine = create_engine(adopted_url)
    yield engine
    engine.dispose()


@pytest.fixture
def mirroring(app: Connection, adopted_url: str) -> Connection:
    takeover.begin(adopted_url, {})
    return app


# What the app reads


def test_the_older_columns_say_what_ours_say_in_the_same_transaction(mirroring: Connection, engine: Engine) -> None:
    session_id, today, person_id = older_app.add_evening_now(mirroring)
    update_active_sessions(engine)
    assert (value(mirroring, BIT, today), value(mirroring, POINTER, person_id)) == (True, today)

    change_session(mirroring, session_id, termination_date="2020-01-01")
    update_active_sessions(engine)

    assert (value(mirroring, BIT, today), value(mirroring, POINTER, person_id)) == (False, None)


def test_the_past_is_brought_into_line_in_batches_and_empty_bits_are_left(app: Connection, adopted_url: str) -> None:
    """An empty bit says "not on": to write it would touch every row of the past, and fire the app's triggers."""
    add_fleet(app, 1, "")
    execute(
        app,
        "INSERT INTO session_instance (session_id, date, is_active) "
        "SELECT max(session_id), date '2020-01-01', n <= 1200 OR NULL FROM session, generate_series(1, 1500) n "
        "GROUP BY n",
    )
    execute(
        app, "INSERT INTO person (first_name, at_active_session_instance_id) SELECT 'x', 1 FROM generate_series(1, 700)"
    )
    touched = "SELECT count(*) FROM session_instance WHERE last_modified_date > %s"
    begun = value(app, "SELECT clock_timestamp()")
    takeover.begin(adopted_url, {})

    assert takeover.bring_into_line(adopted_url) == (1900, 0)

    assert value(app, "SELECT count(*) FROM session_instance WHERE is_active") == 0
    assert value(app, "SELECT count(*) FROM session_instance WHERE is_active IS NULL AND date = '2020-01-01'") == 300
    assert value(app, touched, begun) == 1200
    assert value(app, "SELECT count(*) FROM person WHERE at_active_session_instance_id IS NOT NULL") == 0


def people_here(app: Connection, engine: Engine, number: int) -> tuple[int, list[int]]:
    """Let so many people be at an evening that is on, before the older columns are kept equal; return it, and them."""
    _, today, first = older_app.add_evening_now(app)
    people = [first, *(add_person(app) for _ in range(number - 1))]
    for person_id in people[1:]:
        add_check_in(app, today, person_id)
    update_active_sessions(engine)
    return today, people


def test_a_batch_is_bounded_and_brings_people_where_they_are(
    app: Connection, engine: Engine, adopted_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    today, people = people_here(app, engine, 3)
    execute(app, "UPDATE session_instance SET is_active = NOT active")
    differ = value(app, "SELECT count(*) FROM session_instance")
    takeover.begin(adopted_url, {})
    monkeypatch.setattr(older_columns, "MOST", 2)

    with engine.begin() as connection:
        changed = older_columns.bring_into_line(connection)

    assert differ > 2
    assert changed == 4
    assert execute(app, DIFFERING) == [(differ - 2, 1)]
    assert sorted(value(app, POINTER, person_id) or 0 for person_id in people) == [0, today, today]


def test_what_is_only_referred_to_is_brought_into_line_and_for_what_is_held_nobody_waits(
    app: Connection, engine: Engine, adopted_url: str
) -> None:
    today, (free, held) = people_here(app, engine, 2)
    takeover.begin(adopted_url, {})
    with connected(adopted_url, autocommit=False) as other:
        execute(other, "SELECT FROM session_instance FOR KEY SHARE")
        execute(other, "SELECT FROM person WHERE person_id = %s FOR KEY SHARE", free)
        execute(other, "SELECT FROM person WHERE person_id = %s FOR NO KEY UPDATE", held)
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            older_columns.bring_into_line(connection)

    assert (value(app, BIT, today), value(app, POINTER, free), value(app, POINTER, held)) == (True, today, None)


def test_people_at_an_evening_that_another_transaction_holds_are_left_and_nobody_waits(
    app: Connection, engine: Engine, adopted_url: str
) -> None:
    today, (person,) = people_here(app, engine, 1)
    takeover.begin(adopted_url, {})
    with connected(adopted_url, autocommit=False) as other, engine.begin() as connection:
        execute(other, "SELECT FROM session_instance WHERE session_instance_id = %s FOR UPDATE", today)
        connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
        older_columns.bring_into_line(connection)

    assert value(app, POINTER, person) is None
    assert takeover.bring_into_line(adopted_url)[1] == 0
    assert value(app, POINTER, person) == today


def test_a_row_that_another_transaction_holds_is_left_and_the_resync_mends_it(
    app: Connection, engine: Engine, adopted_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "HELD_FOR_SECONDS", 0.3)
    execute(app, "UPDATE session_instance SET is_active = true")
    takeover.begin(adopted_url, {})
    with connected(adopted_url, autocommit=False) as other:
        execute(other, "SELECT FROM session_instance WHERE session_instance_id = 2 FOR UPDATE")
        assert takeover.bring_into_line(adopted_url) == (3, 1)
    update_active_sessions(engine)

    with engine.connect() as connection:
        assert older_columns.differing(connection) == 0


def test_what_is_written_with_the_triggers_off_is_counted_and_mended(
    mirroring: Connection, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    execute(mirroring, "SET session_replication_role = replica")
    execute(mirroring, "UPDATE session_instance SET is_active = true WHERE session_instance_id < 3")
    execute(mirroring, "UPDATE person SET at_active_session_instance_id = 1 WHERE person_id = 1")
    execute(mirroring, "SET session_replication_role = DEFAULT")
    with engine.connect() as connection:
        assert older_columns.differing(connection) == 3

    update_active_sessions(engine)

    assert "older_columns_mended rows=3" in caplog.messages
    with engine.connect() as connection:
        assert older_columns.differing(connection) == 0


def test_older_columns_that_cannot_be_written_keep_the_mirror_from_nothing(
    mirroring: Connection, engine: Engine
) -> None:
    _, today, _ = older_app.add_evening_now(mirroring)
    update_active_sessions(engine)
    execute(
        mirroring,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE OF is_active ON session_instance FOR EACH ROW EXECUTE FUNCTION refuse();"
        "SET session_replication_role = replica;"
        "UPDATE session_instance SET is_active = NOT is_active;"
        "DELETE FROM active_instance;"
        "SET session_replication_role = DEFAULT",
    )

    update_active_sessions(engine)

    assert execute(mirroring, "SELECT session_instance_id FROM active_instance") == [(today,)]
    with pytest.raises(DBAPIError, match="no"):
        update_active_sessions(engine)


# What the app writes


def test_what_the_old_code_writes_is_put_right_in_the_same_statement(mirroring: Connection, engine: Engine) -> None:
    _, today, person_id = older_app.add_evening_now(mirroring)
    update_active_sessions(engine)
    for wrong in (
        "UPDATE session_instance SET is_active = NOT is_active",
        "UPDATE person SET at_active_session_instance_id = 2",
        "UPDATE person SET at_active_session_instance_id = NULL",
        "INSERT INTO session_instance (session_id, date, is_active) VALUES (2, '2020-01-01', true)",
        "INSERT INTO person (first_name, at_active_session_instance_id) VALUES ('x', 1)",
    ):
        execute(mirroring, wrong)
        assert execute(mirroring, DIFFERING) == [(0, 0)], wrong
    assert (value(mirroring, BIT, today), value(mirroring, POINTER, person_id)) == (True, today)


def test_an_app_that_clears_the_pointer_and_deletes_the_evening_goes_on(mirroring: Connection, engine: Engine) -> None:
    """The clearing is put right at once, and the app's foreign key has no ON DELETE."""
    session_id, today, person_id = older_app.add_evening_now(mirroring)
    other = add_instance(
        mirroring, add_session(mirroring, timezone="UTC", path="b"), str(datetime.now(UTC).date()), "00:00", "23:58"
    )
    add_check_in(mirroring, other, person_id, created_date=datetime.now(UTC) - timedelta(days=9))
    update_active_sessions(engine)
    at = value(mirroring, POINTER, person_id)
    execute(mirroring, "UPDATE person SET at_active_session_instance_id = NULL WHERE person_id = %s", person_id)
    execute(mirroring, "DELETE FROM session_instance_person WHERE session_instance_id = %s", at)

    delete_instance(mirroring, at)

    assert value(mirroring, POINTER, person_id) is None
    update_active_sessions(engine)
    assert value(mirroring, POINTER, person_id) == ({today, other} - {at}).pop()
    assert session_id


def test_a_pass_does_not_wait_for_an_evening_that_the_app_holds_while_it_holds_people(
    mirroring: Connection, engine: Engine, adopted_url: str
) -> None:
    """The foreign key of the older pointer would wait for the app's row, and the whole pass would be lost.

    The person is moved once the row is free.
    """
    session_id, today, _ = older_app.add_evening_now(mirroring)
    update_active_sessions(engine)
    late = add_person(mirroring)
    add_check_in(mirroring, today, late)
    with connected(adopted_url, autocommit=False) as other:
        execute(other, "SELECT FROM session_instance WHERE session_instance_id = %s FOR UPDATE", today)
        result = update_active_sessions(engine)
        assert (sorted(result.sessions), sorted(result.deferred)) == ([session_id], [session_id])
        assert value(mirroring, POINTER, late) is None
    update_active_sessions(engine)
    assert value(mirroring, POINTER, late) == today


def test_a_pass_brings_somebody_to_an_evening_that_the_app_edits(
    mirroring: Connection, engine: Engine, adopted_url: str
) -> None:
    _, today, _ = older_app.add_evening_now(mirroring)
    update_active_sessions(engine)
    late = add_person(mirroring)
    add_check_in(mirroring, today, late)
    with connected(adopted_url, autocommit=False) as other:
        execute(other, "SELECT FROM session_instance WHERE session_instance_id = %s FOR NO KEY UPDATE", today)
        update_active_sessions(engine)
        assert value(mirroring, POINTER, late) == today


def test_a_hook_in_the_apps_transaction_shows_the_app_its_own_column(
    mirroring: Connection, engine: Engine, adopted_url: str
) -> None:
    _, today, person_id = older_app.add_evening_now(mirroring)
    update_active_sessions(engine)
    with connected(adopted_url, autocommit=False) as db:
        change_instance(db, today, is_cancelled=True)
        instance_saved(db, today)
        assert (value(db, BIT, today), value(db, POINTER, person_id)) == (False, None)


def test_p4_an_older_column_that_follows_ours_is_no_touch(mirroring: Connection, engine: Engine) -> None:
    """The old code had set it before the take-over; bringing it into line is no edit of a person's."""
    takeover.end(make_url(str(engine.url)).set(password=engine.url.password).render_as_string(hide_password=False))
    session_id = add_session(mirroring, TUESDAYS)
    reconcile_at(engine, NOON)
    assert times_of(mirroring, session_id) == ["2026-12-01 19:00-22:00"]
    execute(mirroring, "ALTER TABLE session_instance DISABLE TRIGGER touched")
    execute(mirroring, "UPDATE session_instance SET is_active = NULL WHERE session_id = %s", session_id)
    takeover.begin(engine.url.render_as_string(hide_password=False), {})

    change_session(mirroring, session_id, recurrence="")
    reconcile_at(engine, NOON)

    assert times_of(mirroring, session_id) == []


# Its locks


def test_a_lock_that_the_app_holds_delays_it_and_nobody_waits_long_behind_it(app: Connection, adopted_url: str) -> None:
    longest = 0.0
    with ThreadPoolExecutor(1) as pool, connected(adopted_url, autocommit=False) as other:
        execute(other, "UPDATE session_instance SET comments = 'x' WHERE session_instance_id = 1")
        beginning = pool.submit(takeover.begin, adopted_url, {})
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            begun = time.monotonic()
            execute(app, "UPDATE session_instance SET comments = 'y' WHERE session_instance_id = 2")
            longest = max(longest, time.monotonic() - begun)
        assert not beginning.done()
        other.rollback()
        beginning.result(30)
    assert longest < SHORT_LOCK_TIMEOUT_MS / 1000 + 0.15
    assert value(app, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_seisiun_older%'") == 3


POINTERS_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'zz_seisiun_older%' ORDER BY 1"


def test_an_app_that_clears_the_pointer_can_delete_an_evening_at_each_moment_of_the_beginning_and_the_end(
    app: Connection, adopted_url: str
) -> None:
    """What reverts the clearing is there only while what releases the people is there, too."""
    execute(app, "ALTER TABLE session_instance DROP COLUMN is_active CASCADE")
    with ThreadPoolExecutor(1) as pool:
        with connected(adopted_url, autocommit=False) as other:
            execute(other, "LOCK TABLE session_instance IN ROW EXCLUSIVE MODE")
            beginning = pool.submit(takeover.begin, adopted_url, {})
            time.sleep(1)
            assert execute(app, POINTERS_TRIGGERS) == []
        beginning.result(30)
        assert execute(app, POINTERS_TRIGGERS) == [("zz_seisiun_older_pointer",), ("zz_seisiun_older_released",)]
        with connected(adopted_url, autocommit=False) as other:
            execute(other, "LOCK TABLE session_instance IN ROW EXCLUSIVE MODE")
            ending = pool.submit(takeover.end, adopted_url)
            eventually(lambda: len(execute(app, POINTERS_TRIGGERS)) == 1, "the first of the two is dropped")
            assert execute(app, POINTERS_TRIGGERS) == [("zz_seisiun_older_released",)]
        ending.result(30)
        assert execute(app, POINTERS_TRIGGERS) == []


# Which columns


def test_several_columns_that_may_be_meant_are_named_and_one_is_chosen_by_name(
    app: Connection, adopted_url: str
) -> None:
    execute(app, 'ALTER TABLE session_instance ADD COLUMN "currentlyActive" boolean')
    with pytest.raises(
        MirrorRefused, match=r"several columns may be meant: session_instance\.currentlyActive, session"
    ):
        takeover.begin(adopted_url, {})

    chosen = takeover.begin(adopted_url, {OLDER_ACTIVE: "currentlyActive"})

    assert [str(each) for each in chosen] == [
        "session_instance.currentlyActive",
        "person.at_active_session_instance_id",
    ]
    execute(app, "UPDATE session_instance SET active = true WHERE session_instance_id = 1")
    assert value(app, 'SELECT "currentlyActive" FROM session_instance WHERE session_instance_id = 1') is True


def test_columns_of_any_spelling_are_taken_as_they_are_named_and_again_without_a_name(
    app: Connection, engine: Engine, adopted_url: str
) -> None:
    """No "active" in the name, true by default; and a pointer without a foreign key."""
    execute(app, "ALTER TABLE session_instance ADD COLUMN live boolean DEFAULT true")
    execute(app, "ALTER TABLE person ADD COLUMN gig bigint")
    _, today, person_id = older_app.add_evening_now(app)
    for named in ({OLDER_ACTIVE: "session_instance.live", OLDER_POINTER: "gig"}, {}):
        chosen = takeover.begin(adopted_url, named)
        assert [str(each) for each in chosen] == ["session_instance.live", "person.gig"]
    takeover.bring_into_line(adopted_url)
    update_active_sessions(engine)

    assert value(app, "SELECT array_agg(session_instance_id) FROM session_instance WHERE live") == [today]
    assert value(app, "SELECT gig FROM person WHERE person_id = %s", person_id) == today


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (
            {OLDER_ACTIVE: "is_on"},
            r"--active-column='is_on': expected a boolean of session_instance that is not generated: is_active$",
        ),
        ({OLDER_ACTIVE: "active"}, "--active-column='active': expected a boolean"),
        ({OLDER_ACTIVE: "is_cancelled"}, "--active-column='is_cancelled': expected a boolean"),
        ({OLDER_ACTIVE: "comments"}, "--active-column='comments': expected a boolean"),
        (
            {OLDER_POINTER: "sms_number"},
            (
                r"--pointer-column='sms_number': expected a number \(integer or bigint\) of person that is not "
                "generated: at_active_session_instance_id$"
            ),
        ),
    ],
)
def test_a_named_column_that_does_not_fit_is_refused_with_those_that_do(
    app: Connection, adopted_url: str, named: dict[str, str], told: str
) -> None:
    before = catalogue(app)
    with pytest.raises(MirrorRefused, match=told):
        takeover.begin(adopted_url, named)
    assert catalogue(app) == before


def test_an_app_without_an_older_form_is_told_what_was_looked_for(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with pytest.raises(MirrorRefused, match='expected a boolean of session_instance whose name has "active" in it'):
        takeover.begin(empty_database_url, {})


def test_a_role_that_owns_nothing_changes_nothing(app: Connection, adopted_url: str) -> None:
    execute(app, "DROP ROLE IF EXISTS stranger_of_takeover; CREATE ROLE stranger_of_takeover LOGIN PASSWORD 'stranger'")
    execute(app, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger_of_takeover")
    url = make_url(adopted_url).set(username="stranger_of_takeover", password="stranger")
    before = catalogue(app)

    for change in (partial(takeover.begin, named={}), takeover.end, partial(removal.remove, alive_within=timedelta(0))):
        with pytest.raises(MigrationRefused, match="our tables belong to the role postgres, and you are stranger"):
            change(url.render_as_string(hide_password=False))

    assert catalogue(app) == before
    execute(app, "DROP OWNED BY stranger_of_takeover; DROP ROLE stranger_of_takeover")


# How it ends


def test_it_ends_and_begins_again_and_the_older_columns_stay(app: Connection, engine: Engine, adopted_url: str) -> None:
    before = catalogue(app)
    _, today, _ = older_app.add_evening_now(app)
    for _ in range(2):
        takeover.begin(adopted_url, {})
        takeover.begin(adopted_url, {})
        update_active_sessions(engine)
        assert value(app, BIT, today) is True
        with engine.connect() as connection:
            assert damage(connection) == []

        ended = takeover.end(adopted_url)

        assert sorted(ended.values()) == ["person.at_active_session_instance_id", "session_instance.is_active"]
        assert catalogue(app) == before
        assert value(app, BIT, today) is True
        execute(app, "UPDATE session_instance SET is_active = false WHERE session_instance_id = %s", today)
        assert value(app, BIT, today) is False, "what the old code writes stays again"
    assert takeover.end(adopted_url) == {}


def test_a_part_of_it_that_somebody_dropped_is_named_and_mended(
    mirroring: Connection, engine: Engine, adopted_url: str
) -> None:
    whole = catalogue(mirroring)
    execute(
        mirroring, "DROP TRIGGER zz_seisiun_older_active ON session_instance; DROP INDEX seisiun_older_pointer_differs"
    )
    with engine.connect() as connection:
        assert {each.what for each in damage(connection)} == {
            "the trigger zz_seisiun_older_active of session_instance is missing",
            "the index seisiun_older_pointer_differs of person is missing",
        }

    migrate(adopted_url)

    assert catalogue(mirroring) == whole


def test_a_column_cannot_be_dropped_while_it_is_mirrored(mirroring: Connection) -> None:
    execute(mirroring, "DROP VIEW on_now")
    for statement in (
        "ALTER TABLE session_instance DROP COLUMN is_active",
        "ALTER TABLE person DROP COLUMN at_active_session_instance_id",
    ):
        with pytest.raises(psycopg2.errors.DependentObjectsStillExist):
            execute(mirroring, statement)


def test_a_column_that_is_dropped_by_force_ends_its_mirror_and_hurts_nothing(
    mirroring: Connection, engine: Engine
) -> None:
    execute(mirroring, "ALTER TABLE session_instance DROP COLUMN is_active CASCADE")
    _, today, person_id = older_app.add_evening_now(mirroring)

    assert update_active_sessions(engine).failed == {}

    assert value(mirroring, POINTER, person_id) == today
    with engine.connect() as connection:
        assert (damage(connection), older_columns.differing(connection)) == ([], 0)
