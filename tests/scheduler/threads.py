"""One thread of another process, held still by the kernel as a debugger would: the other threads go on."""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scheduler.daemon_process import eventually

ATTACH, DETACH = 16, 17  # PTRACE_ATTACH, PTRACE_DETACH
WAIT_FOR_ANY_KIND = 0x40000000  # __WALL: a thread is no child of ours


@contextlib.contextmanager
def held(pid: int, name: str) -> Iterator[None]:
    """Hold the thread with this name when it sleeps: one that runs has the interpreter's lock, which all need."""
    task = next(task for task in Path(f"/proc/{pid}/task").iterdir() if _name(task) == name)
    thread = int(task.name)
    eventually(lambda: _sleeps(task), f"the thread {name} sleeps")
    if _ptrace(ATTACH, thread) != 0:
        pytest.skip(f"this machine does not let us hold a thread: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, WAIT_FOR_ANY_KIND)
    try:
        yield
    finally:
        _ptrace(DETACH, thread)  # in vain where the process has ended meanwhile


def _name(task: Path) -> str:
    """Return a thread's name, "" once it has ended."""
    with contextlib.suppress(OSError):
        return (task / "comm").read_text().strip()
    return ""


def _sleeps(task: Path) -> bool:
    """Tell whether this thread sleeps for 50 ms at a stretch."""
    before = _switches(task)
    time.sleep(0.05)
    return "S (sleeping)" in (task / "status").read_text() and _switches(task) == before


def _switches(task: Path) -> list[str]:
    return [line for line in (task / "status").read_text().splitlines() if "ctxt_switches" in line]


def _ptrace(request: int, thread: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    return int(libc.ptrace(request, thread, 0, 0))
