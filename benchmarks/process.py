"""A program under measurement, as a real process: the daemon, the floor's, those of its peers."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).parents[1]
READY = "event=ready"
TIMEOUT_SECONDS = 120.0


class Process:
    """A Python program that says `event=ready` in its log; a context manager that ends it."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        self._arguments = [sys.executable, *arguments]
        self._environment = os.environ | settings
        self._log = tempfile.NamedTemporaryFile(mode="w+", prefix="seisiun-bench-", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = self.ready_at = 0.0

    def start(self) -> Self:
        """Start it, and return at once."""
        self.started_at = time.time()
        self._process = subprocess.Popen(self._arguments, cwd=ROOT, env=self._environment, stderr=self._log)
        return self

    def wait(self) -> Self:
        """Return when it is ready."""
        deadline = time.time() + TIMEOUT_SECONDS
        while READY not in self.log:
            if time.time() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"{' '.join(self._arguments[1:3])} is not ready:\n{self.log[-2000:]}")
            time.sleep(0.002)
        self.ready_at = time.time()
        return self

    @property
    def log(self) -> str:
        """What it has said."""
        return Path(self._log.name).read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process
        return self._process.pid

    @property
    def peak_mb(self) -> float:
        """The most memory it ever held (resident), in MB."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():  # not Linux: what it holds now
            return psutil.Process(self.pid).memory_info().rss / 1e6
        [peak] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(peak.split()[1]) * 1024 / 1e6

    @property
    def cpu_seconds(self) -> float:
        """How long it has computed."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        """End it; may be called twice."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self.start().wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._log.close()


def daemon(url: str, **settings: str) -> Process:
    """The product."""
    return Process("-m", "scheduler", "run", DATABASE_URL=url, LOG_LEVEL="INFO", LOG_FORMAT="logfmt", **settings)


def floor_daemon(url: str) -> Process:
    """The floor's program."""
    return Process("-m", "benchmarks.floor_daemon", url)


def naive(url: str) -> Process:
    """The naive program."""
    return Process("-m", "benchmarks.naive", url)


def procrastinate(url: str, polling_seconds: float) -> Process:
    """A job queue's worker, which asks for jobs that often."""
    return Process("-m", "benchmarks.procrastinate_worker", url, str(polling_seconds))


def cron(url: str) -> Process:
    """A script that cron starts; it ends by itself."""
    return Process("-m", "benchmarks.cron", url)


def idle(url: str) -> Process:
    """A process that does nothing."""
    return Process("-m", "benchmarks.idle", url)
