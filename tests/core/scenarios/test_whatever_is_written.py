"""What people and other programs write, on an app's own tables: core.rules.planner, core.store and core.hooks together.

Unreadable texts, bits and pointers written by hand, deactivated people, rows made beside the planner's, triggers and
columns of other people. Each is put right by hooks and passes alone; `tests/scheduler/scenarios` has the daemon.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from werkzeug.datastructures import MultiDict

from core.active_session_manager import LeftBehind, WhyNot, check_in, ensure_instance, instance_saved, session_saved
from core.db import create_engine
from core.errors import InvalidComment, InvalidSessionFile, UnknownTimeZone
from core.migrations import migrate
from core.store.views import reports
from core.timezones import require_zone
from scheduler.commands import loading
from tests.core.passes import CLOSES, DURING, NOON, OPENS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.core.scenarios.host_app import TABLES
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    connected,
    delete_instance,
    execute,
    flips_of,
    instances_of,
    only_instance,
    person_at,
    plan_of,
    times_of,
    value,
)
from web import forms, words

TUESDAYS = recurring(weekly("tuesday", "19:00", "22:00"))
WEDNESDAYS = recurring(weekly("wednesday", "19:00", "22:00"))
FREE_TEXT = "Tuesdays, most weeks, from 7"


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Connection]:
    with connected(empty_database_url) as connection:
        execute(connection, TABLES)
        migrate(empty_database_url)
        yield connection


@pytest.fixture
def engine(app: Connection, empty_database_url: str) -> Iterator[Engine]:
    assert not app.closed  # the tables are there
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def an_evening(app: Connection, engine: Engine, at: str = NOON) -> tuple[int, int]:
    """Return a session on Tuesdays, and tonight's instance, which the planner has made."""
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, at)
    return session, only_instance(app, session)


# P6: what cannot be read


def test_p6_cancelling_counts_though_the_recurrence_cannot_be_read(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine, DURING)
    person = add_person(app)
    add_check_in(app, instance, person)
    change_session(app, session, recurrence=FREE_TEXT)
    reconcile_at(engine, DURING)
    assert (active_of(app, session), person_at(app, person)) == (instance, instance)

    change_instance(app, instance, is_cancelled=True)
    result = reconcile_at(engine, DURING)

    assert (active_of(app, session), person_at(app, person)) == (None, None)
    assert FREE_TEXT in result.unreadable[session]
    assert FREE_TEXT in plan_of(app, session)["error"]


def test_p6_cancelling_by_hook_counts_though_the_recurrence_cannot_be_read(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine, DURING)
    change_session(app, session, recurrence=FREE_TEXT)

    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE session_instance SET is_cancelled = true WHERE session_id = {session}")
        result = instance_saved(connection, instance, now=utc(DURING))

    assert active_of(app, session) is None
    assert list(result.unreadable) == [session]


def test_p6_a_hand_made_evening_opens_though_the_recurrence_cannot_be_read(engine: Engine, app: Connection) -> None:
    session = add_session(app, FREE_TEXT)
    instance = add_instance(app, session, "2026-12-01", "19:00", "22:00")

    reconcile_at(engine, DURING)

    assert active_of(app, session) == instance


@pytest.mark.parametrize(
    ("columns", "at", "is_on"),
    [
        ({}, "2026-12-01 22:59", True),
        ({"active_buffer_minutes_after": 0}, "2026-12-01 22:30", False),
        ({"termination_date": "2026-11-30"}, DURING, False),
        ({"timezone": "America/New_York"}, DURING, False),
    ],
    ids=["nothing else", "buffers", "the last date", "the zone"],
)
def test_p6_all_else_of_the_session_counts_as_ever(
    engine: Engine, app: Connection, columns: dict[str, object], at: str, *, is_on: bool
) -> None:
    session, instance = an_evening(app, engine, DURING)

    change_session(app, session, recurrence=FREE_TEXT, **columns)
    reconcile_at(engine, at)

    assert active_of(app, session) == (instance if is_on else None)


def test_p6_an_unreadable_recurrence_makes_nothing_and_takes_nothing_away(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine)
    change_session(app, session, recurrence=FREE_TEXT)

    reconcile_at(engine, NOON)
    assert times_of(app, session) == ["2026-12-01 19:00-22:00"]
    change_instance(app, instance, start_time="20:00", end_time="23:00")
    reconcile_at(engine, "2026-12-01 18:30")
    assert active_of(app, session) is None, "its own hours count"
    reconcile_at(engine, "2026-12-01 19:30")
    assert active_of(app, session) == instance
    reconcile_at(engine, "2026-12-08 12:00")

    assert times_of(app, session) == ["2026-12-01 20:00-23:00"], "nothing new is made"


