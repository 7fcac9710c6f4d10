"""One session's plan: which instances it should have, at what times, and in which windows each should be active.

`plan` is a pure function from a snapshot to the changes. It is idempotent: when they are written, a second plan at the
same instant changes nothing. So a request may come twice or late, and does no harm.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby

from core.errors import InvalidRecurrence, NoSuchOccurrence, UnknownTimeZone
from core.recurrence import Occurrence, Recurrence, parse
from core.recurrence.rfc5545.expansion import RecurrenceSet
from core.rules.binding import (
    FIRST_DAY,
    LAST_DAY,
    Binding,
    Candidate,
    Hours,
    InstanceSnapshot,
    Outcome,
    bind,
    stated_end,
)
from core.rules.overlaps import ActiveSpan, Contender, disjoint
from core.timezones import require_zone, to_local
from core.windows import Window, stated_hours

__all__ = [
    "Binding",
    "InstanceSnapshot",
    "NewInstance",
    "Plan",
    "Reasons",
    "RetimedInstance",
    "SessionSnapshot",
    "contender",
    "first_date",
    "plan",
    "plan_or_freeze",
]

# Many sessions share a few recurrence texts, and every plan of a session asks for the same hours again.
_parse = lru_cache(maxsize=4096)(parse)
_hours = lru_cache(maxsize=4096)(stated_hours)
_YEAR = timedelta(weeks=53)
MOST_HOURS_AHEAD = 24 * 14


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """What the planner knows about one session.

    `instances`: all dated `first_date(now)` or later, or bound to an occurrence that starts then or later.
    `skipped`: the local starts of occurrences whose instance somebody deleted by hand.
    The buffers are 0 to 1440 minutes. `is_planned`: whether occurrences get rows by themselves (P1). `hours_ahead`: how
    long before its window a row is made; None: the horizon of the settings.
    """

    session_id: int
    recurrence: str | None
    timezone: str | None
    initiation_date: date | None
    termination_date: date | None
    active_buffer_minutes_before: int
    active_buffer_minutes_after: int
    instances: tuple[InstanceSnapshot, ...]
    skipped: frozenset[datetime]
    is_planned: bool = True
    hours_ahead: int | None = None

    def horizon(self, of_settings: timedelta) -> timedelta:
        """Return how long before its window opens a row is made; hours out of bounds count as the nearest bound."""
        if self.hours_ahead is None:
            return of_settings
        return timedelta(hours=min(max(self.hours_ahead, 1), MOST_HOURS_AHEAD))


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance to insert. Its `key` is negative, and stands for its id in `Plan.windows`."""

    key: int
    date: date
    start_time: time
    end_time: time | None
    binding: Binding


@dataclass(frozen=True, slots=True)
class RetimedInstance:
    """An instance that follows its occurrence to other times (P3)."""

    session_instance_id: int
    date: date
    start_time: time
    end_time: time | None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why a plan is as it is.

    recurrence   what the session's text says; if it cannot be read, the occurrences that instances are bound to (P6)
    candidates   the occurrences on the dates considered, by start
    outcomes     what becomes of each existing instance, by id
    contenders   the instances that would be on for their whole windows, each if it were the only one (P7)
    """

    recurrence: Recurrence
    candidates: Mapping[datetime, Candidate]
    outcomes: tuple[Outcome, ...]
    contenders: tuple[Contender, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write for one session.

    made           instances to insert
    bound          new or changed bindings of existing rows
    unbound        existing rows that lose their binding
    deletable      rows to delete if nothing in the database refers to them; if something does, `bound` and
                   `unwindowed` apply to them
    windows        every active span of every instance considered, by `opens_at`; disjoint; past ones included
    unwindowed     rows, not cancelled and not past, that have no window (P4, R3, T3)
    next_plan_at   when to plan again if nobody changes anything before then; later than now; None: never
    left_behind    instances that lose their occurrence by this plan: what stands on dates that no longer fit
    unreadable     why the recurrence or the zone cannot be read (P6); None where both can be
    unknown_hours  the zone is unknown, so no window can be computed: the stored windows stay but for those of
                   `windowless` instances
    windowless     instances that have no window whatever the zone is: cancelled, or dated after the last date
    reasons        why the plan is so; None if the zone is unknown
    """

    session_id: int
    made: tuple[NewInstance, ...]
    retimed: tuple[RetimedInstance, ...]
    bound: Mapping[int, Binding]
    unbound: frozenset[int]
    deletable: frozenset[int]
    windows: tuple[ActiveSpan, ...]
    unwindowed: tuple[int, ...]
    next_plan_at: datetime | None
    warnings: tuple[str, ...] = ()
    left_behind: tuple[InstanceSnapshot, ...] = ()
    unreadable: str | None = None
    unknown_hours: bool = False
    windowless: frozenset[int] = frozenset()
    reasons: Reasons | None = field(default=None, compare=False, repr=False)


