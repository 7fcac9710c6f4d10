"""A session's recurrence: when it says that the session happens, as local occurrences (R1 to R7).

`parse` reads stored text, and accepts, with a warning, what older validators let through. `validate` reads text that
somebody is about to save, and refuses it. `with_break` adds a break to a text, `with_start` a start. Each form of the
text has its own reader: `json_text` and `rfc5545.text`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from core.errors import InvalidRecurrence
from core.recurrence import json_text
from core.recurrence.rfc5545 import text as rfc5545_text
from core.recurrence.rfc5545.expansion import RecurrenceSet
from core.recurrence.schedules import DEFAULT_LENGTH, LAST_DAY, Break, Occurrence, Schedule

__all__ = [
    "DEFAULT_LENGTH",
    "LAST_DAY",
    "Break",
    "Occurrence",
    "Recurrence",
    "parse",
    "validate",
    "with_break",
    "with_start",
]

LONGEST_TEXT = 10_000
"""In characters, not counting white space at either end."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a recurrence's text says; without schedules, nothing ever occurs.

    JSON yields a schedule for each that it lists, and its breaks; RFC 5545 text one `RecurrenceSet`.
    """

    schedules: tuple[Schedule | RecurrenceSet, ...] = ()
    warnings: tuple[str, ...] = ()
    breaks: tuple[Break, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is no recurrence: no text, or no schedules."""
        return not self.schedules

    @property
    def needs_initiation_date(self) -> bool:
        """Whether some schedule skips weeks; without an initiation date it may skip the wrong ones (R2)."""
        return any(schedule.needs_initiation_date for schedule in self.schedules)

    def between(
        self,
        first: date,
        last: date,
        *,
        initiation_date: date | None = None,
        termination_date: date | None = None,
    ) -> tuple[Occurrence, ...]:
        """Return, by start, the occurrences that start on the local dates `first` to `last`, both inclusive.

        Nothing starts before `initiation_date` or after `termination_date`; both are local dates, and inclusive (R3).
        Nothing starts within a break (R7).
        """
        first = max(first, initiation_date or date.min)
        last = min(last, termination_date or date.max, LAST_DAY)
        breaks = [one for one in self.breaks if first <= one.last and one.first <= last]
        return _one_for_each_start(
            occurrence
            for schedule in self.schedules
            for occurrence in schedule.occurrences(first, last, initiation_date)
            if not any(one.covers(occurrence.start.date()) for one in breaks)
        )

    def first_on_or_after(
        self,
        day: date,
        *,
        initiation_date: date | None = None,
        termination_date: date | None = None,
    ) -> Occurrence | None:
        """Return the first occurrence that starts on the local date `day` or later; None if there is none."""
        first = max(day, initiation_date or date.min)
        last = min(termination_date or date.max, LAST_DAY)
        while True:
            soonest_of_each = (schedule.soonest(first, last, initiation_date) for schedule in self.schedules)
            found = _one_for_each_start(occurrence for occurrence in soonest_of_each if occurrence)
            breaks = [one for one in self.breaks if found and one.covers(found[0].start.date())]
            if not breaks:
                return found[0] if found else None
            first = max(one.last for one in breaks) + timedelta(days=1)


def parse(text: str | None, *, default_length: timedelta = DEFAULT_LENGTH, zone: str | None = None) -> Recurrence:
    """Read a stored recurrence; its `warnings` list what is odd but understood. No text means no recurrence.

    An end that is missing or equal to the start is `default_length` after it (T3). `zone` is the session's: RFC 5545
    text may name it, and needs it if a time is in UTC (R5). Raises InvalidRecurrence, and UnknownTimeZone if the text
    needs the zone and it is not known.
    """
    return _read(text, default_length, zone, strict=False)


def validate(text: str | None, *, default_length: timedelta = DEFAULT_LENGTH, zone: str | None = None) -> Recurrence:
    """Read a recurrence that somebody is about to save: like `parse`, but what is odd is an error too.

    Raises InvalidRecurrence, which names the place in the text, the value there, and what is accepted.
    """
    return _read(text, default_length, zone, strict=True)


def with_break(
    text: str | None, first: date, last: date, why: str | None = None, *, zone: str | None = None
) -> str | None:
    """Return a recurrence's text with a break of the local dates `first` to `last`, both inclusive (R7).

    JSON gets one more item of `except`. RFC 5545 text, which has no breaks, gets an EXDATE for each start on these
    dates, without `why`. Raises InvalidRecurrence where `validate` refuses the text as it is or as it would be.
    """
    if last < first:
        raise InvalidRecurrence(f"the break ends on {last}; expected {first}, on which it begins, or later")
    recurrence = validate(text, zone=zone)
    text = (text or "").strip()
    if not text:
        return None
    if rfc5545_text.is_rfc5545(text):
        starts = [f"{occurrence.start:%Y%m%dT%H%M%S}" for occurrence in recurrence.between(first, last)]
        text = f"{text}\nEXDATE:{','.join(starts)}" if starts else text
    else:
        document = json.loads(text)
        added = {"from": str(first), "to": str(last)} | ({"why": why} if why else {})
        document["except"] = [*document.get("except", ()), added]
        text = json.dumps(document, ensure_ascii=False)
    validate(text, zone=zone)
    return text


def with_start(text: str, at: datetime, *, zone: str | None = None) -> str:
    """Return RFC 5545 text, which has no DTSTART, with one: the first start at the local time `at` or later.

    A rule that states hours (BYHOUR) yields them; another yields the time of day of `at`. Raises InvalidRecurrence
    where the text cannot be read.
    """
    [read] = _read(_started(text, at), DEFAULT_LENGTH, zone, strict=False).schedules
    assert isinstance(read, RecurrenceSet)
    return _started(text, min((first for rule in read.rules if (first := rule.first)), default=at))


def _started(text: str, at: datetime) -> str:
    """Return the text with a DTSTART as its last line, so that an error counts the lines as their author does."""
    return f"{text}\nDTSTART:{at:%Y%m%dT%H%M%S}"


def _read(text: object, default_length: timedelta, zone: str | None, *, strict: bool) -> Recurrence:
    if text is None:
        return Recurrence()
    if not isinstance(text, str):
        raise InvalidRecurrence(f"the recurrence is of type {type(text).__name__}; expected text")
    text = text.strip()
    if not text:
        return Recurrence()
    if len(text) > LONGEST_TEXT:
        raise InvalidRecurrence(f"the recurrence has {len(text)} characters; expected at most {LONGEST_TEXT}")
    if rfc5545_text.is_rfc5545(text):
        recurrence_set, warnings = rfc5545_text.read(text, default_length, zone, strict=strict)
        return Recurrence((recurrence_set,), warnings)
    document = json_text.read(text, default_length, strict=strict)
    return Recurrence(document.schedules, document.warnings, document.breaks)


def _one_for_each_start(occurrences: Iterable[Occurrence]) -> tuple[Occurrence, ...]:
    """Return the occurrences by start; of those with the same start only the one with the latest end (R4)."""
    by_start = {occurrence.start: occurrence for occurrence in sorted(occurrences)}
    return tuple(by_start.values())