def test_p6_a_mended_recurrence_goes_on_where_it_was(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine)
    change_session(app, session, recurrence=FREE_TEXT)
    reconcile_at(engine, NOON)
    change_session(app, session, recurrence=TUESDAYS)

    reconcile_at(engine, DURING)

    assert active_of(app, session) == instance
    assert plan_of(app, session)["error"] is None
    assert times_of(app, session) == ["2026-12-01 19:00-22:00"]


def test_p6_with_an_unknown_zone_what_can_be_known_counts(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine, DURING)
    other, other_instance = add_session(app, TUESDAYS), 0
    reconcile_at(engine, DURING)
    other_instance = only_instance(app, other)
    for each in (session, other):
        change_session(app, each, timezone="Eire/Dublin")
    reconcile_at(engine, DURING)
    assert (active_of(app, session), active_of(app, other)) == (instance, other_instance), "the old windows stay"

    change_instance(app, instance, is_cancelled=True)
    delete_instance(app, other_instance)
    reconcile_at(engine, DURING)

    assert (active_of(app, session), active_of(app, other)) == (None, None)


@pytest.mark.parametrize(
    "zone",
    [
        "EST5EDT,M3.2.0,M11.1.0",
        "<+03>-3",
        "../x",
        "/etc/localtime",
        "posixrules",
        "localtime",
        "right/UTC",
        "europe/dublin",
        "Europe/Dublin\n",
        "Dublin time",
        "",
        " \t",
        None,
    ],
    ids=repr,
)
def test_t1_what_is_no_zone_name_is_refused_in_one_way_wherever_it_is_written(
    engine: Engine, app: Connection, zone: str | None, tmp_path: Path
) -> None:
    """In forms, files, hooks, passes, and where somebody asks for a row: with the value, and what would be accepted."""
    with pytest.raises(UnknownTimeZone) as refused:
        require_zone(zone)
    said = str(refused.value)
    assert (
        "expected 'Europe/Dublin'" in said or "expected 'Etc/UTC'" in said or "a name such as 'Europe/Dublin'" in said
    )

    session = add_session(app, TUESDAYS, timezone=zone)
    assert reconcile_at(engine, NOON).unreadable == {session: said}
    assert session_saved(app, session, now=utc(NOON)).unreadable == {session: said}
    assert plan_of(app, session)["error"] == said
    assert instances_of(app, session) == []
    with pytest.raises(UnknownTimeZone, match=re.escape(said)):
        ensure_instance(engine, session, datetime(2026, 12, 1, 19))

    file = tmp_path / "sessions.json"
    file.write_text(json.dumps({"sessions": [{"name": "One", "timezone": zone}]}))
    with pytest.raises(InvalidSessionFile) as of_file:
        loading.read(file)
    assert str(of_file.value).endswith(f"\n  sessions[0]: {said}")

    if zone == (zone or "").strip():  # a form leaves out what stands around a value
        form = forms.checked(forms.submitted(MultiDict({"timezone": zone})))
        assert form.errors["timezone"] == words.problem(said)


def test_p6_only_what_has_something_on_or_ahead_is_live(engine: Engine, app: Connection) -> None:
    live, _ = an_evening(app, engine)
    idle = add_session(app, FREE_TEXT)
    change_session(app, live, recurrence=FREE_TEXT)
    reconcile_at(engine, NOON)

    with engine.connect() as connection:
        found = {each.session_id: each.is_live for each in reports.unreadable(connection)}

    assert found == {live: True, idle: False}


# P4: what is a person's touch


def test_p4_a_row_that_only_the_apps_trigger_touched_goes_with_its_occurrence(engine: Engine, app: Connection) -> None:
    session, _ = an_evening(app, engine)
    change_session(app, session, recurrence=recurring(weekly("tuesday", "20:00", "23:00")))
    reconcile_at(engine, NOON)
    assert times_of(app, session) == ["2026-12-01 20:00-23:00"], "retimed, and the app's trigger set the date"

    change_session(app, session, recurrence=WEDNESDAYS)
    reconcile_at(engine, NOON)

    assert times_of(app, session) == [], "it is gone, and Wednesday's is not due yet"


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE session_instance ADD COLUMN log_complete_date timestamptz",
        "ALTER TABLE session_instance ADD COLUMN venue text DEFAULT 'upstairs'",
        "ALTER TABLE session_instance DROP COLUMN logging_mode",
    ],
    ids=["a column", "a column with a default", "a column less"],
)
def test_p4_a_column_that_the_app_adds_or_drops_is_no_touch(engine: Engine, app: Connection, statement: str) -> None:
    session, _ = an_evening(app, engine)
    execute(app, statement)

    change_session(app, session, recurrence=WEDNESDAYS)
    reconcile_at(engine, NOON)

    assert times_of(app, session) == [], "it is gone, and Wednesday's is not due yet"


