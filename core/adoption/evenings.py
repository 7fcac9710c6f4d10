"""What the app's rows say: which sessions get rows and when, which recurrences cannot be read, who will be where."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from core.adoption.catalogue import Columns
from core.adoption.findings import Finding, Row, found
from core.choices import PLAN_AHEAD_FROM, PLAN_ONLY_WHERE
from core.clock import EPOCH
from core.errors import InvalidRecurrence, UnknownTimeZone
from core.migrations.older_columns import OlderColumn, quoted
from core.recurrence import Recurrence, parse
from core.recurrence.schedules import WEEKDAYS
from core.rules.overlaps import ActiveSpan
from core.rules.planner import InstanceSnapshot, Plan, SessionSnapshot, first_date, plan_or_freeze
from core.rules.presence import Left, SaidYes, deciding_yes
from core.settings import Settings
from core.timezones import to_local
from core.windows import DEFAULT_BUFFER, LONGEST_BUFFER_MINUTES

MOST_EVENINGS: Final = 8  # the last of a session, which say what its pattern is
FEWEST_ALIKE: Final = 3  # so many evenings alike make a pattern
MOST_WEEKS_OFF: Final = 4

Evening = tuple[date, time | None, time | None]


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the app's, as the planner would see it, and its plan; `buffers` as they stand, in minutes."""

    name: str
    buffers: tuple[int | None, int | None]
    snapshot: SessionSnapshot
    plan: Plan

    @property
    def session_id(self) -> int:
        """Its id."""
        return self.snapshot.session_id


def sessions(
    connection: Connection, columns: Columns, now: datetime, settings: Settings, planning: Mapping[str, str]
) -> list[Session]:
    """Return the app's sessions with their plans as of `now`."""
    if not columns["session"]:
        return []
    instances = _instances(connection, columns, first_date(now))
    return [
        _session(row, instances.get(row.session_id, ()), now, settings) for row in _rows(connection, columns, planning)
    ]


def _rows(connection: Connection, columns: Columns, planning: Mapping[str, str]) -> Iterable[Any]:
    there = columns["session"]
    names = [
        "session_id",
        "name",
        *(_or_null(name, there) for name in ("recurrence", "timezone", "initiation_date", "termination_date")),
        *(_or_null(name, there) for name in ("active_buffer_minutes_before", "active_buffer_minutes_after")),
        f"coalesce({quoted(where)}, false) AS is_planned"
        if (where := planning.get(PLAN_ONLY_WHERE))
        else "true AS is_planned",
        f"{quoted(ahead)} AS hours_ahead" if (ahead := planning.get(PLAN_AHEAD_FROM)) else "NULL AS hours_ahead",
    ]
    return connection.execute(text(f"SELECT {', '.join(names)} FROM session ORDER BY session_id"))  # noqa: S608 -- our names


def _or_null(name: str, there: Mapping[str, str]) -> str:
    return name if name in there else f"NULL AS {name}"


def _session(row: Any, instances: Sequence[InstanceSnapshot], now: datetime, settings: Settings) -> Session:
    buffers = (row.active_buffer_minutes_before, row.active_buffer_minutes_after)
    snapshot = SessionSnapshot(
        row.session_id,
        row.recurrence,
        row.timezone,
        row.initiation_date,
        row.termination_date,
        _minutes(buffers[0]),
        _minutes(buffers[1]),
        tuple(instances),
        skipped=frozenset(),
        is_planned=row.is_planned,
        hours_ahead=row.hours_ahead,
    )
    decided = plan_or_freeze(snapshot, now, horizon=settings.plan_horizon, default_length=settings.default_length)
    return Session(row.name, buffers, snapshot, decided)


def _minutes(buffer: int | None) -> int:
    stated = DEFAULT_BUFFER // timedelta(minutes=1) if buffer is None else buffer
    return min(max(stated, 0), LONGEST_BUFFER_MINUTES)


