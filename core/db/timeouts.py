"""Response timeouts: if no answer comes in time, we cut the connection, and the waiting caller gets an error.

Keepalives notice a host that is gone. They do not notice a proxy or a NAT that stops forwarding but keeps its side
open: it still acknowledges every packet, and the server never answers. Only the missing answer shows this, and libpq
would wait for it forever. How many seconds each caller allows is in docs/numbers.md.
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

ROUND_SECONDS = 0.5  # the watchdog checks all sockets once per round


def with_response_timeout(seconds: float) -> Callable[[str], "TimeoutConnection"]:
    """Return a connection factory for psycopg2; its connections are cut if an answer takes longer than this."""
    return lambda dsn: TimeoutConnection(dsn, seconds)


class TimeoutConnection(Connection):
    """A connection: if a statement, commit or rollback gets no answer in time, it raises `OperationalError`.

    The time to connect is limited by libpq's `connect_timeout`.
    """

    def __init__(self, dsn: str, response_timeout_seconds: float) -> None:
        super().__init__(dsn)
        self.cursor_factory = _TimeoutCursor
        self._watched = _WatchedSocket(self.fileno(), round(response_timeout_seconds / ROUND_SECONDS))
        finalize(self, self._watched.close)  # in case nobody closes the connection
        _WATCHDOG.add(self._watched)

    @contextlib.contextmanager
    def response_expected(self) -> Iterator[None]:
        """Bound the wait for the answer to a statement that the block sends."""
        self._watched.exchanges += 1
        try:
            yield
        except psycopg2.Error as error:
            if self._watched.cut:
                raise psycopg2.OperationalError(f"no answer for {self._watched.timeout_seconds:g} s") from error
            raise
        finally:
            self._watched.exchanges += 1

    def commit(self) -> None:
        """Commit; after a timeout it is unknown whether the server has committed."""
        with self.response_expected():
            super().commit()

    def rollback(self) -> None:
        """Roll back; raises `OperationalError` after a timeout."""
        with self.response_expected():
            super().rollback()

    def close(self) -> None:
        """Close; may be called twice."""
        super().close()
        self._watched.close()


class _TimeoutCursor(Cursor):
    connection: TimeoutConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 -- psycopg2's own name for it
        with self.connection.response_expected():
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        with self.connection.response_expected():
            super().executemany(query, vars_list)


class _WatchedSocket:
    """A connection's socket, by our own copy of the descriptor: after libpq closes its own, it may be reused."""

    def __init__(self, descriptor: int, timeout_rounds: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._closing = Lock()
        self._timeout_rounds = timeout_rounds
        self._counted, self._rounds = 0, 0
        self.exchanges = 0  # odd while an answer is awaited
        self.closed = False
        self.cut = False

    @property
    def timeout_seconds(self) -> float:
        return self._timeout_rounds * ROUND_SECONDS

    def count_round(self) -> None:
        """Count a watchdog round in which the same answer is still awaited; cut the connection after `timeout_rounds`.

        We count rounds, not seconds. After SIGSTOP and SIGCONT many seconds have passed, but the answer usually lies
        unread in the socket buffer; a wall-clock timeout would cut a healthy connection.
        """
        awaited = self.exchanges
        self._rounds = self._rounds + 1 if awaited % 2 and awaited == self._counted else 0
        self._counted = awaited
        if self._rounds >= self._timeout_rounds:
            self._cut()

    def _cut(self) -> None:
        with self._closing:
            if not self.closed:
                self.cut = True
                with contextlib.suppress(OSError):  # the other end has closed first
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._closing:
            self.closed = True
            self._socket.close()


class _Watchdog:
    """Counts the rounds of all sockets in one thread, which runs as long as there are sockets."""

    def __init__(self) -> None:
        self._sockets: set[_WatchedSocket] = set()
        self._changing = Lock()
        self._thread: Thread | None = None

    def add(self, watched: _WatchedSocket) -> None:
        with self._changing:
            self._sockets.add(watched)
            if self._thread is None:
                thread = Thread(target=self._run, name="seisiun timeouts", daemon=True)
                thread.start()  # raises where the system has no thread left; the next connection tries again
                self._thread = thread

    def _run(self) -> None:
        while self._any_left():
            time.sleep(ROUND_SECONDS)
            for watched in tuple(self._sockets):
                watched.count_round()

    def _any_left(self) -> bool:
        with self._changing:
            self._sockets = {watched for watched in self._sockets if not watched.closed}
            if not self._sockets:
                self._thread = None
            return bool(self._sockets)


_WATCHDOG = _Watchdog()


def _forget_sockets() -> None:
    """Start with an empty watchdog in a forked process: it has no thread, and must not cut its parent's sockets."""
    global _WATCHDOG  # noqa: PLW0603 -- a process has one watchdog
    _WATCHDOG = _Watchdog()


os.register_at_fork(after_in_child=_forget_sockets)
