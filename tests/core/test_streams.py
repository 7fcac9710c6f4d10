"""Streams that nobody reads, that are closed, full or broken: nothing waits for them, and an exit status is kept."""

import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from core.streams import MOST_LINES, LineWriter
from tests.unusable_streams import ended, start, unusable

LINE = b"x" * 99 + b"\n"


@dataclass
class Pipe:
    reader: int
    writer: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(*os.pipe())
    yield pipe
    for descriptor in (pipe.reader, pipe.writer):
        if descriptor >= 0:
            os.close(descriptor)


def writer_to(descriptor: int) -> LineWriter:
    return LineWriter(descriptor, lambda lost: f"lost {lost}")


def read_until(pipe: Pipe, end: bytes) -> bytes:
    read = b""
    while end not in read or not read.endswith(b"\n"):
        read += os.read(pipe.reader, 1 << 16)
    return read


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer)
    for number in range(100):
        writer.put(f"{number}\n".encode())
    writer.flush()

    assert os.read(pipe.reader, 1 << 16).split() == [str(number).encode() for number in range(100)]
    assert writer.lost == 0


def test_with_a_pipe_that_nobody_reads_no_line_waits_and_those_lost_are_counted_and_told_later(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer)
    begun = time.monotonic()
    for _ in range(3 * MOST_LINES):
        writer.put(LINE)
    took = time.monotonic() - begun
    lost = writer.lost
    read = read_until(pipe, b"lost ")

    assert took < 1
    assert MOST_LINES < lost < 3 * MOST_LINES
    assert read.count(LINE) + lost == 3 * MOST_LINES
    assert read.endswith(f"\nlost {lost}\n".encode())
    assert writer.lost_in_all == lost
    writer.flush()
    assert writer.lost == 0


def test_an_exit_waits_a_second_at_most_for_a_pipe_that_nobody_reads(pipe: Pipe) -> None:
    writer = writer_to(pipe.writer)
    for _ in range(MOST_LINES):
        writer.put(LINE)
    begun = time.monotonic()
    writer.flush()

    assert time.monotonic() - begun < 2
    writer.put(b"end\n")
    read_until(pipe, b"end\n")  # or the thread would go on writing to what gets this descriptor next


def test_lines_for_a_broken_pipe_are_counted(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    writer = writer_to(pipe.writer)
    for _ in range(3):
        writer.put(LINE)
    writer.flush()

    assert writer.lost == 3


def test_lines_for_a_full_disk_are_counted_and_told_when_there_is_room(pipe: Pipe) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = writer_to(descriptor)
    for _ in range(3):
        writer.put(LINE)
    writer.flush()
    assert writer.lost == 3

    os.dup2(pipe.writer, descriptor)  # there is room again
    writer.put(LINE)
    writer.flush()
    os.close(descriptor)

    assert os.read(pipe.reader, 1 << 16) == LINE + b"lost 3\n"
    assert writer.lost == 0


def test_a_pipe_that_another_process_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    fcntl.fcntl(pipe.writer, fcntl.F_SETFL, os.O_NONBLOCK)
    writer = writer_to(pipe.writer)
    for _ in range(1000):
        writer.put(LINE)
    writer.put(b"end\n")
    read = read_until(pipe, b"end\n")

    assert read == 1000 * LINE + b"end\n"
    assert writer.lost == 0


PREPARE = "import sys; from core import logs, streams; from core.settings import Settings; streams.prepare(); "
QUEUE = "streams.send_stderr_through(logs.configure(Settings.model_construct())); "
SCRIPTS = {
    "its output": "[print('x' * 99) for _ in range(3000)]; sys.exit(7)",
    "its errors": "[print('x' * 99, file=sys.stderr) for _ in range(3000)]; sys.exit(7)",
    "its log": QUEUE + "[logs.logger('test').error('x' * 99) for _ in range(3000)]; sys.exit(7)",
    "all of its standard error": QUEUE + "[print('x' * 99, file=sys.stderr) for _ in range(3000)]; sys.exit(7)",
    "a socket": "import socket; sys.exit(7 if socket.socket().fileno() > 2 else 8)",
}


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("its output", "broken"),
        ("its output", "closed"),
        ("its errors", "broken"),
        ("its log", "unread"),
        ("its log", "full"),
        ("all of its standard error", "unread"),
        ("all of its standard error", "closed"),
        ("a socket", "closed"),
    ],
)
def test_an_exit_status_is_kept_whatever_became_of_the_streams(script: str, state: str) -> None:
    with unusable(state) as descriptor:
        status, _ = ended(start(state, descriptor, "-c", PREPARE + SCRIPTS[script]), 20)

    assert status == 7


@pytest.mark.process
def test_an_error_that_nobody_catches_ends_a_process_whose_pipe_nobody_reads() -> None:
    with unusable("unread") as descriptor:
        status, _ = ended(start("unread", descriptor, "-c", PREPARE + QUEUE + "1 / 0"), 20)

    assert status == 1
