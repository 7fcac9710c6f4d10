"""How `make test` shares its tests out between three processes, so that nothing that measures time is disturbed.

The daemon's tests mostly wait, and the others mostly compute: one process takes the daemon's, in their order, one those
in which faults are caused, beside a third that takes the other modules. A test marked `alone` has the machine to itself
meanwhile.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

FAULTS = ("tests/faults/", *(f"tests/scheduler/test_{name}" for name in ("failover", "health", "refusals", "silence")))
DAEMONS = ("tests/scheduler/", "tests/jobs/")


def side_of(node_id: str) -> str | None:
    """Return the piece of work that a test belongs to; None: its module's own."""
    if node_id.startswith(FAULTS):
        return "faults"
    return "daemons" if node_id.startswith(DAEMONS) else None


class ThreeSides(LoadScopeScheduling):  # type: ignore[misc] # without type stubs
    """The daemon's tests are one piece of work, those of its faults are one, and every other module is one."""

    def _split_scope(self, nodeid: str) -> str:
        return side_of(nodeid) or super()._split_scope(nodeid)


class Floor:
    """Many may be on it together, or one alone.

    Whoever comes takes the turnstile first, and whoever wants to be alone keeps it while others leave. Without it a
    stream of short tests would never let the one in.
    """

    def __init__(self, directory: Path) -> None:
        self._turnstile = directory / "turnstile"
        self._floor = directory / "floor"

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Be on the floor; the kernel takes whoever dies off it."""
        with ExitStack() as floor:
            with _locked(self._turnstile, fcntl.LOCK_EX):
                floor.enter_context(_locked(self._floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
            yield


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
