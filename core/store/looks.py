"""A look's beginning and end: its settings, its locks, the requests that were read."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Interval,
    Select,
    Text,
    bindparam,
    case,
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
from sqlalchemy.orm import aliased

from core.models import INSTANT, MusicSession, PlanRequest, SessionPlan
from core.store.arrays import ValueTable, array, id_array, is_in

# A plan cached while a table was tiny would stay a sequential scan in foreign-key checks: hence no seqscan. And a look
# goes from the few rows that it holds to others by index, whatever the statistics say: hence no hash and merge joins.
# Rows are compared as JSON with what the planner wrote, and JSON shows instants in the connection's zone: hence UTC.
PLANNER_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "timezone": "UTC"}
# A look waits for nobody for long, and lets go of its locks when its process is stopped (SIGSTOP) in the middle.
LOOK_SETTINGS = PLANNER_SETTINGS | {
    "lock_timeout": "250ms",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    # Where a policy would hide rows from us there is an error and not a partial read (L4).
    "row_security": "off",
}
OWN_WRITE = "seisiun.own_write"
# In a transaction of our own every write is the planner's. A flip that a crash of the server takes back is made again
# by the next look, so nobody need wait, holding locks, until it is on the disk; what an app commits after it is.
OWN_TRANSACTION = LOOK_SETTINGS | {OWN_WRITE: "on", "synchronous_commit": "off"}
OWN_WRITES_ONLY = "seisiun_own_writes_only"

FIRST_RETRY, LAST_RETRY = timedelta(seconds=0.5), timedelta(seconds=60)  # of a session at which a look failed
SCOUT_RETRY = timedelta(seconds=1)  # of one of those that failed alike


def clock(connection: Connection) -> datetime:
    """Return the database's clock, now (not as it was at the start of the transaction)."""
    return connection.execute(_CLOCK).scalar_one()


_CLOCK = select(func.clock_timestamp(type_=INSTANT))


def begin_own(connection: Connection) -> None:
    """Make this transaction one of our own: bounded in its waits, and all its writes the planner's."""
    _set_local(connection, OWN_TRANSACTION)
    connection.execution_options(**{OWN_WRITES_ONLY: True})


@contextmanager
def look_settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[bool]:
    """Set these in somebody else's transaction, and put back afterwards what stood before.

    Yield whether its isolation is READ COMMITTED: in that each statement sees what others have committed before it,
    and what a look does relies on it.
    """
    names = tuple(settings)
    isolation, *before = connection.execute(_exchange(names), _values(settings)).one()[: len(names) + 1]
    yield isolation == "read committed"
    _set_local(connection, dict(zip(names, before, strict=True)))


def _set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    connection.execute(_set_config(tuple(settings)), _values(settings))


def _values(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"value_{number}": value for number, value in enumerate(settings.values())}


@cache
def _set_config(names: tuple[str, ...]) -> Select[*tuple[str, ...]]:
    return select(
        *(func.set_config(name, bindparam(f"value_{at}", type_=Text()), true()) for at, name in enumerate(names))
    )


@cache
def _exchange(names: tuple[str, ...]) -> Select[*tuple[str, ...]]:
    """Set, and return what stood before: the isolation, then these. Fenced, so that it is read first."""
    standing = (func.current_setting(name).label(name) for name in ("transaction_isolation", *names))
    before = select(*standing).offset(literal(0)).subquery("before")
    return _set_config(names).select_from(before).with_only_columns(*before.c, *_set_config(names).exported_columns)


@contextmanager
def own_write(connection: Connection) -> Iterator[None]:
    """Mark the statements inside as the planner's own, so that the triggers ask for no further look."""
    if connection.get_execution_options().get(OWN_WRITES_ONLY):
        yield
        return
    _set_local(connection, {OWN_WRITE: "on"})
    yield
    _set_local(connection, {OWN_WRITE: "off"})


def is_read_only(connection: Connection) -> bool:
    """Say whether nothing can be written here: on a standby, or where somebody has made the database so."""
    return connection.scalar(select(func.current_setting("transaction_read_only"))) == "on"


def lock_plans(connection: Connection, session_ids: Iterable[int], *, wait: bool = False) -> frozenset[int]:
    """Lock what nobody else is looking at (or all, waiting). Ids only: joined rows would be old after a wait."""
    return frozenset(connection.scalars(_LOCK_PLANS[wait], {"ids": sorted(session_ids)}).all())


_LOCK_PLANS = {
    wait: select(SessionPlan.session_id)
    .where(is_in(SessionPlan.session_id))
    .order_by(SessionPlan.session_id)
    .with_for_update(key_share=True, skip_locked=not wait)
    for wait in (False, True)
}


