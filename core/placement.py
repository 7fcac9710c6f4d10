"""People put where their rows say they are (A2), in the transaction of the flips that concern them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from core.activation import Decision
from core.clock import EPOCH
from core.notifications import ring_active_changed
from core.store import looks, offers, people
from core.whereabouts import whereabouts


def lock_those_leaving(connection: Connection, decisions: Iterable[Decision]) -> tuple[dict[int, int], frozenset[int]]:
    """Lock the people at the instances that close.

    Return who they are (person id -> instance id), and the sessions of which somebody else holds a person: those
    cannot close now, because releasing that person would wait.
    """
    closing = {decision.off.session_instance_id: decision.session_id for decision in decisions if decision.off}
    if not closing:
        return {}, frozenset()
    leaving = people.at(connection, closing)
    locked = people.lock(connection, leaving) if leaving else frozenset()
    return leaving, frozenset(closing[leaving[person_id]] for person_id in leaving.keys() - locked)


@dataclass(frozen=True, slots=True)
class Placed:
    """Who was placed.

    unplaced   sessions on whose account somebody could not be, whose row somebody else holds: look at them again
    joined     instances that somebody came to
    """

    unplaced: frozenset[int] = frozenset()
    joined: frozenset[int] = frozenset()

    def __add__(self, other: "Placed") -> "Placed":
        """Return both."""
        return Placed(self.unplaced | other.unplaced, self.joined | other.joined)


@dataclass(frozen=True, slots=True)
class _Move:
    """Where somebody is, and where they should be."""

    left: int | None
    to: int | None


def place_arrivals(connection: Connection, opened: Mapping[int, int], now: datetime) -> Placed:
    """Place those who said yes to instances that were turned on in this transaction (instance id -> session id).

    Nearly all of them are to be moved, so they are locked at once; and of nearly all there is nothing to decide.
    """
    if not opened:
        return Placed()
    locked, held = people.lock_who_said_yes(connection, opened)
    rest = locked - offers.move_undisputed(connection, locked, opened, now) if locked else locked
    placed = _move(connection, _moves(connection, rest, now), now, ours=opened, looking_at=opened.values())
    return placed + Placed(unplaced=frozenset(opened[instance_id] for instance_id in held))


def place(connection: Connection, concerned: Collection[tuple[int, int]], now: datetime) -> Placed:
    """Place these people, each given with the session on whose account (person id, session id).

    Only those are locked who are not where they should be (L3).
    """
    to_move = _moves(connection, {person_id for person_id, _ in concerned}, now)
    if not to_move:
        return Placed()
    locked = people.lock(connection, to_move)
    moves = _moves(connection, locked, now)
    placed = _move(connection, moves, now, looking_at={session_id for _, session_id in concerned})
    held = to_move.keys() - locked
    return placed + Placed(unplaced=frozenset(session_id for person_id, session_id in concerned if person_id in held))


def rehearse(connection: Connection) -> None:
    """Run each statement at a person and an instance that cannot be."""
    nobody = [-1]
    people.at(connection, nobody)
    people.lock(connection, nobody)
    people.lock_who_said_yes(connection, nobody)
    offers.move_undisputed(connection, nobody, nobody, EPOCH)
    offers.standings(connection, nobody, EPOCH)
    offers.awaited(connection, nobody, EPOCH)
    people.hold_active(connection, nobody)
    people.concerned_by(connection, nobody, EPOCH.date())
    people.move(connection, {-1: None})


def place_person(connection: Connection, person_id: int, now: datetime | None) -> None:
    """Place one person, waiting for their row as long as the lock timeout lets us, and then reading the clock (L1)."""
    locked_at = people.lock_waiting(connection, person_id)
    if locked_at is None:
        return
    now = now or locked_at
    ring_active_changed(connection, _move(connection, _moves(connection, [person_id], now), now, wait=True).joined)


def _moves(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, _Move]:
    """Return those who are not where they should be."""
    if not person_ids:
        return {}
    moves: dict[int, _Move] = {}
    for person_id, (pointer, said) in offers.standings(connection, person_ids, now).items():
        best = whereabouts(said)
        target = best.session_instance_id if best else None
        if target != pointer:
            moves[person_id] = _Move(pointer, target)
    return moves


def _move(
    connection: Connection,
    moves: Mapping[int, _Move],
    now: datetime,
    *,
    ours: Collection[int] = (),
    looking_at: Collection[int] = (),
    wait: bool = False,
) -> Placed:
    """Write the moves, and ask for another look where one that stands uncommitted, or is to come, may be deceived.

    Whose instance is not active, or is being closed, is left to the next look at its session: the one that opens it
    may have taken the person for placed. And before we commit, a look at the session that somebody leaves (unless it
    is we who look at it) finds them there still, and nothing to do. `ours`: instances that we have turned on. A
    session that we look at ourselves is not asked for, or we would do nothing else: somebody is unplaced there.
    """
    targets = {move.to for move in moves.values() if move.to is not None}
    others = targets - set(ours)
    active = targets - others
    if others:
        active |= people.hold_active(connection, others, wait=wait)
    written = {id_: move for id_, move in moves.items() if move.to is None or move.to in active}
    people.move(connection, {id_: move.to for id_, move in written.items()})
    missing, left = targets - active, {move.left for move in written.values() if move.left is not None}
    elsewhere = people.sessions_of(connection, missing | left) - set(looking_at) if missing or left else frozenset()
    looks.ask_others(connection, elsewhere)
    ask_awaited(connection, [id_ for id_, move in written.items() if move.left is not None], now, looking_at)
    stuck = people.sessions_of(connection, missing) & set(looking_at) if missing else frozenset()
    return Placed(stuck, frozenset(active))


def ask_awaited(connection: Connection, leavers: Collection[int], now: datetime, looking_at: Iterable[int]) -> None:
    """Have what these people await looked at once we commit: who opens it until then sees them where they were."""
    if leavers:
        looks.ask_others(connection, offers.awaited(connection, leavers, now) - set(looking_at))
