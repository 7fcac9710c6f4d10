"""The take-over: the app's older columns are kept equal to ours, until the app's code reads ours.

`begin` may be called again, and `end` takes it back. Each step looks first what is there, so the next run continues one
that was cut off.
"""

import time
from collections.abc import Mapping

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from core.choices import OLDER_ACTIVE, OLDER_POINTER, mirrored, older, read
from core.db import create_engine
from core.db.transactions import Begin, is_contention, transactions
from core.migrations import choices, migrating, older_columns, require_owner, require_schema, steps
from core.migrations.live import SHORT_LOCK_TIMEOUT_MS, add_index, function_name, make_functions, make_triggers
from core.migrations.older_columns import OlderColumn
from core.store import older_columns as rows

HELD_FOR_SECONDS = 30.0  # how long we go on trying rows that other transactions hold
_PAUSE_SECONDS = 0.1


def begin(url: str, named: Mapping[str, str]) -> list[OlderColumn]:
    """Make the triggers that keep the older columns equal to ours, and return the columns.

    `named`: OLDER_ACTIVE or OLDER_POINTER -> the column; else the one that is mirrored already, or the only one that
    there is. The choice comes first: if we are cut off, `status` names the triggers that are missing. Raises
    `MirrorRefused` if no column is meant, or several may be, or a named one does not fit.
    """
    with migrating(url) as connection:
        require_schema(connection)
        require_owner(connection)
        before = read(connection)
        chosen = older_columns.choose(older_columns.candidates(connection, older(before) | {**named}))
        with steps(connection):
            for column in chosen:
                if before.get(column.choice) not in {None, column.name}:
                    choices.take_back(column.choice)
                choices.choose(column.choice, column.name)
            _make({column.choice: column.name for column in chosen})
    return chosen


def _make(chosen: Mapping[str, str]) -> None:
    triggers = older_columns.triggers(chosen)
    make_functions(older_columns.functions(chosen), {function_name(call): table for table, _, _, call in triggers})
    for name, definition in older_columns.indexes(chosen).items():
        add_index(name, definition)
    make_triggers(triggers, lock_timeout_ms=SHORT_LOCK_TIMEOUT_MS)


def bring_into_line(url: str) -> tuple[int, int]:
    """Set the older columns from ours where they differ; return how many rows were set, and how many are left.

    Rows that other transactions hold are tried again for `HELD_FOR_SECONDS`; after that they are left to the daemon's
    next resync.
    """
    engine = create_engine(url, application_name="seisiun adopt")
    try:
        with transactions(engine) as begin_:
            return _bring_into_line(begin_)
    finally:
        engine.dispose()


def _bring_into_line(begin_: Begin) -> tuple[int, int]:
    total, held_until = 0, time.monotonic() + HELD_FOR_SECONDS
    while True:
        changed, left = _one_batch(begin_)
        total += changed
        if not left or (not changed and time.monotonic() > held_until):
            return total, left
        if changed:
            held_until = time.monotonic() + HELD_FOR_SECONDS
        else:
            time.sleep(_PAUSE_SECONDS)


def _one_batch(begin_: Begin) -> tuple[int, int]:
    try:
        with begin_() as connection:
            return rows.bring_into_line(connection), rows.differing(connection)
    except DBAPIError as error:
        if not is_contention(error):
            raise
        return 0, 1


def end(url: str) -> dict[str, str]:
    """Drop what keeps the older columns equal to ours; return them, `table.name` by what they say. They stay."""
    with migrating(url) as connection:
        require_schema(connection)
        require_owner(connection)
        chosen = read(connection)
        with steps(connection):
            for choice in (OLDER_ACTIVE, OLDER_POINTER):
                choices.take_back(choice)
    return mirrored(chosen)


def refusing_keys(connection: Connection) -> list[tuple[str, str]]:
    """Return the foreign keys of the mirrored older pointer that refuse a DELETE of an evening: name, definition.

    Without the mirror nobody writes the pointer any more, so such a DELETE of the app's would fail.
    """
    name = read(connection).get(OLDER_POINTER)
    return [(key, its) for key, its in connection.execute(_REFUSING_KEYS, {"name": name})]


# 'a' and 'r' are NO ACTION and RESTRICT. The catalogue: SQLAlchemy Core has no tables for it.
_REFUSING_KEYS = text(
    """
    SELECT quote_ident(conname), pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_attribute a ON attrelid = conrelid AND attnum = ANY (conkey)
    WHERE contype = 'f' AND conrelid = to_regclass('person') AND confrelid = to_regclass('session_instance')
    AND attname = CAST(:name AS text) AND confdeltype IN ('a', 'r') ORDER BY 1
    """
)
