"""How the pages say things: names, places, days and times, always with the zone that they are in."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from core.errors import UnknownTimeZone
from core.recurrence import Occurrence, Recurrence, describe
from core.recurrence.schedules import WEEKDAYS, LocalHours
from core.store.views.boards import WindowRow
from core.store.views.pages import InstanceRow, PersonRow
from core.store.views.places import Attendee, Town
from core.timezones import to_local, to_utc
from core.windows import StatedHours, stated_hours

NOBODY = "Somebody"
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS = tuple(name.capitalize() for name in WEEKDAYS)


def full_name(person: PersonRow | Attendee) -> str:
    """Return "Nóirín Ní Bhriain"."""
    return " ".join(filter(None, (person.first_name, person.last_name))).strip() or NOBODY


def told_apart(people: Sequence[PersonRow | Attendee]) -> list[str]:
    """Return the names of these people.

    Where two of them have one name, each with their town: "Seán (Dublin)". Where that does not tell them apart either,
    each with their number too: "Seán (Dublin), no. 12".
    """
    names = [full_name(person) for person in people]
    towns = [f" ({person.city})" if person.city else "" for person in people]
    labels = [name + town * (names.count(name) > 1) for name, town in zip(names, towns, strict=True)]
    numbers = [f", no. {person.person_id}" for person in people]
    return [label + number * (labels.count(label) > 1) for label, number in zip(labels, numbers, strict=True)]


def people(count: int) -> str:
    """Return "Nobody", "1 person" or "3 people", as the beginning of a sentence."""
    return "Nobody" if not count else "1 person" if count == 1 else f"{count} people"


def town(city: str | None, state: str | None) -> str:
    """Return "Austin, TX"."""
    return ", ".join(filter(None, (city, state))) or "Somewhere"


def whole_town(of: Town) -> str:
    """Return "Austin, TX, USA"."""
    return ", ".join(filter(None, ((part or "").strip() for part in (of.city, of.state, of.country)))) or "Somewhere"


def town_query(of: Town) -> str:
    """Return what an address says of a town or a country: "city=Austin&state=TX&country=USA"."""
    named = {"city": of.city, "state": of.state, "country": of.country}
    return urlencode({name: value.strip() for name, value in named.items() if value and value.strip()})


def place(city: str | None, country: str | None) -> str:
    """Return "Austin, USA"."""
    return ", ".join(filter(None, (city, country))) or "Somewhere"


def zone(name: str | None) -> str:
    """Return "Chicago time" for "America/Chicago"; abbreviations would mean different things in different countries."""
    last = (name or "").rsplit("/", 1)[-1].replace("_", " ")
    return f"{last} time" if "/" in (name or "") else last or "no time zone"


def day(at: date) -> str:
    """Return "Thursday 26 November"."""
    return f"{_DAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]}"


def short_day(at: date) -> str:
    """Return "Thu 26 Nov"."""
    return f"{_DAYS[at.weekday()][:3]} {at.day} {_MONTHS[at.month - 1][:3]}"


def day_and_year(at: date) -> str:
    """Return "Thursday 26 November 2026"."""
    return f"{day(at)} {at.year}"


def day_beside(at: date, other: date) -> str:
    """Return a day as it is told beside another: with its year if they are of two."""
    return day(at) if at.year == other.year else day_and_year(at)


def clock(at: time | datetime) -> str:
    """Return "7pm" or "10:30pm"."""
    start = datetime.combine(date.min, at.time() if isinstance(at, datetime) else at)
    return describe.hours(Occurrence(start.replace(second=0), start, states_end=False)).removeprefix("from ")


def hours(occurrence: Occurrence | None) -> str:
    """Return "7–10:30pm", with an en dash."""
    return describe.hours(occurrence).replace("-", "–") if occurrence else "no times given"


def pattern(recurrence: Recurrence) -> str:
    """Return a recurrence as "Thursdays, 7–10:30pm"."""
    return re.sub(r"(?<=\w)-(?=\w)", "–", describe.describe(recurrence))


def local_clock(at: datetime, zone_name: str | None) -> str:
    """Return an instant as the clocks of a zone show it: "6pm"; in UTC, and labelled so, if the zone is unknown."""
    try:
        return clock(to_local(at, zone_name or ""))
    except UnknownTimeZone:
        return f"{at.astimezone(UTC):%H:%M} UTC"


def local_day_and_clock(at: datetime, zone_name: str | None, now: datetime) -> str:
    """Return an instant as "Today 6pm", as "Thu 6pm" if it is within six days, or as "Mon 21 Dec 6pm"."""
    try:
        local, today = (to_local(one, zone_name or "") for one in (at, now))
    except UnknownTimeZone:
        local, today = at.astimezone(UTC), now.astimezone(UTC)
    days = (local.date() - today.date()).days
    named = "Today" if days == 0 else _DAYS[local.weekday()][:3] if 0 < days <= 6 else short_day(local)
    return f"{named} {local_clock(at, zone_name)}"


def occurrence(row: InstanceRow | WindowRow, default_length: timedelta) -> Occurrence | None:
    """Return the local hours of an instance: its own, else those of the occurrence that it is bound to (T3, P2)."""
    if row.start_time is not None:
        return LocalHours(row.start_time, row.end_time, default_length).on(row.date)
    if row.occurrence_start and row.occurrence_end:
        return Occurrence(row.occurrence_start, row.occurrence_end)
    return None


def moved(row: InstanceRow, hours: Occurrence | None) -> str | None:
    """Return "Moved from Thursday 3 December, 7pm" for an instance that starts at another time than its occurrence."""
    usual = row.occurrence_start
    if usual is None or row.is_lost or hours is None or hours.start == usual:
        return None
    return f"Moved from {day_beside(usual.date(), hours.start.date())}, {clock(usual)}"


def stated(found: Occurrence | None, zone_name: str | None) -> StatedHours | None:
    """Return local hours as instants; None if they or the zone are unknown."""
    try:
        return stated_hours(found.start, found.end, zone_name or "") if found else None
    except UnknownTimeZone:
        return None


def music(found: StatedHours | None, zone_name: str | None, now: datetime, *, states_end: bool) -> str:
    """Return where an evening that is on stands in its own hours; the buffers around them are ours (T2)."""
    if found is None:
        return "On now"
    if now < found.starts_at:
        return f"Starts at {local_clock(found.starts_at, zone_name)}, people are gathering"
    if now >= found.ends_at:
        return "Winding down"
    return f"Playing until {local_clock(found.ends_at, zone_name)}" if states_end else "Playing"


def beside(found: Occurrence | None, zone_name: str | None, own_zone: str | None) -> str | None:
    """Return the same hours as the viewer's own clocks show them, with day and zone; None if they are the same."""
    if found is None or own_zone is None:
        return None
    try:
        start, end = (to_local(to_utc(at, zone_name or ""), own_zone) for at in (found.start, found.end))
    except UnknownTimeZone:
        return None
    if (start, end) == (found.start, found.end):
        return None
    theirs = hours(Occurrence(start, end, found.states_end))
    return f"{day(start.date())}, {theirs}, {zone(own_zone)}"


