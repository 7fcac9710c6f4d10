"""The tool that asks what no test notices, on a project of two functions."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, mutants_in
from tests.mutants.explained import EXPLAINED
from tests.mutants.forks import Order
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.runner import Copy, FailsUnchanged, Result, read, report, run, write
from tests.mutants.selection import chosen
from tests.mutants.table import TESTS_OF

pytestmark = pytest.mark.process

MODULE = b"""\
def is_open(now, opens, closes):
    return opens <= now and now < closes
"""
TESTS = """\
from module import is_open

def test_edges():
    assert not is_open(0, 1, 3)
    assert not is_open(3, 1, 3)
    assert is_open(2, 1, 3)
"""


TEST = "test_module.py::test_edges"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "original"
    root.mkdir()
    (root / "module.py").write_bytes(MODULE)
    (root / "test_module.py").write_text(TESTS)
    (root / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    return root


def run_all(root: Path) -> dict[str, Result]:
    results: dict[str, Result] = {}
    mutants = mutants_of("module.py", MODULE)
    run(root, [(each, ("test_module.py",)) for each in mutants], 2, lambda each: results.update({each.name: each}))
    return results


def test_what_the_tests_notice_is_killed_and_what_they_miss_survives(project: Path) -> None:
    killed_by = {name.partition(": ")[2]: result.killed_by for name, result in run_all(project).items()}
    both, first, second = "opens <= now and now < closes", "opens <= now", "now < closes"
    noticed = "test_module.py::test_edges"
    assert killed_by == {
        f"{both} => ((now < closes))": noticed,
        f"{both} => ((opens <= now))": noticed,
        f"{first} => (opens) < (now)": None,  # the test does not ask at the opening
        f"{second} => (now) <= (closes)": noticed,
    }
    assert (project / "module.py").read_bytes() == MODULE


def test_tests_that_fail_without_a_mutant_tell_nothing(project: Path) -> None:
    (project / "test_module.py").write_text("def test_wrong():\n    assert False\n")
    with pytest.raises(FailsUnchanged, match="test_wrong"):
        run_all(project)


def ask(project: Path, place: Path, order: Order) -> str | None:
    copy = Copy(project, place, {})
    with copy.collected(["test_module.py"]):
        return copy.run(order)


def test_a_mutant_that_hangs_is_ended_and_counts_as_noticed(project: Path, tmp_path: Path) -> None:
    hangs = Order("module.py", b"import time\ndef is_open(*_):\n    time.sleep(60)\n", [TEST], 1.0)
    assert ask(project, tmp_path, hangs) == "time limit"


def test_a_mutant_that_ends_the_process_counts_as_noticed(project: Path, tmp_path: Path) -> None:
    ends = Order("module.py", b"import os\ndef is_open(*_):\n    os._exit(0)\n", [TEST])
    assert ask(project, tmp_path, ends) == "the process has ended in a test"


def test_a_module_that_cannot_be_imported_is_noticed(project: Path, tmp_path: Path) -> None:
    assert ask(project, tmp_path, Order("module.py", b"raise RuntimeError\n", [TEST])) == "RuntimeError: "


BUILDS = """\
from functools import cache
from module import is_open

OPENS = is_open(2, 1, 3)

class Door:
    @property
    def opens(self):
        return OPENS

@cache
def opens():
    return OPENS
"""
TESTS_OF_WHAT_IS_BUILT = """\
from builds import Door, opens
from module import is_open

def test_builds():
    assert {}
"""


@pytest.mark.parametrize("part", ["opens()", "Door().opens", "is_open(2, 1, 3)"])
def test_a_mutant_is_in_what_others_hold_of_a_module_and_in_what_they_built_of_it(
    project: Path, tmp_path: Path, part: str
) -> None:
    (project / "builds.py").write_text(BUILDS)
    (project / "test_module.py").write_text(TESTS_OF_WHAT_IS_BUILT.format(part))
    order = Order("module.py", b"def is_open(*_):\n    return False\n", ["test_module.py::test_builds"])
    assert ask(project, tmp_path, order) == "test_module.py::test_builds"
    assert ask(project, tmp_path / "again", Order("module.py", MODULE, order.tests)) is None


SUPER = b"""\
class Open:
    def close(self):
        self.closed = True

class Door(Open):
    def close(self):
        super().close()
"""


def test_a_method_may_lose_its_super(project: Path, tmp_path: Path) -> None:
    closes = (
        "from module import Door\n\ndef test_closes():\n    door = Door()\n    door.close()\n    assert door.closed\n"
    )
    (project / "module.py").write_bytes(SUPER)
    (project / "test_module.py").write_text(closes)
    mutated = SUPER.replace(b"super().close()", b"pass")
    order = Order("module.py", mutated, ["test_module.py::test_closes"])
    assert ask(project, tmp_path, order) == "test_module.py::test_closes"
    assert ask(project, tmp_path / "again", Order("module.py", SUPER, order.tests)) is None


BUILT_ON_IMPORT = b"""\
def _two():
    return 3 - 1

