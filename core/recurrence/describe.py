"""A recurrence in plain English, as a musician would write it: "Every other Thursday, 7-10:30pm"."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import combinations, islice
from typing import TypeVar

from core.recurrence import Recurrence
from core.recurrence.rfc5545.expansion import EVERY, Days, RecurrenceSet, Rule
from core.recurrence.schedules import EVERY_WEEK, FIRST_YEAR, LAST, LAST_DAY, WEEKDAYS, Break, Occurrence, Schedule

NEVER = "No regular times"

MOST_DATES = 3
"""If there are more single dates, or more breaks, than this, the text gives their number and does not list them.

A rule with so few starts is described by its dates.
"""

LATER_END_COUNTS = "where two begin together, the later end counts"
"""The text says so of schedules that end differently on some of their days (R4)."""

_WEEKDAYS = tuple(name.capitalize() for name in WEEKDAYS)
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_NUMBERS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -2: "second to last", LAST: "last"}
_OF_THE_MONTH = "of the month"
_ANY_DAY = date(2026, 11, 5)
_SHORTEST_RUN = 3
"""From this many weekdays in a row on, the text is "Monday to Wednesday", not a list."""

_NOON, _MIDNIGHT = time(12), time(0)
_ALL_NUMBERS = EVERY_WEEK - {5} | {LAST}
"""A session that meets on all of these in each month meets every week."""

_YEARS_OF_SCHEDULES = 12
"""Hours that a schedule does not have within so many years are not told."""

Value = TypeVar("Value")


def describe(recurrence: Recurrence) -> str:
    """Return the days and hours of a recurrence; a rule that is too complicated for English is quoted.

    Each date, weekday and hour that it names is one of an occurrence, except after "but not" and "counted from".
    """
    if recurrence.breaks and recurrence.first_on_or_after(date(FIRST_YEAR, 1, 1)) is None:
        return NEVER
    text = "; ".join(dict.fromkeys(_phrases(recurrence)))
    return text[0].upper() + text[1:] if text else NEVER


def hours(occurrence: Occurrence) -> str:
    """Return the hours of an occurrence: "7-10:30pm", "9pm-midnight" or, where no end is stated, "from 9pm"."""
    start, end = occurrence.start.time(), occurrence.end.time()
    if not occurrence.states_end:
        return f"from {_clock(start)}"
    same_half = occurrence.start.date() == occurrence.end.date() and (start < _NOON) == (end < _NOON)
    if same_half and not {start, end} & {_NOON, _MIDNIGHT}:
        return f"{_clock(start)[:-2]}-{_clock(end)}"
    return f"{_clock(start)}-{_clock(end)}"


def _phrases(recurrence: Recurrence) -> Iterator[str]:
    """Yield the phrases that `describe` joins with semicolons."""
    yield from _schedule_phrases([one for one in recurrence.schedules if isinstance(one, Schedule) and one.which])
    for one in recurrence.schedules:
        if isinstance(one, RecurrenceSet):
            yield from _set_phrases(one)
    yield from _break_phrases(recurrence.breaks)


# Schedules


def _schedule_phrases(schedules: list[Schedule]) -> Iterator[str]:
    """Yield days and hours: one phrase for weekly schedules with the same hours, and one for hours on the same days."""
    if any(_ends_differ(*pair) for pair in combinations(schedules, 2)):
        schedules = _that_count(schedules)
    weekdays: dict[str, set[int]] = {}
    for schedule in filter(_is_weekly, schedules):
        weekdays.setdefault(_schedule_hours(schedule), set()).add(schedule.weekday)
    times: dict[str, list[str]] = {}
    for schedule in schedules:
        at = _schedule_hours(schedule)
        times.setdefault(_weekly(weekdays[at]) if _is_weekly(schedule) else _schedule_days(schedule), []).append(at)
    yield from (f"{days}, {_listed(list(dict.fromkeys(at)))}" for days, at in times.items())
    if any(_ends_differ(*pair) for pair in combinations(schedules, 2)):
        yield LATER_END_COUNTS


def _that_count(schedules: list[Schedule]) -> list[Schedule]:
    """Leave out the schedules beside which, whenever they begin, others begin too and end later (R4)."""
    last = date(_ANY_DAY.year + _YEARS_OF_SCHEDULES, 12, 31)
    counting = {*Recurrence(tuple(schedules)).between(_ANY_DAY, last)}
    return [one for one in schedules if not counting.isdisjoint(one.occurrences(_ANY_DAY, last, None))]


def _ends_differ(one: Schedule, other: Schedule) -> bool:
    """Whether the schedules begin together on a day that both may have, and end differently there."""
    return (
        (one.weekday, one.hours.start) == (other.weekday, other.hours.start)
        and not _weeks_of_month(one).isdisjoint(_weeks_of_month(other))
        and one.hours.on(_ANY_DAY) != other.hours.on(_ANY_DAY)
    )


def _weeks_of_month(schedule: Schedule) -> frozenset[int]:
    """Return which of a month's such weekdays a schedule may fall on; the last is the fourth or the fifth."""
    return schedule.which | {4, 5} if LAST in schedule.which else schedule.which


