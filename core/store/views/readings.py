"""Reads for explanations: what is known of one session and of one person, by index, whatever else the tables hold."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
)

from core.models import (
    INSTANT,
    ActivationLog,
    ActivationWindow,
    DaemonHeartbeat,
    DeactivatedPerson,
    MusicSession,
    Person,
    PlannedInstance,
    PlanRequest,
    SessionInstance,
    SessionInstancePerson,
    SessionPlan,
)
from core.rules.explanation.reading import LoggedFlip, RowFacts, Yes
from core.rules.flips import WindowState
from core.store.arrays import is_in
from core.store.planning.snapshots import UNTOUCHED

MOST_FLIPS = 20
MOST_DELETED = 3


@dataclass(frozen=True, slots=True)
class SessionName:
    """A session's id, name and town."""

    session_id: int
    name: str
    city: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session's name and zone, when it was read by the database's clock, and what is pending for it.

    `requested_at`: the instant of its oldest request. `failure`: the error of its last pass if that failed.
    """

    session_id: int
    name: str
    timezone: str | None
    read_at: datetime
    requested_at: datetime | None
    failure: str | None
    retry_at: datetime | None


def sessions_named(connection: Connection, text: str, limit: int) -> list[SessionName]:
    """Return at most `limit` sessions with this path, or else those whose name begins so.

    Apostrophes and other punctuation do not count, nor does upper or lower case.
    """
    by_path = [SessionName(*row) for row in connection.execute(_BY_PATH, {"path": text, "limit": limit})]
    if by_path:
        return by_path
    return [SessionName(*row) for row in connection.execute(_BY_NAME, {"prefix": text, "limit": limit})]


_NAMES = select(MusicSession.session_id, MusicSession.name, MusicSession.city, MusicSession.country)
_LIMIT = bindparam("limit", type_=Integer())


def folded(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text without punctuation and case, as an index has the names: "muellers" begins "Mueller's Pub"."""
    of_marks: Iterator[ColumnElement[str]] = (literal_column(each) for each in ("'[[:punct:]]'", "''", "'g'"))
    return func.lower(func.regexp_replace(text, *of_marks))


_PREFIX = folded(bindparam("prefix", type_=Text()))
_BY_PATH = _NAMES.where(MusicSession.path == bindparam("path", type_=Text())).limit(_LIMIT)
_BY_NAME = (
    _NAMES.where(func.starts_with(folded(MusicSession.name.expression), _PREFIX), literal_column("''") != _PREFIX)
    .order_by(MusicSession.name, MusicSession.session_id)
    .limit(_LIMIT)
)


def names_of(connection: Connection, session_ids: Collection[int]) -> Mapping[int, SessionName]:
    """Return the names of these sessions, by id."""
    found = connection.execute(_NAMES_OF, {"ids": session_ids})
    return {row.session_id: SessionName(*row) for row in found}


_NAMES_OF = _NAMES.where(is_in(MusicSession.session_id))


def session_facts(connection: Connection, session_id: int) -> SessionFacts | None:
    """Return what is pending for a session; None if there is no such session.

    Read it first: the clock is then no later than what the transaction's other statements see.
    """
    found = connection.execute(_SESSION_FACTS, {"session_id": session_id}).one_or_none()
    return SessionFacts(*found) if found else None


_SESSION_FACTS = (
    select(
        MusicSession.session_id,
        MusicSession.name,
        MusicSession.timezone,
        func.statement_timestamp(type_=INSTANT),
        select(func.min(PlanRequest.requested_at))
        .where(PlanRequest.session_id == MusicSession.session_id)
        .scalar_subquery(),
        case((SessionPlan.failures > 0, func.coalesce(SessionPlan.error, ""))),
        SessionPlan.retry_at,
    )
    .outerjoin(SessionPlan, SessionPlan.session_id == MusicSession.session_id)
    .where(MusicSession.session_id == bindparam("session_id", type_=BigInteger()))
)


def instance_session(connection: Connection, session_instance_id: int) -> tuple[int, date] | None:
    """Return the session and the date of an instance; None if there is no such instance."""
    found = connection.execute(_INSTANCE_SESSION, {"session_instance_id": session_instance_id}).one_or_none()
    return (found[0], found[1]) if found else None


