"""What a pass is told, and what it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core.rules.flips import Flip
from core.settings import Settings
from core.timezones import zone_data_version

ZONE_VERSION = zone_data_version()


class Cause(StrEnum):
    """Who started the pass; the log of flips shows it."""

    TIMER = "timer"
    NOTIFY = "notify"
    START = "start"
    RESYNC = "resync"
    HOOK = "hook"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class PassOptions:
    """How a pass runs; `now` None means the database's clock, read after the locks are held (L1).

    `is_hook`: the pass runs inside the app's transaction. It waits a little for a lock where another pass would come
    back later, and it leaves the requests for the daemon.
    """

    cause: Cause
    settings: Settings
    now: datetime | None = None
    look_ahead: timedelta = timedelta(0)
    is_hook: bool = False


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """What a pass changed, and what it could not change.

    sessions    the sessions that the pass locked
    deferred    sessions of which another transaction holds a row
    unreadable  sessions whose recurrence or zone cannot be read, and why (P6)
    failed      sessions whose pass failed, and how (L5)
    unwindowed  instances that stay without a window though they are not cancelled (P4, R3)
    edges       instants at which windows planned in this pass will open or close
    """

    sessions: frozenset[int] = frozenset()
    activated: tuple[Flip, ...] = ()
    deactivated: tuple[Flip, ...] = ()
    planned: tuple[int, ...] = ()
    retimed: tuple[int, ...] = ()
    deleted: tuple[int, ...] = ()
    unwindowed: tuple[int, ...] = ()
    deferred: frozenset[int] = frozenset()
    unreadable: Mapping[int, str] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    edges: frozenset[datetime] = frozenset()

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Every flip, those off first, as they are written."""
        return self.deactivated + self.activated

    def __add__(self, other: "ReconcileResult") -> "ReconcileResult":
        """Return what both passes did."""
        return ReconcileResult(
            self.sessions | other.sessions,
            self.activated + other.activated,
            self.deactivated + other.deactivated,
            self.planned + other.planned,
            self.retimed + other.retimed,
            self.deleted + other.deleted,
            self.unwindowed + other.unwindowed,
            self.deferred | other.deferred,
            {**self.unreadable, **other.unreadable},
            {**self.failed, **other.failed},
            self.edges | other.edges,
        )

    def followed_by(self, later: "ReconcileResult") -> "ReconcileResult":
        """Return what both passes did, where the later one tried again what the earlier one could not finish."""
        still = {id_: error for id_, error in self.failed.items() if id_ not in later.sessions}
        return replace(self + later, deferred=later.deferred, failed=still | {**later.failed})
