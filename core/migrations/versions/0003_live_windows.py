"""Indexes the windows by phase, so that the rows a pass reads do not grow with the past or with other plans."""

from core.migrations.live import add_index, step

revision = "0003"
down_revision = "0002"

INDEXES = {
    "activation_window_live_session": "activation_window (session_id) WHERE phase <> 'over'",
    "activation_window_live_instance": "activation_window (session_instance_id) WHERE phase <> 'over'",
    "activation_window_ahead_opens": "activation_window (opens_at) WHERE phase = 'ahead'",
    "activation_window_ahead_closes": "activation_window (closes_at) WHERE phase = 'ahead'",
    "activation_window_open_opens": "activation_window (opens_at) WHERE phase = 'open'",
    "activation_window_open_closes": "activation_window (closes_at) WHERE phase = 'open'",
    "activation_window_over_closes": "activation_window (closes_at) WHERE phase = 'over'",
}
REPLACED = ("activation_window_session", "activation_window_opens", "activation_window_closes")


def upgrade() -> None:
    """Make these indexes, and drop the old ones over all phases; a daemon of the previous release then is slower."""
    for name, definition in INDEXES.items():
        add_index(name, definition)
    for name in REPLACED:
        step(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
