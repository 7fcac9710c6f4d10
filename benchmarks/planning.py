"""How fast planning is: of sessions without a plan, of the few whose plan runs out (a refill), and of a single rule."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dateutil.rrule import rrulestr
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from psycopg2.extras import execute_values
from sqlalchemy import Engine, event

from benchmarks import fleet
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import Rows, connected, run, value
from benchmarks.spread import Spread
from core.db import create_engine
from core.reconcile.batches import reconcile
from core.reconcile.result import PassOptions, ReconcileResult
from core.recurrence import parse
from core.rules.flips import Cause
from core.settings import Settings, load_settings
from core.store.queue.due import Reason, Search

ROUNDS = 3
FROM_NOTHING = "from nothing, a day ahead, for 1,000 sessions"
A_WEEK = "from nothing, a week ahead, for 1,000 sessions"
REFILL = "refill, for each session that is due"
WRITTEN, READ, STATEMENTS = "refill: rows written", "refill: rows read", "refill: statements"
WRITTEN_IDLE, READ_IDLE, STATEMENTS_IDLE = (
    f"nothing due: {what}" for what in ("rows written", "rows read", "statements")
)
SIX_HOURS = timedelta(hours=6)


def planning(run: Run) -> Result:
    """Plan sessions just inserted, then those that come due, then rules alone."""
    result = Result("planning", __doc__ or "", "sessions (or days)")
    for size in run.pick([1000, 10_000], [1000, 10_000, 100_000], [1000]):
        result.figures.append(_from_nothing(run, FROM_NOTHING, size, hours=24))
        result.figures.append(_from_nothing(run, A_WEEK, size, hours=24 * 7))
    for size in run.pick([1000, 10_000, 100_000], [1000, 10_000, 100_000, 1_000_000], [1000]):
        result.figures += _refill(run, size)
    result.figures += _rules()
    _targets(result)
    return result


# From nothing


def _from_nothing(this: Run, what: str, size: int, *, hours: int) -> Figure:
    """Plan sessions just inserted, and insert the same rows raw, in turn; in milliseconds for a thousand sessions."""
    product, raw = [], []
    for _ in range(1 if this.quick else ROUNDS):
        with this.server.database() as planned, this.server.database() as inserted:
            for url in (planned, inserted):
                with connected(url) as connection:
                    fleet.add_sessions(connection, size)
                    run(connection, "VACUUM ANALYZE session, session_plan, plan_request")
            product.append(_planned(planned, hours) * 1e6 / size)
            raw.append(_inserted(planned, inserted) * 1e6 / size)
    return Figure(what, size, "ms", Spread.of(product), Spread.of(raw))


def _planned(url: str, hours: int) -> float:
    engine = create_engine(url)
    settings = Settings(plan_horizon_hours=hours)
    started = time.perf_counter()
    reconcile(engine, PassOptions(Cause.START, settings))
    took = time.perf_counter() - started
    engine.dispose()
    return took


def _inserted(planned: str, url: str) -> float:
    with connected(planned) as connection:
        made = Made.since(connection, 0)
    with connected(url, autocommit=False) as raw:
        started = time.perf_counter()
        made.insert(raw)
        raw.commit()
        return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Made:
    """The rows that the planner has made, table by table."""

    tables: dict[str, tuple[str, Rows]]
    plans: Rows

    @classmethod
    def since(cls, connection: Connection, first: int) -> "Made":
        """Return the rows about instances whose id is greater."""
        newer = f"WHERE session_instance_id > {first}"
        columns = {
            "session_instance": "session_instance_id, session_id, date, start_time, end_time, active",
            "planned_instance": "session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved, "
            "written::text",
            "activation_window": "session_instance_id, session_id, opens_at, closes_at, starts_at, phase, planned_at",
            "activation_log": "session_instance_id, session_id, active, due_at, done_at, cause",
        }
        tables = {
            table: (names.replace("::text", ""), run(connection, f"SELECT {names} FROM {table} {newer} ORDER BY 1"))
            for table, names in columns.items()
        }
        plans = "SELECT session_id, planned_through, next_plan_at, zone_version FROM session_plan ORDER BY 1"
        return cls(tables, run(connection, plans))

    def insert(self, raw: Connection) -> None:
        """Write them, in as few statements as there are tables."""
        run(raw, "SELECT set_config('seisiun.own_write', 'on', true), set_config('enable_seqscan', 'off', true)")
        with raw.cursor() as cursor:
            for table, (names, rows) in self.tables.items():
                if rows:
                    execute_values(cursor, f"INSERT INTO {table} ({names}) VALUES %s", rows, page_size=len(rows))
            execute_values(
                cursor,
                "UPDATE session_plan p SET planned_through = v.planned_through::timestamptz, "
                "next_plan_at = v.next_plan_at::timestamptz, zone_version = v.zone_version "
                "FROM (VALUES %s) v (session_id, planned_through, next_plan_at, zone_version) "
                "WHERE p.session_id = v.session_id",
                self.plans,
                page_size=max(len(self.plans), 1),
            )
            session_ids = [session_id for session_id, *_ in self.plans]
            cursor.execute("DELETE FROM plan_request WHERE session_id = ANY (%s)", (session_ids,))


# On refill


def _refill(this: Run, size: int) -> list[Figure]:
    """Plan those that come due within six hours, as if they had passed; then once more, with nothing due."""
    url = this.fleets.of(size)
    with connected(url) as connection:
        now = value(connection, "SELECT clock_timestamp()")
        last = value(connection, "SELECT max(session_instance_id) FROM session_instance")
        run(connection, "SELECT pg_stat_reset()")
        due = _pass(url, connection, now + SIX_HOURS)
        run(connection, "SELECT pg_stat_reset()")
        idle = _pass(url, connection, now + SIX_HOURS)
        raw = _again_raw(url, connection, last, due.sessions)
    counts = [
        (WRITTEN, due.written / due.sessions),
        (READ, due.read / due.sessions),
        (STATEMENTS, due.statements / due.sessions),
        (WRITTEN_IDLE, idle.written),
        (READ_IDLE, idle.read),
        (STATEMENTS_IDLE, idle.statements),
    ]
    per_session = Spread.of([due.ms / due.sessions]), Spread.of([raw / due.sessions])
    return [Figure(REFILL, size, "ms", *per_session)] + [
        Figure(what, size, "", Spread.of([float(count)])) for what, count in counts
    ]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass over what is due to be planned did."""

    sessions: int
    ms: float
    statements: int
    written: int
    read: int


