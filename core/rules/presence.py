"""Where a person is. The answer depends on rows alone, so an early, late or repeated pass gives the same one (A2)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from core.rules.flips import EARLY_OPENING

# A yes said at most this long before the window opens means "I'm here": the sweep may open the instance so early (L2).
HERE_BEFORE_OPENING = EARLY_OPENING


@dataclass(frozen=True, slots=True)
class SaidYes:
    """A yes, said at `said_at`, to an instance with this window, `[opens_at, closes_at)`, and this stated start."""

    session_instance_id: int
    said_at: datetime
    opens_at: datetime
    closes_at: datetime
    starts_at: datetime

    @property
    def since_it_opened(self) -> bool:
        """Whether the person said it while the instance was open, or nearly, so that it means "I'm here"."""
        return self.said_at >= self.opens_at - HERE_BEFORE_OPENING


@dataclass(frozen=True, slots=True)
class Left:
    """A person left an instance, at `left_at`."""

    session_instance_id: int
    left_at: datetime

    def ends(self, yes: SaidYes) -> bool:
        """Whether that yes of theirs no longer counts: it was said before, to an instance that was open then.

        The instance that they left may have been opened early (L2). Any other was ahead then, and its opening comes.
        """
        is_same = self.session_instance_id == yes.session_instance_id
        opened_at = yes.opens_at - HERE_BEFORE_OPENING if is_same else yes.opens_at
        return max(yes.said_at, opened_at) <= self.left_at < yes.closes_at


class Attends(Enum):
    """How a person who said yes to an instance attends it."""

    EXPECTED = auto()
    HERE = auto()
    WAS_HERE = auto()


def deciding_yes(said: Iterable[SaidYes], left: Collection[Left]) -> SaidYes | None:
    """Return the yes of a person that decides where they are; None if they are nowhere.

    1. Yeses said before the person left do not count, if their windows were open when the person left.
    2. Among the yeses said since their windows opened, the last one decides.
    3. Without such a yes, the one whose window opened first decides.
    4. Among equals: the window that opened first, the earliest stated start, the latest yes, the lowest id.
    """
    said = [yes for yes in said if not any(one.ends(yes) for one in left)]
    here = [yes for yes in said if yes.since_it_opened]
    if here:
        return min(here, key=lambda yes: (-yes.said_at.timestamp(), *_first(yes)))
    return min(said, key=_first, default=None)


def attends(yes: SaidYes | None, left: Iterable[Left], *, is_there: bool) -> Attends | None:
    """Return how a person attends the instance that they said yes to; None: they went away from another one.

    `yes` is None if the instance is not active: everybody is expected then. `left`: what this person left. `is_there`:
    the person is at this instance now.
    """
    if yes is None:
        return Attends.EXPECTED
    ended_at = {one.session_instance_id for one in left if one.ends(yes)}
    if ended_at:
        return Attends.WAS_HERE if yes.session_instance_id in ended_at else None
    if not yes.since_it_opened:
        return Attends.EXPECTED
    return Attends.HERE if is_there else Attends.WAS_HERE


def _first(yes: SaidYes) -> tuple[datetime, datetime, float, int]:
    return yes.opens_at, yes.starts_at, -yes.said_at.timestamp(), yes.session_instance_id
