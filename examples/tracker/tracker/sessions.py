"""What organisers change in a session: its recurrence, its zone, its end; and "log today"."""

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- it is a class

from tracker import active_sessions
from tracker.db import connection, row
from tracker.people import page, saved, signed_in
from tracker.recurrence import hours_on

blueprint = Blueprint("sessions", __name__)

ADD = """
    INSERT INTO session (name, path, session_type, timezone, recurrence, auto_create_instances)
    VALUES (%(name)s, %(path)s, %(session_type)s, %(timezone)s, %(recurrence)s, %(auto_create_instances)s)
    RETURNING session_id
"""
BLANK = {"session_type": "regular", "timezone": "UTC", "recurrence": None, "auto_create_instances": False}
TO_COME = """
    SELECT session_instance_id, date, start_time, end_time FROM session_instance
    WHERE session_id = %s AND date >= current_date - 1 FOR UPDATE
"""
LOG_TODAY = """
    INSERT INTO session_instance (session_id, date, start_time, end_time, created_by_user_id)
    VALUES (%s, %s, %s, %s, %s) RETURNING session_instance_id
"""


@blueprint.post("/sessions")
def add() -> Response:
    """Add a session."""
    signed_in()
    with connection().cursor() as cursor:
        cursor.execute(ADD, BLANK | request.get_json())
        session_id = cursor.fetchone()["session_id"]
    connection().commit()
    active_sessions.update_session(connection(), session_id)
    return page(session_id=session_id)


@blueprint.put("/sessions/<int:session_id>/recurrence")
def save_recurrence(session_id: int) -> Response:
    """Save when the session is; the evenings to come follow, where nobody gave them hours of their own."""
    signed_in()
    new = request.get_json()["recurrence"]
    with connection().cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT recurrence FROM session WHERE session_id = %s FOR UPDATE", (session_id,))
        _follow(cursor, session_id, cursor.fetchone()["recurrence"], new)
        cursor.execute("UPDATE session SET recurrence = %s WHERE session_id = %s", (new, session_id))
        cursor.execute("COMMIT")
    active_sessions.update_session(connection(), session_id)
    return saved()


def _follow(cursor: Cursor, session_id: int, old: str | None, new: str) -> None:
    cursor.execute(TO_COME, (session_id,))
    for evening in cursor.fetchall():
        day, hours = evening["date"], (evening["start_time"], evening["end_time"])
        if hours == hours_on(old, day) and (new_hours := hours_on(new, day)):
            cursor.execute(
                "UPDATE session_instance SET start_time = %s, end_time = %s WHERE session_instance_id = %s",
                (*new_hours, evening["session_instance_id"]),
            )


@blueprint.put("/sessions/<int:session_id>/zone")
def save_zone(session_id: int) -> Response:
    """Save by which clocks the session goes."""
    return _change(
        session_id, "UPDATE session SET timezone = %s WHERE session_id = %s", ZoneInfo(_sent("timezone")).key
    )


@blueprint.post("/sessions/<int:session_id>/terminate")
def terminate(session_id: int) -> Response:
    """Save which date is the session's last."""
    return _change(session_id, "UPDATE session SET termination_date = %s WHERE session_id = %s", _sent("date"))


def _sent(name: str) -> str:
    return str(request.get_json()[name])


def _change(session_id: int, statement: str, value: str) -> Response:
    signed_in()
    with connection() as db, db.cursor() as cursor:
        cursor.execute(statement, (value, session_id))
    active_sessions.update_session(connection(), session_id)
    return saved()


@blueprint.post("/sessions/<int:session_id>/log-today")
def log_today(session_id: int) -> Response:
    """Return today's evening, to log its tunes; add one if there is none, from now on where the recurrence has none."""
    me = signed_in()
    session = row("SELECT timezone, recurrence FROM session WHERE session_id = %s", session_id)
    now = datetime.now(ZoneInfo(session["timezone"]))
    start, end = hours_on(session["recurrence"], now.date()) or (now.time().replace(microsecond=0), None)
    with connection().cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM session WHERE session_id = %s FOR UPDATE", (session_id,))
        cursor.execute(
            "SELECT session_instance_id FROM session_instance WHERE session_id = %s AND date = %s",
            (session_id, now.date()),
        )
        found = cursor.fetchone()
        if found is None:
            cursor.execute(LOG_TODAY, (session_id, now.date(), start, end, me))
            found = cursor.fetchone()
        cursor.execute("COMMIT")
    active_sessions.update_session(connection(), session_id)
    return page(**found)
