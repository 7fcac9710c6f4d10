"""What a pass plans and activates: instances, their windows and their flips, read back from the tables (P1 to P7)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import Cause, ReconcileResult, update_active_sessions
from core.reconcile import chunk
from core.reconcile.batches import reconcile
from core.reconcile.result import PassOptions
from core.settings import load_settings
from core.store.queue.due import EVERYTHING
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    delete_instance,
    execute,
    flips_of,
    forget_requests,
    instances_of,
    only_instance,
    plan_of,
    requests,
    spans_of,
    times_of,
    value,
    windows_of,
)

HOUR = timedelta(hours=1)
EIGHT_TO_ELEVEN = recurring(weekly("tuesday", "20:00", "23:00"))
WEDNESDAYS = recurring(weekly("wednesday", "19:00", "22:00"))


def planned(engine: Engine, app: Connection, *, by_the_app: bool = False) -> tuple[int, int]:
    """A session of Tuesdays, and tonight's instance, planned at noon."""
    session = add_session(app, TUESDAYS)
    if by_the_app:
        add_instance(app, session, "2026-12-01", "19:00", "22:00")
    reconcile_at(engine, NOON)
    return session, only_instance(app, session)


# P1: what is made, and when


def test_p1_instance_is_made_a_day_before_its_window_opens(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)

    assert reconcile_at(engine, "2026-11-30 17:59:59").planned == ()
    assert instances_of(app, session) == []
    result = reconcile_at(engine, "2026-11-30 18:00")

    instance = only_instance(app, session)
    assert result.planned == (instance,)
    assert result.edges == {utc(OPENS), utc(CLOSES)}
    assert times_of(app, session) == ["2026-12-01 19:00-22:00"]
    assert windows_of(app, session) == [(instance, "01 18:00", "01 23:00", "ahead")]


@pytest.mark.parametrize(
    ("at", "spans", "edges"),
    [(OPENS, ["01 18:00 - 01 23:00"], {CLOSES}), (CLOSES, [], set())],
    ids=["at its opening", "at its closing"],
)
def test_p1_window_that_is_over_is_not_written_and_an_edge_that_has_come_gets_no_timer(
    engine: Engine, app: Connection, at: str, spans: list[str], edges: set[str]
) -> None:
    session = add_session(app, TUESDAYS)
    add_instance(app, session, "2026-12-01", "19:00", "22:00")

    result = reconcile_at(engine, at)

    assert spans_of(app, session) == spans
    assert result.edges == {utc(edge) for edge in edges}


def test_p1_planner_notes_when_the_session_is_next_due(engine: Engine, app: Connection) -> None:
    session, _ = planned(engine, app)

    plan = plan_of(app, session)

    assert plan["next_plan_at"] == "2026-12-07T18:00:00+00:00"
    assert plan["planned_through"] == "2026-12-02T12:00:00+00:00"
    assert requests(app) == []


