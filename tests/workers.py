"""How `make test` shares its tests out between several processes without disturbing a test that measures time.

The daemon's tests mostly wait, and the others mostly compute. So one process runs the daemon's tests in their order,
one runs the tests that cause faults, and one runs the tests of the other modules. A test marked `alone` has the machine
to itself while it runs.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_SCENARIOS_WITH_FAULTS = ("failover", "health", "refusals", "silence")
FAULTS = ("tests/faults/", *(f"tests/scheduler/scenarios/test_{name}" for name in _SCENARIOS_WITH_FAULTS))
DAEMONS = ("tests/scheduler/", "tests/jobs/")
IN_PROCESS = "tests/scheduler/daemon/"  # all but test_daemon.py


def group_of(node_id: str) -> str | None:
    """Return the group of modules that a test belongs to; None where its module is a group by itself."""
    if node_id.startswith(FAULTS):
        return "faults"
    if node_id.startswith(IN_PROCESS) and not node_id.startswith(f"{IN_PROCESS}test_daemon"):
        return None
    return "daemons" if node_id.startswith(DAEMONS) else None


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # without type stubs
    """Give each group of test modules to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or super()._split_scope(nodeid)


class MachineLock:
    """A file lock that tests hold together, or that one test holds alone.

    A test takes the queue's lock before it takes the machine's. A test that must be alone keeps the queue's lock while
    it waits for the others to end. Without the queue, a stream of short tests would never let it in.
    """

    def __init__(self, directory: Path) -> None:
        self._queue = directory / "queue.lock"
        self._machine = directory / "machine.lock"

    @contextmanager
    def held(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock for the block. The kernel releases it when the process dies."""
        with ExitStack() as held:
            with _locked(self._queue, fcntl.LOCK_EX):
                held.enter_context(_locked(self._machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
            yield


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
