"""Many weekly sessions with a past behind them, as the planner would have left them after a year of work.

A year of planning a hundred thousand sessions takes hours; so the rows are made by a few set-based statements, from
hours that the product's own functions reckon. `check` lets the real planner live through some days of the same
sessions, and compares every row.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import product

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from psycopg2.extras import execute_values

from benchmarks.server import Rows, Server, connect, connected, run, without_triggers
from core.active_session_manager import update_active_sessions
from core.db import create_engine
from core.reconcile.result import ZONE_VERSION
from core.windows import stated_hours

WEEKS_OF_PAST = 52
WEEKS_OF_PAST_OF_A_MILLION = 12  # of a million sessions a year's 52 million instances fill some 40 GB
LENGTH = timedelta(hours=3)
HORIZON = timedelta(hours=24)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS = (13, 16, 18, 19, 20, 21)
ZONES = (
    "Europe/Dublin",
    "Europe/Berlin",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "Australia/Sydney",
)
EXTRA_HOURS = 5  # of buffers and length: so long is a window
LOG_KEPT = timedelta(days=30)
FILLED = ("session_instance", "planned_instance", "activation_window", "activation_log")


@dataclass(frozen=True, slots=True)
class Pattern:
    """When the sessions of one pattern meet; session ids are dealt to patterns by their remainder."""

    number: int
    weekday: int
    start: time
    zone: str

    @property
    def recurrence(self) -> str:
        """The pattern as the app stores it."""
        end = (datetime.combine(date.min, self.start) + LENGTH).time()
        schedule = {"type": "weekly", "weekday": WEEKDAYS[self.weekday]}
        return json.dumps({"schedules": [schedule | {"start_time": f"{self.start:%H:%M}", "end_time": f"{end:%H:%M}"}]})


def patterns(minute: int) -> list[Pattern]:
    """Return the patterns; all their edges are so many minutes past an hour, so that none falls into a measurement."""
    starts = product(range(7), HOURS, ZONES)
    return [Pattern(n, weekday, time(hour, minute), zone) for n, (weekday, hour, zone) in enumerate(starts)]


PATTERNS = len(WEEKDAYS) * len(HOURS) * len(ZONES)


@dataclass(frozen=True, slots=True)
class Fleets:
    """The fleets of a run, each built when it is first asked for."""

    server: Server
    large: bool

    def of(self, size: int) -> str:
        """Return the URL of a database with so many sessions and their past."""
        return _build(self, size)

    def weeks(self, size: int) -> int:
        """Return how many weeks of past so many sessions get."""
        return WEEKS_OF_PAST_OF_A_MILLION if size > 300_000 else WEEKS_OF_PAST


@lru_cache
def _build(fleets: Fleets, size: int) -> str:
    url = fleets.server.make(f"bench_fleet_{size}")
    with connected(url) as connection:
        build(connection, size, fleets.weeks(size), datetime.now(UTC))
    return url


def quiet_minute(now: datetime) -> int:
    """Return the minute of the hour that is farthest ahead."""
    return (now.minute - 1) % 60


def build(connection: Connection, size: int, weeks: int, now: datetime) -> None:
    """Make so many sessions as they would stand at `now` after so many weeks."""
    dealt = patterns(quiet_minute(now))
    with without_triggers(connection):
        add_sessions(connection, size, dealt)
        _add_occurrences(connection, dealt, weeks, now)
        indexes = _drop_indexes(connection)
        for statement in (*_INSTANCES, *_OF_INSTANCES):
            run(connection, statement % {"patterns": PATTERNS})
        for definition in indexes:
            run(connection, definition)
        _plan(connection, dealt, now)
        run(connection, _PEOPLE)
    run(connection, "VACUUM ANALYZE")
    run(connection, "CHECKPOINT")


def add_sessions(connection: Connection, size: int, dealt: list[Pattern] | None = None) -> None:
    """Insert the sessions alone, as an import does."""
    dealt = dealt or patterns(quiet_minute(datetime.now(UTC)))
    run(connection, "CREATE TEMP TABLE pattern (pattern int, recurrence text, zone text)")
    _insert(connection, "pattern", [(p.number, p.recurrence, p.zone) for p in dealt])
    run(
        connection,
        "INSERT INTO session (name, city, country, timezone, recurrence, initiation_date) "
        "SELECT 'Session ' || n, 'City ' || n %% 500, 'Country ' || n %% 20, zone, recurrence, '2020-01-01' "
        "FROM generate_series(1, %s) n JOIN pattern ON pattern = n %% %s ORDER BY n",
        size,
        PATTERNS,
    )
    run(connection, "ANALYZE session")


def _insert(connection: Connection, table: str, rows: Rows) -> None:
    with connection.cursor() as cursor:
        execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows, page_size=1000)


def _add_occurrences(connection: Connection, dealt: list[Pattern], weeks: int, now: datetime) -> None:
    run(
        connection,
        "CREATE TEMP TABLE occurrence (pattern int, date date, start_time time, end_time time, starts timestamp, "
        "ends timestamp, starts_at timestamptz, opens_at timestamptz, closes_at timestamptz, phase text)",
    )
    since = now - timedelta(weeks=weeks)
    rows = [(p.number, *row) for p in dealt for row in _occurrences(p, since, now + HORIZON, now)]
    _insert(connection, "occurrence", sorted(rows, key=lambda row: row[7]))
    run(connection, "ANALYZE occurrence")


def _occurrences(pattern: Pattern, since: datetime, until: datetime, now: datetime) -> Iterator[tuple[object, ...]]:
    """Yield the occurrences whose windows open in `(since, until]`."""
    day = since.date() - timedelta(days=2)
    while day <= until.date() + timedelta(days=2):
        if day.weekday() == pattern.weekday:
            start = datetime.combine(day, pattern.start)
            hours = stated_hours(start, start + LENGTH, pattern.zone)
            window = hours.window()
            if since < window.opens_at <= until:
                phase = "over" if window.closes_at <= now else "open" if window.opens_at <= now else "ahead"
                yield (
                    *(day, start.time(), (start + LENGTH).time(), start, start + LENGTH),
                    *(hours.starts_at, window.opens_at, window.closes_at, phase),
                )
        day += timedelta(days=1)


def _drop_indexes(connection: Connection) -> list[str]:
    """Drop the indexes of what is filled, keys apart, and return their definitions: made last they are cheap."""
    found = run(
        connection,
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indrelid = ANY (%s::text[]::regclass[]) AND NOT EXISTS "
        "(SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        list(FILLED),
    )
    for name, _ in found:
        run(connection, f"DROP INDEX {name}")
    return [definition for _, definition in found]


# In the order of time, as a year would have written them.
_INSTANCES = (
    """
    INSERT INTO session_instance (session_id, date, start_time, end_time, active)
    SELECT session_id, date, start_time, end_time, phase = 'open'
    FROM occurrence JOIN session ON session_id %% %(patterns)s = pattern ORDER BY opens_at, session_id
    """,
    "ANALYZE session_instance",
)
_BY_OCCURRENCE = """
    FROM session_instance i JOIN occurrence o ON o.pattern = i.session_id %% %(patterns)s AND o.date = i.date
