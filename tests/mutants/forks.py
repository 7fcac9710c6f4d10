"""Runs chosen tests on a mutant in a fork of a process that has imported everything and collected all tests.

The fork changes the modules in place: each function that somebody holds gets its new code, and what a module builds
when it is imported is built again, there and in the modules that import it. Tests that start processes of their own
read the mutated file.
"""

import ast
import os
import select
import signal
import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.main import pytest_runtestloop as run_tests

from tests.mutants.selection import PRODUCT, Recorder

TIME_LIMIT, DIED = "time limit", "the process has ended in a test"
END = "\n"  # of an answer
ONCE = {"core.models"}  # SQLAlchemy's tables cannot be made twice


@dataclass(frozen=True, slots=True)
class Order:
    """Run these tests (none: all, and record what they run) on this source of a module, for at most so many seconds."""

    module: str = ""
    source: bytes = b""
    tests: Sequence[str] = ()
    seconds: float | None = None


class Warm:
    """A plugin of pytest that collects, and then forks for each order that comes; the answer is what failed first."""

    def __init__(self, root: Path, record: Path, orders: Connection) -> None:
        self._root, self._record, self._orders = root, record, orders
        self._failed: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first failure."""
        if report.failed and self._failed is None:
            self._failed = report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Serve orders until nobody can send one any more."""
        if session.testsfailed or not session.items:
            return False  # pytest reports it
        self._orders.send(None)
        with suppress(EOFError):
            while True:
                self._orders.send(self._fork(session, self._orders.recv()))
        return True

    def _fork(self, session: pytest.Session, order: Order) -> str | None:
        answer, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            os.setsid()
            self._orders.close()
            os.write(theirs, f"{self._run(session, order) or ''}{END}".encode())
            os._exit(0)
        os.close(theirs)
        in_time = bool(select.select([answer], [], [], order.seconds)[0])
        with suppress(ProcessLookupError):  # also what the tests have left
            os.killpg(pid, signal.SIGKILL)
        told = os.read(answer, 10_000).decode() if in_time else TIME_LIMIT + END
        os.waitpid(pid, 0)
        os.close(answer)
        return told.removesuffix(END) or None if told.endswith(END) else DIED

    def _run(self, session: pytest.Session, order: Order) -> str | None:
        recorder = None
        try:
            if order.tests:
                by_id = {item.nodeid: item for item in session.items}
                session.items = [by_id[test] for test in order.tests if test in by_id]
                apply(self._root, order.module, order.source)
            else:
                recorder = Recorder(self._root, self._record)
                session.config.pluginmanager.register(recorder)
                session.config.option.maxfail = 0
            run_tests(session)
        except session.Failed:
            pass
        except BaseException as error:  # noqa: BLE001 -- the module cannot even be imported
            self._failed = self._failed or f"{type(error).__name__}: {error}"
        with suppress(BaseException):
            session._setupstate.teardown_exact(None)
        if recorder:
            recorder.write()
        return self._failed


def apply(root: Path, module: str, source: bytes) -> None:
    """Give a module, which is imported, this source; then run anew the modules that import it."""
    loaded = {
        name: each
        for name, each in sys.modules.items()
        if name.partition(".")[0] in PRODUCT or (root / f"{name}.py").exists()
    }
    name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if name not in loaded:
        return
    imports = {each: _imports(loaded[each], loaded.keys()) for each in loaded}
    affected: set[str] = {name}
    for each in TopologicalSorter(imports).static_order():
        if each == name:
            _run_anew(loaded[each], source)
        elif not affected.isdisjoint(imports[each]) and each not in ONCE:
            affected.add(each)
            _run_anew(loaded[each], Path(str(loaded[each].__file__)).read_bytes())


def _imports(module: ModuleType, known: AbstractSet[str]) -> set[str]:
    if not module.__file__:
        return set()
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & known) or {node.module}
    return (found & known) - {module.__name__}


def _run_anew(module: ModuleType, source: bytes) -> None:
    before = dict(vars(module))
    exec(compile(source, str(module.__file__), "exec"), vars(module))
    for name, old in before.items():
        new = vars(module).get(name)
        if old is not new and getattr(old, "__module__", None) == module.__name__ and _became(old, new):
            setattr(module, name, old)


def _became(old: Any, new: Any) -> bool:
    """Let what others hold behave as what has taken its place."""
    if isinstance(old, type) and isinstance(new, type):
        for name, part in vars(new).items():
            if not _became(vars(old).get(name), part) and isinstance(part, FunctionType):
                setattr(old, name, part)
        return True
    for wrapped in ("__wrapped__", "__func__", "fget"):
        if hasattr(old, wrapped) and hasattr(new, wrapped):
            getattr(old, "cache_clear", int)()
            return _became(getattr(old, wrapped), getattr(new, wrapped))
    if not isinstance(old, FunctionType) or not isinstance(new, FunctionType):
        return False
    if old.__code__.co_freevars != new.__code__.co_freevars:
        return False  # Python would refuse code that has lost its super()
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    return True
