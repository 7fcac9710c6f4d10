"""A daemon that ends keeps its row for a day, and says there why it ended."""

from core.migrations.live import add_column

revision = "0009"
down_revision = "0008"

COLUMNS = {"daemon_heartbeat": {"ended": "text"}}


def upgrade() -> None:
    """Add the column; a daemon of the previous release deletes its row at its end, as before."""
    for table, added in COLUMNS.items():
        for name, definition in added.items():
            add_column(table, name, definition)
