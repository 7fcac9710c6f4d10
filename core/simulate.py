"""What if: what a change of a session would do, before anybody saves it. It writes nothing and takes no lock."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from core.db.transactions import AppDatabase, reading
from core.errors import OutOfReach, UnknownSession
from core.explain import FARTHEST
from core.ids import require_id
from core.recurrence import validate
from core.rules.flips import Flip
from core.rules.planner import SessionSnapshot, first_date
from core.rules.simulation import Change, Evening, EveningChange, Overlap, compare
from core.settings import load_settings
from core.store import flips
from core.store.planning import snapshots
from core.store.presence import check_ins, locations
from core.store.views import readings
from core.timezones import require_zone
from core.windows import LONGEST_BUFFER_MINUTES

__all__ = ["Change", "Evening", "EveningChange", "Overlap", "Simulation", "simulate"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would be if the change were saved at `at`.

    changes   the evenings until `until` that come, go, or change their hours or window, by start
    unchanged how many stay as they are
    overlaps  which evening would be on instead of which other one, and when (P7)
    flips     what the next pass would flip at once; an instance id below 0 is a row that the pass makes
    yeses     instance id -> how many people said yes to an evening that goes or changes
    released  how many people are at an instance that would turn off
    """

    session_id: int
    name: str
    at: datetime
    until: datetime
    changes: tuple[EveningChange, ...]
    unchanged: int
    overlaps: tuple[Overlap, ...]
    flips: tuple[Flip, ...]
    yeses: dict[int, int]
    released: int


def simulate(
    db: Engine | AppDatabase,
    session_id: int,
    *,
    recurrence: str | None = None,
    timezone: str | None = None,
    dates: tuple[date | None, date | None] | None = None,
    before: int | None = None,
    after: int | None = None,
    days: float = 28,
    now: datetime | None = None,
) -> Simulation:
    """Say what saving these values of a session would do in the next `days`; None leaves a value as it is.

    `recurrence`: an empty text means none. `dates`: the session's first and last local date, both inclusive; within the
    pair None means that it has none. `before` and `after`: the buffers, in minutes. `now` is for tests; None means the
    database's clock. It compares with what the rows mean, not with what is stored: an edit that no pass has
    served yet is no part of the change, but its flips are among `flips`. Raises `UnknownSession`, `InvalidRecurrence`
    where `validate` refuses the text, `UnknownTimeZone`, and `OutOfReach` for buffers over a day, or over a year.
    """
    _check(before, after, days)
    session_id = require_id(session_id, "session", UnknownSession)
    settings = load_settings()
    with reading(db) as connection:
        facts = readings.session_facts(connection, session_id)
        if not facts:
            raise UnknownSession(f"there is no session {session_id}")
        now = now or facts.read_at
        [session] = snapshots.snapshots(connection, [session_id], first_date(now))
        [state] = flips.states(connection, [session_id], now)
        yeses = check_ins.count_yeses(connection, [row.session_instance_id for row in session.instances])
        there = len(locations.at(connection, [state.active])) if state.active else 0
    # All is read: two plans of a busy year take a while, and a transaction that idles for so long is cut.
    until = now + timedelta(days=days)
    found = compare(
        session,
        _changed(session, recurrence, timezone, dates, (before, after)),
        state,
        now,
        until,
        horizon=settings.plan_horizon,
        default_length=settings.default_length,
    )
    changing = _rows(found.changes)
    return Simulation(
        session_id,
        facts.name,
        now,
        until,
        found.changes,
        found.unchanged,
        found.overlaps,
        found.flips,
        {row: count for row, count in yeses.items() if row in changing},
        there if any(not flip.active for flip in found.flips) else 0,
    )


def _check(before: int | None, after: int | None, days: float) -> None:
    for buffer in (before, after):
        if buffer is not None and not 0 <= buffer <= LONGEST_BUFFER_MINUTES:
            raise OutOfReach(f"a buffer of {buffer} minutes; expected 0 to {LONGEST_BUFFER_MINUTES}")
    if not 0 <= days <= FARTHEST.days:
        raise OutOfReach(f"{days:g} days; expected 0 to {FARTHEST.days}")


def _changed(
    session: SessionSnapshot,
    recurrence: str | None,
    timezone: str | None,
    dates: tuple[date | None, date | None] | None,
    buffers: tuple[int | None, int | None],
) -> SessionSnapshot:
    before, after = buffers
    zone = session.timezone if timezone is None else require_zone(timezone)
    text = session.recurrence if recurrence is None else recurrence
    if recurrence is not None:
        validate(recurrence, default_length=load_settings().default_length, zone=zone)
    first, last = (session.initiation_date, session.termination_date) if dates is None else dates
    return replace(
        session,
        recurrence=text,
        timezone=zone,
        initiation_date=first,
        termination_date=last,
        active_buffer_minutes_before=session.active_buffer_minutes_before if before is None else before,
        active_buffer_minutes_after=session.active_buffer_minutes_after if after is None else after,
    )


def _rows(changes: Iterable[EveningChange]) -> set[int]:
    before = (change.before for change in changes)
    return {evening.session_instance_id for evening in before if evening and evening.session_instance_id}
