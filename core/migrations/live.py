"""Steps that change a database while an app is using it."""

from collections.abc import Callable

import sqlalchemy
from alembic import op
from psycopg2.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

LOCK_TIMEOUT_MS = 1000


def step(statement: str) -> None:
    """Run one statement as its own transaction, again and again for two minutes while a lock cannot be had."""
    _patiently(_once, statement)


def _patiently(attempt: Callable[..., None], *values: object) -> None:
    retrying = Retrying(
        retry=retry_if_exception(_lock_not_available),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(120),
        reraise=True,
    )
    retrying(attempt, *values)


def _once(statement: str) -> None:
    op.execute(sqlalchemy.text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
    op.get_bind().exec_driver_sql(statement)  # as it is: a colon in it is SQL, never a bound parameter


def _lock_not_available(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.orig, LockNotAvailable)


def scalar(query: str, **values: object) -> object:
    """Ask the catalogue for one value."""
    return op.get_bind().scalar(sqlalchemy.text(query), values)


def add_column(table: str, column: str, definition: str) -> None:
    """Add a column where it is missing; `definition` must not rewrite the table."""
    if column not in columns(table):
        step(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")


def columns(table: str) -> dict[str, str]:
    """Return the columns of a table with their types, as the catalogue writes them."""
    rows = op.get_bind().execute(
        sqlalchemy.text(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
        ),
        {"table": table},
    )
    return dict(row for row in rows)


def add_constraint(table: str, name: str, definition: str) -> None:
    """Add a constraint without scanning under the lock: NOT VALID first, VALIDATE afterwards."""
    valid = scalar(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name",
        table=table,
        name=name,
    )
    if valid is None:
        step(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
    if not valid:
        step(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def add_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Make an index without blocking writers."""
    _patiently(_make_index, name, f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {name} ON {definition}")


def _make_index(name: str, statement: str) -> None:
    """What an attempt left INVALID, because it was cut off or waited too long for an old snapshot, is dropped first."""
    valid = scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=name)
    if valid is False:
        _once(f"DROP INDEX CONCURRENTLY {name}")
    if not valid:
        _once(statement)


def has_index(table: str, leading: list[str], *, unique: bool = False) -> bool:
    """Say whether a valid, full index begins with these columns (or, if unique, is on exactly these)."""
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