@pytest.mark.parametrize("retimed", [False, True], ids=["as made", "retimed"])
def test_p4_a_row_that_a_person_touched_stays(engine: Engine, app: Connection, *, retimed: bool) -> None:
    session, instance = an_evening(app, engine)
    change_instance(app, instance, comments="bring the harp")
    if retimed:
        change_session(app, session, recurrence=recurring(weekly("tuesday", "20:00", "23:00")))
        reconcile_at(engine, NOON)

    change_session(app, session, recurrence=WEDNESDAYS)
    reconcile_at(engine, NOON)

    assert instance in {row[0] for row in execute(app, "SELECT session_instance_id FROM session_instance")}


def test_p2_a_row_made_by_hand_takes_the_place_of_the_planners(engine: Engine, app: Connection) -> None:
    session, planners = an_evening(app, engine)
    person = add_person(app)
    hand_made = add_instance(app, session, "2026-12-01", "19:00", "22:00")
    add_check_in(app, hand_made, person)

    reconcile_at(engine, DURING)

    assert only_instance(app, session) == hand_made
    assert planners != hand_made
    assert (active_of(app, session), person_at(app, person)) == (hand_made, hand_made)
    assert execute(app, "SELECT * FROM skipped_occurrence") == []


@pytest.mark.parametrize("clock", ["now()", "clock_timestamp()"])
def test_p2_a_row_that_the_app_makes_in_the_same_moment_takes_the_place_of_one_that_is_on(
    engine: Engine, app: Connection, clock: str
) -> None:
    """An older planner of the app's looks for a row, and makes one, while ours makes its own and opens it."""
    execute(app, "ALTER TABLE session_instance ADD COLUMN modified timestamptz NOT NULL DEFAULT now()")
    execute(
        app,
        f"CREATE FUNCTION note_date() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN NEW.modified := {clock}; RETURN NEW; END $$",
    )
    execute(app, "CREATE TRIGGER note BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION note_date()")
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    planners = active_of(app, session)
    apps = add_instance(app, session, "2026-12-01", "19:00", "22:00")

    reconcile_at(engine, DURING)

    assert planners != apps
    assert (only_instance(app, session), active_of(app, session)) == (apps, apps)
    assert execute(app, "SELECT * FROM skipped_occurrence") == []


def test_p2_of_two_rows_of_the_planners_for_one_evening_one_goes(engine: Engine, app: Connection) -> None:
    """An organiser gave the first to another session by mistake, and takes that back when the second is there."""
    session, first = an_evening(app, engine)
    change_instance(app, first, session_id=add_session(app))
    reconcile_at(engine, NOON)
    second = only_instance(app, session)
    change_instance(app, first, session_id=session)

    reconcile_at(engine, NOON)

    kept = only_instance(app, session)
    assert kept in {first, second}
    reconcile_at(engine, DURING)
    assert (only_instance(app, session), active_of(app, session)) == (kept, kept)


def test_p2_the_planners_row_stays_bound_where_somebody_said_yes_to_it(engine: Engine, app: Connection) -> None:
    session, planners = an_evening(app, engine)
    person = add_person(app)
    add_check_in(app, planners, person)
    add_instance(app, session, "2026-12-01", "19:00", "22:00")

    reconcile_at(engine, DURING)

    assert (active_of(app, session), person_at(app, person)) == (planners, planners)


def test_a_column_without_a_value_stops_the_making_of_rows_and_nothing_else(engine: Engine, app: Connection) -> None:
    execute(app, "ALTER TABLE session_instance ADD COLUMN fee integer NOT NULL DEFAULT 0")
    execute(app, "ALTER TABLE session_instance ALTER COLUMN fee DROP DEFAULT")
    session = add_session(app, TUESDAYS)
    by_hand = value(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time, fee) "
        "VALUES (%s, '2026-12-02', '19:00', '22:00', 5) RETURNING session_instance_id",
        session,
    )

    result = reconcile_at(engine, NOON)
    assert (result.failed, result.unreadable, result.planned) == ({}, {}, ())
    reconcile_at(engine, "2026-12-02 20:00")

    assert active_of(app, session) == by_hand
    with engine.connect() as connection:
        assert reports.columns_without_value(connection) == ["fee"]


