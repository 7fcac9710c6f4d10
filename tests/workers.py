"""How `make test` shares its tests out between two processes, so that nothing that measures time is disturbed.

The daemon's tests mostly wait, and the others mostly compute: one process takes all the daemon's, in their order,
beside another that takes the other modules. A test marked `alone` has the machine to itself meanwhile.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

DAEMONS = ("tests/scheduler/", "tests/jobs/", "tests/faults/")


def is_the_daemons(node_id: str) -> bool:
    return node_id.startswith(DAEMONS)


class TwoSides(LoadScopeScheduling):  # type: ignore[misc] # without type stubs
    """The daemon's tests are one piece of work, and every other module is one."""

    def _split_scope(self, nodeid: str) -> str:
        return "daemons" if is_the_daemons(nodeid) else super()._split_scope(nodeid)


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