def skipped(found: Occurrence | None, zone_name: str | None) -> str | None:
    """Return a sentence where the clocks skip the stated start, and the start is at another time; else None (T1)."""
    if found is None:
        return None
    try:
        shown = to_local(to_utc(found.start, zone_name or ""), zone_name or "")
    except UnknownTimeZone:
        return None
    if shown == found.start:
        return None
    return f"The clocks skip {clock(found.start)} that night, so it starts at {clock(shown)}."


_PLACE = re.compile(r"^(schedules|except)\[(\d+)\](?:\.(\w+))?")
_ITEM = {"schedules": "schedule", "except": "break"}
_NOT_JSON = re.compile(r" is not JSON \(.*(line \d+) (column \d+) \(char \d+\)\)")


def problem(message: str) -> str:
    """Return the message of an error as sentences for organisers: what is wrong, and what is accepted."""
    text = _PLACE.sub(lambda found: _place(*found.groups()), message)
    text = _NOT_JSON.sub(r" cannot be read as JSON from \1, \2 on", text)
    text = re.sub("; expected (?:only )?", ". Accepted: ", text, count=1)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _place(items: str, index: str, key: str | None) -> str:
    item = f"{_ITEM[items]} {int(index) + 1}"
    return f"in {item}, {key}" if key else item


def with_commands(text: str) -> Markup:
    """Return the text as HTML, with the commands in it as code: a name in it may have a backtick too."""
    parts = re.split(r"`((?:python -m|SELECT|NOTIFY) [^`]*)`", text)
    return Markup().join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "full_name": full_name,
    "people": people,
    "told_apart": told_apart,
    "problem": problem,
    "town": town,
    "place": place,
    "whole_town": whole_town,
    "town_query": town_query,
    "zone": zone,
    "day": day,
    "short_day": short_day,
    "day_and_year": day_and_year,
    "clock": clock,
    "hours": hours,
    "occurrence": occurrence,
    "local_clock": local_clock,
    "moved": moved,
    "skipped": skipped,
    "with_commands": with_commands,
}
"""The functions that templates call as `words.NAME`."""
