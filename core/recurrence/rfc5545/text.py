"""Reads the RFC 5545 form of a recurrence: DTSTART, RRULE, RDATE, EXDATE, and DTEND or DURATION (R5).

All local times are in the session's own zone. An error names the wrong value by its line and part. What is odd but can
mean only one thing is an error in text that somebody is about to save, and a warning in stored text.

DTEND and DURATION both count wall time, as the JSON form does: a session until 1am ends at 1am also in a night when the
clocks change.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from core.errors import InvalidRecurrence
from core.recurrence.leniency import Leniency
from core.recurrence.rfc5545.expansion import RecurrenceSet, Rule
from core.recurrence.rfc5545.rrule import read_rule
from core.recurrence.rfc5545.values import DAY, Part, day, length, moment, walls
from core.recurrence.schedules import Occurrence, require_few
from core.timezones import to_local

MOST_RULES, MOST_EXDATES = 10, 366
"""The most RRULE lines and dates in EXDATE that a text may have (R6): a pass reads them while edges wait."""

_DATE = "20261105"
_LOCAL = f"a local time such as {_DATE}T193000"
_EXAMPLE = f"DTSTART:{_DATE}T193000"

_NAMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE")
_TYPES = {
    "DTSTART": ("DATE-TIME",),
    "DTEND": ("DATE-TIME",),
    "RDATE": ("DATE-TIME", "DATE", "PERIOD"),
    "EXDATE": ("DATE-TIME", "DATE"),
}
"""The value types (3.2.20) that each line may have; the first is the default."""

_BEGINNING = re.compile("(DTSTART|DTEND|DURATION|RRULE|RDATE|EXDATE|EXRULE|BEGIN|FREQ)[:;=]", re.IGNORECASE)
_LINE = re.compile('([A-Z0-9-]+)((?:;[A-Z0-9-]+=(?:"[^"]*"|[^";:]*))*):(.*)', re.IGNORECASE)
_PARAMETER = re.compile(';([A-Z0-9-]+)=(?:"([^"]*)"|([^";:]*))', re.IGNORECASE)


def is_rfc5545(text: str) -> bool:
    """Whether the text begins like this form, right or wrong."""
    return _BEGINNING.match(text) is not None


def read(
    text: str, default_length: timedelta, zone: str | None, *, strict: bool
) -> tuple[RecurrenceSet, tuple[str, ...]]:
    """Return what a text says in the session's `zone`, and warnings about what is odd but understood.

    Raises InvalidRecurrence for what cannot be understood and, if `strict`, instead of a warning. Raises
    UnknownTimeZone if a time is in UTC and the zone is not known.
    """
    reader = _Reader(_lines(text), default_length, zone, Leniency(strict=strict))
    return reader.recurrence_set(), tuple(reader.leniency.warnings)


@dataclass(frozen=True, slots=True)
class _Line:
    """A content line (3.1), unfolded; `place` has the number of its first line in the text."""

    place: str
    name: str
    parameters: Mapping[str, str]
    value: str

    @property
    def whole(self) -> Part:
        return Part(self.place, self.value)

    @property
    def parts(self) -> list[Part]:
        return [Part(self.place, value) for value in self.value.split(",")]

    @property
    def type(self) -> str:
        return self.parameters.get("VALUE", _TYPES[self.name][0]).upper()


def _lines(text: str) -> list[_Line]:
    """Return the text's lines; a line that begins with white space continues the one before (RFC 5545 3.1)."""
    unfolded: list[tuple[int, str]] = []
    for number, line in enumerate(re.split("\r\n|\n|\r", text), start=1):
        if unfolded and line.startswith((" ", "\t")):
            first, begun = unfolded.pop()
            unfolded.append((first, begun + line[1:]))
        elif line:
            unfolded.append((number, line))
    return [_line(number, line) for number, line in unfolded]


def _line(number: int, line: str) -> _Line:
    match = _LINE.fullmatch(line)
    if not match or not line.isascii():
        raise Part(f"line {number}", line).refused(f"a line such as {_EXAMPLE}")
    name, parameters, value = match.groups()
    pairs = [(key.upper(), quoted or plain) for key, quoted, plain in _PARAMETER.findall(parameters)]
    found = _Line(f"line {number}, {name.upper()}", name.upper(), dict(pairs), value)
    if len(pairs) > len(found.parameters):
        raise InvalidRecurrence(f"{found.place} has a parameter more than once; expected it once")
    return _checked(found)