def existing(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Return those of the sessions that stand."""
    return frozenset(connection.scalars(_EXISTING, {"ids": sorted(session_ids)}))


_EXISTING = select(SessionPlan.session_id).where(is_in(SessionPlan.session_id))


@dataclass(frozen=True, slots=True)
class PlanState:
    """How a session's plan stands, and the requests that can be seen.

    `read_at`: the database's clock just before that. An edit that was committed by then is among the requests.
    """

    session_id: int
    read_at: datetime
    requests: tuple[int, ...]
    next_plan_at: datetime | None
    zone_version: str | None
    failure: str | None

    def is_due(self, now: datetime, zone_version: str) -> bool:
        """Whether its planned time has run out, or its zone data is older than ours (T5)."""
        has_run_out = self.next_plan_at is not None and self.next_plan_at <= now
        return has_run_out or (self.zone_version is not None and self.zone_version < zone_version)


def plan_states(connection: Connection, session_ids: Iterable[int]) -> dict[int, PlanState]:
    """Return how the plans of these sessions stand."""
    found = connection.execute(_PLAN_STATES, {"ids": sorted(session_ids)}).all()
    return {id_: PlanState(id_, read_at, tuple(asked), *state) for id_, read_at, asked, *state in found}


# When the statement arrived, which is before its snapshot was taken. By a clock read later an edge might pass, after
# an edit that the snapshot does not hold, and what that edit took away would open.
_PLAN_STATES = select(
    SessionPlan.session_id,
    func.statement_timestamp(type_=INSTANT),
    func.array(
        select(PlanRequest.request_id).where(PlanRequest.session_id == SessionPlan.session_id).scalar_subquery()
    ),
    SessionPlan.next_plan_at,
    SessionPlan.zone_version,
    case((SessionPlan.failures > 0, func.coalesce(SessionPlan.error, ""))),
).where(is_in(SessionPlan.session_id))


def finish(connection: Connection, request_ids: Iterable[int], recovered: Mapping[int, str]) -> None:
    """Delete exactly the requests that were read (one that came since stays); forget the failures of `recovered`.

    Those that had failed alike are tried at once: what was mended for one may be mended for all.
    """
    if read := sorted(request_ids):
        connection.execute(_DELETE_REQUESTS, {"ids": read})
    if recovered:
        connection.execute(_FORGET_FAILURES, {"ids": sorted(recovered)})
        connection.execute(_TRY_ALIKE, {"errors": sorted({*recovered.values()})})


_DELETE_REQUESTS = delete(PlanRequest).where(is_in(PlanRequest.request_id))
# Of one that was planned since, and could not be read, that is noted already.
_FORGET_FAILURES = (
    update(SessionPlan)
    .where(is_in(SessionPlan.session_id), SessionPlan.failures > 0)
    .values(error=None, failures=0, failed_at=None, retry_at=None)
)
_TRY_ALIKE = (
    update(SessionPlan)
    .where(
        SessionPlan.session_id.in_(
            select(SessionPlan.session_id)
            .where(SessionPlan.retry_at.is_not(None), SessionPlan.error == func.any(array("errors", Text())))
            .with_for_update(key_share=True, skip_locked=True)
        )
    )
    .values(retry_at=None)
)


def drop_requests(connection: Connection, session_ids: Iterable[int]) -> None:
    """Delete the requests for sessions that are gone."""
    connection.execute(_DROP_REQUESTS, {"ids": sorted(session_ids)})


_DROP_REQUESTS = delete(PlanRequest).where(
    is_in(PlanRequest.session_id), ~exists().where(SessionPlan.session_id == PlanRequest.session_id)
)


def ask_again(connection: Connection, session_ids: Iterable[int]) -> None:
    """Leave a request for these sessions; whoever has just looked at them knows without a bell."""
    if asked := [{"session_id": session_id} for session_id in sorted(session_ids)]:
        connection.execute(insert(PlanRequest), asked)


def ask_others(connection: Connection, session_ids: Collection[int]) -> None:
    """Leave a request for these sessions, and ring for those who are to look at them."""
    if session_ids:
        connection.execute(_ASK_OTHERS, {"ids": sorted(session_ids)})


_ASK_OTHERS = select(func.seisiun_request(func.unnest(id_array("ids"))))


def record_failures(
    connection: Connection, failures: Mapping[int, str], now: datetime | None, *, failed_at: datetime
) -> None:
    """Note why these sessions could not be looked at; each is tried again later and later (half a second to a minute).

    Of those that fail alike the first by id goes on trying each second: the cause may be theirs together. The looks
    failed at `failed_at` by the database's clock: what is asked for after that is looked at without delay. Where
    somebody else has begun to look at one, it is left to them; `now` None means the database's clock.
    """
    free = lock_plans(connection, failures)
    failed = _FAILED
    at = func.clock_timestamp() if now is None else literal(now, INSTANT)
    longest = case((_is_scout(failed), SCOUT_RETRY.total_seconds()), else_=LAST_RETRY.total_seconds())
    seconds = func.least(longest, FIRST_RETRY.total_seconds() * func.power(2, SessionPlan.failures))
    connection.execute(
        update(SessionPlan)
        .where(SessionPlan.session_id == failed.c.session_id)
        .values(
            error=failed.c.error,
            failures=func.least(SessionPlan.failures + 1, 20),
            next_plan_at=at,
            failed_at=failed_at,
            retry_at=at + func.make_interval(0, 0, 0, 0, 0, 0, seconds),
        ),
        failed.of(sorted((session_id, error) for session_id, error in failures.items() if session_id in free)),
    )


def _is_scout(failed: ValueTable) -> ColumnElement[bool]:
    """Say whether others have failed alike, and none with a lower id."""
    other = aliased(SessionPlan)
    alike = exists().where(other.retry_at.is_not(None), other.error == failed.c.error)
    return alike.where(other.session_id > failed.c.session_id) & ~alike.where(other.session_id < failed.c.session_id)


_FAILED = ValueTable("failed", {"session_id": BigInteger(), "error": Text()})


def next_retry(connection: Connection) -> timedelta | None:
    """Return how long it is until the next session that failed is to be tried again; None where there is none."""
    now = func.clock_timestamp()
    wait = connection.scalar(select(type_coerce(func.min(SessionPlan.retry_at) - now, Interval)))
    return None if wait is None else max(wait, timedelta(0))


def make_missing_plans(connection: Connection) -> None:
    """Give a plan to sessions that have none: rows that were restored or copied in with the triggers off."""
    missing = select(MusicSession.session_id).where(~exists().where(SessionPlan.session_id == MusicSession.session_id))
    connection.execute(postgresql.insert(SessionPlan).from_select(["session_id"], missing).on_conflict_do_nothing())
