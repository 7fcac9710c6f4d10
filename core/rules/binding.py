"""Which instance stands for which occurrence of its session, and which times the instance gets (P2 to P4).

A match of an instance with an occurrence has one of six ranks. `bind` makes the best matches first, over all instances
and all occurrences. So the result depends on the rows alone, and not on the order in which they were written.
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
"""An instance dated outside these days has no times: near the calendar's ends some wall times have no instant."""


class Hours(Protocol):
    """Anything with a naive local start and end."""

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
    """The occurrence that an instance stands for, in naive local times.

    `lost`: the occurrence is gone, and no other was free on its date; start and end are the row's times of then (P4).
    `moved`: lost, and somebody had given the row other times; the row keeps them when it is bound again (P3).
    """

    start: datetime
    end: datetime
    lost: bool = False
    moved: bool = False


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """What the planner knows about one row of `session_instance`.

    `untouched`: it has a binding, the planner wrote it, nobody touched it since, and nobody said anything of it.
    `has_opened`: it is on, or was on; known of what the planner wrote.
    """

    session_instance_id: int
    date: date
    start_time: time | None
    end_time: time | None
    is_cancelled: bool
    binding: Binding | None = None
    untouched: bool = False
    has_opened: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """An occurrence; whether its window is over; and whether somebody deleted its instance by hand."""

    occurrence: Occurrence
    is_over: bool
    is_skipped: bool


class BindingState(Enum):
    """The state of an instance's binding before this plan."""

    BOUND = auto()  # the instance keeps its occurrence
    LOST = auto()  # its occurrence is gone, and nobody has given the row other times since
    EXTRA = auto()  # it has no binding that counts: none, or somebody gave the row other times after it was lost


class MatchRank(IntEnum):
    """Why an instance matches an occurrence, best first (P2)."""

    KEEPS = auto()  # it is bound to this occurrence already
    SAME_START = auto()
    KEEPS_UNTOUCHED = auto()  # a row that nobody touched gives way to one that a person made for the same start
    IN_PLACE = auto()  # its own occurrence is gone, and this one is on the same date (P4)
    OVERLAPS = auto()
    NO_START = auto()  # the row states no start, and is dated on the occurrence's date


@dataclass(frozen=True, slots=True)
class RowBefore:
    """An instance before this plan.

    `own` is the span that the row states, `span` the one that counts (P2). The row `follows` its occurrence
    while its own times equal its binding's (P3).
    """

    instance: InstanceSnapshot
    state: BindingState
    own: Span | None
    span: Span | None
    follows: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """An instance before and after this plan; `span`: its hours after it, None if it has no window."""

    row: RowBefore
    instance: InstanceSnapshot
    span: Span | None

    @property
    def session_instance_id(self) -> int:
        """The row's id."""
        return self.row.instance.session_instance_id

    @property
    def is_retimed(self) -> bool:
        """Whether the plan changes the row's times."""
        before, after = self.row.instance, self.instance
        return (before.start_time, before.end_time) != (after.start_time, after.end_time)

    @property
    def new_binding(self) -> Binding | None:
        """Its binding after the plan; None if the plan removes it or leaves it unchanged."""
        return self.instance.binding if self.instance.binding != self.row.instance.binding else None

    @property
    def is_unbound(self) -> bool:
        """Whether the plan removes its binding."""
        return self.instance.binding is None and self.row.instance.binding is not None

    @property
    def is_left_behind(self) -> bool:
        """Whether it loses its occurrence by this plan, and somebody may still wait for it."""
        before, after = self.row.instance.binding, self.instance.binding
        is_lost = after is not None and after.lost and not (before is not None and before.lost)
        return is_lost and not self.row.is_over and not self.row.instance.is_cancelled

    @property
    def is_deletable(self) -> bool:
        """Whether nobody will miss it: it is lost, is not over, and nobody touched it (P4).

        One that has opened is part of the past, unless another row stands for the same occurrence now (P2).
        """
        binding = self.instance.binding
        is_lost = binding is not None and binding.lost
        gave_way = self.row.state is BindingState.BOUND
        may_go = gave_way or not self.instance.has_opened
        return is_lost and self.instance.untouched and may_go and not self.row.is_over


