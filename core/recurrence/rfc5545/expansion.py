"""The local starts that an RRULE yields (RFC 5545 3.3.10), and the occurrences of all the lines together (3.8.5).

A set of days of one year is a whole number: bit 0 is 1 January. So a part of a rule, such as BYMONTH, costs one
operation a year, not one a day; a text of the worst kind is read in milliseconds (R6).

1. `Days.of_year` selects the days of a year. They depend on two things only: the kind of the year (its weekdays and
   leap days), and where in the rule's interval the year begins. It caches them by these.
2. `Rule.last` turns COUNT into a last start, once: it counts the bits of whole years.
3. `Rule.starts` puts the rule's times on the days, from DTSTART to `last`.
4. `RecurrenceSet.occurrences` merges the starts of all rules with the added ones, and leaves out the excluded ones.

python-dateutil walks from DTSTART instead, up to the year 9999 for a rule that never matches, and expands some rules
wrongly; the tests name them.
"""

from bisect import bisect_left
from calendar import isleap, monthrange
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache, reduce
from heapq import merge
from itertools import accumulate, groupby, islice, pairwise, takewhile
from operator import attrgetter, or_
from typing import Literal

from core.recurrence.schedules import LAST_DAY, Occurrence

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]

_INTERVALS: dict[Frequency, int] = {"DAILY": 366, "WEEKLY": 54, "MONTHLY": 12, "YEARLY": 1}
"""How many intervals lie in a year, wholly or in part."""

_LONGEST: dict[Frequency, int] = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}
"""How many days the longest interval has."""

