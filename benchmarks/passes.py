"""Whether a pass is flat: what an edge, a notification and a full pass cost, with ever more sessions."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from sqlalchemy import Engine, event

from benchmarks import fleet, floor, wave
from benchmarks.edits import move_to_now
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import connect, run, value
from benchmarks.spread import Spread
from benchmarks.wave import Wave
from core.db import create_engine
from core.db.transaction_settings import clock
from core.reconcile.batches import reconcile
from core.reconcile.result import PassOptions
from core.rules.flips import Cause
from core.settings import load_settings
from core.store.queue.due import Reason, Search
from core.store.views import schedule

ROUNDS = 30
WARM_UP = 3
EDGE = "an edge with ten sessions due"
NOTIFICATION = "a notification for one session"
RESYNC = "a resync with nothing to do"
SWEEP = "a sweep with nothing to do"
EDGE_BY_PAST = "an edge with ten sessions due, by weeks of past"
NOTIFICATION_BY_PAST = "a notification for one session, by weeks of past"
BY_WINDOWS = "a resync, by the number of open windows"
FAR_AHEAD = timedelta(hours=10)
DAY = timedelta(days=1)


def passes(run: Run) -> Result:
    """Reconcile fleets of each size, beside the floor."""
    result = Result("passes", __doc__ or "", "sessions")
    result.notes.append(f"as the planner itself would have it, row by row: {fleet.check(run.server)}")
    with ExitStack() as stack:
        sizes = run.pick([1000, 10_000, 100_000], [1000, 10_000, 100_000, 1_000_000], [1000])
        places = [_fleet(stack, run, result, size) for size in sizes]
        result.figures += _edges_and_notifications(places, EDGE, NOTIFICATION)
        result.figures += _figures(RESYNC, places, lambda place: _resyncs(place.engine), _raw_passes)
        result.figures += _figures(SWEEP, places, lambda place: _sweeps(place.engine), _raw_passes)
    with ExitStack() as stack:
        pasts = [_past(stack, run, weeks) for weeks in run.pick([1, 52, 260], [1, 52, 520], [1, 52])]
        result.figures += _edges_and_notifications(pasts, EDGE_BY_PAST, NOTIFICATION_BY_PAST)
    with ExitStack() as stack:
        evenings = [_evening(stack, run, n) for n in run.pick([100, 1000, 10_000], [100, 1000, 10_000, 50_000], [100])]
        result.figures += _figures(BY_WINDOWS, evenings, lambda place: _resyncs(place.engine), _raw_passes)
    _targets(result)
    return result


@dataclass(frozen=True, slots=True)
class Place:
    """A database to reconcile, the product's connections to it, the app's and the floor's; `size` is what is varied."""

    size: int
    weeks: int
    engine: Engine
    app: Connection
    raw: Connection

    @classmethod
    def at(cls, stack: ExitStack, url: str, size: int, weeks: int) -> "Place":
        """Connect."""
        engine = create_engine(url)
        stack.callback(engine.dispose)
        app, raw = (stack.enter_context(closing(connection)) for connection in (connect(url), floor.connection(url)))
        return cls(size, weeks, engine, app, raw)


def _fleet(stack: ExitStack, this: Run, result: Result, size: int) -> Place:
    started = time.time()
    weeks = this.fleets.weeks(size)
    place = Place.at(stack, this.fleets.of(size), size, weeks)
    opened, past = (
        value(place.app, f"SELECT count(*) FROM activation_window WHERE phase = '{phase}'")
        for phase in ("open", "over")
    )
    result.notes.append(
        f"{size:,} sessions: {past:,} instances of {weeks} weeks behind them, {opened:,} windows open; "
        f"built in {time.time() - started:.0f} s"
    )
    return place


def _past(stack: ExitStack, this: Run, weeks: int) -> Place:
    return Place.at(stack, stack.enter_context(this.server.database()), weeks, weeks)


