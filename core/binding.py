"""Which instance stands for which occurrence of its session, and what follows for its times (P2 to P4).

An instance claims an occurrence on one of five grounds. The best claims are granted first, over all instances
and all occurrences, so the answer follows from the rows alone, whatever order they were written in.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import Enum, IntEnum, auto
from typing import NamedTuple, Protocol

from core.recurrence import Occurrence
from core.windows import stated_span

FIRST_DAY, LAST_DAY = date.min + timedelta(weeks=1), date.max - timedelta(weeks=1)
"""An instance dated outside has no times: near the calendar's ends not every wall time is an instant."""


class Hours(Protocol):
    """What has a naive local start and end."""

    @property
    def start(self) -> datetime:
        """The naive local start."""

    @property
    def end(self) -> datetime:
        """The naive local end, exclusive (T4)."""


class Span(NamedTuple):
    """A naive local start and end, and nothing else."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Binding:
    """The occurrence that an instance stands for, naive local.

    `lost`: it is gone, no other was free on its date, and these are the times that the row had then (P4).
    `moved`: lost with times that somebody had given the row, which it keeps when it is bound again (P3).
    """

    start: datetime
    end: datetime
    lost: bool = False
    moved: bool = False


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """What the planner knows of one row of `session_instance`.

    `deletable`: the planner wrote it, it has never opened, and nobody touched it since.
    """

    session_instance_id: int
    date: date
    start_time: time | None
    end_time: time | None
    is_cancelled: bool
    binding: Binding | None = None
    deletable: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """An occurrence; whether its window is over; and whether somebody deleted its instance by hand."""

    occurrence: Occurrence
    is_over: bool
    is_skipped: bool


class Hold(Enum):
    """What an instance has of its binding before this plan."""

    BOUND = auto()
    ADRIFT = auto()  # its occurrence is gone, now or since an earlier plan; its own times stand
    EXTRA = auto()  # it has none, or was given other times after its occurrence had gone


class Ground(IntEnum):
    """On what ground an instance claims an occurrence, best first (P2)."""

    KEEPS = auto()
    SAME_START = auto()
    IN_PLACE = auto()  # of the one that is gone (P4)
    OVERLAPS = auto()
    NO_START = auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """An instance as it stands before this plan.

    `own` is the span that it states, `span` the one that counts (P2). It `follows` its occurrence while its
    own times equal its binding's (P3).
    """

    instance: InstanceSnapshot
    hold: Hold
    own: Span | None
    span: Span | None
    follows: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """An instance before and after this plan; `span` are its hours, None where it is to have no window."""

    row: Standing
    instance: InstanceSnapshot
    span: Span | None

    @property
    def session_instance_id(self) -> int:
        """The row's id."""
        return self.row.instance.session_instance_id

    @property
    def is_retimed(self) -> bool:
        """Whether the row is to be written."""
        before, after = self.row.instance, self.instance
        return (before.start_time, before.end_time) != (after.start_time, after.end_time)

    @property
    def new_binding(self) -> Binding | None:
        """Its binding, if that is not the one it had."""
        return self.instance.binding if self.instance.binding != self.row.instance.binding else None

    @property
    def is_unbound(self) -> bool:
        """Whether its binding is to be forgotten."""
        return self.instance.binding is None and self.row.instance.binding is not None

    @property
    def is_deletable(self) -> bool:
        """Whether nobody will miss it: lost, and never opened, touched or over (P4)."""
        binding = self.instance.binding
        is_lost = binding is not None and binding.lost
        return is_lost and self.instance.deletable and not self.row.is_over


def bind(
    instances: Iterable[InstanceSnapshot],
    offers: Mapping[datetime, Offer],
    *,
    default_length: timedelta,
    is_over: Callable[[Hours], bool],
) -> list[Outcome]:
    """Bind the occurrences on offer, by start, to the instances; return what becomes of each, in order of id.

    `is_over` says whether the window of given hours is over.
    """
    terms = _Terms(default_length, is_over)
    rows = _standing(instances, offers, terms)
    granted = _grant(rows, offers)
    return [_outcome(row, granted.get(row.instance.session_instance_id), terms) for row in rows]


