"""Requests to reconcile a session, and the plan row per session that a pass locks."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Text, bindparam, case, delete, exists, func, insert, select, text
from sqlalchemy.dialects import postgresql

from core.db.transactions import after_commit
from core.models import INSTANT, MusicSession, PlanRequest, SessionPlan
from core.store.arrays import id_array, is_in
from core.store.notify import SESSION_CHANGED

# What a request is about: the hours of a session (then it is planned again), or only the people of it.
HOURS, PEOPLE = "hours", "people"
MOST_DROPPED = 5000  # in one statement, because due edges wait meanwhile


def lock_plans(connection: Connection, session_ids: Iterable[int], *, wait: bool = False) -> frozenset[int]:
    """Lock the plans that no other pass holds, or with `wait` all of them; return their session ids.

    The statement returns only ids. Other columns could be out of date, because PostgreSQL reads
    them before it waits for a lock.
    """
    return frozenset(connection.scalars(_LOCK_PLANS[wait], {"ids": session_ids}).all())


_LOCK_PLANS = {
    wait: select(SessionPlan.session_id)
    .where(is_in(SessionPlan.session_id))
    .order_by(SessionPlan.session_id)
    .with_for_update(skip_locked=not wait)
    for wait in (False, True)
}


def existing(connection: Connection, session_ids: Iterable[int]) -> frozenset[int]:
    """Return which of these sessions exist."""
    return frozenset(connection.scalars(_EXISTING, {"ids": session_ids}))


_EXISTING = select(SessionPlan.session_id).where(is_in(SessionPlan.session_id))


@dataclass(frozen=True, slots=True)
class PlanState:
    """A session's plan and its open requests, as one statement reads them.

    `read_at`: the database's clock just before the read; the request of every edit that was committed by then is here.
    `requested_at`: the instant of the oldest request.
    `failure`: the error of the session's last pass if that pass failed, else None.
    """

    session_id: int
    read_at: datetime
    requests: tuple[int, ...]
    requested_at: datetime | None
    next_plan_at: datetime | None
    zone_version: str | None
    failure: str | None

    def is_due(self, now: datetime, zone_version: str) -> bool:
        """Whether `next_plan_at` has come, or the plan's zone data is older than ours (T5)."""
        has_come = self.next_plan_at is not None and self.next_plan_at <= now
        return has_come or (self.zone_version is not None and self.zone_version < zone_version)


def plan_states(connection: Connection, session_ids: Iterable[int]) -> dict[int, PlanState]:
    """Return the plans of these sessions and their requests, by session id."""
    found = connection.execute(_PLAN_STATES, {"ids": session_ids}).all()
    return {id_: PlanState(id_, read_at, tuple(requested), *state) for id_, read_at, requested, *state in found}


def nothing_is_planned(connection: Connection) -> bool:
    """Return whether no pass has ever planned a session that is there."""
    return bool(connection.scalar(_NOTHING_IS_PLANNED))


_NOTHING_IS_PLANNED = select(~exists().where(SessionPlan.zone_version.is_not(None)))


# statement_timestamp() is the instant at which the statement arrived, before PostgreSQL took its snapshot. If we read
# the clock later, a pass could open an instance that must stay closed:
# 1. PostgreSQL takes the snapshot.
# 2. The app commits an edit that removes an opening; the snapshot does not show it.
# 3. The instant of that opening passes.
# 4. We read the clock: the opening seems due.
_PLAN_STATES = select(
    SessionPlan.session_id,
    func.statement_timestamp(type_=INSTANT),
    func.array(
        select(PlanRequest.request_id).where(PlanRequest.session_id == SessionPlan.session_id).scalar_subquery()
    ),
    select(func.min(PlanRequest.requested_at))
    .where(PlanRequest.session_id == SessionPlan.session_id)
    .scalar_subquery(),
    SessionPlan.next_plan_at,
    SessionPlan.zone_version,
    case((SessionPlan.failures > 0, func.coalesce(SessionPlan.error, ""))),
).where(is_in(SessionPlan.session_id))


def delete_read(connection: Connection, request_ids: Iterable[int]) -> None:
    """Delete exactly these requests, which the pass has read; a request that arrived since then stays."""
    if read := list(request_ids):
        connection.execute(_DELETE_READ, {"ids": read})


_DELETE_READ = delete(PlanRequest).where(is_in(PlanRequest.request_id))


def drop_orphaned(connection: Connection) -> int:
    """Delete the oldest requests of sessions that no longer exist, at most `MOST_DROPPED`; return how many.

    It skips those that another pass is deleting.
    """
    return connection.execute(_DROP_ORPHANED).rowcount


# The ids as an array: PostgreSQL then reads exactly these rows by index, whatever its statistics say.
_DROP_ORPHANED = delete(PlanRequest).where(
    PlanRequest.request_id
    == func.any(
        func.array(
            select(PlanRequest.request_id)
            .where(~exists().where(SessionPlan.session_id == PlanRequest.session_id))
            .order_by(PlanRequest.request_id)
            .limit(MOST_DROPPED)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
    )
)


def add(connection: Connection, session_ids: Iterable[int], about: str = PEOPLE) -> None:
    """Request these sessions without a notification: the caller itself comes back to them."""
    if added := [{"session_id": session_id, "about": about} for session_id in session_ids]:
        connection.execute(_ADD, added)


_ADD = insert(PlanRequest)


def add_and_notify(connection: Connection, session_ids: Collection[int], about: str = PEOPLE) -> None:
    """Request these sessions, and notify the daemons: after the commit, or in the app's transaction at its commit."""
    if not session_ids:
        return
    if after_commit(connection, SESSION_CHANGED, [""]):
        add(connection, session_ids, about)
    else:
        connection.execute(_ADD_AND_NOTIFY, {"ids": session_ids, "about": about})


_ADD_AND_NOTIFY = select(func.seisiun_request_about(func.unnest(id_array("ids")), bindparam("about", type_=Text())))


def new_since(connection: Connection, polled: str | None) -> tuple[bool, str]:
    """Return whether there are requests that the snapshot `polled` did not show (None: yes), and the present snapshot.

    We ask for exactly the transactions that were unknown or still running then. A request that such a transaction wrote
    is found when it commits, however late, and the rows of all others are not visited. Those would be many behind an
    old snapshot: deleted requests, which vacuum must keep.
    """
    is_new, now = connection.execute(_NEW_SINCE, {"polled": polled}).one()
    return polled is None or is_new, now


_NEW_SINCE = text(
    """
    SELECT
        EXISTS (SELECT FROM plan_request WHERE xact_id >= pg_snapshot_xmax(CAST(:polled AS pg_snapshot)))
        OR EXISTS (
            SELECT FROM pg_snapshot_xip(CAST(:polled AS pg_snapshot)) AS running
            JOIN plan_request ON xact_id = running
        ),
        CAST(pg_current_snapshot() AS text)
    """
)


def make_missing_plans(connection: Connection) -> None:
    """Insert the missing plan rows of sessions: somebody restored or copied those sessions with the triggers off."""
    connection.execute(_MAKE_MISSING_PLANS)


_MAKE_MISSING_PLANS = (
    postgresql.insert(SessionPlan)
    .from_select(
        ["session_id"],
        select(MusicSession.session_id).where(~exists().where(SessionPlan.session_id == MusicSession.session_id)),
    )
    .on_conflict_do_nothing()
)
