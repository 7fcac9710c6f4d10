"""What the schema of this release is made of: gathered from the revisions, which make it piece by piece."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.migrations import choices
from core.migrations.live import Trigger, function_name


@dataclass(slots=True)
class Definition:
    """The pieces, by name; a later revision replaces a piece of the same name.

    functions             signature -> body
    indexes               name -> "table (columns) ..."
    indexes_unless_equal  name -> table, first columns, whether unique on exactly these: for what the app may have too
    constraints           name -> table, definition
    """

    app_tables: tuple[str, ...] = ()
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    indexes_unless_equal: dict[str, tuple[str, tuple[str, ...], bool]] = field(default_factory=dict)
    constraints: dict[str, tuple[str, str]] = field(default_factory=dict)

    def tables_of_functions(self) -> dict[str, str]:
        """Return the table that each trigger function serves: name -> table."""
        return {function_name(call): table for table, _, _, call in (*self.triggers.values(), *choices.TRIGGERS)}


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
        made.app_tables += tuple(pieces.get("APP_TABLES", ()))
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
    return made
