"""Builds the wheel: the repository's packages become packages of `seisiun`, so that an app may have its own `core`.

`core/` is shipped as `seisiun.core`, and each import of it is rewritten to say so. Only imports are: no string in the
product names a module of ours.
"""

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "seisiun"
ROOTS = ("core", "scheduler", "jobs", "web")


class Hook(BuildHookInterface[BuilderConfig]):
    """Gives hatchling the rewritten packages, instead of those in the repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the packages into a temporary folder; refuse an editable install, which would show no later edit."""
        if version == "editable":
            raise RuntimeError("Seisiún has no editable install: its modules are rewritten. Use `make setup`.")
        self._folder = tempfile.TemporaryDirectory(prefix="seisiun-")
        packages = Path(self._folder.name, NAME)
        write_packages(Path(self.root), packages)
        build_data["force_include"][str(packages)] = NAME

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 -- hatchling's
        """Remove the temporary folder."""
        self._folder.cleanup()


def write_packages(repository: Path, packages: Path) -> None:
    """Write `seisiun` into the folder `packages`, with the repository's other packages inside it."""
    copy_rewritten(repository / NAME, packages)
    for root in ROOTS:
        copy_rewritten(repository / root, packages / root)


def copy_rewritten(source: Path, target: Path) -> None:
    """Copy a folder with everything in it, and rewrite the imports of its modules."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for module in target.rglob("*.py"):
        try:
            module.write_bytes(rewritten(module.read_bytes()))
        except ValueError as error:
            raise ValueError(f"{source / module.relative_to(target)}: {error}") from error


def rewritten(source: bytes) -> bytes:
    """Return a module with `seisiun.` before each absolute import of our packages.

    Raises ValueError for `import core.rules` without `as`: it binds the name `core`, which the module uses afterwards.
    """
    lines = source.splitlines(keepends=True)
    for line, column in sorted(_imports(source, lines), reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:column] + f"{NAME}.".encode() + text[column:]
    return b"".join(lines)


def _imports(source: bytes, lines: list[bytes]) -> set[tuple[int, int]]:
    """Return where the names of our packages stand in import statements: line, from 1, and byte in it, from 0."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module):
            # The parser does not tell where the module's name is; after `from`, which begins the statement.
            statement = re.compile(rb"from\s+").match(lines[node.lineno - 1], node.col_offset)
            assert statement
            found.add((node.lineno, statement.end()))
        elif isinstance(node, ast.Import):
            for name in node.names:
                if _is_ours(name.name):
                    if not name.asname:
                        raise ValueError(f"line {name.lineno}: write `from ... import` instead of `import {name.name}`")
                    found.add((name.lineno, name.col_offset))
    return found


def _is_ours(module: str | None) -> bool:
    return (module or "").split(".")[0] in ROOTS
