"""Which of a session's overlapping instances is on at each moment: their windows, made disjoint (P7)."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

from core.windows import StatedHours, Window


@dataclass(frozen=True, slots=True)
class Contender:
    """An instance that would be on for the whole of its window if it were its session's only one."""

    session_instance_id: int
    hours: StatedHours
    window: Window


@dataclass(frozen=True, slots=True)
class ActiveSpan:
    """A window in which one instance is on, and no other of its session; `starts_at` is its stated start."""

    session_instance_id: int
    window: Window
    starts_at: datetime


def disjoint(contenders: Sequence[Contender]) -> tuple[ActiveSpan, ...]:
    """Return the active spans of one session's instances, by `opens_at`: disjoint, and covering all their windows.

    1. Cut time at every opening, start, end and closing. Within a piece the answer does not change.
    2. Choose one instance for each piece, from those whose windows are open: an instance within its stated hours
       comes before one that is only in a buffer; among equals the one that starts later, then the one that ends
       sooner, then the one earlier in `contenders` (give them in order of id).
    3. Join neighbouring pieces of the same instance to one span.
    """
    starts = {contender.session_instance_id: contender.hours.starts_at for contender in contenders}
    open_at = _open_at(contenders)
    spans = []
    for instance_id, run in groupby(pairwise(open_at), key=lambda piece: _on_at(open_at[piece[0]], piece[0])):
        pieces = list(run)
        if instance_id is not None:
            spans.append(ActiveSpan(instance_id, Window(pieces[0][0], pieces[-1][1]), starts[instance_id]))
    return tuple(spans)


def _edges(contenders: Sequence[Contender]) -> list[datetime]:
    """Return every instant at which the answer may change, in order."""
    edges = set[datetime]()
    for contender in contenders:
        edges |= {
            contender.hours.starts_at,
            contender.hours.ends_at,
            contender.window.opens_at,
            contender.window.closes_at,
        }
    return sorted(edges)


def _open_at(contenders: Sequence[Contender]) -> dict[datetime, list[Contender]]:
    """Return which contenders are open at each edge, in time that grows with their overlaps, not their square."""
    edges = _edges(contenders)
    found: dict[datetime, list[Contender]] = {edge: [] for edge in edges}
    for contender in contenders:
        window = contender.window
        for edge in edges[bisect_left(edges, window.opens_at) : bisect_left(edges, window.closes_at)]:
            found[edge].append(contender)
    return found


def _on_at(contenders: Sequence[Contender], at: datetime) -> int | None:
    """Return the id of the instance that is on at that instant, of those that are open then."""
    if not contenders:
        return None
    on = min(
        contenders,
        key=lambda contender: (
            not contender.hours.contains(at),
            at - contender.hours.starts_at,
            contender.hours.ends_at,
        ),
    )
    return on.session_instance_id
