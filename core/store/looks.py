"""A look's beginning and end: what there is to look at, the locks, the requests that were read."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    Select,
    Text,
    delete,
    exists,
    func,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import InstrumentedAttribute

from core.activation import EARLY_OPENING
from core.models import ActivationWindow, ActiveInstance, MusicSession, PlanRequest, SessionPlan
from core.store.arrays import is_in, is_not_in, rows

# A look waits for nobody for long, and lets go of its locks when its process is stopped (SIGSTOP) in the middle.
# A plan cached while a table was tiny would stay a sequential scan in foreign-key checks: hence no seqscan.
LOOK_SETTINGS = {
    "lock_timeout": "250ms",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    "enable_seqscan": "off",
}
OWN_WRITE = "seisiun.own_write"
TIGHT = timedelta(seconds=1)  # an early opening of exactly EARLY_OPENING is not yet a mistake


class Reason(StrEnum):
    """Why a session is to be looked at, most urgent first."""

    EDGE = "edge"
    REQUEST = "request"
    PLAN = "plan"
    BIT = "bit"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session to look at, and the most urgent reason for it."""

    session_id: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Search:
    """What a look searches for; `now` None means the database's clock.

    `grace`: edges and requests are left for so long to those who are to deal with them at once.
    """

    now: datetime | None
    reasons: frozenset[Reason]
    look_ahead: timedelta
    zone_version: str
    apart_from: frozenset[int]
    limit: int
    grace: timedelta = timedelta(0)


def clock(connection: Connection) -> datetime:
    """Return the database's clock, now (not as it was at the start of the transaction)."""
    return connection.execute(select(func.clock_timestamp(type_=DateTime))).scalar_one()


@contextmanager
def look_settings(connection: Connection, *, restore: bool) -> Iterator[None]:
    """Bound this transaction's waits; in somebody else's transaction, put back afterwards what stood."""
    before = _settings(connection) if restore else {}
    _set_local(connection, LOOK_SETTINGS)
    yield
    _set_local(connection, before)


def _settings(connection: Connection) -> dict[str, str]:
    values = select(*(func.current_setting(name).label(name) for name in LOOK_SETTINGS))
    return dict(connection.execute(values).mappings().one())


def _set_local(connection: Connection, settings: dict[str, str]) -> None:
    if settings:
        connection.execute(select(*(func.set_config(name, value, true()) for name, value in settings.items())))


@contextmanager
def own_write(connection: Connection) -> Iterator[None]:
    """Mark the statements inside as the planner's own, so that the triggers ask for no further look."""
    _set_local(connection, {OWN_WRITE: "on"})
    yield
    _set_local(connection, {OWN_WRITE: "off"})


def candidates(connection: Connection, search: Search) -> list[Candidate]:
    """Return the sessions to look at, most urgent first; one statement, by index, without locks.

    Sessions that failed and are not yet due to be tried again are left out.
    """
    at: ColumnElement[datetime] = func.statement_timestamp()  # stable within the statement: indexes serve it
    if search.now is not None:
        at = literal(search.now, DateTime(timezone=True))
    ranked = [
        select(literal(rank, Integer), found.c.session_id)
        for rank, reason in enumerate(Reason)
        if reason in search.reasons
        for found in (query.subquery() for query in _searches(reason, at, search))
    ]
    first: dict[int, int] = {}
    for rank, session_id in connection.execute(union_all(*ranked)):
        first[session_id] = min(rank, first.get(session_id, rank))
    in_order = sorted(first.items(), key=lambda item: item[1])[: search.limit]
    return [Candidate(session_id, list(Reason)[rank]) for session_id, rank in in_order]


def _searches(reason: Reason, at: ColumnElement[datetime], search: Search) -> list[Select[int]]:
    match reason:
        case Reason.EDGE:
            return _edges_due(at, search)
        case Reason.REQUEST:
            aged = PlanRequest.requested_at <= at - search.grace
            return [_first(PlanRequest.session_id, PlanRequest.request_id, at, search, aged)]
        case Reason.PLAN:
            due = SessionPlan.next_plan_at <= at
            stale = SessionPlan.zone_version < search.zone_version  # only a newer release makes a plan stale (T5)
            return [
                _first(SessionPlan.session_id, SessionPlan.next_plan_at, at, search, due),
                _first(SessionPlan.session_id, SessionPlan.zone_version, at, search, stale),
            ]
        case Reason.BIT:
            return _bits_and_windows_that_disagree()


