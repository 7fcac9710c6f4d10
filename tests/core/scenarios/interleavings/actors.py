"""Steps real connections from one named point to the next: so a race happens in the order that a test states.

Each actor works in a thread of its own, which runs only while the test waits for it. Nothing sleeps, and no clock
decides: timeouts are long where an actor shall wait, and everywhere else one that waits has failed.

A point is a function, named as `docs/protocol.md` names the steps of a pass: the actor stands before the first
statement of that function. `planning.snapshots.snapshots:2` is before its second statement.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread, local
from types import CodeType
from typing import Any

import pytest
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from core.db.transaction_settings import BEGIN_OWN
from core.db.transactions import is_own
from tests.data import value

COMMIT = "COMMIT"  # a point: before the commit
END = "END"  # the actor has done its work
BLOCKED = "BLOCKED"  # the actor goes on to its end, and waits for a lock of another actor

TIMEOUT_SECONDS = 20.0  # for what takes milliseconds
LONG = "60s"
# A slow machine must not end an actor that stands at a point; nor one that is to wait for a lock.
TIMEOUTS = {"2s": LONG, "5s": LONG}
LOCK_TIMEOUTS = {"100ms": LONG, "250ms": LONG}

Work = Callable[["Actor"], object]

_thread = local()


def _code(point: str) -> CodeType:
    """Return the code of the function that a point names: in `core.store`, or else in `core`."""
    module, _, name = point.rpartition(".")
    for package in ("core.store", "core"):
        try:
            function = getattr(import_module(f"{package}.{module}"), name)
        except ModuleNotFoundError:
            continue
        code: CodeType = function.__code__
        return code
    raise LookupError(point)


class Actor:
    """Somebody with a connection: a daemon, a user of the app, or the app itself."""

    def __init__(self, name: str, work: Work, *, may_wait: bool) -> None:
        self.name = name
        self.errors: list[str] = []  # of statements that failed, also where the product handles that
        self.may_wait = may_wait
        self._work = work
        self._pid = 0
        self._target = END
        self._code: CodeType | None = None
        self._left = 0  # how many statements of the target's function are to come before it stands
        self._standing = False
        self._go = Semaphore(0)
        self._arrivals: SimpleQueue[str] = SimpleQueue()
        self._thread: Thread | None = None
        self.result: Any = None
        self._failure: BaseException | None = None

    # For the test

    def step(self, target: str, app: Psycopg2Connection) -> None:
        """Go on to the target, and return once the actor stands there; raise what it raised if it fails."""
        self._aim(END if target == BLOCKED else target)
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name=self.name)
            self._thread.start()
        elif self._standing:
            self._standing = False
            self._go.release()
        if target == BLOCKED:
            self._wait_until_blocked(app)
        else:
            self._wait_until_at(target)

    def finish(self) -> None:
        """Let the thread end, whatever has happened."""
        self._aim(END)
        self._go.release()
        if self._thread:
            self._thread.join(TIMEOUT_SECONDS)

    def _aim(self, target: str) -> None:
        point, _, number = target.partition(":")
        self._code = None if target in (COMMIT, END) else _code(point)
        self._left = int(number or 1)
        self._target = target

    def _wait_until_at(self, target: str) -> None:
        try:
            arrived = self._arrivals.get(timeout=TIMEOUT_SECONDS)
        except Empty:
            pytest.fail(f"{self.name} does not come to {target}")
        if self._failure:
            raise self._failure
        assert arrived == target, f"{self.name} has ended, and has not come to {target}"
        self._standing = arrived != END

    def _wait_until_blocked(self, app: Psycopg2Connection) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (self._pid and value(app, "SELECT cardinality(pg_blocking_pids(%s))", self._pid)):
            assert self._arrivals.empty(), f"{self.name} has ended, and has not waited"
            assert time.monotonic() < deadline, f"{self.name} does not wait"

    # In the actor's thread

    def connected(self, pid: int) -> None:
        """Note the server process that works for this actor."""
        self._pid = pid

    def commits(self) -> None:
        """Stand here if the test has aimed at the commit."""
        if self._target == COMMIT:
            self._stand()

    def _run(self) -> None:
        _thread.actor = self
        try:
            self.result = self._work(self)
        except BaseException as error:  # noqa: BLE001 -- the test raises it
            self._failure = error
        self._arrivals.put(END)

    def _stand(self) -> None:
        self._arrivals.put(self._target)
        self._go.acquire()

    def at_statement(self, pid: int, statement: str, parameters: Any) -> tuple[str, Any]:
        """Stand here if this statement is the target; return it with timeouts that decide nothing."""
        self._pid = pid
        if statement.endswith("COMMIT"):
            self.commits()
        if self._code and _is_on_the_stack(self._code):
            self._left -= 1
            if not self._left:
                self._stand()
        longer = TIMEOUTS | LOCK_TIMEOUTS if self.may_wait else TIMEOUTS
        if statement == BEGIN_OWN:
            for short, long in longer.items():
                statement = statement.replace(f"'{short}'", f"'{long}'")
        if not isinstance(parameters, dict):
            return statement, parameters
        parameters = {name: longer.get(one, one) if isinstance(one, str) else one for name, one in parameters.items()}
        return statement, parameters


def _is_on_the_stack(code: CodeType) -> bool:
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
        if frame.f_code is code:
            return True
    return False


def _here() -> Actor | None:
    actor: Actor | None = getattr(_thread, "actor", None)
    return actor


@contextmanager
def stepping() -> Iterator[None]:
    """Within the block each statement of each engine may be a point, also of an engine around the app's connection."""

    def before(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        actor = _here()
        if actor is None:
            return statement, parameters
        pid = connection.connection.dbapi_connection.info.backend_pid
        return actor.at_statement(pid, statement, parameters)

    def commit(connection: Any) -> None:
        actor = _here()
        if actor and not is_own(connection):  # our own transactions commit by a statement
            actor.commits()

    def failed(context: ExceptionContext) -> None:
        if actor := _here():
            actor.errors.append(str(context.original_exception).strip())

    event.listen(Engine, "before_cursor_execute", before, retval=True)
    event.listen(Engine, "commit", commit)
    event.listen(Engine, "handle_error", failed)
    try:
        yield
    finally:
        event.remove(Engine, "handle_error", failed)
        event.remove(Engine, "commit", commit)
        event.remove(Engine, "before_cursor_execute", before)
