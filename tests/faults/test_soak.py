"""Hours of faults under a storm of edits: what a daemon uses stays flat, and still nothing is missed."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.bench import Bench, Plan
from tests.faults.draw import MASS_DELETE, STORM
from tests.faults.growth import grown, thirds

pytestmark = pytest.mark.process

MINUTES = float(os.environ.get("NEMESIS_SOAK_MINUTES") or 0)
SEED = int(os.environ.get("NEMESIS_SEED") or random.randrange(1_000_000))
# One that is started again has forgotten what it leaked.
ENDINGS = ("kill", "kill at a point", "daemons come", "daemons go")
# The storm never ends here. A second one would edit the same rows in another order, and the two would deadlock.
PLAN = Plan(SEED, MINUTES * 60, without=(*ENDINGS, MASS_DELETE, STORM), endless_storm=True, many=20_000, deletes=True)


@pytest.mark.skipif(not MINUTES, reason="runs for as long as it is told to: make soak MINUTES=n")
@pytest.mark.timeout(MINUTES * 90 + 300)
def test_nothing_grows(tmp_path: Path, figures: Callable[[str], None]) -> None:
    with Bench(tmp_path, PLAN) as running:
        report = running.run()

    for line in report.lines():
        figures(line)
    for name, (middle, end) in thirds(running.uses.samples).items():
        figures(f"{name}: {middle:g} in the second third, {end:g} in the last")
    assert grown(running.uses.samples) == []
    assert report.good, f"NEMESIS_SEED={SEED}\n" + "\n".join(report.lines())
