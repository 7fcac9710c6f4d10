"""`python -m seisiun`: the scheduler's commands, and the sweep."""

import pytest

from scheduler.cli import main as commands
from tests.commands import run, sweep

pytestmark = pytest.mark.process


def test_the_commands_are_those_of_the_scheduler_and_the_sweep() -> None:
    answer = run("-m", "seisiun", "--help", settings={})

    listed = {line.split()[0] for line in answer.stdout.split("Commands:")[1].splitlines() if line.strip()}
    assert listed == {*commands.commands, "sweep"}


def test_the_sweep_answers_as_the_script_does(database_url: str) -> None:
    script = sweep(database_url, "--alert")
    command = run("-m", "seisiun", "sweep", "--alert", settings={"DATABASE_URL": database_url})

    assert (command.returncode, command.stdout) == (script.returncode, script.stdout) == (2, "")
    assert "event=sweep activated=0" in command.stderr


def test_an_error_in_the_settings_is_one_line() -> None:
    answer = run("-m", "seisiun", "sweep", settings={"KEEP_DAYS": "never"})

    assert answer.returncode == 1
    assert "KEEP_DAYS='never'" in answer.stderr
    assert "Traceback" not in answer.stderr
