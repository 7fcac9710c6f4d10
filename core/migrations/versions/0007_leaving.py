"""People leave (`left_at`), and a cancellation has a reason (`cancel_reason`): a column of ours on two tables."""

from core.migrations.live import add_column, add_index, columns, generated, make_functions, make_triggers

revision = "0007"
down_revision = "0006"

# A column of that name that an app has already is taken as it is, if its type is one of these.
APP_COLUMNS = {
    "session_instance_person": {"left_at": ("timestamptz", {"timestamp with time zone"})},
    "session_instance": {"cancel_reason": ("text", {"text", "character varying"})},
}
INDEXES = {"session_instance_person_left": "session_instance_person (person_id, left_at) WHERE left_at IS NOT NULL"}

FUNCTIONS = {
    # Request the session even if the instance is not active or has no window yet: another transaction may have written
    # the activation or the plan, and not committed it, while this check-in is written. Who leaves one instance leaves
    # all that are open then, so all that the person said yes to are touched. What was left longer ago than any window
    # lasts touches nothing, so that an import of the past stays quick.
    "seisiun_check_in_saved() RETURNS trigger": """
        DECLARE
            touched bigint[] := CASE TG_OP
                WHEN 'INSERT' THEN ARRAY[NEW.session_instance_id]
                WHEN 'DELETE' THEN ARRAY[OLD.session_instance_id]
                ELSE ARRAY[OLD.session_instance_id, NEW.session_instance_id]
            END;
        BEGIN
            IF current_setting('seisiun.own_write', true) IS DISTINCT FROM 'on' THEN
                IF greatest(OLD.left_at, NEW.left_at) > clock_timestamp() - interval '4 days' THEN
                    touched := touched || ARRAY(
                        SELECT session_instance_id::bigint FROM session_instance_person
                        WHERE person_id IN (OLD.person_id, NEW.person_id) AND attendance = 'yes'
                    );
                END IF;
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
    "seisiun_instance_restored() RETURNS trigger": """
        NEW.cancel_reason := NULL;
        RETURN NEW;
    """,
}
CHECK_IN_CHANGED = (
    "AFTER UPDATE OF session_instance_id, person_id, attendance, checked_in_at, left_at ON {table} FOR EACH ROW WHEN ("
    "(OLD.session_instance_id, OLD.person_id, OLD.attendance, OLD.checked_in_at, OLD.left_at) IS DISTINCT FROM "
    "(NEW.session_instance_id, NEW.person_id, NEW.attendance, NEW.checked_in_at, NEW.left_at))"
)
RESTORED = (
    "BEFORE UPDATE OF is_cancelled ON {table} FOR EACH ROW "
    "WHEN (OLD.is_cancelled IS TRUE AND NEW.is_cancelled IS NOT TRUE)"
)
TRIGGERS = (
    (
        "session_instance_person",
        "seisiun_check_in_updated",
        CHECK_IN_CHANGED,
        "seisiun_check_in_saved",
    ),
    (
        "session_instance",
        "seisiun_instance_restored",
        RESTORED,
        "seisiun_instance_restored",
    ),
)


def problems() -> list[str]:
    """Return what keeps the columns from being added: columns of the app's with these names that we cannot write."""
    unfit = [
        f"{table}.{name} is {found[name]}; accepted: {' or '.join(sorted(accepted))}"
        for table, added in APP_COLUMNS.items()
        for found in [columns(table)]
        for name, (_, accepted) in added.items()
        if found.get(name, "") not in {"", *accepted}
    ]
    return unfit + [problem for table, added in APP_COLUMNS.items() for problem in generated(table, added)]


def upgrade() -> None:
    """Add to two tables of the app's; a daemon of the previous release works on, but does not know who left."""
    for table, added in APP_COLUMNS.items():
        for name, (definition, _) in added.items():
            add_column(table, name, definition, mark=True)
    for name, definition in INDEXES.items():
        add_index(name, definition)
    make_functions(FUNCTIONS)
    make_triggers(TRIGGERS)
