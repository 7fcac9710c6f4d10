"""Our commands, run as an operator or a platform runs them: in a process, with an environment."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url

from tests import preloaded

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 60
SWEEP = "jobs/check_active_sessions.py"
OURS = {
    "DATABASE_URL",
    "EMBEDDED_POSTGRES_DIR",
    "RENDER",
    "PLAN_HORIZON_HOURS",
    "DEFAULT_LENGTH_MINUTES",
    "RESYNC_SECONDS",
    "KEEP_DAYS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "DAEMON_PING_URL",
    "SWEEP_PING_URL",
}


def environment(**settings: str) -> dict[str, str]:
    """The environment of a command: what this process has, but of our settings and of libpq's only these."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS and not name.startswith("PG")}
    return kept | settings


def libpq_variables(url: str) -> dict[str, str]:
    """Say in libpq's variables what a URL says."""
    parts = make_url(url)
    return {
        "PGHOST": str(parts.host),
        "PGPORT": str(parts.port),
        "PGDATABASE": str(parts.database),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
    }


def run(*arguments: str, settings: Mapping[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, to its end."""
    command = [sys.executable, *arguments]
    if cwd == ROOT and preloaded.can_start(arguments, settings):
        return _run_preloaded(command, environment(**settings))
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def _run_preloaded(command: list[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = preloaded.Process(command[1:], variables, stdout, stderr)
        try:
            status = process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode())
        return subprocess.CompletedProcess(command, status, *texts)


def start(
    arguments: list[str], log: IO[bytes], settings: Mapping[str, str]
) -> "subprocess.Popen[bytes] | preloaded.Process":
    """Start Python with these arguments; both its streams go to the log."""
    if preloaded.can_start(arguments, settings):
        return preloaded.Process(arguments, environment(**settings), log, log)
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(**settings), stdout=log, stderr=subprocess.STDOUT)


def sweep(url: str, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the sweep's script."""
    return run(SWEEP, *options, settings={"DATABASE_URL": url} | settings)
