"""What is missing of the schema, or was changed by hand: found by one query on the catalogue, and mended.

The revisions say what should be there (`core.migrations.definition`), and the same steps that made a piece mend it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection, text

from core import choices
from core.migrations.definition import Definition, definition_with
from core.migrations.live import (
    Trigger,
    add_constraint,
    add_index,
    function_name,
    function_source,
    make_functions,
    make_table,
    make_triggers,
    step,
)
from core.migrations.privileges import DAEMON

VERSION_TABLE: Final = "seisiun_schema_version"  # not Alembic's default name, because the app may use Alembic too

Row = tuple[str, str, str, tuple[str, ...]]
Facts = dict[tuple[str, str], tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as this release makes it: `what`, in words, and the step that mends it.

    `hides_edits`: what somebody saved meanwhile may have requested nothing.
    """

    what: str
    mend: Callable[[], None]
    hides_edits: bool = False


def damage(connection: Connection) -> list[Damage]:
    """Return what is missing, disabled, changed, revoked or open to everybody, the tables first."""
    wanted = definition_with(choices.read(connection))
    own = [*wanted.tables, VERSION_TABLE]
    needed = [(table, one) for table, several in DAEMON.items() for one in several.split(", ")]
    found = connection.execute(
        _CATALOGUE,
        {
            "own": own,
            "tables": [*wanted.app_tables, *own],
            "functions": [signature.partition(" RETURNS ")[0] for signature in wanted.functions],
            "names": [function_name(signature) for signature in wanted.functions],
            "needed_tables": [table for table, _ in needed],
            "needed": [one for _, one in needed],
        },
    )
    rows: list[Row] = [(kind, relation, name, tuple(facts)) for kind, relation, name, facts in found]
    return [*_damage(wanted, rows), *_restored(connection, rows)]


def _damage(wanted: Definition, rows: Sequence[Row]) -> Iterator[Damage]:
    facts: Facts = {(kind, name): (relation, values) for kind, relation, name, values in rows}
    yield from _tables(wanted, rows)
    yield from _constraints(wanted, facts)
    yield from _indexes(wanted, rows)
    yield from _functions(wanted, facts)
    yield from _triggers([*wanted.triggers.values()], facts)
    yield from _changed_by_hand(rows)


def _tables(wanted: Definition, rows: Sequence[Row]) -> Iterator[Damage]:
    there = {relation for kind, relation, *_ in rows if kind == "table"}
    for table, columns in wanted.tables.items():
        if table not in there:
            yield Damage(f"the table {table} is missing", partial(make_table, table, columns))


def _constraints(wanted: Definition, facts: Facts) -> Iterator[Damage]:
    for name, (table, text_) in wanted.constraints.items():
        where, values = facts.get(("constraint", name), ("", ()))
        if where != table or values != ("valid",):
            state = "is not validated" if where == table else "is missing"
            yield Damage(f"the constraint {name} of {table} {state}", partial(add_constraint, table, name, text_))


def _indexes(wanted: Definition, rows: Sequence[Row]) -> Iterator[Damage]:
    """Compare by name, as `add_index` does, and where the app may have one that serves as well, by columns."""
    found = [(relation, name, values) for kind, relation, name, values in rows if kind == "index"]
    valid = {name for _, name, values in found if values[0] == "valid"}
    for name, text_ in wanted.indexes.items():
        if name not in valid:
            yield Damage(f"the index {name} of {text_.partition(' ')[0]} is missing", partial(add_index, name, text_))
    for name, (table, leading, unique) in wanted.indexes_unless_equal.items():
        if not any(relation == table and _serves(values, leading, unique=unique) for relation, _, values in found):
            text_ = f"{table} ({', '.join(leading)})"
            yield Damage(f"the index {name} of {table} is missing", partial(add_index, name, text_, unique=unique))


def _serves(values: tuple[str, ...], leading: tuple[str, ...], *, unique: bool) -> bool:
    """Return whether a valid index of all rows begins with these columns; with `unique`: is unique on exactly these."""
    validity, is_unique, is_whole, *columns = values
    if (validity, is_whole) != ("valid", "whole"):
        return False
    if unique:
        return is_unique == "unique" and sorted(columns) == sorted(leading)
    return tuple(columns[: len(leading)]) == leading


