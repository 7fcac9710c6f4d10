"""One pass: reconcile a chunk of sessions inside one short transaction. Lock, read, decide, write.

A pass never asks why it was started, only what is true now. If another transaction holds a row, the pass defers the
row's session; the caller reconciles it again milliseconds later.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain

from sqlalchemy import Connection

from core.db.transaction_settings import clock
from core.db.transactions import is_own
from core.errors import UnknownSession
from core.reconcile import presence
from core.reconcile.result import ZONE_VERSION, LeftBehind, PassOptions, ReconcileResult
from core.rules import flips as rules_flips
from core.rules.flips import Cause, Decision, Flip
from core.rules.planner import Plan, SessionSnapshot, first_date, plan, plan_or_freeze
from core.settings import Settings
from core.store import activation_windows, notify
from core.store import flips as store_flips
from core.store.planning import instances, plans, snapshots
from core.store.presence import check_ins, locations
from core.store.queue import requests, retries
from core.store.queue.requests import PlanState

PLANNING_SECONDS = 0.01  # of the processor's time; then a pass leaves the other sessions, because edges wait meanwhile
EACH_SECONDS = 0.0003  # more for each session that is planned: most take half of that


@dataclass(frozen=True, slots=True)
class _Planned:
    """`blocked` sessions were not planned; nor were those `left` for the next pass."""

    result: ReconcileResult
    blocked: frozenset[int]
    left: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Activated:
    """`blocked` sessions were not flipped; `unmoved` sessions were, but a person of theirs could not be moved."""

    result: ReconcileResult
    blocked: frozenset[int]
    unmoved: frozenset[int]


def reconcile_chunk(connection: Connection, options: PassOptions, session_ids: Collection[int]) -> ReconcileResult:
    """Plan and activate these sessions.

    1. Lock their plans, except those that another pass holds; a hook waits for those.
    2. Read the clock and then, in the same statement, their requests.
    3. Plan the sessions that somebody requested, or whose `next_plan_at` has come, or whose zone data is old. Leave
       those that there is no time for: they stay due, and are no part of the result. An edge may be waiting. A pass
       for an instant that has not come leaves them all.
    4. Activate all the others: compare the bits with the windows and the clock, write the difference, move the people.
    5. Delete the requests of step 2, but only of finished sessions. In the app's transaction they stay: somebody may
       commit a check-in between this pass and the app's commit, and the daemon then reconciles the session once more.
    """
    locked = requests.lock_plans(connection, session_ids, wait=options.is_hook)
    missing = _missing(connection, frozenset(session_ids) - locked, drop=not (options.is_hook or options.is_ahead))
    if not locked:
        return missing
    states = requests.plan_states(connection, locked)
    now = options.now or max(state.read_at for state in states.values())
    to_plan = frozenset(
        id_
        for id_, state in states.items()
        if options.is_hook or state.requests or id_ in options.notified or state.is_due(now, ZONE_VERSION)
    )
    if options.is_ahead:
        locked, to_plan = locked - to_plan, frozenset()
    # Requests are stamped by the real clock: beside a stated `now` they mean nothing. And what was requested before the
    # first pass of all was nobody's to serve.
    requested = (
        {}
        if options.now or options.is_first
        else {id_: state.requested_at for id_, state in states.items() if state.requested_at}
    )
    planned = _plan(connection, options, to_plan, now, requested)
    done = locked - planned.left
    activated = _activate(connection, options, done - planned.blocked, to_plan, now, requested=requested)
    _note_opened(connection, planned.result.planned, activated.result)
    unfinished = planned.blocked | activated.blocked | activated.unmoved
    not_requested = frozenset(id_ for id_ in activated.unmoved if not states[id_].requests)
    if is_own(connection):
        requests.add(connection, not_requested)
        _finish(connection, [states[id_] for id_ in done - unfinished])
    else:
        requests.add_and_notify(connection, not_requested)
    return missing + planned.result + activated.result + ReconcileResult(sessions=done, deferred=unfinished)


def _note_opened(connection: Connection, made: Iterable[int], activated: ReconcileResult) -> None:
    """Note that a row which this transaction has made and opened is as we wrote it.

    The app may make a row for an occurrence that is on already in the same moment as we: ours then goes (P2).
    """
    opened = {flip.session_instance_id for flip in activated.activated}
    instances.note_written(connection, opened.intersection(made))


def _missing(connection: Connection, session_ids: frozenset[int], *, drop: bool) -> ReconcileResult:
    """Defer the sessions that another pass holds. If one no longer exists, `drop` requests of deleted sessions.

    Somebody may have deleted thousands of sessions, and what was requested after that waits. So drop more requests
    than those of this chunk. If another pass is dropping all of them, come back: it may fail.
    """
    if not session_ids:
        return ReconcileResult()
    held = requests.existing(connection, session_ids)
    if not drop or held == session_ids:
        return ReconcileResult(deferred=held)
    # An instance that was given to another session keeps the window of its old one, which nobody else would delete.
    dropped = requests.drop_orphaned(connection) + activation_windows.delete_of(connection, session_ids - held)
    return ReconcileResult(deferred=held if dropped else session_ids, dropped=dropped)


def _finish(connection: Connection, states: Collection[PlanState]) -> None:
    requests.delete_read(connection, chain.from_iterable(state.requests for state in states))
    retries.forget(connection, {state.session_id: state.failure for state in states if state.failure is not None})


def _plan(
    connection: Connection,
    options: PassOptions,
    session_ids: Collection[int],
    now: datetime,
    requested: Mapping[int, datetime],
) -> _Planned:
    if not session_ids:
        return _Planned(ReconcileResult(), frozenset(), frozenset())
    read = snapshots.snapshots(connection, session_ids, first_date(now))
    decided = _decide(read, now, options.settings)
    locked = plans.lock_for(connection, decided, now)
    blocked = locked.blocked | _edited_meanwhile(connection, read, decided, first_date(now))
    free = [plan for plan in decided if plan.session_id not in blocked]
    written = plans.write(
        connection,
        free,
        now,
        stored=locked.stored,
        requested=requested,
        planned_through=now + options.settings.plan_horizon,
        zone_version=ZONE_VERSION,
    )
    result = ReconcileResult(
        planned=written.made,
        retimed=written.retimed,
        deleted=written.deleted,
        unwindowed=tuple({*chain(*(plan.unwindowed for plan in free))} - {*written.deleted}),
        unreadable={plan.session_id: plan.unreadable for plan in free if plan.unreadable},
        left_behind=_left_behind(connection, free, frozenset(written.deleted)) if options.is_hook else (),
        edges=written.edges,
    )
    left = frozenset(one.session_id for one in read) - {plan.session_id for plan in decided}
    return _Planned(result, blocked, left)


def _decide(read: Sequence[SessionSnapshot], now: datetime, settings: Settings) -> list[Plan]:
    """Plan one session after the other, until the time for those planned so far is used up; at least one."""
    started = time.thread_time()
    decided: list[Plan] = []
    for one in read:
        if decided and time.thread_time() - started > PLANNING_SECONDS + EACH_SECONDS * len(decided):
            break
        decided.append(plan_or_freeze(one, now, horizon=settings.plan_horizon, default_length=settings.default_length))
    return decided


def _left_behind(connection: Connection, decided: Iterable[Plan], deleted: frozenset[int]) -> tuple[LeftBehind, ...]:
    """Return what became of each evening that no longer fits its session's pattern, for the hook to report."""
    lost = [instance for plan in decided for instance in plan.left_behind]
    if not lost:
        return ()
    yeses = check_ins.count_yeses(connection, [instance.session_instance_id for instance in lost])
    return tuple(
        LeftBehind(
            instance.session_instance_id,
            instance.date,
            yeses.get(instance.session_instance_id, 0),
            is_deleted=instance.session_instance_id in deleted,
        )
        for instance in lost
    )


