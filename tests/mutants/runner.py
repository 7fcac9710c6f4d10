"""Runs tests on mutants, each in a copy of the project, until the first test fails."""

import itertools
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import pytest

from tests.mutants.forks import Order, Warm
from tests.mutants.operators import Mutant
from tests.mutants.selection import Recorded, chosen, recorded
from tests.mutants.table import closest_test

NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")
# Not those that measure time: beside others they fail by themselves. The hanging mutant of a wait fails soon.
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not alone", "-o", "timeout=40")
LONGEST_SECONDS = 300.0
# To make a database takes a fortieth of the time where no file goes to a disk.
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
# What most tests import is imported once, and each run is a fork.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["alembic", "flask_wtf", "icalendar", "psycopg2", "pydantic_settings", "sqlalchemy.orm"])


@dataclass(frozen=True, slots=True)
class Result:
    """`killed_by`: the test that failed first, or how else the run ended; None if all tests passed."""

    name: str
    killed_by: str | None
    seconds: float


Prepare = Callable[[Path], AbstractContextManager[Mapping[str, str]]]
"""Prepares what the runs in one copy share, in a folder of its own; yields their environment."""


class FailsUnchanged(Exception):
    """Tests fail without a mutant, so they tell nothing."""


class Copy:
    """A copy of the project, in which one module at a time is mutated."""

    def __init__(self, root: Path, directory: Path, environment: Mapping[str, str]) -> None:
        self._root = directory / "project"
        self._temporary = directory / "temporary"
        self._output = directory / "output"
        self._record = directory / "record"
        self._environment = environment
        self._ages = itertools.count(1)
        shutil.copytree(root, self._root, ignore=NOT_COPIED)

    @contextmanager
    def collected(self, tests: Sequence[str]) -> Iterator[None]:
        """Within the block all of these tests are collected, by a process that waits for orders."""
        arguments = [*PYTEST, f"--basetemp={self._temporary}", *tests]
        self._orders, theirs = FORKS.Pipe()
        plugin = partial(Warm, self._root, self._record, theirs)
        started = (self._root, arguments, plugin, self._environment, self._output)
        process = FORKS.Process(target=_serve, args=started)
        process.start()
        theirs.close()
        try:
            try:
                self._orders.recv()
            except EOFError:
                raise FailsUnchanged(self._output.read_text(errors="replace")[-500:]) from None
            yield
        finally:
            self._orders.close()
            process.join()

    def record(self) -> Recorded:
        """Run all tests without a mutant, and return what those run that pass."""
        failed = self.run(Order())
        record = recorded(self._record)
        if not record.seconds:
            raise FailsUnchanged(f"without a mutant fails {failed}")
        return record

    def run(self, order: Order) -> str | None:
        """Return which test failed first, None if none did."""
        self._orders.send(order)
        failed: str | None = self._orders.recv()
        return failed

    def source(self, module: str) -> bytes:
        """Return a module as it was copied."""
        return (self._root / module).read_bytes()

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Mutate the module in the block. Python knows compiled files by size and second: each has its own second."""
        path = self._root / mutant.module
        source, age = path.read_bytes(), path.stat().st_mtime
        path.write_bytes(mutant.applied_to(source))
        os.utime(path, (age, age + next(self._ages)))
        try:
            yield
        finally:
            path.write_bytes(source)
            os.utime(path, (age, age))


def _serve(
    root: Path, arguments: list[str], plugin: Callable[[], Warm], environment: Mapping[str, str], output: Path
) -> None:
    """Run pytest in this process, which is a fork, as a command in this folder; the project's modules are read anew."""
    os.chdir(root)
    os.environ.update(environment)
    with output.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    for name in [name for name in sys.modules if (root / name.partition(".")[0]).exists()]:
        del sys.modules[name]
    sys.path[:] = [str(root), *(path for path in sys.path if path and not Path(path, "pyproject.toml").exists())]
    sys.exit(pytest.main(arguments, plugins=[plugin()]))


@contextmanager
def nothing(_: Path) -> Iterator[Mapping[str, str]]:
    """Prepare nothing for the tests."""
    yield {}


def run(
    root: Path,
    mutants: Iterable[tuple[Mutant, tuple[str, ...]]],
    jobs: int,
    done: Callable[[Result], None],
    prepare: Prepare = nothing,
    *,
    longest: float | None = None,
) -> None:
    """Run its tests on each mutant; call `done` with each result, in one thread at a time.

    `longest`: the seconds that the tests for one mutant may take without it.

    Where all tests fail without a mutant, their mutants are left out, and at the end it raises `FailsUnchanged`.
    """
    with (
        TemporaryDirectory(prefix="mutants-", dir=IN_MEMORY) as directory,
        ExitStack() as prepared,
        ThreadPoolExecutor(jobs) as pool,
    ):
        all_copies: list[Copy] = []
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            place = Path(directory) / str(number)
            place.mkdir()
            all_copies.append(Copy(root, place, prepared.enter_context(prepare(place))))
            copies.put(all_copies[-1])

        killers: dict[str, list[str]] = defaultdict(list)

        def try_one(mutant: Mutant, known: Recorded) -> Result:
            copy = copies.get()
            begun = time.monotonic()
            source = copy.source(mutant.module)
            closest = closest_test(mutant.module)
            tests = chosen(known, mutant, source, killers[mutant.module], closest=closest, seconds=longest)
            order = Order(mutant.module, mutant.applied_to(source), tests, LONGEST_SECONDS)
            try:
                with copy.mutated(mutant):
                    killed_by = copy.run(order) if tests else None
            finally:
                copies.put(copy)
            if killed_by:
                killers[mutant.module].append(killed_by)
            return Result(mutant.name, killed_by, round(time.monotonic() - begun, 1))

        failures: list[str] = []
        for tests, group in groupby(mutants, key=itemgetter(1)):
            try:
                with ExitStack() as collected:
                    for copy in all_copies:
                        collected.enter_context(copy.collected(tests))
                    known = all_copies[0].record()
                    for result in pool.map(lambda each, known=known: try_one(each[0], known), group):
                        done(result)
            except FailsUnchanged as error:
                failures.append(str(error))
    if failures:
        raise FailsUnchanged("; ".join(failures))


def read(path: Path) -> dict[str, Result]:
    """Return the last result of each mutant, by its name."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {result.name: result for result in (Result(**json.loads(line)) for line in lines)}


def write(path: Path, result: Result) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def report(mutants: Mapping[str, Mutant], results: Mapping[str, Result], explained: Iterable[str]) -> Iterator[str]:
    """Yield a line for each module, and then the survivors that nobody has explained."""
    known = frozenset(explained)
    survivors = [m for m in mutants.values() if m.name in results and results[m.name].killed_by is None]
    yield f"{'module':44} {'mutants':>8} {'run':>8} {'killed':>8} {'survived':>8} {'explained':>9}"
    for module in dict.fromkeys(mutant.module for mutant in mutants.values()):
        of_module = [mutant.name for mutant in mutants.values() if mutant.module == module]
        run = [name for name in of_module if name in results]
        left = [mutant.name for mutant in survivors if mutant.module == module]
        counts = (len(of_module), len(run), len(run) - len(left), len(left))
        yield f"{module:44} {''.join(f'{count:>9}' for count in counts)[1:]} {sum(name in known for name in left):>9}"
    for mutant in survivors:
        if mutant.name not in known:
            yield f"{mutant.module}:{mutant.line}: {mutant.name.removeprefix(mutant.module).strip()}"
