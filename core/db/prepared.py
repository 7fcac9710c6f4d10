"""Prepared statements: the server parses and plans each statement once for a connection, and not in every pass.

Of the time that an edit takes to show, parsing and planning its statements is a third. Their texts are constant, with
arrays as single parameters, and our transactions allow only plans that go by index; so a plan that does not know the
values is as good as one that does. The driver prepares nothing by itself.
"""

import re
from collections.abc import Mapping
from hashlib import md5
from typing import Any, NamedTuple

from psycopg2.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName
from sqlalchemy import Engine, event
from sqlalchemy.engine import Compiled, ExceptionContext
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import NullType

from core.logs import logger

_PARAMETER = re.compile(r"%\((\w+)\)s|%%")
# The function of PostgreSQL that refuses a statement whose columns have changed. The server may translate its message.
_REPLANS = "RevalidateCachedQuery"
_PREPARED = "seisiun_prepared"  # in `Connection.info`, which lives as long as the connection: text -> `_Prepared`

log = logger(__name__)


def prepare_statements(engine: Engine) -> None:
    """Have each connection of this engine prepare a statement when it first executes it.

    A connection that does not keep what is prepared, because a transaction-mode pooler stands between, counts as lost,
    and the engine then prepares nothing more.
    """
    statements = _Statements()
    event.listen(engine, "do_execute", statements.execute)
    event.listen(engine, "handle_error", statements.note_error)


class _Prepared(NamedTuple):
    """How to execute a prepared statement, "" if it cannot be prepared; and the values that are a part of it."""

    execution: str
    constants: Mapping[str, object]


class _Statements:
    def __init__(self) -> None:
        self._are_kept = True

    def execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        """Execute a statement as a prepared one; return False if the driver is to send its text."""
        compiled = context.compiled
        if not self._are_kept or compiled is None or compiled.string != statement:
            return False
        known: dict[str, _Prepared] = context.root_connection.info.setdefault(_PREPARED, {})
        if statement not in known:
            known[statement] = _prepared(cursor, compiled, parameters)
        execution, constants = known[statement]
        # Another statement may have the same text, and other constants.
        if not execution or any(parameters[name] != value for name, value in constants.items()):
            return False
        cursor.execute(execution, parameters)
        return True

    def note_error(self, context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, (InvalidSqlStatementName, DuplicatePreparedStatement)):
            self._are_kept = False
            context.is_disconnect = True
            log.info("nothing_prepared", error=str(error).strip())
        elif isinstance(error, FeatureNotSupported) and error.diag.source_function == _REPLANS:
            context.is_disconnect = True  # the app has changed the type of a column: a new connection plans anew


def _prepared(cursor: Any, compiled: Compiled, parameters: Mapping[str, object]) -> _Prepared:
    """Prepare a statement of SQLAlchemy Core whose parameters all have types."""
    if not isinstance(compiled, SQLCompiler) or not isinstance(compiled.statement, (SelectBase, UpdateBase)):
        return _Prepared("", {})
    types = {name: bind.type for bind, name in compiled.bind_names.items()}
    if any(isinstance(type_, NullType) for type_ in types.values()):
        return _Prepared("", {})
    # A value that stands in the statement itself, like 'open', is a part of it: PostgreSQL takes an index of such rows
    # alone only if it knows the value.
    constants = {name: parameters[name] for bind, name in compiled.bind_names.items() if bind.unique}
    places: dict[str, int] = {}

    def written(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "%"
        if name in constants:
            return str(cursor.mogrify("%s", (constants[name],)).decode())
        return f"${places.setdefault(name, len(places) + 1)}"

    text = _PARAMETER.sub(written, compiled.string)
    # By its text: behind a pooler the server may know a statement of this name from another daemon.
    own_name = f"seisiun_{md5(text.encode(), usedforsecurity=False).hexdigest()}"
    declared = ", ".join(types[name].compile(dialect=compiled.dialect) for name in places)
    cursor.execute(f"PREPARE {own_name}{f' ({declared})' if places else ''} AS {text}")
    values = ", ".join(f"%({name})s" for name in places)
    return _Prepared(f"EXECUTE {own_name}{f' ({values})' if places else ''}", constants)
