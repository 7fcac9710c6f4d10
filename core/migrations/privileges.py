"""Which privileges on our tables and the app's a role needs, and the statements that grant them."""

from sqlalchemy import Connection, text

from core.errors import UnknownRole

# For hooks and pages. UPDATE also serves the row locks: PostgreSQL asks for it even with FOR KEY SHARE.
APP = {
    "session": "SELECT, UPDATE",
    "session_instance": "SELECT, INSERT, UPDATE, DELETE",
    "person": "SELECT, UPDATE",
    "session_instance_person": "SELECT, INSERT, UPDATE, DELETE",
    "active_instance": "SELECT, INSERT, UPDATE, DELETE",
    "plan_request": "SELECT, INSERT, UPDATE, DELETE",
    "session_plan": "SELECT, INSERT, UPDATE",
    "planned_instance": "SELECT, INSERT, UPDATE, DELETE",
    "activation_window": "SELECT, INSERT, UPDATE, DELETE",
    "skipped_occurrence": "SELECT, INSERT, DELETE",
    "deactivated_person": "SELECT",
    "seisiun_choice": "SELECT",
    "daemon_heartbeat": "SELECT",
    "activation_log": "SELECT, INSERT",
    "seisiun_schema_version": "SELECT",
}
# For the daemon, the sweep and `status` besides: they beat and prune.
DAEMON = APP | {
    "session_instance_person": "SELECT",
    "daemon_heartbeat": "SELECT, INSERT, UPDATE, DELETE",
    "activation_log": "SELECT, INSERT, DELETE",
}
# The one function that we call by name; the others are called by triggers, for which nobody needs a privilege.
CALLED = "seisiun_request_about(bigint, text)"

_NAMES = text("SELECT quote_ident(rolname), quote_ident(current_schema()) FROM pg_roles WHERE rolname = :role")
# A serial column takes its number as the role that inserts; an identity column does not.
_SERIAL = text(
    """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
    WHERE c.relkind = 'S' AND d.deptype = 'a'
    AND d.refobjid IN (to_regclass('session_instance'), to_regclass('session_instance_person'))
    ORDER BY 1
    """
)


def grants(connection: Connection, role: str, *, daemon: bool = False) -> list[str]:
    """Return the statements that grant `role` what hooks and pages need; with `daemon`, what the daemon needs.

    Raises `UnknownRole`.
    """
    found = connection.execute(_NAMES, {"role": role}).one_or_none()
    if found is None:
        raise UnknownRole(f"there is no role {role!r} on this server")
    to, schema = found
    needed = DAEMON if daemon else APP
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {to};",
        *(f"GRANT {privileges} ON {schema}.{table} TO {to};" for table, privileges in needed.items()),
        *(f"GRANT USAGE ON SEQUENCE {sequence} TO {to};" for sequence in connection.scalars(_SERIAL)),
        f"GRANT EXECUTE ON FUNCTION {schema}.{CALLED} TO {to};",
    ]