def test_p1_session_without_a_recurrence_is_never_due_again(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    reconcile_at(engine, NOON)

    assert plan_of(app, session)["next_plan_at"] is None


def test_p1_weeks_go_by_and_each_has_its_instance(engine: Engine, app: Connection) -> None:
    session, _ = planned(engine, app)
    for at in ("2026-12-07 18:00", "2026-12-14 18:00", "2026-12-14 18:00"):
        reconcile_at(engine, at)

    assert times_of(app, session) == [f"2026-12-{day} 19:00-22:00" for day in ("01", "08", "15")]


def test_p1_window_opens_and_closes_and_the_log_tells_it(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)

    opened = reconcile_at(engine, OPENS, cause="timer")
    assert active_of(app, session) == instance
    assert windows_of(app, session) == [(instance, "01 18:00", "01 23:00", "open")]
    closed = reconcile_at(engine, "2026-12-01 23:00:02", cause="sweep")

    assert active_of(app, session) is None
    assert windows_of(app, session) == [(instance, "01 18:00", "01 23:00", "over")]
    assert [flip.session_instance_id for flip in opened.activated] == [instance]
    assert [flip.session_instance_id for flip in closed.deactivated] == [instance]
    assert (opened.deactivated, closed.activated) == ((), ())
    assert flips_of(app, session) == [
        (instance, True, utc(OPENS), utc(OPENS), "timer"),
        (instance, False, utc(CLOSES), utc("2026-12-01 23:00:02"), "sweep"),
    ]


def test_p1_instance_that_is_moved_after_it_closed_opens_again_and_its_past_window_stays_over(
    engine: Engine, app: Connection
) -> None:
    session, instance = planned(engine, app)
    for at in (OPENS, CLOSES):
        reconcile_at(engine, at)
    change_instance(app, instance, start_time="23:30", end_time="23:59")
    reconcile_at(engine, CLOSES)

    assert windows_of(app, session) == [
        (instance, "01 18:00", "01 23:00", "over"),
        (instance, "01 22:30", "02 00:59", "open"),
    ]
    change_instance(app, instance, start_time="23:40", end_time="23:59")
    reconcile_at(engine, CLOSES)
    assert spans_of(app, session) == ["01 18:00 - 01 23:00", "01 22:40 - 02 00:59"]


def test_p1_a_window_that_is_over_opens_again_by_a_clock_that_is_set_back_and_no_other_sessions(
    engine: Engine, app: Connection
) -> None:
    (one, _), (other, _) = planned(engine, app), planned(engine, app)
    for at in (OPENS, CLOSES):
        reconcile_at(engine, at)

    result = reconcile_at(engine, DURING, excluded=[other])

    assert ({flip.session_id for flip in result.activated}, result.failed) == ({one}, {})


# P2: what stands already


@pytest.mark.parametrize(
    ("start", "end", "expected", "spans"),
    [
        ("19:00", "22:00", ["2026-12-01 19:00-22:00"], ["01 18:00 - 01 23:00"]),
        ("20:30", "23:30", ["2026-12-01 20:30-23:30"], ["01 19:30 - 02 00:30"]),
        ("19:00", None, ["2026-12-01 19:00-None"], ["01 18:00 - 01 23:00"]),
        (None, None, ["2026-12-01 None-None"], ["01 18:00 - 01 23:00"]),
        (
            "12:00",
            "14:00",
            ["2026-12-01 12:00-14:00", "2026-12-01 19:00-22:00"],
            ["01 11:00 - 01 15:00", "01 18:00 - 01 23:00"],
        ),
    ],
    ids=["same times", "overlapping", "no end", "no start", "extra"],
)
def test_p2_instance_added_by_hand_never_gets_a_twin_and_never_swallows_the_regular_one(
    engine: Engine, app: Connection, *, start: str | None, end: str | None, expected: list[str], spans: list[str]
) -> None:
    session = add_session(app, TUESDAYS)
    add_instance(app, session, "2026-12-01", start, end)
    reconcile_at(engine, NOON)
    reconcile_at(engine, NOON)

    assert times_of(app, session) == expected
    assert spans_of(app, session) == spans


def test_p2_extra_added_while_the_daemon_runs_is_on_in_its_own_hours(engine: Engine, app: Connection) -> None:
    session, regular = planned(engine, app)
    extra = add_instance(app, session, "2026-12-03", "15:00", "17:00")
    reconcile_at(engine, NOON)
    reconcile_at(engine, "2026-12-03 16:00")

    assert active_of(app, session) == extra
    assert {row[0] for row in instances_of(app, session)} == {regular, extra}


# P3: following


@pytest.mark.parametrize("by_the_app", [False, True], ids=["planned", "the app's own"])
@pytest.mark.parametrize(
    ("at", "active_before", "active_after"),
    [(NOON, False, False), ("2026-12-01 18:30", True, False), (DURING, True, True)],
)
def test_p3_tonights_instance_follows_the_recurrence(
    engine: Engine, app: Connection, at: str, *, by_the_app: bool, active_before: bool, active_after: bool
) -> None:
    session, instance = planned(engine, app, by_the_app=by_the_app)
    reconcile_at(engine, at)
    assert (active_of(app, session) == instance) is active_before
    change_session(app, session, recurrence=EIGHT_TO_ELEVEN)

    result = reconcile_at(engine, at)

    assert result.retimed == (instance,)
    assert instances_of(app, session) == [(instance, "2026-12-01", "20:00", "23:00")]
    assert spans_of(app, session) == ["01 19:00 - 02 00:00"]
    assert (active_of(app, session) == instance) is active_after
    assert requests(app) == []


def test_p3_nothing_is_written_of_an_instance_whose_session_is_not_planned(engine: Engine, app: Connection) -> None:
    (session, _), (_, other) = planned(engine, app), planned(engine, app)
    written_by = "SELECT xmin::text FROM planned_instance WHERE session_instance_id = %s"
    before = value(app, written_by, other)
    change_session(app, session, recurrence=EIGHT_TO_ELEVEN)
    reconcile_at(engine, NOON)

    assert value(app, written_by, other) == before


def test_p3_session_that_goes_on_longer_is_not_flipped(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    reconcile_at(engine, DURING)
    change_session(app, session, recurrence=EIGHT_TO_ELEVEN)
    reconcile_at(engine, DURING)

    assert [(flip[0], flip[1]) for flip in flips_of(app, session)] == [(instance, True)]


def test_p3_times_changed_by_hand_are_kept(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    change_instance(app, instance, start_time="18:00", end_time="21:00")
    reconcile_at(engine, NOON)
    change_session(app, session, recurrence=EIGHT_TO_ELEVEN)
    reconcile_at(engine, NOON)

    assert times_of(app, session) == ["2026-12-01 18:00-21:00"]
    assert spans_of(app, session) == ["01 17:00 - 01 22:00"]


# P4: gone


REFERRING: dict[str, Callable[[Connection, int], object]] = {
    "a check-in": lambda app, instance: add_check_in(app, instance, add_person(app), "maybe"),
    "another table": lambda app, instance: execute(app, "INSERT INTO tune_set (at) VALUES (%s)", instance),
    "a table in another schema": lambda app, instance: execute(app, "INSERT INTO extra.photo VALUES (%s)", instance),
    "a comment": lambda app, instance: change_instance(app, instance, comments="bring the pipes"),
    "another place": lambda app, instance: change_instance(app, instance, location_override="upstairs"),
}


def add_tables_that_refer(app: Connection) -> None:
    key = "integer REFERENCES session_instance ON DELETE CASCADE"
    execute(app, f"CREATE TABLE tune_set (tune_set_id serial PRIMARY KEY, at {key})")
    execute(app, f'CREATE SCHEMA extra; CREATE TABLE extra.photo ("of" {key})')


@pytest.mark.usefixtures("database_of_its_own")
def test_p4_planned_instance_that_nobody_touched_goes_with_its_occurrence(engine: Engine, app: Connection) -> None:
    add_tables_that_refer(app)
    session, instance = planned(engine, app)
    change_session(app, session, recurrence=WEDNESDAYS)

    result = reconcile_at(engine, NOON)

    assert result.deleted == (instance,)
    assert result.unwindowed == ()
    assert times_of(app, session) == []
    assert execute(app, "SELECT * FROM skipped_occurrence") == []


@pytest.mark.usefixtures("database_of_its_own")
@pytest.mark.parametrize("who", REFERRING)
def test_p4_instance_that_somebody_touched_or_refers_to_stays_without_a_window(
    engine: Engine, app: Connection, who: str
) -> None:
    add_tables_that_refer(app)
    session, instance = planned(engine, app)
    REFERRING[who](app, instance)
    change_session(app, session, recurrence=WEDNESDAYS)

    result = reconcile_at(engine, NOON)

    assert result.deleted == ()
    assert result.unwindowed == (instance,)
    assert instance in {row[0] for row in instances_of(app, session)}
    assert instance not in {row[0] for row in windows_of(app, session)}


@pytest.mark.usefixtures("database_of_its_own")
def test_p4_a_column_that_the_app_requires_stops_the_making_of_rows_and_nothing_else(
    engine: Engine, app: Connection
) -> None:
    before, instance = planned(engine, app)
    execute(app, "ALTER TABLE session_instance ADD fee integer NOT NULL DEFAULT 0")
    execute(app, "ALTER TABLE session_instance ALTER fee DROP DEFAULT")
    one, filled, other = (add_session(app, TUESDAYS) for _ in range(3))
    execute(
        app,
        f"""
        CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.fee := 5; RETURN NEW; END $$;
        CREATE TRIGGER fill BEFORE INSERT ON session_instance FOR EACH ROW
            WHEN (NEW.session_id = {filled}) EXECUTE FUNCTION fill()
        """,
    )
    change_session(app, before, recurrence=EIGHT_TO_ELEVEN)

    result = reconcile_at(engine, NOON)

    assert (result.failed, result.deferred, result.retimed) == ({}, frozenset(), (instance,))
    assert [len(instances_of(app, session)) for session in (one, filled, other)] == [0, 1, 0]


@pytest.mark.usefixtures("database_of_its_own")
def test_p4_without_a_foreign_key_too_an_answered_instance_stays_and_another_goes(
    engine: Engine, app: Connection
) -> None:
    key = "session_instance_person_session_instance_id_fkey"
    execute(app, f"ALTER TABLE session_instance_person DROP CONSTRAINT {key}")
    add_session(app, recurring(weekly("tuesday", "12:00", "13:00")))  # it is on, and the log says so
    (one, answered), (other, alone) = planned(engine, app), planned(engine, app)
    add_check_in(app, answered, add_person(app), "maybe")
    for session in (one, other):
        change_session(app, session, recurrence=WEDNESDAYS)

    assert reconcile_at(engine, NOON).deleted == (alone,)


@pytest.mark.usefixtures("database_of_its_own")
def test_p4_an_instance_that_was_cancelled_with_a_reason_and_restored_is_as_the_planner_made_it(
    engine: Engine, app: Connection
) -> None:
    session, instance = planned(engine, app)
    change_instance(app, instance, is_cancelled=True, cancel_reason="no room")
    reconcile_at(engine, NOON)
    change_instance(app, instance, is_cancelled=False)
    change_session(app, session, recurrence=WEDNESDAYS)

    assert reconcile_at(engine, NOON).deleted == (instance,)


def test_p4_the_apps_own_instance_stays_without_a_window(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app, by_the_app=True)
    change_session(app, session, recurrence=None)

    result = reconcile_at(engine, NOON)

    assert (result.deleted, result.unwindowed) == ((), (instance,))
    assert times_of(app, session) == ["2026-12-01 19:00-22:00"]
    assert windows_of(app, session) == []


def test_p4_instance_whose_recurrence_is_edited_away_while_it_is_on_closes_and_stays(
    engine: Engine, app: Connection
) -> None:
    session, instance = planned(engine, app)
    person = add_person(app)
    reconcile_at(engine, OPENS)
    execute(app, "UPDATE person SET active_session_instance_id = %s", instance)
    change_session(app, session, recurrence=None)

    result = reconcile_at(engine, DURING)

    assert (result.deleted, result.unwindowed) == ((), (instance,))
    assert [(flip.session_instance_id, flip.due_at) for flip in result.deactivated] == [(instance, utc(DURING))]
    assert active_of(app, session) is None
    assert value(app, "SELECT active_session_instance_id FROM person WHERE person_id = %s", person) is None
    change_session(app, session, recurrence=WEDNESDAYS)
    assert reconcile_at(engine, DURING).deleted == (), "it was on"


def test_p4_instance_that_is_on_stays_though_the_log_no_longer_tells_when_it_opened(
    engine: Engine, app: Connection
) -> None:
    session, _ = planned(engine, app)
    reconcile_at(engine, OPENS)
    execute(app, "DELETE FROM activation_log")
    change_session(app, session, recurrence=None)

    assert reconcile_at(engine, DURING).deleted == ()


def test_p4_a_row_that_followed_its_occurrence_goes_with_it_unless_somebody_had_touched_it(
    engine: Engine, app: Connection
) -> None:
    (free, alone), (touched, noted), (other, also_noted) = (planned(engine, app) for _ in range(3))
    for instance in (noted, also_noted):
        change_instance(app, instance, comments="bring the pipes")
    for session in (free, touched):
        change_session(app, session, recurrence=EIGHT_TO_ELEVEN)
    assert reconcile_at(engine, NOON).retimed == (alone, noted)
    for session in (free, touched, other):
        change_session(app, session, recurrence=WEDNESDAYS)

    assert reconcile_at(engine, NOON).deleted == (alone,)


def test_p4_instance_that_lost_its_occurrence_comes_back_with_it(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app, by_the_app=True)
    reconcile_at(engine, DURING)
    for recurrence, active in ((None, None), (TUESDAYS, instance)):
        change_session(app, session, recurrence=recurrence)
        reconcile_at(engine, DURING)
        assert active_of(app, session) == active

    assert times_of(app, session) == ["2026-12-01 19:00-22:00"]


def test_p4_lost_instance_that_is_given_other_times_is_an_extra_and_bound_no_more(
    engine: Engine, app: Connection
) -> None:
    (session, instance), (_, other) = planned(engine, app, by_the_app=True), planned(engine, app)
    change_session(app, session, recurrence=None)
    reconcile_at(engine, NOON)
    change_instance(app, instance, start_time="15:00", end_time="16:00")
    reconcile_at(engine, NOON)

    assert spans_of(app, session) == ["01 14:00 - 01 17:00"]
    assert execute(app, "SELECT session_instance_id FROM planned_instance") == [(other,)]


@pytest.mark.parametrize("at", [NOON, DURING], ids=["ahead", "on"])
def test_p4_instance_deleted_by_hand_stays_deleted(engine: Engine, app: Connection, at: str) -> None:
    session, instance = planned(engine, app)
    reconcile_at(engine, at)
    delete_instance(app, instance)
    for later in (at, "2026-12-07 18:00"):
        reconcile_at(engine, later)

    assert times_of(app, session) == ["2026-12-08 19:00-22:00"]
    assert active_of(app, session) is None
    assert execute(app, "SELECT session_id, occurrence_start::date::text FROM skipped_occurrence") == [
        (session, "2026-12-01")
    ]


def test_p4_past_is_never_rewritten(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    reconcile_at(engine, DURING)
    reconcile_at(engine, CLOSES)
    change_session(app, session, recurrence=EIGHT_TO_ELEVEN, timezone="Europe/Paris")
    reconcile_at(engine, "2026-12-02 12:00")

    assert instances_of(app, session) == [(instance, "2026-12-01", "19:00", "22:00")]


# P5: cancelled


def test_p5_cancelled_instance_closes_and_opens_again_when_it_is_not(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    reconcile_at(engine, OPENS)
    result = []
    for cancelled in (True, False, True, None):
        change_instance(app, instance, is_cancelled=cancelled)
        reconcile_at(engine, DURING)
        result.append((active_of(app, session), spans_of(app, session)))

    assert result == [(None, []), (instance, ["01 18:00 - 01 23:00"])] * 2
    assert times_of(app, session) == ["2026-12-01 19:00-22:00"]


# P7: several instances


def day(*schedules: tuple[str, str]) -> str:
    return recurring(*(weekly("tuesday", start, end) for start, end in schedules))


@pytest.mark.parametrize(
    ("recurrence", "spans"),
    [
        (
            day(("12:00", "14:00"), ("19:00", "22:00")),
            [("11:00", "12:00-14:00"), ("15:00", None), ("18:00", "19:00-22:00"), ("23:00", None)],
        ),
        (day(("22:00", "02:00")), [("21:00", "22:00-02:00"), ("23:59", "22:00-02:00"), ("27:00", None)]),
        (
            day(("14:00", "16:00"), ("18:00", "20:00")),
            [("13:00", "14:00-16:00"), ("17:00", "18:00-20:00"), ("21:00", None)],
        ),
        (
            day(("14:00", "16:00"), ("16:00", "18:00")),
            [("13:00", "14:00-16:00"), ("15:59", "14:00-16:00"), ("16:00", "16:00-18:00"), ("19:00", None)],
        ),
        (
            day(("14:00", "20:00"), ("16:00", "17:00")),
            [("13:00", "14:00-20:00"), ("16:00", "16:00-17:00"), ("17:00", "14:00-20:00"), ("21:00", None)],
        ),
        (
            day(("14:00", "16:00"), ("15:00", "17:00"), ("16:30", "18:00")),
            [
                ("14:00", "14:00-16:00"),
                ("15:00", "15:00-17:00"),
                ("16:00", "15:00-17:00"),
                ("16:30", "16:30-18:00"),
                ("18:59", "16:30-18:00"),
                ("19:00", None),
            ],
        ),
    ],
    ids=["two slots", "overnight", "abutting windows", "abutting hours", "nested", "chained"],
)
def test_p7_one_instance_is_on_at_a_time(
    engine: Engine, app: Connection, recurrence: str, spans: list[tuple[str, str | None]]
) -> None:
    session = add_session(app, recurrence)
    reconcile_at(engine, "2026-12-01 10:00")
    hours = {row[0]: f"{row[2]}-{row[3]}" for row in instances_of(app, session)}
    result = []
    for at, _ in spans:
        hour, minute = map(int, at.split(":"))
        now = f"2026-12-{1 + hour // 24:02} {hour % 24:02}:{minute:02}"
        reconcile_at(engine, now)
        assert reconcile_at(engine, now) == ReconcileResult()
        active = active_of(app, session)
        result.append((at, hours[active] if active else None))

    assert result == spans
    assert execute(app, "SELECT * FROM activation_window WHERE phase <> 'over'") == []


# Edits of the session


@pytest.mark.parametrize(
    ("columns", "spans"),
    [
        ({"timezone": "America/New_York"}, ["01 23:00 - 02 04:00"]),
        ({"timezone": "Asia/Tokyo"}, ["01 09:00 - 01 14:00"]),
        ({"active_buffer_minutes_before": 0}, ["01 19:00 - 01 23:00"]),
        ({"active_buffer_minutes_after": 90}, ["01 18:00 - 01 23:30"]),
        ({"active_buffer_minutes_before": 1440, "active_buffer_minutes_after": 0}, ["30 19:00 - 01 22:00"]),
        ({"termination_date": "2026-11-30"}, []),
        ({"termination_date": "2026-12-01"}, ["01 18:00 - 01 23:00"]),
        ({"initiation_date": "2026-12-02"}, []),
        ({"name": "Hughes'"}, ["01 18:00 - 01 23:00"]),
    ],
    ids=str,
)
def test_p3_edit_of_the_session_moves_its_windows(
    engine: Engine, app: Connection, columns: dict[str, object], spans: list[str]
) -> None:
    session, _ = planned(engine, app)
    change_session(app, session, **columns)
    reconcile_at(engine, "2026-12-01 08:00")

    assert spans_of(app, session) == spans


def test_r3_terminated_session_closes_at_once_also_when_the_app_made_the_instance(
    engine: Engine, app: Connection
) -> None:
    session, instance = planned(engine, app, by_the_app=True)
    reconcile_at(engine, DURING)
    change_session(app, session, termination_date="2026-11-30")

    result = reconcile_at(engine, DURING)

    assert active_of(app, session) is None
    assert result.unwindowed == (instance,)


def test_instance_moved_to_another_session_is_that_ones(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    other = add_session(app, timezone="Europe/Paris")
    reconcile_at(engine, OPENS)
    change_instance(app, instance, session_id=other)
    reconcile_at(engine, DURING)

    assert active_of(app, other) == instance
    assert [row[:3] for row in windows_of(app, other)] == [(instance, "01 17:00", "01 22:00")]
    [replacement] = [row[0] for row in instances_of(app, session)]
    assert active_of(app, session) == replacement
    reconcile_at(engine, "2026-12-01 22:00")
    assert (active_of(app, session), active_of(app, other)) == (replacement, None)


# P6, T5


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"timezone": "Europe/Dublinn"}, "'Europe/Dublinn' is not a known time zone; expected 'Europe/Dublin'"),
        ({"timezone": None}, "no time zone is given; expected a name such as 'Europe/Dublin'"),
        ({"recurrence": "Tuesdays from seven"}, None),
        ({"recurrence": '{"schedules": [{"type": "yearly"}]}'}, None),
    ],
    ids=["unknown zone", "no zone", "free text", "unknown type"],
)
def test_p6_what_cannot_be_read_changes_nothing_is_listed_and_holds_up_nobody(
    engine: Engine, app: Connection, columns: dict[str, object], error: str | None
) -> None:
    session, instance = planned(engine, app)
    change_session(app, session, **columns)
    healthy = add_session(app, TUESDAYS)

    result = reconcile_at(engine, NOON)

    assert result.unreadable.keys() == {session}
    assert error is None or error in result.unreadable[session]
    assert plan_of(app, session)["error"] == result.unreadable[session]
    assert plan_of(app, session)["next_plan_at"] is None
    assert requests(app) == []
    reconcile_at(engine, OPENS)
    assert active_of(app, session) == instance
    assert active_of(app, healthy) == only_instance(app, healthy)
    change_session(app, session, recurrence=TUESDAYS, timezone="Europe/Dublin")
    reconcile_at(engine, OPENS)
    assert plan_of(app, session)["error"] is None


def test_p6_with_an_unknown_zone_a_cancelled_instance_loses_its_window_and_another_keeps_it(
    engine: Engine, app: Connection
) -> None:
    session, instance = planned(engine, app)
    other = add_instance(app, session, "2026-12-02", "19:00", "22:00")
    reconcile_at(engine, NOON)
    change_session(app, session, timezone="Mars/Olympus")
    change_instance(app, instance, is_cancelled=True)
    reconcile_at(engine, NOON)

    assert windows_of(app, session) == [(other, "02 18:00", "02 23:00", "ahead")]


def test_p6_session_that_failed_before_and_now_cannot_be_read_is_listed(engine: Engine, app: Connection) -> None:
    session, _ = planned(engine, app)
    execute(app, "UPDATE session_plan SET failures = 3, error = 'RaiseException: no', retry_at = %s", utc(NOON))
    change_session(app, session, recurrence="Tuesdays")

    result = reconcile_at(engine, NOON)

    plan = plan_of(app, session)
    assert plan["error"] == result.unreadable[session]
    assert (plan["failures"], plan["retry_at"]) == (0, None)


@pytest.mark.parametrize(("stored", "is_stale"), [("1999a", True), ("9999z", False)], ids=["older", "newer"])
def test_t5_only_newer_zone_data_makes_a_plan_stale(
    engine: Engine, app: Connection, stored: str, *, is_stale: bool
) -> None:
    session, _ = planned(engine, app)
    # As the older zone data would have had it.
    execute(app, "UPDATE activation_window SET opens_at = opens_at - interval '1 hour'")
    execute(app, "UPDATE session_plan SET zone_version = %s", stored)

    reconcile_at(engine, NOON)

    assert spans_of(app, session) == (["01 18:00 - 01 23:00"] if is_stale else ["01 17:00 - 01 23:00"])
    assert (plan_of(app, session)["zone_version"] == stored) is not is_stale


# Since when a flip is due, by the database's clock


def add_instance_that_is_on(app: Connection, session: int) -> int:
    now = value(app, "SELECT now() AT TIME ZONE 'UTC'")
    return add_instance(app, session, f"{now:%Y-%m-%d}", f"{now:%H:%M}", f"{now + HOUR:%H:%M}")


def edited(app: Connection) -> datetime:
    """Return when the app made its edit, seven seconds ago."""
    execute(app, "UPDATE plan_request SET requested_at = clock_timestamp() - interval '7 seconds'")
    at: datetime = value(app, "SELECT max(requested_at) FROM plan_request")
    return at


def test_l7_what_an_edit_turns_on_or_off_is_due_since_the_edit(engine: Engine, app: Connection) -> None:
    session = add_session(app, timezone="UTC")
    update_active_sessions(engine)
    instance = add_instance_that_is_on(app, session)
    added = edited(app)
    update_active_sessions(engine)
    change_instance(app, instance, is_cancelled=True)
    cancelled = edited(app)
    update_active_sessions(engine)

    assert [(*flip[:3], flip[4]) for flip in flips_of(app, session)] == [
        (instance, True, added, "hook"),
        (instance, False, cancelled, "hook"),
    ]


def test_l7_before_the_first_pass_of_all_nothing_was_anybodys_to_do(engine: Engine, app: Connection) -> None:
    session = add_session(app, timezone="UTC")
    add_instance_that_is_on(app, session)
    requested = edited(app)

    reconcile(engine, PassOptions(Cause.START, load_settings(), is_first=True), EVERYTHING)

    [(_, _, due_at, *_)] = flips_of(app, session)
    assert due_at > requested


def test_l7_what_was_requested_before_the_clock_was_set_back_is_due_at_once(engine: Engine, app: Connection) -> None:
    session = add_session(app, timezone="UTC")
    add_instance_that_is_on(app, session)
    execute(app, "UPDATE plan_request SET requested_at = clock_timestamp() + interval '1 hour'")
    update_active_sessions(engine)

    [(_, _, due_at, done_at, _)] = flips_of(app, session)
    assert due_at <= done_at


def test_l7_bit_that_somebody_writes_after_the_closing_is_a_repair(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    add_session(app, recurring(weekly("tuesday", "23:50", "23:55")))  # it opens in the pass that closes the other
    for at in (OPENS, CLOSES):
        reconcile_at(engine, at, cause="timer")
    change_instance(app, instance, active=True)
    reconcile_at(engine, CLOSES, cause="timer")

    assert [(active, cause) for _, active, _, _, cause in flips_of(app, session)] == [
        (True, "timer"),
        (False, "timer"),
        (False, "repair"),
    ]


def test_l7_closing_at_its_edge_is_no_repair_though_somebody_else_opened(engine: Engine, app: Connection) -> None:
    session, instance = planned(engine, app)
    change_instance(app, instance, active=True)
    for at in (OPENS, CLOSES):
        reconcile_at(engine, at, cause="timer")

    assert [(active, cause) for _, active, _, _, cause in flips_of(app, session)] == [(False, "timer")]


def test_l7_a_window_that_gets_another_end_has_been_wanted_since_before(engine: Engine, app: Connection) -> None:
    session, _ = planned(engine, app)
    change_session(app, session, recurrence=recurring(weekly("tuesday", "19:00", "23:00")))
    reconcile_at(engine, utc(NOON) + HOUR)

    assert spans_of(app, session) == ["01 18:00 - 02 00:00"]
    assert value(app, "SELECT planned_at FROM activation_window") == utc(NOON)


def test_l7_what_nobody_requested_is_due_since_it_is_planned(engine: Engine, app: Connection) -> None:
    session = add_session(app, timezone="UTC")
    instance = add_instance_that_is_on(app, session)
    forget_requests(app)
    execute(app, "UPDATE session_plan SET next_plan_at = now()")
    before = value(app, "SELECT clock_timestamp()")

    result = update_active_sessions(engine)

    assert (result.failed, active_of(app, session)) == ({}, instance)
    [(_, _, due_at, *_)] = flips_of(app, session)
    assert due_at >= before


# A pass for an edge that is to come


def test_l1_a_pass_ahead_leaves_what_became_of_deleted_sessions(engine: Engine, app: Connection) -> None:
    execute(app, "INSERT INTO plan_request (session_id) VALUES (1000000)")
    with engine.begin() as connection:
        options = PassOptions(Cause.TIMER, load_settings(), utc(OPENS), is_ahead=True)
        assert chunk.reconcile_chunk(connection, options, [1_000_000]) == ReconcileResult()

    assert requests(app) == [1_000_000]


# How long a pass plans


def test_a_pass_leaves_what_it_has_no_time_to_plan_to_the_next(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [planned(engine, app)[0] for _ in range(4)]
    for session in sessions[:3]:
        change_session(app, session, recurrence=WEDNESDAYS)
    monkeypatch.setattr(chunk, "PLANNING_SECONDS", -1.0)

    rounds = [reconcile_at(engine, OPENS, rounds=1) for _ in range(4)]

    # One more in each round. The fourth session has an edge and no edit: it does not wait for them.
    assert [result.sessions for result in rounds] == [{sessions[0], sessions[3]}, {sessions[1]}, {sessions[2]}, set()]
    assert [len(result.activated) for result in rounds] == [1, 0, 0, 0]
    assert [result.deferred for result in rounds] == [frozenset()] * 4
    assert requests(app) == []
    assert [len(instances_of(app, session)) for session in sessions] == [1, 1, 1, 1]


def test_a_reconcile_without_rounds_plans_what_each_pass_left(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [add_session(app, TUESDAYS) for _ in range(5)]
    monkeypatch.setattr(chunk, "PLANNING_SECONDS", -1.0)

    result = reconcile_at(engine, NOON)

    assert result.sessions == set(sessions)
    assert len(result.planned) == 5
    assert requests(app) == []
