"""The live board: one LISTEN for the whole process, one read for all streams, one mailbox for each stream.

1. The hub waits for a notification, or for some seconds.
2. It reads the boards that open streams show from the database, each part once for all streams.
3. It puts them into every stream's mailbox, in place of older boards that the stream has not taken yet.
4. Each stream compares the new board with the one that its client has, and sends the blocks that differ.

So a message says what is true, never what happened. A slow stream may miss any number of boards, and a reconnect needs
no memory. The hub listens from the first stream on, and reads only while a stream is open.
"""

import ipaddress
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, Queue
from threading import Event, Lock, Thread
from weakref import WeakSet

from sqlalchemy.exc import SQLAlchemyError

from core.active_session_manager import Place
from core.db.listener import Listener
from core.logs import logger
from core.store.notify import ACTIVE_CHANGED, SESSION_CHANGED
from web.board import Board, Parts

RESYNC_SECONDS = 15.0
AGAIN_SECONDS = (
    1.0  # after a notification read once more: a check-in in raw SQL notifies before the daemon moves the person
)
LEAST_PAUSE_SECONDS = 0.04  # between two reads, so that a burst of flips makes only a few boards
RETRY_SECONDS = 1.0
SILENCE_SECONDS = 10.0  # the listener tests so seldom whether it receives: the board is read again in any case
HEARTBEAT_SECONDS = 15.0
CLOSED_SECONDS = 0.5  # how often a stream with nothing to send looks whether its client has closed
LIFETIME_SECONDS = (240.0, 360.0)  # then the page connects again, and the host is asked again who is signed in
RECONNECT_MS = (1000, 3000)

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the open streams show: the parts of their boards, and their viewers."""

    boards: frozenset[Parts]
    people: frozenset[int]


@dataclass(frozen=True, eq=False)
class Boards:
    """The boards for those who are signed in, and those for everybody else; where each viewer is."""

    members: Mapping[Parts, Board]
    public: Mapping[Parts, Board]
    at: Mapping[int, Place | None]


Post = Boards | None
"""What a mailbox holds: the newest boards, or None if the stream must end."""


class Full(Exception):
    """The process, or the client's address, already has as many open streams as it may have."""


class Stream:
    """One client's stream: a mailbox that holds only the newest boards, and what the client has been sent."""

    def __init__(self, hub: "Hub", *, person_id: int | None, parts: Parts, only_tell: bool, party: str | None) -> None:
        self._hub = hub
        self.party = party
        self.person_id = person_id
        self.parts = parts
        self._only_tell = only_tell
        self._mailbox: Queue[Post] = Queue(maxsize=1)

    def is_in(self, boards: Boards) -> bool:
        """Whether these boards have what the stream shows: they may have been read before it opened."""
        return self.parts in boards.members and (self.person_id is None or self.person_id in boards.at)

    def put(self, post: Post) -> None:
        """Replace what is in the mailbox; called by the hub alone, under its lock."""
        with suppress(Empty):
            self._mailbox.get_nowait()
        self._mailbox.put_nowait(post)

    def close(self) -> None:
        """Free the stream's place; may be called twice."""
        self._hub.leave(self)

    def messages(self, has_closed: Callable[[], bool]) -> Iterator[str]:
        """Yield what to send, until the stream's lifetime is over, its client has closed, or the hub stops.

        1. Take the boards from the mailbox. If none come for some seconds, send a comment to keep the connection open.
           Meanwhile look twice a second whether the client has closed: the next write would tell only much later.
        2. Send the blocks that the client does not have; for `only_tell`, send just that the board has changed.
        3. Send the line of where the person is, if that has changed.
        """
        yield f"retry: {random.randint(*RECONNECT_MS)}\n\n"  # noqa: S311 -- to spread reconnects, not a secret
        ends = time.monotonic() + random.uniform(*LIFETIME_SECONDS)  # noqa: S311
        sent: Board | None = None
        at: Place | None = None
        quiet_since = time.monotonic()
        while (left := ends - time.monotonic()) > 0:
            try:
                boards = self._mailbox.get(timeout=min(left, CLOSED_SECONDS))
            except Empty:
                if has_closed():
                    return
                if time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
                    quiet_since = time.monotonic()
                    yield ": still here\n\n"
                continue
            if boards is None:
                return
            of_viewer = boards.public if self.person_id is None else boards.members
            board = of_viewer[self.parts]
            text = changed_message(sent, board) if self._only_tell else board_message(sent, board)
            if self.person_id is not None and not self._only_tell:
                now_at = boards.at[self.person_id]
                if sent is None or now_at != at:
                    text += event("you", {"html": self._hub.render_you(now_at)})
                at = now_at
            sent = board
            if text:
                quiet_since = time.monotonic()
                yield text


def board_message(sent: Board | None, board: Board) -> str:
    """Return the event that turns the sent board into this one; an empty text if they are the same.

    Most streams have sent the same board. So one of them makes the event, and the others wait and take it from the
    cache.
    """
    with _making:
        return _board_message(sent, board)


