"""Which instance stands for which occurrence of its session, and what follows for its times (P2 to P4).

An instance and an occurrence may match by one of five ranks. The best matches are made first, over all instances and
all occurrences, so the answer follows from the rows alone, whatever order they were written in.
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
class Candidate:
    """An occurrence; whether its window is over; and whether somebody deleted its instance by hand."""

    occurrence: Occurrence
    is_over: bool
    is_skipped: bool


class BindingState(Enum):
    """How an instance stands to its binding before this plan."""

    BOUND = auto()
    LOST = auto()  # its occurrence is gone, now or since an earlier plan; its own times stand
    EXTRA = auto()  # it has none, or was given other times after its occurrence had gone


class MatchRank(IntEnum):
    """By what an instance matches an occurrence, best first (P2)."""

    KEEPS = auto()
    SAME_START = auto()
    IN_PLACE = auto()  # of the one that is gone (P4)
    OVERLAPS = auto()
    NO_START = auto()


@dataclass(frozen=True, slots=True)
class RowBefore:
    """An instance as its row is before this plan.

    `own` is the span that it states, `span` the one that counts (P2). It `follows` its occurrence while its
    own times equal its binding's (P3).
    """

    instance: InstanceSnapshot
    state: BindingState
    own: Span | None
    span: Span | None
    follows: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """An instance before and after this plan; `span` are its hours, None where it is to have no window."""

    row: RowBefore
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
    candidates: Mapping[datetime, Candidate],
    *,
    default_length: timedelta,
    is_over: Callable[[Hours], bool],
) -> list[Outcome]:
    """Bind the candidates (occurrences, by start) to the instances; return what becomes of each, in order of id.

    1. Say of each row how it stands to its binding: bound, lost, or an extra.
    2. List every match of a row with a candidate within a day of it, and its rank.
    3. Make the matches, best rank first: each row and each candidate takes part in one at most.
    4. Say what follows: a row that follows its occurrence takes its times; a row without one is lost, or an extra.

    `is_over` says whether the window of given hours is over.
    """
    terms = _Terms(default_length, is_over)
    rows = _rows_before(instances, candidates, terms)
    granted = _grant(rows, candidates)
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


def _rows_before(instances: Iterable[InstanceSnapshot], starts: Iterable[datetime], terms: _Terms) -> list[RowBefore]:
    free = set(starts)
    known = frozenset(free)
    rows = []
    for instance in sorted(instances, key=lambda instance: instance.session_instance_id):
        own = terms.own_span(instance)
        state = _binding_state(instance, own, known, free)
        binding = None if state is BindingState.EXTRA else instance.binding
        span = _span_that_counts(instance, own, binding)
        follows = binding is not None and not binding.moved and _equals(instance, own, binding)
        rows.append(RowBefore(instance, state, own, span, follows, terms.is_over(span)))
    return rows


def _binding_state(
    instance: InstanceSnapshot, own: Span | None, known: frozenset[datetime], free: set[datetime]
) -> BindingState:
    """Return what the instance has of its binding; what it keeps leaves `free`."""
    binding = instance.binding
    if binding is None:
        return BindingState.EXTRA
    if binding.lost:
        return BindingState.LOST if _equals(instance, own, binding) else BindingState.EXTRA
    if binding.start not in known:
        return BindingState.EXTRA if own is None else BindingState.LOST
    if binding.start not in free:
        return BindingState.EXTRA
    free.remove(binding.start)
    return BindingState.BOUND


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


class _Match(NamedTuple):
    """A match of an instance with an occurrence; the least is made first (P2: most natural, lowest id)."""

    rank: MatchRank
    between_starts: timedelta
    start: datetime
    between_ends: timedelta
    session_instance_id: int


def _grant(rows: Sequence[RowBefore], candidates: Mapping[datetime, Candidate]) -> dict[int, Occurrence]:
    """Return, by id, the occurrence of every instance that is to have one (P2, P4)."""
    granted: dict[int, Occurrence] = {}
    taken: set[datetime] = set()
    for match in sorted(_matches(rows, candidates)):
        if match.session_instance_id not in granted and match.start not in taken:
            granted[match.session_instance_id] = candidates[match.start].occurrence
            taken.add(match.start)
    return granted


def _matches(rows: Sequence[RowBefore], candidates: Mapping[datetime, Candidate]) -> Iterator[_Match]:
    by_day = defaultdict[int, list[Candidate]](list)
    for candidate in candidates.values():
        by_day[candidate.occurrence.start.toordinal()].append(candidate)
    for row in rows:
        for candidate in _within_reach(row, candidates, by_day):
            if (rank := _rank(row, candidate)) is not None:
                yield _match(row, candidate.occurrence, rank)


def _within_reach(
    row: RowBefore, candidates: Mapping[datetime, Candidate], by_day: Mapping[int, list[Candidate]]
) -> list[Candidate]:
    """Return its own candidate, or else those from the day before to the day after: hours run past midnight."""
    if row.state is BindingState.BOUND:
        assert row.instance.binding
        return [candidates[row.instance.binding.start]]
    day = row.instance.date.toordinal()
    return [candidate for near in (day - 1, day, day + 1) for candidate in by_day.get(near, ())]


def _rank(row: RowBefore, candidate: Candidate) -> MatchRank | None:
    if row.state is BindingState.BOUND:
        return MatchRank.KEEPS
    if row.state is BindingState.LOST:
        return MatchRank.IN_PLACE if _may_replace(row, candidate) else None
    if row.own is None:
        return MatchRank.NO_START if _is_on_its_date(row, candidate) else None
    if row.own.start == candidate.occurrence.start:
        return MatchRank.SAME_START
    return MatchRank.OVERLAPS if _overlap(row.own, candidate.occurrence) else None


def _may_replace(row: RowBefore, candidate: Candidate) -> bool:
    """Whether the instance may take this occurrence for its own that is gone (P4).

    A row of the past is left to the past, and with it those who were there, unless the same hours, drawn out, bring it
    back: this morning's instance does not become tonight's.
    """
    if not _is_on_its_date(row, candidate) or candidate.is_skipped:
        return False
    if row.is_over:
        is_drawn_out = row.span is not None and _overlap(row.span, candidate.occurrence)
        return is_drawn_out and row.follows and not candidate.is_over
    return True


def _is_on_its_date(row: RowBefore, candidate: Candidate) -> bool:
    return candidate.occurrence.start.date() == row.instance.date


def _overlap(one: Hours, other: Hours) -> bool:
    return one.start < other.end and other.start < one.end


def _match(row: RowBefore, occurrence: Occurrence, rank: MatchRank) -> _Match:
    span = row.span or occurrence
    return _Match(
        rank,
        abs(span.start - occurrence.start),
        occurrence.start,
        abs(span.end - occurrence.end),
        row.instance.session_instance_id,
    )


# What becomes of it


def _outcome(row: RowBefore, occurrence: Occurrence | None, terms: _Terms) -> Outcome:
    """Follow the occurrence, or do without; but what is bound, and past before and after, stays as it is."""
    outcome = _with(row, occurrence, terms) if occurrence else _without(row)
    if row.state is not BindingState.EXTRA and row.is_over and terms.is_over(outcome.span):
        return _as_it_is(row)
    return outcome


def _with(row: RowBefore, occurrence: Occurrence, terms: _Terms) -> Outcome:
    instance = _following(row, occurrence) if row.follows else row.instance
    bound = replace(instance, binding=Binding(occurrence.start, occurrence.end))
    return Outcome(row, bound, _span_that_counts(bound, terms.own_span(bound), occurrence))


def _following(row: RowBefore, occurrence: Occurrence) -> InstanceSnapshot:
    """Return the instance at its occurrence's times (P3); an end that was not stated stays so."""
    if row.own == (occurrence.start, occurrence.end):
        return row.instance
    end_time = stated_end(occurrence) if row.instance.end_time else None
    return replace(row.instance, start_time=occurrence.start.time(), end_time=end_time)


def stated_end(occurrence: Occurrence) -> time | None:
    """Return what a row that is written for the occurrence states as its end."""
    return occurrence.end.time() if occurrence.states_end else None


def _without(row: RowBefore) -> Outcome:
    """An instance without an occurrence is an extra, or it has lost it, and its window with it (P4)."""
    if row.state is BindingState.EXTRA:
        return Outcome(row, replace(row.instance, binding=None), row.own)
    return Outcome(row, replace(row.instance, binding=_lost(row)), None)


def _lost(row: RowBefore) -> Binding:
    """Return what remembers the row's times, so that a later change of them is seen to be somebody's wish."""
    assert row.instance.binding
    assert row.span
    if row.instance.binding.lost:
        return row.instance.binding
    return Binding(*row.span, lost=True, moved=not row.follows)


def _as_it_is(row: RowBefore) -> Outcome:
    assert row.instance.binding
    return Outcome(row, row.instance, None if row.instance.binding.lost else row.span)
