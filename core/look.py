"""One look at a chunk of sessions, inside one short transaction: lock, read, decide, write.

It never asks why a session is looked at, only what is true of it now. A row that somebody else holds defers its
session, which is looked at again in milliseconds.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain

from sqlalchemy import Connection

from core import activation, placement
from core.activation import Decision, Flip, PhaseChange
from core.clock import EPOCH
from core.errors import InvalidRecurrence, UnknownSession, UnknownTimeZone
from core.notifications import ring_active_changed
from core.settings import Settings
from core.store import activation as activation_store
from core.store import looks, people, plans, snapshots
from core.store.looks import PlanState
from core.timetable import Plan, SessionSnapshot, first_date, plan
from core.timezones import zone_data_version

ZONE_VERSION = zone_data_version()


class Cause(StrEnum):
    """Who looked; the log of flips tells it."""

    TIMER = "timer"
    NOTIFY = "notify"
    START = "start"
    RESYNC = "resync"
    HOOK = "hook"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class Look:
    """How to look; `now` None means the database's clock, read after the locks are held (L1).

    A hook looks from inside the app's transaction: it waits a little where another look would come back.
    """

    cause: Cause
    settings: Settings
    now: datetime | None = None
    look_ahead: timedelta = timedelta(0)
    is_hook: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look changed, and what it could not.

    deferred    sessions of which somebody else holds a row
    unreadable  sessions whose recurrence or zone cannot be read, and why (P6)
    failed      sessions at which the look itself failed, and how (L5)
    unwindowed  instances that stay without a window though they are not cancelled (P4, R3)
    edges       instants at which windows planned in this look will open or close
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

    def __add__(self, other: "Seen") -> "Seen":
        """Return what both looks did."""
        return Seen(
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

    def followed_by(self, later: "Seen") -> "Seen":
        """Return what both looks did, where the later one was at what the earlier one could not finish."""
        still = {id_: error for id_, error in self.failed.items() if id_ not in later.sessions}
        return replace(self + later, deferred=later.deferred, failed=still | {**later.failed})


@dataclass(frozen=True, slots=True)
class _Planned:
    seen: Seen
    blocked: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Reconciled:
    """`blocked` sessions were not flipped; `unplaced` were, but somebody else holds a person of theirs."""

    seen: Seen
    blocked: frozenset[int]
    unplaced: frozenset[int]


def look_at(connection: Connection, look: Look, session_ids: Collection[int]) -> Seen:
    """Plan and reconcile these sessions.

    1. Lock their plans, those that nobody else is looking at.
    2. Read the clock, and then their requests.
    3. Plan those that were asked for or whose planned time has run out.
    4. Reconcile them all: compare the bits with the windows and the clock, and write the difference; place the people.
    5. Delete the requests that were read, of the sessions that were finished. A hook leaves them: the daemon looks
       again after the app's commit.
    """
    locked = looks.lock_plans(connection, session_ids, wait=look.is_hook)
    elsewhere = _held_elsewhere(connection, frozenset(session_ids) - locked)
    if not locked:
        return Seen(deferred=elsewhere)
    states = looks.plan_states(connection, locked)
    now = look.now or max(state.read_at for state in states.values())
    asked = frozenset(id_ for id_, state in states.items() if look.is_hook or state.requests)
    due = frozenset(id_ for id_, state in states.items() if state.is_due(now, ZONE_VERSION))
    planned = _plan(connection, look, asked | due, now)
    reconciled = _reconcile(connection, look, locked - planned.blocked, asked | due, now)
    unfinished = planned.blocked | reconciled.blocked | reconciled.unplaced
    not_asked = frozenset(id_ for id_ in reconciled.unplaced if not states[id_].requests)
    if look.is_hook:
        looks.ask_others(connection, not_asked)
    else:
        looks.ask_again(connection, not_asked)
        _finish(connection, [state for id_, state in states.items() if id_ not in unfinished])
    return planned.seen + reconciled.seen + Seen(sessions=locked, deferred=elsewhere | unfinished)


def _held_elsewhere(connection: Connection, missing: frozenset[int]) -> frozenset[int]:
    """Tell the sessions that somebody else is looking at from those that are gone, whose requests are dropped."""
    if not missing:
        return missing
    held = looks.existing(connection, missing)
    if gone := missing - held:
        looks.drop_requests(connection, gone)
    return held


def _finish(connection: Connection, states: Collection[PlanState]) -> None:
    looks.finish(
        connection,
        chain.from_iterable(state.requests for state in states),
        recovered={state.session_id: state.failure for state in states if state.failure is not None},
    )


def _plan(connection: Connection, look: Look, session_ids: Collection[int], now: datetime) -> _Planned:
    if not session_ids:
        return _Planned(Seen(), frozenset())
    read = snapshots.snapshots(connection, session_ids, first_date(now))
    decided, unreadable = _decide(read, look.settings, now)
    plans.note_unreadable(connection, unreadable, ZONE_VERSION)
    locked = plans.lock_for(connection, decided, now)
    blocked = locked.blocked | _edited_meanwhile(connection, read, decided, first_date(now))
    free = [plan for plan in decided if plan.session_id not in blocked]
    written = plans.write(
        connection,
        free,
        now,
        stored=locked.stored,
        planned_through=now + look.settings.plan_horizon,
        zone_version=ZONE_VERSION,
    )
    seen = Seen(
        planned=written.made,
        retimed=written.retimed,
        deleted=written.deleted,
        unwindowed=tuple(sorted({*chain(*(plan.unwindowed for plan in free))} - {*written.deleted})),
        unreadable=unreadable,
        edges=written.edges,
    )
    return _Planned(seen, blocked)


def _edited_meanwhile(
    connection: Connection, read: Iterable[SessionSnapshot], decided: Iterable[Plan], since: date
) -> frozenset[int]:
    """Return the sessions of which a row is to be rewritten, or deleted, that the app has edited since it was read.

    Asked once the rows are locked: what a person wrote in between must not be written over (P3, P4).
    """
    rewriting = [plan.session_id for plan in decided if plan.retimed or plan.deletable]
    if not rewriting:
        return frozenset()
    before = {snapshot.session_id: snapshot for snapshot in read}
    now = {snapshot.session_id: snapshot for snapshot in snapshots.snapshots(connection, rewriting, since)}
    return frozenset(id_ for id_ in rewriting if now.get(id_) != before[id_])


def _decide(read: Iterable[SessionSnapshot], settings: Settings, now: datetime) -> tuple[list[Plan], dict[int, str]]:
    decided, unreadable = [], {}
    for snapshot in read:
        try:
            decided.append(plan(snapshot, now, horizon=settings.plan_horizon, default_length=settings.default_length))
        except (InvalidRecurrence, UnknownTimeZone) as error:
            unreadable[snapshot.session_id] = str(error)
    return decided, unreadable


def _reconcile(
    connection: Connection, look: Look, session_ids: Collection[int], planned: Collection[int], now: datetime
) -> _Reconciled:
    """Flip what is to be flipped, all offs before all ons, and place the people whom it concerns."""
    states = activation_store.states(connection, session_ids, now)
    decided = [activation.decide(state, now, look_ahead=look.look_ahead) for state in states]
    held = activation_store.lock_for(connection, decided)
    leaving, held_people = placement.lock_those_leaving(connection, [d for d in decided if d.session_id not in held])
    blocked = held | held_people
    free = [decision for decision in decided if decision.session_id not in blocked]
    flips = activation_store.write(connection, free, cause=look.cause, done_at=look.now)
    placed = _place(connection, free, planned, leaving, now)
    ring_active_changed(connection, {flip.session_instance_id for flip in flips} | placed.joined)
    seen = Seen(activated=_turned(flips, on=True), deactivated=_turned(flips, on=False))
    return _Reconciled(seen, blocked, placed.unplaced)


def _place(
    connection: Connection,
    decisions: Collection[Decision],
    planned: Collection[int],
    leaving: Mapping[int, int],
    now: datetime,
) -> placement.Placed:
    """Place the people of instances that opened or closed, and of sessions that were planned, whatever is on there now.

    `leaving`: person id -> instance id.
    """
    opened = {decision.on.session_instance_id: decision.session_id for decision in decisions if decision.on}
    closed = {decision.off.session_instance_id: decision.session_id for decision in decisions if decision.off}
    asked = [decision.session_id for decision in decisions if decision.session_id in planned]
    released = {person_id: closed[instance_id] for person_id, instance_id in leaving.items() if instance_id in closed}
    concerned = set(released.items())
    if asked:
        concerned |= people.concerned_by(connection, asked, first_date(now))
        # At an edge the windows tell everybody who is over; what a plan takes away is unseen until we commit.
        unforeseen = [person_id for person_id, session_id in released.items() if session_id in planned]
        placement.ask_awaited(connection, unforeseen, now, asked)
    return placement.place_arrivals(connection, opened, now) + placement.place(connection, concerned, now)


def rehearse(connection: Connection) -> None:
    """Run each statement of a flip, at a session and an instance that cannot be: the next time they are quicker.

    Making a statement takes the longest at its first use; so does what a new connection's server reads up.
    """
    nobody, nothing = [-1], Flip(-1, -1, active=False, due_at=EPOCH)
    decision = Decision(-1, nothing, replace(nothing, active=True), (PhaseChange(-1, EPOCH, "over"),))
    looks.lock_plans(connection, nobody)
    looks.plan_states(connection, nobody)
    looks.finish(connection, nobody, {})
    snapshots.snapshots(connection, nobody, EPOCH.date())
    activation_store.states(connection, nobody, EPOCH)
    activation_store.lock_for(connection, [decision])
    activation_store.write(connection, [decision], cause=Cause.START, done_at=None)
    placement.rehearse(connection)


def _turned(flips: Iterable[Flip], *, on: bool) -> tuple[Flip, ...]:
    return tuple(flip for flip in flips if flip.active is on)


def ensure(connection: Connection, settings: Settings, session_id: int, local_start: datetime) -> int | None:
    """Return the instance bound to the occurrence at `local_start`, made now if need be; None: somebody holds a row."""
    if not looks.existing(connection, [session_id]):
        raise UnknownSession(f"there is no session {session_id}")
    if not looks.lock_plans(connection, [session_id]):
        return None
    now = looks.clock(connection)
    since = min(first_date(now), local_start.date())
    [snapshot] = snapshots.snapshots(connection, [session_id], since)
    decided = plan(
        snapshot,
        now,
        horizon=settings.plan_horizon,
        default_length=settings.default_length,
        wanted=local_start,
    )
    locked = plans.lock_for(connection, [decided], now)
    if locked.blocked or _edited_meanwhile(connection, [snapshot], [decided], since):
        return None
    plans.write(
        connection,
        [decided],
        now,
        stored=locked.stored,
        planned_through=now + settings.plan_horizon,
        zone_version=ZONE_VERSION,
    )
    reconciled = _reconcile(connection, Look(Cause.HOOK, settings), [session_id], [session_id], now)
    # In any case, and not only for what is left to do: nobody has timers for its edges yet.
    looks.ask_others(connection, {session_id} | reconciled.unplaced)
    return plans.bound_to(connection, session_id, local_start)
