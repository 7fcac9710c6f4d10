"""Whether a look is flat: what an edge, a doorbell and a full look cost, with ever more sessions."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from sqlalchemy import Engine

from benchmarks import fleet, floor, wave
from benchmarks.edits import move_to_now
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import connect, run, value
from benchmarks.spread import Spread
from benchmarks.wave import Wave
from core.active_session_manager import Cause, Reason, update_active_sessions
from core.db import create_engine
from core.store import looks as look_store
from core.store import schedule

ROUNDS = 30
WARM_UP = 3
EDGE = "an edge with ten sessions due"
BELL = "a doorbell for one session"
RESYNC = "a resync with nothing to do"
SWEEP = "a sweep with nothing to do"
EDGE_BY_PAST = "an edge with ten sessions due, by weeks of past"
BELL_BY_PAST = "a doorbell for one session, by weeks of past"
BY_WINDOWS = "a resync, by the number of open windows"
FAR_AHEAD = timedelta(hours=10)
DAY = timedelta(days=1)


def looks(run: Run) -> Result:
    """Look at fleets of each size, beside the floor."""
    result = Result("looks", __doc__ or "", "sessions")
    result.notes.append(f"as the planner itself would have it, row by row: {fleet.check(run.server)}")
    for size in run.pick([1000, 10_000, 100_000], [1000, 10_000, 100_000, 1_000_000], [1000]):
        _measure(run, result, size)
    for windows in run.pick([100, 1000, 10_000], [100, 1000, 10_000, 50_000], [100]):
        result.figures.append(Figure(BY_WINDOWS, windows, "ms", *_with_open_windows(run, windows)))
    for weeks in run.pick([1, 52, 260], [1, 52, 520], [1, 52]):
        result.figures += _by_past(run, weeks)
    _targets(result)
    return result


def _measure(run: Run, result: Result, size: int) -> None:
    started = time.time()
    url = run.fleets.of(size)
    weeks = run.fleets.weeks(size)
    engine, app, raw = create_engine(url), connect(url), floor.connection(url)
    opened, past = _open_windows(app), value(app, "SELECT count(*) FROM activation_window WHERE phase = 'over'")
    result.notes.append(
        f"{size:,} sessions: {past:,} instances of {weeks} weeks behind them, {opened:,} windows open; "
        f"built in {time.time() - started:.0f} s"
    )
    wave_of_ten, wave_of_one = (_with_past(app, n, weeks) for n in (10, 1))
    result.figures += [
        Figure(
            EDGE, size, "ms", *_in_turn(_edges(engine, app, wave_of_ten[::2]), _raw_edges(raw, app, wave_of_ten[1::2]))
        ),
        Figure(
            BELL, size, "ms", *_in_turn(_bells(engine, app, wave_of_one[::2]), _raw_bells(raw, app, wave_of_one[1::2]))
        ),
        Figure(RESYNC, size, "ms", *_in_turn(_resyncs(engine), _raw_looks(raw))),
        Figure(SWEEP, size, "ms", *_in_turn(_sweeps(engine, app), _raw_looks(raw))),
    ]
    engine.dispose()


def _with_open_windows(this: Run, windows: int) -> tuple[Spread, Spread]:
    """Look with statistics of before they opened, as they are every evening: no ANALYZE knows what is open now."""
    with this.server.database() as url, closing(connect(url)) as app, closing(floor.connection(url)) as raw:
        [opened] = wave.add(app, [datetime.now(UTC)], windows)
        run(app, "ALTER TABLE activation_window SET (autovacuum_enabled = off)")
        run(app, "ALTER TABLE active_instance SET (autovacuum_enabled = off)")
        floor.open_instances(raw, opened.ids)
        engine = create_engine(url)
        measured = _in_turn(_resyncs(engine), _raw_looks(raw))
        engine.dispose()
    return measured


def _by_past(this: Run, weeks: int) -> list[Figure]:
    with this.server.database() as url, closing(connect(url)) as app, closing(floor.connection(url)) as raw:
        engine = create_engine(url)
        tens, ones = (_with_past(app, n, weeks) for n in (10, 1))
        figures = [
            Figure(
                EDGE_BY_PAST, weeks, "ms", *_in_turn(_edges(engine, app, tens[::2]), _raw_edges(raw, app, tens[1::2]))
            ),
            Figure(
                BELL_BY_PAST, weeks, "ms", *_in_turn(_bells(engine, app, ones[::2]), _raw_bells(raw, app, ones[1::2]))
            ),
        ]
        engine.dispose()
    return figures


def _with_past(app: Connection, size: int, weeks: int) -> list[Wave]:
    """Add a wave for each round of product and floor, whose sessions and people have met for so many weeks."""
    waves = wave.add(app, [_far_ahead()] * 2 * (ROUNDS + WARM_UP), size)
    wave.add_past(app, waves, weeks)
    return waves


def _far_ahead() -> datetime:
    return datetime.now(UTC) + FAR_AHEAD


def _open_windows(connection: Connection) -> int:
    return int(value(connection, "SELECT count(*) FROM activation_window WHERE phase = 'open'"))


def _in_turn(product: Iterator[float], raw: Iterator[float]) -> tuple[Spread, Spread]:
    """Measure product and floor in turn; each yields the milliseconds of a round."""
    measured = list(zip(product, raw, strict=False))[WARM_UP:]
    return Spread.of(ms for ms, _ in measured), Spread.of(ms for _, ms in measured)


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _until_nothing(engine: Engine, cause: Cause, reason: Reason) -> None:
    """Look as the daemon does when it is woken: a chunk at a time, until a look finds nothing."""
    while update_active_sessions(engine, cause=cause, reasons={reason}, at_most=1).sessions:
        pass


def _make_due(app: Connection, wave: Wave) -> None:
    """Write as if its instant had come."""
    of_wave = "WHERE session_instance_id = ANY (%s)"
    run(app, f"UPDATE activation_window SET opens_at = clock_timestamp() {of_wave}", wave.ids)


def _edges(engine: Engine, app: Connection, waves: list[Wave]) -> Iterator[float]:
    for due in waves:
        _make_due(app, due)
        yield _ms(lambda: _until_nothing(engine, Cause.TIMER, Reason.EDGE))
        _require_open(app, due)


def _raw_edges(raw: Connection, app: Connection, waves: list[Wave]) -> Iterator[float]:
    for due in waves:
        _make_due(app, due)
        yield _ms(lambda due=due: floor.open_instances(raw, due.ids))  # type: ignore[misc] # mypy can't type the default


def _require_open(connection: Connection, due: Wave) -> None:
    found = value(connection, "SELECT count(*) FROM active_instance WHERE session_instance_id = ANY (%s)", due.ids)
    if found != due.size:
        raise RuntimeError(f"of {due.size} sessions {found} opened")


def _bells(engine: Engine, app: Connection, waves: list[Wave]) -> Iterator[float]:
    for moved in waves:
        move_to_now(app, moved)
        yield _ms(lambda: _until_nothing(engine, Cause.NOTIFY, Reason.REQUEST))
        _require_open(app, moved)


def _raw_bells(raw: Connection, app: Connection, waves: list[Wave]) -> Iterator[float]:
    for moved in waves:
        move_to_now(app, moved)
        yield _ms(lambda moved=moved: floor.follow_edits(raw, moved.session_ids, moved.ids))  # type: ignore[misc]


def _resyncs(engine: Engine) -> Iterator[float]:
    for _ in range(ROUNDS + WARM_UP):
        yield _ms(lambda: _resync(engine))


def _resync(engine: Engine) -> None:
    """Look at everything, and read the edges of the next day, as the daemon does every half minute."""
    _require_nothing(engine, Cause.RESYNC)
    with engine.begin() as connection:
        now = look_store.clock(connection)
        schedule.edges_between(connection, now, now + DAY)


def _sweeps(engine: Engine, app: Connection) -> Iterator[float]:
    for _ in range(ROUNDS + WARM_UP):
        before = _next_transaction(app)
        yield _ms(lambda: _require_nothing(engine, Cause.SWEEP))
        if _next_transaction(app) != before:
            raise RuntimeError("a look with nothing to do has locked or written a row: it took a transaction id")


def _require_nothing(engine: Engine, cause: Cause) -> None:
    if seen := update_active_sessions(engine, cause=cause).sessions:
        raise RuntimeError(f"there was something to do: sessions {sorted(seen)[:5]}")


def _next_transaction(connection: Connection) -> str:
    """Return the next transaction id: a look that locks a row, or writes one, uses it up."""
    return str(value(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))


# The shortest question whose empty answer says that all is well.
_RAW_LOOK = """
    SELECT FROM activation_window w FULL JOIN active_instance a USING (session_instance_id)
    WHERE (w.phase = 'open' AND (a.session_id IS NULL OR w.closes_at <= now())) OR w.session_id IS NULL
