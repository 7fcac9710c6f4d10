"""What a daemon costs: how long from its start until it is ready and right, how much memory, how much idle CPU."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from benchmarks import process, wave
from benchmarks.process import Process
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import connected, run, value
from benchmarks.spread import Spread

ROUNDS = 5
MISSED = 50  # sessions that opened while no daemon ran
START, PEAK, IDLE = "from start until ready", "peak memory", "idle CPU"
IDLE_SECONDS = 60


def cold_start(run: Run) -> Result:
    """Start daemons beside an idle process, then leave them alone."""
    result = Result("cold_start", __doc__ or "", "sessions")
    sizes = run.pick([10_000, 100_000], [10_000, 100_000, 1_000_000], [1000])
    for size in sizes:
        _starts(result, run.fleets.of(size), size, rounds=2 if run.quick else ROUNDS)
    _idle(result, {size: run.fleets.of(size) for size in sizes}, 5 if run.quick else IDLE_SECONDS)
    _targets(result, max((size for size in sizes if size <= 100_000), default=max(sizes)))
    return result


def _starts(result: Result, url: str, size: int, rounds: int) -> None:
    ms: tuple[list[float], list[float]] = ([], [])
    peaks: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        _miss_some(url)
        for turn, started in enumerate((process.daemon(url), process.idle(url))):
            with started:
                ms[turn].append((started.ready_at - started.started_at) * 1000)
                peaks[turn].append(started.peak_mb)
                if turn == 0:
                    _require_right(url)
    result.figures += [
        Figure(START, size, "ms", *(Spread.of(each) for each in ms)),
        Figure(PEAK, size, "MB", *(Spread.of(each) for each in peaks)),
    ]


def _miss_some(url: str) -> None:
    with connected(url) as connection:
        wave.add(connection, [datetime.now(UTC) - timedelta(minutes=1)], MISSED)


_WRONG = """
    SELECT count(*) FROM (SELECT session_instance_id FROM activation_window
                          WHERE opens_at <= clock_timestamp() AND closes_at > clock_timestamp()) w
    FULL JOIN (SELECT session_instance_id FROM session_instance WHERE active) a USING (session_instance_id)
    WHERE w.session_instance_id IS NULL OR a.session_instance_id IS NULL
"""


def _require_right(url: str) -> None:
    with connected(url) as connection:
        run(connection, "SET max_parallel_workers_per_gather = 0")
        if wrong := value(connection, _WRONG):
            raise RuntimeError(f"it says it is ready, and {wrong} bits are wrong")


def _idle(result: Result, urls: dict[int, str], seconds: int) -> None:
    """Leave a daemon at each size, and an idle process, alone for a minute, all at once."""
    with ExitStack() as stack:
        daemons = {size: stack.enter_context(process.daemon(url)) for size, url in urls.items()}
        floor = stack.enter_context(process.idle(next(iter(urls.values()))))
        time.sleep(2)
        before = {started: started.cpu_seconds for started in (*daemons.values(), floor)}
        time.sleep(seconds)
        percent = {started: (started.cpu_seconds - used) / seconds * 100 for started, used in before.items()}
        result.figures += [
            Figure(IDLE, size, "%", Spread.of([percent[daemon]]), Spread.of([percent[floor]]))
            for size, daemon in daemons.items()
        ]
        result.notes += [
            _server_share(size, daemon, url) for (size, daemon), url in zip(daemons.items(), urls.values(), strict=True)
        ]


def _server_share(size: int, daemon: Process, url: str) -> str:
    with connected(url) as connection:
        timers = value(connection, "SELECT count(DISTINCT opens_at) FROM activation_window WHERE phase = 'ahead'")
    return f"{size:,} sessions: {daemon.peak_mb:.0f} MB at its peak after a minute, {timers:,} distinct openings ahead"


def _targets(result: Result, size: int) -> None:
    result.targets += [
        Target(f"peak memory at {size:,} sessions", result.figure(PEAK, size).product.largest, 120, "MB"),
        Target(f"idle CPU at {size:,} sessions", result.figure(IDLE, size).product.median, 0.5, "%"),
        Target(f"ready and right at {size:,} planned sessions", result.figure(START, size).product.median, 2000, "ms"),
    ]


if __name__ == "__main__":
    program(cold_start)()
