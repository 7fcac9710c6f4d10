"""Rows as an app writes and reads them: raw SQL, on an autocommit connection that is none of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

Rows = list[tuple[Any, ...]]


@contextmanager
def connected(url: str, *, autocommit: bool = True) -> Iterator[Connection]:
    connection: Connection = psycopg2.connect(url)
    connection.autocommit = autocommit
    try:
        yield connection
        with suppress(psycopg2.Error):  # the test may have ended it
            connection.rollback()  # by its answer the locks are free; after a close they are only some time later
    finally:
        connection.close()


def execute(connection: Connection, statement: str | sql.Composable, *values: Any) -> Rows:
    """Run a statement; return its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def value(connection: Connection, statement: str, *values: Any) -> Any:
    """Return the first column of the first row, None where there is no row."""
    found = execute(connection, statement, *values)
    return found[0][0] if found else None


def add(connection: Connection, table: str, columns: Mapping[str, Any]) -> int:
    """Insert a row; return its id."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        sql.Identifier(f"{table}_id"),
    )
    return int(execute(connection, statement, *columns.values())[0][0])


def add_session(
    connection: Connection, recurrence: str | None = None, *, timezone: str | None = "Europe/Dublin", **columns: Any
) -> int:
    return add(
        connection, "session", {"name": "The Cobblestone", "recurrence": recurrence, "timezone": timezone} | columns
    )


def add_instance(
    connection: Connection, session_id: int, date: str, start: str | None = None, end: str | None = None, **columns: Any
) -> int:
    times = {"session_id": session_id, "date": date, "start_time": start, "end_time": end}
    return add(connection, "session_instance", times | columns)


def add_window(  # noqa: PLR0917 -- the columns, in their order
    connection: Connection,
    session_instance_id: int,
    session_id: int,
    phase: str,
    opens_at: datetime,
    closes_at: datetime,
    **columns: Any,
) -> None:
    """Insert a window as a pass does; `planned_at` is its opening, if it is not given."""
    times = {"opens_at": opens_at, "closes_at": closes_at, "starts_at": opens_at, "planned_at": opens_at}
    row = {"session_instance_id": session_instance_id, "session_id": session_id, "phase": phase} | times | columns
    names, values = sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(sql.Placeholder() * len(row))
    execute(connection, sql.SQL("INSERT INTO activation_window ({}) VALUES ({})").format(names, values), *row.values())


def add_person(connection: Connection, **columns: Any) -> int:
    return add(connection, "person", {"first_name": "Nóirín"} | columns)


def add_check_in(
    connection: Connection, session_instance_id: int, person_id: int, attendance: str | None = "yes", **columns: Any
) -> int:
    who = {"session_instance_id": session_instance_id, "person_id": person_id, "attendance": attendance}
    return add(connection, "session_instance_person", who | columns)


def change(connection: Connection, table: str, row_id: int, **columns: Any) -> None:
    """Update a row."""
    statement = sql.SQL("UPDATE {} SET {} WHERE {} = {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in columns),
        sql.Identifier(f"{table}_id"),
        sql.Placeholder(),
    )
    execute(connection, statement, *columns.values(), row_id)


def change_session(connection: Connection, session_id: int, **columns: Any) -> None:
    change(connection, "session", session_id, **columns)


def change_instance(connection: Connection, session_instance_id: int, **columns: Any) -> None:
    change(connection, "session_instance", session_instance_id, **columns)


def bind(connection: Connection, instance: int, session_id: int, start: str, *, lost: bool = False) -> None:
    """Bind an instance to a session's occurrence of three hours at this local start, as a plan does."""
    execute(
        connection,
        "INSERT INTO planned_instance (session_instance_id, session_id, occurrence_start, occurrence_end, lost, moved)"
        " SELECT %s, %s, at, at + interval '3 hours', %s, false FROM (SELECT %s::timestamp) AS occurrence (at)",
        instance,
        session_id,
        lost,
        start,
    )


