"""What should have been on, and when: from what the writers know they wrote, and nothing else.

Pure. Instants are seconds since the epoch. A subject (an instance that is on, a person who is at an instance) has one
writer, so its versions follow each other; between the sending of a statement and the acknowledgement of its commit
either of two versions may be true.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain, pairwise

FOREVER = float("inf")
STAYS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open interval in which a subject is to be on."""

    opens_at: float
    closes_at: float

    def contains(self, at: float) -> bool:
        return self.opens_at <= at < self.closes_at


@dataclass(frozen=True, slots=True)
class Version:
    """From some moment in `[sent, acknowledged]` on, this is the subject's window (None: it has none)."""

    sent: float
    acknowledged: float
    window: Window | None


class Wanted(Enum):
    """What the bit should be.

    STAY    off, but what is on may stay on: its window opens within a minute (L2)
    EITHER  an edit is under way that changes it
    """

    ON = "on"
    OFF = "off"
    STAY = "stay"
    EITHER = "either"

    @classmethod
    def of(cls, active: bool) -> "Wanted":
        return cls.ON if active else cls.OFF

    def allows(self, active: bool) -> bool:
        """Say whether a bit may be turned so."""
        return self is Wanted.EITHER or (self is Wanted.ON) == active


@dataclass(frozen=True, slots=True)
class Piece:
    """A half-open interval in which the same is wanted; it begins by an edit, or by the clock."""

    begins: float
    ends: float
    wanted: Wanted
    begins_by_edit: bool


def pieces(versions: Sequence[Version]) -> list[Piece]:
    """Return what was wanted at each time, from before the first version until for ever."""
    edits = {at for version in versions for at in (version.sent, version.acknowledged)}
    edges = {at for version in versions if version.window for at in _edges(version.window)}
    instants = [-FOREVER, *sorted(edits | edges), FOREVER]
    found = [(begins, ends, _wanted(versions, begins)) for begins, ends in pairwise(instants)]
    return [Piece(begins, ends, wanted, begins in edits) for begins, ends, wanted in _merged(found)]


def _edges(window: Window) -> tuple[float, float, float]:
    return window.opens_at - STAYS_SECONDS, window.opens_at, window.closes_at


def _wanted(versions: Sequence[Version], at: float) -> Wanted:
    """Return what is wanted from `at` until anything changes."""
    settled = [version.window for version in versions if version.acknowledged <= at]
    pending = [version.window for version in versions if version.sent <= at < version.acknowledged]
    answers = {_wanted_by(window, at) for window in chain(settled[-1:] or [None], pending)}
    if len(answers) == 1:
        return answers.pop()
    return Wanted.EITHER if Wanted.ON in answers else Wanted.STAY


def _wanted_by(window: Window | None, at: float) -> Wanted:
    if window is None or at >= window.closes_at:
        return Wanted.OFF
    if at >= window.opens_at:
        return Wanted.ON
    return Wanted.STAY if at >= window.opens_at - STAYS_SECONDS else Wanted.OFF


def _merged(found: Iterable[tuple[float, float, Wanted]]) -> Iterator[tuple[float, float, Wanted]]:
    begun, until, same = None, FOREVER, Wanted.OFF
    for begins, ends, wanted in found:
        if begun is not None and wanted is not same:
            yield begun, until, same
            begun = None
        begun = begins if begun is None else begun
        until, same = ends, wanted
    if begun is not None:
        yield begun, until, same
