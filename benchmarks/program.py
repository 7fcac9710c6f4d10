"""What the programs share: their options, and what is done with a result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks import plot, result
from benchmarks.fleet import Fleets
from benchmarks.result import Result
from benchmarks.server import Server, server

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = ROOT / ".data" / "benchmarks"  # where a trial puts its results


@dataclass(frozen=True, slots=True)
class Run:
    """A run: on which server; `large` runs take sizes that need more than ten minutes; `quick` is a trial."""

    server: Server
    large: bool
    quick: bool
    sizes: tuple[int, ...] = ()
    fleets: Fleets = field(init=False)

    def __post_init__(self) -> None:
        """Share the fleets between the programs of a run: the large ones take minutes to build."""
        object.__setattr__(self, "fleets", Fleets(self.server, large=self.large))

    def pick(self, normal: list[int], large: list[int], quick: list[int]) -> list[int]:
        """Return the sizes of this run."""
        if self.sizes:
            return list(self.sizes)
        if self.quick:
            return quick
        return large if self.large else normal


Benchmark = Callable[[Run], Result]


def measure(benchmark: Benchmark, run: Run, folder: Path) -> Result:
    """Run a benchmark; print, store and draw what it found."""
    machine = result.machine(run.server)
    found = benchmark(run)
    found.print()
    found.save(folder, machine)
    plot.save(found, folder)
    return found


def program(benchmark: Benchmark) -> click.Command:
    """Make a benchmark a command."""

    @click.command(help=benchmark.__doc__)
    @click.option("--large", is_flag=True, help="Also the sizes that need more than ten minutes.")
    @click.option("--quick", is_flag=True, help="A trial: small sizes, few rounds.")
    @click.option("--size", "sizes", type=int, multiple=True, help="Only this size; may be given again.")
    @click.option("--results", type=click.Path(path_type=Path), default=SCRATCH, show_default=True)
    @click.option(
        "--server",
        "url",
        help="A server on which databases may be made, with track_commit_timestamp on; else an embedded one.",
    )
    def command(*, large: bool, quick: bool, sizes: tuple[int, ...], results: Path, url: str | None) -> None:
        with server(url) as running:
            measure(benchmark, Run(running, large, quick, sizes), results)

    return command
