"""Sessions that open at one instant, with people who said yes: written as the app and the planner would have left them.

Each has an instance of its own hours, added by hand, so that an edge may fall on any microsecond; hours of a recurrence
begin on a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks.server import run, value, without_triggers
from core.reconcile.result import ZONE_VERSION

LENGTH = timedelta(hours=3)
BUFFER = timedelta(hours=1)
PEOPLE_EACH = 5


@dataclass(frozen=True, slots=True)
class Wave:
    """So many sessions from `first_session` on, whose instances from `first` on open at `opens_at`."""

    opens_at: datetime
    first_session: int
    first: int
    size: int
    people: int

    @property
    def ids(self) -> list[int]:
        """The instances."""
        return list(range(self.first, self.first + self.size))

    @property
    def session_ids(self) -> list[int]:
        """The sessions."""
        return list(range(self.first_session, self.first_session + self.size))


@dataclass(frozen=True, slots=True)
class Drafts:
    """Waves that have everything but their hours."""

    first_session: int
    first: int
    count: int
    size: int
    people_each: int

    @property
    def session_ids(self) -> list[int]:
        """The sessions of all waves."""
        return list(range(self.first_session, self.first_session + self.count * self.size))


def add(connection: Connection, at: Sequence[datetime], size: int, people_each: int = PEOPLE_EACH) -> list[Wave]:
    """Add waves of so many sessions, one for each instant."""
    return schedule(connection, draft(connection, len(at), size, people_each), at)


def draft(connection: Connection, count: int, size: int, people_each: int = PEOPLE_EACH) -> Drafts:
    """Add the sessions and people of so many waves: most of the work, before the time is known."""
    first_session, first = (_reserve(connection, table, count * size) for table in ("session", "session_instance"))
    drafts = Drafts(first_session, first, count, size, people_each)
    with without_triggers(connection):
        _add_sessions(connection, drafts)
        _add_people(connection, drafts, _reserve(connection, "person", count * size * people_each))
    run(connection, "VACUUM ANALYZE session, session_plan, person, session_instance_person")
    return drafts


def _reserve(connection: Connection, table: str, count: int) -> int:
    """Take so many ids that nobody else will be given, and return the first."""
    sequence = f"pg_get_serial_sequence('{table}', '{table}_id')"
    return int(value(connection, f"SELECT setval({sequence}, nextval({sequence}) + %s)", count)) - count


def schedule(connection: Connection, drafts: Drafts, at: Sequence[datetime]) -> list[Wave]:
    """Give these waves their hours."""
    size = drafts.size
    waves = [
        Wave(opens_at, drafts.first_session + n * size, drafts.first + n * size, size, size * drafts.people_each)
        for n, opens_at in enumerate(at)
    ]
    with without_triggers(connection):
        run(connection, "BEGIN")  # one commit for hundreds of small waves
        for wave in waves:
            _add_instances(connection, wave)
        run(connection, "COMMIT")
    run(connection, "VACUUM ANALYZE session_instance, activation_window")
    run(connection, "CHECKPOINT")
    return waves


def _add_sessions(connection: Connection, drafts: Drafts) -> None:
    sessions = (drafts.first_session, drafts.first_session + drafts.count * drafts.size - 1)
    run(
        connection,
        "INSERT INTO session (session_id, name, city, country, timezone) "
        "SELECT n, 'Session ' || n, 'Dublin', 'Ireland', 'UTC' FROM generate_series(%s, %s) n",
        *sessions,
    )
    run(
        connection,
        "INSERT INTO session_plan (session_id, planned_through, next_plan_at, zone_version) "
        "SELECT n, now(), NULL, %s FROM generate_series(%s, %s) n",
        ZONE_VERSION,
        *sessions,
    )


def _add_people(connection: Connection, drafts: Drafts, first_person: int) -> None:
    each = drafts.people_each
    people = (first_person, first_person + drafts.count * drafts.size * each - 1)
    run(
        connection,
        "INSERT INTO person (person_id, first_name, email) SELECT n, 'Nóirín', n || '@example.org' "
        "FROM generate_series(%s, %s) n",
        *people,
    )
    run(
        connection,
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance, created_date, checked_in_at) "
        "SELECT (n - %s) / %s + %s, n, 'yes', now(), now() FROM generate_series(%s, %s) n",
        first_person,
        each,
        drafts.first,
        *people,
    )


def _add_instances(connection: Connection, wave: Wave) -> None:
    starts_at = wave.opens_at + BUFFER
    ends_at = starts_at + LENGTH
    sessions = (wave.first_session, wave.first_session + wave.size - 1)
    run(
        connection,
        "INSERT INTO session_instance (session_instance_id, session_id, date, start_time, end_time) "
        "SELECT n - %s + %s, n, %s, %s, %s FROM generate_series(%s, %s) n",
        wave.first_session,
        wave.first,
        starts_at.date(),
        starts_at.time(),
        ends_at.time(),
        *sessions,
    )
    run(
        connection,
        "INSERT INTO activation_window "
        "(session_instance_id, opens_at, closes_at, session_id, starts_at, phase, planned_at) "
        "SELECT n - %s + %s, %s, %s, n, %s, 'ahead', now() FROM generate_series(%s, %s) n",
        wave.first_session,
        wave.first,
        wave.opens_at,
        ends_at + BUFFER,
        starts_at,
        *sessions,
    )


def add_with_past(connection: Connection, at: Sequence[datetime], size: int, weeks: int) -> list[Wave]:
    """Add waves whose sessions have met in each of so many weeks before, with the same people.

    What has been has lower ids than what is to be, as it has in an app.
    """
    each = size * weeks
    first = _reserve(connection, "session_instance", len(at) * each)
    waves = add(connection, at, size)
    with without_triggers(connection):
        for number, wave in enumerate(waves):
            run(connection, _PAST, first + number * each, weeks, wave.first, wave.first + wave.size - 1)
    run(connection, "VACUUM ANALYZE session_instance, planned_instance, activation_window, session_instance_person")
    return waves


_PAST = """
    WITH past AS (
        INSERT INTO session_instance (session_instance_id, session_id, date, start_time, end_time)
        SELECT %s - 1 + row_number() OVER (ORDER BY week DESC, session_instance_id), session_id, date - 7 * week,
               start_time, end_time
        FROM generate_series(1, %s) week, session_instance WHERE session_instance_id BETWEEN %s AND %s
        RETURNING *, date + start_time AS start
    ), planned AS (
        INSERT INTO planned_instance
            (session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved, written)
        SELECT session_instance_id, session_id, start, start + interval '3 hours', false, false,
               to_jsonb(past) - 'active' - 'start'
        FROM past
    ), said AS (
        INSERT INTO session_instance_person
            (session_instance_id, person_id, attendance, created_date, checked_in_at)
        SELECT past.session_instance_id, person_id, 'yes', start AT TIME ZONE 'UTC', start AT TIME ZONE 'UTC'
        FROM past JOIN activation_window w USING (session_id) JOIN session_instance_person now_here
        ON now_here.session_instance_id = w.session_instance_id WHERE w.phase = 'ahead'
    )
    INSERT INTO activation_window
        (session_instance_id, session_id, opens_at, closes_at, starts_at, phase, planned_at)
    SELECT session_instance_id, session_id, start AT TIME ZONE 'UTC' - interval '1 hour',
           start AT TIME ZONE 'UTC' + interval '4 hours', start AT TIME ZONE 'UTC', 'over', start AT TIME ZONE 'UTC'
    FROM past
"""
