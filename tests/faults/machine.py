"""How busy the machine is with other things: a process does a little work again and again, and times it.

A promise in seconds is made for a machine that has time. Where work takes three times as long as it needs, so may what
a daemon has to do after a fault; and the report says so.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

from tests.commands import ROOT
from tests.faults.checker import Fault

STALL_SECONDS = 0.5
EVERY_SECONDS = 0.4
WORK = 1_000_000  # some 25 ms: longer than a process may run while others wait


class Machine:
    """Watched from the moment this is made."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()
        self._process = subprocess.Popen([sys.executable, "-m", __name__, str(file)], cwd=ROOT)

    def samples(self) -> list[tuple[float, float, float]]:
        """Return (begun, over, seconds of processor time) of each piece of work."""
        whole_lines = self._file.read_text().rpartition("\n")[0].splitlines()
        return [(float(begun), float(over), float(used)) for begun, over, used in map(str.split, whole_lines)]

    def slowness(self, begun: float, over: float) -> float:
        """Return how many times longer than it needed work took about then; at least once."""
        near = [(end - start) / used for start, end, used in self.samples() if end > begun - 1 and start < over + 1]
        return max(1.0, fmean(near)) if near else 1.0

    def stalls(self) -> list[Fault]:
        """Return when it did not even get that little done."""
        return [
            Fault("a machine that stood still", begun, over)
            for begun, over, used in self.samples()
            if over - begun - used > STALL_SECONDS
        ]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def watch(file: Path) -> None:
    with file.open("a", buffering=1) as samples:
        while True:
            begun, used = time.time(), time.thread_time()
            sum(number & 7 for number in range(WORK))
            samples.write(f"{begun:.3f} {time.time():.3f} {time.thread_time() - used:.4f}\n")
            time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