_INSTANCE_SESSION = select(SessionInstance.session_id, SessionInstance.date).where(
    SessionInstance.session_instance_id == bindparam("session_instance_id", type_=BigInteger())
)


def logged_session(connection: Connection, session_instance_id: int) -> int | None:
    """Return the session of an instance by the log of flips, which keeps it also where the row is deleted."""
    return connection.scalar(_LOGGED_SESSION, {"session_instance_id": session_instance_id})


_LOGGED_SESSION = (
    select(ActivationLog.session_id)
    .where(ActivationLog.session_instance_id == bindparam("session_instance_id", type_=BigInteger()))
    .limit(literal(1))
)


def row_facts(connection: Connection, instance_ids: Collection[int]) -> Mapping[int, RowFacts]:
    """Return, by instance id, what is known of these rows beside their times."""
    found = connection.execute(_ROW_FACTS, {"ids": instance_ids}).all()
    return {row[0]: RowFacts(*row[1:]) for row in found}


_ROW_FACTS: Select[*tuple[Any, ...]] = (
    select(
        SessionInstance.session_instance_id,
        SessionInstance.active,
        PlannedInstance.written.is_not(None),
        func.coalesce(UNTOUCHED, false()),
        SessionInstance.cancel_reason,
    )
    .outerjoin(PlannedInstance, PlannedInstance.session_instance_id == SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
)


def windows_of(connection: Connection, instance_ids: Collection[int]) -> tuple[WindowState, ...]:
    """Return all stored windows of these instances, also those that are over, by opening."""
    found = connection.execute(_WINDOWS_OF, {"ids": instance_ids}).all()
    return tuple(WindowState(*window) for window in found)


_WINDOWS_OF: Select[*tuple[Any, ...]] = (
    select(
        ActivationWindow.session_instance_id,
        ActivationWindow.opens_at,
        ActivationWindow.closes_at,
        ActivationWindow.phase,
        ActivationWindow.planned_at,
    )
    .where(is_in(ActivationWindow.session_instance_id))
    .order_by(ActivationWindow.opens_at)
)


def deleted_while_on(connection: Connection, session_id: int) -> list[int]:
    """Return the instances of a session whose rows were deleted while they were on, the latest first."""
    return list(connection.scalars(_DELETED_WHILE_ON, {"session_id": session_id, "limit": MOST_DELETED}))


_OF_SESSION = ActivationLog.session_id == bindparam("session_id", type_=BigInteger())
# The log has an index by session for these rows alone: one for all rows would make each flip dearer.
_DELETED_WHILE_ON = (
    select(ActivationLog.session_instance_id)
    .where(_OF_SESSION, ActivationLog.change == literal_column("'deleted'"))
    .order_by(ActivationLog.done_at.desc())
    .limit(_LIMIT)
)


def logged_between(connection: Connection, session_id: int, since: datetime, until: datetime) -> list[int]:
    """Return the instances of a session that flipped in this time (inclusive), also those whose rows are gone.

    It reads the flips of all sessions in this time.
    """
    values = {"session_id": session_id, "since": since, "until": until}
    return list(connection.scalars(_LOGGED_BETWEEN, values))


_LOGGED_BETWEEN = (
    select(ActivationLog.session_instance_id)
    .distinct()
    .where(
        _OF_SESSION,
        ActivationLog.done_at.between(bindparam("since", type_=INSTANT), bindparam("until", type_=INSTANT)),
    )
)


def log_begins(connection: Connection) -> datetime | None:
    """Return when the log of flips begins: its first flip, or the start of a daemon that beat before it."""
    return connection.scalar(_LOG_BEGINS)


_LOG_BEGINS = select(
    func.least(
        select(func.min(ActivationLog.done_at)).scalar_subquery(),
        select(func.min(DaemonHeartbeat.started_at)).scalar_subquery(),
        type_=INSTANT,
    )
)


def flips_of(connection: Connection, instance_ids: Collection[int], at: datetime) -> tuple[LoggedFlip, ...]:
    """Return the flips of these instances around `at`, the newest first: at most `MOST_FLIPS` by then and after."""
    values = {"ids": instance_ids, "at": at}
    after, until = (connection.execute(statement, values).all() for statement in (_FLIPS_AFTER, _FLIPS_UNTIL))
    return tuple(LoggedFlip(*row) for row in (*reversed(after), *until))


def _flips(*order: ColumnElement[Any], done: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    log = ActivationLog
    columns = (log.session_instance_id, log.active, log.due_at, log.done_at, log.cause, log.change, log.daemon)
    return select(*columns).where(is_in(log.session_instance_id), done).order_by(*order).limit(MOST_FLIPS)


_DONE_AT, _LOG_ID = ActivationLog.done_at.expression, ActivationLog.activation_log_id.expression
_AT = bindparam("at", type_=INSTANT)
_FLIPS_UNTIL = _flips(_DONE_AT.desc(), _LOG_ID.desc(), done=_DONE_AT <= _AT)
_FLIPS_AFTER = _flips(_DONE_AT, _LOG_ID, done=_DONE_AT > _AT)


def said_yes(connection: Connection, session_instance_id: int, limit: int) -> tuple[dict[int, bool], int]:
    """Return at most `limit` people who said yes to an instance, by id: person id -> whether they are deactivated.

    And how many said yes.
    """
    values = {"session_instance_id": session_instance_id}
    people = [(row[0], row[1]) for row in connection.execute(_SAID_YES, values | {"limit": limit})]
    return dict(people), connection.execute(_YESES, values).scalar_one()


def _is_deactivated(person_id: ColumnElement[int]) -> ColumnElement[bool]:
    return exists().where(DeactivatedPerson.person_id == person_id)


def _said_yes_to() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    row = SessionInstancePerson
    return (
        row.session_instance_id == bindparam("session_instance_id", type_=BigInteger()),
        row.attendance == "yes",
    )


_SAID_YES = (
    select(SessionInstancePerson.person_id, _is_deactivated(SessionInstancePerson.person_id.expression))
    .where(*_said_yes_to())
    .order_by(SessionInstancePerson.person_id)
    .limit(_LIMIT)
)
_YESES = select(func.count()).select_from(SessionInstancePerson).where(*_said_yes_to())


def person_facts(connection: Connection, person_id: int) -> tuple[datetime, bool] | None:
    """Return the database's clock, and whether a person is deactivated; None if there is no such person."""
    found = connection.execute(_PERSON_FACTS, {"person_id": person_id}).one_or_none()
    return (found[0], found[1]) if found else None


_PERSON_FACTS = select(func.statement_timestamp(type_=INSTANT), _is_deactivated(Person.person_id.expression)).where(
    Person.person_id == bindparam("person_id", type_=BigInteger())
)


def yeses_of(connection: Connection, person_id: int, limit: int) -> list[Yes]:
    """Return at most `limit` of a person's yeses and maybes: those to what has a live window first, then the latest."""
    return [Yes(*row) for row in connection.execute(_YESES_OF, {"person_id": person_id, "limit": limit})]


def _yeses_of() -> Select[*tuple[Any, ...]]:
    check_in, window = SessionInstancePerson, ActivationWindow
    live = (
        select(window.opens_at, window.closes_at)
        .where(window.session_instance_id == check_in.session_instance_id, window.phase != "over")
        .order_by(window.opens_at)
        .limit(literal(1))
        .lateral("live")
    )
    return (
        select(
            check_in.session_instance_id,
            MusicSession.session_id,
            MusicSession.name,
            MusicSession.timezone,
            func.coalesce(check_in.checked_in_at, check_in.created_date),
            func.coalesce(SessionInstance.is_cancelled, false()),
            live.c.opens_at,
            live.c.closes_at,
            check_in.attendance == "maybe",
        )
        .select_from(check_in)
        .join(SessionInstance, SessionInstance.session_instance_id == check_in.session_instance_id)
        .join(MusicSession, MusicSession.session_id == SessionInstance.session_id)
        .outerjoin(live, true())
        .where(
            check_in.person_id == bindparam("person_id", type_=BigInteger()), check_in.attendance.in_(["yes", "maybe"])
        )
        .order_by(live.c.opens_at.is_(None), check_in.session_instance_id.desc())
        .limit(_LIMIT)
    )


_YESES_OF = _yeses_of()