def bind(
    instances: Iterable[InstanceSnapshot],
    candidates: Mapping[datetime, Candidate],
    *,
    default_length: timedelta,
    is_over: Callable[[Hours], bool],
) -> list[Outcome]:
    """Bind the instances to the candidates (occurrences, by start); return an outcome for each instance, by id.

    1. Find the state of each row's binding: bound, lost, or extra.
    2. List every match of a row with a candidate at most a day away, and its rank.
    3. Make the matches, best rank first. Each row and each candidate takes part in at most one.
    4. Give a row that follows its occurrence the occurrence's times. A row without an occurrence is lost, or an extra.

    `is_over` tells whether the window of given hours is over.
    """
    terms = _Terms(default_length, is_over)
    rows = _rows_before(instances, candidates, terms)
    granted = _grant(rows, candidates)
    return [_outcome(row, granted.get(row.instance.session_instance_id), terms) for row in rows]


@dataclass(frozen=True, slots=True)
class _Terms:
    """The default length, and the test whether a window is over: what turns a row's times into hours needs both."""

    default_length: timedelta
    window_is_over: Callable[[Hours], bool]

    def own_span(self, instance: InstanceSnapshot) -> Span | None:
        """Return the span that the row itself states; None if it states no start."""
        if instance.start_time is None or not _is_in_calendar(instance):
            return None
        day, start, end = instance.date, instance.start_time, instance.end_time
        return Span(*stated_span(day, start, end, default_length=self.default_length))

    def is_over(self, hours: Hours | None) -> bool:
        """Whether the window of these hours is over; a row without hours counts as over."""
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
    """Return the state of the instance's binding; if it is bound to an occurrence, remove that one from `free`.

    A row that nobody touched is no extra, whatever triggers of the app's wrote in it: where another row stands for its
    occurrence, or none, it may go (P2, P4).
    """
    binding = instance.binding
    if binding is None:
        return BindingState.EXTRA
    is_ours = instance.untouched and own is not None
    if binding.lost:
        return BindingState.LOST if is_ours or _equals(instance, own, binding) else BindingState.EXTRA
    if binding.start not in known:
        return BindingState.EXTRA if own is None else BindingState.LOST
    if binding.start not in free and not is_ours:
        return BindingState.EXTRA
    free.discard(binding.start)
    return BindingState.BOUND


def _equals(instance: InstanceSnapshot, own: Span | None, hours: Hours) -> bool:
    """Whether the row's own times equal these hours (P3); if the row states no end, the start decides.

    A row states its end as a time of day, so it cannot state hours of a day or more. It can still stand for them:
    an equal time of day is enough.
    """
    if own is None or own.start != hours.start:
        return False
    return own.end == hours.end or instance.end_time in (None, hours.end.time())


def _span_that_counts(instance: InstanceSnapshot, own: Span | None, hours: Hours | None) -> Span | None:
    """Return the row's own span; if it states no start or no end, that of `hours`; None without either (T3)."""
    if hours is None:
        return own
    if own is None:
        return _on_its_date(instance, hours)
    return Span(hours.start, hours.end) if _equals(instance, own, hours) else own


def _on_its_date(instance: InstanceSnapshot, hours: Hours) -> Span | None:
    """Return the hours, moved to the date of an instance that states no start: that may be another date."""
    if not _is_in_calendar(instance):
        return None
    start = datetime.combine(instance.date, hours.start.time())
    return Span(start, start + (hours.end - hours.start))


def _is_in_calendar(instance: InstanceSnapshot) -> bool:
    return FIRST_DAY <= instance.date <= LAST_DAY


# Which occurrence it has after this plan


class _Match(NamedTuple):
    """A match of an instance with an occurrence; the smallest is made first (P2: most natural, lowest id)."""

    rank: MatchRank
    between_starts: timedelta
    start: datetime
    between_ends: timedelta
    session_instance_id: int


