"""Adds when a session's last failed pass began, and what a daemon knows to be wrong with itself."""

from core.migrations.live import add_column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two columns to our own tables; a daemon of the previous release still works with them."""
    add_column("session_plan", "failed_at", "timestamptz")
    add_column("daemon_heartbeat", "trouble", "text")
