"""What happened, and what comes: the log of flips, and the edges ahead, also those that no pass has planned yet."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from core.db.transaction_settings import clock
from core.db.transactions import AppDatabase, reading
from core.errors import OutOfReach
from core.explain import FARTHEST
from core.rules.flips import Cause, Change
from core.rules.planned_state import planned_state
from core.rules.planner import first_date, plan_or_freeze
from core.settings import load_settings
from core.store import flips
from core.store.planning import snapshots
from core.store.views import pages, readings, reports
from core.store.views.reports import FlipRow
from core.store.views.schedule import Edge

__all__ = ["Edge", "FlipRow", "history", "lateness", "upcoming_days"]

MOST_AT_ONCE = 175  # sessions in one reading
LATENESS_BOUNDS = tuple(timedelta(seconds=bound) for bound in (0.05, 0.25, 1, 5, 60))


def history(
    db: Engine | AppDatabase,
    session_id: int | None = None,
    *,
    since: datetime,
    late: timedelta | None = None,
    cause: Cause | None = None,
    change: Change | None = None,
    limit: int = 1000,
) -> list[FlipRow]:
    """Return the last `limit` flips that were done at `since` (aware) or later, the oldest first.

    `late`: only those that came more than this after they were due; a repair is never late (L7). `cause`: only those
    that a pass wrote for this cause. `change`: only those that meant this to the app. The log keeps `KEEP_DAYS`, also
    of sessions that exist no more.
    """
    with reading(db) as connection:
        return reports.history(
            connection, since, session_id=session_id, later_than=late, cause=cause, change=change, limit=limit
        )


def lateness(db: Engine | AppDatabase, since: datetime) -> list[tuple[timedelta | None, int]]:
    """Return how many flips since then (aware, inclusive) came how late, without repairs.

    Each row counts those that came less than its bound after they were due, and not less than the bound before; the
    last one has no bound.
    """
    with reading(db) as connection:
        counts = reports.lateness(connection, since, LATENESS_BOUNDS)
    return list(zip([*LATENESS_BOUNDS, None], counts, strict=True))


def upcoming_days(
    db: Engine | AppDatabase, days: float, session_id: int | None = None, *, now: datetime | None = None
) -> list[Edge]:
    """Return the edges of the next `days`, of one session or of all, by instant; closings come first.

    They are what the rows and the patterns mean: an edit that no pass has served yet counts, and beyond the horizon
    the pattern does (`Edge.is_planned` is False there). Sessions are read 175 at a time: an edit between two readings
    shows in the later one. `now` is for tests; None means the database's clock. Raises `OutOfReach` for more days than
    a year has.
    """
    if not 0 <= days <= FARTHEST.days:
        raise OutOfReach(f"{days:g} days; expected 0 to {FARTHEST.days}")
    with reading(db) as connection:
        now = now or clock(connection)
        ids = sorted(pages.session_ids(connection)) if session_id is None else [session_id]
    edges: list[Edge] = []
    for first in range(0, len(ids), MOST_AT_ONCE):
        with reading(db) as connection:
            edges += _edges(connection, ids[first : first + MOST_AT_ONCE], now, now + timedelta(days=days))
    return sorted(edges, key=lambda edge: (edge.at, edge.opens, edge.session_id, edge.session_instance_id or 0))


def _edges(connection: Connection, session_ids: Collection[int], now: datetime, until: datetime) -> Iterator[Edge]:
    names = readings.names_of(connection, session_ids)
    states = {state.session_id: state for state in flips.states(connection, session_ids, now)}
    length = load_settings().default_length
    for session in snapshots.snapshots(connection, session_ids, first_date(now)):
        name, stored = names[session.session_id], states[session.session_id]
        plan = plan_or_freeze(session, now, horizon=until - now, default_length=length)
        for window in planned_state(stored, plan, now).windows:
            key, is_planned = window.session_instance_id, window in stored.windows
            for at, opens in ((window.opens_at, True), (window.closes_at, False)):
                if now < at <= until:
                    yield Edge(
                        at,
                        opens,
                        session.session_id,
                        key if key > 0 else None,
                        name.name,
                        name.city,
                        name.country,
                        session.timezone,
                        is_planned,
                    )