@dataclass(frozen=True, slots=True)
class _Terms:
    """What makes hours of what a row states, and says whether they are past."""

    default_length: timedelta
    window_is_over: Callable[[Hours], bool]

    def own_span(self, instance: InstanceSnapshot) -> Span | None:
        """Return the span that the row itself states; None where it states no start."""
        if instance.start_time is None or not _is_in_calendar(instance):
            return None
        day, start, end = instance.date, instance.start_time, instance.end_time
        return Span(*stated_span(day, start, end, default_length=self.default_length))

    def is_over(self, hours: Hours | None) -> bool:
        """Whether these hours have no window that is open or ahead."""
        return hours is None or self.window_is_over(hours)


# What an instance has before this plan


def _standing(instances: Iterable[InstanceSnapshot], starts: Iterable[datetime], terms: _Terms) -> list[Standing]:
    unclaimed = set(starts)
    known = frozenset(unclaimed)
    rows = []
    for instance in sorted(instances, key=lambda instance: instance.session_instance_id):
        own = terms.own_span(instance)
        hold = _hold(instance, own, known, unclaimed)
        binding = None if hold is Hold.EXTRA else instance.binding
        span = _span_that_counts(instance, own, binding)
        follows = binding is not None and not binding.moved and _equals(instance, own, binding)
        rows.append(Standing(instance, hold, own, span, follows, terms.is_over(span)))
    return rows


def _hold(instance: InstanceSnapshot, own: Span | None, known: frozenset[datetime], unclaimed: set[datetime]) -> Hold:
    """Return what the instance has of its binding; what it keeps leaves `unclaimed`."""
    binding = instance.binding
    if binding is None:
        return Hold.EXTRA
    if binding.lost:
        return Hold.ADRIFT if _equals(instance, own, binding) else Hold.EXTRA
    if binding.start not in known:
        return Hold.EXTRA if own is None else Hold.ADRIFT
    if binding.start not in unclaimed:
        return Hold.EXTRA
    unclaimed.remove(binding.start)
    return Hold.BOUND


def _equals(instance: InstanceSnapshot, own: Span | None, hours: Hours) -> bool:
    """Whether the row's own times equal those hours (P3); one that states no end equals by its start.

    Comparing the end's time of day too lets a row stand for hours of a day or more, which it cannot state.
    """
    if own is None or own.start != hours.start:
        return False
    return own.end == hours.end or instance.end_time in (None, hours.end.time())


def _span_that_counts(instance: InstanceSnapshot, own: Span | None, hours: Hours | None) -> Span | None:
    """Return its own span; where it states no start or no end, its binding's; None without either (T3)."""
    if hours is None:
        return own
    if own is None:
        return _on_its_date(instance, hours)
    return Span(hours.start, hours.end) if _equals(instance, own, hours) else own


def _on_its_date(instance: InstanceSnapshot, hours: Hours) -> Span | None:
    """Return the hours on the date of an instance that states no start, whatever date it was moved to."""
    if not _is_in_calendar(instance):
        return None
    start = datetime.combine(instance.date, hours.start.time())
    return Span(start, start + (hours.end - hours.start))


def _is_in_calendar(instance: InstanceSnapshot) -> bool:
    return FIRST_DAY <= instance.date <= LAST_DAY


# Which occurrence it has after this plan


class _Claim(NamedTuple):
    """An instance's claim on an occurrence; the least is granted first (P2: most natural, lowest id)."""

    ground: Ground
    between_starts: timedelta
    start: datetime
    between_ends: timedelta
    session_instance_id: int


def _grant(rows: Sequence[Standing], offers: Mapping[datetime, Offer]) -> dict[int, Occurrence]:
    """Return, by id, the occurrence of every instance that is to have one (P2, P4)."""
    granted: dict[int, Occurrence] = {}
    taken: set[datetime] = set()
    for claim in sorted(_claims(rows, offers)):
        if claim.session_instance_id not in granted and claim.start not in taken:
            granted[claim.session_instance_id] = offers[claim.start].occurrence
            taken.add(claim.start)
    return granted


def _claims(rows: Sequence[Standing], offers: Mapping[datetime, Offer]) -> Iterator[_Claim]:
    by_day = defaultdict[int, list[Offer]](list)
    for offer in offers.values():
        by_day[offer.occurrence.start.toordinal()].append(offer)
    for row in rows:
        for offer in _within_reach(row, offers, by_day):
            if (ground := _ground(row, offer)) is not None:
                yield _claim(row, offer.occurrence, ground)


