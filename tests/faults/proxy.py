"""A network between a daemon and its database: a fixed port, whose other end may change, and which can fall silent.

Silence is real: a socket filter has the kernel drop every segment that arrives, so that nothing is acknowledged, no
keepalive is answered and a client that connects waits. When it is over, what was sent is sent again, as TCP does. A
proxy that merely stopped reading would go on acknowledging, and no timeout of TCP would ever be tried.
"""

import contextlib
import ctypes
import select
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from threading import Event, Lock, Thread

from sqlalchemy.engine import make_url

HOST = "127.0.0.1"
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # one instruction: return 0 bytes
FILTER = struct.pack("HL", 1, ctypes.addressof(DROP_ALL))


def _can_lose_packets() -> bool:
    """Say whether the kernel lets us: it may be another's, or forbid it to us (in a sandbox, who is not root)."""
    if sys.platform != "linux":
        return False
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, FILTER)
        return True
    return False


CAN_LOSE_PACKETS = _can_lose_packets()


def _deafen(end: socket.socket) -> None:
    if CAN_LOSE_PACKETS:
        end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, FILTER)


def _receive_again(end: socket.socket) -> None:
    if CAN_LOSE_PACKETS:
        with contextlib.suppress(FileNotFoundError):  # it never stopped receiving
            end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


class Proxy:
    """Carries connections from `port` to the server of `lead_to`."""

    def __init__(self) -> None:
        self._door = socket.create_server((HOST, 0))
        self.port = int(self._door.getsockname()[1])
        self._behind: tuple[str, int] | None = None
        self._carried: set[_Carried] = set()
        self._lock = Lock()
        self._silence: Callable[[_Carried], None] | None = None
        Thread(target=self._let_in, daemon=True).start()

    def lead_to(self, url: str) -> None:
        """Carry those who come from now on to the server of this URL."""
        behind = make_url(url)
        assert behind.host
        assert behind.port
        self._behind = (behind.host, behind.port)

    def url(self, url: str) -> str:
        """Return `url` by way of this proxy."""
        return make_url(url).set(host=HOST, port=self.port).render_as_string(hide_password=False)

    def carries(self, server_side_port: int) -> bool:
        """Say whether the connection that the server sees coming from this port is one of ours."""
        with self._lock:
            return any(each.server_side_port == server_side_port for each in self._carried)

    def fall_silent(self, *, acknowledging: bool = False) -> None:
        """Lose every packet, in both directions, of those inside and of those who knock.

        `acknowledging`: as a middleman that hangs. Whoever knocks is let in, what is sent is acknowledged, and nothing
        gets through.
        """
        if not acknowledging:
            _deafen(self._door)
        with self._lock:
            self._silence = partial(_Carried.fall_silent, acknowledging=acknowledging)
            for each in self._carried:
                self._silence(each)

    def speak(self, *, forget: bool) -> None:
        """Carry again, also for open connections; those that are forgotten, as a router does, receive nothing more."""
        _receive_again(self._door)
        with self._lock:
            self._silence = None
            for each in () if forget else self._carried:
                each.speak()

    def cut(self) -> None:
        """Throw out everybody."""
        with self._lock:
            for each in self._carried:
                each.cut()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._door.close()
        self.cut()

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self._behind is None:
                return
            with socket.create_connection(self._behind, timeout=5) as server:
                carried = _Carried(client, server)
                with self._lock:
                    self._carried.add(carried)
                    if self._silence:
                        self._silence(carried)
                try:
                    carried.run()
                finally:
                    with self._lock:
                        self._carried.discard(carried)


class _Carried:
    """One connection, as both of its ends."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._other = {client: server, server: client}
        for end in self._other:
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server_side_port = int(server.getsockname()[1])
        self._speaks = Event()
        self._speaks.set()

    def run(self) -> None:
        while True:
            readable, _, _ = select.select(list(self._other), [], [])
            for end in readable:
                data = end.recv(65536)
                if not data:
                    return
                self._speaks.wait()
                self._other[end].sendall(data)

    def fall_silent(self, *, acknowledging: bool) -> None:
        self._speaks.clear()
        if acknowledging:
            return
        with contextlib.suppress(OSError):  # it has just been closed
            for end in self._other:
                _deafen(end)

    def speak(self) -> None:
        with contextlib.suppress(OSError):
            for end in self._other:
                _receive_again(end)
        self._speaks.set()

    def cut(self) -> None:
        self._speaks.set()
        for end in self._other:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
