"""How late other designs are, beside this daemon: from an edge's instant until another connection sees the flips."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version

from benchmarks import process, wave
from benchmarks.lateness import gap_for, in_ms, open_waves, overlaps
from benchmarks.naive import THREADS
from benchmarks.observer import Observer, VisibleAfter
from benchmarks.process import Process
from benchmarks.procrastinate_worker import CONCURRENCY
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import Server, connected

EDGES_OF_ONE = 40
ROUNDS = {1: EDGES_OF_ONE, 100: 10, 1000: 5}
ROUNDS_OF_QUEUE = {1: EDGES_OF_ONE, 100: 5, 1000: 3}
DAEMON, NAIVE, CRON = "this daemon", "the naive program", "cron, every 15 minutes"
POLLING = {"procrastinate, a poll every 5 s (its default)": 5.0, "procrastinate, a poll every 0.1 s": 0.1}
FIRST = ", the first visible"
# `gap_for` leaves time for four times the floor. Of those that take turns the slowest takes ten times the floor, and a
# queue a hundred times.
SLOWER, SLOWER_QUEUE = 4, 40
GOLDEN = 0.382  # polling intervals between two single edges: so each comes at another moment between two polls
QUARTER = timedelta(minutes=15)
WRITING = timedelta(seconds=2)  # what writing the hours may take before cron's script starts
NOTES = """
The others are told the rows, and flip them by the floor's SQL: they read no recurrence, follow no edit and repair
nothing. All are watched alike. This daemon, the floor's program and the naive one take turns; procrastinate and cron
run alone on the machine.

**The naive program** (APScheduler {apscheduler}, {threads} threads, which is its default) has a timer and a transaction
for each instance. APScheduler is made for timers in one process: nothing is simpler, and they end with the process.
Jobs that wait for a thread are not dropped (`misfire_grace_time=None`).

**procrastinate** ({procrastinate}, with psycopg {psycopg}) is a job queue in PostgreSQL. It is made for work that
survives a crash and that many workers share, with retries, locks and priorities: a scheduled job runs *not before* its
time. Here it has a job for each instance, with `schedule_at`, and one worker with asynchronous tasks, concurrency
{concurrency}, and a pool of one connection more, as its documentation advises; all else as by default. So it listens
for notifications. They wake it when a job is inserted, and not when a job's time comes: that waits for a poll. (One job
for a whole instant would wait for a poll as a single edge does, and then take as long as the floor.)

**cron** is made for work that may be late by its interval. The edges are spread evenly over the quarter of an hour
before one real run of a script, which flips all that is due. The lateness is the wait for that run plus the run
({run_ms:,.0f} ms for the single edges, the start of Python included). What cron takes to start a script is not in it.
"""


def beside_its_peers(this: Run) -> Result:
    """Open waves of each size by each design, in one run."""
    result = Result("beside_its_peers", __doc__ or "", "sessions")
    runs_of_cron = [_measure(this, result, size) for size in this.pick([1, 100, 1000], [1, 100, 1000], [1, 100])]
    releases = {name.lower(): version(name) for name in ("APScheduler", "procrastinate", "psycopg")}
    notes = NOTES.format(threads=THREADS, concurrency=CONCURRENCY, run_ms=runs_of_cron[0] * 1000, **releases)
    result.notes[:0] = [note.replace("\n", " ").strip() for note in notes.split("\n\n")]
    _targets(result)
    return result


def _measure(this: Run, result: Result, size: int) -> float:
    """Measure all designs at one size; return how many seconds cron's script took."""
    few = 5 if this.quick else EDGES_OF_ONE
    rounds, rounds_of_queue = (min(all_rounds.get(size, 3), few) for all_rounds in (ROUNDS, ROUNDS_OF_QUEUE))
    gap = gap_for(this.server, size)
    in_turn = process.daemon, process.floor_daemon, process.naive
    daemon, floor, naive = _watch(this.server, in_turn, size, rounds, SLOWER * gap)
    result.notes += overlaps([*daemon, *floor, *naive], size, SLOWER * gap)
    _add(result, DAEMON, size, daemon, floor)
    _add(result, NAIVE, size, naive, floor)
    for name, polling in POLLING.items():
        worker = partial(process.procrastinate, polling_seconds=polling)
        between = max(timedelta(seconds=GOLDEN * polling), SLOWER * gap)
        if size > 1:  # each wave after the last is done
            between = timedelta(seconds=polling) + SLOWER_QUEUE * gap
        [queue] = _watch(this.server, [worker], size, rounds_of_queue, between)
        result.notes += [f"{name}: {note}" for note in overlaps(queue, size, between) if size > 1]
        _add(result, name, size, queue)
    late, took = _cron(this.server, size, rounds)
    result.figures.append(Figure(CRON, size, "ms", in_ms(late)))
    return took


def _add(
    result: Result, name: str, size: int, seen: Sequence[VisibleAfter], floor: Sequence[VisibleAfter] = ()
) -> None:
    floors = [in_ms(each.all for each in floor), in_ms(each.first for each in floor)] if floor else [None, None]
    result.figures.append(Figure(name, size, "ms", in_ms(each.all for each in seen), floors[0]))
    if size > 1:
        result.figures.append(Figure(name + FIRST, size, "ms", in_ms(each.first for each in seen), floors[1]))


def _watch(
    server: Server, programs: Sequence[Callable[[str], Process]], size: int, rounds: int, gap: timedelta
) -> list[list[VisibleAfter]]:
    """Let these programs open waves in turn, each in a database of its own; return what was seen of each."""
    with ExitStack() as stack:
        urls = [stack.enter_context(server.database()) for _ in programs]
        started = [of_program(url) for of_program, url in zip(programs, urls, strict=True)]
        waves = open_waves(stack, urls, started, size=size, count=len(urls) * rounds, gap=gap)
        observers = [stack.enter_context(closing(Observer(url))) for url in urls]
        turns = zip(*waves, strict=True)
        seen = [[observer.watch(opening) for observer, opening in zip(observers, turn, strict=True)] for turn in turns]
    return [list(of_one) for of_one in zip(*seen, strict=True)]


def _cron(server: Server, size: int, rounds: int) -> tuple[list[float], float]:
    """Spread edges over the quarter of an hour before a run of the script; return how late they were, and its time."""
    with server.database() as url, connected(url) as connection, closing(Observer(url)) as observer:
        drafts = wave.draft(connection, rounds, size)
        run_at = datetime.now(UTC) + WRITING
        waves = wave.schedule(connection, drafts, [run_at - QUARTER * (n + 0.5) / rounds for n in range(rounds)])
        time.sleep(max(0.0, (run_at - datetime.now(UTC)).total_seconds()))
        script = process.cron(url).start()
        flipped = replace(waves[0], size=size * rounds, people=sum(each.people for each in waves))
        took = observer.watch(flipped, since=datetime.fromtimestamp(script.started_at, UTC)).all
        script.stop()
    late = [script.started_at + took - each.opens_at.timestamp() for each in waves]
    return late, took


def _targets(result: Result) -> None:
    if 1 in result.sizes(DAEMON):
        daemon, naive = result.figure(DAEMON, 1), result.figure(NAIVE, 1)
        ratio = daemon.product.median / naive.product.median
        result.targets.append(Target("one edge: times the naive program, in the same run", ratio, 1.0, ""))


if __name__ == "__main__":
    program(beside_its_peers)()
