"""Anything, in any order: the app's edits and check-ins, the clock, and passes; then the truth must be what rows say.

The machine's clock stays within half an hour of the server's, because the check-in trigger asks for a pass only where
a window is within an hour of the server's present. All else is relative to `BASE`, the real minute in which it began.

One transaction of the app may stand open meanwhile ("slow"): what it wrote is seen by nobody, what it locked is in
everybody's way, and a pass inside it is late by the time it commits. It is one thread, so that a failure shrinks.

Covers core.hooks, core.reconcile, core.rules.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.active_session_manager import (
    ReconcileResult,
    check_in,
    instance_saved,
    leave,
    remove_check_in,
    session_saved,
    update_active_sessions,
)
from core.explain import Explanation, Why, explain_instance, explain_person, explain_session
from core.migrations import migrate
from tests.core.emptied import empty
from tests.core.oracle import zone_info
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import add_check_in, add_instance, add_person, add_session, change, connected, execute

MINUTE = timedelta(minutes=1)
BASE = datetime.now(UTC).replace(second=0, microsecond=0)
ACTIVE_OF = "SELECT session_instance_id FROM session_instance WHERE session_id = %s AND active"
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Europe/Dublin")

# The app has a column that deactivates people, and a trigger that sets another whenever anybody writes a row.
HABITS_OF_THE_APP = """
    ALTER TABLE person ADD COLUMN active boolean DEFAULT true;
    ALTER TABLE session_instance ADD COLUMN last_modified_date timestamptz;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.last_modified_date := clock_timestamp(); RETURN NEW; END
    $$;
    CREATE TRIGGER touch BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION touch();