def _plan(engine: Engine, at: datetime) -> ReconcileResult:
    return reconcile(engine, PassOptions(Cause.HOOK, load_settings(), at), Search(frozenset({Reason.PLAN})))


def _pass(url: str, connection: Connection, at: datetime) -> Pass:
    engine = create_engine(url)
    statements = _counted(engine)
    _plan(engine, at - SIX_HOURS)  # nothing is due: it only warms up
    statements.clear()
    started = time.perf_counter()
    result = _plan(engine, at)
    ms = (time.perf_counter() - started) * 1000
    engine.dispose()
    written, read = _rows(connection)
    return Pass(len(result.sessions), ms, len(statements), written, read)


def _counted(engine: Engine) -> list[str]:
    statements: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    return statements


_ROWS = """
    SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint,
           coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
    FROM pg_stat_user_tables
"""


def _rows(connection: Connection) -> tuple[int, int]:
    """Return how many rows were written and read; what a connection did is known a moment after its end."""
    time.sleep(0.5)
    run(connection, "SELECT pg_stat_clear_snapshot()")
    [(written, read)] = run(connection, _ROWS)
    return written, read


def _again_raw(url: str, connection: Connection, last: int, sessions: int) -> float:
    """Take back what was made, write it raw, and return the milliseconds of that."""
    made = Made.since(connection, last)
    planned_last = "WHERE planned_through = (SELECT max(planned_through) FROM session_plan)"
    query = f"SELECT session_id, planned_through, next_plan_at, zone_version FROM session_plan {planned_last}"
    made = Made(made.tables, run(connection, query))
    if len(made.plans) < min(sessions, 1):
        raise RuntimeError("the sessions that were planned last cannot be found")
    run(connection, "SET session_replication_role = replica")
    for table in made.tables:
        run(connection, f"DELETE FROM {table} WHERE session_instance_id > %s", last)
    run(connection, "SET session_replication_role = origin")
    with connected(url, autocommit=False) as raw:
        started = time.perf_counter()
        made.insert(raw)
        raw.commit()
        return (time.perf_counter() - started) * 1000


