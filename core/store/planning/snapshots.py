"""Reads what the planner needs to know about a chunk of sessions, in three statements."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Date,
    Row,
    ScalarSelect,
    Select,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    join,
    literal_column,
    or_,
    outerjoin,
    select,
    true,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from core.choices import OLDER_ACTIVE, PLAN_AHEAD_FROM, PLAN_ONLY_WHERE
from core.models import (
    ActivationLog,
    Choice,
    LocalDateTime,
    MusicSession,
    PlannedInstance,
    SessionInstance,
    SessionInstancePerson,
    SkippedOccurrence,
)
from core.rules.planner import Binding, InstanceSnapshot, SessionSnapshot
from core.store.arrays import is_in
from core.windows import DEFAULT_BUFFER, LONGEST_BUFFER_MINUTES


def _chosen(choice: str) -> ScalarSelect[str]:
    """Return what the database has chosen, or NULL; PostgreSQL reads it once for a statement."""
    return select(Choice.value).where(Choice.name == literal_column(f"'{choice}'")).scalar_subquery()


# The row's present content without `active`, which we flip, and without the app's older column that follows it: while
# this equals `written`, nobody has changed the row.
ROW_CONTENT = (
    func.to_jsonb(literal_column("session_instance")).op("-")("active").op("-")(func.array(_chosen(OLDER_ACTIVE)))
)


# Merged either way round, the two are equal if every column that both know is equal: a column that the app has added or
# dropped since then says nothing about a person's touch. The condition is NULL if a person made the row.
UNTOUCHED = PlannedInstance.written.op("||")(ROW_CONTENT) == ROW_CONTENT.op("||")(PlannedInstance.written)


def snapshots(connection: Connection, session_ids: Collection[int], since: date) -> list[SessionSnapshot]:
    """Return these sessions as the planner sees them.

    With the instances that are dated `since` or later, or bound to an occurrence that starts on `since` or later.
    """
    # The order matters, because the app may commit between two statements.
    # - Sessions before instances: the app may add a recurrence together with its instance. We then read at worst the
    #   instance alone, which does no harm. In the other order we could read the recurrence alone, and make a twin.
    # - Instances before skipped occurrences: the app may delete an instance, which skips its occurrence. We then read
    #   at worst both. In the other order we could read neither, and make the instance again.
    sessions = connection.execute(_SESSIONS, {"ids": session_ids}).all()
    instances = _instances(connection, session_ids, since)
    skipped = _skipped(connection, session_ids, since)
    return [
        SessionSnapshot(
            *row[:7],
            instances=tuple(instances.get(row.session_id, ())),
            skipped=frozenset(skipped.get(row.session_id, ())),
            is_planned=row.is_planned,
            hours_ahead=row.hours_ahead,
        )
        for row in sessions
    ]


def _minutes(buffer: InstrumentedAttribute[int]) -> ColumnElement[int]:
    """Return a buffer as it counts: an adopted table may hold any number, and NULL."""
    stated = func.coalesce(buffer, DEFAULT_BUFFER // timedelta(minutes=1))
    return func.least(func.greatest(stated, 0), LONGEST_BUFFER_MINUTES)


def _is_planned() -> ColumnElement[bool]:
    """Return whether a session gets rows: where the database names a column of the app's for that, it must be true."""
    name = _chosen(PLAN_ONLY_WHERE)
    return case((name.is_(None), true()), else_=func.coalesce(cast(_column(name), Boolean), false()))


def _hours_ahead() -> ColumnElement[int | None]:
    name = _chosen(PLAN_AHEAD_FROM)
    return case((name.is_not(None), cast(_column(name), BigInteger)))


def _column(name: ColumnElement[str]) -> ColumnElement[str]:
    """Return a column of the app's as text: only the database knows its name."""
    return func.to_jsonb(literal_column("session")).op("->>")(name)


_SESSIONS = select(
    MusicSession.session_id,
    MusicSession.recurrence,
    MusicSession.timezone,
    MusicSession.initiation_date,
    MusicSession.termination_date,
    _minutes(MusicSession.active_buffer_minutes_before),
    _minutes(MusicSession.active_buffer_minutes_after),
    _is_planned().label("is_planned"),
    _hours_ahead().label("hours_ahead"),
).where(is_in(MusicSession.session_id))


