"""A session's recurrence: when it says that the session happens, as local occurrences (R1 to R4).

`parse` reads what is stored and forgives what older validators let through; `validate` is for what someone is
about to save. Each form of the text has its own reader. So far that is `core.recurrence_json`, and RFC 5545
text is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from core import recurrence_json
from core.errors import InvalidRecurrence
from core.schedules import DEFAULT_LENGTH, Occurrence, Schedule

__all__ = ["DEFAULT_LENGTH", "Occurrence", "Recurrence", "parse", "validate"]

LONGEST_TEXT = 10_000
"""In characters, without the white space around them."""

LONGEST_SEARCH = timedelta(weeks=53)
"""How far `first_on_or_after` looks: the longest gap is of 52 weeks, by `every_n_weeks`."""

LAST_DAY = date.max - timedelta(weeks=1)
"""Nothing occurs later, so that every occurrence also ends within the calendar."""

_RFC_5545_LINE = re.compile("(DTSTART|DTEND|DURATION|RRULE|RDATE|EXDATE|EXRULE|BEGIN)[:;]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a recurrence's text says; without schedules, nothing ever occurs."""

    schedules: tuple[Schedule, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is no recurrence: no text, or no schedules."""
        return not self.schedules

    @property
    def needs_initiation_date(self) -> bool:
        """Whether some schedule skips weeks; without an initiation date it may skip the wrong ones (R2)."""
        return any(schedule.every_n_weeks > 1 for schedule in self.schedules)

    def between(
        self,
        first: date,
        last: date,
        *,
        initiation_date: date | None = None,
        termination_date: date | None = None,
    ) -> tuple[Occurrence, ...]:
        """Return, by start, the occurrences that start on the local dates `first` to `last`, both inclusive.

        Nothing starts before `initiation_date` or after `termination_date`, local dates that are themselves
        allowed (R3).
        """
        first = max(first, initiation_date or date.min)
        last = min(last, termination_date or date.max, LAST_DAY)
        return _one_for_each_start(
            occurrence
            for schedule in self.schedules
            for occurrence in schedule.occurrences(first, last, initiation_date)
        )

    def first_on_or_after(
        self,
        day: date,
        *,
        initiation_date: date | None = None,
        termination_date: date | None = None,
    ) -> Occurrence | None:
        """Return the first occurrence that starts on the local date `day` or later; None where there is none.

        The search ends 53 weeks after `day` or, if that is later, after `initiation_date`.
        """
        first = max(day, initiation_date or date.min)
        last = min(_after_longest_search(first), termination_date or date.max)
        soonest_of_each = (
            next(schedule.occurrences(first, last, initiation_date), None) for schedule in self.schedules
        )
        found = _one_for_each_start(occurrence for occurrence in soonest_of_each if occurrence)
        return found[0] if found else None


def parse(text: str | None, *, default_length: timedelta = DEFAULT_LENGTH) -> Recurrence:
    """Read a stored recurrence; what it was forgiven is in `warnings`. No text means no recurrence.

    An end that is missing or equal to the start is `default_length` after it (T3). Raises InvalidRecurrence.
    """
    return _read(text, default_length, strict=False)


def validate(text: str | None, *, default_length: timedelta = DEFAULT_LENGTH) -> Recurrence:
    """Read a recurrence that is about to be saved: as `parse` does, but forgive nothing.

    Raises InvalidRecurrence, which names the place in the document, the value there, and what is accepted.
    """
    return _read(text, default_length, strict=True)


def _read(text: object, default_length: timedelta, *, strict: bool) -> Recurrence:
    if text is None:
        return Recurrence()
    if not isinstance(text, str):
        raise InvalidRecurrence(f"the recurrence is of type {type(text).__name__}; expected text")
    text = text.strip()
    if not text:
        return Recurrence()
    if len(text) > LONGEST_TEXT:
        raise InvalidRecurrence(f"the recurrence has {len(text)} characters; expected at most {LONGEST_TEXT}")
    if line := _RFC_5545_LINE.match(text):
        raise InvalidRecurrence(
            f"the recurrence is RFC 5545 text (it begins with {line[0]!r}), which cannot be read yet; "
            f"expected JSON, say, {recurrence_json.EXAMPLE}"
        )
    schedules, warnings = recurrence_json.read(text, default_length, strict=strict)
    return Recurrence(schedules, warnings)


def _one_for_each_start(occurrences: Iterable[Occurrence]) -> tuple[Occurrence, ...]:
    """Return the occurrences by start; of those with the same start only the one with the latest end (R4)."""
    by_start = {occurrence.start: occurrence for occurrence in sorted(occurrences)}
    return tuple(by_start.values())


def _after_longest_search(day: date) -> date:
    return min(day, LAST_DAY - LONGEST_SEARCH) + LONGEST_SEARCH
