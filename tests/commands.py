"""Our commands, run as an operator or a platform runs them: in a process, with an environment."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
}


def environment(**settings: str) -> dict[str, str]:
    """The environment of a command: what this process has, but of our settings only these."""
    return {name: value for name, value in os.environ.items() if name not in OURS} | settings


def run(*arguments: str, settings: Mapping[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, to its end."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )


def sweep(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the sweep's script."""
    return run(SWEEP, *options, settings={"DATABASE_URL": url})
