"""Who is signed in, and the people. Anybody may be anybody here: a real tracker has passwords."""

from typing import cast

from flask import Blueprint, Response, abort, g, jsonify, request
from flask import session as cookie

from tracker import active_sessions
from tracker.db import connection, row, rows

blueprint = Blueprint("people", __name__)

WHO = """
    SELECT p.person_id, p.first_name, i.session_instance_id AS at_instance, s.name AS at
    FROM person p
    LEFT JOIN session_instance i ON i.session_instance_id = p.at_active_session_instance_id
    LEFT JOIN session s USING (session_id)
    WHERE p.person_id = %s AND p.active
"""
SAID_YES = "SELECT session_instance_id FROM session_instance_person WHERE person_id = %s AND attendance = 'yes'"
MERGE = (
    """
    UPDATE session_instance_person said SET person_id = %(kept)s WHERE person_id = %(gone)s AND NOT EXISTS (
        SELECT 1 FROM session_instance_person other
        WHERE other.person_id = %(kept)s AND other.session_instance_id = said.session_instance_id
    )
    """,
    """
    INSERT INTO session_person (session_id, person_id, is_regular)
    SELECT session_id, %(kept)s, is_regular FROM session_person WHERE person_id = %(gone)s ON CONFLICT DO NOTHING
    """,
    "DELETE FROM person WHERE person_id = %(gone)s",
)


@blueprint.before_app_request
def read_who_is_signed_in() -> None:
    """Every page says where its reader is."""
    found = rows(WHO, cookie["person_id"]) if "person_id" in cookie else []
    g.person = found[0] if found else None


def page(**content: object) -> Response:
    """Return what a page shows, with who reads it, and where they are."""
    return jsonify(you=g.person, **content)


def signed_in() -> int:
    """Return the id of the person who is signed in; answer 401 if nobody is."""
    return cast("int", g.person["person_id"]) if g.person else abort(401)


def saved() -> Response:
    """Return the answer to a change: who made it, and where they are now."""
    read_who_is_signed_in()
    return page(saved=True)


@blueprint.post("/sign-in")
def sign_in() -> Response:
    """Be somebody."""
    cookie["person_id"] = request.get_json()["person_id"]
    return saved()


@blueprint.get("/people")
def people() -> Response:
    """List all people but those who are deactivated."""
    return page(people=rows("SELECT person_id, first_name, last_name FROM person WHERE active ORDER BY person_id"))


@blueprint.post("/people")
def add_person() -> Response:
    """Add a person."""
    name = request.get_json()["first_name"]
    found = row("INSERT INTO person (first_name) VALUES (%s) RETURNING person_id", name)
    connection().commit()
    return page(**found)


@blueprint.post("/people/<int:person_id>/deactivate")
def deactivate(person_id: int) -> Response:
    """Deactivate a person: no list shows them, and they are nowhere."""
    signed_in()
    with connection() as db, db.cursor() as cursor:
        cursor.execute(
            "UPDATE person SET active = false, at_active_session_instance_id = NULL WHERE person_id = %s", (person_id,)
        )
    return saved()


@blueprint.post("/people/<int:person_id>/merge")
def merge(person_id: int) -> Response:
    """Give all that a person said to another, and delete the person."""
    signed_in()
    kept = request.get_json()["into"]
    said_yes = [said["session_instance_id"] for said in rows(SAID_YES, person_id)]
    with connection() as db, db.cursor() as cursor:
        for statement in MERGE:
            cursor.execute(statement, {"kept": kept, "gone": person_id})
    for instance_id in said_yes:
        active_sessions.person_said(connection(), kept, instance_id, "yes")
    return saved()
