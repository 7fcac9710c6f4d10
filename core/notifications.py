"""The two doorbells. Payloads carry identity only: whoever hears one looks for itself.

session_changed  rung by triggers on the app's tables, and by any app that wants to; a session id, or empty: look
active_changed   rung by every flip; a session instance id, or empty: look again
"""

import contextlib
import select
import socket
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from threading import Event
from uuid import uuid4

import psycopg2
import sqlalchemy
from psycopg2 import sql
from psycopg2.extensions import Notify
from sqlalchemy import ARRAY, Connection, Text, bindparam, func

from core.clock import utc_now
from core.db import KEEPALIVES, libpq_url
from core.logs import logger

SESSION_CHANGED = "session_changed"
ACTIVE_CHANGED = "active_changed"
MOST_PAYLOADS = 20  # of one transaction; more are one empty payload

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 1.0
LOOPBACK_SECONDS = 2.0

log = logger(__name__)


def ring_active_changed(connection: Connection, instance_ids: Collection[int]) -> None:
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
        self._stopped = Event()
        self._waker: socket.socket | None = None
        self.listening_since: datetime | None = None

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
            try:
                with contextlib.closing(self._connect()) as connection:
                    if self._begin(connection):
                        pause = FIRST_RETRY_SECONDS
                    self._listen(connection)
            except psycopg2.Error as error:
                log.warning("listener_lost", error=str(error).strip())
            finally:
                self.listening_since = None
            self._stopped.wait(pause)
            pause = min(pause * 2, LAST_RETRY_SECONDS)

    def stop(self) -> None:
        """Make `run` return; may be called from any thread, twice, or before it."""
        self._stopped.set()
        if self._waker:
            with contextlib.suppress(OSError):  # full of wake-ups: it will wake; closed: it has returned
                self._waker.send(b"x")

    def _connect(self) -> psycopg2.extensions.connection:
        connection: psycopg2.extensions.connection = psycopg2.connect(
            libpq_url(self._url), **KEEPALIVES | {"application_name": "seisiun listener"}
        )
        # Left idle in a transaction, a listener would fill the queue and in the end fail the app's commits.
        connection.autocommit = True
        return connection

    def _begin(self, connection: psycopg2.extensions.connection) -> bool:
        """LISTEN, then have everything looked at: the other order would lose what is rung in between."""
        with connection.cursor() as cursor:
            for channel in (self._channel, *self._also):
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        hears = self._hears(connection)
        if hears:
            self.listening_since = utc_now()
            log.info("listening", channel=self._channel)
        else:
            log.error(
                "deaf",
                reason="LISTEN is accepted but nothing is delivered: connect directly, not by a pooler",
            )
        self._on_listening()
        return hears

    def _hears(self, connection: psycopg2.extensions.connection) -> bool:
        """Ring a private bell and wait for it: a transaction-mode pooler accepts LISTEN and delivers nothing."""
        private = f"seisiun_{uuid4().hex}"
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(private)))
            cursor.execute("SELECT pg_notify(%s, '')", (private,))
        heard = private in self._wait(connection, LOOPBACK_SECONDS)
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("UNLISTEN {}").format(sql.Identifier(private)))
        connection.notifies.clear()  # whatever else was heard, everything is looked at next
        return heard

    def _listen(self, connection: psycopg2.extensions.connection) -> None:
        while not self._stopped.is_set():
            self._wait(connection, None)
            for notify in _drained(connection.notifies):
                self._on_bell(notify.payload)

    def _wait(self, connection: psycopg2.extensions.connection, seconds: float | None) -> set[str]:
        """Wait until something is heard, `stop` is called or the time is over; return the channels heard."""
        select.select([connection.fileno(), self._wakes.fileno()], [], [], 0 if connection.notifies else seconds)
        # After the server has ended the connection the first poll still succeeds: it is the next one that raises.
        connection.poll()
        return {notify.channel for notify in connection.notifies}


def _drained(notifies: list[Notify]) -> list[Notify]:
    heard = notifies[:]
    del notifies[: len(heard)]
    return heard
