"""People who use the app all the time: their answers, and how long each request worked with the database."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.adoption.deployed import Tracker, Visitor
from tests.scheduler.soon import HOUR, local, weekly

PAUSE_SECONDS = 0.02
BETWEEN_STEPS = "between"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request: during which step, and for how many milliseconds it worked with the database."""

    step: str
    milliseconds: float


class Traffic:
    """Visitors, each a thread with sessions of its own."""

    def __init__(self, app: Tracker, visitors: int) -> None:
        self._app = app
        self._step = BETWEEN_STEPS
        self._over = threading.Event()
        self._answers: list[Answer] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._visit, args=(seed,)) for seed in range(visitors)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def during(self, step: str, seconds: float = 0) -> Iterator[None]:
        """Count the answers of the block to this step; the block lasts so long at least."""
        until = time.monotonic() + seconds
        self._step = step
        yield
        time.sleep(max(0, until - time.monotonic()))
        self._step = BETWEEN_STEPS

    def milliseconds(self, *steps: str) -> list[float]:
        """Return how long each request of these steps worked with the database."""
        return [answer.milliseconds for answer in [*self._answers] if answer.step in steps]

    def _visit(self, seed: int) -> None:
        try:
            visits = _Visits(Visitor(self._app), random.Random(seed))
            while not self._over.is_set():
                self._request(visits)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test shows it
            self.errors.append(f"{self._step}: {error!r}")

    def _request(self, visits: "_Visits") -> None:
        step = self._step
        visits.next()
        self._answers.append(Answer(step, visits.visitor.milliseconds))
        time.sleep(PAUSE_SECONDS)


class _Visits:
    """One evening after another, from the row to its deletion, and pages in between."""

    def __init__(self, visitor: Visitor, draw: random.Random) -> None:
        self.visitor = visitor
        self._draw = draw
        self._session = visitor.add_session(recurrence=weekly(3 * HOUR, 4 * HOUR), auto_create_instances=True)
        self._evening = 0
        self._coming: Iterator[Callable[[], object]] = iter(())

    def next(self) -> None:
        """Make one request."""
        if self._draw.random() < 0.4:
            self.visitor.get(self._draw.choice(("/", "/board", "/people", f"/sessions/{self._session}/logs")))
            return
        request = next(self._coming, None)
        if request is None:
            self._coming = iter(self._an_evening())
            request = next(self._coming)
        request()

    def _an_evening(self) -> list[Callable[[], object]]:
        me, session = self.visitor, self._session
        now = {
            "date": f"{local(0):%Y-%m-%d}",
            "start_time": f"{local(-HOUR):%H:%M}",
            "end_time": f"{local(HOUR):%H:%M}",
        }
        later = now | {"date": f"{local(48 * HOUR):%Y-%m-%d}"}

        def add() -> None:
            self._evening = me.add_evening(session, **now)

        return [
            add,
            lambda: me.post(f"/instances/{self._evening}/check-in", attendance="yes"),
            lambda: me.post(f"/instances/{self._evening}/tunes", name="The Kesh"),
            lambda: me.post(f"/instances/{self._evening}/cancel", is_cancelled=True),
            lambda: me.post(f"/instances/{self._evening}/cancel", is_cancelled=False),
            lambda: me.put(f"/instances/{self._evening}/hours", **later),
            lambda: me.put(f"/instances/{self._evening}/hours", **now),
            lambda: me.put(f"/sessions/{session}/recurrence", recurrence=weekly(4 * HOUR, 5 * HOUR)),
            lambda: me.put(f"/sessions/{session}/recurrence", recurrence=weekly(3 * HOUR, 4 * HOUR)),
            lambda: me.post(f"/instances/{self._evening}/check-in", attendance="no"),
            lambda: me.post(f"/instances/{self._evening}/check-in", attendance="yes"),
            lambda: me.post(f"/sessions/{session}/log-today"),
            lambda: me.delete(f"/instances/{self._evening}"),
        ]