def _instances(connection: Connection, columns: Columns, since: date) -> dict[int, list[InstanceSnapshot]]:
    there = columns["session_instance"]
    if not there:
        return {}
    cancelled = "coalesce(is_cancelled, false)" if "is_cancelled" in there else "false"
    statement = text(
        f"SELECT session_id, session_instance_id, date, start_time, end_time, {cancelled} "  # noqa: S608 -- our names
        "FROM session_instance WHERE date >= :since ORDER BY session_instance_id"
    )
    by_session: dict[int, list[InstanceSnapshot]] = defaultdict(list)
    for session_id, *row in connection.execute(statement, {"since": since}):
        by_session[session_id].append(InstanceSnapshot(*row))
    return by_session


def _of_session(of: Session, says: str) -> Row:
    return Row(of.session_id, f"{of.name!r}: {says}", "session")


# Which sessions are read otherwise than they are written


def buffers(of: Sequence[Session]) -> list[Finding]:
    """Find buffers that are read as the nearest bound."""
    rows = [
        _of_session(each, f"{each.buffers[0]} minutes before, {each.buffers[1]} after")
        for each in of
        if any(buffer is not None and _minutes(buffer) != buffer for buffer in each.buffers)
    ]
    bounds = f"0 to {LONGEST_BUFFER_MINUTES}"
    what = f"sessions with a buffer outside {bounds} minutes"
    return found("buffers", what, rows, "Each is read as the nearest bound")


def unreadable(connection: Connection, of: Sequence[Session]) -> list[Finding]:
    """Find what cannot be read, and say how to mend it; where the last evenings show a pattern, propose it."""
    broken = [each for each in of if each.plan.unreadable and not each.plan.unknown_hours]
    evenings = _last_evenings(connection, [each.session_id for each in broken])
    rows = [
        _of_session(each, f"{each.plan.unreadable}{_proposal(evenings.get(each.session_id, []))}") for each in broken
    ]
    return found(
        "unreadable",
        "sessions with a recurrence that cannot be read",
        rows,
        "No rows are made for them, and their existing evenings are activated as ever: write one that `python -m "
        "seisiun preview` accepts (docs/recurrences.md)",
    )


def zoneless(of: Sequence[Session]) -> list[Finding]:
    """Find the sessions without a time zone that we know: their hours are no instants."""
    rows = [_of_session(each, str(each.plan.unreadable)) for each in of if each.plan.unknown_hours]
    return found(
        "zoneless",
        "sessions without a known time zone",
        rows,
        "No rows are made for them, and no evening of theirs is ever on: state timezone, for example Europe/Dublin",
    )


def _last_evenings(connection: Connection, session_ids: Sequence[int]) -> dict[int, list[Evening]]:
    """Return the last evenings of these sessions, the latest first."""
    if not session_ids:
        return {}
    by_session: dict[int, list[Evening]] = defaultdict(list)
    for session_id, *evening in connection.execute(_LAST_EVENINGS, {"ids": [*session_ids], "most": MOST_EVENINGS}):
        by_session[session_id].append((evening[0], evening[1], evening[2]))
    return by_session


_LAST_EVENINGS = text(
    """
    SELECT id, date, start_time, end_time FROM unnest(CAST(:ids AS bigint[])) id
    CROSS JOIN LATERAL (
        SELECT date, start_time, end_time FROM session_instance
        WHERE session_id = id AND date < current_date ORDER BY date DESC LIMIT :most
    ) last ORDER BY id, date DESC
    """
)


def _proposal(evenings: Iterable[Evening]) -> str:
    """Return, as words to add, the weekly recurrence that most of the last evenings follow; empty if there is none."""
    alike = Counter((day.weekday(), start, end) for day, start, end in evenings if start)
    for (weekday, start, end), number in alike.most_common(1):
        if number >= FEWEST_ALIKE:
            hours = f'"start_time": "{start:%H:%M}"' + (f', "end_time": "{end:%H:%M}"' if end else "")
            pattern = f'{{"schedules": [{{"type": "weekly", "weekday": "{WEEKDAYS[weekday]}", {hours}}}]}}'
            return f". {number} of its last evenings follow {pattern}"
    return ""


