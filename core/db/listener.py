"""A connection that LISTENs, tests that it receives notifications, and reconnects when it does not."""

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
SILENCE_SECONDS = 3.0  # after this silence it notifies itself, to test whether it still receives; a caller may say more
LOOPBACK_SECONDS = 2.0
RESPONSE_TIMEOUT_SECONDS = 4.0
OVERDUE_SECONDS = 3.0  # its own notification is overdue: `listening_since` is None, even if the thread hangs

log = logger(__name__)


class Listener:
    """Calls `on_notification` with each payload, and `on_listening` each time it starts to listen.

    It calls both in the thread of `run`; they must not block. PostgreSQL drops what is sent while nobody listens, so
    `on_listening` must read everything. `also`: further channels; `on_notification` does not learn the channel.
    `silence_seconds`: after this silence it notifies itself. Each notification wakes every listener of the cluster, so
    a listener that need not notice within seconds that it receives nothing states a longer time.
    """

    _wake_reader: socket.socket

    def __init__(
        self,
        url: str,
        channel: str,
        on_notification: Callable[[str], None],
        on_listening: Callable[[], None],
        *,
        also: Sequence[str] = (),
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._url = url
        self._channel = channel
        self._also = also
        self._silence_seconds = silence_seconds
        self._on_notification = on_notification
        self._on_listening = on_listening
        self._private = f"seisiun_{uuid4().hex}"
        self._stopped = Event()
        self._wake_writer: socket.socket | None = None
        self._since: datetime | None = None
        self._received_at = 0.0
        self.not_receiving = False
        self.losses = 0  # of its connection
        self.progress_at = time.monotonic()

    @property
    def listening_since(self) -> datetime | None:
        """The instant since which it listens (UTC, by the host's clock).

        None if it does not listen, or has received no notification lately, not even its own.
        """
        received_lately = time.monotonic() - self._received_at < self._silence_seconds + OVERDUE_SECONDS
        return self._since if received_lately else None

    def run(self) -> None:
        """Listen until `stop`.

        1. Connect, and LISTEN on the channels and on a private one.
        2. Notify the private channel from a second connection, and wait up to 2 s. Through a transaction-mode pooler
           nothing arrives: log that, and start again in 30 s.
        3. Call `on_listening`, because what was sent before LISTEN is lost.
        4. Pass notifications on. After `silence_seconds` without one, notify the private channel: if the network drops
           packets without an error, only the missing notification shows it.
        5. If the connection is lost, reconnect: after 50 ms at first, later every second.
        """
        self._wake_reader, wake_writer = socket.socketpair()
        with self._wake_reader, wake_writer:
            wake_writer.setblocking(False)  # noqa: FBT003 -- the socket's own signature
            self._wake_writer = wake_writer
            self._keep_listening()

    def _keep_listening(self) -> None:
        pauses = Pauses(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while not self._stopped.is_set():
            pauses.begin()
            try:
                self._listen_once()
            except (psycopg2.Error, OSError) as error:  # OSError: no file descriptor is free
                self.losses += 1
                OUTAGES.warning(log, "listener_lost", error=str(error).strip())
            finally:
                self._since = None
            self._pause(NOT_RECEIVING_RETRY_SECONDS if self.not_receiving else pauses.after_failure())

    def _pause(self, seconds: float) -> None:
        """Wait before the next try, and update `progress_at` meanwhile, so that the thread does not look stuck."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopped.wait(min(left, SILENCE_SECONDS)):
            self.progress_at = time.monotonic()

    def stop(self) -> None:
        """Make `run` return. May be called from any thread, more than once, and before `run`."""
        self._stopped.set()
        if self._wake_writer:
            with contextlib.suppress(OSError):  # the buffer is full: `run` wakes anyway; closed: `run` has returned
                self._wake_writer.send(b"x")

    def _listen_once(self) -> None:
        """Listen until the connection is lost (raises), or until nothing arrives or `stop` is called (returns)."""
        with contextlib.closing(self._connect("seisiun listener")) as connection:
            self._listen_to(connection, self._channel, *self._also, self._private)
            was_not_receiving, self.not_receiving = self.not_receiving, not self._receives_from_others(connection)
            if self.not_receiving:
                self._report_not_receiving(connection, again=was_not_receiving)
                return
            self._since = utc_now()
            log.info("listening", channel=self._channel)
            self._on_listening()  # after LISTEN; in the other order we would miss what is sent in between
            self._listen(connection)

    def _connect(self, application_name: str) -> Connection:
        connection = connect(
            {
                **connection_parameters(self._url),
                "application_name": application_name,
                "connection_factory": with_response_timeout(RESPONSE_TIMEOUT_SECONDS),
            }
        )
        # A listener that stays in a transaction keeps PostgreSQL's notification queue from shrinking. When the queue is
        # full, commits of the app that notify fail.
        connection.autocommit = True
        return connection

    def _listen_to(self, connection: Connection, *channels: str) -> None:
        with connection.cursor() as cursor:
            for channel in channels:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def _receives_from_others(self, connection: Connection) -> bool:
        """Notify the private channel from another connection; return whether the notification arrives.

        Through a transaction-mode pooler it does not. A notification that this connection sends to itself proves
        nothing: it comes back with the answer to the statement, even through such a pooler.
        """
        with contextlib.closing(self._connect("seisiun probe")) as elsewhere:
            self._notify_private(elsewhere)
        return self._receives_private(connection)

    def _report_not_receiving(self, connection: Connection, *, again: bool) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UNLISTEN *")  # the pooler keeps the server connection open
        if not again:
            reason = "LISTEN is accepted but nothing is delivered: connect directly, not through a pooler"
            log.error("not_receiving", reason=reason)
            self._on_listening()

    def _notify_private(self, connection: Connection) -> None:
        # Asking how full the notification queue is makes PostgreSQL drop what every listener has read. Nothing else
        # does so once the queue is full: all notifying commits would fail on after the slow listener has gone.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notification_queue_usage(), pg_notify(%s, '')", (self._private,))

    def _receives_private(self, connection: Connection) -> bool:
        """Wait for a notification on the private channel; return whether it came within `LOOPBACK_SECONDS`."""
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
                self._wait(connection, self._silence_seconds)
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
        """Wait until data arrives, `stop` is called, or this many seconds have passed."""
        with selectors.DefaultSelector() as selector:  # select.select() refuses descriptors from 1024 on
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._wake_reader.fileno(), selectors.EVENT_READ)
            selector.select(seconds)
        # If the server has ended the connection, this poll still succeeds; the next one raises.
        connection.poll()


def _drained(notifies: list[Notify]) -> list[Notify]:
    received = notifies[:]
    del notifies[: len(received)]
    return received
