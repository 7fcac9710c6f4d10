"""Where a person is. The answer depends on rows alone, so an early, late or repeated pass gives the same one (A2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core.rules.flips import EARLY_OPENING

# A yes said at most this long before the window opens means "I'm here": the sweep may open the instance so early (L2).
HERE_BEFORE_OPENING = EARLY_OPENING


@dataclass(frozen=True, slots=True)
class SaidYes:
    """A yes, said at `said_at`, to an instance whose window opened at `opens_at`; `starts_at`: its stated start."""

    session_instance_id: int
    said_at: datetime
    opens_at: datetime
    starts_at: datetime

    @property
    def since_it_opened(self) -> bool:
        """Whether the person said it while the instance was open, or nearly, so that it means "I'm here"."""
        return self.said_at >= self.opens_at - HERE_BEFORE_OPENING


def deciding_yes(said: Iterable[SaidYes]) -> SaidYes | None:
    """Return the yes that decides where the person is; None if nobody said yes.

    1. Among the yeses said since their windows opened, the last one decides.
    2. Without such a yes, the one whose window opened first decides.
    3. Among equals: the window that opened first, the earliest stated start, the latest yes, the lowest id.
    """
    said = list(said)
    here = [yes for yes in said if yes.since_it_opened]
    if here:
        return min(here, key=lambda yes: (-yes.said_at.timestamp(), *_first(yes)))
    return min(said, key=_first, default=None)


def _first(yes: SaidYes) -> tuple[datetime, datetime, float, int]:
    return yes.opens_at, yes.starts_at, -yes.said_at.timestamp(), yes.session_instance_id
