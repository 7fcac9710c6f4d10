"""A session's dates: those of its rows, and those of its recurrence that have no row yet."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from core.errors import InvalidRecurrence, UnknownTimeZone
from core.recurrence import Occurrence, Recurrence, parse
from core.settings import load_settings
from core.store.views import pages
from core.store.views.pages import EveningRow, InstanceRow, SessionRow
from core.timezones import to_local
from web import words

AHEAD = timedelta(days=400)
"""How far ahead a session's page looks for its next dates."""
FARTHEST_ZONE = timedelta(days=1)
"""No zone is farther from UTC: an evening that is dated within a day of today may be over, and may be to come."""


@dataclass(frozen=True, slots=True)
class Date:
    """One date of a session; `instance` is None if it has no row yet.

    `occurrence` is what the recurrence says, `hours` what counts: the instance's own if it states any.
    """

    day: date
    hours: Occurrence | None
    occurrence: Occurrence | None
    instance: InstanceRow | None

    @property
    def is_off(self) -> bool:
        """Whether it has an instance that does not take place."""
        return self.instance is not None and self.instance.is_off

    @property
    def sorts_by(self) -> datetime:
        """The start by which a list of dates is sorted."""
        return self.hours.start if self.hours else datetime.combine(self.day, datetime.min.time())


def recurrence_of(session: SessionRow) -> Recurrence | None:
    """Return what the session's recurrence says; None if it cannot be read."""
    try:
        return parse(session.recurrence, default_length=load_settings().default_length, zone=session.timezone)
    except (InvalidRecurrence, UnknownTimeZone):
        return None


def today(session: SessionRow, now: datetime) -> date:
    """Return the date that it is now in the session's zone."""
    try:
        return to_local(now, session.timezone or "").date()
    except UnknownTimeZone:
        return now.astimezone(UTC).date()


def between(connection: Connection, session: SessionRow, first: date, last: date) -> list[Date]:
    """Return the session's dates from `first` to `last`, both inclusive, by start."""
    return of_each(connection, [session], first, last)[session.session_id]


def of_each(connection: Connection, sessions: Sequence[SessionRow], first: date, last: date) -> dict[int, list[Date]]:
    """Return the dates of each session from `first` to `last`, both inclusive: session id -> dates, by start.

    If together they have more rows than a page reads, the dates end the day before the last row that was read: what
    comes after it may have rows too.
    """
    ids = [session.session_id for session in sessions]
    instances = pages.instances_between(connection, ids, first, last)
    if len(instances) == pages.MOST_INSTANCES:
        last = instances[-1].date - timedelta(days=1)
    rows: dict[int, list[InstanceRow]] = {session_id: [] for session_id in ids}
    for instance in instances:
        rows[instance.session_id].append(instance)
    skipped = pages.skipped_since(connection, ids, first)
    return {session.session_id: _dates(session, rows[session.session_id], skipped, first, last) for session in sessions}


def _dates(
    session: SessionRow,
    instances: list[InstanceRow],
    skipped: Collection[tuple[int, datetime]],
    first: date,
    last: date,
) -> list[Date]:
    found = list(_existing(instances, last))
    taken = {bound.occurrence.start for bound in found if bound.occurrence}
    taken |= {existing.hours.start for existing in found if existing.hours}
    recurrence = recurrence_of(session) or Recurrence()
    occurrences = recurrence.between(
        first, last, initiation_date=session.initiation_date, termination_date=session.termination_date
    )
    found += [
        Date(one.start.date(), one, one, None)
        for one in occurrences
        if one.start not in taken and (session.session_id, one.start) not in skipped
    ]
    return sorted(found, key=lambda date: date.sorts_by)


def _existing(instances: list[InstanceRow], last: date) -> Iterator[Date]:
    return (of_instance(instance) for instance in instances if instance.date <= last)


def of_instance(instance: InstanceRow) -> Date:
    """Return the date of a row."""
    bound = None
    if instance.occurrence_start and instance.occurrence_end:
        bound = Occurrence(instance.occurrence_start, instance.occurrence_end)
    return Date(instance.date, words.occurrence(instance, load_settings().default_length), bound, instance)


def starting(connection: Connection, session: SessionRow, start: datetime) -> Date | None:
    """Return the date whose occurrence starts at this local time; None if the session has none."""
    found = between(connection, session, start.date(), start.date())
    return next((date for date in found if date.occurrence and date.occurrence.start == start), None)


def upcoming(connection: Connection, session: SessionRow, now: datetime, most: int) -> list[Date]:
    """Return the session's next dates, with the one that is on now."""
    begins = today(session, now) - timedelta(days=1)
    ahead = between(connection, session, begins, begins + AHEAD)
    return [date for date in ahead if not is_over(date, session, now)][:most]


def is_over(date: Date, session: SessionRow, now: datetime) -> bool:
    """Return whether a date is past: its window, or its hours if it has none."""
    if date.instance and date.instance.active:
        return False
    if date.instance and date.instance.closes_at and not date.instance.is_cancelled:
        return date.instance.closes_at <= now
    try:
        local = to_local(now, session.timezone or "")
    except UnknownTimeZone:
        local = now.astimezone(UTC).replace(tzinfo=None)
    return date.hours.end <= local if date.hours else date.day < local.date()


def evening_is_over(evening: EveningRow, now: datetime) -> bool:
    """Whether an evening's window is over, or, if it has none, its hours, or its date."""
    instance = evening.instance
    if instance.active:
        return False
    stated = words.stated(words.occurrence(instance, load_settings().default_length), evening.timezone)
    ends_at = instance.closes_at or (stated.ends_at if stated else None)
    if ends_at is not None:
        return ends_at <= now
    return instance.date < (now.astimezone(UTC) - FARTHEST_ZONE).date()