"""
_OF_INSTANCES = (
    f"""
    INSERT INTO planned_instance
        (session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved, written)
    SELECT i.session_instance_id, i.session_id, starts, ends, false, false, to_jsonb(i) - 'active' {_BY_OCCURRENCE}
    """,
    f"""
    INSERT INTO activation_window (session_instance_id, opens_at, closes_at, session_id, starts_at, phase, planned_at)
    SELECT i.session_instance_id, opens_at, closes_at, i.session_id, starts_at, phase, opens_at - interval '24 hours'
    {_BY_OCCURRENCE}
    """,
    f"""
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause)
    SELECT session_instance_id, session_id, active, due_at, due_at + interval '3 ms', 'timer' FROM (
        SELECT session_instance_id, session_id, true AS active, opens_at AS due_at, phase FROM activation_window
        WHERE phase <> 'ahead' AND opens_at > now() - interval '{LOG_KEPT.days} days'
        UNION ALL
        SELECT session_instance_id, session_id, false, closes_at, phase FROM activation_window
        WHERE phase = 'over' AND closes_at > now() - interval '{LOG_KEPT.days} days'
    ) flips ORDER BY due_at
    """,
    """
    INSERT INTO active_instance (session_instance_id, session_id)
    SELECT session_instance_id, session_id FROM activation_window WHERE phase = 'open'
    """,
)
# A person for every session, and five who said yes at each that is on, and are there.
_PEOPLE = """
    INSERT INTO person (first_name, email) SELECT 'Nóirín', n || '@example.org'
    FROM generate_series(1, (SELECT greatest(count(*), 5 * (SELECT count(*) FROM active_instance)) FROM session)) n;
    INSERT INTO session_instance_person (session_instance_id, person_id, attendance, created_date, checked_in_at)
    SELECT session_instance_id, (row_number() OVER ()), 'yes', now(), now()
    FROM active_instance, generate_series(1, 5);
    UPDATE person SET active_session_instance_id = session_instance_id
    FROM session_instance_person said WHERE said.person_id = person.person_id
