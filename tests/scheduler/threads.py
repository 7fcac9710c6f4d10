"""One thread of another process, held still by the kernel as a debugger would: the other threads go on."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ATTACH, DETACH = 16, 17  # PTRACE_ATTACH, PTRACE_DETACH
WAIT_FOR_ANY_KIND = 0x40000000  # __WALL: a thread is no child of ours


@contextlib.contextmanager
def held(pid: int, name: str) -> Iterator[None]:
    """Hold the thread with this name."""
    thread = next(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if _name(task) == name)
    if _ptrace(ATTACH, thread) != 0:
        pytest.skip(f"this machine does not let us hold a thread: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, WAIT_FOR_ANY_KIND)
    try:
        yield
    finally:
        _ptrace(DETACH, thread)  # in vain where the process has ended meanwhile


def _name(task: Path) -> str:
    return (task / "comm").read_text().strip()


def _ptrace(request: int, thread: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    return int(libc.ptrace(request, thread, 0, 0))
