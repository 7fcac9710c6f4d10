"""Runs one PostgreSQL program as a user that is not root, and stops it when the owner process ends.

`Guard` starts this file as a script; it needs the standard library alone. It is a process of its own because

- PostgreSQL refuses to run as root, and a process that gives up root cannot get it back;
- Linux sends a parent-death signal when the *thread* that forked ends, and here that is the main thread;
- when the owner ends, even by kill -9, a pipe closes, and some process must notice that: so it works on every Unix.

If we are root, we become the owner of the data directory (`nobody`, if root made it). A folder above may be open to
root alone, and we must not change its mode. So on Linux we keep one capability across the change of user, and pass it
on: to read and traverse everything. Where the system does not allow that (some sandboxes, a user namespace with a
single user), we enter a user namespace instead, in which root is called `nobody`.

usage: guard.py OWNER_PID OWNER_PIPE_FD LOCK_FD DATA_DIRECTORY COMMAND [ARGUMENT...]
"""

import contextlib
import ctypes
import os
import pwd
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

# How long a fast shutdown may take before we ask for an immediate one.
SHUTDOWN_SECONDS = 10

# From linux/prctl.h, linux/securebits.h, linux/capability.h and linux/sched.h.
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_IS_SET = 1
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000


class Guard:
    """The owner's side: starts a process that runs a PostgreSQL program for us, and ends it when we end.

    `data` is the directory that the program works on, `log` takes its output, and `lock` is a descriptor that
    it inherits. Leaving the context, or `stop()`, ends the program.
    """

    def __init__(self, command: list[str], *, data: Path, log: Path, lock: int) -> None:
        read_end, self._owner_pipe = os.pipe()
        ourselves = [sys.executable, "-I", "-S", __file__]
        arguments = [str(os.getpid()), str(read_end), str(lock), str(data)]
        try:
            with open(log, "ab", opener=_private) as output:
                self._process = subprocess.Popen(  # noqa: S603 - the command is our own
                    [*ourselves, *arguments, *command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=data.parent,
                    env=_environment(),
                    pass_fds=[read_end, lock],
                    start_new_session=True,  # Ctrl-C is for the owner, who may still need the server
                )
        except BaseException:
            os.close(self._owner_pipe)
            raise
        finally:
            os.close(read_end)

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def finish(self, text: str) -> int:
        """Give the program its input, and return its exit code."""
        self._process.communicate(text.encode())
        return self._process.returncode

    def stop(self) -> None:
        """Close our end of the pipe and wait until the program has ended. May be called twice."""
        if self._owner_pipe >= 0:
            os.close(self._owner_pipe)
            self._owner_pipe = -1
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(3 * SHUTDOWN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _environment() -> dict[str, str]:
    """Return our environment variables, except those that configure PostgreSQL or its messages' language."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code; stop it when the owner is gone or closes the pipe."""
    owner, owner_pipe, lock = map(int, arguments[:3])
    data, command = Path(arguments[3]), arguments[4:]
    if os.geteuid() == 0:
        give_up_root(data)
    child = subprocess.Popen(  # noqa: S603 - the command is the owner's
        command,
        pass_fds=[lock],
        preexec_fn=_dying_with(os.getpid()),  # noqa: PLW1509 - there is only this thread yet
    )
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGINT))
    threading.Thread(target=_stop_with_owner, args=(child, owner, owner_pipe), daemon=True).start()
    return child.wait()


def give_up_root(data: Path) -> None:
    """Become, for good, a user that is not root, owns `data`, and can reach what root can reach."""
    if sys.platform != "linux":
        sys.exit("PostgreSQL does not run as root. Run this as another user, or set DATABASE_URL.")
    try:
        nobody = pwd.getpwnam("nobody")
        owner = data.stat()
        try:
            if owner.st_uid == 0:
                _become(nobody.pw_uid, nobody.pw_gid, data)
            else:
                _become(owner.st_uid, owner.st_gid, data)
        except OSError:
            _enter_user_namespace(nobody.pw_uid, data)
    except (KeyError, OSError) as error:
        sys.exit(
            f"PostgreSQL does not run as root, and this process cannot change to another user ({error}). "
            "Run this as another user, or set DATABASE_URL."
        )


def _become(uid: int, gid: int, data: Path) -> None:
    """Change to the user and keep one capability; raise OSError, still as root, if that is impossible.

    Without "no setuid fixup" access(2), by which PostgreSQL looks at its own binaries, would ignore the capability.
    """
    capability = _permitted_capability()
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability)
    _give(data, uid, gid)
    _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _keep_only(capability)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _permitted_capability() -> int:
    """Return the weakest capability that opens a folder of mode 0700 (containers often lack the first)."""
    status = Path("/proc/self/status").read_text()
    permitted = int(status.partition("CapPrm:")[2].split(maxsplit=1)[0], 16)
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if permitted & 1 << capability:
            return capability
    raise PermissionError("neither CAP_DAC_READ_SEARCH nor CAP_DAC_OVERRIDE is permitted")


def _keep_only(capability: int) -> None:
    """Drop every other capability; make this one inheritable too, as an ambient one must be."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(*[1 << capability] * 3)  # effective, permitted, inheritable; then 32 and up
    _call("capset", header, sets)


def _enter_user_namespace(nobody: int, data: Path) -> None:
    """Become `nobody` in a new user namespace; outside it we are still root, but lose every capability when we exec."""
    uid, gid = os.geteuid(), os.getegid()
    _give(data, uid, gid)
    _call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{nobody} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{nobody} {gid} 1")


def _give(data: Path, uid: int, gid: int) -> None:
    """Make the user the owner of the whole data directory, unless it is already."""
    if data.stat().st_uid == uid:
        return
    for folder, _, files in os.walk(data, topdown=False):
        for name in files:
            os.chown(Path(folder, name), uid, gid, follow_symlinks=False)
        os.chown(folder, uid, gid)


def _dying_with(guard: int) -> Callable[[], None]:
    """Return a function that the child calls before exec: it makes the child stop whenever the guard stops."""

    def die_with_guard() -> None:
        if sys.platform == "linux":
            _prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != guard:  # it died before we asked
            os._exit(1)

    return die_with_guard


def _stop_with_owner(child: subprocess.Popen[bytes], owner: int, owner_pipe: int) -> None:
    """Stop the program when the owner has ended.

    1. Wait until the pipe closes or our parent's pid changes. The pipe closes at once; the pid tells within a second,
       even if a fork of the owner keeps the pipe open.
    2. Ask for a fast shutdown, which does not wait for clients.
    3. After SHUTDOWN_SECONDS ask for an immediate one, without a checkpoint.
    """
    while os.getppid() == owner and not select.select([owner_pipe], [], [], 1)[0]:
        pass
    for how in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(how)
        time.sleep(SHUTDOWN_SECONDS)


def _prctl(option: int, *arguments: int) -> None:
    _call("prctl", option, *(ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]))


def _call(name: str, *arguments: object) -> None:
    """Call the C library; raise OSError as it would be raised by `os`."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
