"""A database emptied, for the next example or the next test: a fraction of what making one costs."""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute

TABLES = (
    "person",
    "session",
    "session_instance",
    "session_instance_person",
    "active_instance",
    "activation_log",
    "activation_window",
    "daemon_heartbeat",
    "deactivated_person",
    "plan_request",
    "planned_instance",
    "session_plan",
    "skipped_occurrence",
)
_EMPTY = "; ".join(
    [
        "SET session_replication_role = replica",  # no trigger, no foreign key: everything goes
        *(f"DELETE FROM {table}" for table in TABLES),
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
        "SET session_replication_role = DEFAULT",
    ]
)


def empty(app: Connection) -> None:
    """Delete every row, and count ids from one again."""
    execute(app, _EMPTY)
