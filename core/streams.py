"""The standard streams of our own processes: what reads them may be slow, stuck or gone, and our work goes on.

A pipe that nobody reads holds up the thread that writes to it; a broken pipe and a full disk raise an error there. So
the log has a thread of its own that writes. It uses `os.write`, because a thread that is stuck in `sys.stderr` holds
that stream's lock, and Python's exit then waits for the lock or aborts.
"""

import io
import os
import sys
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2
MOST_LINES = 2000  # that wait to be written
FLUSH_SECONDS = 1.0
RETRY_SECONDS = 0.05


class LineWriter:
    """Writes lines to a file descriptor in a thread of its own; `put` never waits and never raises.

    A line is lost, and counted in `lost` and `lost_in_all`, if the descriptor refuses it, or if `MOST_LINES` wait
    already. Once all lines are written that wait, one more tells how many were lost: the text that `describe_lost`
    makes of their number.
    """

    def __init__(self, descriptor: int, describe_lost: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._describe_lost = describe_lost
        # `SimpleQueue.put` and RLock are reentrant: a destructor may log while this thread is inside `put`.
        self._queue: SimpleQueue[bytes | Event | None] = SimpleQueue()
        self._counting = RLock()
        self.lost = 0  # and not told yet
        self.lost_in_all = 0
        Thread(target=self._run, name="log", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Leave a line, with its newline, to the thread."""
        if self._queue.qsize() < MOST_LINES:
            self._queue.put(line)
        else:
            self._lose_one()

    def flush(self) -> None:
        """Wait until all lines are written, but no longer than `FLUSH_SECONDS`."""
        written = Event()
        self._queue.put(written)
        written.wait(FLUSH_SECONDS)

    def close(self) -> None:
        """End the thread when all lines are written."""
        self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Event):
                self._tell_lost()
                item.set()
            elif not self._write(item):
                self._lose_one()
            elif self._queue.empty():
                self._tell_lost()

    def _tell_lost(self) -> None:
        lost = self.lost
        if lost and self._write(f"{self._describe_lost(lost)}\n".encode()):
            with self._counting:
                self.lost -= lost

    def _write(self, line: bytes) -> bool:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # another process that has the same terminal or pipe made it non-blocking
                time.sleep(RETRY_SECONDS)
            except OSError:
                return False
        return True

    def _lose_one(self) -> None:
        with self._counting:
            self.lost += 1
            self.lost_in_all += 1


def prepare() -> None:
    """Make the standard streams of this process safe to use; call it first.

    1. A stream that was closed when the process started becomes /dev/null. Otherwise the next socket would get its
       descriptor, and what a library prints would be sent to the database.
    2. If the reader of a stream goes away (`status | head`), what follows is thrown away, and the exit status stays
       that of the command.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 -- the function's own signature
    os.close(descriptor)
    sys.stdout = _text(_Pipe(STDOUT, "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Pipe(STDERR, "wb", closefd=False), sys.stderr)


def send_stderr_through(writer: LineWriter) -> None:
    """Let everything that Python writes to standard error take the writer's way: a traceback, a warning, an error."""
    sys.stderr = _text(_Queued(writer), sys.stderr)


def _text(raw: io.RawIOBase, like: TextIO | None) -> TextIO:
    """Return a text stream that writes each line at once, as far as that is needed: to a terminal, and errors."""
    by_line = raw.fileno() == STDERR or raw.isatty()
    encoding, errors = (like.encoding, like.errors) if like else ("utf-8", "backslashreplace")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)


class _Pipe(io.FileIO):
    """Throws away what follows a broken pipe, and what follows an error that it has raised: Python's exit flushes."""

    _has_raised = False

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            if not self._has_raised:
                return super().write(data)
        except BrokenPipeError:
            pass
        except OSError:
            self._has_raised = True
            raise
        return memoryview(data).nbytes


class _Queued(io.RawIOBase):
    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def write(self, data: "ReadableBuffer", /) -> int:
        self._writer.put(bytes(data))
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(STDERR)

    def fileno(self) -> int:
        return STDERR
