"""A port that forwards to a server. It can close, and it can drop packets as a network does, without an error."""

import contextlib
import select
import socket
from threading import Event, Thread

from sqlalchemy.engine import make_url


class PortForwarder:
    """Closed at first; `url` leads through it."""

    def __init__(self, url: str) -> None:
        behind = make_url(url)
        assert behind.host
        assert behind.port
        self._behind = (behind.host, behind.port)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = int(probe.getsockname()[1])
        self.url = behind.set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)
        self._listening: socket.socket | None = None
        self.sockets: list[socket.socket] = []
        self._carries = Event()
        self._carries.set()
        self._silent: list[Event] = []

    def open(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self._port))
        Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections, and end those that are open; may be called twice."""
        if self._listening:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._listening.close()
            self._listening = None
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the thread that carries closes it
        self.sockets.clear()
        for carries in (*self._silent, self._carries):
            carries.set()

    def fall_silent(self) -> None:
        """Carry nothing, for open connections and for new ones; the kernels still acknowledge what is sent."""
        self._carries.clear()

    def carry_again(self) -> None:
        """Carry again, also for the connections that were open."""
        self._carries.set()

    def forget_connections(self) -> None:
        """Carry nothing more for the open connections, as a router that forgot them; carry for new ones."""
        self._silent.append(self._carries)
        self._carries.clear()
        self._carries = Event()
        self._carries.set()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                ends = (client, socket.create_connection(self._behind))
                self.sockets += ends
                Thread(target=_carry, args=(*ends, self._carries), daemon=True).start()


def _carry(client: socket.socket, server: socket.socket, carries: Event) -> None:
    other = {client: server, server: client}
    with client, server, contextlib.suppress(OSError):
        while True:
            readable, _, _ = select.select([client, server], [], [])
            carries.wait()
            for end in readable:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)
