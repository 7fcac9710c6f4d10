"""What people do with one evening: say yes to it, log it, and, as organisers, add, cancel, move and delete it."""

from flask import Blueprint, Response, abort, request

from tracker import active_sessions, history
from tracker.db import connection, row
from tracker.people import page, saved, signed_in

blueprint = Blueprint("instances", __name__)

OF = "SELECT session_id FROM session_instance WHERE session_instance_id = %s"
ADD = """
    INSERT INTO session_instance (session_id, date, start_time, end_time, created_by_user_id)
    VALUES (%(session_id)s, %(date)s, %(start_time)s, %(end_time)s, %(by)s) RETURNING session_instance_id
"""
SAY = """
    INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (%s, %s, %s)
    ON CONFLICT (session_instance_id, person_id) DO UPDATE SET attendance = excluded.attendance
"""
BELONG = "INSERT INTO session_person (session_id, person_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
CANCEL = "UPDATE session_instance SET is_cancelled = %s, last_modified_user_id = %s WHERE session_instance_id = %s"
MOVE = """
    UPDATE session_instance SET date = %s, start_time = %s, end_time = %s, last_modified_user_id = %s
    WHERE session_instance_id = %s
"""
TUNE = """
    INSERT INTO session_instance_tune (session_instance_id, position, name)
    SELECT %s, coalesce(max(position), 0) + 1, %s FROM session_instance_tune WHERE session_instance_id = %s
"""
LOGGED = """
    UPDATE session_instance SET log_complete_date = now(), last_modified_user_id = %s WHERE session_instance_id = %s
"""


@blueprint.post("/sessions/<int:session_id>/instances")
def add(session_id: int) -> Response:
    """Add an evening by hand."""
    me = signed_in()
    with connection() as db, db.cursor() as cursor:
        cursor.execute(ADD, request.get_json() | {"session_id": session_id, "by": me})
        found = cursor.fetchone()
    active_sessions.update_session(connection(), session_id)
    return page(**found)


@blueprint.post("/instances/<int:instance_id>/check-in")
def check_in(instance_id: int) -> Response:
    """Save what somebody says of an evening; whoever says yes belongs to the session from then on."""
    person_id, attendance = signed_in(), request.get_json()["attendance"]
    if attendance not in ("yes", "maybe", "no"):
        abort(400)
    session_id = row(OF, instance_id)["session_id"]
    with connection().cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(SAY, (instance_id, person_id, attendance))
        if attendance == "yes":
            cursor.execute(BELONG, (session_id, person_id))
        cursor.execute("COMMIT")
    active_sessions.person_said(connection(), person_id, instance_id, attendance)
    return saved()


@blueprint.post("/instances/<int:instance_id>/cancel")
def cancel(instance_id: int) -> Response:
    """Cancel an evening, or restore it."""
    return _change(instance_id, "cancel", CANCEL, request.get_json()["is_cancelled"])


@blueprint.put("/instances/<int:instance_id>/hours")
def move(instance_id: int) -> Response:
    """Give an evening another date and other hours."""
    to = request.get_json()
    return _change(instance_id, "move", MOVE, to["date"], to["start_time"], to["end_time"])


@blueprint.post("/instances/<int:instance_id>/tunes")
def log(instance_id: int) -> Response:
    """Log a tune that was played."""
    me = signed_in()
    with connection() as db, db.cursor() as cursor:
        cursor.execute(TUNE, (instance_id, request.get_json()["name"], instance_id))
        cursor.execute(LOGGED, (me, instance_id))
    return saved()


@blueprint.delete("/instances/<int:instance_id>")
def delete(instance_id: int) -> Response:
    """Delete an evening; whoever is there is nowhere then."""
    me, session_id = signed_in(), row(OF, instance_id)["session_id"]
    with connection() as db, db.cursor() as cursor:
        history.keep(cursor, instance_id, "delete", me)
        cursor.execute(
            "UPDATE person SET at_active_session_instance_id = NULL WHERE at_active_session_instance_id = %s",
            (instance_id,),
        )
        cursor.execute("DELETE FROM session_instance WHERE session_instance_id = %s", (instance_id,))
    active_sessions.update_session(connection(), session_id)
    return saved()


def _change(instance_id: int, operation: str, statement: str, *values: object) -> Response:
    """Keep an evening as it was, change it, and see what is on."""
    me, session_id = signed_in(), row(OF, instance_id)["session_id"]
    with connection() as db, db.cursor() as cursor:
        history.keep(cursor, instance_id, operation, me)
        cursor.execute(statement, (*values, me, instance_id))
    active_sessions.update_session(connection(), session_id)
    return saved()
