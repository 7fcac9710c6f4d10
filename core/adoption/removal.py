"""Takes everything of ours out of an app's database again; what people wrote stays.

Each step looks first what is there, so the next run continues one that was cut off, and `migrate` adopts again from any
state between.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

from core import choices
from core.adoption.catalogue import Function, functions
from core.adoption.findings import Row
from core.errors import RemovalRefused
from core.migrations import VERSION_TABLE, migrating, require_owner, steps
from core.migrations.definition import definition, definition_with
from core.migrations.live import MARK, SHORT_LOCK_TIMEOUT_MS, function_name, step
from core.store import heartbeats

ONLY_OURS: Final = (
    "session_instance.active",
    "person.active_session_instance_id",
    "session_instance_person.checked_in_at",
)
"""Columns in which people write nothing."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What would be taken, by name. `keeps`: what stays though we made it, and why.

    Triggers and columns as `table.name`, functions with their arguments.
    """

    triggers: tuple[str, ...]
    columns: tuple[str, ...]
    tables: tuple[str, ...]
    functions: tuple[str, ...]
    indexes: tuple[str, ...]
    keeps: tuple[Row, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is there."""
        return not (self.triggers or self.columns or self.tables or self.functions or self.indexes)


def removal(connection: Connection) -> Removal:
    """Return what of ours is there; it only reads.

    Only columns and indexes are taken that bear our mark, or a name that is ours alone. Of these a column stays where
    people have written something.
    """
    whole = definition_with(choices.read(connection))
    tables = [*whole.app_tables]
    found = connection.execute(_MARKED, {"mark": MARK, "tables": tables, "ours": [*ONLY_OURS[:2]]})
    marked: dict[str, list[str]] = {"column": [], "index": []}
    for kind, name in found:
        marked[kind].append(name)
    written = [name for name in marked["column"] if name not in ONLY_OURS and _is_written(connection, name)]
    own = {"tables": [VERSION_TABLE, *whole.tables]}
    return Removal(
        triggers=tuple(connection.scalars(_TRIGGERS, {"tables": [*tables, *whole.tables]})),
        columns=tuple(name for name in marked["column"] if name not in written),
        tables=tuple(connection.scalars(_TABLES, own)),
        functions=tuple(connection.scalars(_FUNCTIONS, {"names": [*map(function_name, whole.functions)]})),
        indexes=tuple(marked["index"]),
        keeps=(*(Row(name, "people have written in it") for name in written), *_evenings(connection)),
    )


def _is_written(connection: Connection, name: str) -> bool:
    """Return whether a column holds something that is not its default. It is one of ours: no name needs quoting."""
    table, _, column = name.partition(".")
    default = definition().app_tables[table][column].partition(" DEFAULT ")[2] or "NULL"
    default = default if default in {"60", "false"} else "NULL"
    statement = f"SELECT EXISTS (SELECT FROM {table} WHERE {column} IS DISTINCT FROM {default})"  # noqa: S608 -- our names
    return bool(connection.scalar(text(statement)))


def _evenings(connection: Connection) -> Iterator[Row]:
    if connection.scalar(text("SELECT to_regclass('planned_instance')")) is None:
        return
    made = connection.scalar(text("SELECT count(*) FROM planned_instance WHERE written IS NOT NULL"))
    if made:
        yield Row("session_instance", f"evenings that the planner made, and that are rows of yours now: {made}")


# The catalogue: SQLAlchemy Core has no tables for it.
_MARKED = text(
    """
    SELECT 'column', name || '.' || attname FROM unnest(CAST(:tables AS text[])) name
    JOIN pg_attribute ON attrelid = to_regclass(name) AND attnum > 0 AND NOT attisdropped
    WHERE col_description(attrelid, attnum) = :mark OR name || '.' || attname = ANY (CAST(:ours AS text[]))
    UNION ALL
    SELECT 'index', c.relname FROM unnest(CAST(:tables AS text[])) name
    JOIN pg_index ON indrelid = to_regclass(name) JOIN pg_class c ON c.oid = indexrelid
    WHERE obj_description(c.oid, 'pg_class') = :mark
    ORDER BY 1, 2
    """
)
_TRIGGERS = text(
    """
    SELECT name || '.' || tgname FROM unnest(CAST(:tables AS text[])) name
    JOIN pg_trigger ON tgrelid = to_regclass(name) JOIN pg_proc p ON p.oid = tgfoid
    WHERE NOT tgisinternal AND p.proname LIKE 'seisiun%' ORDER BY 1
    """
)
_TABLES = text("SELECT name FROM unnest(CAST(:tables AS text[])) name WHERE to_regclass(name) IS NOT NULL")
_FUNCTIONS = text(
    """
    SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname = current_schema() AND proname = ANY (CAST(:names AS text[])) ORDER BY 1
    """
)


