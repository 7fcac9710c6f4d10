"""What the operator's questions are answered with: sessions by name and path, flips by session and by daemon."""

from core.migrations.live import add_column, add_index, has_index

revision = "0012"
down_revision = "0011"

COLUMNS = {"activation_log": {"daemon": "text"}}
INDEXES = {
    # As `core.store.views.readings` folds a name.
    "session_name_folded": "session (lower(regexp_replace(name, '[[:punct:]]', '', 'g')) text_pattern_ops)",
    "activation_log_deleted": "activation_log (session_id, done_at) WHERE change = 'deleted'",
}
INDEXES_UNLESS_THE_APP_HAS_ONE = {"session_path": ("session", ("path",), False)}


def upgrade() -> None:
    """Add a column to the log of flips, and indexes; a daemon of an earlier release leaves the column empty."""
    for table, added in COLUMNS.items():
        for name, definition in added.items():
            add_column(table, name, definition)
    for name, definition in INDEXES.items():
        add_index(name, definition)
    for name, (table, leading, unique) in INDEXES_UNLESS_THE_APP_HAS_ONE.items():
        if not has_index(table, [*leading], unique=unique):
            add_index(name, f"{table} ({', '.join(leading)})", unique=unique)
