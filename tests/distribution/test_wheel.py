"""The wheel, built and unpacked: it has everything, and works beside an app's own `core`. No network is needed.

`test_installed.py` installs it as users do; `make test-dist` runs that too.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hatch_build import ROOTS
from tests.commands import ROOT, environment
from tests.distribution.wheel import build, make_app

pytestmark = pytest.mark.process

IMPORTS_EVERYTHING = """
import importlib, pkgutil, sys
import seisiun

found = [module.name for module in pkgutil.walk_packages(seisiun.__path__, "seisiun.")]
for name in found:
    if not name.endswith((".__main__", ".migrations.env")):  # to import them is to run them
        importlib.import_module(name)
import core, jobs, scheduler, web

assert {core.OWNER, jobs.OWNER, scheduler.OWNER, web.OWNER} == {"the app"}
assert not [name for name in sys.modules if name.startswith(("core.", "jobs.", "scheduler.", "web."))]
print(len(found))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site-packages")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_app(tmp_path_factory.mktemp("app"))


def python(app: Path, unpacked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=app,
        env=environment(PYTHONPATH=str(unpacked)),
        capture_output=True,
        text=True,
        check=False,
    )


def files(package: str) -> set[str]:
    found = (path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_has_each_file_of_our_packages_and_nothing_beside_seisiun(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())

    expected = files("seisiun") | {f"seisiun/{file}" for package in ROOTS for file in files(package)}
    assert {file for file in shipped if ".dist-info/" not in file} == expected
    assert {
        "seisiun/web/templates/seisiun/now.html",
        "seisiun/core/migrations/versions/0001_first_schema.py",
    } <= shipped
    assert {f"seisiun/{package}/py.typed" for package in ROOTS} | {"seisiun/py.typed"} <= shipped


def test_each_module_imports_beside_an_app_with_packages_of_the_same_names(app: Path, unpacked: Path) -> None:
    answer = python(app, unpacked, "-c", IMPORTS_EVERYTHING)

    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) > 100


def test_its_commands_are_the_schedulers_and_the_sweep(app: Path, unpacked: Path) -> None:
    answer = python(app, unpacked, "-m", "seisiun", "--help")
    sweep = python(app, unpacked, "-m", "seisiun", "sweep", "--help")

    assert {"run", "migrate", "status", "sweep"} <= set(answer.stdout.split()), answer.stderr
    assert "--alert" in sweep.stdout, sweep.stderr


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as sdist:
        sdist.extractall(tmp_path, filter="data")
    [source] = [folder for folder in tmp_path.iterdir() if folder.is_dir()]

    again = build("wheel", tmp_path / "again", source)
    assert again.read_bytes() == wheel.read_bytes()


def test_an_editable_install_is_refused(tmp_path: Path) -> None:
    script = "import hatchling.build, sys; hatchling.build.build_editable(sys.argv[1])"
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 1
    assert "Seisiún has no editable install" in answer.stderr
