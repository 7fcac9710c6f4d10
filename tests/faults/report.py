"""What a run measured, as figures that a reader and a program can take in."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.checker import Fault, Finding, Reaction, Verdict, recoveries


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution, in milliseconds."""

    count: int
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Spread":
        ordered = sorted(seconds)
        if not ordered:
            return cls(0, 0, 0, 0)
        return cls(len(ordered), *(round(1000 * ordered[_rank(ordered, part)], 1) for part in (0.5, 0.99, 1)))

    def __str__(self) -> str:
        return f"{self.count} (p50 {self.p50:g}, p99 {self.p99:g}, max {self.longest:g} ms)"


def _rank(ordered: Sequence[float], part: float) -> int:
    return min(int(len(ordered) * part), len(ordered) - 1)


@dataclass(slots=True)
class Report:
    """A run: its seed, its load, its faults, its figures, and what was wrong."""

    seed: int
    began: float
    seconds: float
    findings: list[Finding]
    problems: list[str]
    stories: list[str]
    edges: Spread
    edges_under_faults: Spread
    edits: Spread
    edits_under_faults: Spread
    written: int
    slowness: float
    flips: int
    skipped: int
    faults: dict[str, int]
    recoveries: dict[str, Spread]
    timeline: list[tuple[float, float, str]]
    left_out: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.findings and not self.problems

    @property
    def _counts(self) -> str:
        return f"{sum(self.faults.values())} faults, {len(self.findings)} findings, {self.skipped} lawfully skipped"

    def lines(self) -> list[str]:
        """Return it in words; instants are counted from its beginning."""
        return [
            f"seed {self.seed}, {self.seconds:.0f} s: {self.flips} flips, {self.written} edits, {self._counts}",
            f"the machine: work took {self.slowness:g} times as long as it needs",
            f"lateness of edges: {self.edges}; under faults: {self.edges_under_faults}",
            f"effect of edits: {self.edits}; under faults: {self.edits_under_faults}",
            "faults: " + ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items())),
            "timeline: " + "; ".join(f"{begun:.2f}-{over:.2f} {kind}" for begun, over, kind in self.timeline),
            *(f"right again after {kind}: {spread}" for kind, spread in sorted(self.recoveries.items())),
            *(f"left out: {what}" for what in self.left_out),
            *(f"{f.kind.upper()} {f.subject} at {f.at - self.began:.3f}: {f.detail}" for f in self.findings),
            *self.stories,
            *(f"PROBLEM {problem}" for problem in self.problems),
        ]

    def write(self, file: Path) -> None:
        """Write it for a program."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1))


def report(
    verdict: Verdict,
    faults: Sequence[Fault],
    *,
    seed: int,
    began: float,
    seconds: float,
    flips: int,
    written: int,
    slowness: float,
    problems: list[str],
    stories: list[str],
    left_out: list[str],
) -> Report:
    return Report(
        seed=seed,
        began=began,
        seconds=seconds,
        findings=verdict.findings,
        problems=problems,
        stories=stories,
        edges=_spread(verdict.reactions, by_edit=False, faulted=False),
        edges_under_faults=_spread(verdict.reactions, by_edit=False, faulted=True),
        edits=_spread(verdict.reactions, by_edit=True, faulted=False),
        edits_under_faults=_spread(verdict.reactions, by_edit=True, faulted=True),
        written=written,
        slowness=slowness,
        flips=flips,
        skipped=verdict.skipped,
        faults=dict(Counter(fault.kind for fault in faults)),
        recoveries={kind: Spread.of(took) for kind, took in recoveries(verdict).items()},
        timeline=[(round(f.begun - began, 2), round(f.over - began, 2), f.kind) for f in faults],
        left_out=left_out,
    )


def _spread(reactions: Iterable[Reaction], *, by_edit: bool, faulted: bool) -> Spread:
    return Spread.of(r.seconds for r in reactions if r.by_edit is by_edit and bool(r.faults) is faulted)
