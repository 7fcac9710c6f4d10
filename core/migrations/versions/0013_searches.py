"""Sessions are found by their town."""

from core.migrations.live import add_index

revision = "0013"
down_revision = "0012"

# The same expressions as in the queries of `core.store.views`: PostgreSQL uses no index for others.
_CITY, _COUNTRY, _STATE = (f"lower(btrim(coalesce({name}, ''))) COLLATE \"C\"" for name in ("city", "country", "state"))
INDEXES = {"session_town": f"session ({_CITY}, {_COUNTRY}, {_STATE})"}


def upgrade() -> None:
    """Add the index without blocking writers; a daemon of an earlier release does not notice."""
    for name, definition in INDEXES.items():
        add_index(name, definition)
