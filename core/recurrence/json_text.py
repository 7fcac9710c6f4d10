"""Reads the JSON form of a recurrence: `{"schedules": [...], "except": [...]}` (R1, R7).

An error names the wrong value by its path in the document. What is odd but understood is an error in text that
somebody is about to save, and a warning in stored text.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

from core.errors import InvalidRecurrence
from core.recurrence.leniency import Leniency
from core.recurrence.schedules import (
    EVERY_WEEK,
    FIRST_YEAR,
    LAST,
    LAST_YEAR,
    WEEKDAYS,
    Break,
    LocalHours,
    Schedule,
    require_few,
)

MOST_SCHEDULES = 100
MOST_BREAKS = 100
LONGEST_WHY = 100
"""The most characters of the reason for a break."""

MOST_WEEKS = 52
"""The greatest `every_n_weeks`: more than a year is a mistake."""

EXAMPLE = '{"schedules": [{"type": "weekly", "weekday": "thursday", "start_time": "19:00", "end_time": "22:00"}]}'

_KEYS_IN_ALL = ("type", "weekday", "start_time", "end_time")
_KEYS = {"weekly": (*_KEYS_IN_ALL, "every_n_weeks"), "monthly_nth_weekday": (*_KEYS_IN_ALL, "which")}
_BREAK_KEYS = ("from", "to", "why")
_TIME = re.compile("([01]?[0-9]|2[0-3]):([0-5][0-9])(?::00)?")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Document:
    """What a JSON document says, and warnings about what is odd but understood."""

    schedules: tuple[Schedule, ...]
    breaks: tuple[Break, ...]
    warnings: tuple[str, ...]


def read(text: str, default_length: timedelta, *, strict: bool) -> Document:
    """Return what a JSON document says.

    Raises InvalidRecurrence for what cannot be understood and, if `strict`, instead of a warning.
    """
    try:
        document = json.loads(text, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        raise InvalidRecurrence(f"{_shown(text)} is not JSON ({error}); expected text such as {EXAMPLE}") from error
    leniency = Leniency(strict=strict)
    reader, root = _Reader(default_length, leniency), _Node("", document)
    return Document(reader.schedules(root), reader.breaks(root), tuple(leniency.warnings))


def _shown(value: object) -> str:
    """Return a value as an error message quotes it: short, on one line."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list" if value else "an empty list"
        case str():
            return f"{value!r:.60}"
    return f"{json.dumps(value):.60}"


class _Object(dict[str, object]):
    """A JSON object that remembers which of its keys were given more than once."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.repeated = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]


class _Missing:
    """The value of a key that is not there."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A value, and its path in the document."""

    path: str
    value: object

    def member(self, key: str) -> "_Node":
        value = self.value.get(key, _Missing()) if isinstance(self.value, dict) else _Missing()
        return _Node(f"{self.path}.{key}" if self.path else key, value)

    def items(self, expected: str) -> "list[_Node]":
        if not isinstance(self.value, list):
            raise self.refused(expected)
        return [_Node(f"{self.path}[{index}]", value) for index, value in enumerate(self.value)]

    @property
    def is_missing(self) -> bool:
        return isinstance(self.value, _Missing)

    @property
    def place(self) -> str:
        return self.path or "the document"

    def problem(self, expected: str) -> str:
        found = "missing" if self.is_missing else _shown(self.value)
        return f"{self.place} is {found}; expected {expected}"

    def refused(self, expected: str) -> InvalidRecurrence:
        return InvalidRecurrence(self.problem(expected))


def _require_few(schedules: Iterable[Schedule]) -> None:
    """Refuse more starts than a recurrence may have (R6); schedules that differ only in their ends share theirs."""
    by_start = {(one.weekday, one.hours.start, one.every_n_weeks, one.which): one for one in schedules}
    times = Counter(weekday for weekday, _ in {(one.weekday, one.hours.start) for one in by_start.values()})
    require_few(max(times.values(), default=0), sum(one.most_a_year for one in by_start.values()))


