"""`make mutants`: changes the product in small ways, and prints the changes that no test notices.

It goes on where it was ended. With --again it runs the survivors once more.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core.db.embedded import binaries
from tests.mutants.explained import EXPLAINED
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.runner import FailsUnchanged, Result, read, report, run, write
from tests.mutants.table import TESTS_OF, tests_of
from tests.postgres import RUNNING_SERVERS, Servers

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / ".mutants.jsonl"


def mutants_in(prefixes: tuple[str, ...]) -> dict[str, Mutant]:
    """Return the mutants of the modules whose paths begin so, in this order, by name."""
    modules = sorted(
        str(path.relative_to(ROOT))
        for package in ("core", "scheduler", "jobs", "web")
        for path in (ROOT / package).rglob("*.py")
    )
    chosen = [module for prefix in prefixes for module in modules if module.startswith(prefix) and tests_of(module)]
    return {mutant.name: mutant for module in chosen for mutant in mutants_of(module, (ROOT / module).read_bytes())}


@contextmanager
def with_server(directory: Path) -> Iterator[Mapping[str, str]]:
    """Run a server for all tests in a copy: to start one takes longer than most tests."""
    servers = Servers(directory / "servers")
    try:
        assert servers.of(binaries()).migrated
        yield {RUNNING_SERVERS: str(directory / "servers")}
    finally:
        servers.stop()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS_OF), help="how the paths of the modules begin")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at once")
    parser.add_argument("--again", action="store_true", help="run the survivors once more, but not the explained ones")
    parser.add_argument("--only", default="", help="how the operators begin, with commas: 'turn flag,drop .where'")
    parser.add_argument("--sample", type=int, help="of those that are left so many, drawn with --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="how long the tests for one mutant may take without it")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()

    mutants, results = mutants_in(tuple(options.modules)), read(RESULTS)
    explained = {name for names in EXPLAINED.values() for name in names}

    def is_left(mutant: Mutant) -> bool:
        if not mutant.operator.startswith(tuple(options.only.split(","))):
            return False
        known = results.get(mutant.name)
        return not known or (options.again and known.killed_by is None and mutant.name not in explained)

    def done(result: Result) -> None:
        write(RESULTS, result)
        results[result.name] = result
        say(f"{result.seconds:6.1f} s  {'killed  ' if result.killed_by else 'SURVIVED'}  {result.name}")

    status = 0
    try:
        left = [] if options.report else [mutant for mutant in mutants.values() if is_left(mutant)]
        if options.sample and options.sample < len(left):
            drawn = {*random.Random(options.seed).sample(range(len(left)), options.sample)}
            left = [mutant for place, mutant in enumerate(left) if place in drawn]
        run(
            ROOT,
            [(mutant, tests_of(mutant.module)) for mutant in left],
            options.jobs,
            done,
            with_server,
            longest=options.seconds,
        )
    except FailsUnchanged as error:
        say(str(error))
        status = 1
    for line in report(mutants, results, explained):
        say(line)
    return status


if __name__ == "__main__":
    sys.exit(main())
