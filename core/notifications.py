"""The two doorbells. Payloads carry identity only: whoever hears one looks for itself.

session_changed  rung by triggers on the app's tables, and by any app that wants to; a session id, or empty: look
active_changed   rung by every flip; a session instance id, or empty: look again
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from threading import Event
from uuid import uuid4

import psycopg2
import sqlalchemy
from psycopg2 import sql
from psycopg2.extensions import Notify
from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from sqlalchemy import ARRAY, Text, bindparam, func

from core.clock import utc_now
from core.db import connect, connection_parameters
from core.lifelines import impatient
from core.logs import OUTAGES, logger

SESSION_CHANGED = "session_changed"
ACTIVE_CHANGED = "active_changed"
MOST_PAYLOADS = 20  # of one transaction; more are one empty payload

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 1.0
DEAF_RETRY_SECONDS = 30.0
SILENCE_SECONDS = 3.0  # after which it rings for itself, to learn whether it still hears
LOOPBACK_SECONDS = 2.0
ANSWER_SECONDS = 4.0
HEARD_WITHIN_SECONDS = 6.0  # else it does not say that it listens, whatever became of its thread

log = logger(__name__)


def ring_active_changed(connection: sqlalchemy.Connection, instance_ids: Collection[int]) -> None:
    """Tell the app and its pages which instances flipped; it is delivered when the transaction commits."""
    if not instance_ids:
        return
    payloads = [str(id_) for id_ in sorted(instance_ids)] if len(instance_ids) <= MOST_PAYLOADS else [""]
    connection.execute(_RING_ACTIVE_CHANGED, {"payloads": payloads})


_RING_ACTIVE_CHANGED = sqlalchemy.select(
    func.pg_notify(ACTIVE_CHANGED, func.unnest(bindparam("payloads", type_=ARRAY(Text))))
)


class Listener:
    """A connection of its own that LISTENs, and heals: `on_bell` for each payload, `on_listening` after each (re)start.

    Both are called in the thread that runs `run`, and must not block. What was rung while it was not listening is
    lost: `on_listening` must look at everything. `also`: further channels; a bell does not tell which was rung.
    """

    _wakes: socket.socket

    def __init__(
        self,
        url: str,
        channel: str,
        on_bell: Callable[[str], None],
        on_listening: Callable[[], None],
        *,
        also: Sequence[str] = (),
    ) -> None:
        self._url = url
        self._channel = channel
        self._also = also
        self._on_bell = on_bell
        self._on_listening = on_listening
        self._private = f"seisiun_{uuid4().hex}"
        self._stopped = Event()
        self._waker: socket.socket | None = None
        self._since: datetime | None = None
        self._heard_at = 0.0
        self.is_deaf = False
        self.progress_at = time.monotonic()

    @property
    def listening_since(self) -> datetime | None:
        """Since when it has been listening; None where it is not, or has not heard even itself lately."""
        heard_lately = time.monotonic() - self._heard_at < HEARD_WITHIN_SECONDS
        return self._since if heard_lately else None

    def run(self) -> None:
        """Listen until `stop`; a lost connection is made again, after 50 ms at first and each second later on."""
        self._wakes, waker = socket.socketpair()
        with self._wakes, waker:
            waker.setblocking(False)  # noqa: FBT003 -- the socket's own signature
            self._waker = waker
            self._keep_listening()

    def _keep_listening(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while not self._stopped.is_set():
            self.progress_at = begun = time.monotonic()
            try:
                self._listen_once()
            except (psycopg2.Error, OSError) as error:  # the second where no descriptor is left
                OUTAGES.warning(log, "listener_lost", error=str(error).strip())
            finally:
                self._since = None
            lasted = time.monotonic() - begun > LAST_RETRY_SECONDS and not self.is_deaf
            self._pause(FIRST_RETRY_SECONDS if lasted else pause)
            pause = FIRST_RETRY_SECONDS if lasted else min(pause * 2, LAST_RETRY_SECONDS)

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; a pooler is left alone for long, and the thread goes on showing that it lives."""
        until = time.monotonic() + (DEAF_RETRY_SECONDS if self.is_deaf else seconds)
        while (left := until - time.monotonic()) > 0 and not self._stopped.wait(min(left, SILENCE_SECONDS)):
            self.progress_at = time.monotonic()

    def stop(self) -> None:
        """Make `run` return; may be called from any thread, twice, or before it."""
        self._stopped.set()
        if self._waker:
            with contextlib.suppress(OSError):  # full of wake-ups: it will wake; closed: it has returned
                self._waker.send(b"x")

    def _listen_once(self) -> None:
        """Listen until the connection is lost; return where that is no use, or `stop` was called."""
        with contextlib.closing(self._connect("seisiun listener")) as connection:
            self._listen_to(connection, *self._channels)
            was_deaf, self.is_deaf = self.is_deaf, not self._hears_others(connection)
            if self.is_deaf:
                self._tell_deaf(connection, was_deaf=was_deaf)
                return
            self._since = utc_now()
            log.info("listening", channel=self._channel)
            self._on_listening()  # after LISTEN: the other order would lose what is rung in between
            self._listen(connection)

    @property
    def _channels(self) -> tuple[str, ...]:
        return (self._channel, *self._also, self._private)

    def _connect(self, application_name: str) -> Connection:
        connection = connect(
            {
                **connection_parameters(self._url),
                "application_name": application_name,
                "connection_factory": impatient(ANSWER_SECONDS),
            }
        )
        # Left idle in a transaction, a listener would fill the queue and in the end fail the app's commits.
        connection.autocommit = True
        return connection

    def _listen_to(self, connection: Connection, *channels: str) -> None:
        with connection.cursor() as cursor:
            for channel in channels:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def _hears_others(self, connection: Connection) -> bool:
        """Ring a private bell from elsewhere and wait for it: a transaction-mode pooler would deliver nothing.

        What this connection rings itself comes back with the answer, even through such a pooler.
        """
        with contextlib.closing(self._connect("seisiun bell")) as elsewhere:
            self._ring(elsewhere)
        heard = self._hears(connection)
        connection.notifies.clear()  # whatever else was heard, everything is looked at next
        return heard

    def _tell_deaf(self, connection: Connection, *, was_deaf: bool) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UNLISTEN *")  # the pooler's connection lives on
        if not was_deaf:
            log.error("deaf", reason="LISTEN is accepted but nothing is delivered: connect directly, not by a pooler")
            self._on_listening()

    def _ring(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", (self._private,))

    def _hears(self, connection: Connection) -> bool:
        """Wait for the private bell."""
        deadline = time.monotonic() + LOOPBACK_SECONDS
        while not self._stopped.is_set():
            if any(notify.channel == self._private for notify in connection.notifies):
                self._heard_at = time.monotonic()
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
                self._ring(connection)  # where the network dropped silently, only the missing answer tells
                if not self._hears(connection):
                    return
            self._call_on_bell(connection)

    def _call_on_bell(self, connection: Connection) -> None:
        for notify in _drained(connection.notifies):
            self._heard_at = time.monotonic()
            if notify.channel != self._private:
                self._on_bell(notify.payload)

    def _wait(self, connection: Connection, seconds: float) -> None:
        """Wait until something is heard, `stop` is called or the time is over."""
        with selectors.DefaultSelector() as selector:  # select() itself refuses descriptors from 1024 on
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._wakes.fileno(), selectors.EVENT_READ)
            selector.select(seconds)
        # After the server has ended the connection the first poll still succeeds: it is the next one that raises.
        connection.poll()


def _drained(notifies: list[Notify]) -> list[Notify]:
    heard = notifies[:]
    del notifies[: len(heard)]
    return heard
