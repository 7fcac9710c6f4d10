"""What the server's catalogue says about the app's tables. Raw SQL: SQLAlchemy Core has no tables for the catalogue."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from core.adoption.findings import Finding, Row, found
from core.migrations import OLDEST_SERVER
from core.migrations.definition import definition
from core.migrations.inventory import Inventory
from core.migrations.live import LOCK_TIMEOUT_MS
from core.migrations.privileges import APP, app_triggers
from core.store.views import reports

SCANNED_MB_A_SECOND = 50  # a slow disk
LONG_TRANSACTION = timedelta(seconds=1)  # longer than a step waits for a lock

Columns = Mapping[str, Mapping[str, str]]
"""The app's tables: their columns with the types, as the catalogue names them."""


@dataclass(frozen=True, slots=True)
class Server:
    """Which database we speak to, and as which role. `address` is None where the connection is a local socket."""

    database: str
    role: str
    address: str | None
    port: int | None
    version: str
    schema: str | None
    is_standby: bool
    is_read_only: bool


def server(connection: Connection) -> Server:
    """Return which database we speak to."""
    return Server(*connection.execute(_SERVER).one())


# Our own session is read-only, so ask what a new one would be.
_SERVER = text(
    """
    SELECT current_database(), current_user, host(inet_server_addr()), inet_server_port(),
        current_setting('server_version'), current_schema(), pg_is_in_recovery(),
        (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only')
    """
)


def unfit_server(server: Server) -> list[str]:
    """Return what is in the way with this server."""
    problems = []
    if int(server.version.partition(".")[0]) < OLDEST_SERVER:
        problems.append(f"the server is PostgreSQL {server.version}; {OLDEST_SERVER} or newer is needed")
    if server.is_standby:
        problems.append("the server is a standby: connect to the primary")
    elif server.is_read_only:
        problems.append("the database, or the role, is read-only (default_transaction_read_only)")
    return problems


def tables(connection: Connection, names: Iterable[str]) -> dict[str, Row]:
    """Return each of these tables that exists, with its size."""
    found_ = connection.execute(_TABLES, {"names": [*names]})
    return {name: Row(name, f"{_rows(rows)}, {size / 1e6:,.1f} MB") for name, rows, size in found_}


def tables_there(connection: Connection) -> list[str]:
    """Return the names of all tables in the schema where ours would be."""
    return list(connection.scalars(_TABLES_THERE))


_TABLES_THERE = text(
    """
    SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
    AND relkind IN ('r', 'p') ORDER BY 1
    """
)


def _rows(estimate: int) -> str:
    return "never analysed" if estimate < 0 else f"about {estimate:,} rows"


_TABLES = text(
    """
    SELECT name, CAST(reltuples AS bigint), pg_table_size(c.oid)
    FROM unnest(CAST(:names AS text[])) WITH ORDINALITY n(name, number)
    JOIN pg_class c ON c.oid = to_regclass(name) ORDER BY number
    """
)


def empty_columns(connection: Connection, columns: Columns) -> list[Finding]:
    """Find the columns of `session_instance` that the planner would leave empty, though they must not be."""
    if not columns["session_instance"]:
        return []
    rows = [
        Row(f"session_instance.{name}", "NOT NULL, no default") for name in reports.columns_without_value(connection)
    ]
    return found(
        "empty_columns",
        "columns of session_instance that must not be empty and have no default",
        rows,
        "The planner makes no rows that leave them empty: give each a default, or fill it in a BEFORE INSERT trigger "
        "(one whose source names the column ends this note)",
    )


def triggers(connection: Connection) -> list[Finding]:
    """Find the app's triggers that each flip fires, and each move of a person."""
    used = {(each.table, each.name): each.uses for each in app_triggers(connection)}
    rows = [
        Row(f"{table}.{name}", f"calls {call}" + _uses(used.get((table, name))))
        for table, name, call in connection.execute(_TRIGGERS)
    ]
    return found(
        "triggers",
        "triggers of yours that each flip fires, or each move of a person",
        rows,
        "What they write looks like an edit: a view of recent activity says that the row was modified. They run as the "
        "role that writes: to a daemon's own role `python -m seisiun grants ROLE --daemon` grants what their source "
        "names",
    )