"""

which = st.integers(0, 4)  # of the rows that stand, by id
zones = st.sampled_from(ZONES)
starts = st.sampled_from([minutes * MINUTE for minutes in (-150, -90, -60, -30, -10, 0, 5, 10, 30, 60, 90, 24 * 60)])
starts_near = st.sampled_from([minutes * MINUTE for minutes in (-30, -10, 0, 10, 40, 60, 65, 70, 80)])
lengths = st.sampled_from([minutes * MINUTE for minutes in (5, 20, 60, 180)])
hours = st.lists(st.tuples(starts, lengths), max_size=2)
buffers = st.sampled_from([0, 5, 30, 60])
days = st.one_of(st.none(), st.integers(-2, 2))
attendances = st.sampled_from(["yes", "yes", "yes", "maybe", "no"])
anybody = st.sampled_from([False, False, False, True])


def local(offset: timedelta, zone: str) -> datetime:
    """The wall time that far from BASE."""
    return (BASE + offset).astimezone(zone_info(zone)).replace(tzinfo=None)


def recurrence(spans: list[tuple[timedelta, timedelta]], zone: str, off: int | None = None) -> str | None:
    """Weekly, on those days and at those hours; with a break of the date that is `off` days from today."""
    schedules = [
        {
            "type": "weekly",
            "weekday": f"{local(start, zone):%A}".lower(),
            "start_time": f"{local(start, zone):%H:%M}",
            "end_time": f"{local(start + length, zone):%H:%M}",
        }
        for start, length in spans
    ]
    breaks = [] if off is None else [str(local(timedelta(), zone).date() + timedelta(days=off))]
    return json.dumps({"schedules": schedules, "except": breaks}) if schedules else None


class Evening(RuleBasedStateMachine):
    """`db` below is the app's connection: in autocommit, or the slow one, inside its transaction."""

    def __init__(self, engine: Engine, app: Connection, slow: Connection) -> None:
        super().__init__()
        self.engine, self.app, self.slow = engine, app, slow
        self.is_open = False
        self.now = BASE

    @initialize(
        spans=st.lists(st.tuples(starts_near, lengths), min_size=3, max_size=3),
        zone=zones,
        expected=st.lists(st.tuples(which, which), max_size=5, unique=True),
    )
    def begin(self, spans: list[tuple[timedelta, timedelta]], zone: str, expected: list[tuple[int, int]]) -> None:
        """Three sessions around now, and three people who have said yes to some."""
        empty(self.app)
        for span in spans:
            add_session(self.app, recurrence([span], zone), timezone=zone, active_buffer_minutes_after=5)
            add_person(self.app)
        self.now = BASE - 20 * MINUTE
        self.look(look_ahead=0)
        for who, at in expected:
            self.check_in_by_raw_sql(who=who, at=at, slowly=False, attendance="yes", is_dated=True)

    # What the app writes

    @contextmanager
    def writing(self, *, slowly: bool) -> Iterator[Connection]:
        """Yield the connection to write with; whom somebody holds, the app gives up on, and tries something else."""
        db = self.slow if slowly else self.app
        self.is_open |= slowly
        try:
            yield db
        except (psycopg2.Error, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if not isinstance(cause, psycopg2.errors.LockNotAvailable | psycopg2.IntegrityError):
                raise
            if slowly:
                self.finish(commit=False)

    def one(self, db: Connection, table: str, at: int) -> int | None:
        """The id of a row, as this connection sees them."""
        found = execute(db, f"SELECT {table}_id FROM {table} ORDER BY 1")
        return int(found[at % len(found)][0]) if found else None

    def somewhere(self, db: Connection, at: int) -> int | None:
        """The id of an instance whose window is near; of any, where there is none or `at` is 0."""
        near = execute(
            db, "SELECT DISTINCT session_instance_id FROM activation_window WHERE phase <> 'over' ORDER BY 1"
        )
        return int(near[at % len(near)][0]) if near and at else self.one(db, "session_instance", at)

    def zone_of(self, db: Connection, session: int) -> str:
        [(zone,)] = execute(db, "SELECT timezone FROM session WHERE session_id = %s", session)
        return str(zone)

    def edit(self, table: str, at: int, slowly: bool, columns: Callable[[Connection, int], dict[str, Any]]) -> None:
        with self.writing(slowly=slowly) as db:
            row = self.one(db, table, at)
            if row is not None:
                change(db, table, row, **columns(db, row))

    @rule(at=which, slowly=anybody, spans=hours, off=days)
    def save_recurrence(self, at: int, slowly: bool, spans: list[tuple[timedelta, timedelta]], off: int | None) -> None:
        self.edit(
            "session", at, slowly, lambda db, session: {"recurrence": recurrence(spans, self.zone_of(db, session), off)}
        )

    @rule(at=which, slowly=anybody)
    def save_what_cannot_be_read(self, at: int, slowly: bool) -> None:
        self.edit("session", at, slowly, lambda *_: {"recurrence": "most Tuesdays"})

    @rule(at=which, slowly=anybody, zone=zones)
    def save_zone(self, at: int, slowly: bool, zone: str) -> None:
        self.edit("session", at, slowly, lambda *_: {"timezone": zone})

    @rule(at=which, slowly=anybody, before=buffers, after=buffers)
    def save_buffers(self, at: int, slowly: bool, before: int, after: int) -> None:
        self.edit(
            "session",
            at,
            slowly,
            lambda *_: {"active_buffer_minutes_before": before, "active_buffer_minutes_after": after},
        )

    @rule(at=which, slowly=anybody, column=st.sampled_from(["initiation_date", "termination_date"]), day=days)
    def save_date(self, at: int, slowly: bool, column: str, day: int | None) -> None:
        when = None if day is None else BASE.date() + timedelta(days=day)
        self.edit("session", at, slowly, lambda *_: {column: when})

    @rule(at=which, slowly=anybody, start=starts, length=lengths, states=st.sampled_from(["both", "start", "none"]))
    def add_by_hand(self, at: int, slowly: bool, start: timedelta, length: timedelta, states: str) -> None:
        with self.writing(slowly=slowly) as db:
            session = self.one(db, "session", at)
            if session is not None:
                add_instance(db, session, *self.times(db, session, start, length, states))

    def times(
        self, db: Connection, session: int, start: timedelta, length: timedelta, states: str
    ) -> tuple[str, str | None, str | None]:
        zone = self.zone_of(db, session)
        begins, ends = local(start, zone), local(start + length, zone)
        return (
            f"{begins:%Y-%m-%d}",
            f"{begins:%H:%M}" if states != "none" else None,
            f"{ends:%H:%M}" if states == "both" else None,
        )

    @rule(at=which, slowly=anybody, start=starts, length=lengths, states=st.sampled_from(["both", "start", "none"]))
    def move_by_hand(self, at: int, slowly: bool, start: timedelta, length: timedelta, states: str) -> None:
        def moved(db: Connection, instance: int) -> dict[str, Any]:
            [(session,)] = execute(
                db, "SELECT session_id FROM session_instance WHERE session_instance_id = %s", instance
            )
            names = ("date", "start_time", "end_time")
            return dict(zip(names, self.times(db, session, start, length, states), strict=True))

        self.edit("session_instance", at, slowly, moved)

    @rule(at=which, slowly=anybody, is_cancelled=st.sampled_from([True, False, None]))
    def cancel(self, at: int, slowly: bool, is_cancelled: bool | None) -> None:
        self.edit("session_instance", at, slowly, lambda *_: {"is_cancelled": is_cancelled})

    @rule(at=which, slowly=anybody, columns=st.sampled_from([{"active": True}, {"active": False}, {"comments": "x"}]))
    def meddle(self, at: int, slowly: bool, columns: dict[str, Any]) -> None:
        self.edit("session_instance", at, slowly, lambda *_: columns)

    @rule(who=which, at=which, slowly=anybody)
    def write_a_pointer_by_hand(self, who: int, at: int, slowly: bool) -> None:
        """To an instance that is on, or to none: the schema refuses any other."""
        with self.writing(slowly=slowly) as db:
            on = [None, *(row[0] for row in execute(db, "SELECT session_instance_id FROM active_instance ORDER BY 1"))]
            person = self.one(db, "person", who)
            if person is not None:
                change(db, "person", person, active_session_instance_id=on[at % len(on)])

    @rule(who=which, slowly=anybody, active=st.sampled_from([True, False, False, None]))
    def deactivate(self, who: int, slowly: bool, active: bool | None) -> None:
        self.edit("person", who, slowly, lambda *_: {"active": active})

    @rule(at=which, slowly=anybody)
    def add_a_twin_by_hand(self, at: int, slowly: bool) -> None:
        """A row with the very hours of one that stands, the planner's or a person's."""
        with self.writing(slowly=slowly) as db:
            twin_of = self.somewhere(db, at)
            columns = "session_id, date, start_time, end_time"
            execute(
                db,
                f"INSERT INTO session_instance ({columns}) SELECT {columns} FROM session_instance "
                "WHERE session_instance_id = %s",
                twin_of,
            )

    @rule(is_added=st.booleans())
    def add_or_drop_a_column(self, is_added: bool) -> None:
        with self.writing(slowly=False) as db:
            if is_added:
                execute(db, "ALTER TABLE session_instance ADD COLUMN IF NOT EXISTS venue text DEFAULT 'upstairs'")
            else:
                execute(db, "ALTER TABLE session_instance DROP COLUMN IF EXISTS venue")

    @rule(at=which, slowly=anybody, to=which)
    def give_to_another_session(self, at: int, slowly: bool, to: int) -> None:
        def given(db: Connection, _: int) -> dict[str, Any]:
            return {"session_id": self.one(db, "session", to)}

        self.edit("session_instance", at, slowly, given)

    @rule(
        at=which, slowly=anybody, table=st.sampled_from(["session_instance", "session_instance", "session", "person"])
    )
    def delete(self, at: int, slowly: bool, table: str) -> None:
        with self.writing(slowly=slowly) as db:
            execute(db, f"DELETE FROM {table} WHERE {table}_id = %s", self.one(db, table, at))

    # Check-ins

    @rule(who=which, at=which, slowly=anybody, attendance=attendances)
    def check_in(self, who: int, at: int, slowly: bool, attendance: str) -> None:
        with self.writing(slowly=slowly) as db:
            person, instance = self.one(db, "person", who), self.somewhere(db, at)
            if person is not None and instance is not None:
                check_in(db, person, instance, attendance, now=self.now)

    @rule(who=which, at=which, slowly=anybody)
    def take_back(self, who: int, at: int, slowly: bool) -> None:
        with self.writing(slowly=slowly) as db:
            person, instance = self.one(db, "person", who), self.somewhere(db, at)
            if person is not None and instance is not None:
                remove_check_in(db, person, instance, now=self.now)

    @rule(who=which, at=which, slowly=anybody)
    def leave(self, who: int, at: int, slowly: bool) -> None:
        with self.writing(slowly=slowly) as db:
            person, instance = self.one(db, "person", who), self.somewhere(db, at)
            if person is not None and instance is not None:
                leave(db, person, instance, now=self.now)

    @rule(at=which, slowly=anybody, minutes=st.sampled_from([None, -60, -5, 0, 0, 5]))
    def leave_by_raw_sql(self, at: int, slowly: bool, minutes: int | None) -> None:
        """Beside any answer, of any evening, of before or after now; or take it back."""
        when = None if minutes is None else self.now + minutes * MINUTE
        self.edit("session_instance_person", at, slowly, lambda *_: {"left_at": when})

    @rule(who=which, at=which, slowly=anybody, attendance=attendances, is_dated=st.booleans())
    def check_in_by_raw_sql(self, who: int, at: int, slowly: bool, attendance: str, is_dated: bool) -> None:
        with self.writing(slowly=slowly) as db:
            person, instance = self.one(db, "person", who), self.somewhere(db, at)
            if person is not None and instance is not None:
                dated = {"checked_in_at": self.now} if is_dated else {}
                add_check_in(db, instance, person, attendance, **dated)

    @rule(at=which, slowly=anybody, attendance=attendances)
    def change_check_in_by_raw_sql(self, at: int, slowly: bool, attendance: str) -> None:
        self.edit("session_instance_person", at, slowly, lambda *_: {"attendance": attendance})

    @rule(at=which, slowly=anybody, column=st.sampled_from(["session_instance", "person"]), to=which)
    def give_check_in_to_another(self, at: int, slowly: bool, column: str, to: int) -> None:
        def given(db: Connection, row: int) -> dict[str, Any]:
            other = self.one(db, column, to)
            if other is None:
                return {"comment": f"row {row}"}
            return {f"{column}_id": other}

        self.edit("session_instance_person", at, slowly, given)

    @rule(at=which, slowly=anybody)
    def delete_check_in_by_raw_sql(self, at: int, slowly: bool) -> None:
        self.delete(at=at, slowly=slowly, table="session_instance_person")

    @rule(steps=st.lists(st.tuples(which, which, anybody), min_size=2, max_size=5))
    def go_about(self, steps: list[tuple[int, int, bool]]) -> None:
        """One yes after the other, or a leaving, and a minute between them."""
        for who, at, leaves in steps:
            if leaves:
                self.leave(who=who, at=at, slowly=False)
            else:
                self.check_in(who=who, at=at, slowly=False, attendance="yes")
            self.step(seconds=60)

    # The clock

    @rule(seconds=st.sampled_from([-1500, -300, -60, -30, 30, 60, 300, 300, 600, 1200]))
    def step(self, seconds: int) -> None:
        stepped = self.now + timedelta(seconds=seconds)
        self.now = min(max(stepped, BASE - 25 * MINUTE), BASE + 25 * MINUTE)

    # Looks

    @rule(look_ahead=st.sampled_from([0, 0, 60]))
    def look(self, look_ahead: int) -> None:
        result = update_active_sessions(self.engine, self.now, look_ahead=timedelta(seconds=look_ahead))
        assert result.failed == {}
        self.nothing_is_on_that_should_not_be(result)

    @rule(at=which, slowly=anybody, by=st.sampled_from(["session", "session_instance"]))
    def hook(self, at: int, slowly: bool, by: str) -> None:
        with self.writing(slowly=slowly) as db:
            row = self.one(db, by, at)
            if row is not None:
                hook = session_saved if by == "session" else instance_saved
                assert hook(db, row, now=self.now).failed == {}

    @rule()
    def look_slowly(self) -> None:
        with self.writing(slowly=True) as db:
            assert update_active_sessions(db, self.now).failed == {}

    def nothing_is_on_that_should_not_be(self, result: ReconcileResult) -> None:
        """The keys of `active_instance` hold the rest: one a session, and nobody at what is not in it."""
        stored, right = as_stored(self.app), as_it_should_be(self.app, self.now, may_be_set_back=True)
        if not result.deferred and not self.is_open:
            assert stored.on == right.on

    # The slow transaction

    # Not by preconditions: whether it is open depends on who held what, and Hypothesis must draw the same again.
    @rule(commit=st.booleans())
    def finish(self, commit: bool) -> None:
        if commit:
            self.slow.commit()
        else:
            self.slow.rollback()
        self.is_open = False

    # The truth

    @rule()
    def be_quiet(self) -> None:
        if self.is_open:
            return
        for _ in range(4):
            result = update_active_sessions(self.engine, self.now)
            assert (result.failed, result.deferred) == ({}, frozenset())
        assert result == ReconcileResult()
        assert as_stored(self.app) == as_it_should_be(self.app, self.now, may_be_set_back=True)
        self.quiet_explanations_agree()

    @rule()
    def ask_why(self) -> None:
        """At any moment an explanation says what is stored, why, and what the next pass makes of it."""
        predicted: dict[int, bool] = {}
        requested = {row[0] for row in execute(self.app, "SELECT session_id FROM plan_request")}
        for instance, active in execute(self.app, "SELECT session_instance_id, active FROM session_instance"):
            explained = explain_instance(self.app, instance, now=self.now)
            assert explained.is_on == active
            assert self.is_true_of(instance, explained)
            assert not explained.agrees or active == (explained.why is Why.ON)
            # After the clock was set back, stored windows may differ from the rows' with no pass requested.
            is_replanned = any("session's windows change" in step.text.lower() for step in explained.steps)
            if explained.session_id in requested or not is_replanned:
                predicted[instance] = explained.why is Why.ON
        for person, at in execute(self.app, "SELECT person_id, active_session_instance_id FROM person"):
            assert explain_person(self.app, person, now=self.now).session_instance_id == at
        if not self.is_open and not update_active_sessions(self.engine, self.now).deferred:
            on = {row[0] for row in execute(self.app, "SELECT session_instance_id FROM active_instance")}
            assert {instance for instance, is_on in predicted.items() if is_on} == on & predicted.keys()

    def is_true_of(self, instance: int, explained: Explanation) -> bool:
        """Whether the reason that is stated is what the rows say."""
        [(cancelled, is_after, own, is_open)] = execute(
            self.app,
            "SELECT is_cancelled IS TRUE, date > coalesce(termination_date, 'infinity'), start_time, "
            # Not by the phase alone: where the bit is right already, the pass that notes it may still be to come.
            "EXISTS (SELECT FROM activation_window w WHERE w.session_instance_id = i.session_instance_id "
            "AND (phase = 'open' OR opens_at <= %s AND closes_at > %s)) "
            "FROM session_instance i JOIN session USING (session_id) WHERE session_instance_id = %s",
            self.now,
            self.now,
            instance,
        )
        match explained.why:
            case Why.CANCELLED:
                return bool(cancelled)
            case Why.TERMINATED:
                return bool(is_after) and not cancelled
            case Why.NO_HOURS:
                return own is None
            case Why.LOST | Why.OVER | Why.NOT_YET | Why.OVERLAPPED:
                return not cancelled and not is_after
            case Why.ON:
                return not cancelled and not is_after and (not explained.agrees or is_open)
        return False

    def quiet_explanations_agree(self) -> None:
        right = as_it_should_be(self.app, self.now, may_be_set_back=True)
        for (session,) in execute(self.app, "SELECT session_id FROM session"):
            explained = explain_session(self.app, session, now=self.now)
            on = [row[0] for row in execute(self.app, ACTIVE_OF, session)]
            assert [explained.session_instance_id] == on if explained.is_on else on == []
        for person, at in right.people.items():
            explained_person = explain_person(self.app, person, now=self.now)
            assert (explained_person.session_instance_id, explained_person.should_be_at) == (at, at)

    def teardown(self) -> None:
        self.finish(commit=True)
        self.be_quiet()


@pytest.mark.timeout(1800)  # with --long it takes twenty times as many steps
def test_after_anything_in_any_order_a_quiet_pass_leaves_what_the_rows_say(engine: Engine, database_url: str) -> None:
    effort = settings(max_examples=settings().max_examples // 5, stateful_step_count=30)
    with connected(database_url) as app, connected(database_url, autocommit=False) as slow:
        execute(app, HABITS_OF_THE_APP)
        migrate(database_url)  # finds the column that deactivates people
        for connection in (app, slow):
            execute(connection, "SET lock_timeout = '20ms'")
        slow.commit()
        run_state_machine_as_test(lambda: Evening(engine, app, slow), settings=effort)  # type: ignore[arg-type] # a factory will do
