"""A look's beginning and end: its settings, its locks, the requests that were read."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    DateTime,
    Interval,
    Text,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql

from core.models import MusicSession, PlanRequest, SessionPlan
from core.store.arrays import is_in, rows

# A look waits for nobody for long, and lets go of its locks when its process is stopped (SIGSTOP) in the middle.
# A plan cached while a table was tiny would stay a sequential scan in foreign-key checks: hence no seqscan.
# Where a policy would hide rows from us there is an error and not a partial read (L4): hence no row security.
# Rows are compared as JSON with what the planner wrote, and JSON shows instants in the connection's zone: hence UTC.
LOOK_SETTINGS = {
    "lock_timeout": "250ms",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    "enable_seqscan": "off",
    "row_security": "off",
    "timezone": "UTC",
}
OWN_WRITE = "seisiun.own_write"

FIRST_RETRY, LAST_RETRY = timedelta(seconds=0.5), timedelta(seconds=60)  # of a session at which a look failed


def clock(connection: Connection) -> datetime:
    """Return the database's clock, now (not as it was at the start of the transaction)."""
    return connection.execute(select(func.clock_timestamp(type_=DateTime))).scalar_one()


@contextmanager
def look_settings(connection: Connection, settings: dict[str, str], *, restore: bool) -> Iterator[None]:
    """Set these for this transaction; in somebody else's, put back afterwards what stood."""
    before = _settings(connection) if restore else {}
    _set_local(connection, settings)
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


def is_read_committed(connection: Connection) -> bool:
    """Say whether each statement here sees what others have committed before it."""
    return connection.scalar(select(func.current_setting("transaction_isolation"))) == "read committed"


def is_read_only(connection: Connection) -> bool:
    """Say whether nothing can be written here: on a standby, or where somebody has made the database so."""
    return connection.scalar(select(func.current_setting("transaction_read_only"))) == "on"


def lock_plans(connection: Connection, session_ids: Iterable[int], *, wait: bool = False) -> frozenset[int]:
    """Lock what nobody else is looking at (or all, waiting). Ids only: joined rows would be old after a wait."""
    statement = (
        select(SessionPlan.session_id)
        .where(is_in(SessionPlan.session_id, session_ids))
        .order_by(SessionPlan.session_id)
        .with_for_update(key_share=True, skip_locked=not wait)
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
            .values(error=None, failures=0, failed_at=None, retry_at=None)
        )


def ask_again(connection: Connection, session_ids: Iterable[int]) -> None:
    """Leave a request for these sessions; whoever has just looked at them knows without a bell."""
    if asked := [{"session_id": session_id} for session_id in sorted(session_ids)]:
        connection.execute(insert(PlanRequest), asked)


def ask_others(connection: Connection, session_ids: Collection[int]) -> None:
    """Leave a request for these sessions, and ring for those who are to look at them."""
    if session_ids:
        asked = literal(sorted(session_ids), ARRAY(BigInteger))
        connection.execute(select(func.seisiun_request(func.unnest(asked))))


def sessions_due_to_plan(
    connection: Connection, session_ids: Iterable[int], now: datetime, zone_version: str
) -> frozenset[int]:
    """Return those of the sessions whose planned time has run out, or whose zone data is older than ours."""
    statement = select(SessionPlan.session_id).where(
        is_in(SessionPlan.session_id, session_ids),
        (SessionPlan.next_plan_at <= now) | (SessionPlan.zone_version < zone_version),
    )
    return frozenset(connection.scalars(statement))


def record_failures(
    connection: Connection, failures: Mapping[int, str], now: datetime | None, *, failed_at: datetime
) -> None:
    """Note why these sessions could not be looked at; each is tried again later and later (half a second to a minute).

    The looks failed at `failed_at` by the database's clock: what is asked for after that is looked at without delay.
    Where somebody else has begun to look at one, it is left to them; `now` None means the database's clock.
    """
    free = lock_plans(connection, failures)
    failed = rows(
        "failed",
        {"session_id": BigInteger(), "error": Text()},
        sorted((session_id, error) for session_id, error in failures.items() if session_id in free),
    )
    at = func.clock_timestamp() if now is None else literal(now, DateTime(timezone=True))
    seconds = func.least(LAST_RETRY.total_seconds(), FIRST_RETRY.total_seconds() * func.power(2, SessionPlan.failures))
    connection.execute(
        update(SessionPlan)
        .where(SessionPlan.session_id == failed.c.session_id)
        .values(
            error=failed.c.error,
            failures=func.least(SessionPlan.failures + 1, 20),
            next_plan_at=at,
            failed_at=failed_at,
            retry_at=at + func.make_interval(0, 0, 0, 0, 0, 0, seconds),
        )
    )


def next_retry(connection: Connection) -> timedelta | None:
    """Return how long it is until the next session that failed is to be tried again; None where there is none."""
    now = func.clock_timestamp()
    wait = type_coerce(func.min(SessionPlan.retry_at) - now, Interval)
    return connection.scalar(select(wait).where(SessionPlan.retry_at > now))


def make_missing_plans(connection: Connection) -> None:
    """Give a plan to sessions that have none: rows that were restored or copied in with the triggers off."""
    missing = select(MusicSession.session_id).where(~exists().where(SessionPlan.session_id == MusicSession.session_id))
    connection.execute(postgresql.insert(SessionPlan).from_select(["session_id"], missing).on_conflict_do_nothing())
