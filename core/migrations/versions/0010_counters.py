"""A daemon publishes with each heartbeat what it has counted from its start on."""

from core.migrations.live import add_column

revision = "0010"
down_revision = "0009"

COLUMNS = {"daemon_heartbeat": {"counters": "jsonb NOT NULL DEFAULT '{}'"}}


def upgrade() -> None:
    """Add the column; a daemon of an earlier release leaves it empty."""
    for table, added in COLUMNS.items():
        for name, definition in added.items():
            add_column(table, name, definition)
