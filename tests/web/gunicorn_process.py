"""A host app under gunicorn, as a platform runs it: a process of its own, that is sent real signals."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.commands import ROOT, environment
from tests.scheduler.daemon_process import eventually


class Gunicorn:
    """One gunicorn with one worker; its log is a file that is read while it runs."""

    def __init__(
        self,
        log: Path,
        app: str,
        *,
        python: str = sys.executable,
        config: str = "python:web.gunicorn_config",
        cwd: Path = ROOT,
        **settings: str,
    ) -> None:
        self._log = log
        command = [python, "-m", "gunicorn", "-c", config, "-b", "127.0.0.1:0", app]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=cwd, env=environment(**settings), stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        """The port, once it listens."""

        def found() -> re.Match[str] | None:
            assert self._process.poll() is None, self.log
            return re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log)

        match = eventually(found, "gunicorn listens")
        assert match
        return int(match[1])

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit status, and how many seconds it took."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20), time.monotonic() - begun

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
