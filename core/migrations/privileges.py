"""Which privileges on our tables and the app's a role needs, and the statements that grant them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, ScalarResult, text

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
# For the daemon, the sweep and `status` besides: they beat, prune, and put right in the log when a late edge was done.
DAEMON = APP | {
    "session_instance_person": "SELECT",
    "daemon_heartbeat": "SELECT, INSERT, UPDATE, DELETE",
    "activation_log": "SELECT, INSERT, UPDATE, DELETE",
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
    AND d.refobjid IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) name)
    ORDER BY 1
    """
)


def grants(connection: Connection, role: str, *, daemon: bool = False) -> list[str]:
    """Return the statements that grant `role` what hooks and pages need; with `daemon`, what the daemon needs.

    The daemon is also granted what triggers of the app's write when it writes, as far as their source tells. Raises
    `UnknownRole`.
    """
    found = connection.execute(_NAMES, {"role": role}).one_or_none()
    if found is None:
        raise UnknownRole(f"there is no role {role!r} on this server")
    to, schema = found
    needed = DAEMON if daemon else APP
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {to};",
        *(f"GRANT {privileges} ON {schema}.{table} TO {to};" for table, privileges in needed.items()),
        *(
            f"GRANT USAGE ON SEQUENCE {sequence} TO {to};"
            for sequence in _sequences(connection, "session_instance", "session_instance_person")
        ),
        f"GRANT EXECUTE ON FUNCTION {schema}.{CALLED} TO {to};",
        *(_grants_for_triggers(connection, to, schema) if daemon else ()),
    ]


def _sequences(connection: Connection, *tables: str) -> ScalarResult[str]:
    return connection.scalars(_SERIAL, {"tables": [*tables]})


# What the app's triggers write


@dataclass(frozen=True, slots=True)
class AppTrigger:
    """A trigger of the app's that fires when a pass writes, and runs with the rights of the pass's role.

    `uses`: the tables that its function's source names, with the schema -> the privileges that these uses need.
    """

    table: str
    name: str
    uses: dict[str, set[str]]


def app_triggers(connection: Connection) -> list[AppTrigger]:
    """Return the triggers of the app's that a daemon's own role must be able to run."""
    return [
        AppTrigger(table, name, _uses(connection, source)) for table, name, source in connection.execute(_APP_TRIGGERS)
    ]


def _uses(connection: Connection, source: str) -> dict[str, set[str]]:
    """Return what a function's source says that it uses; what it calls, or builds from text, cannot be seen."""
    used: dict[str, set[str]] = {}
    for verb, name in _USED.findall(source):
        if table := connection.scalar(_TABLE, {"name": name}):
            used.setdefault(table, set()).update(_NEEDED[" ".join(verb.upper().split())])
            if "on conflict" in source.lower():
                used[table].update({"SELECT", "UPDATE"})
    return used


_USED = re.compile(
    r"""\b(insert\s+into|update|delete\s+from|from|join)\s+(?:only\s+)?((?:\w+|"[^"]+")(?:\.(?:\w+|"[^"]+"))?)""",
    re.IGNORECASE,
)
_NEEDED = {
    "INSERT INTO": {"INSERT"},
    "UPDATE": {"SELECT", "UPDATE"},
    "DELETE FROM": {"SELECT", "DELETE"},
    "FROM": {"SELECT"},
    "JOIN": {"SELECT"},
}
_TABLE = text(
    """
    SELECT quote_ident(nspname) || '.' || quote_ident(relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE c.oid = to_regclass(:name) AND relkind IN ('r', 'p', 'v', 'f')
    AND nspname NOT IN ('pg_catalog', 'information_schema')
    """
)
# A pass inserts, updates and deletes instances, and updates people. 28 are the bits of these three in tgtype, 16 that
# of an UPDATE. A function that is SECURITY DEFINER needs nothing of our role.
_APP_TRIGGERS = text(
    """
    SELECT c.relname, tgname, prosrc FROM pg_trigger t
    JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
    WHERE (tgrelid = to_regclass('session_instance') AND tgtype & 28 <> 0
        OR tgrelid = to_regclass('person') AND tgtype & 16 <> 0)
    AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND p.proname NOT LIKE 'seisiun%' AND NOT prosecdef
    ORDER BY 1, 2
    """
)


def _grants_for_triggers(connection: Connection, to: str, schema: str) -> Iterator[str]:
    found = app_triggers(connection)
    for table in sorted({table for each in found for table in each.uses}):
        users = [each for each in found if table in each.uses]
        privileges = sorted(set().union(*(each.uses[table] for each in users)), key=_ORDER.index)
        why = " ".join(", ".join(f"{each.table}.{each.name}" for each in users).split())  # a name may have line breaks
        if (other := table.partition(".")[0]) != schema:
            yield f"GRANT USAGE ON SCHEMA {other} TO {to};"
        yield f"GRANT {', '.join(privileges)} ON {table} TO {to}; -- for your trigger {why}"
        if "INSERT" in privileges:
            yield from (f"GRANT USAGE ON SEQUENCE {sequence} TO {to};" for sequence in _sequences(connection, table))


_ORDER = ("SELECT", "INSERT", "UPDATE", "DELETE")
