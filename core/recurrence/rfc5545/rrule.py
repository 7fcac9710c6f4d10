"""Reads the value of an RRULE (RFC 5545 3.3.10), and refuses values and combinations that it may not have."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import product
from typing import get_args

from core.errors import InvalidRecurrence
from core.recurrence.leniency import Leniency
from core.recurrence.rfc5545.expansion import EVERY, Days, Frequency, Rule
from core.recurrence.rfc5545.values import Part, day, is_day, last_wall, moment
from core.recurrence.schedules import MOST_A_DAY, WEEKDAYS

BY_DAY = tuple(name[:2].upper() for name in WEEKDAYS)

_FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
_RANGES = {
    "BYMONTH": (1, 12),
    "BYWEEKNO": (1, 53),
    "BYYEARDAY": (1, 366),
    "BYMONTHDAY": (1, 31),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "BYSETPOS": (1, 366),
}
_FROM_THE_END = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYSETPOS")
"""Their numbers may be negative too: those count from the end."""

_NAMES = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_RANGES)
_FREQUENCIES_OF = {"BYMONTHDAY": ("DAILY", "MONTHLY", "YEARLY"), "BYYEARDAY": ("YEARLY",), "BYWEEKNO": ("YEARLY",)}
_WHOLE = re.compile("[0-9]{1,9}")
_NUMBER = re.compile("[+-]?[0-9]{1,3}")
_WEEKDAY = re.compile(f"([+-]?[0-9]{{1,2}})?({'|'.join(BY_DAY)})")


def read_rule(line: Part, start: datetime, zone: str | None, leniency: Leniency) -> Rule:
    """Return the rule of an RRULE line; `start` is DTSTART, local in the session's `zone`.

    Raises InvalidRecurrence, and UnknownTimeZone if UNTIL is in UTC and the zone is not known.
    """
    return _RuleReader(line, _parts(line, leniency), start, zone, leniency).rule()


def _parts(line: Part, leniency: Leniency) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for text in line.value.upper().split(";"):
        name, _, value = text.partition("=")
        part = Part(f"{line.place}, {name}", value)
        if not text:
            leniency.forgive(f"{line.place} has an empty part; expected no ';;', and no ';' at the end")
        elif name not in _NAMES:
            raise InvalidRecurrence(
                f"{line.place} has an unknown part, {text!r:.60}; expected only {', '.join(_NAMES)}"
            )
        elif name in parts:
            raise part.refused("each part only once")
        else:
            parts[name] = part
    return parts


@dataclass(frozen=True, slots=True)
class _RuleReader:
    """Reads the parts of one RRULE."""

    line: Part
    parts: Mapping[str, Part]
    start: datetime
    zone: str | None
    leniency: Leniency

    def rule(self) -> Rule:
        times = self._times()
        days = self._days()
        return Rule(self.start, days, times, self._count(), self._until(times), self.line.value.upper())

    # Which days

    def _days(self) -> Days:
        frequency = self._frequency()
        days = Days(
            frequency,
            interval=self._whole("INTERVAL") or 1,
            week_starts_on=self._week_starts_on(),
            months=self._numbers("BYMONTH"),
            weeks=self._numbers("BYWEEKNO"),
            year_days=self._numbers("BYYEARDAY"),
            month_days=self._numbers("BYMONTHDAY"),
            weekdays=self._weekdays(frequency),
            positions=self._numbers("BYSETPOS"),
        )
        self._require_what_goes_together(days)
        return self._completed(days)

    def _completed(self, days: Days) -> Days:
        """Return the days; what the rule leaves open comes from DTSTART."""
        if days.weekdays or days.month_days or days.year_days:
            return days
        if days.weeks or days.frequency == "WEEKLY":
            return replace(days, weekdays=frozenset({(EVERY, self.start.weekday())}))
        if days.frequency == "DAILY":
            return days
        months = days.months if days.frequency == "MONTHLY" else days.months or frozenset({self.start.month})
        return replace(days, months=months, month_days=frozenset({self.start.day}))

    def _frequency(self) -> Frequency:
        part = self.parts.get("FREQ")
        expected = f"{', '.join(_FREQUENCIES[:-1])} or {_FREQUENCIES[-1]}"
        if not part:
            raise InvalidRecurrence(f"{self.line.place} has no FREQ; expected FREQ={expected}")
        for frequency in _FREQUENCIES:
            if part.value == frequency:
                return frequency
        raise part.refused(expected)

    def _weekdays(self, frequency: Frequency) -> frozenset[tuple[int, int]]:
        part = self.parts.get("BYDAY")
        if not part:
            return frozenset()
        found = frozenset(self._weekday(part, text) for text in part.value.split(","))
        may_be_numbered = frequency in {"MONTHLY", "YEARLY"} and "BYWEEKNO" not in self.parts
        if not may_be_numbered and any(number != EVERY for number, _ in found):
            raise part.refused("days without a number: only a monthly or yearly rule without BYWEEKNO may number them")
        return found

    def _weekday(self, part: Part, text: str) -> tuple[int, int]:
        match = _WEEKDAY.fullmatch(text)
        number = int(match[1] or EVERY) if match else EVERY
        if not match or abs(number) > 53 or (match[1] and not number):
            raise Part(part.place, text).refused(
                f"one of {', '.join(BY_DAY)}, or a numbered day such as 1TH or -1SU, up to 53"
            )
        return number, BY_DAY.index(match[2])

    def _week_starts_on(self) -> int:
        part = self.parts.get("WKST")
        if part and part.value not in BY_DAY:
            raise part.refused(f"one of {', '.join(BY_DAY)}")
        return BY_DAY.index(part.value) if part else 0

    def _require_what_goes_together(self, days: Days) -> None:
        """Refuse combinations that the RFC forbids or does not define."""
        for name, frequencies in _FREQUENCIES_OF.items():
            if name in self.parts and days.frequency not in frequencies:
                raise self.parts[name].refused(
                    f"{name} only with FREQ={' or '.join(frequencies)}, not {days.frequency}"
                )
        if days.positions and not any(name.startswith("BY") and name != "BYSETPOS" for name in self.parts):
            raise self.parts["BYSETPOS"].refused("another BY part, such as BYDAY, to choose from")
        if days.weeks and (days.positions or days.interval > 1):
            raise self.parts["BYWEEKNO"].refused(
                "no BYSETPOS and no INTERVAL beside it: a week can begin in one year and end in the next"
            )

    # When, and for how long

    def _times(self) -> tuple[time, ...]:
        if part := self.parts.get("BYSECOND"):
            if self._numbers("BYSECOND") != {0}:
                raise part.refused("whole minutes, so no BYSECOND")
            self.leniency.forgive(part.problem("no BYSECOND"))
        hours = self._numbers("BYHOUR") or {self.start.hour}
        minutes = self._numbers("BYMINUTE") or {self.start.minute}
        times = tuple(time(hour, minute) for hour, minute in product(sorted(hours), sorted(minutes)))
        if len(times) > MOST_A_DAY:
            raise InvalidRecurrence(f"{self.line.place} has {len(times)} starts a day; expected at most {MOST_A_DAY}")
        if len(times) > 1 and "BYSETPOS" in self.parts:
            raise self.parts["BYSETPOS"].refused("no BYSETPOS if BYHOUR or BYMINUTE give several starts a day")
        return times

    def _count(self) -> int | None:
        count = self._whole("COUNT")
        if count and "UNTIL" in self.parts:
            self.leniency.forgive(f"{self.line.place} has both COUNT and UNTIL; expected one of them")
        return count

    def _until(self, times: tuple[time, ...]) -> datetime | None:
        part = self.parts.get("UNTIL")
        if not part:
            return None
        expected = f"a time such as {self.start:%Y%m%dT%H%M%S}, or in UTC with a Z at the end"
        if is_day(part):
            last_day = day(part, expected, last=date.max)
            self.leniency.forgive(part.problem(expected))
            return datetime.combine(last_day, time.max)
        found = moment(part, expected, last=date.max)
        if not found.in_utc:
            return found.wall
        if self.zone is None:
            raise part.refused("a local time, because the session's zone is not given")
        return last_wall(found.wall, self.zone, times)

    # Numbers

    def _whole(self, name: str) -> int | None:
        part = self.parts.get(name)
        if part is None:
            return None
        if not _WHOLE.fullmatch(part.value) or not int(part.value):
            raise part.refused("a whole number from 1 to 999999999")
        return int(part.value)

    def _numbers(self, name: str) -> frozenset[int]:
        part = self.parts.get(name)
        return (
            frozenset(self._number(name, Part(part.place, text)) for text in part.value.split(","))
            if part
            else frozenset()
        )

    def _number(self, name: str, part: Part) -> int:
        lowest, highest = _RANGES[name]
        number = int(part.value) if _NUMBER.fullmatch(part.value) else None
        if number is not None and lowest <= number <= highest:
            return number
        if number is not None and name in _FROM_THE_END and lowest <= -number <= highest:
            return number
        from_the_end = f", or from -{highest} to -{lowest}" if name in _FROM_THE_END else ""
        raise part.refused(f"numbers from {lowest} to {highest}{from_the_end}")
