"""The wall clock of one process, which can be set while it runs: by libfaketime, where the machine has it."""

from contextlib import suppress
from pathlib import Path

LIBRARY = next(
    (
        found
        for glob in ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib*/faketime/libfaketimeMT.so.1")
        for found in Path("/").glob(glob)
    ),
    None,
)
# libfaketime 0.9.10 breaks time.sleep of Python 3.11 and later (wolfcw/libfaketime#426): wait for what never comes.
SITE = "import threading, time\ntime.sleep = lambda seconds: threading.Event().wait(seconds) and None\n"


SHARED = Path("/dev/shm")


def _sweep_up() -> None:
    """Remove what processes that were killed have left: another user's with the same pid could not start."""
    for left in SHARED.glob("*faketime_*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            with suppress(OSError):
                left.unlink()


class FakeClock:
    """Right at first; the monotonic clock stays the kernel's, as when a clock is set or a machine was suspended."""

    def __init__(self, directory: Path) -> None:
        _sweep_up()
        self._file = directory / "clock"
        self._site = directory / "site"
        self._site.mkdir(parents=True)
        (self._site / "sitecustomize.py").write_text(SITE)
        self.set(0)
        for path in (directory, self._site, self._file):
            path.chmod(0o755)  # a server runs as somebody else

    def set(self, seconds_ahead: float) -> None:
        """Have the clock show so much more than the real one, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds_ahead:+.4f}\n")
        new.chmod(0o644)
        new.replace(self._file)  # it is read at every call, and must never be read empty

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in order to live by this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self._site),
        }
