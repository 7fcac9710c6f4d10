"""Loads sessions from a JSON file: checks the whole file before it writes anything.

The file is `{"sessions": [...]}`; each has name, timezone, and schedules (or recurrence, as text), and may have city,
state, country, path, initiation_date, termination_date, active_buffer_minutes_before and _after.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from core.errors import InvalidRecurrence, InvalidSessionFile, UnknownTimeZone
from core.recurrence import validate
from core.store import sessions
from core.timezones import require_zone
from core.windows import LONGEST_BUFFER_MINUTES

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
    """Return the file's sessions and warnings; raise an `InvalidSessionFile` that lists all problems."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSessionFile(f"{path}: {error}") from error
    entries = document.get("sessions") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InvalidSessionFile(f'{path}: expected an object with a list "sessions"')
    found: list[Values] = []
    problems: list[str] = []
    warnings: list[str] = []
    for number, entry in enumerate(entries):
        try:
            found.append(_session(entry, warnings))
        except (InvalidSessionFile, InvalidRecurrence, UnknownTimeZone) as error:
            problems.append(f"sessions[{number}]: {error}")
    if problems:
        raise InvalidSessionFile(f"{path}: nothing was loaded\n  " + "\n  ".join(problems))
    return found, tuple(warnings)


def _session(entry: Any, warnings: list[str]) -> Values:
    if not isinstance(entry, dict):
        raise InvalidSessionFile(f"the value is {entry!r:.80}; expected an object with name, timezone and schedules")
    if unknown := sorted(entry.keys() - KNOWN):
        raise InvalidSessionFile(f"unknown key {', '.join(unknown)}; expected only {', '.join(sorted(KNOWN))}")
    name = _text(entry, "name", required=True)
    recurrence = _recurrence(entry)
    zone = require_zone(_text(entry, "timezone"))
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


def _text(entry: dict[str, Any], key: str, *, required: bool = False) -> str | None:
    value = entry.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise InvalidSessionFile(f"{key} is {value!r}; expected text")
    return value


def _date(entry: dict[str, Any], key: str) -> date | None:
    text = _text(entry, key)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidSessionFile(f"{key} is {text!r}; expected a date such as 2026-03-17") from error


def _minutes(entry: dict[str, Any], key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LONGEST_BUFFER_MINUTES:
        raise InvalidSessionFile(
            f"{key} is {value!r}; expected a whole number of minutes from 0 to {LONGEST_BUFFER_MINUTES}"
        )
    return value


def load(
    connection: Connection, found: list[Values], warnings: tuple[str, ...], advance: Callable[[], None] = lambda: None
) -> Loaded:
    """Write these sessions, idempotent by name and city; `advance` is called after each."""
    inserted = updated = 0
    for values in found:
        existing = sessions.find_session(connection, str(values["name"]), values["city"])  # type: ignore[arg-type] # text
        if existing is None:
            sessions.insert_session(connection, values)
            inserted += 1
        else:
            updated += sessions.update_session(connection, existing, values)
        advance()
    return Loaded(inserted, updated, len(found) - inserted - updated, warnings)
