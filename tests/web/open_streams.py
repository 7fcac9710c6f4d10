"""Many open streams, read in one thread, each applied to a board as a page applies it."""

import json
import selectors
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class OpenStream:
    """What one client has been sent, and the board that it makes of it."""

    connection: socket.socket
    unread: bytes = b""
    text: str = ""
    order: list[list[str]] = field(default_factory=list)
    html: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    events: int = 0
    ended: bool = False

    def take(self, data: bytes) -> None:
        self.ended = not data
        self.unread += data
        *whole, self.unread = self.unread.split(b"\n\n")
        for event in whole:
            text = event.decode()
            self.text += text
            if "event: board" in text:
                self._apply(json.loads(text.split("data: ", 1)[1]))

    def _apply(self, board: dict[str, Any]) -> None:
        self.events += 1
        self.order = board["order"]
        wanted = dict(self.order)
        for key, html in board["html"].items():
            self.html[key], self.versions[key] = html, wanted[key]
        self.html = {key: html for key, html in self.html.items() if key in wanted}
        # A page that was sent a board without a block that it does not hold would be wrong for good.
        assert {key: self.versions[key] for key in wanted} == wanted


class OpenStreams:
    """Opens streams, and reads them until the end of the block."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self._selector = selectors.DefaultSelector()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.streams: list[OpenStream] = []

    def open(self, count: int, cookie: str = "") -> None:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=20)
            # HTTP/1.0, so that the body comes as it is.
            connection.sendall(f"GET {self._path} HTTP/1.0\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
            connection.setblocking(False)
            stream = OpenStream(connection)
            self.streams.append(stream)
            self._selector.register(connection, selectors.EVENT_READ, stream)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        for stream in self.streams:
            stream.connection.close()

    def _read(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.1):
                stream: OpenStream = key.data
                stream.take(stream.connection.recv(1 << 20))
                if stream.ended:
                    self._selector.unregister(stream.connection)
                    stream.connection.close()  # as a browser does
