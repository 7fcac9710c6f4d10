"""What this database has chosen, and which release made its schema, in one small table of ours: `seisiun_choice`.

`migrate` reads it, so that it makes each choice once. An environment variable could differ from run to run.
"""

from sqlalchemy import Connection, text

from core.migrations.live import columns, make_triggers, scalar, step

# The value is the name of the boolean column of `person`: false means that the app has deactivated a person.
IS_CHOSEN = "SELECT 1 FROM seisiun_choice WHERE name = 'deactivated_people'"
TRIGGERS = (
    (
        "person",
        "seisiun_person_inserted",
        "AFTER INSERT ON {table} FOR EACH ROW WHEN (NEW.active IS FALSE)",
        "seisiun_person_saved('active')",
    ),
    (
        "person",
        "seisiun_person_updated",
        "AFTER UPDATE OF active ON {table} FOR EACH ROW WHEN (OLD.active IS DISTINCT FROM NEW.active)",
        "seisiun_person_saved('active')",
    ),
)
STEPS = (
    "INSERT INTO deactivated_person SELECT person_id FROM person WHERE active IS FALSE ON CONFLICT DO NOTHING",
    """
    SELECT seisiun_request_about(session_id::bigint, 'people'::text) FROM (
        SELECT DISTINCT a.session_id FROM deactivated_person JOIN person USING (person_id)
        JOIN active_instance a ON a.session_instance_id = person.active_session_instance_id
    ) there
    """,
    "INSERT INTO seisiun_choice (name, value) VALUES ('deactivated_people', 'active')",
)


def settle() -> None:
    """Follow the app's column `person.active`, if it has one that is boolean, and nothing was chosen before.

    The next passes release the people that this column deactivates now.
    """
    if columns("person").get("active") != "boolean" or scalar(IS_CHOSEN):
        return
    make_triggers(TRIGGERS)
    for statement in STEPS:
        step(statement)


def note_release(version: str) -> None:
    """Note which release made this schema, for the error of an older one."""
    if scalar("SELECT value FROM seisiun_choice WHERE name = 'release'") != version:
        step("DELETE FROM seisiun_choice WHERE name = 'release'")
        step(f"INSERT INTO seisiun_choice VALUES ('release', '{version}')")  # noqa: S608 -- our own version


def release(connection: Connection) -> str | None:
    """Return which release made this schema, or None if our role may not read it, or it was none that noted it."""
    may_read = "SELECT has_table_privilege(to_regclass('seisiun_choice'), 'SELECT')"
    if not connection.scalar(text(may_read)):
        return None
    found = connection.scalar(text("SELECT value FROM seisiun_choice WHERE name = 'release'"))
    return None if found is None else str(found)


NOTIFICATIONS_ARE_OFF = "SELECT 1 FROM seisiun_choice WHERE name = 'notifications' AND value = 'off'"
# With notifications off the triggers only insert; the daemons poll. The choice replaces the function that notifies: a
# trigger that read the choice each time would make each of the app's writes dearer.
QUIET_FUNCTIONS = {
    "seisiun_request_about(wanted bigint, subject text) RETURNS void": """
        INSERT INTO plan_request (session_id, about) VALUES (wanted, subject);
    """,
}


def choose_notifications(*, on: bool) -> None:
    """Choose whether the app's own transactions notify; daemons follow within a second."""
    value = "on" if on else "off"
    step(
        f"INSERT INTO seisiun_choice (name, value) VALUES ('notifications', '{value}') "  # noqa: S608 -- our own value
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