def _evening(stack: ExitStack, this: Run, windows: int) -> Place:
    """Open so many with the statistics of before, as they are every evening: no ANALYZE knows what is open now."""
    place = Place.at(stack, stack.enter_context(this.server.database()), windows, 0)
    [opened] = wave.add(place.app, [datetime.now(UTC)], windows)
    for table in ("activation_window", "active_instance"):
        run(place.app, f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    floor.open_instances(place.raw, opened.ids)
    return place


Rounds = Callable[[Place], Iterator[float]]


def _figures(what: str, places: Sequence[Place], product: Rounds, raw: Rounds) -> list[Figure]:
    """Measure product and floor at every place in turn, round by round; each yields the milliseconds of a round."""
    in_turn = zip(*(each for place in places for each in (product(place), raw(place))), strict=False)
    spreads = [Spread.of(measured) for measured in zip(*list(in_turn)[WARM_UP:], strict=True)]
    return [
        Figure(what, place.size, "ms", *beside)
        for place, beside in zip(places, zip(spreads[::2], spreads[1::2], strict=True), strict=True)
    ]


def _edges_and_notifications(places: Sequence[Place], edge: str, notification: str) -> list[Figure]:
    """Measure sessions that have met, with the same people, as long as the place's others."""
    tens, ones = ({place: _with_past(place.app, size, place.weeks) for place in places} for size in (10, 1))
    return [
        *_figures(
            edge,
            places,
            lambda place: _openings(place, tens[place][::2], _make_due, _serve_edges),
            lambda place: _openings(place, tens[place][1::2], _make_due, _open_raw),
        ),
        *_figures(
            notification,
            places,
            lambda place: _openings(place, ones[place][::2], move_to_now, _serve_requests),
            lambda place: _openings(place, ones[place][1::2], move_to_now, _follow_raw),
        ),
    ]


def _with_past(app: Connection, size: int, weeks: int) -> list[Wave]:
    """Add a wave for each round of product and floor, whose sessions and people have met for so many weeks."""
    return wave.add_with_past(app, [_far_ahead()] * 2 * (ROUNDS + WARM_UP), size, weeks)


def _far_ahead() -> datetime:
    return datetime.now(UTC) + FAR_AHEAD


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _make_due(app: Connection, wave: Wave) -> None:
    """Write as if its instant had come."""
    due = "UPDATE activation_window SET opens_at = clock_timestamp() WHERE session_instance_id = ANY (%s)"
    run(app, due, wave.ids)


def _openings(
    place: Place,
    waves: list[Wave],
    prepare: Callable[[Connection, Wave], None],
    serve: Callable[[Place, Wave], object],
) -> Iterator[float]:
    """Let each wave be due, and yield how many milliseconds the pass takes that opens it."""
    for due in waves:
        prepare(place.app, due)
        yield _ms(partial(serve, place, due))
        _require_open(place.app, due)


def _serve_edges(place: Place, _: Wave) -> None:
    _until_nothing(place.engine, Cause.TIMER, Reason.EDGE)


def _serve_requests(place: Place, _: Wave) -> None:
    _until_nothing(place.engine, Cause.NOTIFY, Reason.REQUEST)


def _until_nothing(engine: Engine, cause: Cause, reason: Reason) -> None:
    """Reconcile as the daemon does when it is woken: a chunk at a time, until a pass finds nothing."""
    options, search = PassOptions(cause, load_settings()), Search(frozenset({reason}))
    while reconcile(engine, options, search, rounds=1).sessions:
        pass


def _open_raw(place: Place, due: Wave) -> None:
    floor.open_instances(place.raw, due.ids)


def _follow_raw(place: Place, moved: Wave) -> None:
    floor.follow_edits(place.raw, dict(zip(moved.session_ids, moved.ids, strict=True)))


def _require_open(connection: Connection, due: Wave) -> None:
    found = value(connection, "SELECT count(*) FROM active_instance WHERE session_instance_id = ANY (%s)", due.ids)
    if found != due.size:
        raise RuntimeError(f"of {due.size} sessions {found} opened")


def _resyncs(engine: Engine) -> Iterator[float]:
    for _ in range(ROUNDS + WARM_UP):
        yield _ms(lambda: _resync(engine))


def _resync(engine: Engine) -> None:
    """Reconcile everything, and read the edges of the next day, as the daemon does every half minute."""
    _require_nothing(engine, Cause.RESYNC)
    with engine.begin() as connection:
        now = clock(connection)
        schedule.edges_between(connection, now, now + DAY)


def _sweeps(engine: Engine) -> Iterator[float]:
    _require_no_trace(engine)
    for _ in range(ROUNDS + WARM_UP):
        yield _ms(lambda: _require_nothing(engine, Cause.SWEEP))


def _require_nothing(engine: Engine, cause: Cause) -> None:
    if found := reconcile(engine, PassOptions(cause, load_settings())).sessions:
        raise RuntimeError(f"there was something to do: sessions {sorted(found)[:5]}")


def _require_no_trace(engine: Engine) -> None:
    """Run a pass; ask at its COMMIT whether it took a transaction id, as one that locks or writes a row does."""
    taken: list[object] = []

    def ask(connection: sqlalchemy.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement == "COMMIT":
            taken.append(connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar())

    event.listen(engine, "before_cursor_execute", ask)
    _require_nothing(engine, Cause.SWEEP)
    event.remove(engine, "before_cursor_execute", ask)
    if not taken or any(taken):
        raise RuntimeError("a pass with nothing to do has locked or written a row")


# The shortest question whose empty answer says that all is well.
_RAW_PASS = """
    SELECT FROM activation_window w FULL JOIN active_instance a USING (session_instance_id)
    WHERE (w.phase = 'open' AND (a.session_id IS NULL OR w.closes_at <= now())) OR w.session_id IS NULL
"""


def _raw_passes(place: Place) -> Iterator[float]:
    open_now = "WITH w AS (SELECT * FROM activation_window WHERE phase = 'open') "
    due = "UNION ALL (SELECT FROM activation_window WHERE phase = 'ahead' AND opens_at <= now())"
    statement = open_now + _RAW_PASS.replace("activation_window w", "w") + due
    for _ in range(ROUNDS + WARM_UP):
        yield _ms(lambda: run(place.raw, statement))


def _targets(result: Result) -> None:
    largest = max(result.sizes(EDGE))
    for what in (EDGE, NOTIFICATION):
        cost = result.figure(what, largest).product.median
        result.targets.append(Target(f"{what}, of {largest:,}", cost, 20, "ms"))
        if 10_000 in result.sizes(what):
            growth = cost / result.figure(what, 10_000).product.median
            result.targets.append(Target(f"{what}: {largest:,} against 10,000 sessions, times", growth, 2, ""))
    for what in (EDGE_BY_PAST, NOTIFICATION_BY_PAST):
        short, long = (result.figure(what, pick(result.sizes(what))) for pick in (min, max))
        growth = long.product.median / short.product.median
        result.targets.append(Target(f"{what}: {long.size} against {short.size}, times", growth, 2, ""))
    windows = max(result.sizes(BY_WINDOWS))
    if windows >= 1000:
        for_a_thousand = result.figure(BY_WINDOWS, windows).product.median / windows * 1000
        result.targets.append(Target(f"a full pass, for 1,000 of {windows:,} open windows", for_a_thousand, 10, "ms"))


if __name__ == "__main__":
    program(passes)()
