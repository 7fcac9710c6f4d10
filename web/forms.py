"""The form of a session: the recurrence as rows or as text, its zone, its first and last date, its buffers.

Values in, values and errors out: nothing here knows a request or a database.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time

from werkzeug.datastructures import MultiDict

from core.errors import InvalidRecurrence, UnknownTimeZone
from core.recurrence import Break, Recurrence, validate, with_break, with_start
from core.recurrence.json_text import LONGEST_WHY, MOST_BREAKS, MOST_WEEKS
from core.recurrence.schedules import FIRST_YEAR, LAST_YEAR, WEEKDAYS
from core.settings import load_settings
from core.store.views.pages import SessionRow
from core.timezones import require_zone
from core.windows import LONGEST_BUFFER_MINUTES
from web import words

MOST_ROWS = 20
MONTHLY = "monthly"
NEEDS_FIRST_DATE = "This session is not on every week. Its first date says in which weeks it is on."
WHICH_COUNTS = "You also wrote a text. Which one counts? Choose “These times” or “The text below”."
ENDS_AT_ITS_START = "It ends when it starts. If you do not know when it ends, leave it empty."
WHICH = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth", "-1": "last"}

_PLACE = re.compile(r"(schedules|except)\[(\d+)\](?:\.(\w+))?")
_LABELS = {
    "weekday": "Day", "every_n_weeks": "How often", "start_time": "From", "end_time": "Until", "which": "Which",
    "first": "First day off", "last": "Last day off", "why": "Why?", "rows": "These times", "text": "The text",
    "initiation_date": "First date", "termination_date": "Last date", "timezone": "Time zone",
    "before": "Minutes before it starts", "after": "Minutes after it ends",
}  # fmt: skip
_LACKS_START = re.compile(r"(?i)(?!.*^DTSTART[:;]).*^RRULE:", re.MULTILINE | re.DOTALL)
_STATES_HOURS = re.compile(r"(?im)^RRULE:.*\bBYHOUR=")
_STATES_LENGTH = re.compile(r"(?im)^(DTEND|DURATION)[:;]")


Form = MultiDict[str, str]
"""A form as it was submitted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One schedule of the JSON shape, as its fields hold it; `every` is a number of weeks, or "monthly"."""

    weekday: str = "thursday"
    every: str = "1"
    which: tuple[str, ...] = ()
    start_time: str = ""
    end_time: str = ""

    def schedule(self) -> dict[str, object]:
        """Return the schedule."""
        found: dict[str, object] = {"type": "weekly", "weekday": self.weekday}
        if self.every == MONTHLY:
            found |= {"type": "monthly_nth_weekday", "which": [int(number) for number in self.which]}
        elif self.weeks != 1:
            found["every_n_weeks"] = self.weeks
        return found | {"start_time": self.start_time, "end_time": self.end_time or None}

    @property
    def weeks(self) -> int | None:
        """Every how many weeks; None if it is not an accepted number of weeks."""
        number = int(self.every) if self.every.isascii() and self.every.isdigit() and len(self.every) < 4 else 0
        return number if 1 <= number <= MOST_WEEKS else None


@dataclass(frozen=True, slots=True)
class BreakRow:
    """One break, as its fields hold it; without a last day it is one day."""

    first: str = ""
    last: str = ""
    why: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing is filled in: then it is no break."""
        return not (self.first or self.last or self.why)

    def item(self) -> dict[str, str]:
        """Return the item of `except`."""
        return {"from": self.first, "to": self.last or self.first} | ({"why": self.why} if self.why else {})


