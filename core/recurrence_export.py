"""A recurrence as RFC 5545 text, for calendars."""

from datetime import date, datetime

from core.errors import InvalidRecurrence
from core.recurrence import Recurrence
from core.rfc5545_rules import WEEKDAYS
from core.schedules import EVERY_WEEK, LAST_DAY, Occurrence, Schedule
from core.timezones import to_utc


def to_rfc5545(
    recurrence: Recurrence,
    zone: str,
    *,
    first: date,
    initiation_date: date | None = None,
    termination_date: date | None = None,
) -> tuple[str, ...]:
    """Return a text for each schedule of a JSON recurrence, each the lines of one calendar event.

    Together they yield what the recurrence yields on the local date `first` and later, up to `termination_date`
    (inclusive). A schedule that states no end has neither DTEND nor DURATION. The lines are parted by CRLF, and need
    no folding. Raises UnknownTimeZone, and InvalidRecurrence for a recurrence that is RFC 5545 text itself.
    """
    texts = []
    for schedule in recurrence.schedules:
        if not isinstance(schedule, Schedule):
            raise InvalidRecurrence("the recurrence is RFC 5545 text already; expected JSON")
        start = schedule.soonest(max(first, initiation_date or first), termination_date or LAST_DAY, initiation_date)
        if start:
            texts.append("\r\n".join(_lines(schedule, start, zone, termination_date)))
    return tuple(texts)


def _lines(schedule: Schedule, soonest: Occurrence, zone: str, termination_date: date | None) -> list[str]:
    end = [f"DTEND;TZID={zone}:{_moment(soonest.end)}"] if soonest.states_end else []
    rule = _rule(schedule)
    if termination_date:
        last = datetime.combine(termination_date, soonest.start.time())
        rule += f";UNTIL={_moment(to_utc(last, zone))}Z"
    return [f"DTSTART;TZID={zone}:{_moment(soonest.start)}", *end, f"RRULE:{rule}"]


def _rule(schedule: Schedule) -> str:
    weekday = WEEKDAYS[schedule.weekday]
    if schedule.which == EVERY_WEEK:
        interval = f";INTERVAL={schedule.every_n_weeks}" if schedule.every_n_weeks > 1 else ""
        return f"FREQ=WEEKLY{interval};BYDAY={weekday}"
    numbers = sorted(schedule.which, key=lambda number: (number < 0, number))
    return f"FREQ=MONTHLY;BYDAY={','.join(f'{number}{weekday}' for number in numbers)}"


def _moment(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S}"
