"""The pages that people read."""

from flask import Blueprint, Response

from tracker.db import row, rows
from tracker.people import page

blueprint = Blueprint("pages", __name__)

SESSIONS = """
    SELECT s.session_id, s.name, s.city, bool_or(i.is_active) IS TRUE AS is_on, count(i) AS evenings
    FROM session s LEFT JOIN session_instance i USING (session_id)
    GROUP BY s.session_id ORDER BY is_on DESC, s.name
"""
ON_NOW = """
    SELECT i.session_instance_id, s.session_id, s.name, s.city, i.location_override, i.start_time::text AS start_time
    FROM session_instance i JOIN session s USING (session_id) WHERE i.is_active ORDER BY s.city, s.name
"""
WHO_IS_THERE = """
    SELECT at_active_session_instance_id AS session_instance_id, first_name FROM person
    WHERE at_active_session_instance_id IS NOT NULL ORDER BY person_id
"""
LOGS = """
    SELECT session_instance_id, date::text AS date, start_time::text AS start_time, end_time::text AS end_time,
        is_cancelled, is_active AS is_on, EXISTS (
            SELECT 1 FROM session_instance_tune t WHERE t.session_instance_id = i.session_instance_id
        ) AS is_logged
    FROM session_instance i WHERE session_id = %s ORDER BY date, start_time
"""
CHANGES = """
    SELECT session_instance_id, last_modified_date::text AS at, last_modified_user_id AS by FROM session_instance
    WHERE session_id = %s ORDER BY last_modified_date DESC LIMIT 20
"""


@blueprint.get("/")
def home() -> Response:
    """List the sessions, those that are on first."""
    return page(sessions=rows(SESSIONS))


@blueprint.get("/board")
def board() -> Response:
    """Show what is on now, and who is there."""
    there = rows(WHO_IS_THERE)
    on = [
        evening
        | {
            "people": [
                person["first_name"]
                for person in there
                if person["session_instance_id"] == evening["session_instance_id"]
            ]
        }
        for evening in rows(ON_NOW)
    ]
    return page(on=on)


@blueprint.get("/sessions/<int:session_id>")
def session(session_id: int) -> Response:
    """Show a session, and what was changed last."""
    found = row(
        "SELECT session_id, name, session_type, timezone, recurrence FROM session WHERE session_id = %s", session_id
    )
    return page(session=found, changes=rows(CHANGES, session_id))


@blueprint.get("/sessions/<int:session_id>/logs")
def logs(session_id: int) -> Response:
    """List all evenings of a session, also those to come; one without tunes is not logged yet."""
    return page(logs=rows(LOGS, session_id))