EVERY = 0
"""In `Days.weekdays`: each such weekday, not only the n-th."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days that a rule selects, without regard to its start, end and count; an empty set excludes nothing.

    Negative numbers count from the end, as in RFC 5545. `weekdays` holds pairs of a number and a weekday
    (0 is Monday); the number counts within the month, or within the year if the rule is yearly and
    names no months. `positions` chooses among the days of one interval.
    """

    frequency: Frequency
    interval: int = 1
    week_starts_on: int = 0
    months: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[tuple[int, int]] = frozenset()
    positions: frozenset[int] = frozenset()

    def of_year(self, year: int, counted_from: date) -> int:
        """Return the selected days of a year; intervals count from the one of `counted_from`."""
        phase = self._intervals_between(counted_from, year) % self.interval if self.interval > 1 else 0
        return _days_of_year(self, _TWINS[year % 400], phase)

    @property
    def most_a_year(self) -> int:
        """No calendar year has more of these days; counted from the parts, so it may be more than any year has."""
        intervals = -(-_INTERVALS[self.frequency] // self.interval)
        months = len(self.months) or 12
        bounds = [intervals * _LONGEST[self.frequency], 31 * months]
        if self.month_days:
            bounds.append(months * len(self.month_days))
        if self.year_days:
            bounds.append(len(self.year_days))
        if self.weeks:
            bounds.append(7 * len(self.weeks) + 7)  # week 1 may come twice: at both ends of the year
        if self.weekdays:
            bounds.append(self._most_weekdays(intervals, months))
        if self.positions:
            bounds.append(intervals * len(self.positions))
        return min(bounds)

    def _most_weekdays(self, intervals: int, months: int) -> int:
        if self.frequency == "WEEKLY":
            return min(intervals, 53) * len(self.weekdays)
        by_year = self.frequency == "YEARLY" and not self.months
        numbered = 1 if by_year else months
        every = 53 if by_year else min(53, 5 * months)
        return sum(every if number == EVERY else numbered for number, _ in self.weekdays)

    def _intervals_between(self, day: date, year: int) -> int:
        """Return how many days, weeks, months or years the year's first day is after `day`."""
        match self.frequency:
            case "DAILY":
                return date(year, 1, 1).toordinal() - day.toordinal()
            case "WEEKLY":
                return (self._week_start(date(year, 1, 1)) - self._week_start(day)) // 7
            case "MONTHLY":
                return 12 * (year - day.year) - (day.month - 1)
        return year - day.year

    def intervals(self, year: int, phase: int) -> Iterable[range]:
        """Return the days of each interval that lies in the year, or begins or ends there; 0 is 1 January.

        Not of a daily rule: each day is an interval there.
        `phase` counts days, weeks, months or years up to the year's first, modulo `interval`.
        """
        ahead = -phase % self.interval
        if self.frequency == "WEEKLY":
            first = self._first_week(year) + 7 * ahead
            return [range(day, day + 7) for day in range(first, _length(year), 7 * self.interval)]
        if self.frequency == "MONTHLY":
            return _months(year)[ahead :: self.interval]
        return [] if ahead else [range(_length(year))]

    def in_step(self, year: int, phase: int) -> int:
        """Return the days of a year in every `interval`-th day, week, month or year; `phase` as in `intervals`."""
        ahead = -phase % self.interval
        if self.frequency == "DAILY":
            return _evenly(self.interval, len(range(ahead, _length(year), self.interval))) << ahead
        if self.frequency == "WEEKLY":
            first, step = self._first_week(year) + 7 * ahead, 7 * self.interval
            weeks = _evenly(step, len(range(first, _length(year), step))) * _bits(range(7))
            return _shifted(weeks, first) & _bits(range(_length(year)))
        return _all(map(_bits, self.intervals(year, phase)))

    def selected(self, year: int) -> int:
        """Return the days of a year that are selected without regard to `interval` and `positions`."""
        whole = range(_length(year))
        months = [_months(year)[month - 1] for month in self.months] or _months(year)
        found = _all(map(_bits, months)) if self.months else _bits(whole)
        if self.month_days:
            found &= _all(_numbered(self.month_days, len(month)) << month.start for month in months)
        if self.year_days:
            found &= _numbered(self.year_days, len(whole))
        if self.weeks:
            found &= _all(self._weeks(year, of) for of in (year - 1, year, year + 1))
        if self.weekdays:
            spans = months if self.months or self.frequency == "MONTHLY" else [whole]
            found &= _all(_weekdays(year, weekday, numbers, spans) for weekday, numbers in self._by_weekday())
        return found

    def _weeks(self, year: int, of: int) -> int:
        """Return the days of a year in the selected weeks of another year, or of the same one.

        Week 1 is the first with at least four days in the year: a week belongs to the year of its fourth day.
        """
        first, following = (self._week_start(date(start, 1, 4)) for start in (of, of + 1))
        weeks = _numbered(self.weeks, (following - first) // 7, 7) * _bits(range(7))
        return _shifted(weeks, first - date(year, 1, 1).toordinal()) & _bits(range(_length(year)))

    def _by_weekday(self) -> Iterator[tuple[int, frozenset[int]]]:
        for weekday in range(7):
            if numbers := frozenset(number for number, other in self.weekdays if other == weekday):
                yield weekday, numbers

    def _first_week(self, year: int) -> int:
        """Return on which day the week of 1 January begins: 0 to -6."""
        return (self.week_starts_on - date(year, 1, 1).weekday() + 6) % 7 - 6

    def _week_start(self, day: date) -> int:
        return day.toordinal() - (day.weekday() - self.week_starts_on) % 7


@dataclass(frozen=True, slots=True)
class Rule:
    """An RRULE: `times` on each of `days`, from DTSTART to `until` (inclusive) or for `count` starts.

    `text` is the rule as it was written, in capitals. `last` is the latest start that `count` and `until` allow; None:
    they set no end.
    """

    start: datetime
    days: Days
    times: tuple[time, ...]
    count: int | None = None
    until: datetime | None = None
    text: str = ""
    last: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        """Count once what COUNT allows."""
        object.__setattr__(self, "last", self._last_counted())

    def starts(self, first: date, last: date) -> Iterator[datetime]:
        """Yield, soonest first, the starts on the dates `first` to `last`, both inclusive."""
        first = max(first, self.start.date())
        last = min(last, self.last.date() if self.last else LAST_DAY, LAST_DAY)
        for year in range(first.year, last.year + 1):
            days = self.of_year(year)
            if year == first.year:
                days &= -1 << _number(first)
            if year == last.year:
                days &= _bits(range(_number(last) + 1))
            for number in _each(days):
                yield from self.starts_on(date.fromordinal(date(year, 1, 1).toordinal() + number), self.times)

    @property
    def most_a_year(self) -> int:
        """No calendar year has more starts; it may be more than any year has."""
        last = self.until.date() if self.until else date.max
        starts = len(self.times) * min(self.days.most_a_year, (last - self.start.date()).days + 1)
        return starts if self.count is None else min(starts, self.count)

    def has(self, start: datetime) -> bool:
        """Whether the rule yields that start."""
        return start in self.starts(start.date(), start.date())

    @property
    def first(self) -> datetime | None:
        """The first start, or None."""
        return next(self.starts(self.start.date(), LAST_DAY), None)

    def of_year(self, year: int) -> int:
        """Return the rule's days in a year, without regard to where it starts and ends."""
        return self.days.of_year(year, self.start.date())

    def starts_on(self, day: date, times: Iterable[time]) -> Iterator[datetime]:
        """Yield the starts at these of its times on one of the rule's days."""
        for at in times:
            start = datetime.combine(day, at)
            if self.start <= start and not (self.last and start > self.last):
                yield start

    def _last_counted(self) -> datetime | None:
        if self.count is None:
            return self.until
        left = self.count + self._number_before_start()
        for year in range(self.start.year, LAST_DAY.year + 1):
            days = self.of_year(year)
            starts = days.bit_count() * len(self.times)
            if left <= starts:
                day, at = divmod(left - 1, len(self.times))
                on = date(year, 1, 1) + timedelta(days=next(islice(_each(days), day, None)))
                last = datetime.combine(on, self.times[at])
                return min(last, self.until or last)
            left -= starts
        return self.until

    def _number_before_start(self) -> int:
        """Return how many starts there would be in DTSTART's year before DTSTART."""
        days, day = self.of_year(self.start.year), _number(self.start.date())
        missed = bisect_left(self.times, self.start.time()) if days >> day & 1 else 0
        return (days & _bits(range(day))).bit_count() * len(self.times) + missed


# Sets of days


@lru_cache(maxsize=4096)
def _days_of_year(days: Days, year: int, phase: int) -> int:
    """Return a year's selected days; `phase` as in `Days.intervals`."""
    if days.positions:
        return _chosen(days, year, phase)
    if days.interval == 1:
        return days.selected(year)
    lying = days.in_step(year, phase)
    return lying and days.selected(year) & lying


def _chosen(days: Days, year: int, phase: int) -> int:
    """Return the days at `positions` in their intervals; the first week and the last may lie in two years."""
    if days.frequency == "DAILY":
        return 0 if days.positions.isdisjoint({1, -1}) else days.selected(year) & days.in_step(year, phase)
    before, length = _length(year - 1), _length(year)
    selected = _selected(days, year) << before
    if days.frequency == "WEEKLY":
        selected |= _selected(days, _TWINS[(year - 1) % 400])
        selected |= _selected(days, _TWINS[(year + 1) % 400]) << before + length
    chosen = 0
    for interval in days.intervals(year, phase):
        first = before + interval.start
        if inside := selected >> first & (1 << len(interval)) - 1:
            chosen |= _at_positions(inside, days.positions) << first
    return chosen >> before & _bits(range(length))


@lru_cache(maxsize=4096)
def _selected(days: Days, year: int) -> int:
    return days.selected(year)


@lru_cache(maxsize=4096)
def _at_positions(days: int, positions: frozenset[int]) -> int:
    wanted = _numbered(positions, days.bit_count())
    return _all(1 << day for number, day in enumerate(_each(days)) if wanted >> number & 1)


@lru_cache(maxsize=4096)
def _numbered(numbers: frozenset[int], of: int, step: int = 1) -> int:
    """Return a bit for each of these numbers, from 1 or, if negative, from the end; the bits are `step` apart."""
    places = {number - 1 if number > 0 else of + number for number in numbers}
    return _all(1 << step * place for place in places if 0 <= place < of)


def _weekdays(year: int, weekday: int, numbers: frozenset[int], spans: Iterable[range]) -> int:
    """Return the days of a year on a weekday that have one of the numbers in their month, or in the year."""
    first = (weekday - date(year, 1, 1).weekday()) % 7
    if EVERY in numbers:
        return _evenly(7, len(range(first, _length(year), 7))) << first
    found = 0
    for span in spans:
        soonest = span.start + (first - span.start) % 7
        found |= _numbered(numbers, len(range(soonest, span.stop, 7)), 7) << soonest
    return found


def _evenly(step: int, number: int) -> int:
    """Return so many days, from the first on, `step` days apart."""
    return ((1 << step * number) - 1) // ((1 << step) - 1) if number > 1 else number


@lru_cache
def _months(year: int) -> tuple[range, ...]:
    ends = accumulate((monthrange(year, month)[1] for month in range(1, 13)), initial=0)
    return tuple(range(first, end) for first, end in pairwise(ends))


def _length(year: int) -> int:
    return 365 + isleap(year)


def _number(day: date) -> int:
    return day.toordinal() - date(day.year, 1, 1).toordinal()


def _all(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def _bits(days: range) -> int:
    return (1 << len(days)) - 1 << days.start


def _shifted(days: int, by: int) -> int:
    """Return the days moved `by` days later; those that come before the first fall away."""
    return days << by if by >= 0 else days >> -by


def _each(days: int) -> Iterator[int]:
    """Yield the numbers of the days, in order."""
    while days:
        lowest = days & -days
        yield lowest.bit_length() - 1
        days ^= lowest


def _kind(year: int) -> tuple[int, bool, bool, bool]:
    """Return what determines the days of a year, and the weeks that it shares with the years beside it."""
    return date(year, 1, 1).weekday(), isleap(year - 1), isleap(year), isleap(year + 1)


_first_of_kind: dict[tuple[int, bool, bool, bool], int] = {}
_TWINS = tuple(_first_of_kind.setdefault(_kind(year), year) for year in range(2000, 2400))
"""For each year, modulo 400, a year of the same kind."""


@dataclass(frozen=True, slots=True)
class RecurrenceSet:
    """The starts of all `rules`, and the `added` occurrences, without the `excluded` starts.

    Each start of a rule lasts `length`; `states_end` tells whether the text says so (T3). `added` is in order.
    """

    start: datetime
    length: timedelta
    states_end: bool
    rules: tuple[Rule, ...] = ()
    added: tuple[Occurrence, ...] = ()
    excluded: frozenset[datetime] = frozenset()

    @property
    def most_a_day(self) -> int:
        """No day has more starts; it may be more than any day has, because rules may fall on different days."""
        times = {at for rule in self.rules for at in rule.times}
        by_day: dict[date, set[time]] = {}
        for start in self._added_starts:
            by_day.setdefault(start.date(), set()).add(start.time())
        return max((len(times | added) for added in by_day.values()), default=len(times))

    @property
    def most_a_year(self) -> int:
        """No calendar year has more starts; it may be more than any year has, because rules may share starts."""
        added = Counter(start.year for start in self._added_starts)
        return sum(rule.most_a_year for rule in self.rules) + max(added.values(), default=0)

    @property
    def _added_starts(self) -> set[datetime]:
        """The added starts, without DTSTART if a rule has its time: such a rule nearly always yields it."""
        times = {at for rule in self.rules for at in rule.times}
        starts = {occurrence.start for occurrence in self.added}
        return starts - {self.start} if self.start.time() in times else starts

    needs_initiation_date = False
    """Intervals count from DTSTART (R5)."""

    def occurrences(self, first: date, last: date, _initiation_date: date | None = None) -> Iterator[Occurrence]:
        """Yield, soonest first, the occurrences that start on the dates `first` to `last`, both inclusive.

        If several have the same start, it yields only the one with the latest end (R4).
        """
        by_rules = (map(self.lasting, rule.starts(first, last)) for rule in self.rules)
        begin = bisect_left(self.added, first, key=_date_of)
        added = takewhile(lambda occurrence: _date_of(occurrence) <= last, islice(self.added, begin, None))
        for start, same in groupby(merge(*by_rules, added), attrgetter("start")):
            if start not in self.excluded:
                *_, longest = same
                yield longest

    def starts_among(self, walls: Collection[datetime], days: Collection[date]) -> set[datetime]:
        """Return which of these wall times are starts, and all starts on these days; excluded ones too."""
        found = {start for start in (one.start for one in self.added) if start in walls or start.date() in days}
        times: dict[date, set[time]] = {day: set() for day in sorted({*days, *(wall.date() for wall in walls)})}
        for wall in walls:
            times[wall.date()].add(wall.time())
        for rule in self.rules:
            for year, same in groupby(times, attrgetter("year")):
                of_year = rule.of_year(year)
                for day in same:
                    if of_year >> _number(day) & 1:
                        found.update(rule.starts_on(day, rule.times if day in days else times[day] & {*rule.times}))
        return found

    def soonest(self, first: date, last: date, _initiation_date: date | None = None) -> Occurrence | None:
        """Return the soonest occurrence that starts on the dates `first` to `last`, both inclusive."""
        return next(self.occurrences(first, last), None)

    def lasting(self, start: datetime) -> Occurrence:
        """Return the occurrence at a start, with the length of the set."""
        return Occurrence(start, start + self.length, self.states_end)


def _date_of(occurrence: Occurrence) -> date:
    return occurrence.start.date()
