"""What the nemesis will do, and when: drawn from a seed before anything begins, so that the seed reproduces it.

Pure. Kinds are dealt from a deck, so that a short draw sees as many different ones as it has room for.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.faults.kill_points import POINTS

FIRST_FAULT_SECONDS = 4.0
PAUSES = (0.5, 3.5)
STORM = "storm of edits"
MASS_DELETE = "delete many"

# How long each kind lasts, in seconds; what is over at once has no length.
LENGTHS = {
    "kill": (0.0, 0.0),
    "kill at a point": (0.0, 0.0),
    "pause": (0.3, 6.0),
    "terminate": (0.0, 0.0),
    "crash the server": (0.0, 0.8),
    "lose packets": (1.0, 12.0),
    "forget connections": (1.0, 6.0),
    "hang in the middle": (1.0, 6.0),
    "lock rows": (0.3, 3.0),
    "lock a table": (0.2, 1.5),
    "set the clock": (0.5, 3.0),
    STORM: (0.5, 2.0),
    MASS_DELETE: (0.2, 1.0),
    "revoke": (1.0, 2.0),
    "poison": (1.0, 3.0),
    "daemons come": (0.0, 0.0),
    "daemons go": (0.0, 0.0),
}
TWICE = ("kill", "kill at a point", "kill at a point")  # further cards in each deck
SHORT_SECONDS = 120.0  # a draw below this has no room for the longest faults
CLOCK_STEPS = (-86400.0 * 40, -3600.0, -5.0, -0.3, 0.3, 5.0, 3600.0, 86400.0 * 40)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to be, `at` seconds after the start; `chance` in [0, 1) chooses among what there will be."""

    at: float
    kind: str
    seconds: float
    chance: float
    point: str
    step: float


def draw(seed: int, seconds: float, *, without: Iterable[str] = ()) -> list[Planned]:
    """Draw the faults that begin, and end, within so many seconds."""
    rng = random.Random(seed)
    kinds = [kind for kind in (*LENGTHS, *TWICE) if kind not in set(without)]
    planned: list[Planned] = []
    at = FIRST_FAULT_SECONDS
    for kind in _decks(rng, kinds):
        shortest, longest = LENGTHS[kind]
        longest = min(longest, max(shortest, 3.0)) if seconds < SHORT_SECONDS else longest
        lasts = round(rng.uniform(shortest, longest), 2)
        fault = Planned(round(at, 2), kind, lasts, rng.random(), rng.choice(POINTS), rng.choice(CLOCK_STEPS))
        if at + lasts > seconds:
            return planned
        planned.append(fault)
        at += lasts + rng.uniform(*PAUSES)
    raise AssertionError("the decks have no end")


def _decks(rng: random.Random, kinds: list[str]) -> Iterator[str]:
    while True:
        deck = kinds[:]
        rng.shuffle(deck)
        yield from deck
