"""One call of each public function of the store, and of `core.db.transaction_settings`, with arguments known by name.

The order of the calls is the order of the functions in their modules: it is the order in the golden files.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection

from core.db import transaction_settings
from core.rules.flips import Cause, Change, Decision, Flip, PhaseChange
from core.rules.overlaps import ActiveSpan
from core.rules.planner import Binding, NewInstance, Plan, RetimedInstance
from core.store import activation_windows, evenings, flips, heartbeats, hold, mirror, notify, older_columns, sessions
from core.store.activation_windows import StoredWindow
from core.store.heartbeats import Beat
from core.store.planning import instances, plans, snapshots
from core.store.presence import check_ins, locations, yeses
from core.store.queue import due, requests, retries
from core.store.queue.due import Reason, Search
from core.store.views import boards, pages, places, readings, reports, schedule, search, transitions
from core.store.views.places import Town
from core.store.views.transitions import Position
from core.windows import Window
from tests.data import add_instance, add_person, add_session, execute

SESSION, INSTANCE, PERSON, LIMIT, PID, ROW, MINUTES = 1001, 1002, 1003, 1004, 1005, 1006, 1007
OTHER_SESSION, OTHER_INSTANCE = 1014, 1015
NAME, CITY, COUNTRY, WORD, LAST_NAME = "a name", "a city", "a country", "word", "a last name"
STORED = "the name of the session that is there"
COMMENT, ATTENDANCE, ERROR, ZONE_VERSION, CAUSE = "a comment", "maybe", "an error", "2026z", "a cause"
HOST, VERSION, TROUBLE, OFFSET = "a host", "a version", "a trouble", 1008.5
COUNTERS = {"passes": 1009}
DAEMON = UUID(int=1010)
SNAPSHOT = "1011:1012:1011"
NOW, SINCE, UNTIL = (datetime(2026, 12, day, 19, tzinfo=UTC) for day in (1, 2, 3))
START, END = datetime(2026, 12, 1, 20), datetime(2026, 12, 1, 23)
DAY, MIDNIGHT = date(2026, 11, 27), datetime(2026, 11, 27)
AGE, LATE, AHEAD = timedelta(minutes=1011), timedelta(minutes=1012), timedelta(minutes=1013)

# An argument that a statement holds as a value is shown by this name. Any other value is a part of the statement.
ARGUMENTS: dict[object, str] = {
    SESSION: "session_id",
    INSTANCE: "session_instance_id",
    PERSON: "person_id",
    LIMIT: "limit",
    PID: "pid",
    ROW: "log_id",
    MINUTES: "minutes",
    NAME: "name",
    CITY: "city",
    COUNTRY: "country",
    WORD: "word",
    LAST_NAME: "last_name",
    COMMENT: "comment",
    ATTENDANCE: "attendance",
    ERROR: "error",
    CAUSE: "cause",
    ZONE_VERSION: "zone_version",
    HOST: "host",
    VERSION: "version",
    TROUBLE: "trouble",
    OFFSET: "clock_offset_ms",
    json.dumps(COUNTERS): "counters",
    DAEMON: "daemon_id",
    SNAPSHOT: "polled",
    NOW: "now",
    SINCE: "since",
    UNTIL: "until",
    START: "local_start",
    START.date(): "start_date",
    START.time(): "start_time",
    END.time(): "end_time",
    DAY: "since_date",
    MIDNIGHT: "since_midnight",
    AGE: "age",
    LATE: "later_than",
    AHEAD: "look_ahead",
}


def add_scene(app: Psycopg2Connection) -> None:
    """Add the few rows, and columns, without which a function would not come to its second statement."""
    execute(app, "ALTER TABLE session_instance ADD COLUMN is_active boolean")
    execute(app, "ALTER TABLE person ADD COLUMN older_pointer integer")
    execute(app, "INSERT INTO seisiun_choice VALUES ('older_active', 'is_active'), ('older_pointer', 'older_pointer')")
    add_session(app, session_id=SESSION, name=STORED)
    add_instance(app, SESSION, "2026-12-01", "20:00", "23:00", session_instance_id=INSTANCE)
    add_instance(app, SESSION, "2026-12-08", "20:00", "23:00", session_instance_id=OTHER_INSTANCE)
    add_person(app, person_id=PERSON, older_pointer=INSTANCE)
    execute(
        app,
        "INSERT INTO planned_instance (session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved) "
        "VALUES (%s, %s, %s, %s, false, false)",
        INSTANCE,
        SESSION,
        START,
        END,
    )


@dataclass(frozen=True)
class Call:
    """A call of a store's function; `variant` says how it differs from the function's other calls."""

    function: Callable[..., Any]
    run: Callable[[Connection], object]
    variant: str = ""


def calls() -> list[Call]:
    """Return all the calls, by module."""
    return [
        *_transaction_settings(),
        *_sessions(),
        *_evenings(),
        *_flips(),
        _call(mirror.differing),
        _call(mirror.settle, [INSTANCE]),
        _call(older_columns.differing),
        _call(older_columns.bring_into_line),
        *_activation_windows(),
        *_heartbeats(),
        _call(hold.end_soon_if_stopped),
        _call(notify.active_changed, [INSTANCE], variant="a few"),
        _call(notify.active_changed, range(21), variant="many"),
        _call(notify.app_notifies),
        _call(notify.queue_usage),
        *_queue(),
        *_planning(),
        *_presence(),
        *_boards(),
        *_places(),
        *_pages(),
        *_readings(),
        *_schedule(),
        *_search(),
        *_reports(),
        *_transitions(),
    ]


def _call(function: Callable[..., Any], *arguments: object, variant: str = "", **options: object) -> Call:
    """Return a call in a transaction that is marked as our own, as a pass's is."""

    def run(connection: Connection) -> object:
        return function(connection, *arguments, **options)

    return Call(function, run, variant)


