"""What a daemon counts from its start on; its heartbeat publishes it, and `/metrics` shows it.

Counters only rise, and begin at zero in each daemon: who reads them computes rates.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from core.reconcile.log import MISSED
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip

BOUNDS = ("0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "30.0", "60.0", "300.0", "900.0", "+Inf")  # seconds, inclusive


class Counters:
    """Counts in one thread, the worker's."""

    def __init__(self) -> None:
        self._flips: Counter[tuple[str, bool]] = Counter()
        self._late: Counter[str] = Counter()
        self._late_seconds = 0.0
        self._misses = 0
        self._passes = 0
        self._pass_seconds = 0.0

    def note_pass(self, cause: Cause, result: ReconcileResult, now: datetime, seconds: float) -> None:
        """Count a pass that took `seconds`, and its flips, which were done at the database's `now`."""
        self._passes += 1
        self._pass_seconds += seconds
        for flip in result.flips:
            self._flips[(Cause.REPAIR if flip.is_repair else cause).value, flip.active] += 1
            if not flip.is_repair:
                self._note_lateness(flip, now)

    def _note_lateness(self, flip: Flip, now: datetime) -> None:
        late = max(now - flip.due_at, timedelta(0))
        self._misses += late > MISSED
        self._late_seconds += late.total_seconds()
        for bound in BOUNDS:
            self._late[bound] += late.total_seconds() <= float(bound)

    def as_json(self) -> dict[str, Any]:
        """Return all counters. `late`: the flips that were at most so many seconds late, without repairs (L7)."""
        return {
            "flips": [[cause, active, count] for (cause, active), count in sorted(self._flips.items())],
            "late": {bound: self._late[bound] for bound in BOUNDS},
            "late_seconds": round(self._late_seconds, 6),
            "misses": self._misses,
            "passes": self._passes,
            "pass_seconds": round(self._pass_seconds, 6),
        }
