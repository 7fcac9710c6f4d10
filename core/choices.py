"""What this database has chosen, and which release made its schema, in one small table of ours: `seisiun_choice`.

`migrate` and `adopt` write it, so that each choice is made once. An environment variable could differ from run to run,
and from process to process. Most choices name a column of the app's; one whose column is gone does not count.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, Row, text

DEACTIVATED_PEOPLE: Final = "deactivated_people"  # a boolean of `person`: false means that the app has deactivated them
PLAN_ONLY_WHERE: Final = "plan_only_where"  # a boolean of `session`: only where it is true are rows made
PLAN_AHEAD_FROM: Final = "plan_ahead_from"  # a number of `session`: how many hours before its window a row is made
NOTIFICATIONS: Final = "notifications"
OLDER_ACTIVE: Final = "older_active"  # in a take-over, the column of `session_instance` that is kept equal to `active`
OLDER_POINTER: Final = "older_pointer"  # and the column of `person`, to `active_session_instance_id`

TABLES: Final = {
    DEACTIVATED_PEOPLE: "person",
    PLAN_ONLY_WHERE: "session",
    PLAN_AHEAD_FROM: "session",
    OLDER_ACTIVE: "session_instance",
    OLDER_POINTER: "person",
}
"""The choices that name a column, and the table that has it."""

ACCEPTED_TYPES: Final = {PLAN_ONLY_WHERE: {"boolean"}, PLAN_AHEAD_FROM: {"smallint", "integer", "bigint"}}


def read(connection: Connection, *, may_read: bool = False) -> dict[str, str]:
    """Return the choices that count: name -> value; none if our role may not read them, or there is no table yet.

    `may_read`: it may, as every role that reconciles, so that we need not ask.
    """
    return {name: value for name, value, is_there in _read(connection, may_read=may_read) if is_there}


def gone(connection: Connection) -> list[str]:
    """Return, in words, the choices of planning whose column is gone: no session gets rows by them."""
    return [
        f"the column {TABLES[name]}.{value}, which {name} names, is missing: run "
        "`python -m seisiun migrate --plan-all`, or name another"
        for name, value, is_there in _read(connection)
        if name in ACCEPTED_TYPES and not is_there
    ]


NOT_FOLLOWED = (
    "person.active came after the last migrate, so people whom it deactivates are still placed: "
    "run `python -m seisiun migrate`, which follows it"
)


def follows_nobody(connection: Connection) -> bool:
    """Return whether `person` has a boolean column `active` that `migrate` has not seen yet."""
    return DEACTIVATED_PEOPLE not in read(connection) and bool(connection.scalar(_HAS_ACTIVE))


def older(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return those of these choices that name an older column."""
    return {kind: chosen[kind] for kind in (OLDER_ACTIVE, OLDER_POINTER) if kind in chosen}


def mirrored(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the older columns among these choices: what they say -> `table.name`."""
    return {kind: f"{TABLES[kind]}.{name}" for kind, name in older(chosen).items()}


def _read(connection: Connection, *, may_read: bool = False) -> Sequence[Row[str, str, bool]]:
    if not may_read and not connection.scalar(_MAY_READ):
        return []
    return connection.execute(_CHOICES, {"choices": [*TABLES], "tables": [*TABLES.values()]}).all()


_MAY_READ = text("SELECT has_table_privilege(to_regclass('seisiun_choice'), 'SELECT')")
_HAS_ACTIVE = text(
    "SELECT has_table_privilege(to_regclass('seisiun_choice'), 'SELECT') AND EXISTS (SELECT FROM pg_attribute WHERE "
    "attrelid = to_regclass('person') AND attname = 'active' AND atttypid = 'boolean'::regtype AND NOT attisdropped)"
)
_CHOICES = text(
    """
    SELECT name, value, its_table IS NULL OR EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass(its_table) AND attname = value AND NOT attisdropped
    )
    FROM seisiun_choice
    LEFT JOIN unnest(CAST(:choices AS text[]), CAST(:tables AS text[])) t(choice, its_table) ON choice = name
    ORDER BY name
    """
)
