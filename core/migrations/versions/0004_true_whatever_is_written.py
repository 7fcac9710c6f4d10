"""What a request is about; repairs as a cause of their own; pointers and deactivated people; buffers as they come."""

from core.migrations.live import (
    add_column,
    add_constraint,
    make_functions,
    make_table,
    make_triggers,
    scalar,
    step,
)

revision = "0004"
down_revision = "0003"

OWN_TABLES = {
    "deactivated_person": {"person_id": "bigint NOT NULL"},
    "seisiun_choice": {"name": "text NOT NULL", "value": "text NOT NULL"},
}
COLUMNS = {"plan_request": {"about": "text NOT NULL DEFAULT 'hours'"}}
CONSTRAINTS = {
    "deactivated_person_pkey": ("deactivated_person", "PRIMARY KEY (person_id)"),
    "deactivated_person_person_id_fkey": (
        "deactivated_person",
        "FOREIGN KEY (person_id) REFERENCES person (person_id) ON UPDATE CASCADE ON DELETE CASCADE",
    ),
    "seisiun_choice_pkey": ("seisiun_choice", "PRIMARY KEY (name)"),
    "activation_log_causes": (
        "activation_log",
        "CHECK (cause IN ('timer', 'notify', 'start', 'resync', 'hook', 'sweep', 'repair'))",
    ),
}

# Roles that may read our tables already go on reading all that a pass or a hook reads.
GRANTS = """
    DO $$ DECLARE reader text; BEGIN
        FOR reader IN
            SELECT DISTINCT CASE grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(grantee) END
            FROM information_schema.role_table_grants
            WHERE table_schema = current_schema() AND table_name = 'activation_window' AND privilege_type = 'SELECT'
        LOOP
            EXECUTE 'GRANT SELECT ON deactivated_person, seisiun_choice TO ' || reader;
        END LOOP;
    END $$
"""

# A notification is empty: the requests say which sessions it is about, and those of one transaction collapse into one.
FUNCTIONS = {
    "seisiun_request_about(wanted bigint, subject text) RETURNS void": """
        INSERT INTO plan_request (session_id, about) VALUES (wanted, subject);
        PERFORM pg_notify('session_changed', '');
    """,
    "seisiun_request(wanted bigint) RETURNS void": """
        PERFORM seisiun_request_about(wanted::bigint, 'hours'::text);
    """,
    # Request the session even if the instance is not active or has no window yet: another transaction may have written
    # the activation or the plan, and not committed it, while this check-in is written.
    "seisiun_check_in_saved() RETURNS trigger": """
        DECLARE
            touched bigint[] := CASE TG_OP
                WHEN 'INSERT' THEN ARRAY[NEW.session_instance_id]
                WHEN 'DELETE' THEN ARRAY[OLD.session_instance_id]
                ELSE ARRAY[OLD.session_instance_id, NEW.session_instance_id]
            END;
        BEGIN
            IF current_setting('seisiun.own_write', true) IS DISTINCT FROM 'on' THEN
                PERFORM seisiun_request_about(near.session_id::bigint, 'people'::text) FROM (
                    SELECT session_id FROM activation_window
                    WHERE session_instance_id = ANY (touched)
                    AND opens_at < clock_timestamp() + interval '1 hour'
                    AND closes_at > clock_timestamp() - interval '1 hour'
                    UNION
                    SELECT session_id FROM session_instance i
                    WHERE session_instance_id = ANY (touched) AND date >= current_date - 3 AND NOT EXISTS (
                        SELECT FROM activation_window w WHERE w.session_instance_id = i.session_instance_id
                    )
                ) near;
            END IF;
            RETURN NULL;
        END;
    """,
    # Somebody else has written where a person is: the sessions of both instances put it right.
    "seisiun_pointer_written() RETURNS trigger": """
        PERFORM seisiun_request_about(written.session_id::bigint, 'people'::text) FROM (
            SELECT DISTINCT session_id FROM session_instance
            WHERE session_instance_id IN (OLD.active_session_instance_id, NEW.active_session_instance_id)
        ) written;
        RETURN NULL;
    """,
    # The argument is the name of the app's column that says whether a person is active.
    "seisiun_person_saved() RETURNS trigger": """
        BEGIN
            IF (to_jsonb(NEW) ->> TG_ARGV[0])::boolean IS FALSE THEN
                INSERT INTO deactivated_person (person_id) VALUES (NEW.person_id) ON CONFLICT DO NOTHING;
            ELSE
                DELETE FROM deactivated_person WHERE person_id = NEW.person_id;
            END IF;
            PERFORM seisiun_request_about(concerned.session_id::bigint, 'people'::text) FROM (
                SELECT session_id FROM active_instance
                WHERE session_instance_id = NEW.active_session_instance_id
                UNION
                SELECT w.session_id FROM session_instance_person said
                JOIN activation_window w USING (session_instance_id)
                WHERE said.person_id = NEW.person_id AND said.attendance = 'yes' AND w.phase <> 'over'
                AND w.opens_at < clock_timestamp() + interval '1 hour'
            ) concerned;
            RETURN NULL;
        END;
    """,
}
# PostgreSQL asks the condition before it calls the function: our own moves do not pay for it.
BY_HAND = (
    "AFTER UPDATE OF active_session_instance_id ON {table} FOR EACH ROW WHEN ("
    "OLD.active_session_instance_id IS DISTINCT FROM NEW.active_session_instance_id "
    "AND current_setting('seisiun.own_write', true) IS DISTINCT FROM 'on')"
)
TRIGGERS = (("person", "seisiun_pointer_written", BY_HAND, "seisiun_pointer_written"),)
NO_LONGER_CHECKED = ("active_buffer_minutes_before", "active_buffer_minutes_after")


def upgrade() -> None:
    """Add to tables of our own, and take two checks off the app's; a daemon of the previous release works on."""
    for table, definitions in OWN_TABLES.items():
        make_table(table, definitions)
    step(GRANTS)
    for table, columns in COLUMNS.items():
        for name, definition in columns.items():
            add_column(table, name, definition)
    for name, (table, definition) in CONSTRAINTS.items():
        add_constraint(table, name, definition)
    _drop_constraint("activation_log", "activation_log_cause_check")
    for name in NO_LONGER_CHECKED:
        _drop_constraint("session", f"session_{name}_check")
    make_functions(FUNCTIONS)
    make_triggers(TRIGGERS)


def _drop_constraint(table: str, name: str) -> None:
    """Drop a constraint if it is there: ALTER TABLE takes its lock even where there is nothing to drop."""
    if scalar(
        "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name", table=table, name=name
    ):
        step(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
