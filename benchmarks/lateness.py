"""How late a flip is: from an edge's instant until another connection sees it, for 1 to 10,000 sessions at once."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

from benchmarks import floor, process, wave
from benchmarks.lock_watch import LockWatch
from benchmarks.observer import Observer, Seen
from benchmarks.process import Process
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import Server, connected
from benchmarks.spread import Spread
from benchmarks.wave import Wave

EDGES_OF_ONE = 200
ROUNDS = {1: EDGES_OF_ONE, 100: 10, 1000: 5, 10_000: 3}
SHORTEST_GAP = 0.08  # seconds between two edges
PROGRAMS = ("seisiun daemon", "seisiun floor")  # as they call themselves to the server
WARM_UP_TIME = timedelta(seconds=2)
WARM_UP = 3  # edges of one session, before those that count: the daemon of a week is no daemon of a second
ALL_VISIBLE = "all sessions and their people visible"
FIRST_VISIBLE = "the first session visible"
NAIVE = "all visible, with a job for each instance"
LOCKED = "longest lock held"


def lateness(run: Run) -> Result:
    """Open waves of each size, beside the floor and the naive design."""
    result = Result("lateness", __doc__ or "", "sessions")
    for size in run.pick([1, 100, 1000, 10_000], [1, 100, 1000, 10_000, 50_000], [1, 100]):
        _measure(run, result, size)
    _targets(result)
    return result


def _measure(run: Run, result: Result, size: int) -> None:
    rounds = min(ROUNDS.get(size, 2), 20 if run.quick else EDGES_OF_ONE)
    gap = _gap(run.server, size)
    product, raw, locked, raw_locked = _alternate(run.server, size, rounds, gap)
    naive = _naive(run.server, size, gap)
    result.figures += [
        _figure(ALL_VISIBLE, size, [seen.all for seen in product], [seen.all for seen in raw]),
        _figure(NAIVE, size, [seen.all for seen in naive], [seen.all for seen in raw]),
        Figure(LOCKED, size, "ms", Spread.of([locked]), Spread.of([raw_locked])),
    ]
    if size > 1:
        firsts = [seen.first for seen in product], [seen.first for seen in raw]
        result.figures.append(_figure(FIRST_VISIBLE, size, *firsts))
    result.notes += _overlaps(product + raw, size, gap)


def _overlaps(seen: Sequence[Seen], size: int, gap: timedelta) -> list[str]:
    late = sum(each.all > gap.total_seconds() for each in seen)
    return [f"{size:,} sessions: {late} waves took longer than the time to the next one"] if late else []


def _figure(what: str, size: int, product: Sequence[float], floor: Sequence[float]) -> Figure:
    in_ms = (Spread.of(seconds * 1000 for seconds in measured) for measured in (product, floor))
    return Figure(what, size, "ms", *in_ms)


def _alternate(server: Server, size: int, rounds: int, gap: timedelta) -> tuple[list[Seen], list[Seen], float, float]:
    """Let product and floor open waves in turn, each in a database of its own; and watch the locks of a last wave."""
    with ExitStack() as stack:
        urls = [stack.enter_context(server.database()) for _ in range(2)]
        first = _first_edge(size, 2 * rounds + 2)
        at = [first + n * gap for n in range(2 * rounds + 2)]
        waves = [_prepare(url, size, first - WARM_UP_TIME, at[turn::2]) for turn, url in enumerate(urls)]
        _start(stack, [process.daemon(urls[0]), process.floor_daemon(urls[1])], first - WARM_UP_TIME)
        observers = [stack.enter_context(closing(Observer(url))) for url in urls]
        product, raw = _watch_in_turn(observers, waves)
        locked, raw_locked = (_locked(*each) for each in zip(urls, PROGRAMS, observers, waves, strict=True))
    return product, raw, locked, raw_locked


def _watch_in_turn(observers: Sequence[Observer], waves: Sequence[Sequence[Wave]]) -> tuple[list[Seen], list[Seen]]:
    product: list[Seen] = []
    raw: list[Seen] = []
    for ours, theirs in zip(*(of_one[:-1] for of_one in waves), strict=True):
        product.append(observers[0].watch(ours))
        raw.append(observers[1].watch(theirs))
    return product, raw


def _locked(url: str, program: str, observer: Observer, waves: Sequence[Wave]) -> float:
    with LockWatch(url, program) as locks:
        observer.watch(waves[-1])
    return locks.longest_ms


def _gap(server: Server, size: int) -> timedelta:
    """Return the time between two waves: enough, on a machine as busy as this one now, to be done before the next."""
    with server.database() as url, connected(url) as connection, closing(floor.connection(url)) as raw:
        waves = wave.add(connection, [datetime.now(UTC)] * 3, size)
        took = 0.0
        for each in waves:
            started = time.perf_counter()
            floor.open_instances(raw, each.ids)
            took = max(took, time.perf_counter() - started)
    return timedelta(seconds=max(SHORTEST_GAP, 4 * took))


def _first_edge(size: int, waves: int) -> datetime:
    """Return when the first wave may open: when all are written and the programs have started."""
    return datetime.now(UTC) + timedelta(seconds=8 + size * waves / 1000) + WARM_UP_TIME


def _prepare(url: str, size: int, warm_up_at: datetime, at: Sequence[datetime]) -> list[Wave]:
    with connected(url) as connection:
        wave.add(connection, [warm_up_at + timedelta(milliseconds=100 * n) for n in range(WARM_UP)], 1)
        return wave.add(connection, at, size)


def _start(stack: ExitStack, programs: Sequence[Process], before: datetime) -> None:
    for started in programs:
        stack.callback(started.stop)
        started.start()
    for started in programs:
        started.wait()
    if datetime.now(UTC) > before:
        raise RuntimeError(f"the programs were ready {datetime.now(UTC) - before} after their first edge")


def _naive(server: Server, size: int, gap: timedelta) -> list[Seen]:
    with ExitStack() as stack:
        url = stack.enter_context(server.database())
        rounds = 20 if size == 1 else 1
        first = _first_edge(size, rounds) + timedelta(seconds=size / 2000)
        waves = _prepare(url, size, first - WARM_UP_TIME, [first + n * gap for n in range(rounds)])
        _start(stack, [process.naive(url)], first - WARM_UP_TIME)
        observer = stack.enter_context(closing(Observer(url)))
        return [observer.watch(opening) for opening in waves]


def _targets(result: Result) -> None:
    one = result.figure(ALL_VISIBLE, 1)
    result.targets.append(Target("one edge: lateness, p99", one.product.p99, 10, "ms"))
    if 1000 in result.sizes(ALL_VISIBLE):
        thousand = result.figure(ALL_VISIBLE, 1000)
        what = "1,000 sessions and 5,000 people at one instant: all visible"
        result.targets.append(Target(what, thousand.product.median, 250, "ms"))
    if 10_000 in result.sizes(ALL_VISIBLE):
        ratio = result.figure(ALL_VISIBLE, 10_000).ratio or 0.0
        locked = result.figure(LOCKED, 10_000).product.largest
        result.targets += [
            Target("10,000 sessions and 50,000 people: times the floor", ratio, 1.5, ""),
            Target("10,000 sessions and 50,000 people: longest lock held", locked, 50, "ms"),
        ]


if __name__ == "__main__":
    program(lateness)()
