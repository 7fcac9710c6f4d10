"""Passes at a stated instant, and the session that most of these tests reconcile."""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

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
SENDING = ("store/", "db/", "hooks.py")


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


@contextmanager
def senders_to(engine: Engine) -> Iterator[list[str]]:
    """Which functions send statements meanwhile, as docs/protocol.md names the steps of a pass."""
    senders: list[str] = []

    def note(*_: Any) -> None:
        frame = sys._getframe()
        while frame.f_back and not any(f"/core/{part}" in frame.f_code.co_filename for part in SENDING):
            frame = frame.f_back
        senders.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")

    event.listen(engine, "before_cursor_execute", note)
    yield senders
    event.remove(engine, "before_cursor_execute", note)
