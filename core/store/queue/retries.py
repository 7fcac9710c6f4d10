"""When a session whose pass failed is tried again (L5).

Each session waits half a second, then twice as long each time, up to a minute. If several sessions fail with the same
error, the one with the lowest id retries every second as a canary; when it succeeds, all of them are retried.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Interval,
    Text,
    bindparam,
    case,
    exists,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import aliased

from core.models import INSTANT, SessionPlan
from core.store.arrays import ValueTable, array, is_in
from core.store.queue.requests import lock_plans

FIRST_RETRY, LAST_RETRY = timedelta(seconds=0.5), timedelta(seconds=60)
CANARY_RETRY = timedelta(seconds=1)
MOST_FAILURES_COUNTED = 20  # 2 to this power is far beyond LAST_RETRY


def record(connection: Connection, failures: Mapping[int, str], now: datetime | None, *, failed_at: datetime) -> None:
    """Record why the passes of these sessions failed (session id -> error), and when each session is tried again.

    The passes began at `failed_at` by the database's clock: a request made after that instant is served without delay.
    If another pass holds a session by now, nothing is recorded: that pass decides. `now` None means the database's
    clock.
    """
    free = lock_plans(connection, failures)
    rows = [(session_id, error) for session_id, error in failures.items() if session_id in free]
    connection.execute(_RECORD, _FAILED.of(rows) | {"now": now, "failed_since": failed_at})


_FAILED = ValueTable("failed", {"session_id": BigInteger(), "error": Text()})


def _is_canary() -> ColumnElement[bool]:
    """Return the condition: other sessions have failed with the same error, and none of them has a lower id."""
    other = aliased(SessionPlan)
    alike = exists().where(other.retry_at.is_not(None), other.error == _FAILED.c.error)
    return alike.where(other.session_id > _FAILED.c.session_id) & ~alike.where(other.session_id < _FAILED.c.session_id)


_NOW = func.coalesce(bindparam("now", type_=INSTANT), func.clock_timestamp(type_=INSTANT))
_LONGEST = case((_is_canary(), CANARY_RETRY.total_seconds()), else_=LAST_RETRY.total_seconds())
_SECONDS = func.least(_LONGEST, FIRST_RETRY.total_seconds() * func.power(2, SessionPlan.failures))
_RECORD = (
    update(SessionPlan)
    .where(SessionPlan.session_id == _FAILED.c.session_id)
    .values(
        error=_FAILED.c.error,
        failures=func.least(SessionPlan.failures + 1, MOST_FAILURES_COUNTED),
        next_plan_at=_NOW,
        failed_at=bindparam("failed_since", type_=INSTANT),
        retry_at=_NOW + func.make_interval(0, 0, 0, 0, 0, 0, _SECONDS),
    )
)


def forget(connection: Connection, recovered: Mapping[int, str]) -> None:
    """Clear the failures of these sessions (session id -> error), and retry at once all that failed with that error.

    One cause may be behind all of them, for example a missing privilege that is granted again.
    """
    if recovered:
        connection.execute(_FORGET, {"ids": recovered})
        connection.execute(_RETRY_ALIKE, {"errors": {*recovered.values()}})


# `plans.write` sets failures to 0 where it writes an error of the session's own text: that error must stay.
_FORGET = (
    update(SessionPlan)
    .where(is_in(SessionPlan.session_id), SessionPlan.failures > 0)
    .values(error=None, failures=0, failed_at=None, retry_at=None)
)
_RETRY_ALIKE = (
    update(SessionPlan)
    .where(
        SessionPlan.session_id.in_(
            select(SessionPlan.session_id)
            .where(SessionPlan.retry_at.is_not(None), SessionPlan.error == func.any(array("errors", Text())))
            .with_for_update(skip_locked=True)
        )
    )
    .values(retry_at=None)
)


def time_to_next(connection: Connection) -> timedelta | None:
    """Return how long it is until the next retry is due, at least 0; None if no session waits for one."""
    wait = connection.scalar(_TIME_TO_NEXT)
    return None if wait is None else max(wait, timedelta(0))


_TIME_TO_NEXT = select(type_coerce(func.min(SessionPlan.retry_at) - func.clock_timestamp(), Interval))