def _checked(line: _Line) -> _Line:
    """Return the line if its name and parameters are known."""
    if line.name not in _NAMES:
        raise InvalidRecurrence(f"{line.place} is unknown; expected only {', '.join(_NAMES)}")
    known = ("TZID", "VALUE") if line.name in _TYPES else ()
    for name in line.parameters:
        if name not in known:
            raise InvalidRecurrence(
                f"{line.place} has the unknown parameter {name}; expected {' or '.join(known) or 'none'}"
            )
    if known and line.type not in _TYPES[line.name]:
        raise InvalidRecurrence(f"{line.place} has VALUE={line.type}; expected {' or '.join(_TYPES[line.name])}")
    return line


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the lines of one text."""

    lines: list[_Line]
    default_length: timedelta
    zone: str | None
    leniency: Leniency

    def recurrence_set(self) -> RecurrenceSet:
        for line in self.lines:
            self._require_zone(line)
        start_line = self._only("DTSTART")
        if not start_line:
            raise InvalidRecurrence(f"DTSTART is missing; expected a line such as {_EXAMPLE}")
        start = self._local(start_line.whole)
        stated = self._length(start)
        rules = self._rules(start)
        ruled = RecurrenceSet(start, stated or self.default_length, stated is not None, _less_start(rules, start))
        included = replace(ruled, added=self._added(ruled))
        require_few(included.most_a_day, included.most_a_year)
        whole = replace(included, excluded=self._excluded(included))
        self._require_start(whole, rules, start_line.whole)
        return whole

    def _require_zone(self, line: _Line) -> None:
        zone = line.parameters.get("TZID")
        if zone is None:
            return
        if self.zone is None:
            self.leniency.forgive(
                f"{line.place} has TZID={zone:.60}; expected none, because the session's zone is not given"
            )
        elif zone != self.zone:
            raise InvalidRecurrence(f"{line.place} has TZID={zone:.60}; expected the session's zone, {self.zone}")

    def _named(self, name: str) -> list[_Line]:
        return [line for line in self.lines if line.name == name]

    def _only(self, name: str) -> _Line | None:
        lines = self._named(name)
        if len(lines) > 1:
            raise InvalidRecurrence(f"{lines[1].place} is a second line of that name; expected only one")
        return lines[0] if lines else None

    # When, and how long

    def _local(self, part: Part) -> datetime:
        found = moment(part, _LOCAL)
        if found.in_utc:
            raise part.refused(f"{_LOCAL}: a time in UTC would move when the clocks change")
        if found.wall.second:
            raise part.refused(f"{_LOCAL}, in whole minutes")
        return found.wall

    def _local_or_utc(self, part: Part) -> datetime:
        """Return a local time; one in UTC is converted to the session's zone (R5)."""
        found = moment(part, _LOCAL)
        if not found.in_utc:
            return self._local(part)
        if self.zone is None:
            raise part.refused(f"{_LOCAL}, because the session's zone is not given")
        wall = to_local(found.wall.replace(tzinfo=UTC), self.zone)
        if wall.second:
            raise part.refused(f"{_LOCAL}, in whole minutes")
        return wall

    def _length(self, start: datetime) -> timedelta | None:
        """Return the length that is stated, if any."""
        end, duration = self._only("DTEND"), self._only("DURATION")
        if end and duration:
            raise InvalidRecurrence(f"{duration.place} is there as well as DTEND; expected only one of them")
        if end:
            return self._checked(self._local(end.whole) - start, end.whole)
        return self._checked(length(duration.whole), duration.whole) if duration else None

    def _checked(self, lasts: timedelta, part: Part) -> timedelta | None:
        """Return a length; None for a length of zero, which counts as not stated (T3)."""
        expected = "an end after the start, less than 24 hours later, in whole minutes"
        if not timedelta() <= lasts < DAY or lasts.seconds % 60:
            raise part.refused(expected)
        if not lasts:
            self.leniency.forgive(part.problem(expected))
        return lasts or None

    # Which starts

    def _rules(self, start: datetime) -> tuple[Rule, ...]:
        lines = self._named("RRULE")
        if len(lines) > MOST_RULES:
            raise InvalidRecurrence(f"there are {len(lines)} RRULE lines; expected at most {MOST_RULES}")
        return tuple(rule for line in lines if (rule := self._rule(line.whole, start)))

    def _rule(self, line: Part, start: datetime) -> Rule | None:
        rule = read_rule(line, start, self.zone, self.leniency)
        if rule.first:
            return rule
        self.leniency.forgive(line.problem("a rule that yields a date on or after DTSTART"))
        return None

    def _added(self, ruled: RecurrenceSet) -> tuple[Occurrence, ...]:
        """Return the occurrences of RDATE, and the one at DTSTART, which counts even if no rule yields it."""
        added = [self._rdate(line.type, part, ruled) for line in self._named("RDATE") for part in line.parts]
        return tuple(sorted([*added, ruled.lasting(ruled.start)]))

    def _rdate(self, value_type: str, part: Part, ruled: RecurrenceSet) -> Occurrence:
        if value_type == "DATE":
            on = day(part, f"a date such as {_DATE}")
            self.leniency.forgive(part.problem(f"a local time such as {on:%Y%m%d}T{ruled.start:%H%M%S}"))
            return ruled.lasting(datetime.combine(on, ruled.start.time()))
        begins, slash, ends = part.value.partition("/") if value_type == "PERIOD" else (part.value, "", "")
        if value_type == "PERIOD" and not slash:
            raise part.refused(f"a period such as {_DATE}T193000/PT3H")
        start = self._local_or_utc(Part(part.place, begins))
        if not slash:
            return ruled.lasting(start)
        return self._period(start, Part(part.place, ends), ruled)

    def _period(self, start: datetime, end: Part, ruled: RecurrenceSet) -> Occurrence:
        is_length = end.value.upper().startswith(("P", "+P"))
        lasts = self._checked(length(end) if is_length else self._local_or_utc(end) - start, end)
        return Occurrence(start, start + lasts) if lasts else ruled.lasting(start)

    def _require_start(self, whole: RecurrenceSet, rules: tuple[Rule, ...], part: Part) -> None:
        """Warn of a DTSTART that no rule yields and no EXDATE leaves out: the RFC does not define what it means."""
        if whole.start in whole.excluded or not rules or _is_yielded(whole.start, rules):
            return
        first = min(first for rule in rules if (first := rule.first))
        self.leniency.forgive(part.problem(f"a start that an RRULE yields, such as {first:%Y%m%dT%H%M%S}"))

    def _excluded(self, whole: RecurrenceSet) -> frozenset[datetime]:
        parts = [(line.type, part) for line in self._named("EXDATE") for part in line.parts]
        if len(parts) > MOST_EXDATES:
            raise InvalidRecurrence(f"there are {len(parts)} dates in EXDATE; expected at most {MOST_EXDATES}")
        days = {part: self._exdate(part, whole.start) for type_, part in parts if type_ == "DATE"}
        meant = {part: self._meant(part) for type_, part in parts if type_ != "DATE"}
        excluded = whole.starts_among(frozenset().union(*meant.values()), frozenset(days.values()))
        excluded_days = {start.date() for start in excluded}
        for type_, part in parts:
            if not (days[part] in excluded_days if type_ == "DATE" else meant[part] & excluded):
                self.leniency.forgive(part.problem("the local start of an occurrence"))
        return frozenset(excluded)

    def _exdate(self, part: Part, start: datetime) -> date:
        on = day(part, f"a date such as {_DATE}")
        self.leniency.forgive(part.problem(f"a start such as {on:%Y%m%d}T{start:%H%M%S}"))
        return on

    def _meant(self, part: Part) -> frozenset[datetime]:
        """Return the wall times that a time, local or in UTC, may mean."""
        found = moment(part, _LOCAL)
        if not found.in_utc:
            return frozenset({found.wall})
        if self.zone is None:
            raise part.refused(f"{_LOCAL}, because the session's zone is not given")
        return walls(found.wall, self.zone)


def _is_yielded(start: datetime, rules: tuple[Rule, ...]) -> bool:
    return any(rule.has(start) for rule in rules)


def _less_start(rules: tuple[Rule, ...], start: datetime) -> tuple[Rule, ...]:
    """Return the rules; if none of them yields DTSTART, each COUNT is one less, because DTSTART uses one.

    "The DTSTART property value always counts as the first occurrence" (3.3.10).
    """
    if _is_yielded(start, rules):
        return rules
    return tuple(replace(rule, count=rule.count and rule.count - 1) for rule in rules if rule.count != 1)
