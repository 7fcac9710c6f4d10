"""The daemon's main thread, in this process: it starts the parts, watches them, and ends them."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core import logs
from core.errors import UnknownSession
from core.settings import Settings
from scheduler.daemon import WEDGED_SECONDS, Daemon, _name_thread
from tests.data import connected, execute
from tests.scheduler.daemon_process import eventually

NAMES = {"worker", "timers", "listener"}


class Part:
    """A part that does what a test says, and ends when the test does."""

    def __init__(self, run: Callable[["Part"], object]) -> None:
        self._run = run
        self.progress_at = 1.0
        self.ended = threading.Event()

    def run(self) -> None:
        self._run(self)


@pytest.fixture(autouse=True)
def _no_busy_machine_ends_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon whose threads do not end in time leaves by `os._exit`, and here that would be pytest."""
    monkeypatch.setattr("scheduler.daemon.STOP_SECONDS", 30.0)


@pytest.fixture(autouse=True)
def as_before(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, logs.ROOT)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    gc.unfreeze()  # what the worker froze when it was ready


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[logs.Fields]:
    events = [record.msg for record in caplog.records if isinstance(record.msg, logs.Event)]
    return [each.fields for each in events if each.name == event]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & NAMES


def with_part(url: str, part: Part) -> Daemon:
    """Return a daemon in which this part stands for the listener."""
    daemon = Daemon(url, Settings())
    daemon._parts["listener"] = part  # type: ignore[assignment] # a part by what it can do
    return daemon


def ended(url: str) -> list[str | None]:
    """Return what the rows of daemons say of why they ended."""
    with connected(url) as app:
        return [why for (why,) in execute(app, "SELECT ended FROM daemon_heartbeat")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_its_parts(
    database_url: str, caplog: pytest.LogCaptureFixture, number: signal.Signals
) -> None:
    seen: set[str] = set()
    told: set[str] = set()  # by the operating system

    def ready() -> None:
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # a thread of another test has just ended
                told.add((task / "comm").read_text().strip())
        seen.update(threads())
        os.kill(os.getpid(), number)

    assert Daemon(database_url, Settings(), ready).run() == 0

    assert seen == NAMES
    assert told >= NAMES
    assert threads() == set()
    assert ended(database_url) == [f"stopped by {number.name}"]
    assert logged(caplog, "stopping") == [{"signal": number.name}]
    assert logged(caplog, "stopped") == [{}]
    assert logged(caplog, "part_died") == []


def test_where_the_system_takes_no_name_a_part_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.daemon.get_native_id", lambda: 0)  # a thread that is not there
    _name_thread("worker")


def fails(error: Exception) -> Callable[[Part], None]:
    def run(_: Part) -> None:
        raise error

    return run


def test_a_part_that_meets_an_error_of_ours_ends_it_at_once_and_tells_the_error(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    assert with_part(database_url, Part(fails(UnknownSession("there is no session 7")))).run() == 1

    assert time.monotonic() - began < WEDGED_SECONDS / 2
    assert logged(caplog, "part_failed") == [{"part": "listener", "error": "there is no session 7"}]
    assert logged(caplog, "part_died") == [{"parts": "listener", "wedged": False}]
    assert threads() == set()


def test_a_part_that_meets_any_other_error_ends_it_with_the_traceback(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def run(_: Part) -> None:
        eventually(lambda: ended(database_url), "the worker has written its row")
        raise ZeroDivisionError("by zero")

    assert with_part(database_url, Part(run)).run() == 1

    assert ended(database_url) == ["listener died"]
    [line] = logged(caplog, "part_failed")
    assert "ZeroDivisionError: by zero" in str(line["exception"])


def stands_still(part: Part) -> None:
    part.ended.wait(20)


def goes_on(part: Part) -> None:
    while not part.ended.wait(0.01):
        part.progress_at = time.monotonic()


@pytest.mark.parametrize(("run", "status"), [(stands_still, 1), (goes_on, 0)])
def test_a_part_that_makes_no_progress_ends_it(
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Part], object],
    status: int,
) -> None:
    monkeypatch.setattr("scheduler.daemon.WEDGED_SECONDS", 1.0)
    daemon = Daemon(database_url, Settings())
    parts = {"worker": Part(goes_on), "timers": Part(goes_on), "listener": Part(run)}
    daemon._parts = parts  # type: ignore[assignment] # parts by what they can do

    def stop(_why: str) -> None:
        for part in parts.values():
            part.ended.set()

    monkeypatch.setattr(daemon._wakeups, "stop", stop)
    # Without a part that stands still, a signal ends it; with one, only if the watch fails.
    otherwise = threading.Timer(20 if status else 2, os.kill, [os.getpid(), signal.SIGTERM])
    otherwise.start()

    assert daemon.run() == status

    otherwise.cancel()
    otherwise.join()
    assert logged(caplog, "part_died") == [{"parts": "listener", "wedged": True}] * status


class Exited(BaseException):
    pass


def test_a_part_that_does_not_end_is_left_behind(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def exit_at_once(status: int) -> None:
        raise Exited(status)

    monkeypatch.setattr(os, "_exit", exit_at_once)
    monkeypatch.setattr(logging, "shutdown", lambda: done.append("log"))
    monkeypatch.setattr("scheduler.daemon.STOP_SECONDS", 0.5)
    part = Part(stands_still)
    daemon = with_part(database_url, part)
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM]).start()
    begun = time.monotonic()

    with pytest.raises(Exited, match=r"^0$"):
        daemon.run()

    assert time.monotonic() - begun < 5
    part.ended.set()
    assert logged(caplog, "stopped") == [{"abandoned": "listener"}]
    assert done == ["log"], "the log is written first"


def test_a_second_signal_ends_it_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    daemon = Daemon(database_url, Settings())
    daemon._on_signal(signal.SIGTERM, None)
    assert left == []
    daemon._on_signal(signal.SIGTERM, None)

    assert left == [3]
