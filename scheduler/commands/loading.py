"""Loads sessions from a JSON file: checks the whole file before it writes anything.

The file is `{"sessions": [...]}`; each has name, timezone, and schedules (or recurrence, as text), and may have city,
state, country, path, initiation_date, termination_date, active_buffer_minutes_before and _after.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from core.errors import InvalidRecurrence, InvalidSessionFile, UnknownTimeZone
from core.models import CANNOT_BE_STORED
from core.recurrence import validate
from core.recurrence.schedules import FIRST_YEAR, LAST_YEAR
from core.store import sessions
from core.timezones import require_zone
from core.windows import LONGEST_BUFFER_MINUTES

MOST_BYTES = 64 * 1024 * 1024
"""Of the file."""

MOST_CHARACTERS = 100_000
"""Of one session, or of another value in the file."""

MOST_PROBLEMS = 100
"""An error lists so many problems, and gives the number of the others."""

MOST_AT_ONCE = 500
"""So many sessions are written by one statement."""

TEXTS = ("path", "city", "state", "country")
DATES = ("initiation_date", "termination_date")
BUFFERS = ("active_buffer_minutes_before", "active_buffer_minutes_after")
KNOWN = {"name", "timezone", "schedules", "recurrence", "source", *TEXTS, *DATES, *BUFFERS}

Values = dict[str, str | date | int | None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many sessions were new, changed or unchanged, and the warnings to print."""

    inserted: int
    updated: int
    unchanged: int
    warnings: tuple[str, ...]


def read(path: Path) -> tuple[list[Values], tuple[str, ...]]:
    """Return the file's sessions and warnings; raise an `InvalidSessionFile` that lists all problems.

    It reads one session after another. After text that is not JSON it reads no further.
    """
    found: list[Values] = []
    problems: list[str] = []
    warnings: list[str] = []
    places: dict[tuple[str, str], str] = {}
    document = _Document(_text_of(path))
    try:
        for place, entry in document.sessions():
            try:
                document.require_no_repeated_key()
                values = _session(entry, warnings)
                _require_new(places, values, place)
                found.append(values)
            except (InvalidSessionFile, InvalidRecurrence, UnknownTimeZone) as error:
                problems.append(f"{place}: {error}")
    except InvalidSessionFile as error:
        problems.append(str(error))
    if problems:
        more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
        raise InvalidSessionFile("\n  ".join([f"{path}: nothing was loaded", *problems[:MOST_PROBLEMS], *more]))
    return found, tuple(warnings)


def _require_new(places: dict[tuple[str, str], str], values: Values, place: str) -> None:
    """Raise InvalidSessionFile if the file has this session at another place too: each load would write both."""
    first = places.setdefault(sessions.identity(values), place)
    if first != place:
        raise InvalidSessionFile(f"has the name and the city of {first}; expected each session once")


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        raise InvalidSessionFile(f"{path}: {error}") from error
    if len(content) > MOST_BYTES:
        raise InvalidSessionFile(f"{path}: the file has more than {MOST_BYTES} bytes; expected at most that")
    return text


_SPACE = re.compile(r"[ \t\n\r]*")


class _Document:
    """Reads a JSON text value by value: so a value is of bounded size, and what is wrong has a place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self._repeated: list[str] = []
        self._place = ""

    def sessions(self) -> Iterator[tuple[str, object]]:
        """Yield the place and the value of each item of the list "sessions", and skip what else is in the object."""
        lists = 0
        for _ in self._items("{", "}"):
            key = self._value()
            self._take(":")
            if key != "sessions":
                self._value()
                continue
            lists += 1
            for number in self._items("[", "]"):
                self._place = f"sessions[{number}]: "
                yield self._place.removesuffix(": "), self._value()
            self._place = ""
        if lists != 1 or self._next():
            raise self._problem(self._at, f"the list is there {lists} times" if lists != 1 else "the object is over")

    def require_no_repeated_key(self) -> None:
        """Raise InvalidSessionFile if an object in the last value has a key more than once."""
        if self._repeated:
            raise InvalidSessionFile(f"has the key {self._repeated[0]!r:.60} more than once; expected it once")

    def _items(self, opening: str, closing: str) -> Iterator[int]:
        """Yield the number of each item of an object or a list; the caller reads the item."""
        self._take(opening)
        if self._next() == closing:
            self._at += 1
            return
        for number in count():
            yield number
            if self._take(f",{closing}") == closing:
                return

    def _next(self) -> str:
        """Return the next character that is not white space; "" at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, expected: str) -> str:
        found = self._next()
        if not found or found not in expected:
            raise self._problem(self._at, f"{found!r} is not {' or '.join(expected)}")
        self._at += 1
        return found

    def _value(self) -> object:
        self._next()
        self._repeated = []
        part = self._text[self._at : self._at + MOST_CHARACTERS + 1]
        try:
            value, length = self._decoder.raw_decode(part)
        except json.JSONDecodeError as error:
            raise self._problem(self._at + error.pos, error.msg) from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; objects in objects
            raise self._problem(self._at, str(error)) from error
        if length > MOST_CHARACTERS:
            raise self._problem(self._at, "the value is too long")
        self._at += length
        return value

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                self._repeated.append(key)
            found[key] = value
        return found

    def _problem(self, at: int, what: str) -> InvalidSessionFile:
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        expected = f'an object with a list "sessions", each of at most {MOST_CHARACTERS} characters'
        return InvalidSessionFile(f"{self._place}line {line} column {column}: {what}; expected {expected}")


