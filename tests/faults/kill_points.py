"""Named points inside a daemon's transactions at which it can be killed: before and after each write, and at COMMIT.

Triggers, armed by a row. At an armed point the backend sleeps for a moment, which `pg_stat_activity` shows; it goes on
when its client is dead, as it would anyway: what was killed at COMMIT is committed, all else is rolled back.
"""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute, value
from tests.faults.server import ROLE

PAUSE_SECONDS = 0.3
TABLES = (
    "session_instance",
    "active_instance",
    "person",
    "activation_log",
    "activation_window",
    "plan_request",
    "session_plan",
    "planned_instance",
    "daemon_heartbeat",
)
COMMITS = ("session_instance", "activation_window", "plan_request")
MOMENTS = ("before", "after")
POINTS = (
    *(f"{moment} {table}" for table in TABLES for moment in MOMENTS),
    *(f"commit {table}" for table in COMMITS),
)
PLANNED_INSTANCE = "planned_instance"  # written only where there is a recurrence

FUNCTION = f"""
    CREATE FUNCTION pause_at_kill_point() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
    AS $$ BEGIN
        IF session_user = '{ROLE}' AND EXISTS (SELECT FROM kill_point WHERE name = TG_ARGV[0]) THEN
            PERFORM pg_sleep({PAUSE_SECONDS});
        END IF;
        RETURN NULL;
    END $$
"""


def install(admin: Connection) -> None:
    execute(admin, "CREATE TABLE kill_point (name text NOT NULL)")
    execute(admin, FUNCTION)
    for table in TABLES:
        for moment in MOMENTS:
            execute(
                admin,
                f"CREATE TRIGGER kill_{moment} {moment} INSERT OR UPDATE OR DELETE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION pause_at_kill_point('{moment} {table}')",
            )
    for table in COMMITS:
        execute(
            admin,
            f"CREATE CONSTRAINT TRIGGER kill_commit AFTER INSERT OR UPDATE OR DELETE ON {table} "
            f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pause_at_kill_point('commit {table}')",
        )


def arm(admin: Connection, point: str) -> None:
    assert point in POINTS
    execute(admin, "INSERT INTO kill_point VALUES (%s)", point)


def disarm(admin: Connection) -> None:
    execute(admin, "DELETE FROM kill_point")


def arrived(admin: Connection) -> int | None:
    """Return the port, as the server sees it, of a daemon's connection that is at the armed point now."""
    port: int | None = value(
        admin,
        "SELECT client_port FROM pg_stat_activity WHERE usename = %s AND wait_event = 'PgSleep' LIMIT 1",
        ROLE,
    )
    return port
