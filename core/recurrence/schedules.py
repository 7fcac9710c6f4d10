"""Schedules: which local dates a rule falls on, and the occurrences it yields there.

Everything here is naive local time; `core.windows` turns it into instants.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from core.errors import InvalidRecurrence

DEFAULT_LENGTH = timedelta(hours=3)
"""How long an occurrence lasts if it states no end (T3)."""

FIRST_YEAR, LAST_YEAR = 1900, 2199
"""If somebody gives a date in another year, it is a mistake: in a form, in a file, or where they ask for a row."""

LAST_DAY = date(LAST_YEAR, 12, 31)
"""Nothing occurs later: a rule that never matches, or whose COUNT is high, is followed no further (R6)."""

LONGEST_GAP = timedelta(weeks=53)
"""No two neighbouring occurrences of a schedule are further apart: `every_n_weeks` is at most 52."""

MOST_A_DAY, MOST_A_YEAR = 48, 1000
"""The most starts that a recurrence may have on a day and in a year (R6): a pass plans them while edges wait."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

LAST = -1
"""In `Schedule.which`: the last such weekday of a month."""

EVERY_WEEK = frozenset({1, 2, 3, 4, 5})

COUNTING_STARTS = date(1970, 1, 5)
"""If a session has no initiation date, its weeks are counted from this Monday, 5 January 1970 (R2)."""


END_OF_DAY = time(0, fold=1)
"""24:00, which PostgreSQL accepts as a time: the midnight at the end of a day. It equals the one that begins the day,
but for its fold."""


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """A naive local start and end; if no end is stated, it is the default length after the start (T3)."""

    start: datetime
    end: datetime
    states_end: bool = True


@dataclass(frozen=True, slots=True)
class LocalHours:
    """The hours that are stated for a day, as wall times."""

    start: time
    end: time | None = None
    default_length: timedelta = DEFAULT_LENGTH

    def on(self, day: date) -> Occurrence:
        """Return these hours on that date.

        An end before the start is on the next day; a missing end, or one equal to the start, counts as the
        default length after it; 24:00 is the midnight at the end of the date (T3).
        """
        start = _on(day, self.start)
        end = start if self.end is None else _on(day, self.end)
        if end < start:
            end += timedelta(days=1)
        if end == start:
            return Occurrence(start, start + self.default_length, states_end=False)
        return Occurrence(start, end)


def _on(day: date, at: time) -> datetime:
    wall = datetime.combine(day, at)
    return wall.replace(fold=0) + timedelta(days=1) if at.fold else wall


@dataclass(frozen=True, slots=True)
class Break:
    """The local dates `first` to `last`, both inclusive, on which nothing starts; `why`, for people to read (R7)."""

    first: date
    last: date
    why: str | None = None

    def covers(self, day: date) -> bool:
        """Whether nothing starts on this date."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Schedule:
    """The same hours on a weekday (0 is Monday), in every n-th week, if it is one of `which` in its month.

    `which` has numbers from 1 to 5 (the first to the fifth such weekday of a month), and -1 for the last.
    """

    weekday: int
    hours: LocalHours
    every_n_weeks: int = 1
    which: frozenset[int] = EVERY_WEEK

    def occurrences(self, first: date, last: date, initiation_date: date | None) -> Iterator[Occurrence]:
        """Yield, soonest first, the occurrences that start on the dates `first` to `last`, both inclusive.

        Weeks are counted from the first matching weekday on or after `initiation_date`; without one, from the week of
        Monday 1970-01-05 (R2).
        """
        counted_from = initiation_date or COUNTING_STARTS
        first_counted = counted_from.toordinal() + (self.weekday - counted_from.weekday()) % 7
        step = 7 * self.every_n_weeks
        soonest = first.toordinal() + (first_counted - first.toordinal()) % step
        for ordinal in range(soonest, last.toordinal() + 1, step):
            day = date.fromordinal(ordinal)
            if self._has(day):
                yield self.hours.on(day)

    def soonest(self, first: date, last: date, initiation_date: date | None) -> Occurrence | None:
        """Return the first of `occurrences`."""
        return next(self.occurrences(first, min(last, _after_longest_gap(first)), initiation_date), None)

    @property
    def needs_initiation_date(self) -> bool:
        """Whether it skips weeks; without an initiation date it may skip the wrong ones (R2)."""
        return self.every_n_weeks > 1

    @property
    def most_a_year(self) -> int:
        """No calendar year has more occurrences: a weekday comes 53 times at most."""
        return min(-(-53 // self.every_n_weeks), 12 * len(self.which))

    def _has(self, day: date) -> bool:
        days_in_month = monthrange(day.year, day.month)[1]
        is_last = day.day + 7 > days_in_month
        return (day.day - 1) // 7 + 1 in self.which or (is_last and LAST in self.which)


def require_few(a_day: int, a_year: int) -> None:
    """Raise InvalidRecurrence if these are more starts than a recurrence may have on a day or in a year (R6)."""
    for number, period, most in ((a_day, "day", MOST_A_DAY), (a_year, "year", MOST_A_YEAR)):
        if number > most:
            raise InvalidRecurrence(f"the recurrence has up to {number} starts a {period}; expected at most {most}")


def _after_longest_gap(day: date) -> date:
    return min(day, LAST_DAY - LONGEST_GAP) + LONGEST_GAP