def _uses(tables: Iterable[str] | None) -> str:
    return f", which uses {', '.join(sorted(tables))}" if tables else ""


# 16 is an UPDATE's bit in tgtype; a trigger with a list of columns fires only where one of them is written.
_TRIGGERS = text(
    """
    SELECT c.relname, tgname, p.proname FROM pg_trigger t
    JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
    WHERE tgrelid IN (to_regclass('session_instance'), to_regclass('person')) AND NOT tgisinternal
    AND tgenabled IN ('O', 'A') AND tgtype & 16 <> 0 AND p.proname NOT LIKE 'seisiun%'
    AND (tgattr = ''::int2vector OR EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = tgrelid AND a.attnum = ANY (tgattr::int2[])
        AND a.attname IN ('active', 'active_session_instance_id')
    ))
    ORDER BY 1, 2
    """
)


def roles(connection: Connection) -> list[Finding]:
    """Find the roles that write the app's rows without being their owner, and lack grants that hooks and pages need."""
    needed = [(table, one) for table in definition().tables for one in APP.get(table, "SELECT").split(", ")]
    asked = {"tables": [table for table, _ in needed], "needed": [one for _, one in needed]}
    return found(
        "roles",
        "roles that write session_instance, do not own it, and lack grants on our tables",
        [Row(role, "not the owner") for role in connection.scalars(_ROLES, asked)],
        "Their own saves go on without a grant; for hooks and pages run `python -m seisiun grants ROLE`",
    )


_ROLES = text(
    """
    SELECT rolname FROM pg_roles r JOIN pg_class c ON c.oid = to_regclass('session_instance')
    WHERE rolcanlogin AND NOT rolsuper AND NOT pg_has_role(r.oid, c.relowner, 'USAGE')
    AND has_table_privilege(r.oid, c.oid, 'UPDATE') AND EXISTS (
        SELECT FROM unnest(CAST(:tables AS text[]), CAST(:needed AS text[])) n(name, privilege)
        WHERE has_table_privilege(r.oid, to_regclass(name), privilege) IS NOT TRUE
    ) ORDER BY 1
    """
)


def locks(connection: Connection, added: Inventory, names: Iterable[str]) -> list[Finding]:
    """Say how long each lock on the app's tables is expected to take, and who would hold it up now."""
    rows = [
        Row(name, _lock(added, name, size / 1e6))
        for name, _, size in connection.execute(_TABLES, {"names": [*names]})
        if _is_changed(added, name)
    ]
    expected = found(
        "locks",
        "tables of yours that are changed",
        rows,
        f"A step waits at most {LOCK_TIMEOUT_MS / 1000:g} s for its lock, so your app waits no longer than that behind "
        "it; then the step is tried again, for two minutes",
    )
    held = connection.execute(_HOLDERS, {"names": [*names], "longer_than": LONG_TRANSACTION})
    return expected + found(
        "holders",
        "transactions that hold your tables for long",
        [
            Row(f"pid {pid}", f"{program}, {state}, open for {since.total_seconds():.0f} s")
            for pid, program, state, since in held
        ],
        "`migrate` waits for them",
    )


def _is_changed(added: Inventory, table: str) -> bool:
    return any(name.startswith(f"{table}.") for name in added.columns) or bool(added.triggers)


def _lock(added: Inventory, table: str, megabytes: float) -> str:
    columns = sum(name.startswith(f"{table}.") for name in added.columns)
    added_first = f"columns: {columns} (ACCESS EXCLUSIVE, milliseconds each: nothing is rewritten), then " * bool(
        columns
    )
    reading = megabytes / SCANNED_MB_A_SECOND
    return (
        f"{added_first}triggers (SHARE ROW EXCLUSIVE, milliseconds each). Indexes and checks read the table beside "
        f"your app, about {reading:.1f} s each"
    )


