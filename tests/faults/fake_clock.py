"""The wall clock of a daemon's process alone, which can be set: by libfaketime, where the machine has it."""

from pathlib import Path

LIBRARIES = ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib*/faketime/libfaketimeMT.so.1")
SITE = Path(__file__).parent / "under_faketime"


def library() -> Path | None:
    return next((found for glob in LIBRARIES for found in Path("/").glob(glob)), None)


class FakeClock:
    """Right at first."""

    def __init__(self, file: Path, library: Path) -> None:
        self._file = file
        self._library = library
        self.set(0)

    def set(self, seconds_ahead: float) -> None:
        """Have the clock show so much more (or less) than the real one, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds_ahead:+.3f}\n")
        new.replace(self._file)  # it is read at every call, and must never be read empty

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in order to live by this clock; its monotonic clock stays the kernel's."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(SITE),
        }
