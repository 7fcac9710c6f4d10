"""Reads and writes for our own pages: one session, one instance, people, and the metrics."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    case,
    false,
    func,
    insert,
    literal_column,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import aliased

from core.models import (
    ActivationLog,
    ActivationWindow,
    ActiveInstance,
    MusicSession,
    Person,
    PlannedInstance,
    SessionInstance,
    SessionInstancePerson,
    SessionPlan,
    SkippedOccurrence,
)
from core.store.arrays import is_in


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person's id and name; where a list has two of one name, also the town that tells them apart."""

    person_id: int
    first_name: str | None
    last_name: str | None
    city: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session, with what its page and its form show; `error`: why the last pass failed or could not read it."""

    session_id: int
    name: str
    path: str | None
    city: str | None
    state: str | None
    country: str | None
    timezone: str | None
    recurrence: str | None
    initiation_date: date | None
    termination_date: date | None
    active_buffer_minutes_before: int
    active_buffer_minutes_after: int
    error: str | None


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """An instance with its window: the one that is open or ahead, else the last one, else None.

    `cancel_reason` is None unless it is cancelled. `is_lost`: its occurrence is gone from the pattern, so it has no
    window (P4).
    """

    session_instance_id: int
    session_id: int
    date: date
    start_time: time | None
    end_time: time | None
    location_override: str | None
    comments: str | None
    is_cancelled: bool
    cancel_reason: str | None
    active: bool
    occurrence_start: datetime | None
    occurrence_end: datetime | None
    opens_at: datetime | None
    closes_at: datetime | None
    is_lost: bool

    @property
    def is_off(self) -> bool:
        """Whether it does not take place: it is cancelled, or lost."""
        return self.is_cancelled or self.is_lost


@dataclass(frozen=True, slots=True)
class AttendanceRow:
    """What a person said about an instance, and whether they have left it since."""

    attendance: str | None
    comment: str | None
    has_left: bool


@dataclass(frozen=True, slots=True)
class EveningRow:
    """An instance, what a person said of it, its session's name, town and zone, and whether the person has left it."""

    instance: InstanceRow
    attendance: str
    name: str
    city: str | None
    country: str | None
    timezone: str | None
    has_left: bool


# One session, one instance


def session(connection: Connection, session_id: int, *, for_update: bool = False) -> SessionRow | None:
    """Return a session, or None if there is none; `for_update` locks its row, because the caller writes it next."""
    statement = sessions().where(MusicSession.session_id == session_id)
    if for_update:
        statement = statement.with_for_update(of=MusicSession, key_share=True)
    return next((SessionRow(**row) for row in connection.execute(statement).mappings()), None)


def sessions() -> Select[*tuple[Any, ...]]:
    """Return the statement that selects a `SessionRow` of each session."""
    return select(
        MusicSession.session_id,
        MusicSession.name,
        MusicSession.path,
        MusicSession.city,
        MusicSession.state,
        MusicSession.country,
        MusicSession.timezone,
        MusicSession.recurrence,
        MusicSession.initiation_date,
        MusicSession.termination_date,
        MusicSession.active_buffer_minutes_before,
        MusicSession.active_buffer_minutes_after,
        SessionPlan.error,
    ).outerjoin(SessionPlan, SessionPlan.session_id == MusicSession.session_id)


def sessions_of(connection: Connection, session_ids: Collection[int]) -> list[SessionRow]:
    """Return these sessions, by id."""
    statement = sessions().where(is_in(MusicSession.session_id)).order_by(MusicSession.session_id)
    return [SessionRow(*row) for row in connection.execute(statement, {"ids": session_ids})]


def session_ids(connection: Connection) -> frozenset[int]:
    """Return the ids of all the sessions."""
    return frozenset(connection.scalars(select(MusicSession.session_id)))


def instance(connection: Connection, session_instance_id: int) -> InstanceRow | None:
    """Return an instance, or None if there is none."""
    found = connection.execute(_instances().where(SessionInstance.session_instance_id == session_instance_id))
    return next((InstanceRow(*row) for row in found), None)


MOST_INSTANCES = 1000
"""The most instances that a page or a feed reads: a year of the busiest recurrence (R6)."""


def instances_between(
    connection: Connection, session_ids: Collection[int], first: date, last: date
) -> list[InstanceRow]:
    """Return the sessions' instances dated `first` to `last`, by date and start: the first `MOST_INSTANCES`."""
    statement = (
        _instances()
        .where(SessionInstance.session_id.in_(session_ids), SessionInstance.date.between(first, last))
        .order_by(SessionInstance.date, SessionInstance.start_time, SessionInstance.session_instance_id)
        .limit(MOST_INSTANCES)
    )
    return [InstanceRow(*row) for row in connection.execute(statement)]


