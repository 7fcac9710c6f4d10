"""The daemon as the platform runs it: a process of its own, that is sent real signals."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pytest

from tests.commands import start

TIMEOUT_SECONDS = 20.0  # for what takes milliseconds on an idle machine
POLL_SECONDS = 0.005
STOPS_WITHIN_SECONDS = 5.0  # the platform grants 30

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str, seconds: float = TIMEOUT_SECONDS) -> T:
    """Call `condition` again and again; return its first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)
    return answer


class DaemonProcess:
    """One daemon; its log is a file that is read while it runs."""

    def __init__(self, log: Path, **settings: str) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = start(["-m", "scheduler", "run"], output, settings)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def events(self, name: str) -> list[str]:
        return [line for line in self.log.splitlines() if f" event={name}" in line]

    def wait_for(self, event: str, times: int = 1) -> Self:
        """Wait until the event has been logged so many times."""
        eventually(lambda: self.ended or len(self.events(event)) >= times, f"{event} in the log:\n{self.log}")
        assert len(self.events(event)) >= times, f"the daemon ended without {event}:\n{self.log}"
        return self

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status."""
        return self._process.wait(TIMEOUT_SECONDS)

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit status, and how many seconds it took."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.wait(), time.monotonic() - begun

    def kill(self) -> None:
        self._process.kill()  # also ends one that SIGSTOP holds
        self.wait()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)


class Daemons:
    """The daemons of a test: whatever happens all are ended, their logs shown and searched for errors."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[DaemonProcess] = []
        self._allowed: tuple[str, ...] = ()

    def start(self, url: str, **settings: str) -> DaemonProcess:
        daemon = DaemonProcess(
            self._directory / f"daemon-{len(self._started)}.log",
            **{"DATABASE_URL": url, "LOG_LEVEL": "INFO"} | settings,
        )
        self._started.append(daemon)
        return daemon

    def ready(self, url: str, **settings: str) -> DaemonProcess:
        return self.start(url, **settings).wait_for("ready")

    def allow_errors(self, *events: str) -> None:
        self._allowed = events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in self._started:
            daemon.kill()
            sys.stdout.write(f"\n--- daemon {daemon.pid}\n{daemon.log}")  # shown when the test fails
        errors = [line for daemon in self._started for line in daemon.log.splitlines() if self._is_error(line)]
        if errors and kind is None:
            pytest.fail("a daemon logged errors:\n" + "\n".join(errors))

    def _is_error(self, line: str) -> bool:
        words = ("level=error", "level=critical", "Traceback")
        return any(word in line for word in words) and not any(f"event={event}" in line for event in self._allowed)


def assert_stops(daemon: DaemonProcess, when: str, figures: Callable[[str], None]) -> None:
    """SIGTERM ends it in time, whatever it is doing."""
    status, seconds = daemon.stop()
    figures(f"SIGTERM, {when}: {seconds:.2f} s")
    assert status == 0
    assert seconds < STOPS_WITHIN_SECONDS