def contender(session: SessionSnapshot, zone: str, key: int, hours: Hours) -> Contender:
    """Return the contender for a session's instance at these local hours: its window if it were the only one.

    Raises UnknownTimeZone.
    """
    stated = _hours(hours.start, hours.end, zone)
    before = timedelta(minutes=session.active_buffer_minutes_before)
    after = timedelta(minutes=session.active_buffer_minutes_after)
    return Contender(key, stated, stated.window(before=before, after=after))


def first_date(now: datetime) -> date:
    """Return the earliest local date that can matter at `now`, in any zone.

    That is four days before today in UTC. The hours of a window that is still open began at most two days ago: a day
    for the buffer, a day for their length. A zone's date differs from UTC's by at most one day. And hours that began
    a day earlier can overlap them.
    """
    return now.astimezone(UTC).date() - timedelta(days=4)


def plan(
    session: SessionSnapshot,
    now: datetime,
    *,
    horizon: timedelta,
    default_length: timedelta,
    wanted: datetime | None = None,
) -> Plan:
    """Decide what to write for one session.

    1. Expand the recurrence where it matters: near now, near every existing instance, and near `wanted`.
    2. Bind the existing instances to its occurrences: each follows its occurrence, loses it, or stays (P2-P4).
    3. If the session is planned, make an instance for each other occurrence whose window opens within `horizon` and is
       not over or skipped (P1). Make one for `wanted` in any case, however far ahead it is and even if it is skipped.
    4. Make the windows of all these instances disjoint (P7).
    5. Find when the next occurrence comes within the horizon.

    `wanted` is the local start of an occurrence that somebody asks for. Raises InvalidRecurrence and
    UnknownTimeZone (P6), and NoSuchOccurrence if nothing starts at exactly `wanted`, or if that is before
    `first_date(now)`.
    """
    zone = require_zone(session.timezone)
    recurrence = _parse(session.recurrence, default_length=default_length, zone=zone)
    return _plan(_View(session, recurrence, zone, now, session.horizon(horizon)), default_length, wanted)


def plan_or_freeze(session: SessionSnapshot, now: datetime, *, horizon: timedelta, default_length: timedelta) -> Plan:
    """Decide as `plan` does; where the recurrence or the zone cannot be read, freeze what the pattern would make (P6).

    An unreadable recurrence makes nothing new and takes nothing away: each bound instance keeps its occurrence. All
    else counts as ever: own hours, hand-made instances, cancellations, deletions, end dates, buffers, moves. With an
    unknown zone no hours are instants: the stored windows stay, but for those of instances that are cancelled or dated
    after the session's last date.
    """
    try:
        return plan(session, now, horizon=horizon, default_length=default_length)
    except InvalidRecurrence as error:
        view = _View(
            session, _kept(session, default_length), require_zone(session.timezone), now, session.horizon(horizon)
        )
        return replace(_plan(view, default_length, None), unreadable=str(error))
    except UnknownTimeZone as error:
        return _without_zone(session, str(error))


def _kept(session: SessionSnapshot, default_length: timedelta) -> Recurrence:
    """Return what stands in for a recurrence that cannot be read: the occurrences that instances are bound to."""
    bindings = (instance.binding for instance in session.instances)
    bound = {binding.start: binding.end for binding in bindings if binding and not binding.lost}
    if not bound:
        return Recurrence()
    occurrences = tuple(Occurrence(start, end) for start, end in sorted(bound.items()))
    return Recurrence((RecurrenceSet(occurrences[0].start, default_length, states_end=True, added=occurrences),))


def _without_zone(session: SessionSnapshot, error: str) -> Plan:
    last = session.termination_date or date.max
    windowless = (
        instance.session_instance_id for instance in session.instances if instance.is_cancelled or instance.date > last
    )
    return Plan(
        session.session_id,
        made=(),
        retimed=(),
        bound={},
        unbound=frozenset(),
        deletable=frozenset(),
        windows=(),
        unwindowed=(),
        next_plan_at=None,
        unreadable=error,
        unknown_hours=True,
        windowless=frozenset(windowless),
    )


