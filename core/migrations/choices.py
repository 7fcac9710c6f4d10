"""What this database has chosen, kept in one small table of ours: `seisiun_choice`.

Triggers, daemon, sweep and every app process read the same row. An environment variable could differ between them.
"""

from core.migrations.live import columns, make_triggers, scalar, step

# The value is the name of the boolean column of `person` that says whether the app has deactivated somebody.
DEACTIVATED_PEOPLE = "deactivated_people"
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
    SELECT seisiun_request_about(session_id, 'people') FROM (
        SELECT DISTINCT a.session_id FROM deactivated_person JOIN person USING (person_id)
        JOIN active_instance a ON a.session_instance_id = person.active_session_instance_id
    ) there
    """,
    "INSERT INTO seisiun_choice (name, value) VALUES ('deactivated_people', 'active')",
)


def settle() -> None:
    """Follow the app's column `person.active`, if it has one that is boolean, and nothing was chosen before.

    The people whom it deactivates now are released by the passes that follow.
    """
    if columns("person").get("active") != "boolean" or _is_chosen(DEACTIVATED_PEOPLE):
        return
    make_triggers(TRIGGERS)
    for statement in STEPS:
        step(statement)


def _is_chosen(name: str) -> bool:
    return bool(scalar("SELECT 1 FROM seisiun_choice WHERE name = :name", name=name))
