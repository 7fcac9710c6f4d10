"""How soon an edit shows: from the app's COMMIT until another connection sees the flips, of one and of 1,000.

Two more edits end an instance for its people: cancelling it while its session's recurrence cannot be read, and
deactivating them.
"""

import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import cycle

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks import process, wave
from benchmarks.observer import Observer
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import connect, connected, run
from benchmarks.spread import Spread
from benchmarks.wave import Wave
from core.migrations import migrate

ROUNDS = {1: 200, 1000: 5}
WARM_UP = 3
PAUSE_SECONDS = 0.02
FAR_AHEAD = timedelta(hours=10)
VISIBLE = "from COMMIT until all flips are visible"
CANCELLED = "cancelled, while the recurrence is unreadable"
DEACTIVATED = "people deactivated"
ENDINGS = {
    CANCELLED: "UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = ANY (%s)",
    DEACTIVATED: "UPDATE person SET active = false WHERE active_session_instance_id = ANY (%s)",
}
ENDING_ROUNDS = 100


def edits(run: Run) -> Result:
    """Edit beside the floor, one at a time and many at once."""
    result = Result("edits", __doc__ or "", "edits in one transaction")
    for size in run.pick([1, 1000], [1, 1000, 10_000], [1, 100]):
        rounds = min(ROUNDS.get(size, 3), 20 if run.quick else 1000)
        result.figures.append(Figure(VISIBLE, size, "ms", *_in_turn(run, size, rounds + WARM_UP)))
    if 1 in result.sizes(VISIBLE):
        floor = result.figure(VISIBLE, 1).floor
        for what, seconds in _endings(run, 10 if run.quick else ENDING_ROUNDS).items():
            result.figures.append(Figure(what, 1, "ms", Spread.of(each * 1000 for each in seconds), floor))
            result.targets.append(Target(f"{what}, largest", result.figure(what, 1).product.largest, 250, "ms"))
        one = result.figure(VISIBLE, 1)
        result.targets += [
            Target("edit to effect, p99", one.product.p99, 25, "ms"),
            Target("edit to effect, times the floor", one.ratio or 0.0, 2.5, ""),
        ]
    return result


def _in_turn(this: Run, size: int, rounds: int) -> tuple[Spread, Spread]:
    """Edit beside the product and beside the floor in turn, each in a database of its own."""
    with ExitStack() as stack:
        urls = [stack.enter_context(this.server.database()) for _ in range(2)]
        waves = [_prepare(url, size, rounds) for url in urls]
        for started in (process.daemon(urls[0]), process.floor_daemon(urls[1])):
            stack.enter_context(started)
        apps = [stack.enter_context(closing(connect(url, autocommit=False))) for url in urls]
        observers = [stack.enter_context(closing(Observer(url))) for url in urls]
        seconds: list[list[float]] = [[], []]
        for pair in zip(*waves, strict=True):
            for turn, moved in enumerate(pair):
                seconds[turn].append(_edit(apps[turn], observers[turn], moved))
                time.sleep(PAUSE_SECONDS)
    product, floor = (Spread.of(each * 1000 for each in measured[WARM_UP:]) for measured in seconds)
    return product, floor


def _prepare(url: str, size: int, rounds: int) -> list[Wave]:
    with connected(url) as connection:
        return wave.add(connection, [datetime.now(UTC) + FAR_AHEAD] * rounds, size)


def _endings(this: Run, rounds: int) -> dict[str, list[float]]:
    """Open an instance and end it for its people, each ending in turn; the floor is that of opening one."""
    seconds: dict[str, list[float]] = {what: [] for what in ENDINGS}
    with ExitStack() as stack:
        url = stack.enter_context(this.server.database())
        waves = _prepare(url, 1, rounds * len(ENDINGS))
        with connected(url) as connection:
            run(connection, "ALTER TABLE person ADD COLUMN active boolean NOT NULL DEFAULT true")
            migrate(url)
            run(connection, "UPDATE session SET recurrence = 'Tuesdays, most weeks, from 7'")
        stack.enter_context(process.daemon(url))
        app = stack.enter_context(closing(connect(url, autocommit=False)))
        observer = stack.enter_context(closing(Observer(url)))
        for (what, ending), moved in zip(cycle(ENDINGS.items()), waves, strict=False):
            _edit(app, observer, moved)
            time.sleep(PAUSE_SECONDS)
            run(app, ending, moved.ids)
            committing_at = datetime.now(UTC)
            app.commit()
            seconds[what].append(observer.watch_end(moved, committing_at))
            time.sleep(PAUSE_SECONDS)
    return seconds


def _edit(app: Connection, observer: Observer, moved: Wave) -> float:
    """Move instances to now, and return how many seconds after the COMMIT was sent all of them were visible."""
    move_to_now(app, moved)
    committing_at = datetime.now(UTC)
    app.commit()
    return observer.watch(moved, committing_at).all


def move_to_now(app: Connection, moved: Wave) -> None:
    """Save instances as an organiser does: tonight's has begun half an hour ago."""
    begun = datetime.now(UTC) - timedelta(minutes=30)
    run(
        app,
        "UPDATE session_instance SET date = %s, start_time = %s, end_time = %s WHERE session_instance_id = ANY (%s)",
        begun.date(),
        begun.time(),
        (begun + wave.LENGTH).time(),
        moved.ids,
    )


if __name__ == "__main__":
    program(edits)()
