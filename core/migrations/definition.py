"""What the schema of this release is made of: gathered from the revisions, which make it piece by piece."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.choices import DEACTIVATED_PEOPLE
from core.migrations import choices, older_columns
from core.migrations.live import Trigger, function_name


@dataclass(slots=True)
class Definition:
    """The pieces, by name; a later revision replaces a piece of the same name.

    app_tables            the app's tables: the columns that we use, name -> definition
    tables                our own, likewise
    functions             signature -> body
    indexes               name -> "table (columns) ..."
    indexes_unless_equal  name -> table, first columns, whether unique on exactly these: for what the app may have too
    constraints           name -> table, definition
    """

    app_tables: dict[str, dict[str, str]] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    indexes_unless_equal: dict[str, tuple[str, tuple[str, ...], bool]] = field(default_factory=dict)
    constraints: dict[str, tuple[str, str]] = field(default_factory=dict)

    def tables_of_functions(self) -> dict[str, str]:
        """Return the table that each trigger function serves: name -> table."""
        always = choices.triggers({DEACTIVATED_PEOPLE: "active"})  # the function is made without its triggers
        return {function_name(call): table for table, _, _, call in (*self.triggers.values(), *always)}


def config(connection: Connection | None = None) -> Config:
    """Return what Alembic needs to know."""
    made = Config(attributes={"connection": connection})
    # ConfigParser would interpret % in the path.
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.set_main_option("path_separator", "newline")
    return made


@cache
def scripts() -> ScriptDirectory:
    """Return the revisions."""
    return ScriptDirectory.from_config(config())


@cache
def definition() -> Definition:
    """Return the pieces of all revisions, the latest of each."""
    made = Definition()
    for script in reversed([*scripts().walk_revisions()]):
        pieces = vars(script.module)
        for table, columns in (*pieces.get("APP_TABLES", {}).items(), *pieces.get("OWN_COLUMNS", {}).items()):
            made.app_tables[table] = made.app_tables.get(table, {}) | columns
        for table, added in pieces.get("APP_COLUMNS", {}).items():
            made.app_tables[table] |= {name: text for name, (text, _) in added.items()}
        made.tables |= pieces.get("OWN_TABLES", {})
        for table, columns in pieces.get("COLUMNS", {}).items():
            made.tables[table] = made.tables[table] | columns
        made.functions |= pieces.get("FUNCTIONS", {})
        made.triggers |= {trigger[1]: trigger for trigger in pieces.get("TRIGGERS", ())}
        made.indexes |= pieces.get("INDEXES", {})
        made.indexes_unless_equal |= pieces.get("INDEXES_UNLESS_THE_APP_HAS_ONE", {})
        made.constraints |= pieces.get("CONSTRAINTS", {})
        for name in pieces.get("REPLACED", ()):
            del made.indexes[name]
        for name in pieces.get("REPLACED_TRIGGERS", ()):
            del made.triggers[name]
    return made


def definition_with(chosen: Mapping[str, str]) -> Definition:
    """Return the pieces of all revisions, with those that a database's choices add or replace."""
    made = definition()
    return replace(
        made,
        functions=made.functions | choices.functions(chosen),
        triggers=made.triggers | {trigger[1]: trigger for trigger in choices.triggers(chosen)},
        indexes=made.indexes | older_columns.indexes(chosen),
    )