def _block(function: Callable[..., AbstractContextManager[object]], *arguments: object) -> Call:
    """Return a call of a context manager, in a transaction of an app's."""

    def run(connection: Connection) -> None:
        with function(connection, *arguments):
            pass

    return Call(function, run)


def _transaction_settings() -> list[Call]:
    return [
        _call(transaction_settings.clock),
        _call(transaction_settings.begin_own),
        _block(transaction_settings.savepoint, {"lock_timeout": "250ms", "seisiun.own_write": "on"}),
        _call(transaction_settings.undo, "ROLLBACK"),
        _call(transaction_settings.fires_no_triggers),
        _call(transaction_settings.is_read_only),
    ]


def _sessions() -> list[Call]:
    values = {"name": NAME, "city": CITY, "active_buffer_minutes_before": MINUTES}
    return [
        _call(sessions.find_session, NAME, CITY),
        _call(sessions.insert_session, values),
        _call(sessions.update_session, SESSION, values),
        _call(sessions.save_all, [values], variant="one that is new"),
        _call(sessions.save_all, [values | {"name": STORED, "city": None}], variant="one that is stored"),
        _call(sessions.insert_instance, SESSION, START, END),
        _call(sessions.count_planned),
        _call(sessions.count_sessions),
    ]


def _evenings() -> list[Call]:
    return [
        _call(evenings.insert_instance, SESSION, {"date": DAY, "comments": WORD}),
        _call(evenings.update_instance, INSTANCE, {"date": DAY, "comments": WORD}),
        _call(evenings.release, INSTANCE),
        _call(evenings.who_said_yes, [INSTANCE]),
    ]


def _flips() -> list[Call]:
    off, on = (Flip(SESSION, INSTANCE, active=active, due_at=NOW) for active in (False, True))
    decision = Decision(SESSION, off, on, (PhaseChange(INSTANCE, NOW, "over"),))
    return [
        _call(flips.states, [SESSION], NOW),
        _call(flips.state_and_edit, SESSION, NOW),
        _call(flips.lock_for, [decision]),
        _call(flips.write, [decision], cause="timer", done_at=None),
    ]


def _activation_windows() -> list[Call]:
    gone, new = (frozenset({StoredWindow(INSTANCE, opens_at, UNTIL, opens_at, SESSION)}) for opens_at in (NOW, SINCE))
    return [
        _call(activation_windows.stored, [SESSION], NOW),
        _call(activation_windows.replace, gone, new, {}, NOW),
        _call(activation_windows.delete_of, [SESSION]),
    ]


def _heartbeats() -> list[Call]:
    def beat(*, pass_finished: bool) -> Beat:
        return Beat(DAEMON, HOST, PID, VERSION, pass_finished, SINCE, UNTIL, OFFSET, ZONE_VERSION, TROUBLE, COUNTERS)

    return [
        _call(heartbeats.beat, beat(pass_finished=False), variant="no pass has finished"),
        _call(heartbeats.beat, beat(pass_finished=True), variant="a pass has finished"),
        _call(heartbeats.end, DAEMON, TROUBLE),
        _call(heartbeats.heartbeats),
        _call(heartbeats.ended),
        _call(heartbeats.has_reconciled_within, AGE),
    ]


