"""Writes `docs/schedules-2026.md`: the real schedules, planned across a year, for a musician to check.

    python -m tests.schedules_page

A test compares the page with what the code yields today.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from core.recurrence import Occurrence, Recurrence, validate
from core.recurrence.describe import describe
from core.timezones import ClockChange, clock_changes, zone_data_version
from core.windows import stated_hours

ROOT = Path(__file__).parents[1]
SESSIONS = ROOT / "scheduler" / "commands" / "data" / "real_sessions.json"
PAGE = ROOT / "docs" / "schedules-2026.md"
FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)

ABOUT = """\
# The real schedules, 2026

The {count} schedules of `scheduler/commands/data/real_sessions.json`,
as published, and what this code makes of them in a year with two clock changes (zone data {version}).
Made by `python -m tests.schedules_page`; a test holds it to the code.

## When they are held

A session that skips weeks has no initiation date here, so its weeks are counted from Monday 5 January 1970: the dates
may be off by a week from the real ones. All others can be checked against a calendar.

| | session | where | when | in 2026 | the first dates |
|--:|---|---|---|--:|---|
"""

CHANGES = """
## Around the clock changes

For each change of the clocks, the last time that a session starts before it and the first time after it. The hours on
the wall stay; those in UTC move. Hours in parentheses are not stated: a session without an end counts as three hours.
A star marks a session that was active (from an hour before until an hour after) while the clocks changed.

| | session | the clocks | before, local | UTC | after, local | UTC |
|--:|---|---|---|---|---|---|
"""


def page() -> str:
    sessions = json.loads(SESSIONS.read_text(encoding="utf-8"))["sessions"]
    held = [held_row(number, session) for number, session in enumerate(sessions, start=1)]
    changed = [row for number, session in enumerate(sessions, start=1) for row in change_rows(number, session)]
    about = ABOUT.format(count=len(sessions), version=zone_data_version())
    return about + "".join(held) + CHANGES + "".join(changed)


def held_row(number: int, session: dict[str, Any]) -> str:
    read = recurrence(session)
    found = read.between(FIRST, LAST)
    first_dates = ", ".join(f"{one.start:%a} {one.start.day} {one.start:%b}" for one in found[:4])
    where = ", ".join(filter(None, (session.get("city"), session.get("state"), session.get("country"))))
    return row(str(number), session["name"], where, describe(read), str(len(found)), first_dates)


def change_rows(number: int, session: dict[str, Any]) -> list[str]:
    zone = session["timezone"]
    year = clock_changes(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), zone)
    found = recurrence(session).between(FIRST, LAST)
    return [change_row(number, session["name"], zone, change, found) for change in year]


def change_row(number: int, name: str, zone: str, change: ClockChange, found: tuple[Occurrence, ...]) -> str:
    before = [one for one in found if stated_hours(one.start, one.end, zone).starts_at < change.at][-1]
    after = next(one for one in found if stated_hours(one.start, one.end, zone).starts_at >= change.at)
    clocks = str(change).removeprefix("clocks go ")
    return row(str(number), name, clocks, *local_and_utc(before, zone, change), *local_and_utc(after, zone, change))


def local_and_utc(occurrence: Occurrence, zone: str, change: ClockChange) -> tuple[str, str]:
    stated = stated_hours(occurrence.start, occurrence.end, zone)
    star = " \\*" if stated.window().contains(change.at) else ""
    end = f"{occurrence.end:%H:%M}" if occurrence.states_end else f"({occurrence.end:%H:%M})"
    day = f"{occurrence.start:%a} {occurrence.start.day} {occurrence.start:%b}"
    return f"{day}, {occurrence.start:%H:%M}-{end}{star}", f"{stated.starts_at:%a %H:%M}-{stated.ends_at:%H:%M}"


def recurrence(session: dict[str, Any]) -> Recurrence:
    return validate(json.dumps({"schedules": session["schedules"]}))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
