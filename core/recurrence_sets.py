"""Recurrence sets: the occurrences that the lines of an RFC 5545 text yield together (RFC 5545 3.8.5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import groupby
from operator import attrgetter

from core.recurrence_rules import Rule
from core.schedules import Occurrence


@dataclass(frozen=True, slots=True)
class RecurrenceSet:
    """The starts of all `rules` together, and those that were `added`, but for those `excluded`.

    Each start of a rule lasts `length`; `states_end` tells whether the text says so (T3). `added` is in order.
    """

    start: datetime
    length: timedelta
    states_end: bool
    rules: tuple[Rule, ...] = ()
    added: tuple[Occurrence, ...] = ()
    excluded: frozenset[datetime] = frozenset()

    needs_initiation_date = False
    """Intervals count from DTSTART (R5)."""

    def occurrences(self, first: date, last: date, _initiation_date: date | None = None) -> Iterator[Occurrence]:
        """Yield, soonest first, the occurrences that start on the dates `first` to `last`, both inclusive.

        Of those with the same start only the one with the latest end is yielded (R4).
        """
        by_rules = (map(self.lasting, rule.starts(first, last)) for rule in self.rules)
        added = (occurrence for occurrence in self.added if first <= occurrence.start.date() <= last)
        for start, same in groupby(merge(*by_rules, added), attrgetter("start")):
            if start not in self.excluded:
                *_, longest = same
                yield longest

    def soonest(self, first: date, last: date, _initiation_date: date | None = None) -> Occurrence | None:
        """Return the soonest occurrence that starts on the dates `first` to `last`, both inclusive."""
        return next(self.occurrences(first, last), None)

    def lasting(self, start: datetime) -> Occurrence:
        """Return the occurrence at a start that states no end of its own."""
        return Occurrence(start, start + self.length, self.states_end)
