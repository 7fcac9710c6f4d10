"""Queries for an operator: which sessions fail, what is overdue, who holds locks, and how late the flips were."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    ScalarSelect,
    Select,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import array

from core.models import (
    ActivationLog,
    ActivationWindow,
    MusicSession,
    PlanRequest,
    SessionPlan,
    SkippedOccurrence,
)
from core.rules.explanation.reading import Holder
from core.rules.flips import Cause, Change
from core.windows import LONGEST_BUFFER_MINUTES

# Raw SQL, because SQLAlchemy Core has no tables for the catalogue. A transaction that locks rows also holds a lock on
# their table, in a stronger mode than AccessShareLock, which plain reads take.
_HOLDERS = text(
    """
    SELECT DISTINCT a.pid, a.application_name, a.state, clock_timestamp() - a.xact_start, left(a.query, 120)
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.granted AND l.mode <> 'AccessShareLock'
    AND l.relation IN ('session'::regclass, 'session_instance'::regclass, 'active_instance'::regclass,
                       'session_plan'::regclass, 'person'::regclass)
    AND a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND a.xact_start < clock_timestamp() - CAST(:longer_than AS interval)
    """
)


MOST_OVERDUE = 100
LATE = timedelta(seconds=2)
"""What has been due for longer is overdue; a transaction that has been open for longer may be in the way."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A session whose last pass failed, or whose recurrence or zone cannot be read; `error` is the reason.

    `is_live`: an instance of it is on, or has a window to come. `is_failing`: the pass failed, and is tried again.
    """

    session_id: int
    name: str
    error: str
    is_live: bool
    is_failing: bool


@dataclass(frozen=True, slots=True)
class Overdue:
    """A session with an edge or a request that has been due since `since`; a deleted session has no name."""

    session_id: int
    since: datetime
    name: str | None


@dataclass(frozen=True, slots=True)
class Miss:
    """A flip that a pass made late: `done_at` is after `due_at`; a deleted session has no name."""

    session_id: int
    session_instance_id: int
    active: bool
    cause: str
    due_at: datetime
    done_at: datetime
    name: str | None


@dataclass(frozen=True, slots=True)
class FlipRow:
    """A row of the log of flips, with the session's name, place and zone; a deleted session has none.

    `change`: what the flip means to an app (`core.rules.flips.Change`); None in rows of earlier releases. `daemon`:
    host and process id of the daemon that made it; None where it was a hook, the sweep or a trigger.
    """

    activation_log_id: int
    session_id: int
    session_instance_id: int
    name: str | None
    city: str | None
    country: str | None
    timezone: str | None
    active: bool
    cause: str
    due_at: datetime
    done_at: datetime
    change: str | None = None
    daemon: str | None = None


def unreadable(connection: Connection) -> list[Unreadable]:
    """Return the sessions whose last pass failed, or that could not be read, by id."""
    window = ActivationWindow
    is_live = exists().where(window.session_id == SessionPlan.session_id, window.phase != "over")
    statement = (
        select(
            SessionPlan.session_id,
            MusicSession.name,
            func.coalesce(SessionPlan.error, ""),
            is_live,
            SessionPlan.failures > 0,
        )
        .join(MusicSession, MusicSession.session_id == SessionPlan.session_id)
        .where(SessionPlan.error.is_not(None))
        .order_by(SessionPlan.session_id)
    )
    return [Unreadable(*row) for row in connection.execute(statement)]


def buffers_out_of_bounds(connection: Connection) -> int:
    """Return how many sessions have a buffer that is read as the nearest bound: outside 0 to 1440 minutes, or NULL."""
    before, after = MusicSession.active_buffer_minutes_before, MusicSession.active_buffer_minutes_after
    odd = (or_(buffer.is_(None), buffer < 0, buffer > LONGEST_BUFFER_MINUTES) for buffer in (before, after))
    return connection.execute(select(func.count()).where(or_(*odd))).scalar_one()


def columns_without_value(connection: Connection) -> list[str]:
    """Return the columns of `session_instance` that would be left empty: NOT NULL, no default, and no trigger."""
    return list(connection.scalars(_COLUMNS_WITHOUT_VALUE))


# The catalogue: Core has no tables for it. 7 in tgtype is a trigger FOR EACH ROW, BEFORE, on INSERT; we take its word
# that it fills a column which its source names.
_COLUMNS_WITHOUT_VALUE = text(
    """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'session_instance'::regclass AND attnum > 0 AND NOT attisdropped
    AND attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = ''
    AND attname NOT IN ('session_id', 'date', 'start_time')
    AND NOT EXISTS (
        SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
        WHERE tgrelid = attrelid AND tgenabled IN ('O', 'A') AND tgtype & 7 = 7 AND position(attname IN prosrc) > 0
    )
    ORDER BY attnum
    """
)


def overdue(connection: Connection, longer_than: timedelta, limit: int = MOST_OVERDUE) -> list[Overdue]:
    """Return at most `limit` sessions with something that has been due for longer than this, the oldest first."""
    window, before = ActivationWindow, func.statement_timestamp() - longer_than
    late: list[Select[int, datetime]] = [
        select(window.session_id, window.opens_at.label("since")).where(
            window.phase == "ahead", window.opens_at < before, window.planned_at < before
        ),
        select(window.session_id, window.closes_at).where(
            window.phase == "open", window.closes_at < before, window.planned_at < before
        ),
        select(PlanRequest.session_id, PlanRequest.requested_at).where(PlanRequest.requested_at < before),
    ]
    found = union_all(*late).subquery()
    statement = (
        select(found.c.session_id, func.min(found.c.since).label("since"), _name_of(found.c.session_id))
        .group_by(found.c.session_id)
        .order_by("since")
        .limit(limit)
    )
    return [Overdue(*row) for row in connection.execute(statement)]


def _name_of(session_id: ColumnElement[int]) -> ScalarSelect[str]:
    return select(MusicSession.name).where(MusicSession.session_id == session_id).scalar_subquery()


def holders(connection: Connection, longer_than: timedelta) -> list[Holder]:
    """Return the transactions that may keep a pass waiting, and that have been open for longer than this.

    The last statement of each is without its texts: they may be what the app knows of people.
    """
    found = [Holder(*row) for row in connection.execute(_HOLDERS, {"longer_than": longer_than})]
    return [replace(holder, query=_TEXT.sub("'...'", holder.query)) for holder in found]


_TEXT = re.compile(r"'(?:[^']|'')*(?:'|$)")  # the statement may end within one: it is cut


def misses(connection: Connection, since: timedelta, later_than: timedelta) -> list[Miss]:
    """Return the flips of the last `since` that came more than `later_than` after they were due."""
    log = ActivationLog
    statement = (
        select(
            log.session_id,
            log.session_instance_id,
            log.active,
            log.cause,
            log.due_at,
            log.done_at,
            _name_of(log.session_id.expression),
        )
        .where(
            log.done_at > func.statement_timestamp() - since,
            log.done_at > log.due_at + later_than,
            log.cause != "repair",
        )
        .order_by(log.done_at)
    )
    return [Miss(*row) for row in connection.execute(statement)]


def last_flip(connection: Connection) -> int:
    """Return the id of the last row in the log of flips, or 0 if the log is empty."""
    return connection.execute(select(func.coalesce(func.max(ActivationLog.activation_log_id), 0))).scalar_one()


def flips_since(connection: Connection, log_id: int) -> list[FlipRow]:
    """Return the flips that were logged after this row (exclusive), the oldest first."""
    log = ActivationLog
    statement = _flips().where(log.activation_log_id > log_id).order_by(log.activation_log_id)
    return [FlipRow(*row) for row in connection.execute(statement)]


def lateness(connection: Connection, since: datetime, bounds: Sequence[timedelta]) -> list[int]:
    """Return how many flips since then came less late than each bound, and not less than the one before; then the rest.

    Repairs are left out: they are never late (L7).
    """
    log = ActivationLog
    late = func.extract("epoch", log.done_at - log.due_at)
    steps: array[float] = array([bound.total_seconds() for bound in bounds], type_=Double())
    bucket = func.width_bucket(late, steps).label("bucket")
    statement = select(bucket, func.count()).where(log.done_at >= since, log.cause != "repair").group_by("bucket")
    counts = {row[0]: row[1] for row in connection.execute(statement)}
    return [counts.get(at, 0) for at in range(len(bounds) + 1)]


def history(
    connection: Connection,
    since: datetime,
    *,
    session_id: int | None,
    later_than: timedelta | None,
    cause: Cause | None,
    change: Change | None,
    limit: int,
) -> list[FlipRow]:
    """Return the last flips that were done at `since` or later, at most `limit`, the oldest first.

    `later_than`: only those that came more than this after they were due, without repairs (L7). `cause`: not where a
    row was deleted while it was on: a trigger logs that, and no pass.
    """
    log = ActivationLog
    conditions = [log.done_at >= since]
    if session_id is not None:
        conditions.append(log.session_id == session_id)
    if later_than is not None:
        conditions += [log.done_at > log.due_at + later_than, log.cause != "repair"]
    if cause is not None:
        conditions += [log.cause == cause.value, log.change.is_distinct_from(Change.DELETED.value)]
    if change is not None:
        conditions.append(log.change == change.value)
    latest = _flips().where(*conditions).order_by(log.done_at.desc(), log.activation_log_id.desc()).limit(limit)
    return [FlipRow(*row) for row in connection.execute(latest)][::-1]


def _flips() -> Select[*tuple[Any, ...]]:
    log, session = ActivationLog, MusicSession
    return select(
        log.activation_log_id,
        log.session_id,
        log.session_instance_id,
        session.name,
        session.city,
        session.country,
        session.timezone,
        log.active,
        log.cause,
        log.due_at,
        log.done_at,
        log.change,
        log.daemon,
    ).outerjoin(session, session.session_id == log.session_id)


def prune(connection: Connection, older_than: timedelta) -> None:
    """Delete history older than this: rows of the log of flips, windows that are over, and skipped occurrences."""
    before = func.statement_timestamp() - older_than
    window = ActivationWindow
    connection.execute(delete(ActivationLog).where(ActivationLog.done_at < before))
    connection.execute(delete(window).where(window.phase == "over", window.closes_at < before))
    connection.execute(delete(SkippedOccurrence).where(SkippedOccurrence.occurrence_start < before))
