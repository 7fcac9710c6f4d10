import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.commands import ROOT, environment
from tests.scheduler.daemon_process import eventually

pytestmark = pytest.mark.process


class DemoProcess:
    def __init__(self, directory: Path) -> None:
        self.output = directory / "demo.out"
        self.begun = time.monotonic()
        settings = environment(EMBEDDED_POSTGRES_DIR=str(directory / "data of its own"), DATABASE_URL="left alone")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scheduler", "demo"],
                cwd=ROOT,
                env=settings,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, *words: str, seconds: float = 40) -> str:
        """Return the line that has these words."""

        def line() -> str | None:
            assert self.process.poll() is None, self.output.read_text()
            found = [line for line in self.output.read_text().splitlines() if all(word in line for word in words)]
            return found[0] if found else None

        return str(eventually(line, f"{words} in {self.output.read_text()}", seconds))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoProcess]:
    demo = DemoProcess(tmp_path)
    yield demo
    demo.process.kill()
    demo.process.wait()
    sys.stdout.write(demo.output.read_text())


def flips(*names: str) -> list[tuple[str, str]]:
    return [(kind, f"Demo session {name}") for kind in ("● on", "○ over") for name in names]


@pytest.mark.parametrize(
    "expected", [flips("one")[:1], pytest.param(flips("one", "two"), marks=pytest.mark.long)], ids=["first", "all"]
)
def test_the_demo_shows_real_sessions_and_flips_its_own(
    demo: DemoProcess, figures: Callable[[str], None], expected: list[tuple[str, str]]
) -> None:
    demo.wait_for("psql")
    demo.wait_for("loaded 38 real ones")
    address = demo.wait_for("pages", "http://127.0.0.1:").split()[-1]
    demo.wait_for("ready")
    figures(f"demo: ready after {time.monotonic() - demo.begun:.1f} s")
    demo.wait_for("the next 10 edges")
    demo.wait_for("opens", "Demo session one")
    for words in expected:
        assert "cause=timer" in demo.wait_for(*words)

    assert b"Demo session one" in urllib.request.urlopen(address, timeout=10).read()

    demo.process.send_signal(signal.SIGINT)

    assert demo.process.wait(20) == 0
    with pytest.raises(URLError):
        urllib.request.urlopen(address, timeout=10)
    assert "Traceback" not in demo.output.read_text()
