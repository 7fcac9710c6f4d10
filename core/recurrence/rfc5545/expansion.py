"""The local starts that an RRULE yields (RFC 5545 3.3.10), and the occurrences of all the lines together (3.8.5).

The days of a rule in a year depend on two things only: the kind of the year (its weekdays and leap days), and where
in the rule's interval the year begins. So the expansion works by years:

1. `Days.of_year` selects the days of a year, and caches them by these two things. A year far from DTSTART costs no
   more than a near one.
2. `Rule.starts` puts the rule's times on these days, from DTSTART to UNTIL. For COUNT it counts whole years.
3. `Rule.first` looks at 400 years times the interval, because the days repeat after that. So it recognises a rule that
   never matches.
4. `RecurrenceSet.occurrences` merges the starts of all rules with the added ones, and leaves out the excluded ones.

python-dateutil walks from DTSTART instead, up to the year 9999 for a rule that never matches, and expands some rules
wrongly; the tests name them.
"""

from bisect import bisect_left, bisect_right
from calendar import isleap, monthrange
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
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

    def of_year(self, year: int, counted_from: date) -> tuple[int, ...]:
        """Return the selected days of a year, numbered from 0; intervals count from the one of `counted_from`."""
        return _days_of_year(self, _TWINS[year % 400], self._intervals_between(counted_from, year) % self.interval)

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

    def intervals(self, year: int, phase: int) -> Iterator[range]:
        """Yield the ordinals of each interval that lies in the year, or begins or ends there, in order.

        `phase` counts days, weeks, months or years up to the year's first, modulo `interval`.
        """
        first_day, last_day = date(year, 1, 1), date(year, 12, 31)
        first, last = first_day.toordinal(), last_day.toordinal()
        ahead = -phase % self.interval
        match self.frequency:
            case "DAILY":
                for day in range(first + ahead, last + 1, self.interval):
                    yield range(day, day + 1)
            case "WEEKLY":
                for week in range(self._week_start(first_day) + 7 * ahead, last + 1, 7 * self.interval):
                    yield range(week, week + 7)
            case "MONTHLY":
                for month in range(1 + ahead, 13, self.interval):
                    start = date(year, month, 1).toordinal()
                    yield range(start, start + monthrange(year, month)[1])
            case "YEARLY" if not ahead:
                yield range(first, last + 1)

    def has(self, day: date) -> bool:
        """Whether a day is selected, without regard to `interval` and `positions`."""
        year_day, days_in_year = _day_of_year(day), 365 + isleap(day.year)
        days_in_month = monthrange(day.year, day.month)[1]
        return (
            (not self.months or day.month in self.months)
            and _is_one_of(self.month_days, day.day, days_in_month)
            and _is_one_of(self.year_days, year_day, days_in_year)
            and (not self.weeks or _is_one_of(self.weeks, *self._week(day)))
            and (
                self._has_weekday(day.weekday(), day.day, days_in_month)
                if self.months or self.frequency == "MONTHLY"
                else self._has_weekday(day.weekday(), year_day, days_in_year)
            )
        )

    def chosen(self, days: list[int]) -> list[int]:
        """Return the days of one interval that are at `positions`."""
        if not self.positions:
            return days
        return [day for number, day in enumerate(days, start=1) if _is_one_of(self.positions, number, len(days))]

    def _has_weekday(self, weekday: int, number: int, of: int) -> bool:
        from_front, from_back = (number - 1) // 7 + 1, -((of - number) // 7 + 1)
        return not self.weekdays or not self.weekdays.isdisjoint(
            {(EVERY, weekday), (from_front, weekday), (from_back, weekday)}
        )

    def _week_start(self, day: date) -> int:
        return day.toordinal() - (day.weekday() - self.week_starts_on) % 7

    def _week(self, day: date) -> tuple[int, int]:
        """Return the number of a day's week, and how many weeks the week's year has.

        Week 1 is the first with at least four days in the year: a week belongs to the year of its fourth day.
        """
        fourth = date.fromordinal(self._week_start(day) + 3)
        year_day = _day_of_year(fourth)
        days_before_first = (year_day - 1) % 7
        return (year_day - 1) // 7 + 1, (365 + isleap(fourth.year) - days_before_first - 1) // 7 + 1