# Of a single rule


WEEKLY = '{"schedules": [{"type": "weekly", "weekday": "thursday", "start_time": "19:00", "end_time": "22:30"}]}'
MONTHLY = (
    '{"schedules": [{"type": "monthly_nth_weekday", "weekday": "sunday", "which": [1, 3, -1], "start_time": "16:00"}]}'
)
RFC5545 = "DTSTART:20260101T190000\nRRULE:FREQ=WEEKLY;BYDAY=TU,TH\nDURATION:PT3H"
# The same rules as the floor reads them: dateutil alone, which knows no ends, no zone and no bounds.
RULES = {
    "weekly": (WEEKLY, "RRULE:FREQ=WEEKLY;BYDAY=TH;BYHOUR=19;BYMINUTE=0;BYSECOND=0"),
    "first, third and last Sunday": (MONTHLY, "RRULE:FREQ=MONTHLY;BYDAY=1SU,3SU,-1SU;BYHOUR=16;BYMINUTE=0;BYSECOND=0"),
    "RFC 5545, twice a week": (RFC5545, "RRULE:FREQ=WEEKLY;BYDAY=TU,TH;BYHOUR=19;BYMINUTE=0;BYSECOND=0"),
}
REPEATS = 200
FIRST = date(2027, 3, 1)


def _rules() -> list[Figure]:
    return [
        Figure(f"a rule: {name}", days, "µs", *_expanded(text, rule, days))
        for name, (text, rule) in RULES.items()
        for days in (2, 365)
    ]


def _expanded(text: str, rule: str, days: int) -> tuple[Spread, Spread]:
    last = FIRST + timedelta(days=days)
    recurrence = parse(text, zone="Europe/Dublin")
    start = datetime(2026, 1, 1)
    known = rrulestr(rule, dtstart=start)
    first_moment, last_moment = (datetime.combine(day, datetime.min.time()) for day in (FIRST, last))
    repeats = REPEATS if days < 100 else REPEATS // 10
    product = [_us(lambda: recurrence.between(FIRST, last)) for _ in range(repeats)]
    return Spread.of(product), Spread.of(_us(lambda: known.between(first_moment, last_moment)) for _ in range(repeats))


def _us(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e6


def _targets(result: Result) -> None:
    largest = max(result.sizes(FROM_NOTHING))
    for what, name in ((FROM_NOTHING, "a day"), (A_WEEK, "a week")):
        a_second = 1e6 / result.figure(what, largest).product.median
        label = f"planning from nothing, {name} ahead: {largest:,} sessions, a second"
        result.targets.append(Target(label, a_second, 3000, "", least=True))
    largest = max(result.sizes(WRITTEN_IDLE))
    idle = result.figure(WRITTEN_IDLE, largest).product.median
    result.targets.append(Target(f"a refill with nothing due, of {largest:,}: rows written", idle, 0, ""))
    read = result.figure(READ_IDLE, largest).product.median
    result.targets.append(Target(f"a refill with nothing due, of {largest:,}: rows read", read, 10, ""))


if __name__ == "__main__":
    program(planning)()
