"""Move people to where their check-ins say they are (A2), in the transaction of the flips that affect them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from core.rules import presence as rules_presence
from core.rules.flips import Decision
from core.rules.presence import Left, SaidYes
from core.store.presence import locations, yeses
from core.store.queue import requests


@dataclass(frozen=True, slots=True)
class Moved:
    """The outcome of moving people.

    unmoved    sessions with a person who could not be moved, because another transaction holds the person's row, or
               because the person's new instance is not active yet: reconcile these sessions again
    joined     instances that people moved to
    people     ids of the people who were moved or released
    """

    unmoved: frozenset[int] = frozenset()
    joined: frozenset[int] = frozenset()
    people: frozenset[int] = frozenset()

    def __add__(self, other: "Moved") -> "Moved":
        """Return the outcome of both."""
        return Moved(self.unmoved | other.unmoved, self.joined | other.joined, self.people | other.people)


@dataclass(frozen=True, slots=True)
class _Move:
    """The instance where a person is (`left`), and the one where they should be (`to`); None is nowhere."""

    left: int | None
    to: int | None


def lock_leaving(connection: Connection, decisions: Iterable[Decision]) -> tuple[dict[int, int], frozenset[int]]:
    """Lock the people at the instances that close.

    Return all the people there (person id -> instance id), and the sessions with a person whose row another transaction
    holds: their instance cannot close now, because releasing that person would wait.
    """
    closing = {decision.off.session_instance_id: decision.session_id for decision in decisions if decision.off}
    if not closing:
        return {}, frozenset()
    leaving = locations.at(connection, closing)
    locked = locations.lock(connection, leaving) if leaving else frozenset()
    return leaving, frozenset(closing[leaving[person_id]] for person_id in leaving.keys() - locked)


def move_arrivals(connection: Connection, opened: Mapping[int, int], now: datetime) -> Moved:
    """Move the people who said yes to instances that this transaction turned on (instance id -> session id).

    1. Lock all of them: nearly all must move.
    2. Move, in one statement, those who are nowhere and have no other yes that counts: nearly all of them.
    3. Decide for the rest one by one, and move them.
    """
    if not opened:
        return Moved()
    locked, held = locations.lock_who_said_yes(connection, opened)
    undisputed = yeses.move_undisputed(connection, locked, opened, now) if locked else locked
    rest = _moves(connection, locked - undisputed, now)
    moved = _move(connection, rest, reconciling=opened.values())
    return moved + Moved(unmoved=frozenset(opened[instance_id] for instance_id in held), people=undisputed)


def move_affected(connection: Connection, affected: Collection[tuple[int, int]], now: datetime) -> Moved:
    """Move these people, each given with the session that affects them (person id, session id).

    1. Find without locks who is not where they should be, or said yes to several instances that are on: most often
       nobody, and then nothing is locked (L3).
    2. Lock those people, decide again, and move them. Another transaction may be moving somebody with several yeses
       away from where we see them; then it holds their row, and we come back.
    """
    in_doubt = _in_doubt(connection, {person_id for person_id, _ in affected}, now)
    if not in_doubt:
        return Moved()
    locked = locations.lock(connection, in_doubt)
    moves = _moves(connection, locked, now)
    moved = _move(connection, moves, reconciling={session_id for _, session_id in affected})
    held = in_doubt - locked
    return moved + Moved(unmoved=frozenset(session_id for person_id, session_id in affected if person_id in held))


def move_person(connection: Connection, person_id: int, now: datetime | None) -> None:
    """Move one person: wait for their row up to the lock timeout, and read the clock only then (L1)."""
    locked_at = locations.lock_waiting(connection, person_id)
    if locked_at is None:
        return
    _move(connection, _moves(connection, [person_id], now or locked_at), write=locations.move_waiting)


def _in_doubt(connection: Connection, person_ids: Collection[int], now: datetime) -> frozenset[int]:
    """Return the people who are not where they should be at `now`, or said yes to several that are on then."""
    if not person_ids:
        return frozenset()
    people = yeses.by_person(connection, person_ids, now).items()
    return frozenset(id_ for id_, (pointer, said, left) in people if len(said) > 1 or _target(said, left) != pointer)


def _moves(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, _Move]:
    """Return the moves of those people who are not where they should be at `now`, by person id."""
    if not person_ids:
        return {}
    people = yeses.by_person(connection, person_ids, now).items()
    moves = {id_: _Move(pointer, _target(said, left)) for id_, (pointer, said, left) in people}
    return {id_: move for id_, move in moves.items() if move.left != move.to}


def _target(said: Iterable[SaidYes], left: Collection[Left]) -> int | None:
    deciding = rules_presence.deciding_yes(said, left)
    return deciding.session_instance_id if deciding else None


def _move(
    connection: Connection,
    moves: Mapping[int, _Move],
    *,
    reconciling: Collection[int] = (),
    write: Callable[[Connection, Mapping[int, int | None]], frozenset[int]] = locations.move,
) -> Moved:
    """Write these moves, and request what other transactions may get wrong until we commit.

    1. Lock the new instances that are active, and move the people of those.
    2. Leave the other people where they are: request the session of their new instance.
    3. Request the sessions that people left.

    `reconciling`: sessions that this pass reconciles; it does not request them, or each pass would cause the next one
    without end.
    """
    joined = write(connection, {person_id: move.to for person_id, move in moves.items()})
    written = {person_id: move for person_id, move in moves.items() if move.to is None or move.to in joined}
    wanted = frozenset(move.to for move in moves.values() if move.to is not None)
    unmoved = _request_new(connection, wanted - joined, reconciling)
    _request_left(connection, written, reconciling)
    return Moved(unmoved, joined, frozenset(written))


def _request_new(connection: Connection, instance_ids: frozenset[int], reconciling: Collection[int]) -> frozenset[int]:
    """Request the sessions of instances that are not active yet, or that another transaction closes.

    The pass that opens such an instance may read before we commit. It then sees the person elsewhere, and does not move
    them. Return the sessions that this pass itself reconciles.
    """
    if not instance_ids:
        return frozenset()
    sessions = locations.sessions_of(connection, instance_ids)
    requests.add_and_notify(connection, sessions.difference(reconciling))
    return sessions.intersection(reconciling)


def _request_left(connection: Connection, written: Mapping[int, _Move], reconciling: Collection[int]) -> None:
    """Request the sessions that people left: a pass that reads before we commit still sees them there."""
    left = frozenset(move.left for move in written.values() if move.left is not None)
    if left:
        requests.add_and_notify(connection, locations.sessions_of(connection, left).difference(reconciling))
