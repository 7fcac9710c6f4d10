"""Passes at a stated instant, and the session that most of these tests reconcile."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Engine

from core.active_session_manager import AppDatabase, Cause, ReconcileResult
from core.reconcile.batches import reconcile
from core.reconcile.result import PassOptions
from core.settings import Settings, load_settings
from core.store.queue.due import Reason, Search
from tests.core.rules.planner_model import recurring, utc, weekly

# Tuesday the first of December; Dublin's clocks show UTC. The session is 19:00 to 22:00, its window 18:00 to 23:00.
TUESDAYS = recurring(weekly("tuesday", "19:00", "22:00"))
NOON = "2026-12-01 12:00"
OPENS = "2026-12-01 18:00"
DURING = "2026-12-01 20:00"
CLOSES = "2026-12-01 23:00"

NOTHING = timedelta(0)


def reconcile_at(
    db: Engine | AppDatabase,
    at: str | datetime | None,
    *,
    cause: Cause | str = Cause.HOOK,
    look_ahead: timedelta = NOTHING,
    reasons: Collection[Reason | str] = tuple(Reason),
    grace: timedelta = NOTHING,
    excluded: Collection[int] = (),
    rounds: int | None = None,
    one_by_one: bool = False,
    settings: Settings | None = None,
) -> ReconcileResult:
    """Reconcile everything as if it were `at` (in UTC); None: by the database's clock."""
    now = utc(at) if isinstance(at, str) else at
    options = PassOptions(Cause(cause), settings or load_settings(), now, look_ahead)
    search = Search(frozenset(map(Reason, reasons)), grace, frozenset(excluded))
    return reconcile(db, options, search, rounds=rounds, one_by_one=one_by_one)
