"""Steps that change a database while an app uses it."""

import re
from collections.abc import Callable, Iterable, Mapping

import sqlalchemy
from alembic import op
from psycopg2.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

LOCK_TIMEOUT_MS = 1000
SHORT_LOCK_TIMEOUT_MS = 150  # for the triggers of a take-over: the app is in full use
MARK = "Made by the migration of Seisiún"
"""The comment on a column or an index that we add to a table of the app's: only such a one may be removed again."""

Trigger = tuple[str, str, str, str]
"""A trigger: its table, its name, when it fires, and the function that it calls."""


def step(statement: str, *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
    """Run one statement as its own transaction; after a lock timeout try again, for up to two minutes.

    Raises the last lock timeout after that.
    """
    _retry_after_lock_timeouts(_once, statement, lock_timeout_ms)


def _retry_after_lock_timeouts(attempt: Callable[..., None], *values: object) -> None:
    retrying = Retrying(
        retry=retry_if_exception(_lock_not_available),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(120),
        reraise=True,
    )
    retrying(attempt, *values)


def _once(statement: str, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
    op.execute(sqlalchemy.text(f"SET lock_timeout = {lock_timeout_ms}"))
    op.get_bind().exec_driver_sql(statement)  # as plain SQL, in which a colon is no bound parameter


def _lock_not_available(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.orig, LockNotAvailable)


def scalar(query: str, **values: object) -> object:
    """Return the first value of a query, usually on the catalogue."""
    return op.get_bind().scalar(sqlalchemy.text(query), values)


def make_table(table: str, definitions: Mapping[str, str]) -> None:
    """Create a table with these columns (name -> definition) if it is missing."""
    body = ", ".join(f"{name} {definition}" for name, definition in definitions.items())
    step(f"CREATE TABLE IF NOT EXISTS {table} ({body})")


def add_column(table: str, column: str, definition: str, *, mark: bool = False) -> None:
    """Add a column if it is missing; `definition` must not make PostgreSQL rewrite the table. `mark` it as ours."""
    if column not in columns(table):
        comment = f"; COMMENT ON COLUMN {table}.{column} IS '{MARK}'" if mark else ""  # in the same transaction
        step(f"ALTER TABLE {table} ADD COLUMN {column} {definition}{comment}")


def columns(table: str) -> dict[str, str]:
    """Return the columns of a table with their types, as the catalogue names them; empty if there is no such table."""
    rows = op.get_bind().execute(
        sqlalchemy.text(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
        ),
        {"table": table},
    )
    return dict(row for row in rows)


def generated(table: str, names: Iterable[str]) -> list[str]:
    """Return, in words, which of these columns are generated: a statement of ours that writes to one would fail."""
    found = op.get_bind().scalars(
        sqlalchemy.text(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = ANY (:names) "
            "AND attgenerated <> '' AND NOT attisdropped ORDER BY attnum"
        ),
        {"table": table, "names": [*names]},
    )
    return [
        f"{table}.{name} is a generated column, and we write to it; accepted: an ordinary one. Rename the column that "
        f"it is generated from to {name}, or set {name} in a BEFORE INSERT OR UPDATE trigger (docs/adopting.md)"
        for name in found
    ]


def add_constraint(table: str, name: str, definition: str) -> None:
    """Add a constraint if it is missing.

    A foreign key or a check comes first NOT VALID, and then VALIDATE reads the table but blocks no writer. A primary
    key or a unique constraint, which only our own tables get, has no such form.
    """
    valid = scalar(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name",
        table=table,
        name=name,
    )
    is_key = definition.startswith(("PRIMARY KEY", "UNIQUE"))
    if valid is None:
        step(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}{'' if is_key else ' NOT VALID'}")
    if not valid and not is_key:
        step(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def add_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Create an index if it is missing, without blocking writers."""
    _retry_after_lock_timeouts(
        _make_index, name, f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {name} ON {definition}"
    )


def _make_index(name: str, statement: str) -> None:
    """Create the index; first drop an INVALID one, which an attempt left that was cut off or timed out."""
    valid = scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=name)
    if valid is False:
        _once(f"DROP INDEX CONCURRENTLY {name}")
    if not valid:
        _once(statement)
        _once(f"COMMENT ON INDEX {name} IS '{MARK}'")


def has_index(table: str, leading: list[str], *, unique: bool = False) -> bool:
    """Return whether a valid index of all rows begins with these columns; with `unique`: is unique on exactly these."""
    keys = op.get_bind().execute(
        sqlalchemy.text(
            "SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n) "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY n), indisunique "
            "FROM pg_index i WHERE indrelid = to_regclass(:table) AND indisvalid AND indpred IS NULL "
            "AND indexprs IS NULL"
        ),
        {"table": table},
    )
    if unique:
        return any(is_unique and sorted(names) == sorted(leading) for names, is_unique in keys)
    return any(names[: len(leading)] == leading for names, _ in keys)


def make_functions(functions: Mapping[str, str], tables: Mapping[str, str] | None = None) -> None:
    """Make these functions (signature -> body), or replace them; nobody but their owner may call them.

    `tables`: the table that each trigger function serves (name -> table).
    """
    schema = str(scalar(_SCHEMA))
    for signature, body in functions.items():
        source = function_source(body, (tables or {}).get(function_name(signature)), schema)
        # One transaction: a new function can be called by everybody until that is revoked.
        step(
            f"CREATE OR REPLACE FUNCTION {signature} LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = pg_catalog, pg_temp AS $body${source}$body$; "
            f"REVOKE ALL ON FUNCTION {signature.partition(' RETURNS ')[0]} FROM PUBLIC"
        )


def function_name(signature: str) -> str:
    """Return the name in a signature, or in a call."""
    return signature.partition("(")[0]


# Not quote_ident: what that quotes depends on the setting quote_all_identifiers.
_SCHEMA = """SELECT '"' || replace(current_schema(), '"', '""') || '"'"""
# Where a body names a table or a function of ours.
_NAMES = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE) (?=[a-z])|\b(?=seisiun_\w+\()")


def function_source(body: str, table: str | None, schema: str) -> str:
    """Return a function's source, as the catalogue has it; with `table`, it refuses other tables' triggers.

    The function runs with its owner's rights, and a role that may create triggers on a table of its own chooses what
    OLD and NEW are. Such a role may also create functions and operators in our `schema` whose types fit better than
    those that we mean, and PostgreSQL would choose them. So the function searches pg_catalog alone, its source names
    the schema of all else, and a body calls a function of ours with arguments of exactly its types.
    """
    body = _NAMES.sub(lambda found: f"{found[0]}{schema}.", body)
    block = body if "BEGIN" in body else f"BEGIN {body} END;"
    if table is None:
        return f" {block} "
    literal = f"{schema}.{table}".replace("'", "''")
    return f"""
        BEGIN
            IF TG_RELID <> '{literal}'::regclass THEN
                RAISE EXCEPTION 'this function serves the triggers of {table} only';
            END IF;
            {block}
        END;
    """


def make_triggers(triggers: Iterable[Trigger], *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
    """Make these triggers, or replace them."""
    for table, name, when, function in triggers:
        call = function if "(" in function else f"{function}()"
        statement = f"CREATE OR REPLACE TRIGGER {name} {when.format(table=table)} EXECUTE FUNCTION {call}"
        step(statement, lock_timeout_ms=lock_timeout_ms)
