"""Starts our commands as processes of their own, without the second that each one needs for its imports.

A process that has imported the product forks for every command: the child has its own pid, environment, files and
signals, runs the module as `python -m` does, and ends as an interpreter ends. One such process serves a test run.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
LONGEST_COMMAND = 1_000_000  # bytes


class Process:
    """A command that runs: what the tests need of `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> None:
        self._arguments = arguments
        self._status_pipe, theirs = os.pipe()
        self._status: int | None = None
        command = json.dumps([list(arguments), dict(environment)]).encode()
        server = _server()
        socket.send_fds(server, [command], [theirs, stdout.fileno(), stderr.fileno()])
        os.close(theirs)
        self.pid = int(server.recv(20))

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._read_status(0)

    def wait(self, timeout: float) -> int:
        """Return the exit status; minus the signal's number if a signal ended the process."""
        status = self._read_status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(list(self._arguments), timeout)
        return status

    def _read_status(self, seconds: float) -> int | None:
        if self._status is None and select.select([self._status_pipe], [], [], seconds)[0]:
            self._status = os.waitstatus_to_exitcode(int(os.read(self._status_pipe, 20)))
            os.close(self._status_pipe)
        return self._status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # its server has reaped it, and the status is on its way
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def can_start(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether the command is one of ours, in an environment that needs no start of the interpreter."""
    is_ours = tuple(arguments[:2]) == ("-m", "scheduler") or arguments[0] == "jobs/check_active_sessions.py"
    return is_ours and not any(name.startswith(("LD_", "PYTHON")) for name in environment)


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_COMMAND)
    command = [sys.executable, "-m", "tests.preloaded", str(theirs.fileno())]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


# The process that forks


def main() -> None:
    """Fork for each command until nobody can send one any more; in the child, run the command."""
    from scheduler import cli  # noqa: PLC0415, F401 -- what the commands import, imported once

    gc.freeze()  # a child that ends then collects only its own objects, in a fifth of the time
    commands = socket.socket(fileno=int(sys.argv[1]))
    wakes, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    status_pipes: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([commands, wakes], [], [])
        if wakes in readable:
            wakes.recv(4096)
            _tell_ends(status_pipes)
        if commands in readable:
            command, files, _, _ = socket.recv_fds(commands, LONGEST_COMMAND, 3)
            if not command:
                return
            pid = os.fork()
            if not pid:
                break
            status_pipes[pid] = files[0]
            for file in files[1:]:
                os.close(file)
            commands.send(str(pid).encode())
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for each in (commands, wakes, wake):
        each.close()
    for file in (*status_pipes.values(), files[0]):
        os.close(file)
    arguments, environment = json.loads(command)
    _run(arguments, environment, files[1:])


def _tell_ends(status_pipes: dict[int, int]) -> None:
    while status_pipes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        os.write(status_pipes[pid], str(status).encode())
        os.close(status_pipes.pop(pid))


def _run(arguments: list[str], environment: dict[str, str], output: list[int]) -> None:
    for number, file in enumerate(output, start=1):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    run: Any = runpy.run_path
    if arguments[0] == "-m":
        arguments, run = arguments[1:], runpy.run_module
    sys.argv = arguments
    run(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
