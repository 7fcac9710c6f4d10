"""What more daemons gain: from one instant until all of its sessions and people are visible, with one, two and four.

No part of `python -m benchmarks`: it is for who thinks of a second daemon (docs/scale.md).
"""

from benchmarks.lateness import alternate, figure, gap_for
from benchmarks.program import Run, program
from benchmarks.result import Result

DAEMONS = [1, 2, 4]
ROUNDS = {1: 50, 10_000: 3, 50_000: 2}


def daemons(this: Run) -> Result:
    """Open waves of each size with ever more daemons, beside the floor; one session is the path of a prepared edge."""
    result = Result("daemons", __doc__ or "", "daemons")
    for size in this.pick([1, 10_000], [1, 10_000, 50_000], [1, 100]):
        gap = gap_for(this.server, size)
        for count in DAEMONS:
            product, floor, _, _ = alternate(this.server, size, 5 if this.quick else ROUNDS[size], gap, daemons=count)
            visible, raw = [each.all for each in product], [each.all for each in floor]
            result.figures.append(figure(f"all visible, sessions: {size:,}", count, visible, raw))
    return result


if __name__ == "__main__":
    program(daemons)()
