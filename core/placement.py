"""People put where their rows say they are (A2), in the transaction of the flips that concern them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from core.activation import Decision
from core.notifications import ring_active_changed
from core.store import looks, people
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
    """`unplaced`: sessions on whose account a person could not be placed; `joined`: instances that somebody came to."""

    unplaced: frozenset[int] = frozenset()
    joined: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Move:
    """Where somebody is, and where they should be."""

    left: int | None
    to: int | None


def place(
    connection: Connection,
    concerned: Collection[tuple[int, int]],
    now: datetime,
    *,
    opened: Collection[int],
) -> Placed:
    """Place these people, each given with the session on whose account (person id, session id).

    `opened`: instances that were turned on in this transaction. Where there are some, nearly all of the people are to
    be moved, and are locked at once; otherwise only those are who are not where they should be (L3). Whoever could
    not be locked, because somebody else holds them, is to be looked at again.
    """
    person_ids = {person_id for person_id, _ in concerned}
    to_lock: Collection[int] = person_ids if opened else _moves(connection, person_ids, now)
    if not to_lock:
        return Placed()
    locked = people.lock(connection, to_lock)
    moves = _moves(connection, locked, now)
    joined = _move(connection, moves, opened=opened, looking_at={session_id for _, session_id in concerned})
    held = set(to_lock) - locked
    return Placed(frozenset(session_id for person_id, session_id in concerned if person_id in held), joined)


def place_person(connection: Connection, person_id: int, now: datetime | None) -> None:
    """Place one person, waiting for their row as long as the lock timeout lets us, and then reading the clock (L1)."""
    locked = people.lock(connection, [person_id], wait=True)
    moves = _moves(connection, locked, now or looks.clock(connection))
    ring_active_changed(connection, _move(connection, moves, wait=True))


def _moves(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, _Move]:
    """Return those who are not where they should be."""
    if not person_ids:
        return {}
    moves: dict[int, _Move] = {}
    for person_id, (pointer, said) in people.standings(connection, person_ids, now).items():
        best = whereabouts(said)
        target = best.session_instance_id if best else None
        if target != pointer:
            moves[person_id] = _Move(pointer, target)
    return moves


def _move(
    connection: Connection,
    moves: Mapping[int, _Move],
    *,
    opened: Collection[int] = (),
    looking_at: Collection[int] = (),
    wait: bool = False,
) -> frozenset[int]:
    """Write the moves, and ask for another look where one that stands uncommitted, or is to come, may be deceived.

    Whose instance is not active, or is being closed, is left to the next look at its session: the one that opens it
    may have taken the person for placed. And before we commit, a look at the session that somebody leaves (unless it
    is we who look at it) finds them there still, and nothing to do. Returns the instances that somebody came to.
    """
    targets = {move.to for move in moves.values() if move.to is not None}
    ours = targets & set(opened)
    others = targets - ours
    active = ours | people.hold_active(connection, others, wait=wait) if others else ours
    written = {id_: move for id_, move in moves.items() if move.to is None or move.to in active}
    people.move(connection, {id_: move.to for id_, move in written.items()})
    left = {move.left for move in written.values() if move.left is not None}
    _ask(connection, targets - active, left, looking_at)
    return frozenset(active)


def _ask(connection: Connection, missing: Collection[int], left: Collection[int], looking_at: Collection[int]) -> None:
    if missing or left:
        asked = people.sessions_of(connection, missing) | (people.sessions_of(connection, left) - set(looking_at))
        looks.ask_others(connection, asked)