@dataclass(frozen=True, slots=True)
class Fields:
    """The form as it is filled in, right or wrong; `shape` is "rows", "text", or "" while it is asked which counts."""

    shape: str
    rows: tuple[Row, ...]
    text: str
    timezone: str
    initiation_date: str
    termination_date: str
    before: str
    after: str
    breaks: tuple[BreakRow, ...] = ()

    @property
    def recurrence(self) -> str | None:
        """The text to be stored; breaks are in it, if it is made of rows."""
        if self.shape == "text":
            return self.text.strip() or None
        if not self.rows:
            return None
        document: dict[str, object] = {"schedules": [row.schedule() for row in self.rows]}
        breaks = [one.item() for one in self.breaks if not one.is_blank]
        return json.dumps(document | ({"except": breaks} if breaks else {}), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the form says, or an error for each field that is wrong; `dates`: the first and the last date."""

    text: str | None
    zone: str
    dates: tuple[date | None, date | None]
    before: int
    after: int
    recurrence: Recurrence
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> Mapping[str, str | date | int | None]:
        """The columns to write."""
        initiation, termination = self.dates
        return {
            "recurrence": self.text,
            "timezone": self.zone,
            "initiation_date": initiation,
            "termination_date": termination,
            "active_buffer_minutes_before": self.before,
            "active_buffer_minutes_after": self.after,
        }

    @property
    def digest(self) -> str:
        """A digest of these values: `save` accepts only values that were shown before."""
        return digest(self.columns)


def digest(values: Mapping[str, object]) -> str:
    """Return a digest of these values."""
    return hashlib.sha256(json.dumps(dict(values), default=str).encode()).hexdigest()


# Filling it in


def stored(session: SessionRow) -> Fields:
    """Return the form of a stored session; a recurrence that rows cannot express is shown as text."""
    text = session.recurrence or ""
    fields = Fields(
        shape="text",
        rows=(),
        text=text,
        timezone=session.timezone or "",
        initiation_date=str(session.initiation_date or ""),
        termination_date=str(session.termination_date or ""),
        before=str(session.active_buffer_minutes_before),
        after=str(session.active_buffer_minutes_after),
    )
    as_rows = replace(fields, shape="rows", text="")
    if not text.strip():
        return as_rows
    try:
        wanted, document = validate(text), json.loads(text)
        rows, breaks = map(_row_of, document["schedules"]), map(_break_of, document.get("except", ()))
        as_rows = replace(as_rows, rows=tuple(rows), breaks=tuple(breaks))
        is_same = validate(as_rows.recurrence) == wanted
    except (InvalidRecurrence, ValueError):  # ValueError: it is no JSON
        return fields
    return as_rows if is_same and len(as_rows.rows) <= MOST_ROWS else fields


def _break_of(item: str | Mapping[str, str]) -> BreakRow:
    if isinstance(item, str):
        return BreakRow(item, item)
    return BreakRow(item["from"], item["to"], item.get("why", ""))


def _row_of(schedule: Mapping[str, object]) -> Row:
    which = schedule.get("which")
    monthly = schedule["type"] == "monthly_nth_weekday"
    return Row(
        str(schedule["weekday"]),
        MONTHLY if monthly else str(schedule.get("every_n_weeks", 1)),
        tuple(map(str, which)) if isinstance(which, list) else (),
        str(schedule["start_time"]).zfill(5),
        str(schedule["end_time"]).zfill(5) if schedule.get("end_time") else "",
    )


def submitted(form: Form, stored_text: str = "") -> Fields:
    """Return the form as somebody sent it.

    Where rows are chosen and somebody typed a text, other than the stored one, the form asks which counts; if they
    have been asked, and choose the rows, their text is dropped.
    """
    shape, text = form.get("shape", ""), form.get("text", "")
    if shape != "text":
        is_typed = text.split() not in ([], stored_text.split())
        if "asked" in form and shape == "rows":
            text = stored_text
        elif is_typed:
            shape = ""
        else:
            shape = "rows"
    return Fields(
        shape=shape,
        rows=tuple(_submitted_row(form, number) for number in range(min(_count(form, "rows"), MOST_ROWS))),
        text=text,
        timezone=form.get("timezone", "").strip(),
        initiation_date=form.get("initiation_date", "").strip(),
        termination_date=form.get("termination_date", "").strip(),
        before=form.get("before", "").strip(),
        after=form.get("after", "").strip(),
        breaks=tuple(_submitted_break(form, number) for number in range(min(_count(form, "breaks"), MOST_BREAKS))),
    )


def _count(form: Form, name: str) -> int:
    text = form.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def _submitted_break(form: Form, number: int) -> BreakRow:
    first, last, why = (form.get(f"break-{name}-{number}", "").strip() for name in ("first", "last", "why"))
    return BreakRow(first, last, why)


def _submitted_row(form: Form, number: int) -> Row:
    weekday = form.get(f"weekday-{number}", "")
    return Row(
        weekday,
        form.get(f"every-{number}", ""),
        tuple(which for which in form.getlist(f"which-{number}") if which in WHICH),
        form.get(f"start-{number}", "").strip(),
        form.get(f"end-{number}", "").strip(),
    )


# Checking it


def checked(fields: Fields) -> Checked:
    """Return what the form says; every field that is wrong has its own error."""
    errors: dict[str, str] = {}
    zone = _zone(fields.timezone, errors)
    initiation = read_date("initiation_date", fields.initiation_date, errors)
    termination = read_date("termination_date", fields.termination_date, errors)
    if initiation and termination and termination < initiation:
        errors["termination_date"] = "The last date is before the first date."
    text, recurrence = _recurrence(fields, zone, initiation, errors)
    if recurrence.needs_initiation_date and not initiation and "initiation_date" not in errors:
        errors["initiation_date"] = NEEDS_FIRST_DATE
    before, after = _minutes("before", fields.before, errors), _minutes("after", fields.after, errors)
    return Checked(text, fields.timezone, (initiation, termination), before, after, recurrence, errors)


def _zone(name: str, errors: dict[str, str]) -> str | None:
    try:
        return require_zone(name)
    except UnknownTimeZone as error:
        errors["timezone"] = words.problem(str(error))
        return None


def plain(text: str) -> str:
    """Return a text without the spaces around it, and with line breaks as the database has them."""
    return text.replace("\r\n", "\n").strip()


def is_same(sent: str, shown: str) -> bool:
    """Whether a text came back as it was shown; a field of one line drops line breaks."""
    return sent in (shown, shown.replace("\n", ""))


def read_date(name: str, text: str, errors: dict[str, str]) -> date | None:
    """Return the date that a field holds; None if it is empty or wrong, and then with an error."""
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        errors[name] = "Give a date such as 2026-11-26."
        return None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        errors[name] = f"Give a year from {FIRST_YEAR} to {LAST_YEAR}."
    return found


def _minutes(name: str, text: str, errors: dict[str, str]) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= LONGEST_BUFFER_MINUTES:
        return int(text)
    errors[name] = f"Give a whole number of minutes from 0 to {LONGEST_BUFFER_MINUTES}."
    return 0


def _recurrence(
    fields: Fields, zone: str | None, first: date | None, errors: dict[str, str]
) -> tuple[str | None, Recurrence]:
    """Return the text to store, and what it says."""
    if not fields.shape:
        errors["rows"] = WHICH_COUNTS
        return None, Recurrence()
    if fields.shape == "rows":
        _check_rows(fields.rows, errors)
    breaks = _breaks(fields.breaks, errors)
    if any(name.startswith(("row-", "break-")) for name in errors):
        return None, Recurrence()
    try:
        text = fields.recurrence
        if text and _LACKS_START.match(text):
            text = _started(fields, text, zone, first, errors)
        if text and fields.shape == "text":
            for one in breaks:
                text = with_break(text, one.first, one.last, one.why, zone=zone)
        return text, validate(text, default_length=load_settings().default_length, zone=zone)
    except InvalidRecurrence as error:
        name = _field_of(fields, str(error))
        errors.setdefault(name, _told(fields, str(error)))
        return None, Recurrence()


def _started(fields: Fields, text: str, zone: str | None, first: date | None, errors: dict[str, str]) -> str | None:
    """Return a calendar rule that lacks DTSTART with one: the form's first date, at the hours of its first time."""
    row = fields.rows[0] if fields.rows else Row()
    try:
        start, end = (time.fromisoformat(at.zfill(5)) if at else None for at in (row.start_time, row.end_time))
    except ValueError:
        start = end = None
    if _STATES_HOURS.search(text):
        start, end = time(), None
    if start is None:
        errors["text"] = (
            "The rule does not say at what time it starts. Accepted: hours in the rule, such as BYHOUR=19;BYMINUTE=30, "
            "or a line such as DTSTART:20261105T193000."
        )
    if first is None:
        errors.setdefault("initiation_date", "The rule does not say on which date it begins. Give the first date.")
    if start is None or first is None:
        return None
    if end and end != start and not _STATES_LENGTH.search(text):
        lasts = datetime.combine(first, end) - datetime.combine(first, start)
        text = f"{text}\nDURATION:PT{lasts.seconds // 60}M"
    return with_start(text, datetime.combine(first, start), zone=zone)


def _breaks(rows: Sequence[BreakRow], errors: dict[str, str]) -> list[Break]:
    """Return the breaks; add an error for each wrong field of them."""
    found = []
    for number, row in enumerate(rows):
        if row.is_blank:
            continue
        first, last = f"break-{number}-first", f"break-{number}-last"
        begins, ends = read_date(first, row.first, errors), read_date(last, row.last or row.first, errors)
        if not row.first:
            errors[first] = "Give the first day of the break."
        elif not row.last:
            errors.pop(last, None)  # the first day's error is enough
        if begins and ends and ends < begins:
            errors[last] = f"The last day off is before the first. Choose {words.day_and_year(begins)} or later."
        if len(row.why) > LONGEST_WHY or not row.why.isprintable():
            told = f"This reason cannot be saved. Accepted: at most {LONGEST_WHY} characters, on one line."
            errors[f"break-{number}-why"] = told
        if begins and ends:
            found.append(Break(begins, ends, row.why or None))
    return found


def _check_rows(rows: Sequence[Row], errors: dict[str, str]) -> None:
    """Add an error, in the words of the form, for each wrong field of the rows."""
    for number, row in enumerate(rows):
        if not row.start_time:
            errors[f"row-{number}-start_time"] = "Give the time when it starts."
        elif row.start_time.zfill(5) == row.end_time.zfill(5):
            errors[f"row-{number}-end_time"] = ENDS_AT_ITS_START
        if row.every == MONTHLY and not row.which:
            errors[f"row-{number}-which"] = "Choose which ones in each month. Tick at least one box."
        if row.weekday not in WEEKDAYS:
            errors[f"row-{number}-weekday"] = "Choose a day of the week."
        if row.every != MONTHLY and row.weeks is None:
            errors[f"row-{number}-every_n_weeks"] = f"Choose how often: every 1 to {MOST_WEEKS} weeks, or each month."


def _field_of(fields: Fields, message: str) -> str:
    """Return the name of the form's field for an error: the message names its place in the document."""
    place = _PLACE.match(message)
    if fields.shape == "text" or place is None or place[1] == "except":
        return "text" if fields.shape == "text" else "rows"
    return f"row-{place[2]}-{place[3] or 'weekday'}"


def label(name: str) -> str:
    """Return the label of a field, by the name of its error; those of a second row say so: "From (2)"."""
    row, _, field_name = name.rpartition("-")
    number = int(row.rpartition("-")[2]) if row else 0
    return _LABELS.get(field_name, field_name) + (f" ({number + 1})" if number else "")


def _told(fields: Fields, message: str) -> str:
    """Return an error in the words of the form: a time of its rows by its label, a text by its own places."""
    place = _PLACE.match(message)
    if fields.shape == "rows" and place and place[1] == "schedules":
        message = _LABELS.get(place[3] or "weekday", "This time") + message[place.end() :]
    told = words.problem(message)
    quoted, is_no_json, rest = told.partition(" cannot be read as JSON")
    if is_no_json:
        quoted = quoted.strip("'")
        told = (
            f"We cannot read “{quoted}”. It is easier to choose “These times” above. It is no JSON{rest}"
            " Accepted too: lines of a calendar rule, such as DTSTART:20261105T193000 and RRULE:FREQ=WEEKLY;BYDAY=TH."
        )
    return told
