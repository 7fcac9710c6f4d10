"""Finds the sessions that are due, and why: by index, in one statement, without a lock."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import count
from operator import itemgetter
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

from core.models import INSTANT, ActivationWindow, ActiveInstance, PlanRequest, SessionPlan
from core.rules.flips import TOLERATED
from core.store.activation_windows import is_open
from core.store.arrays import id_array, is_in
from core.store.queue.retries import LAST_RETRY

REQUESTS_EACH = 10  # a search reads this many requests for each session that it may return
LONGEST_RETRY = LAST_RETRY + timedelta(seconds=1)


class Reason(StrEnum):
    """Why a session is due, most urgent first."""

    EDGE = "edge"
    BACK = "back"
    REQUEST = "request"
    PLAN = "plan"
    BIT = "bit"


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for.

    reasons   the reasons to search for
    grace     leave out edges and requests that are younger than this: another process serves them at once
    excluded  leave out these sessions
    """

    reasons: frozenset[Reason] = frozenset(Reason)
    grace: timedelta = timedelta(0)
    excluded: frozenset[int] = frozenset()


EVERYTHING = Search()


@dataclass(frozen=True, slots=True)
class DueSession:
    """A session that is due, and the most urgent reason why."""

    session_id: int
    reason: Reason


def due_sessions(
    connection: Connection,
    search: Search,
    *,
    now: datetime | None,
    look_ahead: timedelta,
    zone_version: str,
    limit: int,
    notified: Collection[int] = (),
) -> list[DueSession]:
    """Return at most `limit` sessions that are due, ordered by urgency.

    If there are more edges or requests than that, return the oldest and the newest. So nothing starves: neither what
    has waited longest, nor a new edit that comes after thousands of others or beside thousands that somebody holds.

    An opening is due from `look_ahead` before its instant on, inclusive (L2). `now` None means the database's clock. A
    failed session is left out until its retry is due, unless somebody requested it since it failed (L5). Sessions that
    notifications named (`notified`) are due like those with a request.
    """
    parameters = {
        "look_ahead": look_ahead,
        "grace": search.grace,
        "zone_version": zone_version,
        "excluded": search.excluded,
        "most": limit,
        "notified": notified,
        "now": now,
    }
    statement = _statement(search.reasons, has_now=now is not None)
    first: dict[int, tuple[int, int]] = {}  # session id -> rank, and place among those that one search found
    places: dict[tuple[int, int], Iterator[int]] = defaultdict(count)
    for rank, number, session_id in connection.execute(statement, parameters):
        order = (rank, next(places[rank, number]))
        first[session_id] = min(order, first.get(session_id, order))
    in_order = sorted(first.items(), key=itemgetter(1))[:limit]
    return [DueSession(session_id, _BY_URGENCY[rank]) for session_id, (rank, _) in in_order]


_BY_URGENCY = tuple(Reason)
_LOOK_AHEAD = bindparam("look_ahead", type_=Interval())
_GRACE = bindparam("grace", type_=Interval())
_ZONE_VERSION = bindparam("zone_version", type_=Text())
_EXCLUDED = id_array("excluded")
_MOST = bindparam("most", type_=Integer())


@lru_cache(maxsize=64)
def _statement(reasons: frozenset[Reason], *, has_now: bool) -> CompoundSelect[int, int, int]:
    """Return the search for these reasons. Building it takes longer than running it, so it is built once."""
    at: ColumnElement[datetime] = func.statement_timestamp()  # constant within the statement, so indexes serve it
    if has_now:
        at = bindparam("now", type_=INSTANT)
    return union_all(
        *(
            select(literal(rank, Integer), literal(number, Integer), found.c.session_id)
            for rank, reason in enumerate(_BY_URGENCY)
            if reason in reasons
            for number, found in enumerate(query.subquery() for query in _searches(reason, at))
        )
    )