def _plan(view: "_View", default_length: timedelta, wanted: datetime | None) -> Plan:
    session = view.session
    candidates = _candidates(view, wanted)
    outcomes = bind(session.instances, candidates, default_length=default_length, is_over=view.is_over)
    taken = _taken(outcomes)
    made = _made(view, [candidate for start, candidate in candidates.items() if start not in taken], wanted)
    contenders = _contenders(view, outcomes, made)
    return Plan(
        session.session_id,
        made=made,
        retimed=tuple(_retimed(outcome.instance) for outcome in outcomes if outcome.is_retimed),
        bound={outcome.session_instance_id: binding for outcome in outcomes if (binding := outcome.new_binding)},
        unbound=frozenset(outcome.session_instance_id for outcome in outcomes if outcome.is_unbound),
        deletable=frozenset(outcome.session_instance_id for outcome in outcomes if outcome.is_deletable),
        windows=disjoint(contenders),
        unwindowed=tuple(outcome.session_instance_id for outcome in outcomes if _is_unwindowed(view, outcome)),
        next_plan_at=_next_plan_at(view, taken | {new.binding.start for new in made} | session.skipped),
        warnings=view.recurrence.warnings,
        left_behind=tuple(outcome.instance for outcome in outcomes if outcome.is_left_behind),
        reasons=Reasons(view.recurrence, candidates, tuple(outcomes), tuple(contenders)),
    )


@dataclass(frozen=True, slots=True)
class _View:
    """A session at one instant: its occurrences, and the windows of hours in its zone with its buffers."""

    session: SessionSnapshot
    recurrence: Recurrence
    zone: str
    now: datetime
    horizon: timedelta

    @property
    def last_date(self) -> date:
        """The last local date on which the hours of a due window can begin, and one day more because of clock gaps."""
        before = timedelta(minutes=self.session.active_buffer_minutes_before)
        return to_local(self.now + self.horizon + before, self.zone).date() + timedelta(days=1)

    def contender(self, key: int, hours: Hours) -> Contender:
        """Return the contender for an instance at these hours, with the window that it would have if it were alone."""
        return contender(self.session, self.zone, key, hours)

    def window(self, hours: Hours) -> Window:
        """Return the window of these hours."""
        return self.contender(0, hours).window

    def is_over(self, hours: Hours) -> bool:
        """Whether the window of these hours is over."""
        return self.window(hours).closes_at <= self.now

    def is_due(self, hours: Hours) -> bool:
        """Whether the window of these hours opens within the horizon, or has opened (P1)."""
        return self.window(hours).opens_at <= self.now + self.horizon

    def between(self, first: date, last: date) -> tuple[Occurrence, ...]:
        """Return the session's occurrences that start on these local dates, both inclusive (R3)."""
        return self.recurrence.between(
            first,
            last,
            initiation_date=self.session.initiation_date,
            termination_date=self.session.termination_date,
        )

    def first_on_or_after(self, day: date) -> Occurrence | None:
        """Return the session's first occurrence that starts on that local date or later (R3)."""
        return self.recurrence.first_on_or_after(
            day,
            initiation_date=self.session.initiation_date,
            termination_date=self.session.termination_date,
        )


# Which occurrences there are


def _candidates(view: _View, wanted: datetime | None) -> dict[datetime, Candidate]:
    """Return the occurrences on the dates considered, by start, earliest first. Raises NoSuchOccurrence."""
    candidates = {
        occurrence.start: Candidate(
            occurrence, view.is_over(occurrence), is_skipped=occurrence.start in view.session.skipped
        )
        for first, last in _runs(_days(view, wanted))
        for occurrence in view.between(first, last)
    }
    if wanted and (wanted not in candidates or wanted.date() < first_date(view.now)):
        raise NoSuchOccurrence(_refusal(view, wanted))
    return candidates


def _days(view: _View, wanted: datetime | None) -> set[int]:
    """Return the ordinals of the dates to consider: those near now and near each instance, and not all between."""
    days = set(range(first_date(view.now).toordinal(), view.last_date.toordinal() + 1))
    for instance in view.session.instances:
        days.update(_around(instance.date))
        if instance.binding and not instance.binding.lost:
            days.add(instance.binding.start.toordinal())
    if wanted:
        days.update(_around(wanted))
    return {day for day in days if FIRST_DAY.toordinal() <= day <= LAST_DAY.toordinal()}


