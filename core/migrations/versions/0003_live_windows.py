"""Indexes of the windows by phase: what a pass reads does not grow with the past, nor with what else is planned."""

from core.migrations.live import add_index, step

revision = "0003"
down_revision = "0002"

INDEXES = {
    "activation_window_live_session": "(session_id) WHERE phase <> 'over'",
    "activation_window_live_instance": "(session_instance_id) WHERE phase <> 'over'",
    "activation_window_ahead_opens": "(opens_at) WHERE phase = 'ahead'",
    "activation_window_ahead_closes": "(closes_at) WHERE phase = 'ahead'",
    "activation_window_open_opens": "(opens_at) WHERE phase = 'open'",
    "activation_window_open_closes": "(closes_at) WHERE phase = 'open'",
    "activation_window_over_closes": "(closes_at) WHERE phase = 'over'",
}
REPLACED = ("activation_window_session", "activation_window_opens", "activation_window_closes")


def upgrade() -> None:
    """Make them, and drop those of all phases at once; a daemon of the release before is slower without them."""
    for name, definition in INDEXES.items():
        add_index(name, f"activation_window {definition}")
    for name in REPLACED:
        step(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
