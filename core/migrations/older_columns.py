"""The app's columns of an older form of this feature: which there are, and what keeps them equal to ours.

During a take-over two BEFORE triggers set an older column from ours whenever they differ. So the app shows our truth
under its own names, and what its old code writes there is put right in the same statement. The names are choices of the
database (`core.choices`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.choices import OLDER_ACTIVE, OLDER_POINTER, TABLES
from core.errors import MirrorRefused
from core.migrations.live import Trigger

OPTIONS = {OLDER_ACTIVE: "--active-column", OLDER_POINTER: "--pointer-column"}
"""The options of `adopt` that name a column."""


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


def candidates(connection: Connection, named: Mapping[str, str]) -> list[OlderColumn]:
    """Return the columns that may be of an older form; `holds`: rows that say "on", "there".

    `named`: OLDER_ACTIVE or OLDER_POINTER -> a column's name, with or without its table; it is taken as it is named.
    Otherwise they are found by their names and types: a boolean of `session_instance` that is called active in some way
    and is not true by default; a number of `person` that refers to `session_instance`, or that is called an active
    instance in some way. Raises `MirrorRefused` if a named column is missing, or cannot say what ours says.
    """
    fit = [*connection.execute(_FIT)]
    for choice, name in named.items():
        _require_fit(choice, name, [column for its, _, column, *_ in fit if its == choice])
    return [
        OlderColumn(choice, table, name, type_, _holds(connection, table, name, type_))
        for choice, table, name, type_, is_likely in fit
        if (name == _bare(named[choice], table) if choice in named else is_likely)
    ]


def unlikely(connection: Connection, found: Sequence[OlderColumn]) -> list[tuple[str, str]]:
    """Return the columns that could say what ours say, if they were named, and their types; only where none was found.

    As `table.name`.
    """
    there = {column.choice for column in found}
    fit = connection.execute(_FIT)
    return [(f"{table}.{name}", type_) for choice, table, name, type_, _ in fit if choice not in there]


def _require_fit(choice: str, name: str, fit: Sequence[str]) -> None:
    table = TABLES[choice]
    if _bare(name, table) not in fit:
        there = ", ".join(fit) or "there is none"
        raise MirrorRefused(
            f"{OPTIONS[choice]}={name!r}: expected {_KINDS[choice]} of {table} that is not generated: {there}"
        )


def _bare(name: str, table: str) -> str:
    return name.removeprefix(f"{table}.")


_KINDS = {OLDER_ACTIVE: "a boolean", OLDER_POINTER: "a number (integer or bigint)"}


def _holds(connection: Connection, table: str, name: str, type_: str) -> int:
    condition = quoted(name) if type_ == "boolean" else f"{quoted(name)} IS NOT NULL"
    statement = text(f"SELECT count(*) FROM {table} WHERE {condition}")  # noqa: S608 -- names from the catalogue, quoted
    return int(connection.scalar(statement) or 0)


# The catalogue: SQLAlchemy Core has no tables for it. A name with other characters than `is_plain` accepts is left out.
_FIT = text(
    r"""
    SELECT CASE c.relname WHEN 'person' THEN 'older_pointer' ELSE 'older_active' END, c.relname, attname,
        format_type(atttypid, NULL),
        CASE c.relname WHEN 'person' THEN attname ~* '(active|current).*instance' OR EXISTS (
            SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = attrelid AND conkey = ARRAY[attnum]
            AND confrelid = to_regclass('session_instance')
        ) ELSE attname ~* 'active' AND coalesce(pg_get_expr(adbin, adrelid), '') <> 'true' END
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = '' AND attname ~ '^[\w$]+$'
    AND attname NOT IN ('active', 'is_cancelled', 'active_session_instance_id', 'person_id')
    AND (
        attrelid = to_regclass('session_instance') AND atttypid = 'bool'::regtype
        OR attrelid = to_regclass('person') AND atttypid IN ('int4'::regtype, 'int8'::regtype)
    )
    ORDER BY 1, 3
    """
)


def choose(found: Sequence[OlderColumn]) -> list[OlderColumn]:
    """Return the columns to keep equal to ours. Raises `MirrorRefused` if several may be meant, or there is none."""
    for choice, option in OPTIONS.items():
        several = [str(column) for column in found if column.choice == choice]
        if len(several) > 1:
            raise MirrorRefused(f"several columns may be meant: {', '.join(several)}; name one with {option}")
    if not found:
        raise MirrorRefused(
            "there is no older column to keep equal to ours: expected a boolean of session_instance whose name has "
            '"active" in it, or a number of person that refers to session_instance; name one that is called otherwise '
            "with --active-column or --pointer-column"
        )
    return [*found]


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
