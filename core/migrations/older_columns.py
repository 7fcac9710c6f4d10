"""The app's columns of an older form of this feature: which there are, and what keeps them equal to ours.

During a take-over two BEFORE triggers set an older column from ours whenever they differ. So the app shows our truth
under its own names, and what its old code writes there is put right in the same statement. The names are choices of the
database (`core.choices`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.choices import OLDER_ACTIVE, OLDER_POINTER
from core.errors import MirrorRefused
from core.migrations.live import Trigger


@dataclass(frozen=True, slots=True)
class OlderColumn:
    """A column of the app's that may say what ours says. `choice`: OLDER_ACTIVE or OLDER_POINTER."""

    choice: str
    table: str
    name: str
    type: str
    holds: int

    def __str__(self) -> str:
        """Return `table.name`."""
        return f"{self.table}.{self.name}"


def candidates(connection: Connection) -> list[OlderColumn]:
    """Return the columns that may be of an older form, by their names and types; `holds`: rows that say "on", "there".

    A boolean of `session_instance` that is called active in some way and is not true by default; a number of `person`
    that refers to `session_instance`, or that is called an active instance in some way. A name with other characters
    than `is_plain` accepts is left out.
    """
    found = [*connection.execute(_CANDIDATES)]
    return [
        OlderColumn(choice, table, name, type_, _holds(connection, table, name, type_))
        for choice, table, name, type_ in found
    ]


def _holds(connection: Connection, table: str, name: str, type_: str) -> int:
    condition = quoted(name) if type_ == "boolean" else f"{quoted(name)} IS NOT NULL"
    statement = text(f"SELECT count(*) FROM {table} WHERE {condition}")  # noqa: S608 -- names from the catalogue, quoted
    return int(connection.scalar(statement) or 0)


# The catalogue: SQLAlchemy Core has no tables for it.
_CANDIDATES = text(
    r"""
    SELECT CASE c.relname WHEN 'person' THEN 'older_pointer' ELSE 'older_active' END, c.relname, attname,
        format_type(atttypid, NULL)
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = '' AND attname ~ '^[\w$]+$'
    AND attname NOT IN ('active', 'active_session_instance_id', 'person_id')
    AND (
        attrelid = to_regclass('session_instance') AND atttypid = 'bool'::regtype AND attname ~* 'active'
        AND coalesce(pg_get_expr(adbin, adrelid), '') <> 'true'
        OR attrelid = to_regclass('person') AND atttypid IN ('int4'::regtype, 'int8'::regtype) AND (
            attname ~* '(active|current).*instance'
            OR EXISTS (
                SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = attrelid AND conkey = ARRAY[attnum]
                AND confrelid = to_regclass('session_instance')
            )
        )
    )
    ORDER BY 1, 3
    """
)


def choose(found: Sequence[OlderColumn], active: str | None, pointer: str | None) -> list[OlderColumn]:
    """Return the columns to keep equal to ours: those that are named, else the only ones that there are.

    Raises `MirrorRefused` if a named one is none of those found, if several are left, or none at all.
    """
    chosen = [
        column
        for choice, name, option in (
            (OLDER_ACTIVE, active, "--active-column"),
            (OLDER_POINTER, pointer, "--pointer-column"),
        )
        if (column := _choose([each for each in found if each.choice == choice], name, option))
    ]
    if not chosen:
        raise MirrorRefused(
            "there is no older column to keep equal to ours: expected a boolean of session_instance whose name has "
            '"active" in it, or a number of person that refers to session_instance'
        )
    return chosen


def _choose(found: Sequence[OlderColumn], name: str | None, option: str) -> OlderColumn | None:
    there = ", ".join(map(str, found)) or "none"
    if name is None:
        if len(found) > 1:
            raise MirrorRefused(f"several columns may be meant: {there}; name one with {option}")
        return found[0] if found else None
    for column in found:
        if name in {column.name, str(column)}:
            return column
    raise MirrorRefused(f"{option}={name!r}: expected one of: {there}")


def is_plain(name: str) -> bool:
    """Return whether a column's name has only letters, digits, _ and $: we write it into functions."""
    return re.fullmatch(r"[\w$]+", name) is not None


def quoted(name: str) -> str:
    """Return a name as SQL: it may be a keyword, or have capitals."""
    return '"' + name.replace('"', '""') + '"'


def functions(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the trigger functions for the columns that were chosen: signature -> body."""
    made = {}
    if name := chosen.get(OLDER_ACTIVE):
        made["seisiun_older_active() RETURNS trigger"] = f"NEW.{quoted(name)} := NEW.active; RETURN NEW;"
    if name := chosen.get(OLDER_POINTER):
        assignment = f"NEW.{quoted(name)} := NEW.active_session_instance_id;"
        made["seisiun_older_pointer() RETURNS trigger"] = f"{assignment} RETURN NEW;"
        # An app that clears the older pointer, and then deletes the instance: the clearing is put right at once, so the
        # app's foreign key would refuse the delete.
        made["seisiun_older_released() RETURNS trigger"] = """
            UPDATE person SET active_session_instance_id = NULL
            WHERE active_session_instance_id = OLD.session_instance_id;
            RETURN OLD;
        """
    return made


def triggers(chosen: Mapping[str, str]) -> list[Trigger]:
    """Return the triggers, in the order in which they are made; they are dropped in the reverse order.

    PostgreSQL fires them by name: ours come last, after whatever the app's own have set. The one that releases people
    is there before the one that reverts the app's clearing of a pointer: in between, the app could not delete an
    evening.
    """
    made: list[Trigger] = []
    when = "BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN "
    if name := chosen.get(OLDER_ACTIVE):
        differs = f"({bits_differ(f'NEW.{quoted(name)}', 'NEW.active')})"
        made.append(("session_instance", "zz_seisiun_older_active", when + differs, "seisiun_older_active"))
    if name := chosen.get(OLDER_POINTER):
        on_delete = "BEFORE DELETE ON {table} FOR EACH ROW WHEN (OLD.active)"
        made.append(("session_instance", "zz_seisiun_older_released", on_delete, "seisiun_older_released"))
        differs = f"({pointers_differ(f'NEW.{quoted(name)}', 'NEW.active_session_instance_id')})"
        made.append(("person", "zz_seisiun_older_pointer", when + differs, "seisiun_older_pointer"))
    return made


def indexes(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the indexes of the rows that differ, which are hardly any: name -> table, columns, condition."""
    made = {}
    if name := chosen.get(OLDER_ACTIVE):
        differs = bits_differ(quoted(name), "active")
        made["seisiun_older_active_differs"] = f"session_instance (session_instance_id) WHERE {differs}"
    if name := chosen.get(OLDER_POINTER):
        differs = pointers_differ(quoted(name), "active_session_instance_id")
        made["seisiun_older_pointer_differs"] = f"person (person_id) WHERE {differs}"
    return made


def bits_differ(older: str, ours: str) -> str:
    """Return the condition; an empty older bit says "not on", so all the past need not be written."""
    return f"coalesce({older}, false) <> {ours}"


def pointers_differ(older: str, ours: str) -> str:
    """Return the condition."""
    return f"{older} IS DISTINCT FROM {ours}"