def delete_instance(connection: Connection, session_instance_id: int) -> None:
    execute(connection, "DELETE FROM session_instance WHERE session_instance_id = %s", session_instance_id)


def instances_of(connection: Connection, session_id: int) -> Rows:
    """Return (id, date, start, end) of a session's instances as text, by date and start."""
    return execute(
        connection,
        "SELECT session_instance_id, date::text, to_char(start_time, 'HH24:MI'), to_char(end_time, 'HH24:MI') "
        "FROM session_instance WHERE session_id = %s ORDER BY date, start_time, session_instance_id",
        session_id,
    )


def times_of(connection: Connection, session_id: int) -> list[str]:
    """Return a session's instances as `date start-end`, by date and start."""
    return [f"{date} {start}-{end}" for _, date, start, end in instances_of(connection, session_id)]


def only_instance(connection: Connection, session_id: int) -> int:
    [(session_instance_id, *_)] = instances_of(connection, session_id)
    return int(session_instance_id)


def windows_of(connection: Connection, session_id: int) -> Rows:
    """Return (instance, opens, closes, phase) of the windows of a session's instances, in UTC, by opening."""
    return execute(
        connection,
        "SELECT session_instance_id, to_char(opens_at AT TIME ZONE 'UTC', 'DD HH24:MI'), "
        "to_char(closes_at AT TIME ZONE 'UTC', 'DD HH24:MI'), phase FROM activation_window "
        "JOIN session_instance i USING (session_instance_id) WHERE i.session_id = %s ORDER BY opens_at",
        session_id,
    )


def spans_of(connection: Connection, session_id: int) -> list[str]:
    """Return the windows of a session's instances as `opens-closes`, in UTC, by opening."""
    return [f"{opens} - {closes}" for _, opens, closes, _ in windows_of(connection, session_id)]


def active_of(connection: Connection, session_id: int) -> int | None:
    """Return a session's active instance; the bits and their mirror must agree."""
    bits = execute(
        connection, "SELECT session_instance_id FROM session_instance WHERE session_id = %s AND active", session_id
    )
    mirror = execute(connection, "SELECT session_instance_id FROM active_instance WHERE session_id = %s", session_id)
    assert bits == mirror
    return int(bits[0][0]) if bits else None


def flips_of(connection: Connection, session_id: int) -> list[tuple[int, bool, datetime, datetime, str]]:
    """Return the log of a session's flips: instance, active, due, done, cause."""
    return execute(
        connection,
        "SELECT session_instance_id, active, due_at, done_at, cause FROM activation_log WHERE session_id = %s "
        "ORDER BY activation_log_id",
        session_id,
    )


def requests(connection: Connection) -> list[int]:
    """Return the sessions that are requested, in order of the requests."""
    return [row[0] for row in execute(connection, "SELECT session_id FROM plan_request ORDER BY request_id")]


def forget_requests(connection: Connection) -> None:
    execute(connection, "DELETE FROM plan_request")


def plan_of(connection: Connection, session_id: int) -> dict[str, Any]:
    """Return a session's row of `session_plan`."""
    found: dict[str, Any] = value(
        connection, "SELECT to_jsonb(p) FROM session_plan p WHERE session_id = %s", session_id
    )
    return found


def person_at(connection: Connection, person_id: int) -> int | None:
    """Return the instance where a person is."""
    instance: int | None = value(
        connection, "SELECT active_session_instance_id FROM person WHERE person_id = %s", person_id
    )
    return instance


def add_fleet(connection: Connection, size: int, recurrence: str) -> None:
    """Add so many sessions in Dublin, all with the same recurrence."""
    execute(
        connection,
        "INSERT INTO session (name, timezone, recurrence) SELECT 'Session ' || n, 'Europe/Dublin', %s "
        "FROM generate_series(1, %s) n",
        recurrence,
        size,
    )


def actives(connection: Connection) -> int:
    """Return how many instances are active."""
    return int(value(connection, "SELECT count(*) FROM session_instance WHERE active"))