def _edited_meanwhile(
    connection: Connection, read: Iterable[SessionSnapshot], decided: Iterable[Plan], since: date
) -> frozenset[int]:
    """Return the sessions that the app has edited since we read them, among those with a row to rewrite or delete.

    The rows are locked now, so we read them again: we must not overwrite what a person wrote in between (P3, P4).
    """
    rewriting = [plan.session_id for plan in decided if plan.retimed or plan.deletable]
    if not rewriting:
        return frozenset()
    before = {snapshot.session_id: snapshot for snapshot in read}
    now = {snapshot.session_id: snapshot for snapshot in snapshots.snapshots(connection, rewriting, since)}
    return frozenset(id_ for id_ in rewriting if now.get(id_) != before[id_])


def _activate(
    connection: Connection,
    options: PassOptions,
    session_ids: Collection[int],
    planned: Collection[int],
    now: datetime,
    *,
    requested: Mapping[int, datetime],
) -> _Activated:
    """Write the flips of these sessions, and move the people.

    1. Decide the flips, and lock their rows and the people at the instances that close.
    2. Leave out the sessions with a row that another transaction holds.
    3. Write the flips, all offs before all ons.
    4. Move the people that the flips or the plans affect.
    5. Notify the app of the flips, and of the instances that people joined.
    """
    states = store_flips.states(connection, session_ids, now, requested)
    decided = [rules_flips.decide(state, now, look_ahead=options.look_ahead) for state in states]
    held = store_flips.lock_for(connection, decided)
    leaving, held_people = presence.lock_leaving(connection, [d for d in decided if d.session_id not in held])
    blocked = held | held_people
    free = [decision for decision in decided if decision.session_id not in blocked]
    flips = store_flips.write(connection, free, cause=options.cause, done_at=options.now, daemon=options.daemon)
    moved = _move_people(connection, free, planned, leaving, now)
    notify.active_changed(connection, {flip.session_instance_id for flip in flips} | moved.joined)
    result = ReconcileResult(
        activated=_turned(flips, on=True), deactivated=_turned(flips, on=False), people=len(moved.people)
    )
    return _Activated(result, blocked, moved.unmoved)