def on_now(connection: Connection, session_ids: Collection[int]) -> dict[int, int]:
    """Return what of these sessions is on, whatever its date: session id -> instance id."""
    active = ActiveInstance
    statement = select(active.session_id, active.session_instance_id).where(active.session_id.in_(session_ids))
    return {row.session_id: row.session_instance_id for row in connection.execute(statement)}


def skipped_since(connection: Connection, session_ids: Sequence[int], since: date) -> frozenset[tuple[int, datetime]]:
    """Return the occurrences, on `since` or later, whose instance somebody deleted: session ids and local starts."""
    skipped = SkippedOccurrence
    statement = select(skipped.session_id, skipped.occurrence_start).where(
        skipped.session_id.in_(session_ids), skipped.occurrence_start >= datetime.combine(since, time.min)
    )
    return frozenset((session_id, start) for session_id, start in connection.execute(statement))


def _instances() -> Select[*tuple[Any, ...]]:
    instance, window, bound = SessionInstance, ActivationWindow, PlannedInstance
    is_over = window.phase == "over"
    nearest = (
        select(window.opens_at, window.closes_at)
        .where(window.session_instance_id == instance.session_instance_id)
        .order_by(is_over, case((is_over, None), else_=window.opens_at), window.closes_at.desc())
        .limit(1)
        .lateral("nearest")
    )
    binding = (bound.session_instance_id == instance.session_instance_id) & (bound.session_id == instance.session_id)
    return (
        select(
            instance.session_instance_id,
            instance.session_id,
            instance.date,
            instance.start_time,
            instance.end_time,
            instance.location_override,
            instance.comments,
            func.coalesce(instance.is_cancelled, false()),
            case((instance.is_cancelled.is_(True), instance.cancel_reason)),
            instance.active,
            bound.occurrence_start,
            bound.occurrence_end,
            nearest.c.opens_at,
            nearest.c.closes_at,
            func.coalesce(bound.lost, false()),
        )
        .select_from(instance)
        .outerjoin(bound, binding)
        .outerjoin(nearest, true())
    )


def set_cancelled(
    connection: Connection, session_instance_id: int, *, cancelled: bool, reason: str | None = None
) -> None:
    """Cancel an instance for this reason, or restore it."""
    connection.execute(
        update(SessionInstance)
        .where(SessionInstance.session_instance_id == session_instance_id)
        .values(is_cancelled=cancelled, cancel_reason=reason)
    )


def set_comment(connection: Connection, session_instance_id: int, person_id: int, comment: str) -> str | None:
    """Change the comment of what a person said about an instance, and return what they said; None: they said nothing.

    When they said it, and where they are, stays.
    """
    row = SessionInstancePerson
    statement = (
        update(row)
        .where(row.session_instance_id == session_instance_id, row.person_id == person_id, row.attendance.is_not(None))
        .values(comment=comment, last_modified_date=func.clock_timestamp())
        .returning(row.attendance)
    )
    return connection.execute(statement).scalar_one_or_none()


# People


def person(connection: Connection, person_id: int) -> PersonRow | None:
    """Return a person, or None if there is none."""
    return next(iter(_people(connection, Person.person_id == person_id, limit=1)), None)


def people_named(connection: Connection, words: str, limit: int) -> list[PersonRow]:
    """Return at most `limit` people whose names contain all of these words, by name; no words match everybody.

    Case and accents make no difference: "noirin" finds "Nóirín".
    """
    name = func.concat_ws(" ", Person.first_name, Person.last_name)
    # PostgreSQL normalizes in UTF-8 only; in other encodings a letter is mostly one byte.
    has_accents = func.octet_length(name) > func.length(name)
    form, marks = (literal_column(each, Text()) for each in ("NFD", f"'{_MARKS}'"))
    bare = func.regexp_replace(func.normalize(name, form), marks, "", "g")
    plain = case((has_accents, bare), else_=name)
    has_all = [
        name.icontains(word, autoescape=True) | plain.icontains(_without_marks(word), autoescape=True)
        for word in words.split()
    ]
    return _people(connection, *has_all, limit=limit)


_MARKS = r"[\u0300-\u036f]"
"""The accents, as they stand beside the letters in NFD; PostgreSQL and Python read this alike."""


def _without_marks(word: str) -> str:
    return re.sub(_MARKS, "", unicodedata.normalize("NFD", word))


