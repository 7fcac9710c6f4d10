"""A monitoring service as it should be, and as it should not: a real socket for each."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "5f3c0de-secret"
Serve = Callable[[socket.socket], None]


class PingServer(ThreadingHTTPServer):
    """Answers 200, and notes the path and the body of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pings: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{TOKEN}"

    def ends(self) -> list[tuple[str, str]]:
        """Return the pings so far, each as what follows the token in its path, and its body."""
        return [(path.removeprefix(f"/{TOKEN}"), body) for path, body in self.pings]


class _Handler(BaseHTTPRequestHandler):
    server: PingServer

    def do_GET(self) -> None:  # the standard library's name
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.pings.append((self.path, body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    do_POST = do_GET  # noqa: N815 -- the standard library's name

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def ping_server() -> Iterator[PingServer]:
    with PingServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """Yield the address of a server that treats each connection like this, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/{TOKEN}"


def _accept(listener: socket.socket, serve: Serve) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, serve), daemon=True).start()


def _serve(connection: socket.socket, serve: Serve) -> None:
    with connection, suppress(OSError):
        serve(connection)


def never_answer(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def close_at_once(_: socket.socket) -> None:
    pass


def redirect_to_itself(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: /{TOKEN}\r\nContent-Length: 0\r\n\r\n".encode())


def send_without_end(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 1_000_000)


def send_a_header_without_end(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        threading.Event().wait(0.2)


def refuse(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")


HOSTILE = (never_answer, close_at_once, redirect_to_itself, send_without_end, send_a_header_without_end, refuse)
