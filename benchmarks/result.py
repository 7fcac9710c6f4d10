"""A benchmark's result: its figures and its targets, as JSON and as a table."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.server import Server
from benchmarks.spread import Spread

console = Console(width=max(Console().width, 130))  # a table cut in pieces cannot be read


@dataclass(frozen=True, slots=True)
class Figure:
    """What one thing cost at one size, beside its floor, where there is one."""

    what: str
    size: int
    unit: str
    product: Spread
    floor: Spread | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the floor the product's median is."""
        return self.product.median / self.floor.median if self.floor and self.floor.median else None


@dataclass(frozen=True, slots=True)
class Target:
    """What must be reached: a measured value of at most (or, if `least`, at least) the limit."""

    what: str
    measured: float
    limit: float
    unit: str
    least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit


@dataclass(slots=True)
class Result:
    """What a benchmark found; `size` names what its sizes count."""

    benchmark: str
    question: str
    size: str
    figures: list[Figure] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure(self, what: str, size: int) -> Figure:
        """Return a figure."""
        return next(figure for figure in self.figures if (figure.what, figure.size) == (what, size))

    def sizes(self, what: str) -> list[int]:
        """Return the sizes at which something was measured."""
        return sorted(figure.size for figure in self.figures if figure.what == what)

    def save(self, folder: Path, machine: dict[str, Any]) -> None:
        """Write it as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        targets = [asdict(target) | {"reached": target.reached} for target in self.targets]
        figures = [asdict(figure) | {"ratio": figure.ratio} for figure in self.figures]
        document = asdict(self) | {"figures": figures, "targets": targets, "machine": machine}
        path_of(folder, self.benchmark).write_text(
            json.dumps(_rounded(document), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    def print(self) -> None:
        """Print it as tables."""
        console.print(f"\n[bold]{self.benchmark}[/bold]: {self.question}")
        console.print(_figures(self))
        if self.targets:
            console.print(targets_table(self.targets))
        for note in self.notes:
            console.print(f"  {note}")


def path_of(folder: Path, benchmark: str) -> Path:
    """Return where the result of a benchmark is stored."""
    return folder / f"{benchmark}.json"


def stored_targets(folder: Path, benchmark: str) -> list[Target]:
    """Return the targets of a stored result."""
    document = json.loads(path_of(folder, benchmark).read_text(encoding="utf-8"))
    return [Target(**{of.name: target[of.name] for of in fields(Target)}) for target in document["targets"]]


def machine(server: Server) -> dict[str, Any]:
    """Say where and when this was measured."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load_before": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": server.version,
        "settings": {name: server.setting(name) for name in ("shared_buffers", "fsync", "synchronous_commit")},
    }


def _rounded(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _rounded(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_rounded(value) for value in document]
    return float(f"{document:.4g}") if isinstance(document, float) else document


def _figures(result: Result) -> Table:
    columns = ("what", result.size, "n", "median", "p99", "largest", "floor", "floor p99", "ratio")
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name == "what" else "right")
    for figure in result.figures:
        product, floor = figure.product, figure.floor
        table.add_row(
            figure.what,
            f"{figure.size:,}",
            str(product.count),
            amount(product.median, figure.unit),
            amount(product.p99, figure.unit),
            amount(product.largest, figure.unit),
            amount(floor.median, figure.unit) if floor else "",
            amount(floor.p99, figure.unit) if floor else "",
            f"{figure.ratio:.2f}" if figure.ratio else "",
        )
    return table


def targets_table(targets: list[Target]) -> Table:
    """Return what must be reached, and whether it is."""
    table = Table(box=None, pad_edge=False)
    for name in ("what it must reach", "limit", "measured", ""):
        table.add_column(name, justify="right" if name in {"limit", "measured"} else "left")
    for target in targets:
        sign = "≥" if target.least else "≤"
        reached = "[green]reached[/green]" if target.reached else "[red]missed[/red]"
        table.add_row(
            target.what, f"{sign} {amount(target.limit, target.unit)}", amount(target.measured, target.unit), reached
        )
    return table


def amount(number: float, unit: str) -> str:
    """Return a number with its unit, as a person would write it."""
    digits = f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
    return f"{digits} {unit}".strip()
