"""The statements that the calls execute: recorded when they are executed, and shown as text, a file for each module."""

import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Engine, TextClause, event
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.engine import make_url
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase

from core import store
from core.db import create_engine, transaction_settings
from tests.core.store.statements.calls import ARGUMENTS, Call, add_scene, calls
from tests.core.store.statements.layout import laid_out
from tests.data import connected

DIRECTORY = Path(__file__).parent


def modules() -> list[ModuleType]:
    """Return the modules whose statements are shown."""
    found = pkgutil.walk_packages(store.__path__, f"{store.__name__}.")
    return [transaction_settings, *(import_module(module.name) for module in found if not module.ispkg)]


_SHORT_NAMES = {
    module.__name__: module.__name__.removeprefix("core.db.").removeprefix("core.store.") for module in modules()
}


def name_of(function: Callable[..., Any]) -> str:
    """Return how the files call a function, as `queue.due.due_sessions`."""
    return f"{_SHORT_NAMES[function.__module__]}.{function.__name__}"


@dataclass(frozen=True)
class Executed:
    """A statement that was executed: itself, its text, and the public functions that led to it, the outermost first."""

    statement: object
    text: str
    functions: tuple[str, ...]

    @property
    def function(self) -> str:
        """The public function that executed it."""
        return self.functions[-1]

    @property
    def called(self) -> str | None:
        """The function that the outermost function called for it; None where the outermost function executed it."""
        return self.functions[1] if len(self.functions) > 1 else None


@dataclass(frozen=True)
class Recording:
    """What a call of this function executed, in order; `module` is the function's."""

    module: str
    function: str
    variant: str
    executed: Sequence[Executed]


def record(url: str) -> list[Recording]:
    """Make all the calls in this database, each in a transaction that is rolled back."""
    with connected(url) as app:
        add_scene(app)
    engine = create_engine(url)
    try:
        return [_recorded(engine, call) for call in calls()]
    finally:
        engine.dispose()


def _recorded(engine: Engine, call: Call) -> Recording:
    with engine.connect() as connection, _listening(engine) as executed:
        call.run(connection)
    return Recording(call.function.__module__, name_of(call.function), call.variant, executed)


@contextmanager
def _listening(engine: Engine) -> Iterator[list[Executed]]:
    executed: list[Executed] = []

    def note(_: Connection, __: object, sql: str, ___: object, context: Any, ____: bool) -> None:
        statement = context.invoked_statement
        text = sql if statement is None else text_of(statement, context.compiled.column_keys, many=context.executemany)
        executed.append(Executed(statement, text, _public_functions()))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _public_functions() -> tuple[str, ...]:
    """Return the public functions of these modules that are being executed, the outermost first."""
    functions: list[str] = []
    frame = inspect.currentframe()
    while frame:
        module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
        if module in _SHORT_NAMES and not name.startswith(("_", "<")):
            functions.append(f"{_SHORT_NAMES[module]}.{name}")
        frame = frame.f_back
    return tuple(reversed(functions))


class _Compiler(PGCompiler):
    """Shows parameters by name, and constants by value.

    A parameter is a value that is given at the execution, or an argument of a call.
    """

    def visit_bindparam(self, bindparam: BindParameter[Any], **options: Any) -> str:  # type: ignore[override]
        value = bindparam.effective_value
        if bindparam.required:
            return f":{bindparam.key}"
        if isinstance(value, dict):
            value = json.dumps(value)  # a dictionary is no key
        if isinstance(value, list):
            if value and value[0] in ARGUMENTS:
                return f"(:{ARGUMENTS[value[0]]}, ...)"
        elif value in ARGUMENTS:
            return f":{ARGUMENTS[value]}"
        return str(super().visit_bindparam(bindparam, **options | {"literal_binds": True}))  # type: ignore[no-untyped-call]


def _dialect() -> Dialect:
    named: Any = make_url("postgresql+psycopg2://").get_dialect()
    dialect: Dialect = named(paramstyle="named")
    dialect.statement_compiler = _Compiler
    return dialect


_DIALECT = _dialect()


def text_of(statement: Any, column_keys: Sequence[str] | None = None, *, many: bool = False) -> str:
    """Return a statement's text; `column_keys` and `many` are of the parameters that it is executed with."""
    if isinstance(statement, TextClause):
        return dedent(statement.text).strip()
    return str(statement.compile(dialect=_DIALECT, column_keys=column_keys, for_executemany=many))


def module_statements() -> Iterator[tuple[str, SelectBase | UpdateBase | TextClause]]:
    """Return the statements that the modules keep, by name."""
    for module in modules():
        for name, value in vars(module).items():
            each_by_key = value if isinstance(value, dict) else {"": value}
            for key, each in each_by_key.items():
                if isinstance(each, SelectBase | UpdateBase | TextClause):
                    yield f"{module.__name__}.{name} {key}".strip(), each


def files(recordings: Sequence[Recording]) -> dict[str, str]:
    """Return the golden files: name -> text."""
    by_module: dict[str, list[Recording]] = {}
    for recording in recordings:
        by_module.setdefault(recording.module, []).append(recording)
    return {f"{_SHORT_NAMES[module]}.sql": _file(module, group) for module, group in by_module.items()}


def _file(module: str, recordings: Sequence[Recording]) -> str:
    heading = f"-- The statements of {module}. `make sql` writes this file."
    return "\n\n\n".join([heading, *("\n".join(_shown(recording)).strip() for recording in recordings)]) + "\n"


def _shown(recording: Recording) -> Iterator[str]:
    """Show a call: its own statements, and the names of the other functions that execute some, in order."""
    yield f"-- {recording.function}{recording.variant and ': '}{recording.variant}"
    shown = set[str]()
    for called, executed in groupby(recording.executed, key=lambda each: each.called):
        if called:
            yield f"-- (calls {called})"
            continue
        for each in executed:
            yield "-- (the same statement again)" if each.text in shown else f"{_text(each)};\n"
            shown.add(each.text)


def _text(executed: Executed) -> str:
    return executed.text if isinstance(executed.statement, TextClause) else laid_out(executed.text)


def stored() -> dict[str, str]:
    """Return the golden files as they are stored."""
    return {path.name: path.read_text() for path in DIRECTORY.glob("*.sql")}


def write(recordings: Sequence[Recording]) -> None:
    """Write the golden files, and remove those of modules that are gone."""
    new = files(recordings)
    for name in stored().keys() - new.keys():
        (DIRECTORY / name).unlink()
    for name, text in new.items():
        (DIRECTORY / name).write_text(text)