def _move_people(
    connection: Connection,
    decisions: Collection[Decision],
    planned: Collection[int],
    leaving: Mapping[int, int],
    now: datetime,
) -> presence.Moved:
    """Move the people of instances that opened or closed, and all the people that the `planned` sessions affect.

    `leaving`: person id -> instance id.
    """
    opened = {decision.on.session_instance_id: decision.session_id for decision in decisions if decision.on}
    closed = {decision.off.session_instance_id: decision.session_id for decision in decisions if decision.off}
    replanned = [decision.session_id for decision in decisions if decision.session_id in planned]
    affected = {(person_id, closed[instance_id]) for person_id, instance_id in leaving.items() if instance_id in closed}
    released = presence.Moved(people=frozenset(person_id for person_id, _ in affected))
    if replanned:
        affected |= locations.affected_by(connection, replanned, first_date(now))
    arrived = presence.move_arrivals(connection, opened, now)
    others = {(person_id, session_id) for person_id, session_id in affected if person_id not in arrived.people}
    return released + arrived + presence.move_affected(connection, others, now)


def _turned(flips: Iterable[Flip], *, on: bool) -> tuple[Flip, ...]:
    return tuple(flip for flip in flips if flip.active is on)


def ensure(connection: Connection, settings: Settings, session_id: int, local_start: datetime) -> int | None:
    """Return the instance that is bound to the occurrence at `local_start` (naive); make it if there is none (P1).

    Return None if another transaction holds a row. Raises `UnknownSession`, `NoSuchOccurrence`, `InvalidRecurrence` and
    `UnknownTimeZone`.
    """
    if not requests.existing(connection, [session_id]):
        raise UnknownSession(f"there is no session {session_id}")
    if not requests.lock_plans(connection, [session_id]):
        return None
    now = clock(connection)
    since = first_date(now)
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
    written = plans.write(
        connection,
        [decided],
        now,
        stored=locked.stored,
        requested={},
        planned_through=now + settings.plan_horizon,
        zone_version=ZONE_VERSION,
    )
    activated = _activate(connection, PassOptions(Cause.HOOK, settings), [session_id], [session_id], now, requested={})
    _note_opened(connection, written.made, activated.result)
    # Always notify, even if nothing is left to do: no daemon has timers for the new edges yet.
    requests.add_and_notify(connection, {session_id}, requests.HOURS)
    return plans.bound_to(connection, session_id, local_start)
