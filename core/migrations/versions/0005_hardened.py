"""Nobody but our triggers uses our functions; the mirror of the active bits is guarded by the bits themselves."""

from core.migrations.live import add_index, make_functions, make_triggers, step

revision = "0005"
down_revision = "0004"

INDEXES = {"session_instance_active": "session_instance (session_id) WHERE active"}
FUNCTIONS = {
    "seisiun_mirror_active() RETURNS trigger": """
        IF TG_OP = 'UPDATE' AND OLD.active THEN
            DELETE FROM active_instance
            WHERE session_instance_id IN (OLD.session_instance_id, NEW.session_instance_id);
        END IF;
        IF NEW.active THEN
            INSERT INTO active_instance (session_instance_id, session_id)
            VALUES (NEW.session_instance_id, NEW.session_id);
        END IF;
        RETURN NULL;
    """,
    # Ask the bits whether the write is right, and not who writes. Any trigger could pass for ours (a depth, a setting),
    # but a row that agrees with the bits does no harm from any writer. The foreign key's cascade is the one that
    # updates: the row follows its instance to another id.
    "seisiun_guard_mirror() RETURNS trigger": """
        DECLARE
            is_right boolean := true;
        BEGIN
            IF TG_OP <> 'INSERT' THEN
                is_right := NOT EXISTS (
                    SELECT FROM session_instance i WHERE i.session_instance_id = OLD.session_instance_id
                    AND i.session_id = OLD.session_id AND i.active
                );
            END IF;
            IF TG_OP <> 'DELETE' THEN
                is_right := is_right AND EXISTS (
                    SELECT FROM session_instance i WHERE i.session_instance_id = NEW.session_instance_id
                    AND i.session_id = NEW.session_id AND (i.active OR TG_OP = 'UPDATE')
                );
            END IF;
            IF NOT is_right THEN
                RAISE EXCEPTION 'active_instance mirrors session_instance.active; change that column instead';
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END;
    """,
}
TRIGGERS = (
    (
        "active_instance",
        "seisiun_guard_mirror",
        "BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW",
        "seisiun_guard_mirror",
    ),
)

# Roles that do a daemon's or a hook's work already go on doing it.
GRANTS = """
    DO $$ DECLARE worker text; BEGIN
        FOR worker IN
            SELECT DISTINCT quote_ident(grantee) FROM information_schema.role_table_grants
            WHERE table_schema = current_schema() AND table_name = 'plan_request' AND privilege_type = 'INSERT'
            AND grantee NOT IN ('PUBLIC', current_user)
        LOOP
            EXECUTE 'GRANT INSERT, DELETE ON active_instance TO ' || worker;
            EXECUTE 'GRANT UPDATE ON plan_request TO ' || worker;
            EXECUTE 'GRANT EXECUTE ON FUNCTION seisiun_request_about(bigint, text) TO ' || worker;
        END LOOP;
    END $$
"""


def upgrade() -> None:
    """Guard the mirror by the bits, and index them. What else is hardened `migrate` mends (`core.migrations.damage`).

    A daemon of the previous release works on.
    """
    make_functions(FUNCTIONS)
    make_triggers(TRIGGERS)
    for name, definition in INDEXES.items():
        add_index(name, definition)
    step(GRANTS)
