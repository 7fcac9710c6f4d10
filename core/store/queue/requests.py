"""Requests to reconcile a session, and the plan row per session that a pass locks."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, delete, exists, func, insert, select
from sqlalchemy.dialects import postgresql

from core.models import INSTANT, MusicSession, PlanRequest, SessionPlan
from core.store.arrays import id_array, is_in


def lock_plans(connection: Connection, session_ids: Iterable[int], *, wait: bool = False) -> frozenset[int]:
    """Lock the plans that no other pass holds (or all, waiting); return their session ids.

    Ids only: rows joined to them would be as old as the statement, which may have waited.
    """
    return frozenset(connection.scalars(_LOCK_PLANS[wait], {"ids": sorted(session_ids)}).all())


_LOCK_PLANS = {
    wait: select(SessionPlan.session_id)
    .where(is_in(SessionPlan.session_id))
    .order_by(SessionPlan.session_id)
    .with_for_update(key_share=True, skip_locked=not wait)
    for wait in (False, True)
}


def existing(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Return those of these sessions that exist."""
    return frozenset(connection.scalars(_EXISTING, {"ids": sorted(session_ids)}))


_EXISTING = select(SessionPlan.session_id).where(is_in(SessionPlan.session_id))


@dataclass(frozen=True, slots=True)
class PlanState:
    """How a session's plan stands, and the requests that can be seen.

    `read_at`: the database's clock just before the reading. An edit that was committed by then is among the requests.
    `failure`: the error of the last pass that failed here; None where none did.
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
    return {id_: PlanState(id_, read_at, tuple(requested), *state) for id_, read_at, requested, *state in found}


# statement_timestamp() is when the statement arrived, before PostgreSQL took its snapshot. A clock read later could
# show an edge as past while the snapshot lacks the edit that took the edge away: the pass would open what is not to be.
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


def delete_read(connection: Connection, request_ids: Iterable[int]) -> None:
    """Delete exactly the requests that were read; a request that arrived since stays."""
    if read := sorted(request_ids):
        connection.execute(_DELETE_READ, {"ids": read})


_DELETE_READ = delete(PlanRequest).where(is_in(PlanRequest.request_id))


def delete_orphaned(connection: Connection, session_ids: Iterable[int]) -> None:
    """Delete the requests for sessions that no longer exist."""
    connection.execute(_DELETE_ORPHANED, {"ids": sorted(session_ids)})


_DELETE_ORPHANED = delete(PlanRequest).where(
    is_in(PlanRequest.session_id), ~exists().where(SessionPlan.session_id == PlanRequest.session_id)
)


def add(connection: Connection, session_ids: Iterable[int]) -> None:
    """Request these sessions without a notification: the caller itself comes back to them."""
    if added := [{"session_id": session_id} for session_id in sorted(session_ids)]:
        connection.execute(_ADD, added)


_ADD = insert(PlanRequest)


def add_and_notify(connection: Connection, session_ids: Collection[int]) -> None:
    """Request these sessions, and notify the daemons."""
    if session_ids:
        connection.execute(_ADD_AND_NOTIFY, {"ids": sorted(session_ids)})


_ADD_AND_NOTIFY = select(func.seisiun_request(func.unnest(id_array("ids"))))


def make_missing_plans(connection: Connection) -> None:
    """Give a plan to sessions that have none: their rows were restored or copied in with the triggers off."""
    connection.execute(_MAKE_MISSING_PLANS)


_MAKE_MISSING_PLANS = (
    postgresql.insert(SessionPlan)
    .from_select(
        ["session_id"],
        select(MusicSession.session_id).where(~exists().where(SessionPlan.session_id == MusicSession.session_id)),
    )
    .on_conflict_do_nothing()
)