def insert_person(connection: Connection, first_name: str, last_name: str | None) -> int:
    """Insert a person; return their id."""
    statement = insert(Person).values(first_name=first_name, last_name=last_name).returning(Person.person_id)
    return connection.execute(statement).scalar_one()


def said(connection: Connection, session_instance_id: int, person_id: int) -> AttendanceRow | None:
    """Return what a person said about an instance, or None if they said nothing."""
    row = SessionInstancePerson
    statement = select(row.attendance, row.comment, _has_left()).where(
        row.session_instance_id == session_instance_id, row.person_id == person_id
    )
    return next((AttendanceRow(*found) for found in connection.execute(statement)), None)


def _has_left() -> ColumnElement[bool]:
    row = SessionInstancePerson
    return func.coalesce(row.left_at >= func.coalesce(row.checked_in_at, row.left_at), false())


def said_of(connection: Connection, session_instance_ids: Sequence[int], person_id: int) -> dict[int, str]:
    """Return what a person said about each of these instances: instance id -> attendance."""
    row = SessionInstancePerson
    statement = select(row.session_instance_id, row.attendance).where(
        row.session_instance_id.in_(session_instance_ids), row.person_id == person_id
    )
    return {instance_id: attendance for instance_id, attendance in connection.execute(statement) if attendance}


def evenings_ahead(connection: Connection, person_ids: Collection[int], since: date) -> dict[int, list[EveningRow]]:
    """Return what these people said of instances dated `since` or later: person id -> evenings, by date.

    At most `MOST_INSTANCES` for all of them.
    """
    row, instance = SessionInstancePerson, SessionInstance
    statement = (
        _evenings()
        .add_columns(row.person_id)
        .where(is_in(row.person_id), row.attendance.is_not(None), instance.date >= since)
        .order_by(instance.date, instance.start_time, instance.session_instance_id)
        .limit(MOST_INSTANCES)
    )
    found: dict[int, list[EveningRow]] = {}
    for *evening, person_id in connection.execute(statement, {"ids": person_ids}):
        found.setdefault(person_id, []).append(_evening_row(evening))
    return found


def evenings_before(
    connection: Connection, person_id: int, until: date, limit: int, *, before: int | None = None
) -> list[EveningRow]:
    """Return at most `limit` instances, dated `until` or earlier, that a person said yes to, the latest first.

    `before`: the id of the last instance of the page before. Instances that are cancelled are left out.
    """
    instance = SessionInstance
    key = tuple_(instance.date, instance.session_instance_id)
    statement = (
        _evenings()
        .where(
            SessionInstancePerson.person_id == person_id,
            SessionInstancePerson.attendance == "yes",
            instance.is_cancelled.is_not(True),
            instance.date <= until,
        )
        .order_by(instance.date.desc(), instance.session_instance_id.desc())
        .limit(limit)
    )
    if before is not None:
        last = aliased(SessionInstance)
        statement = statement.where(
            key
            < select(last.date, last.session_instance_id).where(last.session_instance_id == before).scalar_subquery()
        )
    return [_evening_row(row) for row in connection.execute(statement)]


def _evenings() -> Select[*tuple[Any, ...]]:
    row, session = SessionInstancePerson, MusicSession
    return (
        _instances()
        .add_columns(row.attendance, session.name, session.city, session.country, session.timezone, _has_left())
        .join(row, row.session_instance_id == SessionInstance.session_instance_id)
        .join(session, session.session_id == SessionInstance.session_id)
    )


def _evening_row(row: Sequence[Any]) -> EveningRow:
    width = len(fields(InstanceRow))
    return EveningRow(InstanceRow(*row[:width]), *row[width:])


def _people(connection: Connection, *conditions: ColumnElement[bool], limit: int) -> list[PersonRow]:
    statement = (
        select(Person.person_id, Person.first_name, Person.last_name, Person.city)
        .where(*conditions)
        .order_by(*by_name())
        .limit(limit)
    )
    return [PersonRow(*row) for row in connection.execute(statement)]


def by_name() -> tuple[ColumnElement[Any], ...]:
    """Return what orders people by their names."""
    return (func.lower(Person.first_name), func.lower(Person.last_name), Person.person_id.expression)


# Figures


def repairs_by_sweep(connection: Connection, since: timedelta, later_than: timedelta) -> int:
    """Count the flips of the last `since` that the sweep made more than `later_than` after they were due."""
    log = ActivationLog
    statement = select(func.count()).where(
        log.cause == "sweep",
        log.done_at > func.statement_timestamp() - since,
        log.done_at > log.due_at + later_than,
    )
    return connection.execute(statement).scalar_one()