@lru_cache(maxsize=64)
def _board_message(sent: Board | None, board: Board) -> str:
    if sent and sent.order == board.order:
        return ""
    held = sent.versions if sent else {}
    changed = {block.key: block.html for block in board.blocks if held.get(block.key) != block.version}
    return event("board", {"order": board.order, "html": changed})


_making = Lock()


def changed_message(sent: Board | None, board: Board) -> str:
    """Return the event that the board has changed, or an empty text; the page then fetches what it shows."""
    return "" if sent is None or sent.order == board.order else event("changed", {})


def event(name: str, data: object) -> str:
    """Return an event as a stream sends it; JSON has no newlines of its own."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class Hub:
    """Reads the boards at every notification, and every few seconds; puts them in every stream's mailbox."""

    def __init__(
        self,
        url: str,
        read: Callable[[Wanted], Boards],
        render_you: Callable[[Place | None], str],
        *,
        most_streams: int,
        most_of_address: int,
    ) -> None:
        self._url = url
        self._read = read
        self._most_streams = most_streams
        self._most_of_address = most_of_address
        self.render_you = render_you
        self._lock = Lock()
        self._streams: set[Stream] = set()
        self._latest: Boards | None = None
        self._notified = Event()
        self._stopped = Event()
        self._listener: Listener | None = None
        _hubs.add(self)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def is_listening(self) -> bool:
        """Whether the hub receives notifications; before the first stream it does not try to."""
        return bool(self._listener and self._listener.listening_since)

    def join(
        self, *, person_id: int | None, parts: Parts, only_tell: bool = False, address: str | None = None
    ) -> Stream:
        """Open a stream with what `person_id` may see; raise `Full` if there is no room, or none for this address."""
        party = party_of(address)
        with self._lock:
            if len(self._streams) >= self._most_streams or self._stopped.is_set():
                raise Full
            if party and sum(stream.party == party for stream in self._streams) >= self._most_of_address:
                raise Full
            stream = Stream(self, person_id=person_id, parts=parts, only_tell=only_tell, party=party)
            self._streams.add(stream)
            self._start()
            if self._latest and stream.is_in(self._latest):
                stream.put(self._latest)
            else:
                self._notified.set()
        return stream

    def leave(self, stream: Stream) -> None:
        """Forget a stream; after the last one forget the boards too, because they would be old later."""
        with self._lock:
            self._streams.discard(stream)
            if not self._streams:
                self._latest = None

    def stop(self) -> None:
        """End all streams at once, and open no more. May be called twice."""
        self._stopped.set()
        self._notified.set()
        if self._listener:
            self._listener.stop()
        with self._lock:
            for stream in self._streams:
                stream.put(None)

    def _start(self) -> None:
        """Start the threads when the first stream opens: in the process that serves it, and not in its parent."""
        if self._listener is None:
            self._listener = Listener(
                self._url,
                ACTIVE_CHANGED,
                lambda _: self._notified.set(),
                self._notified.set,
                also=(SESSION_CHANGED,),
                silence_seconds=SILENCE_SECONDS,
            )
            Thread(target=self._listener.run, name="seisiun listener", daemon=True).start()
            Thread(target=self._keep_reading, name="seisiun board", daemon=True).start()

    def _keep_reading(self) -> None:
        again = False
        while not self._stopped.is_set():
            again = self._notified.wait(AGAIN_SECONDS if again else RESYNC_SECONDS)
            self._notified.clear()
            if not self._streams or self._stopped.is_set():
                continue
            begun = time.monotonic()
            try:
                self._publish(self._read(self._wanted()))
            except SQLAlchemyError as error:
                log.warning("board_failed", error=str(error).strip().splitlines()[0])
                self._stopped.wait(RETRY_SECONDS)
                self._notified.set()
            except Exception:
                log.exception("board_failed")
                self._stopped.wait(RETRY_SECONDS)
            # After a slow read pause longer, so that other requests are served in between.
            self._stopped.wait(max(LEAST_PAUSE_SECONDS, 2 * (time.monotonic() - begun)))

    def _wanted(self) -> Wanted:
        with self._lock:
            people = {stream.person_id for stream in self._streams if stream.person_id is not None}
            return Wanted(frozenset(stream.parts for stream in self._streams), frozenset(people))

    def _publish(self, boards: Boards) -> None:
        with self._lock:
            if not self._streams or self._stopped.is_set():
                return
            self._latest = boards
            for stream in self._streams:
                if stream.is_in(boards):
                    stream.put(boards)


def party_of(address: str | None) -> str | None:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 one, which a client has as a whole.

    None if the server does not know an address, as behind a Unix socket.
    """
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    return str(known.ipv4_mapped or ipaddress.ip_network((int(known), 64), strict=False))


_hubs: "WeakSet[Hub]" = WeakSet()


def drain() -> None:
    """End every stream of this process, so that a server that stops does not wait for them."""
    for hub in list(_hubs):
        hub.stop()
