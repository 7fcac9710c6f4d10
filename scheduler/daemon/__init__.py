"""The daemon: three threads that each do one thing, and a main thread that watches them.

worker    all database work
timers    APScheduler's wait for the next edge
listener  LISTEN

If one dies, or makes no progress, the process ends non-zero, and the platform starts it again.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread, get_native_id
from types import FrameType

from core.db.listener import Listener
from core.errors import SeisiunError
from core.logs import logger
from core.settings import Settings
from core.store.notify import SESSION_CHANGED
from scheduler.daemon.timers import Timers
from scheduler.daemon.wakeups import Wakeups
from scheduler.daemon.worker import Worker

WATCH_SECONDS = 0.2
WEDGED_SECONDS = 30.0  # every statement and every wait of every part is bounded far below this
STOP_SECONDS = 2.5
EXIT_DIED = 1
EXIT_FORCED = 3

log = logger(__name__)


class Daemon:
    """Runs until SIGTERM or SIGINT; a second signal ends it at once."""

    def __init__(self, url: str, settings: Settings, on_ready: Callable[[], None] = lambda: None) -> None:
        self._signalled = False
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._why_ending = ""
        self._wakeups = Wakeups()
        self._timers = Timers(self._wakeups.edge)
        self._listener = Listener(url, SESSION_CHANGED, self._wakeups.notification, self._wakeups.resync)
        self._worker = Worker(
            url,
            settings,
            self._wakeups,
            self._timers,
            self._listener,
            on_ready=on_ready,
        )
        self._parts: dict[str, Worker | Timers | Listener] = {
            "worker": self._worker,
            "timers": self._timers,
            "listener": self._listener,
        }
        self._threads: dict[str, Thread] = {}

    def run(self) -> int:
        """Run in the main thread; return the exit status: 0 when it was told to stop."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        self._threads = {name: Thread(target=self._part, args=(name,), name=name, daemon=True) for name in self._parts}
        for thread in self._threads.values():
            thread.start()
        status = self._watch()
        if not self._end():
            # A thread that is left waits for the network or a lock. A normal exit of Python might wait for it.
            logging.shutdown()
            os._exit(status)
        return status

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal. A second one may interrupt this function, so it takes no lock and writes no log."""
        if self._signalled:
            os._exit(EXIT_FORCED)
        self._signalled = True
        self._signals.put(number)  # `put` is reentrant; `Event.set` and a logger are not

    def _part(self, name: str) -> None:
        _name_thread(name)
        try:
            self._parts[name].run()
        except SeisiunError as error:
            log.error("part_failed", part=name, error=str(error))  # noqa: TRY400 -- the message says it all
        except Exception:
            log.exception("part_failed", part=name)

    def _watch(self) -> int:
        # Count rounds, not seconds: in a process that was stopped (SIGSTOP) no part made progress, but none is wedged.
        progress_at, rounds = dict.fromkeys(self._parts, 0.0), dict.fromkeys(self._parts, 0)
        while not self._told_to_stop(WATCH_SECONDS):
            for name, part in self._parts.items():
                rounds[name] = rounds[name] + 1 if progress_at[name] == part.progress_at else 0
                progress_at[name] = part.progress_at
            dead = [name for name, thread in self._threads.items() if not thread.is_alive()]
            wedged = [name for name in self._parts if rounds[name] * WATCH_SECONDS > WEDGED_SECONDS]
            if dead or wedged:
                parts = ",".join(dead or wedged)
                self._why_ending = f"{parts} {'died' if dead else 'made no progress'}"
                log.critical("part_died", parts=parts, wedged=not dead)
                return EXIT_DIED
        return 0

    def _told_to_stop(self, wait_seconds: float) -> bool:
        try:
            number = self._signals.get(timeout=wait_seconds)
        except Empty:
            return False
        name = signal.Signals(number).name
        self._why_ending = f"stopped by {name}"
        log.info("stopping", signal=name)
        return True

    def _end(self) -> bool:
        """Stop the parts; return whether all have ended."""
        self._wakeups.stop(self._why_ending)
        self._timers.stop()
        self._listener.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads.values():
            thread.join(deadline - time.monotonic())  # a time below zero is no time
        left = [name for name, thread in self._threads.items() if thread.is_alive()]
        log.info("stopped", **({"abandoned": ",".join(left)} if left else {}))
        return not left


def _name_thread(name: str) -> None:
    """Tell the operating system which part this thread is, for `top -H` and debuggers; Python does so from 3.14 on."""
    with contextlib.suppress(OSError):  # only Linux has it
        Path(f"/proc/self/task/{get_native_id()}/comm").write_text(name)
