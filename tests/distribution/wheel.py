"""The wheel and the sdist, built without a network; and an app with packages of its own that are called as ours."""

import subprocess
import sys
from pathlib import Path

from hatch_build import ROOTS
from tests.commands import ROOT


def build(target: str, into: Path, source: Path = ROOT) -> Path:
    """Build the `wheel` or the `sdist` with the backend of this environment."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [built] = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def make_app(folder: Path) -> Path:
    """Make an app in which each of our packages' names means a package of the app's."""
    for name in ROOTS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"OWNER = 'the app'\nNAME = {name!r}\n")
    return folder
