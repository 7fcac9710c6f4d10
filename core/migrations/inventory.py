"""What there is of our schema, piece by piece and by name: what `migrate` adds is the difference of two inventories."""

from dataclasses import dataclass, fields

from sqlalchemy import Connection, text

from core.choices import DEACTIVATED_PEOPLE
from core.migrations import choices, steps
from core.migrations.damage import VERSION_TABLE
from core.migrations.definition import definition
from core.migrations.live import columns, function_name, has_index

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Inventory:
    """Names of pieces. `app_tables`: of the app's four; `columns`: on those, as `table.column`; `tables`: our own."""

    app_tables: frozenset[str] = NOTHING
    columns: frozenset[str] = NOTHING
    tables: frozenset[str] = NOTHING
    functions: frozenset[str] = NOTHING
    triggers: frozenset[str] = NOTHING
    indexes: frozenset[str] = NOTHING

    def __sub__(self, other: "Inventory") -> "Inventory":
        """Return what is in this one and not in the other."""
        return Inventory(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(self)))

    def __str__(self) -> str:
        """Return "5 columns, 9 tables, 11 triggers": what there is any of."""
        counted = [
            f"{len(names)} {kind if len(names) > 1 else _ONE.get(kind, kind[:-1])}"
            for kind in ("columns", "tables", "triggers", "functions", "indexes")
            if (names := getattr(self, kind))
        ]
        return ", ".join(counted) or "nothing"


_ONE = {"indexes": "index"}


def standing(connection: Connection) -> Inventory:
    """Return what stands of this release's schema; an index of the app's that serves as well counts as ours."""
    whole = definition()
    with steps(connection):
        there = {table: columns(table) for table in whole.app_tables}
        serving = {
            name
            for name, (table, leading, unique) in whole.indexes_unless_equal.items()
            if has_index(table, list(leading), unique=unique)
        }
    names = wanted(there)
    found: dict[str, set[str]] = {"table": set(), "function": set(), "trigger": set(), "index": set()}
    for kind, name in connection.execute(_BY_NAME, {"app": [*whole.app_tables]}):
        found[kind].add(name)
    return Inventory(
        app_tables=frozenset(table for table, its in there.items() if its),
        columns=frozenset(f"{table}.{name}" for table, its in there.items() for name in its) & names.columns,
        tables=names.tables & found["table"],
        functions=names.functions & found["function"],
        triggers=names.triggers & found["trigger"],
        indexes=names.indexes & found["index"] | serving,
    )


def missing(connection: Connection) -> Inventory:
    """Return what `migrate` would add here."""
    stands = standing(connection)
    with steps(connection):
        return wanted({table: columns(table) for table in definition().app_tables}) - stands


def wanted(there: dict[str, dict[str, str]]) -> Inventory:
    """Return what this release makes where the app's tables have these columns: name -> type."""
    whole = definition()
    follows = {DEACTIVATED_PEOPLE: "active"} if there["person"].get("active") == "boolean" else {}
    return Inventory(
        app_tables=frozenset(whole.app_tables),
        columns=frozenset(
            f"{table}.{name}"
            for table, its in whole.app_tables.items()
            for name, text_ in its.items()
            if "PRIMARY KEY" not in text_ or not there[table]
        ),
        tables=frozenset({*whole.tables, VERSION_TABLE}),
        functions=frozenset(map(function_name, whole.functions)),
        triggers=frozenset({*whole.triggers, *(trigger[1] for trigger in choices.triggers(follows))}),
        indexes=frozenset({*whole.indexes, *whole.indexes_unless_equal}),
    )


# The catalogue: SQLAlchemy Core has no tables for it.
_BY_NAME = text(
    """
    SELECT 'table', relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = current_schema() AND relkind = 'r'
    UNION ALL
    SELECT 'index', relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    JOIN pg_index ON indexrelid = c.oid WHERE nspname = current_schema() AND indisvalid
    UNION ALL
    SELECT 'function', proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname = current_schema() AND proname LIKE 'seisiun%'
    UNION ALL
    SELECT 'trigger', tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = current_schema() AND NOT tgisinternal
    """
)
