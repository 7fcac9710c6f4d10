"""Runs tests on mutants, each in a copy of the project, until the first test fails."""

import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import pytest

from tests.mutants.operators import Mutant
from tests.mutants.selection import Chooser, Recorded, Recorder, chosen, recorded

NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")
# Not those that measure time: beside others they fail by themselves. The hanging mutant of a wait fails soon.
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not alone", "-o", "timeout=40")
PASSED, NO_TESTS = 0, 5
LONGEST_RUNS = 3  # times the time that the same tests take without a mutant
LEAST_SECONDS = 45.0
# What most tests import is imported once, and each run is a fork.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["alembic", "flask_wtf", "icalendar", "psycopg2", "pydantic_settings", "sqlalchemy.orm"])
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


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

    def record(self, tests: Sequence[str]) -> Recorded | str:
        """Run these tests without a mutant; return what they run, or what failed first."""
        killed_by = self.run(tests, plugin=partial(Recorder, self._root, self._record))
        return killed_by or recorded(self._record)

    def run(
        self, tests: Sequence[str], seconds: float | None = None, plugin: Callable[[], object] = object
    ) -> str | None:
        """Run these tests; return what failed first, None if nothing did. After `seconds` we end them: a failure."""
        arguments = [*PYTEST, f"--basetemp={self._temporary}", *tests]
        started = (self._root, arguments, plugin, self._environment, self._output)
        process = FORKS.Process(target=_run_pytest, args=started)
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            assert process.pid
            with suppress(ProcessLookupError):  # it has not begun its own group yet
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
            return "time limit"
        if process.exitcode == PASSED:
            return None
        if process.exitcode == NO_TESTS:
            raise FailsUnchanged(f"there are no tests in {', '.join(tests)}")
        output = self._output.read_text(errors="replace")
        failed = FAILURE.search(output)
        return failed[1] if failed else (output.strip().splitlines() or [f"exit status {process.exitcode}"])[-1]

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


def _run_pytest(
    root: Path, arguments: list[str], plugin: Callable[[], object], environment: Mapping[str, str], output: Path
) -> None:
    """Run pytest in this process, which is a fork, as a command in this folder; the project's modules are read anew."""
    os.setsid()
    os.chdir(root)
    os.environ.update(environment)
    sys.dont_write_bytecode = False  # to compile everything for each mutant takes longer than most tests
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
) -> None:
    """Run its tests on each mutant; call `done` with each result, in one thread at a time.

    Where tests fail without a mutant, their mutants are left out, and at the end it raises `FailsUnchanged`.
    """
    with TemporaryDirectory(prefix="mutants-") as directory, ExitStack() as prepared, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            place = Path(directory) / str(number)
            place.mkdir()
            copies.put(Copy(root, place, prepared.enter_context(prepare(place))))

        def in_a_copy(work: Callable[[Copy], Recorded | str | None]) -> Recorded | str | None:
            copy = copies.get()
            try:
                return work(copy)
            finally:
                copies.put(copy)

        def record(tests: tuple[str, ...]) -> Recorded | str:
            """Return what these tests run; or what fails, twice, without a mutant."""
            first = in_a_copy(lambda copy: copy.record(tests))
            found = in_a_copy(lambda copy: copy.record(tests)) if isinstance(first, str) else first
            assert found
            return found

        killers: dict[str, list[str]] = defaultdict(list)

        def try_one(mutant: Mutant, known: Recorded) -> Result:
            def work(copy: Copy) -> str | None:
                tests = chosen(known, mutant, copy.source(mutant.module), killers[mutant.module])
                seconds = max(LEAST_SECONDS, LONGEST_RUNS * sum(known.seconds[test] for test in tests))
                files = dict.fromkeys(test.partition("::")[0] for test in tests)
                with copy.mutated(mutant):
                    return copy.run([*files], seconds, partial(Chooser, tests))

            begun = time.monotonic()
            killed_by = in_a_copy(work)
            assert not isinstance(killed_by, Recorded)
            if killed_by:
                killers[mutant.module].append(killed_by)
            return Result(mutant.name, killed_by, round(time.monotonic() - begun, 1))

        failures: list[str] = []
        for tests, group in groupby(mutants, key=itemgetter(1)):
            known = record(tests)
            if isinstance(known, str):
                failures.append(known)
                continue
            for result in pool.map(lambda each, known=known: try_one(each[0], known), group):
                done(result)
    if failures:
        raise FailsUnchanged(f"without a mutant fails: {', '.join(failures)}")


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
