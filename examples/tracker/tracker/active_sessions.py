"""Which evenings are on, and who is at them, in two columns of the tracker's own.

`session_instance.is_active` is true from some minutes before an evening until some minutes after it, by the clocks of
the session's zone. `person.at_active_session_instance_id` is the evening where a person is. The routes call this module
after their COMMIT, and `jobs/check_active_sessions.py` calls it each quarter of an hour.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- it is a class

from tracker.db import Row
from tracker.recurrence import hours_on

LENGTH = timedelta(hours=3)  # of an evening that states no end

SESSION = "SELECT * FROM session WHERE session_id = %s"
NEAR = "SELECT * FROM session_instance WHERE session_id = %s AND date BETWEEN %s AND %s ORDER BY date, start_time"
CREATE = """
    INSERT INTO session_instance (session_id, date, start_time, end_time) SELECT %s, %s, %s, %s
    WHERE NOT EXISTS (SELECT 1 FROM session_instance WHERE session_id = %s AND date = %s)
"""
SWITCH_OFF = """
    UPDATE session_instance SET is_active = false
    WHERE session_id = %s AND is_active AND session_instance_id <> ALL (%s)
"""
SWITCH_ON = "UPDATE session_instance SET is_active = true WHERE session_instance_id = ANY (%s) AND NOT is_active"
RELEASE = """
    UPDATE person p SET at_active_session_instance_id = NULL FROM session_instance i
    WHERE i.session_instance_id = p.at_active_session_instance_id AND i.session_id = %s AND NOT i.is_active
"""
PLACE = """
    UPDATE person p SET at_active_session_instance_id = i.session_instance_id
    FROM session_instance i JOIN session_instance_person said USING (session_instance_id)
    WHERE i.session_id = %s AND i.is_active AND said.person_id = p.person_id AND said.attendance = 'yes'
    AND p.active AND p.at_active_session_instance_id IS NULL
"""
MOVE = """
    UPDATE person SET at_active_session_instance_id = %s WHERE person_id = %s AND active
    AND EXISTS (SELECT 1 FROM session_instance WHERE session_instance_id = %s AND is_active)
"""
TAKE_AWAY = """
    UPDATE person SET at_active_session_instance_id = NULL
    WHERE person_id = %s AND at_active_session_instance_id = %s
"""


def update_active_sessions(connection: Connection) -> None:
    """Bring all sessions up to date."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_id FROM session")
        found = [row["session_id"] for row in cursor.fetchall()]
    for session_id in found:
        update_session(connection, session_id)


def update_session(connection: Connection, session_id: int) -> None:
    """Create the session's next evenings if it has chosen so, switch its evenings, and place their people."""
    with connection.cursor() as cursor:
        cursor.execute(SESSION, (session_id,))
        session = cursor.fetchone()
        now = datetime.now(ZoneInfo(session["timezone"])).replace(tzinfo=None)
        if session["auto_create_instances"]:
            _create_ahead(cursor, session, now)
        on = _on(cursor, session, now)
        cursor.execute(SWITCH_OFF, (session_id, on))
        cursor.execute(SWITCH_ON, (on,))
        cursor.execute(RELEASE, (session_id,))
        cursor.execute(PLACE, (session_id,))
    connection.commit()


def person_said(connection: Connection, person_id: int, instance_id: int, attendance: str) -> None:
    """Move the person to an evening that is on and to which they said yes, or take them away from it."""
    with connection.cursor() as cursor:
        if attendance == "yes":
            cursor.execute(MOVE, (instance_id, person_id, instance_id))
        else:
            cursor.execute(TAKE_AWAY, (person_id, instance_id))
    connection.commit()


def _create_ahead(cursor: Cursor, session: Row, now: datetime) -> None:
    last = (now + timedelta(hours=session["auto_create_hours_ahead"])).date()
    for day in (now.date() + timedelta(days=n) for n in range((last - now.date()).days + 1)):
        if hours := hours_on(session["recurrence"], day):
            cursor.execute(CREATE, (session["session_id"], day, *hours, session["session_id"], day))


def _on(cursor: Cursor, session: Row, now: datetime) -> list[int]:
    """Return what is on: all that are, at a festival; else the one that started last."""
    cursor.execute(NEAR, (session["session_id"], now.date() - timedelta(days=2), now.date() + timedelta(days=2)))
    on = [row["session_instance_id"] for row in cursor.fetchall() if _is_on(session, row, now)]
    return on if session["session_type"] == "festival" else on[-1:]


def _is_on(session: Row, instance: Row, now: datetime) -> bool:
    over = session["termination_date"] and instance["date"] > session["termination_date"]
    if instance["is_cancelled"] or over or instance["start_time"] is None:
        return False
    start = datetime.combine(instance["date"], instance["start_time"])
    opens = start - timedelta(minutes=session["active_buffer_minutes_before"])
    return opens <= now < _end(start, instance["end_time"]) + timedelta(minutes=session["active_buffer_minutes_after"])


def _end(start: datetime, end: time | None) -> datetime:
    if end is None:
        return start + LENGTH
    same_day = datetime.combine(start.date(), end)
    return same_day if same_day > start else same_day + timedelta(days=1)
