"""Connections that do not wait for ever: where no answer comes in time the line is cut, and whoever waits is told.

Keepalives notice a host that is gone. Behind a proxy or a NAT that stops forwarding without closing, the nearest kernel
goes on answering for a server that never will: there only the missing answer tells, and libpq waits for it for ever.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from threading import Lock, Thread
from typing import Any
from weakref import finalize

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- it is a class

ROUND_SECONDS = 0.5


def impatient(seconds: float) -> Callable[[str], "ImpatientConnection"]:
    """Return a connection factory: each of its connections is cut when an answer takes longer than this."""
    return lambda dsn: ImpatientConnection(dsn, seconds)


class ImpatientConnection(Connection):
    """A connection whose statements, commits and rollbacks are answered in time, or raise `OperationalError`.

    Connecting itself is bounded by libpq's `connect_timeout`.
    """

    def __init__(self, dsn: str, patience_seconds: float) -> None:
        super().__init__(dsn)
        self.cursor_factory = _ImpatientCursor
        self._line = _Line(self.fileno(), round(patience_seconds / ROUND_SECONDS))
        finalize(self, self._line.close)  # of a connection that nobody closes
        _WATCH.add(self._line)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Bound the wait for the answer to what is sent inside."""
        self._line.exchanges += 1
        try:
            yield
        except psycopg2.Error as error:
            if self._line.cut:
                raise psycopg2.OperationalError(f"no answer for {self._line.patience_seconds:g} s") from error
            raise
        finally:
            self._line.exchanges += 1

    def commit(self) -> None:
        """Commit; an error may mean that it is not known whether it did."""
        with self.asking():
            super().commit()

    def rollback(self) -> None:
        """Roll back."""
        with self.asking():
            super().rollback()

    def close(self) -> None:
        """Close; may be called twice."""
        super().close()
        self._line.close()


class _ImpatientCursor(Cursor):
    connection: ImpatientConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 -- psycopg2's own name for it
        with self.connection.asking():
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        with self.connection.asking():
            super().executemany(query, vars_list)


class _Line:
    """A connection's socket, by a descriptor of our own: libpq's number may be another's once it has closed it."""

    def __init__(self, descriptor: int, patience_rounds: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._closing = Lock()
        self._patience_rounds = patience_rounds
        self._seen, self._rounds = 0, 0
        self.exchanges = 0  # odd while an answer is awaited
        self.closed = False
        self.cut = False

    @property
    def patience_seconds(self) -> float:
        return self._patience_rounds * ROUND_SECONDS

    def count_round(self) -> None:
        """By rounds and not by the clock: the answer to a process that was stopped has come, and is only not read."""
        awaited = self.exchanges
        self._rounds = self._rounds + 1 if awaited % 2 and awaited == self._seen else 0
        self._seen = awaited
        if self._rounds >= self._patience_rounds:
            self._cut()

    def _cut(self) -> None:
        with self._closing:
            if not self.closed:
                self.cut = True
                with contextlib.suppress(OSError):  # the other end was quicker
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._closing:
            self.closed = True
            self._socket.close()


class _Watch:
    """The thread that counts the rounds of all lines; it lives as long as there are any."""

    def __init__(self) -> None:
        self._lines: set[_Line] = set()
        self._changing = Lock()
        self._thread: Thread | None = None

    def add(self, line: _Line) -> None:
        with self._changing:
            self._lines.add(line)
            if self._thread is None or not self._thread.is_alive():  # a fork takes no thread along
                self._thread = Thread(target=self._run, name="seisiun lifelines", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._any_left():
            time.sleep(ROUND_SECONDS)
            for line in tuple(self._lines):
                line.count_round()

    def _any_left(self) -> bool:
        with self._changing:
            self._lines = {line for line in self._lines if not line.closed}
            if not self._lines:
                self._thread = None
            return bool(self._lines)


_WATCH = _Watch()


def _forget_lines() -> None:
    """A process that was forked has no thread to count, and must not cut its parent's sockets."""
    global _WATCH  # noqa: PLW0603 -- there is one watch to a process
    _WATCH = _Watch()


os.register_at_fork(after_in_child=_forget_lines)
