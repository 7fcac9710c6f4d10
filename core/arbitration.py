"""Which of a session's overlapping instances is on: their windows, made disjoint (P7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

from core.windows import StatedHours, Window


@dataclass(frozen=True, slots=True)
class Claim:
    """An instance that would be on for the whole of its window if it were its session's only one."""

    session_instance_id: int
    hours: StatedHours
    window: Window


@dataclass(frozen=True, slots=True)
class Turn:
    """A window in which one instance is on, and no other of its session; `starts_at` is its stated start."""

    session_instance_id: int
    window: Window
    starts_at: datetime


def disjoint(claims: Sequence[Claim]) -> tuple[Turn, ...]:
    """Return the turns of one session's instances, by `opens_at`: disjoint, and covering all their windows.

    At each moment the instance within its stated hours is on before one that is only in a buffer; among
    equals the one that starts later, then the one that ends sooner, then the one earlier in `claims` (give
    them in order of id).
    """
    starts = {claim.session_instance_id: claim.hours.starts_at for claim in claims}
    turns = []
    for instance_id, run in groupby(pairwise(_edges(claims)), key=lambda piece: _on_at(claims, piece[0])):
        pieces = list(run)
        if instance_id is not None:
            turns.append(Turn(instance_id, Window(pieces[0][0], pieces[-1][1]), starts[instance_id]))
    return tuple(turns)


def _edges(claims: Sequence[Claim]) -> list[datetime]:
    """Return every instant at which the answer may change, in order."""
    edges = set[datetime]()
    for claim in claims:
        edges |= {claim.hours.starts_at, claim.hours.ends_at, claim.window.opens_at, claim.window.closes_at}
    return sorted(edges)


def _on_at(claims: Sequence[Claim], at: datetime) -> int | None:
    """Return the id of the instance that is on at that instant."""
    open_claims = [claim for claim in claims if claim.window.contains(at)]
    if not open_claims:
        return None
    on = min(
        open_claims,
        key=lambda claim: (not claim.hours.contains(at), at - claim.hours.starts_at, claim.hours.ends_at),
    )
    return on.session_instance_id
