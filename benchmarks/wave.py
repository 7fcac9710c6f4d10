"""Sessions that open at one instant, with people who said yes: written as the app and the planner would have left them.

Each has an instance of its own hours, added by hand, so that an edge may fall on any microsecond; hours of a recurrence
begin on a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks.server import run, value, without_triggers
from core.look import ZONE_VERSION

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


def add(connection: Connection, opens_at: Sequence[datetime], size: int, people_each: int = PEOPLE_EACH) -> list[Wave]:
    """Add waves of so many sessions, one for each instant."""
    sessions, instances, people = (
        value(connection, f"SELECT coalesce(max({table}_id), 0) + 1 FROM {table}")
        for table in ("session", "session_instance", "person")
    )
    waves = [
        Wave(at, sessions + number * size, instances + number * size, size, size * people_each)
        for number, at in enumerate(opens_at)
    ]
    with without_triggers(connection):
        for number, wave in enumerate(waves):
            _write(connection, wave, people + number * wave.people, people_each)
    for table in ("session", "session_instance", "person"):
        key = f"{table}_id"
        run(connection, f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), max({key})) FROM {table}")
    run(connection, "VACUUM ANALYZE session, session_instance, session_plan, activation_window, person")
    run(connection, "VACUUM ANALYZE session_instance_person")
    return waves


def _write(connection: Connection, wave: Wave, first_person: int, people_each: int) -> None:
    starts_at = wave.opens_at + BUFFER
    ends_at = starts_at + LENGTH
    sessions = (wave.first_session, wave.first_session + wave.size - 1)
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
    _add_people(connection, wave, first_person, people_each)


def _add_people(connection: Connection, wave: Wave, first_person: int, people_each: int) -> None:
    people = (first_person, first_person + wave.people - 1)
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
        people_each,
        wave.first,
        *people,
    )
