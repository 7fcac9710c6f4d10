"""Which tests run the lines that a mutant changes, and in which order to ask them.

One run without a mutant records, for each test, the product's lines that it runs. Most SQL is built when a module is
imported, and runs elsewhere: for such a line count the functions that use the names which come of it.
"""

import ast
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
from coverage import Coverage

from tests.mutants.operators import Mutant

PRODUCT = ("core", "jobs", "scheduler", "web")
ON_IMPORT = ""  # the name under which lines count that no test runs by itself
CACHED = type(cache(int))
FIRST = 8  # so many of the tests that noticed most mutants of a module come first


@dataclass(frozen=True, slots=True)
class Recorded:
    """`seconds` that each test takes, by its id; `tests` that run a line, by module and line."""

    seconds: Mapping[str, float]
    tests: Mapping[str, Mapping[int, frozenset[str]]]


class Recorder:
    """A plugin of pytest that records into a file what `recorded` reads."""

    def __init__(self, root: Path, path: Path) -> None:
        self._root, self._path = root, path
        self._seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        sources = [str(root / package) for package in PRODUCT if (root / package).exists()] or [str(root)]
        self._coverage = Coverage(data_file=None, config_file=False, source=sources)
        self._coverage.start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note what runs from a test's first fixture to its last; of the time only what this process computes."""
        _forget_what_is_cached()
        self._coverage.switch_context(item.nodeid)
        begun = time.process_time()
        result = yield
        self._seconds[item.nodeid] = time.process_time() - begun
        self._coverage.switch_context(ON_IMPORT)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what fails."""
        if report.failed:
            self.failed.add(report.nodeid)

    def write(self) -> None:
        """Write what was recorded, without the tests that failed: they tell nothing."""
        self._coverage.stop()
        data = self._coverage.get_data()
        names = {str(Path(name).relative_to(self._root)): name for name in data.measured_files()}
        lines = {module: data.contexts_by_lineno(name) for module, name in names.items()}
        passed = {test: seconds for test, seconds in self._seconds.items() if test not in self.failed}
        self._path.write_text(json.dumps([passed, lines]), encoding="utf-8")


def _forget_what_is_cached() -> None:
    """So each test runs by itself what it needs."""
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] in PRODUCT:
            for value in vars(module).values():
                if isinstance(value, CACHED):  # not whatever has the method: Flask's request raises where none is
                    value.cache_clear()


def recorded(path: Path) -> Recorded:
    """Return what a `Recorder` has written."""
    seconds, modules = json.loads(path.read_text(encoding="utf-8"))
    tests = {
        module: {int(line): frozenset(names) for line, names in lines.items()} for module, lines in modules.items()
    }
    return Recorded(seconds, tests)


def chosen(
    record: Recorded,
    mutant: Mutant,
    source: bytes,
    killers: Iterable[str],
    *,
    closest: str = "",
    seconds: float | None = None,
) -> list[str]:
    """Return the tests that may notice a mutant.

    First come those that have noticed others of its module most often, then those of the row's first file and of the
    `closest` one.

    `killers`: what has noticed others, one each. `seconds`: leave out the long and the last ones, if all
    take longer than this.
    """
    lines = record.tests.get(mutant.module, {})
    first = mutant.line
    last = first + source[mutant.start : mutant.end].count(b"\n")
    found = frozenset[str]().union(*(lines.get(line, frozenset()) for line in range(first, last + 1)))
    users = _users(lines, source, first)
    found = users if ON_IMPORT in found or not found else found | users  # a function may run in both ways
    running = found.intersection(record.seconds) or frozenset(record.seconds)
    order = {test: place for place, test in enumerate(record.seconds)}
    often = [test for test, _ in Counter(killers).most_common() if test in running][:FIRST]
    first_file = next(iter(record.seconds)).partition("::")[0]
    close = (first_file, closest or first_file)
    others = sorted(running.difference(often), key=lambda test: (not test.startswith(close), order[test]))
    return _within(seconds, record, [*often, *others]) if seconds else [*often, *others]


def _within(seconds: float, record: Recorded, tests: Sequence[str]) -> list[str]:
    short = [test for test in tests if record.seconds[test] < seconds / 10]
    until = accumulate(record.seconds[test] for test in short)
    return [test for test, end in zip(short, until, strict=True) if end <= seconds]


def _users(lines: Mapping[int, frozenset[str]], source: bytes, line: int) -> frozenset[str]:
    """Return the tests that run a function which uses what comes of a statement at the module's level; none: all do.

    What another module may use has no underscore.
    """
    body = ast.parse(source).body
    pending = {name for each in body if each.lineno <= line <= (each.end_lineno or 0) for name in _bound(each)}
    names: set[str] = set()
    found: frozenset[str] = frozenset()
    while pending:
        names |= pending
        users = [each for each in body if not pending.isdisjoint(_used(each))]
        functions = [each for each in users if isinstance(each, ast.FunctionDef | ast.ClassDef)]
        for each in functions:
            inside = range(each.body[0].lineno, (each.end_lineno or 0) + 1)
            found = found.union(*(lines.get(number, frozenset()) for number in inside))
        built = [each for each in users if each not in functions]
        # The recording begins after the import: what no test runs, an import may have run.
        on_import = [each for each in functions if _tests_of_body(lines, each) <= {ON_IMPORT}]
        pending = {name for each in (*built, *on_import) for name in _bound(each)} - names
    is_public = any(not name.startswith("_") for name in names)
    return frozenset() if is_public else found - {ON_IMPORT}


def _tests_of_body(lines: Mapping[int, frozenset[str]], node: ast.stmt) -> frozenset[str]:
    inside = (each.lineno for each in ast.walk(node) if isinstance(each, ast.stmt) and each is not node)
    return frozenset[str]().union(*(lines.get(number, frozenset()) for number in inside))


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _used(node: ast.stmt) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
