"""Indexes of the windows that are not over: what a look reads does not grow with a session's past, or a person's."""

from core.migrations.live import add_index, step

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make them, and drop the one that held the past too; a daemon of the release before is slower without it."""
    add_index("activation_window_live_session", "activation_window (session_id) WHERE phase <> 'over'")
    add_index("activation_window_live_instance", "activation_window (session_instance_id) WHERE phase <> 'over'")
    step("DROP INDEX CONCURRENTLY IF EXISTS activation_window_session")
