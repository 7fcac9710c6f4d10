"""What saving the organiser's form would do: the dates that it means, and those that come, go or change by it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from core.recurrence import Occurrence
from core.rules.explanation.wording import length
from core.settings import load_settings
from core.simulate import Change, Evening, EveningChange, Simulation, simulate
from core.timezones import to_local
from web import words
from web.forms import Checked

MOST_DATES = 8
MOST_CHANGES = 6
"""So many dates that go, and so many that change, are listed; those to which people said yes are listed in any case."""

A_YEAR = 365  # days


@dataclass(frozen=True, slots=True)
class DateChange:
    """A date that goes or has other hours; `after` is None if it goes; `yeses`: how many people said yes to it."""

    day: date
    before: str
    after: str | None
    yeses: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What saving the form would do in the next year.

    ahead    the next dates; `new`: the local starts of those that come by the edit
    resumes  the first date after the first break that ends later than all of these
    gone     dates that the session has now and then has not; `changed`: with other hours or another zone
    summary  sentences: how many dates come, go and change, and what happens at once
    """

    checked: Checked
    pattern: str
    ahead: tuple[Occurrence, ...]
    resumes: date | None
    new: frozenset[datetime]
    gone: tuple[DateChange, ...]
    changed: tuple[DateChange, ...]
    summary: tuple[str, ...]

    @property
    def assumed_length(self) -> str | None:
        """How long a date lasts that states no end (T3); None if all of the next dates state one."""
        return None if all(one.states_end for one in self.ahead) else length(load_settings().default_length)


def preview(engine: Engine, session_id: int, checked: Checked) -> Preview:
    """Return what saving this form would do."""
    found = simulate(
        engine,
        session_id,
        recurrence=checked.text or "",
        timezone=checked.zone,
        dates=checked.dates,
        before=checked.before,
        after=checked.after,
        days=A_YEAR,
    )
    moved = [change for change in found.changes if change.change is Change.CHANGES and _differs(change)]
    went = [change for change in found.changes if change.change is Change.GOES]
    came = [change.after for change in found.changes if change.change is Change.COMES and change.after]
    reopened = len(found.changes) - len(moved) - len(went) - len(came)
    ahead = _ahead(checked, found.at)
    return Preview(
        checked,
        words.pattern(checked.recurrence),
        ahead,
        _resumes(checked, ahead),
        frozenset(_local(evening).start for evening in came),
        tuple(_date_change(change, found) for change in went),
        tuple(_date_change(change, found) for change in moved),
        (_counted(len(came), len(went), len(moved), reopened), *_at_once(found)),
    )


def listed(changes: tuple[DateChange, ...]) -> list[DateChange]:
    """Return the first dates, and all others to which somebody said yes."""
    return [change for number, change in enumerate(changes) if number < MOST_CHANGES or change.yeses]


def _ahead(checked: Checked, now: datetime) -> tuple[Occurrence, ...]:
    local = to_local(now, checked.zone)
    initiation, termination = checked.dates
    dates = checked.recurrence.between(
        local.date() - timedelta(days=1),  # it may end today
        local.date() + timedelta(days=400),
        initiation_date=initiation,
        termination_date=termination,
    )
    return tuple(one for one in dates if one.end > local)[:MOST_DATES]


def _resumes(checked: Checked, ahead: Sequence[Occurrence]) -> date | None:
    initiation, termination = checked.dates
    ends = [one.last for one in checked.recurrence.breaks if ahead and one.last > ahead[-1].start.date()]
    if not ends:
        return None
    after = min(ends) + timedelta(days=1)
    found = checked.recurrence.first_on_or_after(after, initiation_date=initiation, termination_date=termination)
    return found.start.date() if found else None


def _local(evening: Evening) -> Occurrence:
    zone = evening.timezone
    return Occurrence(to_local(evening.starts_at, zone), to_local(evening.ends_at, zone))


def _differs(change: EveningChange) -> bool:
    """Whether an evening has other hours or another zone, and not only another window."""
    before, after = change.before, change.after
    return before is None or after is None or (_local(before), before.timezone) != (_local(after), after.timezone)


def _date_change(change: EveningChange, found: Simulation) -> DateChange:
    before, after = change.before, change.after
    assert before
    hours, day = _local(before), _local(before).start.date()
    yeses = found.yeses.get(before.session_instance_id or 0, 0)
    if after is None:
        return DateChange(day, words.hours(hours), None, yeses)
    new = _local(after)
    parts = [words.day(new.start.date())] if new.start.date() != day else []
    parts.append(words.hours(new))
    if after.timezone == before.timezone:
        return DateChange(day, words.hours(hours), ", ".join(parts), yeses)
    parts.append(words.zone(after.timezone))
    return DateChange(day, f"{words.hours(hours)}, {words.zone(before.timezone)}", ", ".join(parts), yeses)


def _counted(came: int, went: int, moved: int, reopened: int) -> str:
    counts = (
        (went, "is removed", "are removed"),
        (came, "is new", "are new"),
        (moved, "has other hours", "have other hours"),
        (reopened, "opens or closes at another time", "open or close at another time"),
    )
    told = [f"1 date {one}" if count == 1 else f"{count} dates {many}" for count, one, many in counts if count]
    return f"In the next year {_joined(told)}." if told else "No date of the next year changes."


def _joined(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _at_once(found: Simulation) -> Iterator[str]:
    if any(not flip.active for flip in found.flips):
        are = "are" if found.released > 1 else "is"
        yield f"What is on now ends when you save. {words.people(found.released)} {are} there."
    if any(flip.active for flip in found.flips):
        yield "It will be on as soon as you save."
