"""Writes `docs/api.md`, the reference of what an app imports from `seisiun`, from signatures and docstrings.

    python -m tests.api_page

A test compares the page with the code. Signatures are shown as the source has them.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import seisiun
from core.db import transactions

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
WIDTH = 110

ABOUT = """\
# API reference

What an app imports: `from seisiun import check_in`. Made from the docstrings by `make api`; a test compares it with the
code. The rules in parentheses, such as A2, are in [rules.md](rules.md). Every `datetime` is aware, unless it is said to
be local. Examples are in the [README](../README.md#in-your-app).
"""

SECTIONS: dict[str, list[str]] = {
    "Saving": ["session_saved", "instance_saved", "check_in", "leave", "remove_check_in", "ensure_instance"],
    "Asking": ["whereabouts", "who_is_here", "elsewhere_in_town", "active_instances", "transitions"],
    "Reconciling everything": ["update_active_sessions"],
    "Pages": ["create_blueprint"],
    "What you hand in": ["AppDatabase"],
    "What you get": [
        "CheckedIn",
        "WhyNot",
        "Place",
        "WhoIsHere",
        "Attendee",
        "Transitions",
        "Transition",
        "Change",
        "ReconcileResult",
        "LeftBehind",
        "Cause",
    ],
    "Exceptions": [
        "SeisiunError",
        "InvalidAttendance",
        "InvalidComment",
        "InvalidPage",
        "InvalidRecurrence",
        "NoSuchOccurrence",
        "SessionBusy",
        "UnknownInstance",
        "UnknownPerson",
        "UnknownSession",
        "UnknownTimeZone",
        "UnsupportedDriver",
    ],
    "Recurrences": ["recurrence"],
}
INTRODUCTIONS = {
    "Exceptions": "\nThe message names the value and says what is accepted. `SeisiunError` is the base of all.\n\n"
}

Function = ast.FunctionDef
FIELD = re.compile(r"^(\w+)  +(\S.*)$")


def page() -> str:
    parts = [ABOUT]
    for heading, names in SECTIONS.items():
        parts += [
            f"\n## {heading}\n",
            INTRODUCTIONS.get(heading, ""),
            *(entry(name, getattr(seisiun, name)) for name in names),
        ]
    return "".join(parts)


def entry(name: str, value: Any) -> str:
    if inspect.ismodule(value):
        return f"\n{prose(value)}" + "".join(entry(f"{name}.{one}", getattr(value, one)) for one in calls_first(value))
    if inspect.isfunction(value):
        return f"\n### {name}\n{code(signature(source(value), name))}\n{prose(value)}"
    if isinstance(value, type) and issubclass(value, Exception):
        return f"- `{name}`: {inspect.getdoc(value)}\n"
    if isinstance(value, type):
        return f"\n### {name}\n\n{prose(value)}" + "".join(members(value))
    return f"\n### {name}\n{code(alias(transactions, name))}\n{alias_doc(transactions, name)}\n"


def calls_first(module: ModuleType) -> list[str]:
    """Return the names of a module's functions, and then of its classes; not its constants."""
    public = [name for name in module.__all__ if callable(getattr(module, name))]
    return sorted(public, key=lambda name: isinstance(getattr(module, name), type))


def members(value: type) -> Iterator[str]:
    """Yield an enumeration's values, or a dataclass's fields; then properties and methods, each with what it says."""
    if issubclass(value, Enum):
        yield "\n" + "".join(f"- `{each.name}`: `{each.value!r}`\n" for each in value)
    elif is_dataclass(value):
        yield code("\n".join(ast.unparse(each) for each in source(value).body if isinstance(each, ast.AnnAssign)))
    public = [each for each in source(value).body if isinstance(each, Function) and not each.name.startswith("_")]
    if public:
        yield "\n"
    for each in public:
        text = " ".join((ast.get_docstring(each) or "").split())
        yield f"- `{each.name if each.decorator_list else on_one_line(each)}`: {text}\n"


def signature(function: Function, name: str) -> str:
    """Return a signature as the source has it: on one line, or an argument to a line where that is too long."""
    line = f"{name}({', '.join(arguments(function))}) -> {returned(function)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {each}," for each in arguments(function)), f") -> {returned(function)}"])


def on_one_line(method: Function) -> str:
    return f"{method.name}({', '.join(arguments(method)[1:])}) -> {returned(method)}"


def returned(function: Function) -> str:
    assert function.returns
    return written(function.returns)


def written(annotation: ast.expr) -> str:
    """Return an annotation without the quotes that it needs in a class's own body."""
    return ast.unparse(annotation).strip("'")


def arguments(function: Function) -> list[str]:
    given = function.args
    defaults = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    shown = [argument(*each) for each in zip(given.args, defaults, strict=True)]
    if given.kwonlyargs:
        shown += ["*", *(argument(*each) for each in zip(given.kwonlyargs, given.kw_defaults, strict=True))]
    return shown


def argument(given: ast.arg, default: ast.expr | None) -> str:
    typed = f"{given.arg}: {written(given.annotation)}" if given.annotation else given.arg
    return f"{typed} = {ast.unparse(default)}" if default else typed


def prose(value: Any) -> str:
    """Return a docstring as Markdown: its columns of names and texts become a list."""
    paragraphs = (inspect.getdoc(value) or "").split("\n\n")
    return "\n\n".join(listed(each.splitlines()) for each in paragraphs) + "\n"


def listed(lines: list[str]) -> str:
    if not all(FIELD.match(line) for line in lines):
        return "\n".join(lines)
    return "\n".join(FIELD.sub(r"- `\1`: \2", line) for line in lines)


def code(text: str) -> str:
    return f"\n```python\n{text}\n```\n"


def source(value: Any) -> Any:
    """Return the definition of a function or class, parsed."""
    tree = parsed(inspect.getmodule(value))
    return next(each for each in tree.body if getattr(each, "name", None) == value.__name__)


@cache
def parsed(module: ModuleType | None) -> ast.Module:
    assert module
    return ast.parse(inspect.getsource(module))


def alias(module: ModuleType, name: str) -> str:
    return ast.unparse(parsed(module).body[_place(module, name)])


def alias_doc(module: ModuleType, name: str) -> str:
    """Return the string that follows the alias."""
    following = parsed(module).body[_place(module, name) + 1]
    assert isinstance(following, ast.Expr)
    return inspect.cleandoc(ast.literal_eval(following.value))


def _place(module: ModuleType, name: str) -> int:
    body = parsed(module).body
    return next(
        at for at, each in enumerate(body) if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == name
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