def test_a_row_that_the_app_refuses_keeps_no_other_from_being_made(engine: Engine, app: Connection) -> None:
    execute(
        app, "ALTER TABLE session_instance ALTER COLUMN start_time SET NOT NULL, ALTER COLUMN end_time SET NOT NULL"
    )
    endless = add_session(app, recurring(weekly("tuesday", "19:00", None)))
    stated = add_session(app, TUESDAYS)

    result = reconcile_at(engine, NOON)

    assert (result.failed, len(result.planned)) == ({}, 1)
    assert only_instance(app, stated) == result.planned[0]
    assert execute(app, "SELECT 1 FROM session_instance WHERE session_id = %s", endless) == []
    with engine.connect() as connection:
        assert reports.columns_without_value(connection) == ["end_time"]


# Hand-written bits and pointers


@pytest.mark.parametrize("bit", [True, False])
def test_a_bit_that_somebody_wrote_by_hand_is_repaired_and_no_miss(
    engine: Engine, app: Connection, *, bit: bool
) -> None:
    session, instance = an_evening(app, engine, NOON if bit else DURING)
    before = flips_of(app, session)
    execute(app, "UPDATE session_instance SET active = %s WHERE session_instance_id = %s", bit, instance)

    [flip] = reconcile_at(engine, NOON if bit else DURING).flips

    assert (flip.active, flip.is_repair) == (not bit, True)
    assert [cause for *_, cause in flips_of(app, session)[len(before) :]] == ["repair"]


def test_an_edit_that_takes_an_evening_away_is_no_repair(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine, DURING)
    change_instance(app, instance, is_cancelled=True)

    [flip] = reconcile_at(engine, DURING).flips

    assert not flip.is_repair
    assert [cause for *_, cause in flips_of(app, session)] == ["hook", "hook"]


def test_a_pointer_that_somebody_moved_by_hand_is_put_right(engine: Engine, app: Connection) -> None:
    _, instance = an_evening(app, engine)
    other, other_instance = add_session(app, TUESDAYS), 0
    person = add_person(app)
    add_check_in(app, instance, person)
    reconcile_at(engine, DURING)
    other_instance = only_instance(app, other)
    assert person_at(app, person) == instance

    execute(app, "UPDATE person SET active_session_instance_id = %s WHERE person_id = %s", other_instance, person)
    reconcile_at(engine, DURING)

    assert person_at(app, person) == instance


# Deactivated people


def test_a_deactivated_person_is_released_and_placed_nowhere(engine: Engine, app: Connection) -> None:
    _, instance = an_evening(app, engine)
    person = add_person(app, first_name="Nóirín")
    add_check_in(app, instance, person)
    reconcile_at(engine, DURING)
    assert person_at(app, person) == instance

    execute(app, "UPDATE person SET active = false WHERE person_id = %s", person)
    reconcile_at(engine, DURING)
    assert person_at(app, person) is None
    with engine.begin() as connection:
        assert check_in(connection, person, instance, "yes", now=utc(DURING)).at is None

    execute(app, "UPDATE person SET active = true WHERE person_id = %s", person)
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")  # the windows are of December
    reconcile_at(engine, DURING)
    assert person_at(app, person) == instance


def test_people_who_were_deactivated_before_are_known_from_the_first(empty_database_url: str) -> None:
    with connected(empty_database_url) as app:
        execute(app, TABLES)
        execute(app, "INSERT INTO person (first_name, active) VALUES ('Ann', false), ('Bea', true), ('Cid', NULL)")
        migrate(empty_database_url)

        assert execute(app, "SELECT person_id FROM deactivated_person") == [(1,)]
        assert value(app, "SELECT value FROM seisiun_choice WHERE name = 'deactivated_people'") == "active"
        execute(app, "INSERT INTO person (first_name, active) VALUES ('Dee', false)")
        assert execute(app, "SELECT person_id FROM deactivated_person ORDER BY 1") == [(1,), (4,)]
        execute(app, "DELETE FROM person WHERE NOT active")
        assert execute(app, "SELECT person_id FROM deactivated_person") == []


# Buffers


@pytest.mark.parametrize(("minutes", "is_on"), [(100_000, True), (-5, False), (None, True)])
def test_a_buffer_out_of_bounds_is_read_as_the_nearest_and_noted(
    empty_database_url: str, minutes: int | None, *, is_on: bool
) -> None:
    with connected(empty_database_url) as app:
        execute(app, TABLES)
        session = add_session(app, TUESDAYS, active_buffer_minutes_before=minutes)
        migrate(empty_database_url)
        engine = create_engine(empty_database_url)

        reconcile_at(engine, "2026-12-01 18:00")

        assert (active_of(app, session) is not None) == is_on
        with engine.connect() as connection:
            assert reports.buffers_out_of_bounds(connection) == 1
        change_session(app, session, active_buffer_minutes_after=2000)
        engine.dispose()