def _searches(reason: Reason, at: ColumnElement[datetime]) -> list[Select[int]]:
    match reason:
        case Reason.EDGE:
            return _edges_due(at)
        case Reason.BACK:
            return _edges_that_are_ahead_again(at)
        case Reason.REQUEST:
            # A request has the real clock's time, whatever `now` is. One in the future is due: the clock was set back.
            requested_at, clock = PlanRequest.requested_at, func.statement_timestamp()
            aged = (requested_at <= clock - _GRACE) | (requested_at > clock)
            notified = is_in(SessionPlan.session_id, "notified")
            return [
                _requested(aged, at, newest=False),
                _requested(aged, at, newest=True),
                _oldest(at, SessionPlan.session_id, SessionPlan.session_id, notified),
            ]
        case Reason.PLAN:
            due = SessionPlan.next_plan_at <= at
            stale = SessionPlan.zone_version < _ZONE_VERSION  # an older pytz leaves a newer one's plans alone (T5)
            return [
                _oldest(at, SessionPlan.session_id, SessionPlan.next_plan_at, due),
                _oldest(at, SessionPlan.session_id, SessionPlan.zone_version, stale),
            ]
        case Reason.BIT:
            return _bits_and_windows_that_disagree(at)


def _edges_due(at: ColumnElement[datetime]) -> list[Select[int]]:
    """Find edges that have passed but are not written, by the phase: so a window that was committed late is found."""
    window = ActivationWindow
    opens = (window.phase == "ahead") & (window.opens_at <= at + _LOOK_AHEAD - _GRACE)
    closes = (window.phase == "open") & (window.closes_at <= at - _GRACE)
    return [
        _oldest(at, window.session_id, order, due)
        for at_edge, due in ((window.opens_at, opens), (window.closes_at, closes))
        for order in (at_edge, at_edge.desc())
    ]


def _edges_that_are_ahead_again(at: ColumnElement[datetime]) -> list[Select[int]]:
    """Find windows whose edge lies ahead again: somebody moved the window, or set the clock back."""
    window = ActivationWindow
    opens_later = (window.phase == "open") & (window.opens_at > at + TOLERATED)
    closes_later = (window.phase == "over") & (window.closes_at > at + TOLERATED)
    return [
        _oldest(at, window.session_id, window.opens_at, opens_later),
        _oldest(at, window.session_id, window.closes_at, closes_later),
    ]


def _bits_and_windows_that_disagree(at: ColumnElement[datetime]) -> list[Select[int]]:
    """Find open windows whose instance is not active, and active instances without an open window.

    Each row looks up its one counterpart by index. OFFSET 0 keeps PostgreSQL from turning the lookup into a join: after
    an evening's openings the statistics still say that almost nothing is on, and a join would compare every pair.
    """
    window, active = ActivationWindow, ActiveInstance
    same = active.session_instance_id == window.session_instance_id
    on = select(literal(1)).where(same).offset(literal(0)).exists()
    wanted = select(literal(1)).where(same, is_open(window)).offset(literal(0)).exists()
    return [
        _oldest(at, window.session_id, window.opens_at, window.phase == "open", ~on),
        _oldest(at, active.session_id, active.session_id, ~wanted),
    ]


def _oldest(
    at: ColumnElement[datetime],
    session_id: InstrumentedAttribute[int],
    order: ColumnElement[Any] | InstrumentedAttribute[Any],
    *conditions: ColumnElement[bool],
) -> Select[int]:
    free = session_id.not_in(select(SessionPlan.session_id).where(_is_backing_off(at)))
    return select(session_id).where(*conditions, session_id != func.all(_EXCLUDED), free).order_by(order).limit(_MOST)


def _requested(aged: ColumnElement[bool], at: ColumnElement[datetime], *, newest: bool) -> Select[int]:
    """Find the sessions of the oldest or of the newest requests.

    A session may have many requests, for example one for each of its instances. So read more of them than sessions.
    """
    request, plan = PlanRequest, SessionPlan
    failed_since = (plan.session_id == request.session_id) & (plan.failed_at >= request.requested_at)
    free = ~exists().where(_is_backing_off(at), failed_since)
    order = request.request_id.desc() if newest else request.request_id
    conditions = (aged, request.session_id != func.all(_EXCLUDED), free)
    columns = (request.session_id, request.request_id)
    read = select(*columns).where(*conditions).order_by(order).limit(_MOST * REQUESTS_EACH).subquery()
    first = func.max(read.c.request_id).desc() if newest else func.min(read.c.request_id)
    return select(read.c.session_id).group_by(read.c.session_id).order_by(first).limit(_MOST)


def _is_backing_off(at: ColumnElement[datetime]) -> ColumnElement[bool]:
    # Ignore a retry that is farther away than LONGEST_RETRY: somebody has set the clock back since we wrote it.
    return (SessionPlan.retry_at > at) & (SessionPlan.retry_at <= at + LONGEST_RETRY)