def _edges_due(at: ColumnElement[datetime], search: Search) -> list[Select[int]]:
    """Find what is due by phase, whatever came late; the last two find moved windows and a clock set back."""
    window, tolerated = ActivationWindow, at + EARLY_OPENING + TIGHT
    due = [
        (window.opens_at, (window.phase == "ahead") & (window.opens_at <= at + search.look_ahead - search.grace)),
        (window.closes_at, (window.phase == "open") & (window.closes_at <= at - search.grace)),
        (window.opens_at, (window.phase == "open") & (window.opens_at > tolerated)),
        (window.closes_at, (window.phase == "over") & (window.closes_at > tolerated)),
    ]
    return [_first(window.session_id, edge, at, search, condition) for edge, condition in due]


def _first(
    session_id: InstrumentedAttribute[int],
    order: InstrumentedAttribute[Any],
    at: ColumnElement[datetime],
    search: Search,
    *conditions: ColumnElement[bool],
) -> Select[int]:
    backing_off = select(SessionPlan.session_id).where(SessionPlan.retry_at > at)
    return (
        select(session_id)
        .where(*conditions, is_not_in(session_id, search.apart_from), session_id.not_in(backing_off))
        .order_by(order)
        .limit(search.limit)
    )


def _bits_and_windows_that_disagree() -> list[Select[int]]:
    same = (ActiveInstance.session_instance_id == ActivationWindow.session_instance_id) & (
        ActivationWindow.phase == "open"
    )
    return [
        select(ActivationWindow.session_id)
        .outerjoin(ActiveInstance, same)
        .where(ActivationWindow.phase == "open", ActiveInstance.session_instance_id.is_(None)),
        select(ActiveInstance.session_id)
        .outerjoin(ActivationWindow, same)
        .where(ActivationWindow.session_instance_id.is_(None)),
    ]  # fmt: skip -- two queries, side by side


def lock_plans(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Lock what nobody else is looking at; returns ids only, because joined rows would be old after a wait."""
    statement = (
        select(SessionPlan.session_id)
        .where(is_in(SessionPlan.session_id, session_ids))
        .order_by(SessionPlan.session_id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return frozenset(connection.scalars(statement))


def existing(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Return those of the sessions that stand."""
    return frozenset(
        connection.scalars(select(SessionPlan.session_id).where(is_in(SessionPlan.session_id, session_ids)))
    )


def requests(connection: Connection, session_ids: Iterable[int]) -> dict[int, list[int]]:
    """Return the requests that can be seen now: session id -> request ids."""
    seen: dict[int, list[int]] = {}
    statement = select(PlanRequest.session_id, PlanRequest.request_id).where(is_in(PlanRequest.session_id, session_ids))
    for session_id, request_id in connection.execute(statement):
        seen.setdefault(session_id, []).append(request_id)
    return seen


def finish(connection: Connection, session_ids: Collection[int], request_ids: Iterable[int]) -> None:
    """Delete exactly the requests that were read (one that came since stays), and forget that the looks failed."""
    if read := sorted(request_ids):
        connection.execute(delete(PlanRequest).where(is_in(PlanRequest.request_id, read)))
    if session_ids:
        connection.execute(
            update(SessionPlan)
            .where(is_in(SessionPlan.session_id, session_ids), SessionPlan.failures > 0)
            .values(error=None, failures=0, retry_at=None)
        )


def sessions_due_to_plan(
    connection: Connection, session_ids: Iterable[int], now: datetime, zone_version: str
) -> frozenset[int]:
    """Return those of the sessions whose planned time has run out, or whose zone data is older than ours."""
    statement = select(SessionPlan.session_id).where(
        is_in(SessionPlan.session_id, session_ids),
        (SessionPlan.next_plan_at <= now) | (SessionPlan.zone_version < zone_version),
    )
    return frozenset(connection.scalars(statement))


def record_failures(connection: Connection, failures: Mapping[int, str]) -> None:
    """Note why these sessions could not be looked at; each is tried again later and later (2 s to an hour)."""
    failed = rows(
        "failed",
        {"session_id": BigInteger(), "error": Text()},
        sorted(failures.items()),
    )
    backoff = func.make_interval(0, 0, 0, 0, 0, 0, func.least(3600, func.power(2, SessionPlan.failures + 1)))
    connection.execute(
        update(SessionPlan)
        .where(SessionPlan.session_id == failed.c.session_id)
        .values(
            error=failed.c.error,
            failures=func.least(SessionPlan.failures + 1, 20),
            next_plan_at=func.clock_timestamp(),
            retry_at=func.clock_timestamp() + backoff,
        )
    )


def make_missing_plans(connection: Connection) -> None:
    """Give a plan to sessions that have none: rows that were restored or copied in with the triggers off."""
    missing = select(MusicSession.session_id).where(~exists().where(SessionPlan.session_id == MusicSession.session_id))
    connection.execute(postgresql.insert(SessionPlan).from_select(["session_id"], missing).on_conflict_do_nothing())
