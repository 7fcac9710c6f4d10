"""Every statement of the store is shown as SQL in `statements/*.sql`, so that a review reads a change as SQL."""

import inspect
from collections.abc import Callable, Iterator
from difflib import unified_diff
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.core.store.statements import golden
from tests.core.store.statements.golden import Executed, Recording
from tests.core.store.statements.layout import laid_out
from tests.postgres import Server


@pytest.fixture(scope="module")
def recordings(server: Server) -> list[Recording]:
    with server.database(server.migrated) as url:
        return golden.record(url)


@pytest.fixture(scope="module")
def executed(recordings: list[Recording]) -> list[Executed]:
    return [each for recording in recordings for each in recording.executed]


def test_the_files_show_what_is_executed(recordings: list[Recording]) -> None:
    stored, shown = golden.stored(), golden.files(recordings)
    differences = [_difference(name, stored.get(name, ""), shown.get(name, "")) for name in sorted({*stored, *shown})]
    if changed := "".join(differences):
        pytest.fail(f"Statements have changed. If this is meant, write them with `make sql`:\n{changed}", pytrace=False)


def _difference(name: str, stored: str, shown: str) -> str:
    lines = unified_diff(
        stored.splitlines(keepends=True), shown.splitlines(keepends=True), f"{name} as stored", f"{name} as executed"
    )
    return "".join(lines)


def test_each_function_of_the_store_is_called_and_executes_something(recordings: list[Recording]) -> None:
    executing = {recording.function for recording in recordings if recording.executed}
    assert set(_functions()) == executing, "mend tests/core/store/statements/calls.py, and run `make sql`"


def _functions() -> Iterator[str]:
    """Yield the public functions of the store that take a connection."""
    for module in golden.modules():
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and _is_public(function):
                yield golden.name_of(function)


def _is_public(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return not function.__name__.startswith("_") and any(each.annotation is Connection for each in parameters)


def test_what_a_function_executes_for_another_is_shown_as_its_own(executed: list[Executed]) -> None:
    own = {(each.function, each.text) for each in executed if not each.called}
    for_others = {(each.function, each.text) for each in executed if each.called}
    assert for_others <= own, "add calls of these functions that execute these, and run `make sql`"


def test_each_statement_that_a_module_keeps_is_executed(executed: list[Executed]) -> None:
    statements, texts = {id(each.statement) for each in executed}, "\n".join(each.text for each in executed)
    kept = dict(golden.module_statements())
    # Some are only parts of others.
    left = [name for name, each in kept.items() if id(each) not in statements and golden.text_of(each) not in texts]
    assert not left, "add calls that execute these to tests/core/store/statements/calls.py, and run `make sql`"


def test_only_white_space_is_changed_to_break_a_statement_into_lines(executed: list[Executed]) -> None:
    for each in executed:
        assert _without_white_space(laid_out(each.text)) == _without_white_space(each.text)


def _without_white_space(text: str) -> str:
    return "".join(text.split())


def test_a_changed_statement_is_told_with_the_command_that_writes_it(
    recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "stored", lambda: golden.files(recordings) | {"queue.due.sql": "SELECT 1;\n"})
    with pytest.raises(pytest.fail.Exception, match=r"(?s)`make sql`.*queue[.]due[.]sql as stored.*-SELECT 1;"):
        test_the_files_show_what_is_executed(recordings)
