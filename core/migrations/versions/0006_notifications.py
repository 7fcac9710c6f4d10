"""A request says in which transaction it was written, for daemons that poll."""

from core.migrations.live import add_column, add_index

revision = "0006"
down_revision = "0005"

COLUMNS = {"plan_request": {"xact_id": "xid8 NOT NULL DEFAULT pg_current_xact_id()"}}
INDEXES = {"plan_request_xact": "plan_request (xact_id)"}


def upgrade() -> None:
    """Add to a table of our own; a daemon of the previous release works on."""
    for table, columns in COLUMNS.items():
        for name, definition in columns.items():
            add_column(table, name, definition)
    for name, definition in INDEXES.items():
        add_index(name, definition)