def weeks(connection: Connection, of: Sequence[Session], settings: Settings) -> list[Finding]:
    """Find sessions that skip weeks, and whose last evenings fall in weeks that will not be counted (R2)."""
    skipping = [
        (each, recurrence)
        for each in of
        if (recurrence := _recurrence(each, settings)) and recurrence.needs_initiation_date
    ]
    evenings = _last_evenings(connection, [each.session_id for each, _ in skipping])
    rows = [
        _of_session(each, says)
        for each, recurrence in skipping
        if (
            says := _disagreement(
                recurrence, each.snapshot.initiation_date, [day for day, *_ in evenings.get(each.session_id, [])]
            )
        )
    ]
    return found(
        "weeks",
        "sessions that skip weeks, and whose last evenings fall in others than will be counted",
        rows,
        "Weeks are counted from initiation_date (without it, from January 1970)",
    )


def _recurrence(of: Session, settings: Settings) -> Recurrence | None:
    try:
        return parse(of.snapshot.recurrence, default_length=settings.default_length, zone=of.snapshot.timezone)
    except (InvalidRecurrence, UnknownTimeZone):
        return None


def _disagreement(recurrence: Recurrence, initiation_date: date | None, evenings: Sequence[date]) -> str:
    """Return how many of the evenings that are on the right weekday are in the right week; empty if all are."""
    falls = _counted_from(recurrence, initiation_date)
    on_weekday = [
        day
        for day in evenings
        if any(falls(day + timedelta(weeks=n)) for n in range(-MOST_WEEKS_OFF, MOST_WEEKS_OFF + 1))
    ]
    right = sum(map(falls, on_weekday))
    if right == len(on_weekday):
        return ""
    best = max(sorted(on_weekday), key=lambda first: sum(map(_counted_from(recurrence, first), on_weekday)))
    would = sum(map(_counted_from(recurrence, best), on_weekday))
    better = (
        f"with initiation_date {best} it would be {would}" if would > right else "look whether it still skips weeks"
    )
    return f"{right} of its last {len(on_weekday)} evenings fall in them; {better}"


def _counted_from(recurrence: Recurrence, initiation_date: date | None) -> Callable[[date], bool]:
    return lambda day: bool(recurrence.between(day, day, initiation_date=initiation_date))


# What will be written


def planned(of: Sequence[Session], settings: Settings) -> list[Finding]:
    """Find the sessions that get rows, and when."""
    rows = [_of_session(each, says) for each in of if (says := _when(each, settings.plan_horizon))]
    return found("rows", "sessions that get rows for their occurrences", rows, "All times are local")


def _when(each: Session, horizon: timedelta) -> str:
    made = [f"{datetime.combine(new.date, new.start_time):{_MINUTE}}" for new in each.plan.made]
    now = f"rows at once for {', '.join(made)}" if made else ""
    at, zone = each.plan.next_plan_at, each.snapshot.timezone or "UTC"
    if at is None:
        return now
    before = timedelta(minutes=each.snapshot.active_buffer_minutes_before)
    starts = at + each.snapshot.horizon(horizon) + before  # the planner counts back from there
    later = f"a row for {to_local(starts, zone):{_MINUTE}} is made at {to_local(at, zone):{_MINUTE}}"
    return "; ".join(filter(None, (now, later)))


_MINUTE = "%a %d %b %Y %H:%M"


def pairs(of: Sequence[Session]) -> list[Finding]:
    """Find dates that have several evenings of one session: at most one of them is on at a time (P7)."""
    rows = [
        _of_session(each, f"{number} on {day}")
        for each in of
        for day, number in sorted(Counter(row.date for row in each.snapshot.instances if not row.is_cancelled).items())
        if number > 1
    ]
    then = "Where their hours overlap, one is on at a time (a festival is several sessions)"
    return found("pairs", "dates with several evenings of one session", rows, then)


@dataclass(frozen=True, slots=True)
class Now:
    """What would be on at this moment: instance id -> its window. An instance still to be made is nobody's yet."""

    on: Mapping[int, ActiveSpan]

    @classmethod
    def of(cls, sessions: Sequence[Session], now: datetime) -> "Now":
        """Return what these plans say."""
        spans = (span for each in sessions for span in each.plan.windows if span.window.contains(now))
        return cls({span.session_instance_id: span for span in spans if span.session_instance_id > 0})


