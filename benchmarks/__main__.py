"""All benchmarks, one after the other, on one server: `python -m benchmarks`."""

from pathlib import Path

import click

from benchmarks import report
from benchmarks.cold_start import cold_start
from benchmarks.edits import edits
from benchmarks.hooks import hooks
from benchmarks.lateness import lateness
from benchmarks.notifications import notifications
from benchmarks.passes import passes
from benchmarks.planning import planning
from benchmarks.program import RESULTS, SCRATCH, Run, measure
from benchmarks.result import console, path_of, stored_targets, targets_table
from benchmarks.server import server

BENCHMARKS = (lateness, edits, hooks, notifications, passes, planning, cold_start)


@click.command()
@click.option("--large", is_flag=True, help="Also the sizes that need more than ten minutes.")
@click.option("--quick", is_flag=True, help="A trial: small sizes, few rounds.")
@click.option("--resume", is_flag=True, help="Leave out what has results there already: go on with a run that ended.")
@click.option(
    "--results", type=click.Path(path_type=Path), help="Where to put them, instead of into the documentation."
)
@click.option(
    "--server",
    "url",
    help="A server on which databases may be made, with track_commit_timestamp on; else an embedded one.",
)
def main(*, large: bool, quick: bool, resume: bool, results: Path | None, url: str | None) -> None:
    """Measure everything, say what of what must be reached is, and put it into docs/performance.md."""
    folder = results or (SCRATCH if large or quick else RESULTS)
    with server(url) as running:
        run = Run(running, large, quick)
        for benchmark in BENCHMARKS:
            if not (resume and path_of(folder, benchmark.__name__).exists()):
                measure(benchmark, run, folder)
    if folder == RESULTS:
        report.write(folder)
    targets = [target for benchmark in BENCHMARKS for target in stored_targets(folder, benchmark.__name__)]
    console.print(targets_table(targets))
    reached = sum(target.reached for target in targets)
    console.print(f"\n{reached} of {len(targets)} reached; results and plots are in {folder}")


main()
