"""A port in front of a server that can be shut: whoever knocks is refused, whoever is inside is thrown out."""

import contextlib
import select
import socket
from threading import Thread

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
        self._inside: list[socket.socket] = []

    def open(self) -> None:
        self._door = socket.create_server(("127.0.0.1", self._port))
        Thread(target=self._let_in, args=(self._door,), daemon=True).start()

    def shut(self) -> None:
        """May be called twice."""
        if self._door:
            with contextlib.suppress(OSError):
                self._door.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._door.close()
            self._door = None
        for end in self._inside:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the thread that carries closes it
        self._inside.clear()

    def _let_in(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = door.accept()
                ends = (client, socket.create_connection(self._behind))
                self._inside += ends
                Thread(target=_carry, args=ends, daemon=True).start()


def _carry(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    with client, server, contextlib.suppress(OSError):
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for end in readable:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)
