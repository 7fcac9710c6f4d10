"""A draw of faults against the real thing: nothing missed, early, late, doubled or extra, and at rest all is right."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.faults.bench import Bench, Plan
from tests.faults.untouched import SESSIONS

pytestmark = pytest.mark.process

SHORT_SECONDS = 38.0  # and some to start and to end
REPORTS = ROOT / ".data" / "faults"
SECONDS = float(os.environ.get("NEMESIS_MINUTES") or SHORT_SECONDS / 60) * 60
# A draw of its own each time, where there is time for it; `make test` is to be the same for everybody.
SEED = int(os.environ.get("NEMESIS_SEED") or (random.randrange(1_000_000) if "NEMESIS_MINUTES" in os.environ else 1))

Figures = Callable[[str], None]


@pytest.mark.timeout(SECONDS + 120)
def test_a_draw_of_faults_leaves_nothing_missed_early_late_doubled_or_extra(tmp_path: Path, figures: Figures) -> None:
    with Bench(tmp_path, Plan(SEED, SECONDS)) as running:
        report = running.run()

    report.write(REPORTS / f"seed-{SEED}.json")
    for line in report.lines():
        figures(line)
    assert report.good, f"NEMESIS_SEED={SEED}\n" + "\n".join(report.lines())


def test_the_bench_finds_what_is_missed_when_no_daemon_runs(tmp_path: Path) -> None:
    with Bench(tmp_path, Plan(seed=1, seconds=10, daemons=False, faults=False)) as running:
        report = running.run()

    instances = {finding.subject for finding in report.findings if finding.subject.startswith("instance")}
    assert {finding.kind for finding in report.findings} == {"missed"}
    assert len(instances) >= SESSIONS
    assert "a request that nobody dealt with" in " ".join(report.problems)