# A3: a check-in sees what is requested


def test_a3_an_evening_inserted_and_joined_in_one_transaction_is_open(engine: Engine, app: Connection) -> None:
    session, person = add_session(app), add_person(app)
    reconcile_at(engine, DURING)
    with engine.begin() as connection:
        instance = connection.exec_driver_sql(
            f"INSERT INTO session_instance (session_id, date, start_time, end_time) "
            f"VALUES ({session}, '2026-12-01', '19:00', '22:00') RETURNING session_instance_id"
        ).scalar_one()

        checked_in = check_in(connection, person, instance, "yes", now=utc(DURING))

    assert checked_in.at is not None
    assert (checked_in.why_not, checked_in.deferred) == (None, False)
    assert (active_of(app, session), person_at(app, person)) == (instance, instance)


@pytest.mark.parametrize("moved", [False, True], ids=["cancelled", "moved away"])
def test_a3_a_yes_to_what_raw_sql_has_taken_away_moves_nobody(engine: Engine, app: Connection, *, moved: bool) -> None:
    session, instance = an_evening(app, engine, DURING)
    person = add_person(app)
    change_instance(app, instance, **({"date": "2026-12-20"} if moved else {"is_cancelled": True}))

    with engine.begin() as connection:
        checked_in = check_in(connection, person, instance, "yes", now=utc(DURING))

    assert checked_in.at is None
    assert checked_in.why_not is (WhyNot.NOT_OPEN_YET if moved else WhyNot.CANCELLED)
    assert (active_of(app, session), person_at(app, person)) == (None, None)


def test_a_comment_has_one_bound_for_hooks_and_pages(engine: Engine, app: Connection) -> None:
    _, instance = an_evening(app, engine)
    person = add_person(app)
    with engine.begin() as connection:
        check_in(connection, person, instance, "yes", "x" * 300)
        with pytest.raises(InvalidComment, match="301 characters; accepted are at most 300"):
            check_in(connection, person, instance, "yes", "x" * 301)


# What a new pattern leaves behind


def test_a_hook_names_what_no_longer_fits_and_what_becomes_of_it(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine)
    for _ in range(2):
        add_check_in(app, instance, add_person(app))
    day = value(app, "SELECT date FROM session_instance")

    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE session SET recurrence = '{WEDNESDAYS}' WHERE session_id = {session}")
        kept = session_saved(connection, session, now=utc(NOON))
    assert kept.left_behind == (LeftBehind(instance, day, 2, is_deleted=False),)


def test_a_hook_says_that_what_nobody_joined_is_deleted(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine)
    day = value(app, "SELECT date FROM session_instance")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE session SET recurrence = '{WEDNESDAYS}' WHERE session_id = {session}")
        gone = session_saved(connection, session, now=utc(NOON))

    assert gone.left_behind == (LeftBehind(instance, day, 0, is_deleted=True),)
    assert gone.deleted == (instance,)


# L2: the sweep alone


def test_l2_the_sweep_alone_hands_over_to_an_abutting_evening_in_time(engine: Engine, app: Connection) -> None:
    session = add_session(app, active_buffer_minutes_before=0, active_buffer_minutes_after=0)
    first = add_instance(app, session, "2026-12-01", "18:00", "20:00")
    second = add_instance(app, session, "2026-12-01", "20:00", "22:00")
    person = add_person(app)
    for instance in (first, second):
        add_check_in(app, instance, person)
    minute = utc("2026-12-01 00:01") - utc("2026-12-01 00:00")

    reconcile_at(engine, "2026-12-01 17:59", look_ahead=minute, cause="sweep")
    assert (active_of(app, session), person_at(app, person)) == (first, first)
    reconcile_at(engine, "2026-12-01 19:59", look_ahead=minute, cause="sweep")
    assert (active_of(app, session), person_at(app, person)) == (second, second)
    for at in ("2026-12-01 19:59:30", "2026-12-01 20:14", "2026-12-01 21:59"):
        assert reconcile_at(engine, at).flips == ()
    reconcile_at(engine, "2026-12-01 22:14", look_ahead=minute, cause="sweep")
    assert active_of(app, session) is None


def test_the_windows_of_a_test_are_as_stated(engine: Engine, app: Connection) -> None:
    session, instance = an_evening(app, engine)
    for at, expected in ((OPENS, instance), (CLOSES, None)):
        reconcile_at(engine, at)
        assert active_of(app, session) == expected