def _schedule_hours(schedule: Schedule) -> str:
    return hours(schedule.hours.on(_ANY_DAY))


def _is_weekly(schedule: Schedule) -> bool:
    return schedule.every_n_weeks == 1 and (schedule.which >= EVERY_WEEK or schedule.which >= _ALL_NUMBERS)


def _schedule_days(schedule: Schedule) -> str:
    if schedule.every_n_weeks > 1:
        return _every_n_weeks(schedule.every_n_weeks, {schedule.weekday})
    return _numbered({(number, schedule.weekday) for number in schedule.which}, _OF_THE_MONTH)


# Breaks


def _break_phrases(breaks: Collection[Break]) -> Iterator[str]:
    """Yield the breaks, soonest first."""
    if len(breaks) > MOST_DATES:
        first, last = min(one.first for one in breaks), max(one.last for one in breaks)
        yield f"but not in {len(breaks)} breaks from {_date(first)} to {_date(last)}"
        return
    for one in sorted(breaks, key=lambda one: (one.first, one.last)):
        days = _date(one.first) if one.first == one.last else f"from {_date(one.first)} to {_date(one.last)}"
        yield f"but not {days} ({one.why})" if one.why else f"but not {days}"


# RFC 5545 texts


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A rule whose days the text names: without COUNT, and without what it never yields.

    `first` is its first start, and `rule.until` its last, if there is one; `number`: how many a rule with COUNT has.
    """

    rule: Rule
    first: datetime
    number: int | None

    def has(self, start: datetime) -> bool:
        return self.first <= start and self.rule.has(start)


def _set_phrases(found: RecurrenceSet) -> Iterator[str]:
    """Yield a phrase for each rule with many starts, then the single dates, then what is left out."""
    counts = [rule.count for rule in found.rules]
    found = replace(found, rules=tuple(replace(rule, count=None, until=rule.last) for rule in found.rules))
    patterns: list[_Pattern] = []
    singles = {*found.added}
    for rule, count in zip(found.rules, counts, strict=True):
        starts = list(islice(_starts(rule, found.excluded), MOST_DATES + 1))
        if len(starts) <= MOST_DATES:
            singles |= {*map(found.lasting, starts)}
        else:
            patterns.append(_pattern(rule, count, starts[0], found.excluded))
    yield from dict.fromkeys(_rule_phrase(pattern, found) for pattern in patterns)
    yield from _single_phrases(singles, patterns, found)
    yield from _left_out_phrases(patterns, found)


def _starts(rule: Rule, excluded: frozenset[datetime]) -> Iterator[datetime]:
    return (start for start in rule.starts(rule.start.date(), LAST_DAY) if start not in excluded)


def _pattern(rule: Rule, count: int | None, first: datetime, excluded: frozenset[datetime]) -> _Pattern:
    number = None
    if count is not None and rule.until:
        number = count - sum(map(rule.has, excluded))
    rule = replace(rule, until=rule.until and _last(rule, rule.until, excluded))
    return _Pattern(_without_idle_parts(rule, excluded), first, number)


def _last(rule: Rule, until: datetime, excluded: frozenset[datetime]) -> datetime:
    """Return the last start of a rule that has any."""
    years = range(until.year, rule.start.year - 1, -1)
    by_year = (list(rule.starts(date(year, 1, 1), date(year, 12, 31))) for year in years)
    return next(start for starts in by_year for start in reversed(starts) if start not in excluded)


def _without_idle_parts(rule: Rule, excluded: frozenset[datetime]) -> Rule:
    """Leave out the weekdays, months, days and times on which the rule never starts: it may end before they come."""

    def used(values: Collection[Value], with_only: Callable[[Value], Rule]) -> list[Value]:
        if len(values) == 1:
            return [*values]
        return [value for value in values if any(_starts(with_only(value), excluded))]

    days = rule.days
    return replace(
        rule,
        days=days
        if days.positions
        else replace(
            days,
            weekdays=frozenset(
                used(days.weekdays, lambda one: replace(rule, days=replace(days, weekdays=frozenset({one}))))
            ),
            month_days=frozenset(
                used(days.month_days, lambda one: replace(rule, days=replace(days, month_days=frozenset({one}))))
            ),
            months=frozenset(used(days.months, lambda one: replace(rule, days=replace(days, months=frozenset({one}))))),
        ),
        times=tuple(used(rule.times, lambda one: replace(rule, times=(one,)))),
    )


def _rule_phrase(pattern: _Pattern, found: RecurrenceSet) -> str:
    rule = pattern.rule
    days = _rule_days(rule.days) or f"on the days that {rule.text} gives, counted from {_date(rule.start.date())}"
    at = _listed([hours(found.lasting(datetime.combine(_ANY_DAY, start))) for start in rule.times])
    if pattern.number is not None:
        return f"{days}, {at}, {pattern.number} times from {_date(pattern.first.date())}"
    if rule.until is None:
        return f"{days}, {at}"
    is_whole_day = rule.until.time() == max(rule.times)
    return f"{days}, {at}, until {_date(rule.until.date()) if is_whole_day else _moment(rule.until)}"


def _single_phrases(
    singles: Collection[Occurrence], patterns: Collection[_Pattern], found: RecurrenceSet
) -> Iterator[str]:
    """Yield single dates by their hours; of those with one start the latest end counts (R4), also beside a pattern."""
    longest = {single.start: single for single in sorted(singles) if single.start not in found.excluded}
    phrases: dict[tuple[str, str], list[date]] = {}
    for single in longest.values():
        prefix = "also " if patterns else ""
        if any(pattern.has(single.start) for pattern in patterns):
            prefix = "but "
            if single <= found.lasting(single.start):
                continue
        phrases.setdefault((prefix, hours(single)), []).append(single.start.date())
    return (f"{prefix}{_dates(dates)}, {at}" for (prefix, at), dates in phrases.items())


def _left_out_phrases(patterns: Collection[_Pattern], found: RecurrenceSet) -> Iterator[str]:
    """Yield the dates on which nothing starts, and the starts that are left out on a date that has others."""
    left_out = sorted(start for start in found.excluded if any(pattern.has(start) for pattern in patterns))
    empty = {day for day in {start.date() for start in left_out} if found.soonest(day, day) is None}
    if empty:
        yield f"but not {_dates(sorted(empty))}"
    starts = [start for start in left_out if start.date() not in empty]
    if len(starts) > MOST_DATES:
        yield f"but not {len(starts)} starts from {_moment(starts[0])} to {_moment(starts[-1])}"
    elif starts:
        yield f"but not {_listed(list(map(_moment, starts)))}"


def _rule_days(days: Days) -> str | None:
    """Return the days of a rule, or None if they are too complicated for English."""
    if days.weeks or days.year_days or days.positions or (days.weekdays and days.month_days):
        return None
    months = f" in {_listed([_MONTHS[month - 1] for month in sorted(days.months)])}" if days.months else ""
    if days.frequency == "YEARLY":
        return _of_months(days) if days.interval == 1 and days.months else None
    if months and days.interval > 1:
        return None
    if found := _within(days):
        return found + months
    return None


def _within(days: Days) -> str | None:
    """Return the days of a rule that is not yearly, without its months."""
    weekdays = {weekday for number, weekday in days.weekdays if number == EVERY}
    if days.frequency == "WEEKLY" and days.interval > 1:
        return _every_n_weeks(days.interval, weekdays)
    if weekdays and len(weekdays) == len(days.weekdays) and days.interval == 1:
        return _weekly(weekdays)
    if days.frequency == "DAILY":
        return None if days.weekdays or days.month_days else _every(days.interval, "day")
    of = _OF_THE_MONTH if days.interval == 1 else f"of {_every(days.interval, 'month')}"
    return _days_of(days, of)


def _of_months(days: Days) -> str | None:
    """Return the days of a yearly rule that names its months."""
    months = _listed([_MONTHS[month - 1] for month in sorted(days.months)])
    if days.weekdays and all(number == EVERY for number, _ in days.weekdays):
        return f"{_weekly({weekday for _, weekday in days.weekdays})} in {months}"
    return _days_of(days, f"of {months}{', every year' if _are_in_each_year(days) else ''}")


def _are_in_each_year(days: Days) -> bool:
    """Whether each year has the same number of these days: no 29 February, and no fifth weekday."""
    return len({days.of_year(year, _ANY_DAY).bit_count() for year in range(2000, 2028)}) == 1


def _days_of(days: Days, of: str) -> str | None:
    if days.weekdays:
        known = all(number in _NUMBERS for number, _ in days.weekdays)
        return _numbered(days.weekdays, of) if known else None
    numbers = sorted(days.month_days, key=lambda number: (number < 0, number))
    if any(number < LAST for number in numbers):
        return None
    return f"{_listed(['last day' if number == LAST else _ordinal(number) for number in numbers])} {of}"


# Days


def _weekly(weekdays: Iterable[int]) -> str:
    found = sorted(weekdays)
    if len(found) == len(_WEEKDAYS):
        return "every day"
    if len(found) >= _SHORTEST_RUN and found[-1] - found[0] == len(found) - 1:
        return f"{_WEEKDAYS[found[0]]} to {_WEEKDAYS[found[-1]]}"
    return _listed([f"{_WEEKDAYS[weekday]}s" for weekday in found])


def _every_n_weeks(weeks: int, weekdays: Iterable[int]) -> str:
    names = [_WEEKDAYS[weekday] for weekday in sorted(weekdays)]
    if weeks == 2 and len(names) == 1:
        return f"every other {names[0]}"
    return f"{_every(weeks, 'week')} on {_listed(names)}"


def _every(interval: int, unit: str) -> str:
    return {1: f"every {unit}", 2: f"every other {unit}"}.get(interval, f"every {interval} {unit}s")


def _numbered(weekdays: Iterable[tuple[int, int]], of: str) -> str:
    """Return "first, third and last Sundays", or "first Monday and third Thursday of the month"."""
    numbers: dict[int, list[int]] = {}
    for number, weekday in sorted(weekdays, key=lambda pair: (pair[1], pair[0] < 0, pair[0])):
        numbers.setdefault(weekday, []).append(number)
    phrases = [
        f"{_listed([_NUMBERS[number] for number in found])} {_WEEKDAYS[weekday]}{'s' if len(found) > 1 else ''}"
        for weekday, found in numbers.items()
    ]
    says_enough = of == _OF_THE_MONTH and len(phrases) == 1 and phrases[0].endswith("s")
    return phrases[0] if says_enough else f"{_listed(phrases)} {of}"


# Dates, times and lists


def _dates(dates: list[date]) -> str:
    if len(dates) <= MOST_DATES:
        return _listed([_date(day) for day in dates])
    return f"{len(dates)} dates from {_date(dates[0])} to {_date(dates[-1])}"


def _date(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _moment(start: datetime) -> str:
    return f"{_date(start.date())} at {_clock(start.time())}"


def _ordinal(number: int) -> str:
    ending = "th" if number in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _clock(at: time) -> str:
    if at in {_NOON, _MIDNIGHT}:
        return "noon" if at == _NOON else "midnight"
    minutes = f":{at.minute:02}" if at.minute else ""
    return f"{at.hour % 12 or 12}{minutes}{'am' if at.hour < 12 else 'pm'}"


def _listed(items: list[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1])))
