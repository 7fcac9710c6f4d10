"""Why: why a session or an instance is on or not, where a person is and why, and which session is meant by a name.

Each call is one reading, by index, without a lock, and writes nothing. With an `Engine` it is a transaction of its own
that sees one state of the database; it works on a standby too. `core.rules.explanation` makes the answer of it. `now`
(aware) is for tests; None means the database's clock.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Engine

from core import choices
from core.db.transactions import AppDatabase, reading
from core.errors import AmbiguousSession, OutOfReach, UnknownInstance, UnknownPerson, UnknownSession
from core.ids import is_id, require_id
from core.recurrence.schedules import FIRST_YEAR
from core.rules.explanation import explain
from core.rules.explanation.case import Case, case_of
from core.rules.explanation.people import explain_person as person_explained
from core.rules.explanation.people import should_be_at
from core.rules.explanation.reading import (
    Attendance,
    Explanation,
    Holder,
    Pending,
    PersonExplanation,
    PersonReading,
    SessionReading,
    Step,
    Why,
    Yes,
)
from core.rules.explanation.verdict import deciding, verdict
from core.rules.flips import decide
from core.rules.planner import first_date
from core.settings import load_settings
from core.status import schema_damage
from core.store import flips, heartbeats
from core.store.planning import snapshots
from core.store.presence import yeses
from core.store.views import readings, reports
from core.store.views.readings import SessionFacts, SessionName
from core.timezones import require_zone, to_utc

__all__ = [
    "Explanation",
    "PersonExplanation",
    "SessionName",
    "Step",
    "Why",
    "explain_instance",
    "explain_person",
    "explain_session",
    "find_session",
]

MOST_PEOPLE = 20
MOST_VERDICTS = 5
"""Of how many yeses to what is not on an explanation of a person says why: each is a reading of a session."""
MOST_CANDIDATES = 10
FARTHEST = timedelta(days=366)
"""How far ahead an explanation, a list of edges or a simulation looks."""


def explain_session(
    db: Engine | AppDatabase, session_id: int, at: datetime | None = None, *, now: datetime | None = None
) -> Explanation:
    """Explain why a session is on or not at `at`; None: now, by the database's clock. A naive `at` is local to it.

    It explains the instance that decides: the one that is on, else one that would be on but for an edit, else the next.
    An instant ahead is answered by the rules, as if nobody changed anything before then; a past one by the log of flips
    alone, because an edit since then may have changed what rows and pattern say. Raises `UnknownSession`; `OutOfReach`
    for an instant over a year ahead, or before 1900; `UnknownTimeZone` for a naive `at` if the session's zone is
    unknown.
    """
    session_id = require_id(session_id, "session", UnknownSession)
    with reading(db) as connection:
        case = _case(connection, session_id, at, now)
        return _explanation(connection, case, deciding(case), now)


def explain_instance(
    db: Engine | AppDatabase, session_instance_id: int, at: datetime | None = None, *, now: datetime | None = None
) -> Explanation:
    """Explain why an instance is on or not, as `explain_session` does.

    An instance whose row is deleted is explained at a past instant, as far as the log of flips knows its session.
    Raises `UnknownInstance`, `OutOfReach` and `UnknownTimeZone`.
    """
    session_instance_id = require_id(session_instance_id, "instance", UnknownInstance)
    with reading(db) as connection:
        found = readings.instance_session(connection, session_instance_id)
        logged = None if found else readings.logged_session(connection, session_instance_id)
        if not found and (logged is None or at is None):
            then = "; its row is deleted: ask with an instant when it was there" if logged else ""
            raise UnknownInstance(f"there is no instance {session_instance_id}{then}")
        session_id, day = found or (logged or 0, None)
        return _explanation(connection, _case(connection, session_id, at, now, day), session_instance_id, now)


def explain_person(db: Engine | AppDatabase, person_id: int, *, now: datetime | None = None) -> PersonExplanation:
    """Explain where a person is now, and by which part of A2. Raises `UnknownPerson`."""
    person_id = require_id(person_id, "person", UnknownPerson)
    with reading(db) as connection:
        found = readings.person_facts(connection, person_id)
        if not found:
            raise UnknownPerson(f"there is no person {person_id}")
        read_at, is_deactivated = found
        people = _people(connection, {person_id: is_deactivated}, now or read_at)
        said = _told(connection, readings.yeses_of(connection, person_id, MOST_PEOPLE), now)
        told = person_explained(people[0], said, now or read_at, _pending(connection, people, now))
        notes = (Step("note", choices.NOT_FOLLOWED),) if choices.follows_nobody(connection) else ()
        return replace(told, steps=(*told.steps, *notes))


def find_session(db: Engine | AppDatabase, text: str) -> int:
    """Return the id of the session with this id, this path, this name, or a name that begins so.

    The whole name wins over names that begin so. In names neither punctuation nor upper and lower case
    count: "muellers" finds "Mueller's".

    Raises `UnknownSession`, and `AmbiguousSession`, which lists the candidates.
    """
    with reading(db) as connection:
        if is_id(text) and readings.session_facts(connection, int(text)):
            return int(text)
        found = readings.sessions_named(connection, text, MOST_CANDIDATES + 1)
    if not found:
        raise UnknownSession(f"no session has the id or the path {text!r}, or a name that begins so")
    named = [session for session in found if session.name.casefold() == text.casefold()]
    found = named if len(named) == 1 else found
    if len(found) > 1:
        more = "; ..." if len(found) > MOST_CANDIDATES else ""
        listed = "; ".join(map(_candidate, found[:MOST_CANDIDATES]))
        raise AmbiguousSession(f"several sessions are named {text!r}; give an id: {listed}{more}")
    return found[0].session_id


def _candidate(session: SessionName) -> str:
    return f"{session.session_id} {', '.join(filter(None, (session.name, session.city, session.country)))}"


# One reading


def _case(
    connection: Connection, session_id: int, at: datetime | None, now: datetime | None, day: date | None = None
) -> Case:
    """Read a session; `day`: the date of the instance that is asked for."""
    facts = readings.session_facts(connection, session_id)
    if not facts:
        raise UnknownSession(f"there is no session {session_id}")
    if now:  # requests are stamped by the real clock: beside a stated `now` they mean nothing
        facts = replace(facts, read_at=now, requested_at=None)
    settings = load_settings()
    at = at or facts.read_at
    if at.year < FIRST_YEAR:
        raise OutOfReach(f"{at} is too long ago; expected an instant from {FIRST_YEAR} on")
    if at.tzinfo is None:
        at = to_utc(at, require_zone(facts.timezone))
    if at > facts.read_at + FARTHEST:
        raise OutOfReach(f"{at} is too far ahead; expected an instant within {FARTHEST.days} days")
    session = _read(connection, facts, at, day, timedelta(days=settings.keep_days))
    case = case_of(session, at, horizon=settings.plan_horizon, default_length=settings.default_length)
    if case.agrees or not case.is_now:
        return case
    return replace(case, reading=replace(session, holders=_holders(connection), broken=_broken(connection)))


def _holders(connection: Connection) -> tuple[Holder, ...]:
    return tuple(reports.holders(connection, reports.LATE))


def _broken(connection: Connection) -> tuple[str, ...]:
    """Return which of our triggers are missing or disabled, and which of their functions are missing or changed."""
    return tuple(found.what for found in schema_damage(connection) if found.hides_edits)


def _read(
    connection: Connection, facts: SessionFacts, at: datetime, day: date | None, kept: timedelta
) -> SessionReading:
    now = facts.read_at
    requested = {facts.session_id: facts.requested_at} if facts.requested_at else {}
    [state] = flips.states(connection, [facts.session_id], now, requested)
    active = readings.instance_session(connection, state.active) if state.active else None
    # The planner considers instances from `first_date(now)` on; what is asked for, and what is on, may be older.
    oldest = max(min(at, now), now - kept)
    since = min(first_date(oldest), day or date.max, active[1] if active else date.max)
    [snapshot] = snapshots.snapshots(connection, [facts.session_id], since)
    ids = [instance.session_instance_id for instance in snapshot.instances]
    if at < now:
        # What was on then opened at most so long before, because no window is longer.
        gone = readings.logged_between(connection, facts.session_id, at - yeses.LEFT_LATELY, at)
    else:
        gone = readings.deleted_while_on(connection, facts.session_id)
    return SessionReading(
        facts.name,
        now,
        snapshot,
        state,
        windows=readings.windows_of(connection, ids),
        rows=readings.row_facts(connection, ids),
        flips=readings.flips_of(connection, {*ids, *gone}, min(at, now)),
        failure=facts.failure,
        retry_at=facts.retry_at,
        has_daemon=heartbeats.has_reconciled_within(connection, beats=heartbeats.BEAT_STALE),
        kept=kept,
        log_begins=readings.log_begins(connection) if at < now else None,
    )


def _explanation(connection: Connection, case: Case, key: int | None, now: datetime | None) -> Explanation:
    attendance = Attendance()
    if case.is_now and key is not None and key > 0:
        found, count = readings.said_yes(connection, key, MOST_PEOPLE)
        people = _people(connection, found, case.at)
        attendance = Attendance(people, count, _pending(connection, people, now))
    return explain(case, key, attendance)


def _people(connection: Connection, people: dict[int, bool], now: datetime) -> tuple[PersonReading, ...]:
    """Return these people (person id -> whether the app has deactivated them), by id."""
    if not people:
        return ()
    found = sorted(yeses.by_person(connection, people, now).items())
    return tuple(
        PersonReading(person_id, at, tuple(said), tuple(left), people[person_id])
        for person_id, (at, said, left) in found
    )


def _told(connection: Connection, yeses: list[Yes], now: datetime | None) -> list[Yes]:
    """Add to the latest yeses whose instances have no window to come why that is."""
    asked = [yes for yes in yeses if yes.has_nothing_to_come and not yes.is_maybe][:MOST_VERDICTS]
    verdicts = {
        yes.session_instance_id: verdict(_case(connection, yes.session_id, None, now), yes.session_instance_id)
        for yes in asked
    }
    return [
        replace(yes, verdict=told.removeprefix("Not on: ")) if (told := verdicts.get(yes.session_instance_id)) else yes
        for yes in yeses
    ]


def _pending(connection: Connection, people: Sequence[PersonReading], now: datetime | None) -> Pending | None:
    """Read what is to move those of these people who are not where they should be; None: all are."""
    astray = [person for person in people if person.at_instance != should_be_at(person)]
    instances = {at for person in astray for at in (should_be_at(person), person.at_instance) if at}
    sessions = {found[0] for at in sorted(instances) if (found := readings.instance_session(connection, at))}
    read = [facts for session in sorted(sessions) if (facts := readings.session_facts(connection, session))]
    if not read:
        return None
    requests = [facts.requested_at for facts in read if facts.requested_at and not now]
    states = flips.states(connection, sorted(sessions), now or read[0].read_at, {})
    failed = next((facts for facts in read if facts.failure is not None), None)
    return Pending(
        (failed or read[0]).session_id,
        not any(decide(state, now or read[0].read_at).flips for state in states),
        min(requests, default=None),
        failed.failure if failed else None,
        failed.retry_at if failed else None,
        heartbeats.has_reconciled_within(connection, beats=heartbeats.BEAT_STALE),
        _holders(connection),
        _broken(connection),
    )