def _instances(connection: Connection, session_ids: Collection[int], since: date) -> dict[int, list[InstanceSnapshot]]:
    values = {"ids": session_ids, "since": since, "midnight": datetime.combine(since, time.min)}
    found: dict[int, list[InstanceSnapshot]] = {}
    for row in connection.execute(_INSTANCES, values).all():
        found.setdefault(row.session_id, []).append(_instance(row))
    return found


def _instances_since() -> Select[*tuple[Any, ...]]:
    # An instance that moved to another session leaves its old binding, which does not count.
    bound_here = (PlannedInstance.session_instance_id == SessionInstance.session_instance_id) & (
        PlannedInstance.session_id == SessionInstance.session_id
    )
    since, midnight = bindparam("since", type_=Date()), bindparam("midnight", type_=LocalDateTime)
    # Two searches, each with its own index. One search with OR over both tables would read a session's whole past.
    wanted = union(
        select(SessionInstance.session_instance_id).where(
            is_in(SessionInstance.session_id), SessionInstance.date >= since
        ),
        select(PlannedInstance.session_instance_id).where(
            is_in(PlannedInstance.session_id), PlannedInstance.occurrence_start >= midnight
        ),
    ).subquery("wanted")
    is_wanted = SessionInstance.session_instance_id == wanted.c.session_instance_id
    return (
        select(
            SessionInstance.session_id,
            SessionInstance.session_instance_id,
            SessionInstance.date,
            SessionInstance.start_time,
            SessionInstance.end_time,
            func.coalesce(SessionInstance.is_cancelled, false()).label("is_cancelled"),
            PlannedInstance.occurrence_start,
            PlannedInstance.occurrence_end,
            PlannedInstance.lost,
            PlannedInstance.moved,
            _of_ours(UNTOUCHED & ~_said()).label("untouched"),
            _of_ours(_has_opened()).label("has_opened"),
        )
        .select_from(outerjoin(join(wanted, SessionInstance, is_wanted), PlannedInstance, bound_here))
        .where(or_(SessionInstance.date >= since, PlannedInstance.occurrence_start >= midnight))
        .order_by(SessionInstance.session_instance_id)
    )


def _of_ours(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition for the rows that the planner wrote; it is not looked at for those of people."""
    return case((PlannedInstance.written.is_(None), false()), else_=condition)


def _said() -> ColumnElement[bool]:
    return exists().where(SessionInstancePerson.session_instance_id == SessionInstance.session_instance_id)


def _has_opened() -> ColumnElement[bool]:
    flipped = exists().where(ActivationLog.session_instance_id == SessionInstance.session_instance_id)
    return SessionInstance.active | flipped


_INSTANCES = _instances_since()


def _instance(row: Row[*tuple[Any, ...]]) -> InstanceSnapshot:
    binding = None
    if row.occurrence_start is not None:
        binding = Binding(row.occurrence_start, row.occurrence_end, row.lost, row.moved)
    return InstanceSnapshot(
        session_instance_id=row.session_instance_id,
        date=row.date,
        start_time=row.start_time,
        end_time=row.end_time,
        is_cancelled=row.is_cancelled,
        binding=binding,
        untouched=row.untouched,
        has_opened=row.has_opened,
    )


def _skipped(connection: Connection, session_ids: Collection[int], since: date) -> dict[int, list[datetime]]:
    values = {"ids": session_ids, "midnight": datetime.combine(since, time.min)}
    found: dict[int, list[datetime]] = {}
    for session_id, start in connection.execute(_SKIPPED, values):
        found.setdefault(session_id, []).append(start)
    return found


_SKIPPED = select(SkippedOccurrence.session_id, SkippedOccurrence.occurrence_start).where(
    is_in(SkippedOccurrence.session_id),
    SkippedOccurrence.occurrence_start >= bindparam("midnight", type_=LocalDateTime),
)
