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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, Queue
from threading import Event, Lock, Thread
from weakref import WeakSet

from sqlalchemy.exc import SQLAlchemyError

from core.db.listener import Listener
from core.logs import logger
from core.store.notify import ACTIVE_CHANGED, SESSION_CHANGED
from web.board import Board, Parts, You

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
class Shows:
    """What the page of a stream shows: the parts of a board, what concerns its viewer, and the rows of a session.

    `only_tell`: the page fetches what it shows; it wants to be told when that has changed.
    """

    parts: Parts
    person_id: int | None = None
    session_id: int | None = None
    only_tell: bool = False


@dataclass(frozen=True, eq=False)
class Boards:
    """The boards for those who are signed in, and those for everybody else; what concerns each viewer.

    `sessions`: a version of the rows of each session that a page shows.
    """

    members: Mapping[Parts, Board]
    public: Mapping[Parts, Board]
    you: Mapping[int, You]
    sessions: Mapping[int, str]

    def has(self, shows: Shows) -> bool:
        """Whether they have all that a page shows: its stream may have opened after they were read."""
        return (
            shows.parts in self.members
            and (shows.person_id is None or shows.person_id in self.you)
            and (shows.session_id is None or shows.session_id in self.sessions)
        )


Post = Boards | None
"""What a mailbox holds: the newest boards, or None if the stream must end."""


class Full(Exception):
    """The process, or the client's address, already has as many open streams as it may have."""


class Stream:
    """One client's stream: a mailbox that holds only the newest boards, and what the client has been sent."""

    def __init__(self, hub: "Hub", shows: Shows, party: str | None) -> None:
        self._hub = hub
        self.party = party
        self.shows = shows
        self._mailbox: Queue[Post] = Queue(maxsize=1)

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

        1. Take the boards from the mailbox. If none come for some seconds, send an empty event, so that no proxy ends
           the connection, and the page knows that it is not lost. Meanwhile look twice a second whether the client has
           closed: the next write would tell only much later.
        2. Send the blocks that the client does not have, and what concerns the viewer, if that has changed.
           For `only_tell`, send just that something has changed; first also without that, because it may have changed
           before the stream opened.
        """
        yield f"retry: {random.randint(*RECONNECT_MS)}\n\n"  # noqa: S311 -- to spread reconnects, not a secret
        ends = time.monotonic() + random.uniform(*LIFETIME_SECONDS)  # noqa: S311
        shows = self.shows
        sent: Board | None = None
        seen: tuple[You | None, str | None] = (None, None)
        quiet_since = time.monotonic()
        while (left := ends - time.monotonic()) > 0:
            try:
                boards = self._mailbox.get(timeout=min(left, CLOSED_SECONDS))
            except Empty:
                if has_closed():
                    return
                if time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
                    quiet_since = time.monotonic()
                    yield event("beat", {})
                continue
            if boards is None:
                return
            board = (boards.public if shows.person_id is None else boards.members)[shows.parts]
            you = None if shows.person_id is None else boards.you[shows.person_id]
            now_seen = (you, None if shows.session_id is None else boards.sessions[shows.session_id])
            if shows.only_tell:
                is_new = sent is None or sent.order != board.order or seen != now_seen
                text = event("changed", {}) if is_new else ""
            else:
                text = board_message(sent, board)
                if you is not None and you != seen[0]:
                    text += event("you", {"html": self._hub.render_you(you)})
            sent, seen = board, now_seen
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


def event(name: str, data: object) -> str:
    """Return an event as a stream sends it; JSON has no newlines of its own."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class Hub:
    """Reads the boards at every notification, and every few seconds; puts them in every stream's mailbox."""

    def __init__(
        self,
        url: str,
        read: Callable[[Collection[Shows]], Boards],
        render_you: Callable[[You], str],
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

    def join(self, shows: Shows, *, address: str | None = None) -> Stream:
        """Open a stream; raise `Full` if there is no room, or none for this address."""
        party = party_of(address)
        with self._lock:
            if len(self._streams) >= self._most_streams or self._stopped.is_set():
                raise Full
            if party and sum(stream.party == party for stream in self._streams) >= self._most_of_address:
                raise Full
            stream = Stream(self, shows, party)
            self._streams.add(stream)
            self._start()
            if self._latest and self._latest.has(shows):
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
                self._publish(self._read(self._shown()))
            except SQLAlchemyError as error:
                log.warning("board_failed", error=str(error).strip().splitlines()[0])
                self._stopped.wait(RETRY_SECONDS)
                self._notified.set()
            except Exception:
                log.exception("board_failed")
                self._stopped.wait(RETRY_SECONDS)
            # After a slow read pause longer, so that other requests are served in between.
            self._stopped.wait(max(LEAST_PAUSE_SECONDS, 2 * (time.monotonic() - begun)))

    def _shown(self) -> frozenset[Shows]:
        with self._lock:
            return frozenset(stream.shows for stream in self._streams)

    def _publish(self, boards: Boards) -> None:
        with self._lock:
            if not self._streams or self._stopped.is_set():
                return
            self._latest = boards
            for stream in self._streams:
                if boards.has(stream.shows):
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
