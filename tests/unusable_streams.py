"""Processes whose output goes nowhere: a pipe that is full and unread, a broken pipe, a full disk, a closed stream."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.commands import ROOT, environment

STATES = ("unread", "broken", "full", "closed")
CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]


@contextmanager
def unusable(state: str) -> Iterator[int]:
    """Yield a descriptor that cannot be written to, now or ever."""
    if state in {"full", "closed"}:  # `start` closes it in the process
        writer = os.open("/dev/full", os.O_WRONLY)
        reader = os.dup(writer)
    else:
        reader, writer = os.pipe()
    if state == "broken":
        os.close(reader)
        reader = os.dup(writer)
    if state == "unread":
        os.set_blocking(writer, False)
        for size in (1 << 16, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x" * size)
        os.set_blocking(writer, True)
    try:
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


def start(
    state: str, descriptor: int, *arguments: str, stderr: int | None = None, **settings: str
) -> subprocess.Popen[bytes]:
    """Start Python with both streams in this state, or, with `stderr`, with standard output alone."""
    command = [*(CLOSED if state == "closed" else []), sys.executable, *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(**settings),
        stdout=descriptor,
        stderr=descriptor if stderr is None else stderr,
    )


def ended(process: subprocess.Popen[bytes], seconds: float) -> tuple[int, float]:
    """Return the exit status, and how many seconds it took until then; kill it after `seconds`."""
    begun = time.monotonic()
    try:
        return process.wait(seconds), time.monotonic() - begun
    finally:
        process.kill()
        process.wait()
