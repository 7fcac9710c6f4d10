"""A port in front of a server that can be shut, and can fall silent, as a network does that drops without a word."""

import contextlib
import select
import socket
from threading import Event, Thread

from sqlalchemy.engine import make_url


class Gate:
    """Shut at first; `url` leads through it."""

    def __init__(self, url: str) -> None:
        behind = make_url(url)
        assert behind.host
        assert behind.port
        self._behind = (behind.host, behind.port)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = int(probe.getsockname()[1])
        self.url = behind.set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)
        self._door: socket.socket | None = None
        self.inside: list[socket.socket] = []
        self._speaks = Event()
        self._speaks.set()
        self._silent: list[Event] = []

    def open(self) -> None:
        self._door = socket.create_server(("127.0.0.1", self._port))
        Thread(target=self._let_in, args=(self._door,), daemon=True).start()

    def shut(self) -> None:
        """Refuse whoever knocks, and throw out whoever is inside; may be called twice."""
        if self._door:
            with contextlib.suppress(OSError):
                self._door.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._door.close()
            self._door = None
        for end in self.inside:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the thread that carries closes it
        self.inside.clear()
        for speaks in (*self._silent, self._speaks):
            speaks.set()

    def fall_silent(self) -> None:
        """Carry nothing any more, for those inside and for newcomers; the kernels go on acknowledging."""
        self._speaks.clear()

    def speak(self) -> None:
        """Carry again; those who were inside too."""
        self._speaks.set()

    def forget_those_inside(self) -> None:
        """Carry nothing any more for those inside, as a router that has forgotten them; newcomers are carried."""
        self._silent.append(self._speaks)
        self._speaks.clear()
        self._speaks = Event()
        self._speaks.set()

    def _let_in(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = door.accept()
                ends = (client, socket.create_connection(self._behind))
                self.inside += ends
                Thread(target=_carry, args=(*ends, self._speaks), daemon=True).start()


def _carry(client: socket.socket, server: socket.socket, speaks: Event) -> None:
    other = {client: server, server: client}
    with client, server, contextlib.suppress(OSError):
        while True:
            readable, _, _ = select.select([client, server], [], [])
            speaks.wait()
            for end in readable:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)
