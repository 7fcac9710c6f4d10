"""docs/operations.md tells of every event that we log and of every metric, by its name."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.commands import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
SOURCES = [path for package in ("core", "scheduler", "jobs", "web") for path in sorted((ROOT / package).rglob("*.py"))]


def events() -> Iterator[str]:
    """Yield the name of each event: the first text that a call of a logger names."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                named = (each.value for each in node.args if isinstance(each, ast.Constant))
                yield from (name for name in [*named][:1] if isinstance(name, str))


METRICS = re.findall(r'"(seisiun_\w+)"', (ROOT / "web" / "metrics.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted({*events()}))
def test_the_page_tells_of_each_event(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", sorted({*METRICS}))
def test_the_page_tells_of_each_metric(name: str) -> None:
    assert f"`{name}" in PAGE
