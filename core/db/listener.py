"""A connection that LISTENs, proves that it receives, and reconnects when it does not."""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event
from uuid import uuid4

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import Notify
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from core.clock import utc_now
from core.db import connect, connection_parameters
from core.db.pauses import Pauses
from core.db.timeouts import with_response_timeout
from core.logs import OUTAGES, logger

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 1.0
NOT_RECEIVING_RETRY_SECONDS = 30.0
SILENCE_SECONDS = 3.0  # then it notifies itself, to learn whether it still receives
LOOPBACK_SECONDS = 2.0
RESPONSE_TIMEOUT_SECONDS = 4.0
RECEIVED_WITHIN_SECONDS = 6.0  # else it does not say that it listens, whatever became of its thread

log = logger(__name__)


class Listener:
    """Calls `on_notification` for each payload, and `on_listening` whenever it has (re)started to listen.

    Both are called in the thread that runs `run`, and must not block. What was sent while it was not listening is lost:
    `on_listening` must read everything. `also`: further channels; `on_notification` does not learn which one it was.
    """

    _wakes: socket.socket

    def __init__(
        self,
        url: str,
        channel: str,
        on_notification: Callable[[str], None],
        on_listening: Callable[[], None],
        *,
        also: Sequence[str] = (),
    ) -> None:
        self._url = url
        self._channel = channel
        self._also = also
        self._on_notification = on_notification
        self._on_listening = on_listening
        self._private = f"seisiun_{uuid4().hex}"
        self._stopped = Event()
        self._waker: socket.socket | None = None
        self._since: datetime | None = None
        self._received_at = 0.0
        self.not_receiving = False
        self.progress_at = time.monotonic()

    @property
    def listening_since(self) -> datetime | None:
        """Since when it has been listening; None where it is not, or has received nothing lately, not even its own."""
        received_lately = time.monotonic() - self._received_at < RECEIVED_WITHIN_SECONDS
        return self._since if received_lately else None

    def run(self) -> None:
        """Listen until `stop`.

        1. Connect and LISTEN, on a private channel too.
        2. Notify the private channel from a second connection, and wait for it: through a transaction-mode pooler
           nothing arrives. Then say so, and try again in half a minute.
        3. Call `on_listening`: what was sent before LISTEN is lost.
        4. Pass notifications on. After 3 s of silence notify the private channel: where the network drops silently,
           only the missing answer tells.
        5. When the connection is lost, reconnect: after 50 ms at first, each second later on.
        """
        self._wakes, waker = socket.socketpair()
        with self._wakes, waker:
            waker.setblocking(False)  # noqa: FBT003 -- the socket's own signature
            self._waker = waker
            self._keep_listening()

    def _keep_listening(self) -> None:
        pauses = Pauses(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while not self._stopped.is_set():
            self.progress_at = time.monotonic()
            pauses.begin()
            try:
                self._listen_once()
            except (psycopg2.Error, OSError) as error:  # the second where no descriptor is left
                OUTAGES.warning(log, "listener_lost", error=str(error).strip())
            finally:
                self._since = None
            self._pause(NOT_RECEIVING_RETRY_SECONDS if self.not_receiving else pauses.after_failure())

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; meanwhile the thread goes on showing that it makes progress."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopped.wait(min(left, SILENCE_SECONDS)):
            self.progress_at = time.monotonic()

    def stop(self) -> None:
        """Make `run` return; may be called from any thread, twice, or before it."""
        self._stopped.set()
        if self._waker:
            with contextlib.suppress(OSError):  # full of wake-ups: it will wake; closed: it has returned
                self._waker.send(b"x")

    def _listen_once(self) -> None:
        """Listen until the connection is lost; return where listening is no use, or `stop` was called."""
        with contextlib.closing(self._connect("seisiun listener")) as connection:
            self._listen_to(connection, self._channel, *self._also, self._private)
            was_not_receiving, self.not_receiving = self.not_receiving, not self._receives_from_others(connection)
            if self.not_receiving:
                self._report_not_receiving(connection, again=was_not_receiving)
                return
            self._since = utc_now()
            log.info("listening", channel=self._channel)
            self._on_listening()  # after LISTEN: the other order would lose what is sent in between
            self._listen(connection)

    def _connect(self, application_name: str) -> Connection:
        connection = connect(
            {
                **connection_parameters(self._url),
                "application_name": application_name,
                "connection_factory": with_response_timeout(RESPONSE_TIMEOUT_SECONDS),
            }
        )
        # Left idle in a transaction, a listener would fill the queue and in the end fail the app's commits.
        connection.autocommit = True
        return connection

    def _listen_to(self, connection: Connection, *channels: str) -> None:
        with connection.cursor() as cursor:
            for channel in channels:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def _receives_from_others(self, connection: Connection) -> bool:
        """Notify the private channel from another connection, and wait: a transaction-mode pooler delivers nothing.

        What this connection sends itself comes back with the answer, even through such a pooler.
        """
        with contextlib.closing(self._connect("seisiun probe")) as elsewhere:
            self._notify_private(elsewhere)
        received = self._receives_private(connection)
        connection.notifies.clear()  # whatever else has arrived, `on_listening` reads everything next
        return received

    def _report_not_receiving(self, connection: Connection, *, again: bool) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UNLISTEN *")  # the pooler's connection lives on
        if not again:
            reason = "LISTEN is accepted but nothing is delivered: connect directly, not through a pooler"
            log.error("not_receiving", reason=reason)
            self._on_listening()

    def _notify_private(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", (self._private,))

    def _receives_private(self, connection: Connection) -> bool:
        """Wait for a notification on the private channel."""
        deadline = time.monotonic() + LOOPBACK_SECONDS
        while not self._stopped.is_set():
            if any(notify.channel == self._private for notify in connection.notifies):
                self._received_at = time.monotonic()
                return True
            if (left := deadline - time.monotonic()) <= 0:
                break
            self._wait(connection, left)
        return False

    def _listen(self, connection: Connection) -> None:
        while not self._stopped.is_set():
            self.progress_at = time.monotonic()
            if not connection.notifies:
                self._wait(connection, SILENCE_SECONDS)
            if not connection.notifies and not self._stopped.is_set():
                self._notify_private(connection)
                if not self._receives_private(connection):
                    return
            self._pass_on(connection)

    def _pass_on(self, connection: Connection) -> None:
        for notify in _drained(connection.notifies):
            self._received_at = time.monotonic()
            if notify.channel != self._private:
                self._on_notification(notify.payload)

    def _wait(self, connection: Connection, seconds: float) -> None:
        """Wait until something arrives, `stop` is called or the time is over."""
        with selectors.DefaultSelector() as selector:  # select() itself refuses descriptors from 1024 on
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._wakes.fileno(), selectors.EVENT_READ)
            selector.select(seconds)
        # After the server has ended the connection the first poll still succeeds: it is the next one that raises.
        connection.poll()


def _drained(notifies: list[Notify]) -> list[Notify]:
    received = notifies[:]
    del notifies[: len(received)]
    return received
