"""Adds when a session's last failed pass began, and what a daemon knows to be wrong with itself."""

from core.migrations.live import add_column

revision = "0002"
down_revision = "0001"

COLUMNS = {"session_plan": {"failed_at": "timestamptz"}, "daemon_heartbeat": {"trouble": "text"}}


def upgrade() -> None:
    """Add two columns to our own tables; a daemon of the previous release still works with them."""
    for table, columns in COLUMNS.items():
        for name, definition in columns.items():
            add_column(table, name, definition)