def _least():
    return _two() + 1

_LEAST = _least()

def is_enough(number):
    return number >= _LEAST

def is_even(number):
    return number % 2 < 1

ODD = 1 < 2
"""
TESTS_OF_EACH = """\
from module import is_enough, is_even

def test_enough():
    assert is_enough(4)

def test_even():
    assert is_even(4)

def test_all():
    assert is_enough(4) and is_even(4)
"""
ENOUGH, EVEN, ALL = (f"test_module.py::test_{name}" for name in ("enough", "even", "all"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return number % 2", [ALL, EVEN]),
        ("return _two() + 1", [ALL, ENOUGH]),  # through the name that is built of it
        ("return 3 - 1", [ALL, ENOUGH]),  # and through the function that builds that
        ("ODD = 1 < 2", [ALL, ENOUGH, EVEN]),  # other modules may use it
    ],
)
def test_a_mutant_is_shown_to_the_tests_that_run_its_line_and_first_to_what_noticed_another(
    project: Path, tmp_path: Path, line: str, expected: list[str]
) -> None:
    (project / "module.py").write_bytes(BUILT_ON_IMPORT)
    (project / "test_module.py").write_text(TESTS_OF_EACH)
    copy = Copy(project, tmp_path, {})
    with copy.collected(["test_module.py"]):
        record = copy.record()
    start = BUILT_ON_IMPORT.index(line.encode())
    number = BUILT_ON_IMPORT[:start].count(b"\n") + 1
    mutant = Mutant("module.py", "", "", number, start, start + len(line), "")

    assert chosen(record, mutant, BUILT_ON_IMPORT, [ALL]) == expected


STATEMENTS = """\
def due(connection, ids: list[int]) -> list[int]:
    if not ids:
        return []
    note(connection)
    found = connection.scalars(select(Plan.id).where(Plan.id.in_(ids), free & due).order_by(Plan.id).limit(5)
        .with_for_update(skip_locked=True))
    with lock:
        notify(connection)
    return found[:5]
"""


@pytest.mark.parametrize(
    "mutant",
    [
        "never: not ids => False",
        "drop call: note(connection) => pass",
        "drop operand: free & due => (due)",
        "turn flag: skip_locked=True => skip_locked=False",
        "drop with: with lock => if True",
        "drop slice: found[:5] => found",
        "return: found[:5] => []",
    ],
)
def test_operators(mutant: str) -> None:
    names = [each.name for each in mutants_of("module.py", STATEMENTS.encode())]
    assert f"module.py due {mutant}" in names


@pytest.mark.parametrize(
    ("operator", "gone"),
    [
        ("drop .with_for_update", ".with_for_update(skip_locked=True)"),
        ("drop .limit", ".limit(5)"),
        ("drop .order_by", ".order_by(Plan.id)"),
        ("drop condition", "Plan.id.in_(ids), "),
        ("drop condition", ", free & due"),
    ],
)
def test_a_statement_loses_exactly_one_part(operator: str, gone: str) -> None:
    source = STATEMENTS.encode()
    mutated = [each.applied_to(source).decode() for each in mutants_of("m", source) if f" {operator}:" in each.name]
    assert "".join(STATEMENTS.replace(gone, "").split()) in ["".join(each.split()) for each in mutated]


def test_results_are_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    [mutant] = mutants_of("module.py", b"notify()")
    path = tmp_path / "results"
    for killed_by in (None, "test_module.py::test_edges", None):
        write(path, Result(mutant.name, killed_by, 1.0))
    survived = read(path)
    assert survived == {mutant.name: Result(mutant.name, None, 1.0)}
    *_, counts, survivor = report({mutant.name: mutant}, survived, ())
    assert counts.split() == ["module.py", "1", "1", "0", "1", "0"]
    assert survivor == "module.py:1: - drop call: notify() => pass"
    assert "drop call" not in "".join(report({mutant.name: mutant}, survived, [mutant.name]))


@pytest.mark.parametrize("module", ["core/store/flips.py", "core/store/queue/due.py", "scheduler/daemon/worker.py"])
def test_every_mutant_is_python(module: str) -> None:
    source = (ROOT / module).read_bytes()
    for mutant in mutants_of(module, source):
        compile(mutant.applied_to(source), mutant.name, "exec")


def test_every_mutant_that_is_explained_exists() -> None:
    explained = [name for names in EXPLAINED.values() for name in names]
    modules = {name.partition(" ")[0] for name in explained}
    assert set(explained) - mutants_in(tuple(modules)).keys() == set()


@pytest.mark.parametrize("path", [path for tests in TESTS_OF.values() for path in tests])
def test_the_table_names_tests_that_exist(path: str) -> None:
    assert (ROOT / path).exists()
