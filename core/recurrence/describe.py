"""A recurrence in plain English, as a musician would write it: "Every other Thursday, 7-10:30pm"."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time

from core.recurrence import Recurrence
from core.recurrence.rfc5545.expansion import EVERY, Days, RecurrenceSet, Rule
from core.recurrence.schedules import EVERY_WEEK, LAST, WEEKDAYS, Occurrence, Schedule

NEVER = "No regular times"

MOST_DATES = 3
"""If there are more single dates than this, the text gives their number and does not list them."""

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


def describe(recurrence: Recurrence) -> str:
    """Return the days and hours of a recurrence; a rule that is too complicated for English is quoted."""
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


# Schedules


def _schedule_phrases(schedules: list[Schedule]) -> Iterator[str]:
    """Yield days and hours: one phrase for weekly schedules with the same hours, and one for hours on the same days."""
    weekdays: dict[str, set[int]] = {}
    for schedule in filter(_is_weekly, schedules):
        weekdays.setdefault(_schedule_hours(schedule), set()).add(schedule.weekday)
    times: dict[str, list[str]] = {}
    for schedule in schedules:
        at = _schedule_hours(schedule)
        times.setdefault(_weekly(weekdays[at]) if _is_weekly(schedule) else _schedule_days(schedule), []).append(at)
    return (f"{days}, {_listed(list(dict.fromkeys(at)))}" for days, at in times.items())


def _schedule_hours(schedule: Schedule) -> str:
    return hours(schedule.hours.on(_ANY_DAY))


def _is_weekly(schedule: Schedule) -> bool:
    return schedule.every_n_weeks == 1 and (schedule.which >= EVERY_WEEK or schedule.which >= _ALL_NUMBERS)


def _schedule_days(schedule: Schedule) -> str:
    if schedule.every_n_weeks > 1:
        return _every_n_weeks(schedule.every_n_weeks, {schedule.weekday})
    return _numbered({(number, schedule.weekday) for number in schedule.which}, _OF_THE_MONTH)


# RFC 5545 texts


def _set_phrases(found: RecurrenceSet) -> Iterator[str]:
    yield from (_rule_phrase(rule, found) for rule in found.rules)
    singles: dict[str, list[date]] = {}
    for occurrence in found.added:
        ruled = any(rule.has(occurrence.start) for rule in found.rules)
        if not ruled and occurrence.start not in found.excluded:
            singles.setdefault(hours(occurrence), []).append(occurrence.start.date())
    for at, dates in singles.items():
        yield f"{'also ' if found.rules else ''}{_dates(dates)}, {at}"
    if left_out := sorted(start.date() for start in found.excluded if any(rule.has(start) for rule in found.rules)):
        yield f"but not {_dates(left_out)}"


def _rule_phrase(rule: Rule, found: RecurrenceSet) -> str:
    days = _rule_days(rule.days) or f"on the days that {rule.text} gives, counted from {_date(rule.start.date())}"
    at = _listed([hours(found.lasting(datetime.combine(_ANY_DAY, start))) for start in rule.times])
    until = f", until {_date(rule.until.date())}" if rule.until else ""
    times = "" if rule.count is None else f", {rule.count} {'time' if rule.count == 1 else 'times'}"
    since = f" from {_date(rule.start.date())}" if times else ""
    return f"{days}, {at}{times}{since}{until}"


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
    return _days_of(days, f"of {months}, every year")


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
