"""What the hooks add to the app's transactions, when all is quiet and while 10,000 sessions open."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks import fleet, process, wave
from benchmarks.observer import Observer
from benchmarks.program import Run, program
from benchmarks.result import Figure, Result, Target
from benchmarks.server import connect, connected, run
from benchmarks.spread import Spread
from benchmarks.wave import Wave
from core.active_session_manager import check_in, session_saved

QUIET_ROUNDS = 300
WARM_UP = 10
WAVES = 3
PAUSE_SECONDS = 0.01
FLEET = 1000
SAVED, CHECKED_IN = "a transaction that saves a session", "a transaction that checks somebody in"
SAVED_CALL, CHECKED_IN_CALL = "session_saved alone", "check_in alone"

Milliseconds = dict[str, list[float]]


def hooks(run: Run) -> Result:
    """Save and check in with and without the hooks, quiet and while waves open."""
    result = Result("hooks", __doc__ or "", "sessions opening meanwhile")
    flips = 3000 if run.quick else 10_000
    with ExitStack() as stack:
        url = stack.enter_context(run.server.database())
        first = datetime.now(UTC) + timedelta(seconds=25 + flips / 400)
        waves = _prepare(
            url, [first + timedelta(seconds=flips / 400) * n for n in range(1 if run.quick else WAVES)], flips
        )
        stack.enter_context(process.daemon(url))
        app = stack.enter_context(closing(connect(url, autocommit=False)))
        _add(result, 0, _quiet(app, until=first - timedelta(seconds=1)))
        _add(result, flips, _meanwhile(url, app, waves))
    _targets(result, flips)
    return result


def _prepare(url: str, at: list[datetime], flips: int) -> list[Wave]:
    with connected(url) as connection:
        fleet.build(connection, FLEET, 4, datetime.now(UTC))
        return wave.add(connection, at, flips)


# The transactions: each returns the milliseconds of what is counted


class _App:
    """Chooses what the app writes next; each session and person in turn, so that product and floor write the like."""

    def __init__(self, app: Connection, instance_ids: list[int]) -> None:
        self._app = app
        self._sessions: Iterator[int] = cycle(
            row[0] for row in run(app, "SELECT session_id FROM session WHERE recurrence <> ''")
        )
        self._people: Iterator[int] = cycle(row[0] for row in run(app, f"SELECT person_id FROM person LIMIT {FLEET}"))
        self._instances = instance_ids
        self._lengths = cycle(range(60, 1, -1))

    def save(self) -> int:
        """Save another buffer in a session's row: it is planned again, and its windows move."""
        session_id = next(self._sessions)
        run(
            self._app,
            "UPDATE session SET active_buffer_minutes_after = %s WHERE session_id = %s",
            next(self._lengths),
            session_id,
        )
        return session_id

    def yes(self) -> tuple[int, int]:
        """Choose who says yes, and to what."""
        return next(self._people), random.choice(self._instances)


def _rounds(app: Connection, choice: _App) -> Iterator[tuple[str, float]]:
    """Yield the milliseconds of product and floor, transaction by transaction, in turn, for ever."""
    while True:
        yield from _save_with_hook(app, choice)
        yield f"{SAVED} (floor)", _timed(app, choice.save)
        yield from _check_in_with_hook(app, choice)
        yield f"{CHECKED_IN} (floor)", _timed(app, lambda: raw_check_in(app, *choice.yes()))


def _save_with_hook(app: Connection, choice: _App) -> Iterator[tuple[str, float]]:
    started = time.perf_counter()
    session_id = choice.save()
    calling = time.perf_counter()
    session_saved(app, session_id)
    called = time.perf_counter()
    app.commit()
    committed = time.perf_counter()  # now: the caller may take long before it asks for the next
    yield SAVED_CALL, (called - calling) * 1000
    yield SAVED, (committed - started) * 1000


def _check_in_with_hook(app: Connection, choice: _App) -> Iterator[tuple[str, float]]:
    person_id, instance_id = choice.yes()
    started = time.perf_counter()
    check_in(app, person_id, instance_id, "yes")
    called = time.perf_counter()
    app.commit()
    committed = time.perf_counter()
    yield CHECKED_IN_CALL, (called - started) * 1000
    yield CHECKED_IN, (committed - started) * 1000


def _timed(app: Connection, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    app.commit()
    return (time.perf_counter() - started) * 1000


def raw_check_in(app: Connection, person_id: int, instance_id: int) -> None:
    """Write the row that says yes, and nothing else: where the person is, is left to the daemon."""
    run(
        app,
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance, created_date, checked_in_at) "
        "VALUES (%s, %s, 'yes', clock_timestamp(), clock_timestamp()) "
        "ON CONFLICT (session_instance_id, person_id) DO UPDATE SET checked_in_at = clock_timestamp()",
        instance_id,
        person_id,
    )


# When


def _quiet(app: Connection, until: datetime) -> Milliseconds:
    active = [row[0] for row in run(app, "SELECT session_instance_id FROM active_instance")]
    measured: Milliseconds = {}
    app.commit()
    for number, (what, ms) in enumerate(_rounds(app, _App(app, active))):
        if number >= 6 * QUIET_ROUNDS or datetime.now(UTC) > until:
            break
        if number >= 6 * WARM_UP:
            measured.setdefault(what, []).append(ms)
        time.sleep(PAUSE_SECONDS)
    return measured


def _meanwhile(url: str, app: Connection, waves: list[Wave]) -> Milliseconds:
    measured: Milliseconds = {}
    for opening in waves:
        with closing(Observer(url)) as observer, ThreadPoolExecutor() as threads:
            # By now some of the people are somewhere else; the app checks in those.
            done = threads.submit(observer.watch, replace(opening, people=0))
            rounds = _rounds(app, _App(app, opening.ids))
            app.commit()
            time.sleep(max(0.0, opening.opens_at.timestamp() - time.time()))
            while not done.done():
                what, ms = next(rounds)
                measured.setdefault(what, []).append(ms)
            done.result()
    return measured


def _add(result: Result, flips: int, measured: Milliseconds) -> None:
    for what in (SAVED, CHECKED_IN):
        product, floor = Spread.of(measured[what]), Spread.of(measured[f"{what} (floor)"])
        result.figures.append(Figure(what, flips, "ms", product, floor))
    for what, whole in ((SAVED_CALL, SAVED), (CHECKED_IN_CALL, CHECKED_IN)):
        floor = Spread.of(measured[f"{whole} (floor)"])
        result.figures.append(Figure(what, flips, "ms", Spread.of(measured[what]), floor))


def _targets(result: Result, flips: int) -> None:
    quiet = result.figure(CHECKED_IN_CALL, 0)
    busy = result.figure(CHECKED_IN_CALL, flips).product.largest
    result.targets += [
        Target("check_in, quiet, p99", quiet.product.p99, 5, "ms"),
        Target("check_in, quiet, times the floor", quiet.ratio or 0.0, 2.5, ""),
        # The lock timeout of a hook, and what its statements take.
        Target(f"check_in, while {flips:,} open, longest", busy, 150, "ms"),
    ]


if __name__ == "__main__":
    program(hooks)()