def _within_reach(row: Standing, offers: Mapping[datetime, Offer], by_day: Mapping[int, list[Offer]]) -> list[Offer]:
    """Return its own offer, or else those from the day before to the day after: hours run past midnight."""
    if row.hold is Hold.BOUND:
        assert row.instance.binding
        return [offers[row.instance.binding.start]]
    day = row.instance.date.toordinal()
    return [offer for near in (day - 1, day, day + 1) for offer in by_day.get(near, ())]


def _ground(row: Standing, offer: Offer) -> Ground | None:
    if row.hold is Hold.BOUND:
        return Ground.KEEPS
    if row.hold is Hold.ADRIFT:
        return Ground.IN_PLACE if _may_replace(row, offer) else None
    if row.own is None:
        return Ground.NO_START if _is_on_its_date(row, offer) else None
    if row.own.start == offer.occurrence.start:
        return Ground.SAME_START
    return Ground.OVERLAPS if _overlap(row.own, offer.occurrence) else None


def _may_replace(row: Standing, offer: Offer) -> bool:
    """Whether the instance may take this occurrence for its own that is gone (P4).

    A row of the past is left to the past, and with it those who were there, unless the same hours, drawn out, bring it
    back: this morning's instance does not become tonight's.
    """
    if not _is_on_its_date(row, offer) or offer.is_skipped:
        return False
    if row.is_over:
        is_drawn_out = row.span is not None and _overlap(row.span, offer.occurrence)
        return is_drawn_out and row.follows and not offer.is_over
    return True


def _is_on_its_date(row: Standing, offer: Offer) -> bool:
    return offer.occurrence.start.date() == row.instance.date


def _overlap(one: Hours, other: Hours) -> bool:
    return one.start < other.end and other.start < one.end


def _claim(row: Standing, occurrence: Occurrence, ground: Ground) -> _Claim:
    span = row.span or occurrence
    return _Claim(
        ground,
        abs(span.start - occurrence.start),
        occurrence.start,
        abs(span.end - occurrence.end),
        row.instance.session_instance_id,
    )


# What becomes of it


def _outcome(row: Standing, occurrence: Occurrence | None, terms: _Terms) -> Outcome:
    """Follow the occurrence, or do without; but what is bound, and past before and after, stays as it is."""
    outcome = _with(row, occurrence, terms) if occurrence else _without(row)
    if row.hold is not Hold.EXTRA and row.is_over and terms.is_over(outcome.span):
        return _as_it_is(row)
    return outcome


def _with(row: Standing, occurrence: Occurrence, terms: _Terms) -> Outcome:
    instance = _following(row, occurrence) if row.follows else row.instance
    bound = replace(instance, binding=Binding(occurrence.start, occurrence.end))
    return Outcome(row, bound, _span_that_counts(bound, terms.own_span(bound), occurrence))


def _following(row: Standing, occurrence: Occurrence) -> InstanceSnapshot:
    """Return the instance at its occurrence's times (P3); an end that was not stated stays so."""
    if row.own == (occurrence.start, occurrence.end):
        return row.instance
    end_time = stated_end(occurrence) if row.instance.end_time else None
    return replace(row.instance, start_time=occurrence.start.time(), end_time=end_time)


def stated_end(occurrence: Occurrence) -> time | None:
    """Return what a row that is written for the occurrence states as its end."""
    return occurrence.end.time() if occurrence.states_end else None


def _without(row: Standing) -> Outcome:
    """An instance without an occurrence is an extra, or it has lost it, and its window with it (P4)."""
    if row.hold is Hold.EXTRA:
        return Outcome(row, replace(row.instance, binding=None), row.own)
    return Outcome(row, replace(row.instance, binding=_lost(row)), None)


def _lost(row: Standing) -> Binding:
    """Return what remembers the row's times, so that a later change of them is seen to be somebody's wish."""
    assert row.instance.binding
    assert row.span
    if row.instance.binding.lost:
        return row.instance.binding
    return Binding(*row.span, lost=True, moved=not row.follows)


def _as_it_is(row: Standing) -> Outcome:
    assert row.instance.binding
    return Outcome(row, row.instance, None if row.instance.binding.lost else row.span)