def _functions(wanted: Definition, facts: Facts) -> Iterator[Damage]:
    tables = wanted.tables_of_functions()
    schema, _ = facts["schema", "schema"]
    for signature, body in wanted.functions.items():
        name = function_name(signature)
        source = function_source(body, tables.get(name), schema)
        found = facts.get(("function", signature.partition(" RETURNS ")[0]))
        if found is None or found[1] != (source, "definer", "safe"):
            state = "is missing" if found is None else "is not as this release makes it"
            made = partial(make_functions, {signature: body}, tables)
            yield Damage(f"the function {name} {state}", made, hides_edits=True)


def _triggers(wanted: Sequence[Trigger], facts: Facts) -> Iterator[Damage]:
    for trigger in wanted:
        table, name, _, call = trigger
        where, values = facts.get(("trigger", name), ("", ("", "")))
        if where != table or values[1] != function_name(call):
            made = partial(make_triggers, [trigger])
            yield Damage(f"the trigger {name} of {table} is missing", made, hides_edits=True)
        elif values[0] not in "OA":  # enabled: in all sessions but replicas', or always
            yield Damage(
                f"the trigger {name} of {table} is disabled",
                partial(step, f"ALTER TABLE {table} ENABLE TRIGGER {name}"),
                hides_edits=True,
            )


def _changed_by_hand(rows: Sequence[Row]) -> Iterator[Damage]:
    """Find foreign keys that are not enforced, and privileges that were given or taken."""
    for kind, relation, name, values in rows:
        if kind == "unenforced":
            statement = f"ALTER TABLE {relation} ENABLE TRIGGER {values[0]}"
            yield Damage(f"the foreign key {name} is disabled on {relation}", partial(step, statement))
        elif kind == "denied":
            statement = f"GRANT {values[0]} ON {relation} TO {name}"
            yield Damage(f"the role {name} may not {values[0]} {relation}", partial(step, statement))
        elif kind == "public":
            statement = f"REVOKE ALL ON {name} FROM PUBLIC"
            yield Damage(f"everybody may use the {name.lower()}", partial(step, statement))


# The tables of ours whose ids a backup may state, and their ids.
_NUMBERED = {"activation_log": "activation_log_id", "plan_request": "request_id"}
_IS_FOREIGN = "xact_id >= pg_snapshot_xmax(pg_current_snapshot())"  # this server has not come so far


def _restored(connection: Connection, rows: Sequence[Row]) -> Iterator[Damage]:
    """Find what a backup of rows leaves behind: a sequence below the stored ids, and transactions of another server."""
    there = {relation for kind, relation, *_ in rows if kind == "table"}
    for table, column in _NUMBERED.items():
        if table in there and connection.scalar(_IS_BEHIND[table]):
            sequence = f"pg_get_serial_sequence('{table}', '{column}')"
            statement = f"SELECT setval({sequence}, max({column})) FROM {table}"  # noqa: S608 -- our own names
            yield Damage(f"the sequence of {table}.{column} is behind the rows", partial(step, statement))
    foreign = text(f"SELECT EXISTS (SELECT FROM activation_log WHERE {_IS_FOREIGN})")  # noqa: S608 -- as above
    if "activation_log" in there and connection.scalar(foreign):
        statement = f"UPDATE activation_log SET xact_id = '0' WHERE {_IS_FOREIGN}"  # noqa: S608 -- as above
        yield Damage("activation_log has rows of another server", partial(step, statement))


# NULL for a role that may not read the sequence.
_IS_BEHIND = {
    table: text(
        f"""
        SELECT CASE WHEN has_sequence_privilege(sequence, 'SELECT, USAGE') THEN
            coalesce(pg_sequence_last_value(sequence), 0) < (SELECT max({column}) FROM {table})
        END
        FROM CAST(pg_get_serial_sequence('{table}', '{column}') AS regclass) AS sequence
        """  # noqa: S608 -- our own names
    )
    for table, column in _NUMBERED.items()
}