def _session(entry: Any, warnings: list[str]) -> Values:
    if not isinstance(entry, dict):
        raise InvalidSessionFile(f"the value is {entry!r:.80}; expected an object with name, timezone and schedules")
    if unknown := sorted(entry.keys() - KNOWN):
        shown = ", ".join(f"{key!r:.60}" for key in unknown[:3])
        raise InvalidSessionFile(f"unknown key {shown}; expected only {', '.join(sorted(KNOWN))}")
    name = _text(entry, "name", required=True)
    recurrence = _recurrence(entry)
    zone = require_zone(_text(entry, "timezone", may_be_blank=True))
    if validate(recurrence, zone=zone).needs_initiation_date and not entry.get("initiation_date"):
        warnings.append(
            f"{name}: meets every n weeks but has no initiation_date, so it may be planned in the wrong weeks"
        )
    return {
        "name": name,
        "timezone": zone,
        "recurrence": recurrence,
        **{key: _text(entry, key) for key in TEXTS},
        **{key: _date(entry, key) for key in DATES},
        **{key: _minutes(entry, key) for key in BUFFERS if key in entry},
    }


def _recurrence(entry: dict[str, Any]) -> str | None:
    if "schedules" in entry and "recurrence" in entry:
        raise InvalidSessionFile("has both schedules and recurrence; expected only one of them")
    if "schedules" in entry:
        return json.dumps({"schedules": entry["schedules"]})
    return _text(entry, "recurrence")


def _text(entry: dict[str, Any], key: str, *, required: bool = False, may_be_blank: bool = False) -> str | None:
    value = entry.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not (value.strip() or may_be_blank):
        raise InvalidSessionFile(f"{key} is {value!r:.80}; expected text")
    if found := CANNOT_BE_STORED.search(value):
        raise InvalidSessionFile(
            f"{key} has {found[0]!r} at character {found.start() + 1}; expected text without NUL and half surrogates"
        )
    return value


def _date(entry: dict[str, Any], key: str) -> date | None:
    text = _text(entry, key)
    if text is None:
        return None
    expected = f"a date such as 2026-03-17, in a year from {FIRST_YEAR} to {LAST_YEAR}"
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidSessionFile(f"{key} is {text!r:.80}; expected {expected}") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise InvalidSessionFile(f"{key} is {text!r}; expected {expected}")
    return found


def _minutes(entry: dict[str, Any], key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LONGEST_BUFFER_MINUTES:
        raise InvalidSessionFile(
            f"{key} is {value!r:.80}; expected a whole number of minutes from 0 to {LONGEST_BUFFER_MINUTES}"
        )
    return value


def load(
    connection: Connection,
    found: list[Values],
    warnings: tuple[str, ...],
    advance: Callable[[int], None] = lambda _: None,
) -> Loaded:
    """Write these sessions, idempotent by name and city; `advance` is called with the number of those just written."""
    inserted = updated = 0
    for first in range(0, len(found), MOST_AT_ONCE):
        some = found[first : first + MOST_AT_ONCE]
        new, changed = sessions.save_all(connection, some)
        inserted += new
        updated += changed
        advance(len(some))
    return Loaded(inserted, updated, len(found) - inserted - updated, warnings)