def bits(connection: Connection, older: OlderColumn | None, now: Now) -> list[Finding]:
    """Find the evenings whose older bit says something else than we will."""
    if older is None:
        return []
    statement = text(f"SELECT session_instance_id FROM session_instance WHERE {quoted(older.name)}")  # noqa: S608 -- quoted
    before = frozenset(connection.scalars(statement))
    rows = [
        *(
            Row(id_, "goes off: its window is not open now", "session_instance")
            for id_ in sorted(before - now.on.keys())
        ),
        *(Row(id_, "comes on: its window is open now", "session_instance") for id_ in sorted(now.on.keys() - before)),
    ]
    return found("bits", f"evenings that will be other than {older} says", rows)


def people(connection: Connection, columns: Columns, older: OlderColumn | None, now: Now) -> list[Finding]:
    """Find the people who will be elsewhere than the older pointer says, or somewhere for the first time."""
    if not columns["session_instance_person"] or not columns["person"]:
        return []
    before = _pointers(connection, older)
    after = _placed(connection, columns, now)
    moved = sorted(person for person in before.keys() | after.keys() if before.get(person) != after.get(person))
    rows = [
        Row(person, f"from {_where(before.get(person))} to {_where(after.get(person))}", "person") for person in moved
    ]
    return found("people", "people who will be moved", rows)


def _where(instance_id: int | None) -> str:
    return f"instance {instance_id}" if instance_id else "nowhere"


def _pointers(connection: Connection, older: OlderColumn | None) -> dict[int, int]:
    if older is None:
        return {}
    name = quoted(older.name)
    statement = text(f"SELECT person_id, {name} FROM person WHERE {name} IS NOT NULL")  # noqa: S608 -- quoted
    return dict(row for row in connection.execute(statement))


def _placed(connection: Connection, columns: Columns, now: Now) -> dict[int, int]:
    """Return where the people will be by their yeses, and by what they left (A2)."""
    there = columns["session_instance_person"]
    stamps = [f"said.{name}" for name in ("checked_in_at", "created_date") if name in there]
    said_at = f"CAST(coalesce({', '.join((*stamps, ':epoch'))}) AS timestamptz)"
    is_active = "person.active IS NOT FALSE" if columns["person"].get("active") == "boolean" else "true"
    left_at = _or_null("left_at", there)
    statement = text(
        f"SELECT person_id, said.session_instance_id, {said_at}, {left_at} "  # noqa: S608 -- our names
        "FROM session_instance_person said JOIN person USING (person_id) "
        f"WHERE said.attendance = 'yes' AND said.session_instance_id = ANY (:ids) AND {is_active}"
    )
    said: dict[int, list[SaidYes]] = defaultdict(list)
    left: dict[int, list[Left]] = defaultdict(list)
    for person_id, instance_id, at, gone_at in connection.execute(statement, {"ids": [*now.on], "epoch": EPOCH}):
        span = now.on[instance_id]
        said[person_id].append(SaidYes(instance_id, at, span.window.opens_at, span.window.closes_at, span.starts_at))
        if gone_at:
            left[person_id].append(Left(instance_id, gone_at))
    deciding = {person_id: deciding_yes(theirs, left[person_id]) for person_id, theirs in said.items()}
    return {person_id: yes.session_instance_id for person_id, yes in deciding.items() if yes}


def attendances(connection: Connection, columns: Columns) -> list[Finding]:
    """Find what people say of evenings in other words than ours."""
    if not columns["session_instance_person"]:
        return []
    rows = [Row(said, f"rows: {number}") for said, number in connection.execute(_OTHER_WORDS)]
    return found(
        "attendances", "words in session_instance_person.attendance other than ours", rows, "Only 'yes' counts"
    )


_OTHER_WORDS = text(
    """
    SELECT attendance::text, count(*) FROM session_instance_person
    WHERE attendance::text NOT IN ('yes', 'maybe', 'no') GROUP BY 1 ORDER BY 2 DESC LIMIT 20
    """
)


def of_choice(choice: str, found_: Sequence[OlderColumn]) -> OlderColumn | None:
    """Return the one older column that a choice may mean; None if there is none, or if there are several."""
    fit = [each for each in found_ if each.choice == choice]
    return fit[0] if len(fit) == 1 else None