def _queue() -> list[Call]:
    return [
        *(_due(reason, None, f"for the reason {reason.name}") for reason in Reason),
        _due(Reason.EDGE, NOW, "for the reason EDGE, at a `now` that is given"),
        _call(requests.lock_plans, [SESSION], variant="without waiting"),
        _call(requests.lock_plans, [SESSION], wait=True, variant="waiting"),
        _call(requests.existing, [SESSION]),
        _call(requests.nothing_is_planned),
        _call(requests.plan_states, [SESSION]),
        _call(requests.delete_read, [SESSION]),
        _call(requests.drop_orphaned),
        _call(requests.add, [SESSION, OTHER_SESSION]),
        _call(requests.add_and_notify, [SESSION]),
        _call(requests.new_since, SNAPSHOT),
        _call(requests.make_missing_plans),
        _call(retries.record, {SESSION: ERROR}, None, failed_at=NOW),
        _call(retries.forget, {SESSION: ERROR}),
        _call(retries.time_to_next),
    ]


def _due(reason: Reason, now: datetime | None, variant: str) -> Call:
    return _call(
        due.due_sessions,
        Search(frozenset({reason})),
        now=now,
        look_ahead=AHEAD,
        zone_version=ZONE_VERSION,
        limit=LIMIT,
        variant=variant,
    )


def _planning() -> list[Call]:
    later = START + timedelta(days=7)
    new = NewInstance(-1, later.date(), later.time(), None, Binding(later, END + timedelta(days=7)))
    retimed = RetimedInstance(INSTANCE, START.date(), START.time(), None)
    plan = Plan(
        SESSION,
        made=(new,),
        retimed=(retimed,),
        bound={INSTANCE: Binding(START, END)},
        unbound=frozenset({INSTANCE}),
        deletable=frozenset({OTHER_INSTANCE}),
        windows=(ActiveSpan(INSTANCE, Window(NOW, UNTIL), NOW),),
        unwindowed=(),
        next_plan_at=None,
        warnings=(),
    )
    return [
        _call(instances.lock, [INSTANCE]),
        _call(instances.lock_keys, [INSTANCE]),
        _call(instances.lock_parents, [SESSION]),
        _call(instances.delete_unreferenced, frozenset({INSTANCE})),
        _call(instances.referenced, [INSTANCE]),
        _call(instances.make, [plan]),
        _call(instances.retime, [retimed]),
        _call(instances.note_written, [INSTANCE]),
        _call(instances.bind, [plan], frozenset()),
        _call(plans.lock_for, [plan], NOW),
        _call(
            plans.write, [plan], NOW, stored=frozenset(), requested={}, planned_through=UNTIL, zone_version=ZONE_VERSION
        ),
        _call(plans.bound_to, SESSION, START),
        _call(snapshots.snapshots, [SESSION], DAY),
    ]


def _presence() -> list[Call]:
    return [
        _call(check_ins.save, PERSON, INSTANCE, ATTENDANCE, COMMENT, now=None),
        _call(check_ins.leave, PERSON, INSTANCE, now=None, variant="by the database's clock"),
        _call(check_ins.leave, PERSON, INSTANCE, now=NOW, variant="at a `now` that is given"),
        _call(check_ins.remove, PERSON, INSTANCE),
        _call(check_ins.instance_status, INSTANCE, None, variant="by the database's clock"),
        _call(check_ins.instance_status, INSTANCE, NOW, variant="at a `now` that is given"),
        _call(check_ins.session_of, INSTANCE),
        _call(check_ins.count_yeses, [INSTANCE]),
        _call(check_ins.parties, INSTANCE, PERSON),
        _call(locations.at, [INSTANCE]),
        _call(locations.affected_by, [SESSION], DAY),
        _call(locations.lock_who_said_yes, [INSTANCE]),
        _call(locations.sessions_of, [INSTANCE]),
        _call(locations.lock, [PERSON]),
        _call(locations.lock_waiting, PERSON),
        _call(locations.release, [INSTANCE]),
        _call(locations.move, {PERSON: INSTANCE}),
        _call(locations.move_waiting, {PERSON: INSTANCE}),
        _call(yeses.by_person, [PERSON], NOW),
        _call(yeses.left_since, [PERSON], SINCE),
        _call(yeses.move_undisputed, [PERSON], [INSTANCE], NOW),
    ]


def _boards() -> list[Call]:
    return [
        _call(boards.by_country, LIMIT, LIMIT),
        _call(boards.by_town, [COUNTRY], LIMIT, LIMIT),
        _call(boards.windows_of, [INSTANCE]),
        _call(boards.windows_in_towns, [Town(CITY, None, COUNTRY)], SINCE, UNTIL),
        _call(boards.openings, NOW, LIMIT),
        _call(boards.people_at, [INSTANCE], LIMIT),
    ]


