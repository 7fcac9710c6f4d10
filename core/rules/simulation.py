"""What a change of a session would do: which evenings come, go or change, which overlap, and what flips at once.

It plans the session as it is and as it would be, and compares the two plans. Nothing is written for that.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import zip_longest

from core.rules.flips import Flip, SessionState, decide
from core.rules.overlaps import Contender
from core.rules.planned_state import planned_state
from core.rules.planner import Plan, SessionSnapshot, plan_or_freeze
from core.timezones import to_local
from core.windows import Window


class Change(StrEnum):
    """What a change of the session does to an evening."""

    COMES = "comes"
    GOES = "goes"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Evening:
    """An evening: its stated hours, its window if it were alone (P7), and the session's zone.

    `session_instance_id` is None where the row is still to be made.
    """

    session_instance_id: int | None
    starts_at: datetime
    ends_at: datetime
    window: Window
    timezone: str


@dataclass(frozen=True, slots=True)
class EveningChange:
    """An evening before and after the change of the session; `is_deleted`: nobody will miss the row, so it goes too."""

    change: Change
    before: Evening | None
    after: Evening | None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Overlap:
    """`winner` is on in `window` instead of `loser`, which would be on then if it were alone (P7)."""

    loser: Evening
    winner: Evening
    window: Window


@dataclass(frozen=True, slots=True)
class Comparison:
    """The evenings that change until an instant, how many do not, the overlaps after it, and what flips at once."""

    changes: tuple[EveningChange, ...]
    unchanged: int
    overlaps: tuple[Overlap, ...]
    flips: tuple[Flip, ...]


def compare(
    before: SessionSnapshot,
    after: SessionSnapshot,
    stored: SessionState,
    now: datetime,
    until: datetime,
    *,
    horizon: timedelta,
    default_length: timedelta,
) -> Comparison:
    """Compare a session as it is with the session as it would be, in `[now, until]`.

    Raises nothing for what cannot be read: the pattern then makes and removes nothing (P6).
    """

    def planned(session: SessionSnapshot, reach: timedelta) -> Plan:
        return plan_or_freeze(session, now, horizon=reach, default_length=default_length)

    old, new = (planned(replace(one, hours_ahead=None), until - now) for one in (before, after))
    old_evenings, new_evenings = _evenings(before, old, now, until), _evenings(after, new, now, until)
    due = decide(planned_state(stored, planned(after, horizon), now), now)
    pairs = _pairs(old_evenings.values(), new_evenings.values())
    differing = [pair for pair in pairs if not _are_alike(*pair)]
    return Comparison(
        tuple(sorted((_change(*pair, new.deletable) for pair in differing), key=_starts_at)),
        len(pairs) - len(differing),
        tuple(_overlaps(new, new_evenings, now)),
        due.flips,
    )


def _evenings(session: SessionSnapshot, plan: Plan, now: datetime, until: datetime) -> dict[int, Evening]:
    """Return the evenings that are not over at `now` and open by `until`, by the planner's key."""
    contenders = plan.reasons.contenders if plan.reasons else ()
    return {
        one.session_instance_id: _evening(one, session.timezone or "")
        for one in contenders
        if one.window.closes_at > now and one.window.opens_at <= until
    }


def _evening(one: Contender, zone: str) -> Evening:
    row = one.session_instance_id if one.session_instance_id > 0 else None
    return Evening(row, one.hours.starts_at, one.hours.ends_at, one.window, zone)


def _are_alike(old: Evening | None, new: Evening | None) -> bool:
    return (
        old is not None
        and new is not None
        and (old.starts_at, old.ends_at, old.window)
        == (
            new.starts_at,
            new.ends_at,
            new.window,
        )
    )


def _change(old: Evening | None, new: Evening | None, deletable: frozenset[int]) -> EveningChange:
    if old is None:
        return EveningChange(Change.COMES, None, new)
    if new is None:
        return EveningChange(Change.GOES, old, None, is_deleted=old.session_instance_id in deletable)
    return EveningChange(Change.CHANGES, old, new)


def _starts_at(change: EveningChange) -> datetime:
    evening = change.before or change.after
    assert evening
    return evening.starts_at


def _pairs(before: Iterable[Evening], after: Iterable[Evening]) -> list[tuple[Evening | None, Evening | None]]:
    """Pair the evenings: two are the same by their row, or else by their local date, in order."""
    rows: dict[int, list[Evening | None]] = defaultdict(lambda: [None, None])
    by_date: dict[date, tuple[list[Evening], list[Evening]]] = defaultdict(lambda: ([], []))
    for side, evenings in enumerate((before, after)):
        for evening in evenings:
            if evening.session_instance_id:
                rows[evening.session_instance_id][side] = evening
            else:
                by_date[to_local(evening.starts_at, evening.timezone).date()][side].append(evening)
    dated = (pair for old, new in by_date.values() for pair in zip_longest(_in_order(old), _in_order(new)))
    return [*((old, new) for old, new in rows.values()), *dated]


def _in_order(evenings: Sequence[Evening]) -> list[Evening]:
    return sorted(evenings, key=lambda evening: evening.starts_at)


def _overlaps(plan: Plan, evenings: dict[int, Evening], now: datetime) -> Iterable[Overlap]:
    """Yield each span in which an evening is on instead of another that is open then, by opening."""
    # Sorted, so that a year of evenings takes no time that grows by its square: most of them do not overlap at all.
    losers = sorted(evenings.items(), key=lambda item: item[1].window.opens_at)
    openings = [evening.window.opens_at for _, evening in losers]
    longest = max((evening.window.closes_at - evening.window.opens_at for _, evening in losers), default=timedelta())
    for span in plan.windows:
        winner = evenings.get(span.session_instance_id)
        if winner is None or span.window.closes_at <= now:
            continue
        first = bisect_left(openings, span.window.opens_at - longest)
        for key, loser in losers[first : bisect_left(openings, span.window.closes_at)]:
            opens_at = max(span.window.opens_at, loser.window.opens_at)
            closes_at = min(span.window.closes_at, loser.window.closes_at)
            if key != span.session_instance_id and opens_at < closes_at:
                yield Overlap(loser, winner, Window(opens_at, closes_at))