def hindrances(connection: Connection, found: Removal, alive_within: timedelta) -> list[str]:
    """Return why nothing may be taken now; a daemon is alive if its last beat is younger than `alive_within`."""
    mirrors = ", ".join(choices.mirrored(choices.read(connection)).values())
    alive = heartbeats.heartbeats(connection) if "daemon_heartbeat" in found.tables else []
    return [
        *[f"{mirrors} are kept equal to our columns: run `adopt --drop-mirror` first"] * bool(mirrors),
        *(
            f"the daemon {one.host}:{one.pid} is alive: stop it first"
            for one in alive
            if abs(one.beat_age) < alive_within
        ),
        *(f"{what} depends on {name}: drop or change it first" for what, name in _dependents(connection, found)),
        *(f"{what} names {name}: drop or change it first" for what, name in _readers(connection, found)),
    ]


def _dependents(connection: Connection, found: Removal) -> list[tuple[str, str]]:
    """Return what of the app's depends on what would be taken, each with what it depends on: DROP would fail."""
    ours = {"columns": [*found.columns], "tables": [*found.tables], "functions": [*found.functions]}
    return [(what, name) for what, name in connection.execute(_DEPENDENTS, ours)]


# What depends automatically ('a', 'i') goes with ours: indexes and constraints of the column, rows' types.
_DEPENDENTS = text(
    """
    WITH ours AS (
        SELECT 'pg_class'::regclass AS kind, attrelid AS oid, attnum::int AS part, name
        FROM unnest(CAST(:columns AS text[])) name JOIN pg_attribute
        ON attrelid = to_regclass(split_part(name, '.', 1)) AND attname = split_part(name, '.', 2)
        UNION ALL
        SELECT 'pg_class'::regclass, c.oid, 0, name
        FROM unnest(CAST(:tables AS text[])) name JOIN pg_class c ON c.oid = to_regclass(name)
        UNION ALL
        SELECT 'pg_type'::regclass, reltype, 0, name
        FROM unnest(CAST(:tables AS text[])) name JOIN pg_class c ON c.oid = to_regclass(name)
        UNION ALL
        SELECT 'pg_proc'::regclass, to_regprocedure(name), 0, name FROM unnest(CAST(:functions AS text[])) name
    )
    SELECT coalesce('view ' || ev_class::regclass, pg_describe_object(d.classid, d.objid, d.objsubid)) AS what,
        min(ours.name)
    FROM ours JOIN pg_depend d ON (refclassid, refobjid) = (kind, ours.oid) AND part IN (0, refobjsubid)
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
    LEFT JOIN pg_proc p ON p.oid = tgfoid
    WHERE tgisinternal IS NOT TRUE AND coalesce(p.proname, '') NOT LIKE 'seisiun%'
    GROUP BY what HAVING bool_and(deptype = 'n') ORDER BY what
    """
)


def _readers(connection: Connection, found: Removal) -> Iterator[tuple[str, str]]:
    """Yield the app's functions whose source reads what would be taken, each with that: DROP passes, and they fail.

    A word of a source is a column of ours where the source also names its table, and no other with such a column.
    """
    of_others: dict[str, set[str]] = {}
    names = {column: column.partition(".")[2] for column in found.columns}
    for table, name in connection.execute(_OTHER_TABLES, {"columns": [*names], "names": [*names.values()]}):
        of_others.setdefault(name, set()).add(table)
    for function in functions(connection):
        read = [column for column, name in names.items() if _reads(function, column, of_others.get(name, set()))]
        read += [table for table in found.tables if function.names(table)]
        if read:
            yield f"function {function.name}", ", ".join(read)


def _reads(function: Function, column: str, others: set[str]) -> bool:
    table, _, name = column.partition(".")
    if table in function.tables and name in function.of_row():
        return True
    return function.names(name) and function.names(table) and not any(map(function.names, others))


_OTHER_TABLES = text(
    """
    SELECT DISTINCT relname, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE attname = ANY (CAST(:names AS text[])) AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f')
    AND nspname NOT IN ('pg_catalog', 'information_schema')
    AND relname || '.' || attname <> ALL (CAST(:columns AS text[]))
    """
)


def remove(url: str, alive_within: timedelta) -> Removal:
    """Take everything of ours; return what was taken. Raises `RemovalRefused` and takes nothing.

    1. The version table first: from then on `migrate` would look at each piece again.
    2. The triggers: from then on the app's writes are its own again. Those of our tables too, because a deletion of the
       app's cascades to their rows.
    3. The columns and our tables, then what nothing uses any more.
    """
    with migrating(url) as connection:
        require_owner(connection)
        found = removal(connection)
        if why_not := hindrances(connection, found, alive_within):
            raise RemovalRefused("nothing was taken: " + "; ".join(why_not))
        with steps(connection):
            for statement in _statements(found):
                step(statement, lock_timeout_ms=SHORT_LOCK_TIMEOUT_MS)
    return found


def _statements(found: Removal) -> Iterator[str]:
    yield f"DROP TABLE IF EXISTS {VERSION_TABLE}"
    for name in found.triggers:
        table, _, trigger = name.partition(".")
        yield f"DROP TRIGGER IF EXISTS {trigger} ON {table}"
    for name in found.columns:
        table, _, column = name.partition(".")
        yield f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}"
    for table in found.tables:
        yield f"DROP TABLE IF EXISTS {table}"
    for function in found.functions:
        yield f"DROP FUNCTION IF EXISTS {function}"
    for index in found.indexes:
        yield f"DROP INDEX CONCURRENTLY IF EXISTS {index}"
