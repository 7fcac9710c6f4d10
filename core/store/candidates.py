"""What there is to look at: found by index, in one statement, without a lock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Interval,
    Select,
    Text,
    bindparam,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.selectable import CompoundSelect

from core.activation import EARLY_OPENING
from core.models import INSTANT, ActivationWindow, ActiveInstance, PlanRequest, SessionPlan
from core.store.arrays import id_array
from core.store.looks import LAST_RETRY
from core.store.windows import is_open

# An instance that was opened exactly a minute early is no mistake, whatever the clocks say of the last milliseconds.
TOLERATED = EARLY_OPENING + timedelta(seconds=1)
LONGEST_RETRY = LAST_RETRY + timedelta(seconds=1)


class Reason(StrEnum):
    """Why a session is to be looked at, most urgent first."""

    EDGE = "edge"
    BACK = "back"
    REQUEST = "request"
    PLAN = "plan"
    BIT = "bit"


@dataclass(frozen=True, slots=True)
class Search:
    """What a look searches for.

    now         None: the database's clock
    look_ahead  how early an opening is due (L2)
    grace       for so long edges and requests are left to those who are to deal with them at once
    apart_from  sessions that are not searched for
    limit       at most so many of each kind, the oldest first
    """

    now: datetime | None
    reasons: frozenset[Reason]
    look_ahead: timedelta
    grace: timedelta
    zone_version: str
    apart_from: frozenset[int]
    limit: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session to look at, and the most urgent reason for it."""

    session_id: int
    reason: Reason


def candidates(connection: Connection, search: Search) -> list[Candidate]:
    """Return the sessions to look at, most urgent first.

    Sessions that failed and are not yet due to be tried again are left out, unless they were asked for since.
    """
    parameters = {
        "look_ahead": search.look_ahead,
        "grace": search.grace,
        "zone_version": search.zone_version,
        "apart_from": sorted(search.apart_from),
        "most": search.limit,
    } | ({"now": search.now} if search.now else {})
    statement = _statement(search.reasons, has_now=search.now is not None)
    first: dict[int, int] = {}
    for rank, session_id in connection.execute(statement, parameters):
        first[session_id] = min(rank, first.get(session_id, rank))
    in_order = sorted(first.items(), key=lambda found: found[1])[: search.limit]
    return [Candidate(session_id, _BY_URGENCY[rank]) for session_id, rank in in_order]


_BY_URGENCY = tuple(Reason)
_LOOK_AHEAD = bindparam("look_ahead", type_=Interval())
_GRACE = bindparam("grace", type_=Interval())
_ZONE_VERSION = bindparam("zone_version", type_=Text())
_APART_FROM = id_array("apart_from")
_MOST = bindparam("most", type_=Integer())


@lru_cache(maxsize=64)
def _statement(reasons: frozenset[Reason], *, has_now: bool) -> CompoundSelect[int, int]:
    """Return the search for these reasons; making it takes longer than running it, so it is made once."""
    at: ColumnElement[datetime] = func.statement_timestamp()  # stable within the statement: indexes serve it
    if has_now:
        at = bindparam("now", type_=INSTANT)
    return union_all(
        *(
            select(literal(rank, Integer), found.c.session_id)
            for rank, reason in enumerate(_BY_URGENCY)
            if reason in reasons
            for found in (query.subquery() for query in _searches(reason, at))
        )
    )


def _searches(reason: Reason, at: ColumnElement[datetime]) -> list[Select[int]]:
    match reason:
        case Reason.EDGE:
            return _edges_due(at)
        case Reason.BACK:
            return _edges_that_are_ahead_again(at)
        case Reason.REQUEST:
            # Requests are stamped by the real clock, whatever `now` is; one from the future (it was set back) is due.
            asked_at, clock = PlanRequest.requested_at, func.statement_timestamp()
            aged = (asked_at <= clock - _GRACE) | (asked_at > clock)
            return [_oldest(at, PlanRequest.session_id, PlanRequest.request_id, aged, asked_at=asked_at)]
        case Reason.PLAN:
            due = SessionPlan.next_plan_at <= at
            stale = SessionPlan.zone_version < _ZONE_VERSION  # only a newer release makes a plan stale (T5)
            return [
                _oldest(at, SessionPlan.session_id, SessionPlan.next_plan_at, due),
                _oldest(at, SessionPlan.session_id, SessionPlan.zone_version, stale),
            ]
        case Reason.BIT:
            return _bits_and_windows_that_disagree(at)


def _edges_due(at: ColumnElement[datetime]) -> list[Select[int]]:
    """Find what is due by phase, whatever came late."""
    window = ActivationWindow
    opens = (window.phase == "ahead") & (window.opens_at <= at + _LOOK_AHEAD - _GRACE)
    closes = (window.phase == "open") & (window.closes_at <= at - _GRACE)
    return [
        _oldest(at, window.session_id, window.opens_at, opens),
        _oldest(at, window.session_id, window.closes_at, closes),
    ]


def _edges_that_are_ahead_again(at: ColumnElement[datetime]) -> list[Select[int]]:
    """Find windows that were moved by hand, or whose edge had passed when a clock was set back."""
    window = ActivationWindow
    opens_later = (window.phase == "open") & (window.opens_at > at + TOLERATED)
    closes_later = (window.phase == "over") & (window.closes_at > at + TOLERATED)
    return [
        _oldest(at, window.session_id, window.opens_at, opens_later),
        _oldest(at, window.session_id, window.closes_at, closes_later),
    ]


def _bits_and_windows_that_disagree(at: ColumnElement[datetime]) -> list[Select[int]]:
    """Find open windows whose instance is not on, and instances that are on without an open window.

    Each asks an index for its one counterpart, fenced so that it stays so: statistics of before an evening's openings
    say that next to nothing is on, and would have every pair compared.
    """
    window, active = ActivationWindow, ActiveInstance
    same = active.session_instance_id == window.session_instance_id
    on = select(literal(1)).where(same).correlate(window).offset(literal(0)).exists()
    wanted = select(literal(1)).where(same, is_open(window)).correlate(active).offset(literal(0)).exists()
    return [
        _oldest(at, window.session_id, window.opens_at, window.phase == "open", ~on),
        _oldest(at, active.session_id, active.session_id, ~wanted),
    ]


def _oldest(
    at: ColumnElement[datetime],
    session_id: InstrumentedAttribute[int],
    order: InstrumentedAttribute[Any],
    *conditions: ColumnElement[bool],
    asked_at: InstrumentedAttribute[datetime] | None = None,
) -> Select[int]:
    # A retry that is farther away than any can be was noted before the clock was set back.
    backing_off = (SessionPlan.retry_at > at) & (SessionPlan.retry_at <= at + LONGEST_RETRY)
    free: ColumnElement[bool] = session_id.not_in(select(SessionPlan.session_id).where(backing_off))
    if asked_at is not None:
        seen = (SessionPlan.session_id == session_id) & (SessionPlan.failed_at >= asked_at)
        free = ~exists().where(backing_off, seen)
    return select(session_id).where(*conditions, session_id != func.all(_APART_FROM), free).order_by(order).limit(_MOST)