class _Reader:
    """Reads one document."""

    def __init__(self, default_length: timedelta, leniency: Leniency) -> None:
        self._default_length = default_length
        self._forgive = leniency.forgive

    def schedules(self, document: _Node) -> tuple[Schedule, ...]:
        self._know_only(document, self._object(document), ("schedules", "except"))
        schedules = document.member("schedules").items("a list of schedules")
        if len(schedules) > MOST_SCHEDULES:
            raise InvalidRecurrence(f"schedules has {len(schedules)} items; expected at most {MOST_SCHEDULES}")
        found = tuple(map(self._schedule, schedules))
        _require_few(found)
        return found

    def _schedule(self, node: _Node) -> Schedule:
        members = self._object(node)
        kind = self._word(node.member("type"), tuple(_KEYS))
        self._know_only(node, members, _KEYS[kind])
        return Schedule(
            weekday=WEEKDAYS.index(self._word(node.member("weekday"), WEEKDAYS)),
            hours=self._hours(node),
            every_n_weeks=self._every_n_weeks(node.member("every_n_weeks")) if kind == "weekly" else 1,
            which=self._which(node.member("which")) if kind == "monthly_nth_weekday" else EVERY_WEEK,
        )

    def _hours(self, node: _Node) -> LocalHours:
        start, end = node.member("start_time"), node.member("end_time")
        states_no_end = end.is_missing or end.value is None
        return LocalHours(self._time(start), None if states_no_end else self._time(end), self._default_length)

    def breaks(self, document: _Node) -> tuple[Break, ...]:
        node, expected = document.member("except"), "a list of dates, and of objects with from, to and why"
        if node.is_missing:
            return ()
        if node.value is None:
            self._forgive(node.problem(expected))
            return ()
        breaks = node.items(expected)
        if len(breaks) > MOST_BREAKS:
            raise InvalidRecurrence(f"except has {len(breaks)} items; expected at most {MOST_BREAKS}")
        return tuple(map(self._break, breaks))

    def _break(self, node: _Node) -> Break:
        if isinstance(node.value, str):
            day = self._date(node)
            return Break(day, day)
        members = self._object(node, "a date such as '2026-12-24', or an object with from, to and why")
        self._know_only(node, members, _BREAK_KEYS)
        first, last = self._date(node.member("from")), self._date(node.member("to"))
        if last < first:
            raise node.member("to").refused(f"{first} or later")
        return Break(first, last, self._why(node.member("why")))

    def _date(self, node: _Node) -> date:
        expected = f"a date such as '2026-12-24', in a year from {FIRST_YEAR} to {LAST_YEAR}"
        text = node.value.strip() if isinstance(node.value, str) else ""
        try:
            found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError:
            found = None
        if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
            raise node.refused(expected)
        if text != node.value:
            self._forgive(node.problem(repr(text)))
        return found

    def _why(self, node: _Node) -> str | None:
        """Return the reason. One that cannot be shown changes no date, so that it is forgiven, and left out."""
        if node.is_missing:
            return None
        text = node.value.strip() if isinstance(node.value, str) else ""
        if text != node.value or not 1 <= len(text) <= LONGEST_WHY or not text.isprintable():
            self._forgive(node.problem(f"printable text of 1 to {LONGEST_WHY} characters"))
        return text if 1 <= len(text) <= LONGEST_WHY and text.isprintable() else None

    def _object(self, node: _Node, expected: str = f"an object, as in {EXAMPLE}") -> _Object:
        if not isinstance(node.value, _Object):
            raise node.refused(expected)
        for key in node.value.repeated:
            self._forgive(f"{node.place} has the key {_shown(key)} more than once; expected it once")
        return node.value

    def _know_only(self, node: _Node, members: _Object, known: Sequence[str]) -> None:
        for key in members:
            if key not in known:
                self._forgive(f"{node.place} has an unknown key, {_shown(key)}; expected only {', '.join(known)}")

    def _word(self, node: _Node, known: Sequence[str]) -> str:
        word = node.value.strip().lower() if isinstance(node.value, str) else None
        if word is None or word not in known:
            raise node.refused(f"one of {', '.join(known)}")
        if word != node.value:
            self._forgive(node.problem(repr(word)))
        return word

    def _time(self, node: _Node) -> time:
        match = _TIME.fullmatch(node.value.strip()) if isinstance(node.value, str) else None
        if match is None:
            raise node.refused("a time from '0:00' to '23:59' (midnight is '0:00')")
        hour, minute = match.groups()
        if node.value != f"{hour}:{minute}":
            self._forgive(node.problem(f"'{hour}:{minute}'"))
        return time(int(hour), int(minute))

    def _every_n_weeks(self, node: _Node) -> int:
        expected = f"a whole number from 1 to {MOST_WEEKS}"
        if node.is_missing:
            return 1
        if node.value is None:
            self._forgive(node.problem(expected))
            return 1
        if type(node.value) is not int or not 1 <= node.value <= MOST_WEEKS:
            raise node.refused(expected)
        return node.value

    def _which(self, node: _Node) -> frozenset[int]:
        expected = "a list of numbers from 1 to 5, or -1 for the last"
        items = node.items(expected)
        if not items:
            self._forgive(node.problem(expected))
        return frozenset(map(self._nth, items))

    def _nth(self, node: _Node) -> int:
        if type(node.value) is not int or node.value not in EVERY_WEEK | {LAST}:
            raise node.refused("1, 2, 3, 4, 5, or -1 for the last")
        return node.value
