"""Since when a session's passes fail, and what a daemon says is wrong with it."""

from core.migrations.live import add_column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two columns to tables of our own; a daemon of the release before goes on beside them."""
    add_column("session_plan", "failed_at", "timestamptz")
    add_column("daemon_heartbeat", "trouble", "text")