def _grant(rows: Sequence[RowBefore], candidates: Mapping[datetime, Candidate]) -> dict[int, Occurrence]:
    """Return, by id, the occurrence of every instance that gets one (P2, P4)."""
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
    """Return a row's candidates: a bound row keeps its own; another row has all of the three days around its date.

    Hours run past midnight, so those of the neighbouring days may overlap the row's.
    """
    if row.state is BindingState.BOUND:
        assert row.instance.binding
        return [candidates[row.instance.binding.start]]
    day = row.instance.date.toordinal()
    return [candidate for near in (day - 1, day, day + 1) for candidate in by_day.get(near, ())]


def _rank(row: RowBefore, candidate: Candidate) -> MatchRank | None:
    if row.state is BindingState.BOUND:
        return MatchRank.KEEPS_UNTOUCHED if row.instance.untouched and not row.is_over else MatchRank.KEEPS
    if row.state is BindingState.LOST:
        return MatchRank.IN_PLACE if _may_replace(row, candidate) else None
    if row.own is None:
        return MatchRank.NO_START if _is_on_its_date(row, candidate) else None
    if row.own.start == candidate.occurrence.start:
        return MatchRank.SAME_START
    return MatchRank.OVERLAPS if _overlap(row.own, candidate.occurrence) else None


def _may_replace(row: RowBefore, candidate: Candidate) -> bool:
    """Whether the instance may take this occurrence in place of its lost one (P4).

    A row that is over keeps its times, and the people who were there: this morning's instance does not become
    tonight's. The exception is an evening that somebody extended: the occurrence overlaps the row's hours and is not
    over.
    """
    if not _is_on_its_date(row, candidate) or candidate.is_skipped:
        return False
    if row.is_over:
        is_extended = row.span is not None and _overlap(row.span, candidate.occurrence)
        return is_extended and row.follows and not candidate.is_over
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
    """Return the row with its occurrence, or without; a bound or lost row that stays over does not change."""
    outcome = _with(row, occurrence, terms) if occurrence else _without(row)
    if row.state is not BindingState.EXTRA and row.is_over and terms.is_over(outcome.span):
        return _as_it_is(row)
    return outcome


def _with(row: RowBefore, occurrence: Occurrence, terms: _Terms) -> Outcome:
    instance = _following(row, occurrence) if row.follows else row.instance
    bound = replace(instance, binding=Binding(occurrence.start, occurrence.end))
    return Outcome(row, bound, _span_that_counts(bound, terms.own_span(bound), occurrence))


def _following(row: RowBefore, occurrence: Occurrence) -> InstanceSnapshot:
    """Return the instance at its occurrence's times (P3); if the row states no end, it goes on stating none."""
    if row.own == (occurrence.start, occurrence.end):
        return row.instance
    end_time = stated_end(occurrence) if row.instance.end_time else None
    return replace(row.instance, start_time=occurrence.start.time(), end_time=end_time)


def stated_end(occurrence: Occurrence) -> time | None:
    """Return the end that a new row for the occurrence states; None if it states none."""
    return occurrence.end.time() if occurrence.states_end else None


def _without(row: RowBefore) -> Outcome:
    """Return an extra without a binding; any other row has lost its occurrence, and its window too (P4)."""
    if row.state is BindingState.EXTRA:
        return Outcome(row, replace(row.instance, binding=None), row.own)
    return Outcome(row, replace(row.instance, binding=_lost(row)), None)


def _lost(row: RowBefore) -> Binding:
    """Return a lost binding with the row's times: if they differ later, somebody changed the row on purpose."""
    assert row.instance.binding
    assert row.span
    if row.instance.binding.lost:
        return row.instance.binding
    return Binding(*row.span, lost=True, moved=not row.follows)


def _as_it_is(row: RowBefore) -> Outcome:
    assert row.instance.binding
    return Outcome(row, row.instance, None if row.instance.binding.lost else row.span)
