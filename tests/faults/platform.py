"""The platform: seats in which daemons run, each behind a network of its own, and started again when they end."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

from tests.faults.proxy import Proxy
from tests.scheduler.daemon_process import DaemonProcess

RESTARTS_AFTER_SECONDS = 0.1
WATCH_SECONDS = 0.02


class Seat:
    """A place for a daemon. While it is taken, one that ends is started again."""

    def __init__(self, name: str, directory: Path, proxy: Proxy, settings: Mapping[str, str]) -> None:
        self.name = name
        self.proxy = proxy
        self.incarnation = 0
        self.spawned_at = 0.0
        self.paused = False
        self.deaf_until = 0.0  # by then it has noticed that its network fell silent
        self._directory = directory
        self._settings = settings
        self._daemon: DaemonProcess | None = None
        self._killed = False
        self._lock = Lock()

    @property
    def taken(self) -> bool:
        return self._daemon is not None

    @property
    def daemon(self) -> DaemonProcess:
        assert self._daemon
        return self._daemon

    @property
    def pid(self) -> int | None:
        """The process, or None while nobody sits here."""
        daemon = self._daemon
        return daemon.pid if daemon else None

    @property
    def ready(self) -> bool:
        daemon = self._daemon
        return daemon is not None and not self.paused and not daemon.ended and bool(daemon.events("ready"))

    def take(self) -> None:
        """Start a daemon here."""
        with self._lock:
            self.incarnation += 1
            self.spawned_at = time.time()
            self._killed = False
            self.deaf_until = 0.0
            log = self._directory / f"{self.name}-{self.incarnation}.log"
            self._daemon = DaemonProcess(log, **self._settings)

    def leave(self) -> tuple[int, float]:
        """SIGTERM, and no new one; return the exit status and how many seconds it took."""
        with self._lock:
            daemon, self._daemon = self.daemon, None
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        status = daemon.wait()
        return status, time.monotonic() - begun

    def kill(self) -> None:
        """End it by SIGKILL; the platform will start it again."""
        self._killed = True
        self.daemon.signal(signal.SIGKILL)

    def pause(self) -> None:
        self.paused = True
        self.daemon.pause()

    def resume(self) -> None:
        self.daemon.resume()
        self.paused = False

    def restart_if_ended(self) -> str | None:
        """Start it again if it has ended; tell how, unless we killed it."""
        with self._lock:
            daemon = self._daemon
        if daemon is None or not daemon.ended:
            return None
        how = None if self._killed else f"{self.name} ended by itself with {daemon.wait()}:\n{_last_words(daemon)}"
        time.sleep(RESTARTS_AFTER_SECONDS)
        self.take()
        return how

    def end(self) -> None:
        """Whatever it is doing."""
        with self._lock:
            daemon, self._daemon = self._daemon, None
        if daemon:
            daemon.kill()


@dataclass
class Platform:
    """Watches the seats in a thread of its own."""

    seats: list[Seat]
    problems: list[str] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def start(self) -> None:
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
        for seat in self.seats:
            seat.end()

    def ready(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.ready]

    def seat_of(self, server_side_port: int) -> Seat | None:
        return next((seat for seat in self.seats if seat.proxy.carries(server_side_port)), None)

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            for seat in self.seats:
                if problem := seat.restart_if_ended():
                    self.problems.append(problem)


def _last_words(daemon: DaemonProcess) -> str:
    return "\n".join(daemon.log.splitlines()[-15:])
