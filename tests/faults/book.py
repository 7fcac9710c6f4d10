"""The writers' own book: what each knows it wrote, and when. The checker's truth is made of it."""

from dataclasses import dataclass, field
from threading import Lock

from tests.faults.truth import FOREVER, Version, Window

ALWAYS = Window(-FOREVER, FOREVER)


@dataclass
class Book:
    """Versions by subject; many writers, but one for each subject. `yeses`: by person at an instance."""

    versions: dict[str, list[Version]] = field(default_factory=dict)
    yeses: dict[str, list[Version]] = field(default_factory=dict)
    edits: int = 0
    errors: list[tuple[float, str]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def wrote(self, subject: str, sent: float, acknowledged: float, window: Window | None) -> None:
        with self._lock:
            self.versions.setdefault(subject, []).append(Version(sent, acknowledged, window))

    def said(self, subject: str, sent: float, acknowledged: float, *, yes: bool) -> None:
        """Note what a person said to an instance, whatever becomes of the instance."""
        with self._lock:
            self.yeses.setdefault(subject, []).append(Version(sent, acknowledged, ALWAYS if yes else None))

    @property
    def edited(self) -> frozenset[str]:
        """The subjects that were written more than once."""
        with self._lock:
            return frozenset(subject for subject, versions in self.versions.items() if len(versions) > 1)

    def count_edits(self, count: int = 1) -> None:
        with self._lock:
            self.edits += count

    def failed(self, at: float, error: Exception) -> None:
        with self._lock:
            self.errors.append((at, " ".join(f"{type(error).__name__}: {error}".split())))


def instance_subject(instance_id: int) -> str:
    return f"instance {instance_id}"


def person_subject(person_id: int, instance_id: int) -> str:
    return f"person {person_id} at {instance_id}"