def _around(day: date) -> tuple[int, int, int]:
    """Return the ordinals of that date, the day before and the day after: their hours may overlap."""
    ordinal = day.toordinal()
    return ordinal - 1, ordinal, ordinal + 1


def _runs(days: Collection[int]) -> Iterator[tuple[date, date]]:
    """Yield the first and the last date of each unbroken run of these ordinals."""
    for _, numbered in groupby(enumerate(sorted(days)), key=lambda pair: pair[1] - pair[0]):
        run = [day for _, day in numbered]
        yield date.fromordinal(run[0]), date.fromordinal(run[-1])


def _refusal(view: _View, wanted: datetime) -> str:
    """Return the message for a `wanted` at which nothing starts, or which is too long ago for later plans to see."""
    earliest = first_date(view.now)
    middle = min(max(wanted.date(), earliest), LAST_DAY - _YEAR)
    starts = [near.start for near in view.between(max(middle - _YEAR, earliest), middle + _YEAR)]
    nearest = sorted(sorted(starts, key=lambda start: abs(start - wanted))[:3])
    return (
        f"session {view.session.session_id} has no occurrence at {wanted}; expected the start of one on {earliest} "
        f"or later; the nearest: {', '.join(map(str, nearest)) or 'none within a year'}"
    )


# What is made


def _taken(outcomes: Iterable[Outcome]) -> set[datetime]:
    """Return the starts of the occurrences that have an instance."""
    bindings = (outcome.instance.binding for outcome in outcomes)
    return {binding.start for binding in bindings if binding and not binding.lost}


def _made(view: _View, free: Iterable[Candidate], wanted: datetime | None) -> tuple[NewInstance, ...]:
    """Make an instance for each occurrence that is wanted, or is due and neither over nor skipped (P1)."""
    occurrences = [
        candidate.occurrence
        for candidate in free
        if candidate.occurrence.start == wanted
        or (
            view.session.is_planned
            and view.is_due(candidate.occurrence)
            and not candidate.is_over
            and not candidate.is_skipped
        )
    ]
    return tuple(_new(-number, occurrence) for number, occurrence in enumerate(occurrences, start=1))


def _new(key: int, occurrence: Occurrence) -> NewInstance:
    start, end = occurrence.start, occurrence.end
    return NewInstance(key, start.date(), start.time(), stated_end(occurrence), Binding(start, end))


def _retimed(instance: InstanceSnapshot) -> RetimedInstance:
    assert instance.start_time
    return RetimedInstance(instance.session_instance_id, instance.date, instance.start_time, instance.end_time)


def _next_plan_at(view: _View, taken: Collection[datetime]) -> datetime | None:
    """Return when the next occurrence becomes due that is not due yet and has no instance; None if none gets one."""
    if not view.session.is_planned:
        return None
    day = view.last_date - timedelta(days=2)
    while first := view.first_on_or_after(day):
        day = first.start.date()
        free = [occurrence for occurrence in view.between(day, day) if occurrence.start not in taken]
        if ahead := [occurrence for occurrence in free if not view.is_due(occurrence)]:
            return min(view.window(occurrence).opens_at for occurrence in ahead) - view.horizon
        day += timedelta(days=1)
    return None


# What is active when


def _contenders(view: _View, outcomes: Iterable[Outcome], made: Iterable[NewInstance]) -> list[Contender]:
    """Return the contenders: the existing instances by id, then the new ones by start (P7)."""
    existing = [
        view.contender(outcome.session_instance_id, outcome.span)
        for outcome in outcomes
        if outcome.span and not outcome.instance.is_cancelled and not _is_terminated(view, outcome)
    ]
    return existing + [view.contender(new.key, new.binding) for new in made]


def _is_terminated(view: _View, outcome: Outcome) -> bool:
    """Whether the instance is dated after the session's last date (R3)."""
    return outcome.instance.date > (view.session.termination_date or date.max)


def _is_unwindowed(view: _View, outcome: Outcome) -> bool:
    """Whether people may wait in vain: it has no window, and is neither cancelled nor past (P4, R3, T3)."""
    has_window = outcome.span is not None and not _is_terminated(view, outcome)
    return not has_window and not outcome.instance.is_cancelled and _is_ahead(view, outcome)


def _is_ahead(view: _View, outcome: Outcome) -> bool:
    """Whether its window would not be over if it had one; without any hours its date decides."""
    if hours := outcome.span or outcome.row.span:
        return not view.is_over(hours)
    after = timedelta(minutes=view.session.active_buffer_minutes_after)
    return outcome.instance.date >= to_local(view.now - after, view.zone).date()
