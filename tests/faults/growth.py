"""What a daemon uses while it runs, and whether that grows."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median
from threading import Event

import psutil

from tests.faults.platform import Seat

EVERY_SECONDS = 1.0
TOLERATED_SHARE = 1.05
TOLERATED = {"memory_mb": 4.0, "descriptors": 2.0, "threads": 1.0, "connections": 1.0}


@dataclass(frozen=True, slots=True)
class Use:
    """What one daemon has at a moment."""

    memory_mb: float
    descriptors: float
    threads: float
    connections: float


class Uses:
    """Samples of the daemon in a seat."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self.samples: list[Use] = []

    def run(self, stop: Event) -> None:
        while not stop.wait(EVERY_SECONDS):
            if (pid := self._seat.pid) is None:
                continue
            with contextlib.suppress(psutil.Error):  # it was killed, and is being started again
                self.samples.append(_use(psutil.Process(pid)))


def _use(process: psutil.Process) -> Use:
    with process.oneshot():
        return Use(
            round(process.memory_info().rss / 2**20, 1),
            process.num_fds(),
            process.num_threads(),
            len(process.net_connections("tcp")),
        )


def thirds(samples: Sequence[Use]) -> dict[str, tuple[float, float]]:
    """Return, of each figure, the median in the second and in the last third; the first is the warm-up."""
    third = len(samples) // 3
    return {
        field.name: (
            median(getattr(use, field.name) for use in samples[third : 2 * third]),
            median(getattr(use, field.name) for use in samples[2 * third :]),
        )
        for field in fields(Use)
    }


def grown(samples: Sequence[Use]) -> list[str]:
    """Return what is more at the end than it was in the middle, in words."""
    return [
        f"{name} grew from {middle:g} to {end:g}"
        for name, (middle, end) in thirds(samples).items()
        if end > max(middle * TOLERATED_SHARE, middle + TOLERATED[name])
    ]
