"""Empty environments into which the wheel is installed from the package index, as users do it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.commands import environment

NEWEST_FIRST = range(20, 10, -1)
PYTHON = "import sys; print('.'.join(map(str, sys.version_info[:2])))"


class Environment:
    """A virtual environment, with pip alone at first."""

    def __init__(self, folder: Path, interpreter: str = sys.executable) -> None:
        self.folder = folder
        _run([interpreter, "-m", "venv", str(folder)], folder.parent)

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def install(self, *arguments: str) -> None:
        _run([self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments], self.folder)

    def packages(self) -> Mapping[str, str]:
        """Return name -> release of what is installed."""
        listed = _run([self.python, "-m", "pip", "list", "--format", "json"], self.folder)
        return {each["name"].lower(): each["version"] for each in json.loads(listed)}

    def run(self, *arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, for example python, to its end."""
        program = str(self.folder / "bin" / arguments[0])
        return subprocess.run(
            [program, *arguments[1:]],
            cwd=cwd,
            env=environment(**settings),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def newest_python() -> str:
    """Return the newest Python at hand: on the path, or of pyenv."""
    for minor in NEWEST_FIRST:
        pyenv = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        for found in (shutil.which(f"python3.{minor}"), *map(str, reversed(pyenv))):
            if found and _answers(found, f"3.{minor}"):
                return found
    return sys.executable


def _answers(python: str, version: str) -> bool:
    """Say whether it is that version: a shim of pyenv may be there for a version that is not."""
    answer = subprocess.run([python, "-c", PYTHON], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == version


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