"""


def _plan(connection: Connection, dealt: list[Pattern], now: datetime) -> None:
    """Note for each session when its next occurrence is to be planned."""
    run(connection, "CREATE TEMP TABLE next_plan (pattern int, next_plan_at timestamptz)")
    due = now + HORIZON
    _insert(connection, "next_plan", [(p.number, _next_opening(p, due, now) - HORIZON) for p in dealt])
    run(
        connection,
        "INSERT INTO session_plan (session_id, planned_through, next_plan_at, zone_version) "
        "SELECT session_id, now(), next_plan_at, %s FROM session JOIN next_plan ON session_id %% %s = pattern "
        "ORDER BY session_id",
        ZONE_VERSION,
        PATTERNS,
    )


def _next_opening(pattern: Pattern, after: datetime, now: datetime) -> datetime:
    opens_at = next(_occurrences(pattern, after, after + timedelta(days=9), now))[6]
    assert isinstance(opens_at, datetime)
    return opens_at


# What the planner would have made of it


_COMPARED = {
    "instances": "SELECT i.session_id, date, start_time, end_time, is_cancelled, active FROM session_instance i "
    "WHERE date >= %s",
    "bindings": "SELECT session_id, occurrence_start, occurrence_end, lost, moved, "
    "(written - 'session_instance_id')::text FROM planned_instance WHERE occurrence_start >= %s",
    "windows": "SELECT session_id, opens_at, closes_at, starts_at, phase FROM activation_window WHERE opens_at >= %s",
    "active": "SELECT session_id, NULL, NULL FROM active_instance WHERE %s IS NOT NULL",
    "plans": "SELECT session_id, next_plan_at, zone_version FROM session_plan WHERE %s IS NOT NULL",
    "flips": "SELECT session_id, active, due_at FROM activation_log WHERE due_at >= %s",
}
DAYS_LIVED = 10


def check(server: Server) -> dict[str, int]:
    """Let the real planner live through some days of a session of each pattern; return how many rows were compared.

    Raises RuntimeError where a row differs from what `build` makes.
    """
    now = datetime.now(UTC)
    with server.database() as built, server.database() as lived:
        with connected(built) as connection:
            build(connection, PATTERNS, 2, now)
        _live(lived, now)
        since = (now - timedelta(days=DAYS_LIVED - 3)).date()
        return {name: _same(built, lived, name, query, since) for name, query in _COMPARED.items()}


def _live(url: str, now: datetime) -> None:
    """Look once an hour, as it was then, right after the only minute at which there are edges."""
    engine = create_engine(url)
    with connected(url) as connection:
        add_sessions(connection, PATTERNS, patterns(quiet_minute(now)))
    at = (now - timedelta(days=DAYS_LIVED)).replace(minute=quiet_minute(now), second=1, microsecond=0)
    while at <= now:
        update_active_sessions(engine, at)
        at += timedelta(hours=1)
    update_active_sessions(engine, now)
    engine.dispose()


def _same(built: str, lived: str, name: str, query: str, since: date) -> int:
    made, planned = ({*run(connect(url), query, since)} for url in (built, lived))
    if made != planned:
        raise RuntimeError(
            f"{name}: only built: {sorted(made - planned)[:3]}; only planned: {sorted(planned - made)[:3]}"
        )
    return len(made)
