"""The people pages of the demonstration, in a process of their own: the scheduler imports nothing of the web.

That process reads our pipe until it closes, so it ends when we end, even after kill -9.
"""

import os
import subprocess
import sys
from contextlib import suppress

STOP_SECONDS = 3.0
# `web` in a checkout, `seisiun.web` where Seisiún is installed by name: strings are not rewritten when it is built.
PAGES = f"{__name__.removesuffix('scheduler.commands.demo_pages')}web"


class DemoPages:
    """`python -m web` on the demonstration's database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; it takes a second or two."""
        self._process = subprocess.Popen(  # noqa: S603 -- our own module
            [sys.executable, "-m", PAGES, "--with-parent"],
            env=os.environ | {"DATABASE_URL": self._url, "LOG_LEVEL": "ERROR"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def address(self) -> str | None:
        """Return its address when it serves; None if it cannot, for example where Flask is not installed."""
        assert self._process
        assert self._process.stdout
        return self._process.stdout.readline().strip() or None

    def stop(self) -> None:
        """End it; may be called before `start`, or twice."""
        if not self._process:
            return
        assert self._process.stdin
        assert self._process.stdout
        with suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