# Raw SQL, because SQLAlchemy Core has no tables for the catalogue. "denied" asks for the functions' owner, with whose
# rights the triggers write, and for the roles of the daemons that are connected.
_CATALOGUE = text(
    r"""
    WITH wanted AS MATERIALIZED (
        SELECT name, to_regclass(name)::oid AS oid FROM unnest(CAST(:tables AS text[])) name
    ), schema AS MATERIALIZED (
        SELECT oid, '"' || replace(nspname, '"', '""') || '"' AS name FROM pg_namespace WHERE nspname = current_schema()
    ), ours AS MATERIALIZED (
        -- Other functions of the same name, with arguments of other types, are not ours.
        SELECT p.oid, proname, proowner, proacl, prosrc, prosecdef, proconfig, full_name
        FROM pg_proc p JOIN schema s ON s.oid = pronamespace
        CROSS JOIN LATERAL (
            SELECT replace(concat(proname, '(', pg_get_function_identity_arguments(p.oid), ')'), '"', '') AS full_name
        ) f
        WHERE proname = ANY (CAST(:names AS text[])) AND full_name = ANY (CAST(:functions AS text[]))
    )
    SELECT 'schema' AS kind, name AS relation, 'schema' AS name, '{}'::text[] AS facts FROM schema
    UNION ALL
    SELECT 'table', w.name, w.name, ARRAY[c.relkind::text]
    FROM wanted w JOIN pg_class c ON c.oid = w.oid
    UNION ALL
    SELECT 'constraint', w.name, conname, ARRAY[CASE WHEN convalidated THEN 'valid' ELSE 'not valid' END]
    FROM wanted w JOIN pg_constraint ON conrelid = w.oid WHERE contype <> 'n'
    UNION ALL
    SELECT 'index', w.name, c.relname, ARRAY[
        CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END,
        CASE WHEN indisunique THEN 'unique' ELSE '' END,
        CASE WHEN indpred IS NULL AND indexprs IS NULL THEN 'whole' ELSE 'part' END
    ] || ARRAY(
        SELECT a.attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY k(attnum, n)
        JOIN pg_attribute a ON a.attrelid = indrelid AND a.attnum = k.attnum ORDER BY n
    )
    FROM wanted w JOIN pg_index ON indrelid = w.oid JOIN pg_class c ON c.oid = indexrelid
    UNION ALL
    SELECT 'function', '', full_name, ARRAY[
        prosrc,
        CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END,
        CASE translate(proconfig::text, '\"', '')
            WHEN '{search_path=pg_catalog, pg_temp}' THEN 'safe' ELSE 'unsafe'
        END
    ]
    FROM ours
    UNION ALL
    SELECT 'trigger', w.name, tgname, ARRAY[tgenabled::text, p.proname]
    FROM wanted w JOIN pg_trigger ON tgrelid = w.oid JOIN pg_proc p ON p.oid = tgfoid WHERE NOT tgisinternal
    UNION ALL
    SELECT 'unenforced', w.name, k.conname, ARRAY[quote_ident(tgname)]
    FROM wanted w JOIN pg_trigger ON tgrelid = w.oid JOIN pg_constraint k ON k.oid = tgconstraint
    WHERE tgisinternal AND tgenabled NOT IN ('O', 'A')
    UNION ALL
    SELECT 'denied', n.name, quote_ident(r.rolname), ARRAY[n.privilege]
    FROM unnest(CAST(:needed_tables AS text[]), CAST(:needed AS text[])) n(name, privilege)
    JOIN wanted w ON w.name = n.name AND w.oid IS NOT NULL
    CROSS JOIN (
        SELECT pg_get_userbyid(proowner) AS rolname FROM ours
        UNION
        SELECT usename FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'seisiun daemon' AND usename IS NOT NULL
    ) r
    WHERE NOT has_table_privilege(r.rolname, w.oid, n.privilege)
    UNION ALL
    SELECT DISTINCT 'public', '', CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass,
        '{}'::text[]
    FROM wanted w
    JOIN LATERAL (
        SELECT w.oid
        UNION ALL
        SELECT objid FROM pg_depend
        WHERE refobjid = w.oid AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
    ) o ON true
    JOIN pg_class c ON c.oid = o.oid AND c.relkind IN ('r', 'S')
    CROSS JOIN aclexplode(c.relacl) a
    WHERE a.grantee = 0 AND w.name = ANY (CAST(:own AS text[]))
    UNION ALL
    SELECT DISTINCT 'public', '', 'FUNCTION ' || ours.oid::regprocedure, '{}'::text[]
    FROM ours CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner))) a
    WHERE a.grantee = 0
    """
)