def _places() -> list[Call]:
    return [
        _call(places.places, variant="of everywhere"),
        _call(places.places, places.is_instance(INSTANCE), variant="is_instance"),
        _call(places.places, places.of_session(SESSION), variant="of_session"),
        _call(places.places, places.in_city(CITY), variant="in_city"),
        _call(places.places, places.in_country(COUNTRY), variant="in_country"),
        _call(places.places, places.elsewhere_in_town(INSTANCE), variant="elsewhere_in_town"),
        _call(places.count_active),
        _call(places.place_of, PERSON),
        _call(places.places_of, [PERSON]),
        _call(places.attendees, INSTANCE),
    ]


def _pages() -> list[Call]:
    return [
        _call(pages.session, SESSION, variant="to read"),
        _call(pages.session, SESSION, for_update=True, variant="to write"),
        _call(pages.sessions_of, [SESSION]),
        _call(pages.session_ids),
        _call(pages.instance, INSTANCE),
        _call(pages.instances_between, [SESSION], DAY, DAY),
        _call(pages.on_now, [SESSION]),
        _call(pages.skipped_since, [SESSION], DAY),
        _call(pages.set_cancelled, INSTANCE, cancelled=True, reason=WORD, variant="cancelled"),
        _call(pages.set_comment, INSTANCE, PERSON, WORD),
        _call(pages.person, PERSON),
        _call(pages.people_named, WORD, LIMIT),
        _call(pages.insert_person, NAME, LAST_NAME),
        _call(pages.said, INSTANCE, PERSON),
        _call(pages.said_of, [INSTANCE], PERSON),
        _call(pages.evenings_ahead, [PERSON], DAY),
        _call(pages.evenings_before, PERSON, DAY, LIMIT, variant="the first page"),
        _call(pages.evenings_before, PERSON, DAY, LIMIT, before=INSTANCE, variant="a later page"),
        _call(pages.repairs_by_sweep, AGE, LATE),
    ]


def _search() -> list[Call]:
    return [
        _call(search.sessions_named, WORD, LIMIT, variant="the first page"),
        _call(search.sessions_named, WORD, LIMIT, after=SESSION, variant="a later page"),
        _call(search.sessions_in_town, Town(CITY, None, COUNTRY), "", LIMIT),
        _call(search.towns_named, WORD, LIMIT),
        _call(search.town_of, PERSON),
    ]


def _readings() -> list[Call]:
    return [
        _call(readings.sessions_named, NAME, LIMIT),
        _call(readings.names_of, [SESSION]),
        _call(readings.session_facts, SESSION),
        _call(readings.instance_session, INSTANCE),
        _call(readings.logged_session, INSTANCE),
        _call(readings.row_facts, [INSTANCE]),
        _call(readings.windows_of, [INSTANCE]),
        _call(readings.deleted_while_on, SESSION),
        _call(readings.logged_between, SESSION, NOW, NOW),
        _call(readings.log_begins),
        _call(readings.flips_of, [INSTANCE], NOW),
        _call(readings.said_yes, INSTANCE, LIMIT),
        _call(readings.person_facts, PERSON),
        _call(readings.yeses_of, PERSON, LIMIT),
    ]


def _schedule() -> list[Call]:
    return [
        _call(schedule.edges_between, SINCE, UNTIL),
        _call(schedule.upcoming, AHEAD, LIMIT, variant="at most so many"),
        _call(schedule.upcoming, AHEAD, variant="all"),
    ]


def _reports() -> list[Call]:
    return [
        _call(reports.unreadable),
        _call(reports.buffers_out_of_bounds),
        _call(reports.columns_without_value),
        _call(reports.overdue, AGE, LIMIT),
        _call(reports.holders, AGE),
        _call(reports.misses, AGE, LATE),
        _call(reports.lateness, NOW, [LATE, AGE]),
        _call(reports.last_flip),
        _call(reports.flips_since, ROW),
        _call(
            reports.history,
            SINCE,
            session_id=None,
            later_than=None,
            cause=None,
            change=None,
            limit=LIMIT,
            variant="of all sessions",
        ),
        _call(
            reports.history,
            SINCE,
            session_id=SESSION,
            later_than=LATE,
            cause=Cause.TIMER,
            change=Change.CANCELLED,
            limit=LIMIT,
            variant="with all conditions",
        ),
        _call(reports.prune, AGE),
    ]


def _transitions() -> list[Call]:
    return [_call(transitions.transitions, Position(ROW, 1012, (1011,)), LIMIT)]