_HOLDERS = text(
    """
    SELECT DISTINCT a.pid, coalesce(nullif(application_name, ''), 'unnamed'), coalesce(state, 'unknown'),
        clock_timestamp() - xact_start
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    JOIN unnest(CAST(:names AS text[])) n(name) ON l.relation = to_regclass(name)
    WHERE l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - CAST(:longer_than AS interval)
    """
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the app's, by its source: PostgreSQL does not look into it where a column is renamed or dropped.

    `tables`: those of the app's four whose triggers call it.
    """

    name: str
    source: str
    tables: frozenset[str]

    def names(self, word: str) -> bool:
        """Return whether the source has this word."""
        return re.search(rf"(?<![\w$]){re.escape(word)}(?![\w$])", self.source, re.IGNORECASE) is not None

    def of_row(self) -> dict[str, str]:
        """Return the columns of the row that fires it: name -> as the source says it, `OLD.name`."""
        found = _OF_ROW.findall(self.source)
        return {quoted or plain.lower(): f"{row.upper()}.{quoted or plain}" for row, quoted, plain in found}


_OF_ROW = re.compile(r"""(?<![\w$."])(new|old)\.(?:"([^"]+)"|([^\W\d][\w$]*))""", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def functions(connection: Connection) -> list[Function]:
    """Return the app's functions whose source can be read, without its comments."""
    found = connection.execute(_FUNCTIONS, {"tables": [*definition().app_tables]})
    return [Function(name, _COMMENT.sub(" ", source), frozenset(tables)) for name, source, tables in found]


# A function of an extension is not the app's. One with BEGIN ATOMIC has no source: PostgreSQL knows what it reads.
_FUNCTIONS = text(
    """
    SELECT proname, prosrc, ARRAY(
        SELECT name FROM unnest(CAST(:tables AS text[])) name JOIN pg_trigger ON tgrelid = to_regclass(name)
        WHERE tgfoid = p.oid AND tgenabled <> 'D'
    )
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_language l ON l.oid = prolang
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND lanname NOT IN ('internal', 'c')
    AND proname NOT LIKE 'seisiun%' AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
    ) ORDER BY 1, p.oid
    """
)


def broken_functions(connection: Connection, columns: Columns) -> list[Finding]:
    """Find the app's trigger functions that read a column of the fired row which the table does not have."""
    rows = [
        Row(f"function {function.name}", f"{', '.join(missing)}; a trigger of {table} calls it")
        for function in functions(connection)
        for table in sorted(function.tables)
        if (missing := [said for name, said in function.of_row().items() if name not in {*columns[table], *_SYSTEM}])
    ]
    return found(
        "broken_functions",
        "trigger functions of yours that name a column which the table does not have",
        rows,
        "The next write fails, whoever writes: a function does not follow a column that is renamed. Replace it (only a "
        "branch that serves another table may name such a column)",
    )


_SYSTEM = ("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax")


def readers(connection: Connection, table: str, column: str) -> list[str]:
    """Return the views that read a column of the app's, and the functions whose source names it."""
    views = connection.scalars(_VIEWS, {"table": table, "column": column})
    named = (function.name for function in functions(connection) if function.names(column))
    return [*(f"view {name}" for name in views), *(f"function {name}" for name in named)]


_VIEWS = text(
    """
    SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.refobjid = to_regclass(:table) AND attname = :column ORDER BY 1
    """
)


def triggers_of(connection: Connection, table: str, column: str) -> list[str]:
    """Return the app's triggers that fire when this column is written, and not when another is."""
    return list(connection.scalars(_TRIGGERS_OF, {"table": table, "column": column}))


_TRIGGERS_OF = text(
    """
    SELECT tgname FROM pg_trigger JOIN pg_attribute a ON a.attrelid = tgrelid AND a.attnum = ANY (tgattr::int2[])
    WHERE tgrelid = to_regclass(:table) AND attname = :column AND NOT tgisinternal AND tgname NOT LIKE '%seisiun%'
    ORDER BY 1
    """
)
