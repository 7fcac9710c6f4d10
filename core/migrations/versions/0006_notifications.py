"""A request says in which transaction it was written; nothing notifies into a full queue; new sessions skip nothing."""

from core.migrations.live import add_column, add_index, make_functions

revision = "0006"
down_revision = "0005"

COLUMNS = {"plan_request": {"xact_id": "xid8 NOT NULL DEFAULT pg_current_xact_id()"}}
INDEXES = {"plan_request_xact": "plan_request (xact_id)"}
# A commit that notifies fails while the server's notification queue is full: so the app's would, because of us. From
# nine tenths on the daemons ask for requests.
FUNCTIONS = {
    "seisiun_request_about(wanted bigint, subject text) RETURNS void": """
        INSERT INTO plan_request (session_id, about) VALUES (wanted, subject);
        PERFORM pg_notify('session_changed', '') WHERE pg_notification_queue_usage() < 0.9;
    """,
    # A session that was deleted, or truncated, may come back with the same id. What was deleted with it is to come too.
    "seisiun_session_saved() RETURNS trigger": """
        IF TG_OP = 'INSERT' THEN
            INSERT INTO session_plan (session_id) VALUES (NEW.session_id) ON CONFLICT DO NOTHING;
            DELETE FROM skipped_occurrence WHERE session_id = NEW.session_id;
        END IF;
        PERFORM seisiun_request(NEW.session_id::bigint);
        RETURN NULL;
    """,
}


def upgrade() -> None:
    """Add to a table of our own; a daemon of the previous release works on."""
    for table, columns in COLUMNS.items():
        for name, definition in columns.items():
            add_column(table, name, definition)
    for name, definition in INDEXES.items():
        add_index(name, definition)
    make_functions(FUNCTIONS)
