"""Recurrence rules expanded by the book: the table of RFC 5545 3.3.10, an interval after the other, from DTSTART on.

Written against the text, with lists of dates and nothing else, so that it shares no idea with the product's expansion.
"""

import calendar
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache

WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
DAY = timedelta(days=1)

Parts = dict[str, str]


def rrule_of(parts: Parts) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


def expand(start: datetime, parts: Parts, last: date) -> list[datetime]:
    """The starts from DTSTART to the date `last`, inclusive, of a rule that DTSTART is in step with."""
    found: list[datetime] = []
    for interval in intervals(start.date(), parts, last):
        days = sorted(set(days_in(interval, start.date(), parts)))
        starts = chosen([datetime.combine(day, at) for day in days for at in times(start, parts)], parts)
        found += [moment for moment in starts if moment >= start]
    if "UNTIL" in parts:
        found = [moment for moment in found if moment <= datetime.fromisoformat(parts["UNTIL"])]
    if "COUNT" in parts:
        found = found[: int(parts["COUNT"])]
    return [moment for moment in found if moment.date() <= last]


def numbers(parts: Parts, name: str) -> list[int]:
    return [int(number) for number in parts[name].split(",")] if name in parts else []


def intervals(first: date, parts: Parts, last: date) -> Iterator[list[date]]:
    """All days of each interval that the rule considers."""
    step = int(parts.get("INTERVAL", "1"))
    week_start = WEEKDAYS.index(parts.get("WKST", "MO"))
    beginning = {
        "DAILY": first,
        "WEEKLY": next(first - back * DAY for back in range(7) if (first - back * DAY).weekday() == week_start),
        "MONTHLY": first.replace(day=1),
        "YEARLY": first.replace(month=1, day=1),
    }[parts["FREQ"]]
    while beginning <= last:
        after = beginning
        days = []
        for turn in range(step):
            after = next_interval(beginning_of_this := after, parts["FREQ"])
            if turn == 0:
                days = [beginning_of_this + n * DAY for n in range((after - beginning_of_this).days)]
        yield days
        beginning = after


def next_interval(beginning: date, frequency: str) -> date:
    if frequency == "DAILY":
        return beginning + DAY
    if frequency == "WEEKLY":
        return beginning + 7 * DAY
    if frequency == "MONTHLY":
        return date(beginning.year + beginning.month // 12, beginning.month % 12 + 1, 1)
    return date(beginning.year + 1, 1, 1)


def days_in(interval: list[date], first: date, parts: Parts) -> list[date]:
    """The table's row, in the order in which the RFC says that the parts are evaluated."""
    frequency = parts["FREQ"]
    expanding = {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"} & parts.keys()
    days = interval
    if "BYMONTH" in parts:
        days = [day for day in days if day.month in numbers(parts, "BYMONTH")]
    elif frequency == "YEARLY" and not expanding:
        days = [day for day in days if day.month == first.month]
    if "BYWEEKNO" in parts:
        days = [day for day in days if week_matches(day, parts)]
    if "BYYEARDAY" in parts:
        year_days = numbered_from_both_ends(interval)
        days = [day for day in days if set(year_days[day]) & set(numbers(parts, "BYYEARDAY"))]
    if "BYMONTHDAY" in parts:
        wanted = set(numbers(parts, "BYMONTHDAY"))
        days = [day for day in days if {day.day, day.day - days_of_month(day) - 1} & wanted]
    if "BYDAY" in parts:
        return [day for day in days if weekday_matches(day, interval, parts)]
    if not expanding and frequency in {"MONTHLY", "YEARLY"}:
        return [day for day in days if day.day == first.day]
    if frequency == "WEEKLY" or expanding == {"BYWEEKNO"}:
        return [day for day in days if day.weekday() == first.weekday()]
    return days


def days_of_month(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def numbered_from_both_ends(days: list[date]) -> dict[date, tuple[int, int]]:
    return {day: (index + 1, index - len(days)) for index, day in enumerate(days)}


def weekday_matches(day: date, interval: list[date], parts: Parts) -> bool:
    for wanted in parts["BYDAY"].split(","):
        number, weekday = wanted[:-2], WEEKDAYS.index(wanted[-2:])
        if day.weekday() != weekday:
            continue
        if not number:
            return True
        whole = interval
        if "BYMONTH" in parts or parts["FREQ"] == "MONTHLY":
            whole = [day.replace(day=number) for number in range(1, days_of_month(day) + 1)]
        same = [other for other in whole if other.weekday() == weekday]
        if int(number) in numbered_from_both_ends(same)[day]:
            return True
    return False


def week_matches(day: date, parts: Parts) -> bool:
    week_start = WEEKDAYS.index(parts.get("WKST", "MO"))
    weeks = weeks_of(day.year - 1, week_start) | weeks_of(day.year, week_start) | weeks_of(day.year + 1, week_start)
    return bool(weeks[day] & set(numbers(parts, "BYWEEKNO")))


@cache
def weeks_of(year: int, week_start: int) -> dict[date, set[int]]:
    """The numbers of each day's week. Week 1 is the first to have at least four days in its year."""
    day = date(year, 1, 1) - 6 * DAY
    while day.weekday() != week_start:
        day += DAY
    weeks = []
    while day.year <= year:
        week = [day + n * DAY for n in range(7)]
        if sum(each.year == year for each in week) >= 4:
            weeks.append(week)
        day += 7 * DAY
    return {day: {index + 1, index - len(weeks)} for index, week in enumerate(weeks) for day in week}


def times(start: datetime, parts: Parts) -> list[time]:
    hours = numbers(parts, "BYHOUR") or [start.hour]
    minutes = numbers(parts, "BYMINUTE") or [start.minute]
    return sorted({time(hour, minute) for hour in hours for minute in minutes})


def chosen(starts: list[datetime], parts: Parts) -> list[datetime]:
    if "BYSETPOS" not in parts:
        return starts
    positions = set(numbers(parts, "BYSETPOS"))
    return [start for index, start in enumerate(starts) if {index + 1, index - len(starts)} & positions]
