"""People put where their rows say they are (A2), in the transaction of the flips that concern them."""

from collections.abc import Collection, Iterable, Mapping
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


def place(connection: Connection, concerned: Collection[tuple[int, int]], now: datetime) -> frozenset[int]:
    """Place these people, each given with the session on whose account (person id, session id).

    Return the sessions on whose account somebody is to be moved whom somebody else holds: look at them again.
    """
    to_move = _moves(connection, {person_id for person_id, _ in concerned}, now)
    if not to_move:
        return frozenset()
    locked = people.lock(connection, to_move)
    _move(connection, _moves(connection, locked, now))
    return frozenset(session_id for person_id, session_id in concerned if person_id in to_move.keys() - locked)


def place_person(connection: Connection, person_id: int, now: datetime) -> int | None:
    """Place one person, waiting for their row as long as the lock timeout lets us; return where they are now."""
    locked = people.lock(connection, [person_id], wait=True)
    _move(connection, _moves(connection, locked, now), wait=True)
    return people.pointers(connection, [person_id]).get(person_id)


def _moves(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, int | None]:
    """Return those who are not where they should be, and where that is."""
    if not person_ids:
        return {}
    said = people.offers(connection, person_ids, now)
    moves: dict[int, int | None] = {}
    for person_id, pointer in people.pointers(connection, person_ids).items():
        best = whereabouts(said.get(person_id, ()))
        target = best.session_instance_id if best else None
        if target != pointer:
            moves[person_id] = target
    return moves


def _move(connection: Connection, moves: Mapping[int, int | None], *, wait: bool = False) -> None:
    """Write the moves.

    Whose instance is not active, or is being closed, is left to the next look at its session. That is asked for: the
    look that opens it may stand uncommitted, and have taken the person for placed.
    """
    targets = {target for target in moves.values() if target is not None}
    active = people.hold_active(connection, targets, wait=wait) if targets else frozenset()
    people.move(connection, {id_: target for id_, target in moves.items() if target is None or target in active})
    ring_active_changed(connection, sorted(targets & active))
    if missing := targets - active:
        looks.ask_others(connection, people.sessions_of(connection, missing))