@dataclass(frozen=True, slots=True)
class Rule:
    """An RRULE: `times` on each of `days`, from DTSTART to `until` (inclusive) or for `count` starts.

    `text` is the rule as it was written, in capitals.
    """

    start: datetime
    days: Days
    times: tuple[time, ...]
    count: int | None = None
    until: datetime | None = None
    text: str = ""

    def starts(self, first: date, last: date) -> Iterator[datetime]:
        """Yield, soonest first, the starts on the dates `first` to `last`, both inclusive."""
        starts = (
            start
            for ordinal in self._ordinals(max(first, self.start.date()), min(last, self._last))
            for start in self._starts_on(date.fromordinal(ordinal))
        )
        return starts if self.count is None else islice(starts, max(self.count - self._number_before(first), 0))

    @property
    def most_a_year(self) -> int:
        """No calendar year has more starts; it may be more than any year has."""
        starts = len(self.times) * min(self.days.most_a_year, (self._last - self.start.date()).days + 1)
        return starts if self.count is None else min(starts, self.count)

    def has(self, start: datetime) -> bool:
        """Whether the rule yields that start."""
        return start in self.starts(start.date(), start.date())

    def without_count(self, last_year: int) -> "Rule":
        """Return a rule without COUNT that has the same starts up to that year: its last start is its UNTIL."""
        left = self.count
        if left is None:
            return self
        for year in range(self.start.year, min(last_year, self._last.year) + 1):
            few = len(self._year(year)[1]) * len(self.times)
            if few < left and year > self.start.year:
                left -= few
                continue
            starts = list(islice(replace(self, count=None).starts(date(year, 1, 1), date(year, 12, 31)), left))
            left -= len(starts)
            if not left:
                return replace(self, count=None, until=starts[-1])
        return replace(self, count=None)

    @property
    def first(self) -> datetime | None:
        """The first start, or None; a rule's days repeat after 400 years times its interval, so it looks no further."""
        last_year = self.start.year + 400 * self.days.interval
        last = LAST_DAY if last_year >= LAST_DAY.year else date(last_year, 12, 31)
        return next(self.starts(self.start.date(), last), None)

    @property
    def _last(self) -> date:
        return self.until.date() if self.until else date.max

    def _starts_on(self, day: date) -> Iterator[datetime]:
        for at in self.times:
            start = datetime.combine(day, at)
            if self.start <= start and not (self.until and start > self.until):
                yield start

    def _ordinals(self, first: date, last: date) -> Iterator[int]:
        """Yield the ordinals of the rule's days from `first` to `last`, both inclusive."""
        for year in range(first.year, last.year + 1):
            new_year, days = self._year(year)
            selected = slice(
                bisect_left(days, first.toordinal() - new_year), bisect_right(days, last.toordinal() - new_year)
            )
            yield from (new_year + day for day in days[selected])

    def _year(self, year: int) -> tuple[int, tuple[int, ...]]:
        """Return the ordinal of a year's first day, and the days of that year, numbered from 0."""
        return date(year, 1, 1).toordinal(), self.days.of_year(year, self.start.date())

    def _number_before(self, day: date) -> int:
        """Return how many starts there are from DTSTART to before a date, without regard to COUNT and UNTIL."""
        first = self.start.date()
        if day <= first:
            return 0
        days = self._days_before(day) - self._days_before(first)
        missed_on_first_day = bisect_left(self.times, self.start.time()) if any(self._ordinals(first, first)) else 0
        return days * len(self.times) - missed_on_first_day

    def _days_before(self, day: date) -> int:
        """Return how many of the rule's days there are from 1 January of DTSTART's year to before a date."""
        whole_years = sum(len(self._year(year)[1]) for year in range(self.start.year, day.year))
        new_year, days = self._year(day.year)
        return whole_years + bisect_left(days, day.toordinal() - new_year)


@lru_cache(maxsize=2048)
def _days_of_year(days: Days, year: int, phase: int) -> tuple[int, ...]:
    """Return a year's selected days, numbered from 0, in order; `phase` as in `Days.intervals`."""
    new_year, next_new_year = date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()
    return tuple(
        day - new_year
        for interval in days.intervals(year, phase)
        for day in days.chosen([day for day in interval if days.has(date.fromordinal(day))])
        if new_year <= day < next_new_year
    )


def _is_one_of(wanted: frozenset[int], number: int, of: int) -> bool:
    """Whether the `number`-th of `of` is wanted, counted from the front or the back; an empty set wants all."""
    return not wanted or number in wanted or number - of - 1 in wanted


def _kind(year: int) -> tuple[int, bool, bool, bool]:
    """Return what determines the days of a year, and the weeks that it shares with the years beside it."""
    return date(year, 1, 1).weekday(), isleap(year - 1), isleap(year), isleap(year + 1)


_first_of_kind: dict[tuple[int, bool, bool, bool], int] = {}
_TWINS = tuple(_first_of_kind.setdefault(_kind(year), year) for year in range(2000, 2400))
"""For each year, modulo 400, a year of the same kind."""


def _day_of_year(day: date) -> int:
    return day.toordinal() - date(day.year, 1, 1).toordinal() + 1


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
        added = (occurrence for occurrence in self.added if first <= occurrence.start.date() <= last)
        for start, same in groupby(merge(*by_rules, added), attrgetter("start")):
            if start not in self.excluded:
                *_, longest = same
                yield longest

    def soonest(self, first: date, last: date, _initiation_date: date | None = None) -> Occurrence | None:
        """Return the soonest occurrence that starts on the dates `first` to `last`, both inclusive."""
        return next(self.occurrences(first, last), None)

    def lasting(self, start: datetime) -> Occurrence:
        """Return the occurrence at a start, with the length of the set."""
        return Occurrence(start, start + self.length, self.states_end)
