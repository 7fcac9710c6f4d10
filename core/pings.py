"""Pings: they tell a monitoring service of the operator's that a process works; it alerts when they stop.

They follow healthchecks' convention: a request to the address means success, `/start` and `/fail` after its path mean
what they say. The address is a secret, so no log line and no traceback shows it. A redirect is a failure: it would
send the address's visitor elsewhere.
"""

from queue import SimpleQueue
from threading import Thread
from typing import Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from core import __version__
from core.logs import logger
from core.settings import PingUrl

TIMEOUT_SECONDS = 3.0
CLOSE_SECONDS = 7.0
MOST_WAITING = 2

Signal = Literal["success", "start", "fail"]

log = logger(__name__)


class Pinger:
    """Sends pings, one after another, from a thread of its own: `send` never waits and never raises.

    Without an address it does nothing. A ping is left out while `MOST_WAITING` others wait.
    """

    def __init__(self, url: PingUrl | None) -> None:
        self._url = url
        self._waiting: SimpleQueue[tuple[Signal, str] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="pings", daemon=True)
        if url:
            self._thread.start()

    def send(self, signal: Signal = "success", body: str = "") -> None:
        """Leave a ping to the thread. `body`: the kind of an error, and never a name, a value or an address."""
        if self._url and self._waiting.qsize() < MOST_WAITING:
            self._waiting.put((signal, body))

    def close(self) -> None:
        """Wait until all pings are sent, but no longer than `CLOSE_SECONDS`."""
        if self._url:
            self._waiting.put(None)
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                log.warning("ping_failed", error="no answer in time")

    def _run(self) -> None:
        while (ping := self._waiting.get()) is not None:
            try:
                self._ping(*ping)
            except Exception as error:  # noqa: BLE001 -- a traceback would show the address
                log.warning("ping_failed", ping=ping[0], error=_kind(error))

    def _ping(self, signal: Signal, body: str) -> None:
        assert self._url
        url = _address(str(self._url.get_secret_value()), signal)
        request = Request(url, body.encode() or None, {"User-Agent": f"seisiun/{__version__}"})  # noqa: S310 -- http(s)
        _OPENER.open(request, timeout=TIMEOUT_SECONDS).close()  # whatever it answers, however long: nobody reads it


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow no redirect: the opener raises HTTPError."""


_OPENER = build_opener(_NoRedirects)


def _address(url: str, signal: Signal) -> str:
    if signal == "success":
        return url
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{signal}").geturl()


def _kind(error: Exception) -> str:
    if isinstance(error, HTTPError):
        error.close()
        return f"HTTP {error.code}"
    reason = error.reason if isinstance(error, URLError) else error
    return type(reason).__name__