"""


def _raw_looks(raw: Connection) -> Iterator[float]:
    open_now = "WITH w AS (SELECT * FROM activation_window WHERE phase = 'open') "
    due = "UNION ALL (SELECT FROM activation_window WHERE phase = 'ahead' AND opens_at <= now())"
    statement = open_now + _RAW_LOOK.replace("activation_window w", "w") + due
    for _ in range(ROUNDS + WARM_UP):
        yield _ms(lambda: run(raw, statement))


def _targets(result: Result) -> None:
    largest = max(result.sizes(EDGE))
    for what in (EDGE, BELL):
        cost = result.figure(what, largest).product.median
        result.targets.append(Target(f"{what}, of {largest:,}", cost, 20, "ms"))
        if 10_000 in result.sizes(what):
            growth = cost / result.figure(what, 10_000).product.median
            result.targets.append(Target(f"{what}: {largest:,} against 10,000 sessions, times", growth, 2, ""))
    for what in (EDGE_BY_PAST, BELL_BY_PAST):
        short, long = (result.figure(what, pick(result.sizes(what))) for pick in (min, max))
        growth = long.product.median / short.product.median
        result.targets.append(Target(f"{what}: {long.size} against {short.size}, times", growth, 2, ""))
    windows = max(result.sizes(BY_WINDOWS))
    if windows >= 1000:
        for_a_thousand = result.figure(BY_WINDOWS, windows).product.median / windows * 1000
        result.targets.append(Target(f"a full look, for 1,000 of {windows:,} open windows", for_a_thousand, 10, "ms"))


if __name__ == "__main__":
    program(looks)()
