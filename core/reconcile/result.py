"""The options of a pass, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from core.rules.flips import Cause, Flip
from core.settings import Settings
from core.timezones import zone_data_version

ZONE_VERSION = zone_data_version()


@dataclass(frozen=True, slots=True)
class PassOptions:
    """How a pass runs. `now` None means the database's clock, read after the locks are held (L1).

    `look_ahead`: how long before its window an instance may open (L2). `is_hook`: the pass runs inside the app's
    transaction; it waits for another pass up to the lock timeout. `is_ahead`: `now` has not quite come; the pass leaves
    whatever must be planned. `notified`: sessions to plan without a request: notifications named them. `is_first`:
    nobody has planned anything in this database before, so nothing is late (L7). `daemon`: host and process id of the
    daemon that runs it, for the log of flips.
    """

    cause: Cause
    settings: Settings
    now: datetime | None = None
    look_ahead: timedelta = timedelta(0)
    is_hook: bool = False
    is_ahead: bool = False
    notified: frozenset[int] = frozenset()
    is_first: bool = False
    daemon: str | None = None


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """An evening that no longer fits its session's pattern, and how many people said yes to it.

    `is_deleted`: the row is gone, because the planner had made it and nobody had touched or joined it. Else it stays,
    without a window, and never opens.
    """

    session_instance_id: int
    date: date
    yeses: int
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """What a pass changed, and what it could not change.

    sessions     ids of the sessions that the pass locked, and did not leave for the next pass
    activated    flips that turned an instance on; `deactivated`: off
    planned      ids of the instances that the pass made; `retimed` and `deleted`: that it retimed and deleted
    unwindowed   ids of instances that have no window although they are not cancelled (P4, R3)
    deferred     ids of sessions with a row that another transaction holds (L6)
    unreadable   sessions whose recurrence or zone cannot be read: id -> why (P6)
    failed       sessions whose pass failed: id -> error (L5)
    left_behind  in a hook: evenings that lose their occurrence by the edit
    edges        instants after now at which windows planned in this pass open or close
    dropped      how many requests and windows of deleted sessions the pass deleted
    people       how many people the pass moved or released
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
    left_behind: tuple[LeftBehind, ...] = ()
    edges: frozenset[datetime] = frozenset()
    dropped: int = 0
    people: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the search found nothing: no session, and no row of a deleted one."""
        return not (self.sessions or self.deferred or self.failed or self.dropped)

    @property
    def flips(self) -> tuple[Flip, ...]:
        """All flips in the order of writing: offs first."""
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
            self.left_behind + other.left_behind,
            self.edges | other.edges,
            self.dropped + other.dropped,
            self.people + other.people,
        )

    def followed_by(self, later: "ReconcileResult") -> "ReconcileResult":
        """Return what both passes did. The later pass tried the deferred and failed sessions again.

        So its `deferred` replaces ours, and a session that it locked counts as failed only if it failed there.
        """
        still = {id_: error for id_, error in self.failed.items() if id_ not in later.sessions}
        return replace(self + later, deferred=later.deferred, failed=still | {**later.failed})
