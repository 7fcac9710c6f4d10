"""How late a flip is: from an edge's instant until another connection sees it, for 1 to 10,000 sessions at once.

And how late one edge is while other sessions are planned, whose recurrences are as costly as they may be (R6).
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime, timedelta
from itertools import cycle

from benchmarks import floor, process, wave
from benchmarks.lock_watch import LockWatch
from benchmarks.observer import Observer, VisibleAfter
from benchmarks.process import Process
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import Server, connected, run
from benchmarks.spread import Spread
from benchmarks.wave import Wave

EDGES_OF_ONE = 200
ROUNDS = {1: EDGES_OF_ONE, 100: 10, 1000: 5, 10_000: 3}
SHORTEST_GAP = 0.08  # seconds between two edges
EDIT_GAP = 0.4  # as long as edits and their passes take: an edge between two edits has none beside it
START_SECONDS = 8  # what a program may take to start on a busy machine
WARM_UP_TIME = timedelta(seconds=2)
WARM_UP = 3  # edges of one session, before those that count: the daemon of a week is no daemon of a second
ALL_VISIBLE = "all sessions and their people visible"
FIRST_VISIBLE = "the first session visible"
NAIVE = "all visible, with a job for each instance"
LOCKED = "longest lock held"
EDITED = "visible, with an edit of six sessions 5 to 65 ms before: "
EDITS = 6
BEFORE = [timedelta(milliseconds=each) for each in (5, 25, 45, 65)]  # an edit, before an edge
MANY_COUNTS, MANY_STARTS = "nine COUNTs since 1900, 366 EXDATEs", "48 starts a day"


def lateness(this: Run) -> Result:
    """Open waves of each size, beside the floor and the naive design."""
    result = Result("lateness", __doc__ or "", "sessions")
    for size in this.pick([1, 100, 1000, 10_000], [1, 100, 1000, 10_000, 50_000], [1, 100]):
        _measure(this, result, size)
        if size == 1:
            for text in (MANY_COUNTS, MANY_STARTS):
                beside, alone = _beside_edits(this.server, text, 20 if this.quick else EDGES_OF_ONE)
                result.figures.append(figure(EDITED + text, 1, beside, alone))
    _targets(result)
    return result


def _measure(this: Run, result: Result, size: int) -> None:
    rounds = min(ROUNDS.get(size, 2), 20 if this.quick else EDGES_OF_ONE)
    gap = gap_for(this.server, size)
    product, raw, locked, raw_locked = alternate(this.server, size, rounds, gap)
    naive = _naive(this.server, size, gap)
    result.figures += [
        figure(
            ALL_VISIBLE,
            size,
            [wave_visible.all for wave_visible in product],
            [wave_visible.all for wave_visible in raw],
        ),
        figure(NAIVE, size, [wave_visible.all for wave_visible in naive], [wave_visible.all for wave_visible in raw]),
        Figure(LOCKED, size, "ms", Spread.of([locked]), Spread.of([raw_locked])),
    ]
    if size > 1:
        firsts = [wave_visible.first for wave_visible in product], [wave_visible.first for wave_visible in raw]
        result.figures.append(figure(FIRST_VISIBLE, size, *firsts))
    result.notes += overlaps(product + raw, size, gap)


def overlaps(wave_visible: Sequence[VisibleAfter], size: int, gap: timedelta) -> list[str]:
    """Return a note where waves were not done when the next one came."""
    late = sum(each.all > gap.total_seconds() for each in wave_visible)
    return [f"{size:,} sessions: {late} waves took longer than the time to the next one"] if late else []


def figure(what: str, size: int, product: Sequence[float], floor: Sequence[float]) -> Figure:
    """Return a row of the table, in milliseconds; product and floor are in seconds."""
    return Figure(what, size, "ms", in_ms(product), in_ms(floor))


def in_ms(seconds: Iterable[float]) -> Spread:
    """Return the spread, in milliseconds, of times that were measured in seconds."""
    return Spread.of(each * 1000 for each in seconds)


def alternate(
    server: Server, size: int, rounds: int, gap: timedelta, *, daemons: int = 1
) -> tuple[list[VisibleAfter], list[VisibleAfter], float, float]:
    """Let `daemons` and the floor open waves in turn, each in its own database; and watch the locks of a last wave."""
    with ExitStack() as stack:
        urls = [stack.enter_context(server.database()) for _ in range(2)]
        started = [*(process.daemon(urls[0]) for _ in range(daemons)), process.floor_daemon(urls[1])]
        waves = open_waves(stack, urls, started, size=size, count=2 * rounds + 2, gap=gap)
        observers = [stack.enter_context(closing(Observer(url))) for url in urls]
        product, raw = _watch_in_turn(observers, waves)
        locked, raw_locked = _longest_locks(urls, observers, waves)
    return product, raw, locked, raw_locked


def _watch_in_turn(
    observers: Sequence[Observer], waves: Sequence[Sequence[Wave]]
) -> tuple[list[VisibleAfter], list[VisibleAfter]]:
    product: list[VisibleAfter] = []
    raw: list[VisibleAfter] = []
    for ours, theirs in zip(*(of_one[:-1] for of_one in waves), strict=True):
        product.append(observers[0].watch(ours))
        raw.append(observers[1].watch(theirs))
    return product, raw


def _longest_locks(
    urls: Sequence[str], observers: Sequence[Observer], waves: Sequence[Sequence[Wave]]
) -> tuple[float, float]:
    with LockWatch(urls[0]) as product, LockWatch(urls[1]) as raw:
        for observer, of_one in zip(observers, waves, strict=True):
            observer.watch(of_one[-1])
    return product.longest_ms, raw.longest_ms


def gap_for(server: Server, size: int) -> timedelta:
    """Return the time between two waves: enough, on a machine as busy as this one now, to be done before the next."""
    with server.database() as url, connected(url) as connection, closing(floor.connection(url)) as raw:
        waves = wave.add(connection, [datetime.now(UTC)] * 3, size)
        took = 0.0
        for each in waves:
            started = time.perf_counter()
            floor.open_instances(raw, each.ids)
            took = max(took, time.perf_counter() - started)
    return timedelta(seconds=max(SHORTEST_GAP, 4 * took))


def open_waves(
    stack: ExitStack, urls: Sequence[str], programs: Sequence[Process], *, size: int, count: int, gap: timedelta
) -> list[list[Wave]]:
    """Write so many waves, dealt to the databases in turn, and start a program at each; return each one's waves.

    How long writing the hours and starting takes is judged from how long it took to write the rest.
    """
    began = time.time()
    with ExitStack() as opened:
        connections = [opened.enter_context(connected(url)) for url in urls]
        warm = [wave.draft(connection, WARM_UP, 1) for connection in connections]
        drafts = [wave.draft(connection, count // len(urls), size) for connection in connections]
        warm_up = datetime.now(UTC) + timedelta(seconds=START_SECONDS + time.time() - began)
        first = warm_up + WARM_UP_TIME
        at = [first + n * gap for n in range(count)]
        waves = [
            wave.schedule(c, d, at[n :: len(urls)]) for n, (c, d) in enumerate(zip(connections, drafts, strict=True))
        ]
        for connection, few in zip(connections, warm, strict=True):
            wave.schedule(connection, few, [warm_up + timedelta(milliseconds=100 * n) for n in range(WARM_UP)])
    _start(stack, programs, warm_up)
    return waves


def _start(stack: ExitStack, programs: Sequence[Process], before: datetime) -> None:
    for started in programs:
        stack.callback(started.stop)
        started.start()
    for started in programs:
        started.wait()
    if datetime.now(UTC) > before:
        raise RuntimeError(f"the programs were ready {datetime.now(UTC) - before} after their first edge")


def _naive(server: Server, size: int, gap: timedelta) -> list[VisibleAfter]:
    with ExitStack() as stack:
        url = stack.enter_context(server.database())
        [waves] = open_waves(stack, [url], [process.naive(url)], size=size, count=20 if size == 1 else 1, gap=gap)
        observer = stack.enter_context(closing(Observer(url)))
        return [observer.watch(opening) for opening in waves]


def _beside_edits(server: Server, text: str, rounds: int) -> tuple[list[float], list[float]]:
    """Return how late edges are that come just after an edit, and how late the edges between them are."""
    seconds: list[list[float]] = [[], []]
    with ExitStack() as stack:
        url = stack.enter_context(server.database())
        app = stack.enter_context(connected(url))
        session_ids = wave.draft(app, EDITS, 1, people_each=0).session_ids
        gap = timedelta(seconds=EDIT_GAP)
        [waves] = open_waves(stack, [url], [process.daemon(url)], size=1, count=2 * rounds, gap=gap)
        observer = stack.enter_context(closing(Observer(url)))
        for number, (opening, measured) in enumerate(zip(waves, cycle(seconds), strict=False)):
            if measured is seconds[0]:
                texts = [_costly(text, number * EDITS + n) for n in range(EDITS)]
                before = BEFORE[number // 2 % len(BEFORE)]
                time.sleep(max(0.0, (opening.opens_at - before - datetime.now(UTC)).total_seconds()))
                run(app, _EDIT, session_ids, texts)
            measured.append(observer.watch(opening).all)
    return seconds[0], seconds[1]


_EDIT = (
    "UPDATE session SET recurrence = text FROM unnest(%s::bigint[], %s::text[]) edited (id, text) WHERE session_id = id"
)


def _costly(text: str, number: int) -> str:
    """Return a recurrence that costs a pass as much as one may, and that no pass has seen yet."""
    if text == MANY_STARTS:
        hours = ",".join(map(str, range(24)))
        today = datetime.now(UTC).date()
        days = ",".join(str(max(1, (today + timedelta(days=day)).timetuple().tm_yday)) for day in range(-9, 10))
        rule = f"FREQ=YEARLY;BYYEARDAY={days};BYMINUTE=0,30;BYHOUR={hours}"
        return f"DTSTART:{1950 + number % 60}0101T000000\nDURATION:PT{20 + number % 9}M\nRRULE:{rule}"
    counts = (
        "WEEKLY;BYDAY=MO;COUNT=6700", "WEEKLY;BYDAY=TU,WE;COUNT=13300", "MONTHLY;BYDAY=1TH,2FR;COUNT=3100",
        "MONTHLY;BYMONTHDAY=1,5,9;COUNT=4700", "YEARLY;BYWEEKNO=1,20,30;BYDAY=MO,TU;COUNT=790",
        "YEARLY;BYYEARDAY=1,50,100,-1;COUNT=540", "WEEKLY;INTERVAL=53;BYDAY=SA,SU;COUNT=300",
        "DAILY;INTERVAL=7;COUNT=6800", "DAILY;INTERVAL=3;COUNT=15600",
    )  # fmt: skip
    rules = "".join(f"\nRRULE:FREQ={rule};WKST={'MO' if number % 2 else 'SU'}" for rule in counts)
    first = date(2026, 1, 1) + timedelta(days=number)
    excluded = ",".join(f"{first + timedelta(days=3 * n):%Y%m%d}T190000" for n in range(366))
    return f"DTSTART:19000101T190000\nDURATION:PT{1 + number % 9}H{rules}\nEXDATE:{excluded}"


def _targets(result: Result) -> None:
    if 1 in result.sizes(ALL_VISIBLE):
        one = result.figure(ALL_VISIBLE, 1)
        result.targets += [
            Target("one edge: lateness, median", one.product.median, 2, "ms"),
            Target("one edge: lateness, times the floor", one.ratio or 0.0, 1, ""),
            Target("one edge: later than the floor by (p99)", _later(one), 3, "ms"),
        ]
        for text in (MANY_COUNTS, MANY_STARTS):
            edited = result.figure(EDITED + text, 1)
            what = f"one edge after six edits, {text}: later by (p99)"
            result.targets.append(Target(what, _later(edited), 20, "ms"))
    if 100 in result.sizes(ALL_VISIBLE):
        hundred = result.figure(ALL_VISIBLE, 100)
        result.targets.append(Target("100 sessions at one instant: all visible", hundred.product.median, 5, "ms"))
    if 1000 in result.sizes(ALL_VISIBLE):
        thousand = result.figure(ALL_VISIBLE, 1000)
        what = "1,000 sessions and 5,000 people at one instant: all visible"
        result.targets.append(Target(what, thousand.product.median, 100, "ms"))
    if 10_000 in result.sizes(ALL_VISIBLE):
        ratio = result.figure(ALL_VISIBLE, 10_000).ratio or 0.0
        locked = result.figure(LOCKED, 10_000).product.largest
        result.targets += [
            Target("10,000 sessions and 50,000 people: times the floor", ratio, 1.3, ""),
            Target("10,000 sessions and 50,000 people: longest lock held", locked, 50, "ms"),
        ]


def _later(figure: Figure) -> float:
    """Return by how many milliseconds the product's p99 is above the floor's."""
    return figure.product.p99 - (figure.floor.p99 if figure.floor else 0.0)


if __name__ == "__main__":
    program(lateness)()
