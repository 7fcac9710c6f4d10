"""What stands in an app's database, what `migrate` would add there, and what one should know before.

Each statement is a read-only transaction of its own: we hold no lock from one to the next, so nothing of the app's
waits for us, not even a change of its schema.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from core import choices
from core.adoption import catalogue, evenings
from core.adoption.catalogue import Columns, Server
from core.adoption.evenings import Now
from core.adoption.findings import Finding, Row, found
from core.choices import OLDER_ACTIVE, OLDER_POINTER, PLAN_ONLY_WHERE
from core.db import create_engine
from core.db.transaction_settings import clock
from core.migrations import VERSION_TABLE, in_the_way, older_columns, steps
from core.migrations.choices import require_columns
from core.migrations.definition import definition
from core.migrations.inventory import Inventory, missing, standing
from core.migrations.live import LOCK_TIMEOUT_MS
from core.migrations.live import columns as columns_of
from core.migrations.older_columns import OlderColumn
from core.settings import Settings

STATEMENT_TIMEOUT_SECONDS = 60
MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. `in_the_way` is empty if `migrate` may run; `findings` are what one should know before.

    `tables`: those of the app's four that there are, with their sizes.
    """

    at: datetime
    server: Server
    ready: bool
    in_the_way: tuple[str, ...]
    tables: tuple[Row, ...]
    stands: Inventory
    added: Inventory
    findings: tuple[Finding, ...]


def check(url: str, settings: Settings, named: Mapping[str, str]) -> Check:
    """Look at the database at `url`. `named`: the choices of columns that `migrate` and `--mirror` would be given.

    Raises `MigrationRefused` or `MirrorRefused` if a column does not fit, the database's error if it cannot look.
    """
    with _reading(url) as connection:
        return _check(connection, settings, named)


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    """Yield a connection on which the server itself refuses to write; each statement is its own transaction."""
    engine = create_engine(url, application_name="seisiun adopt --check")
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SET default_transaction_read_only = on"))
            connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
            connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"))
            yield connection
    finally:
        engine.dispose()


def _check(connection: Connection, settings: Settings, named: Mapping[str, str]) -> Check:
    names = [*definition().app_tables]
    chosen = choices.read(connection) | {**named}  # of a database that is adopted already
    server = catalogue.server(connection)
    stands, added = standing(connection), missing(connection)
    with steps(connection):
        columns: Columns = {table: columns_of(table) for table in names}
        require_columns(chosen)
    problems = [*catalogue.unfit_server(server), *in_the_way(connection)]
    if not stands.app_tables:
        problems += _other_names(connection, names)
    return Check(
        at=clock(connection),
        server=server,
        ready=not problems,
        in_the_way=tuple(problems),
        tables=tuple(catalogue.tables(connection, names).values()),
        stands=stands,
        added=added,
        findings=tuple(_findings(connection, settings, chosen, columns, added)) if not problems else (),
    )


def _findings(
    connection: Connection,
    settings: Settings,
    chosen: Mapping[str, str],
    columns: Columns,
    added: Inventory,
) -> Iterator[Finding]:
    older = older_columns.candidates(connection, choices.older(chosen))
    bit, pointer = (evenings.of_choice(choice, older) for choice in (OLDER_ACTIVE, OLDER_POINTER))
    at, is_new = clock(connection), VERSION_TABLE in added.tables
    of = evenings.sessions(connection, columns, at, settings, chosen)
    now = Now.of(of, at)
    yield from _older(connection, older)
    if is_new:  # `--mirror` asks for itself
        yield from _unlikely(connection, older)
    yield from evenings.bits(connection, bit, now)
    yield from evenings.people(connection, columns, pointer, now)
    yield from evenings.planned(of, settings)
    if is_new:  # `migrate` has been told since, or not
        yield from _opt_in(columns, chosen)
    yield from evenings.unreadable(connection, of)
    yield from evenings.zoneless(of)
    yield from evenings.weeks(connection, of, settings)
    yield from evenings.pairs(of)
    yield from evenings.attendances(connection, columns)
    yield from evenings.buffers(of)
    yield from catalogue.empty_columns(connection, columns)
    yield from catalogue.broken_functions(connection, columns)
    yield from catalogue.triggers(connection)
    yield from catalogue.roles(connection)
    yield from catalogue.locks(connection, added, columns)


def _other_names(connection: Connection, names: list[str]) -> list[str]:
    """Return what may be in the way where none of the four exists: the app has them under names of its own.

    `migrate` asks nothing of the kind: an app that has nothing of the kind yet is given the four.
    """
    others = catalogue.tables_there(connection)
    listed = ", ".join(others[:MOST_NAMES]) + (f" and {len(others) - MOST_NAMES} more" if others[MOST_NAMES:] else "")
    why = (
        f"none of {', '.join(names)} exists, and there are other tables: {listed}. If these are yours under other "
        "names, give them ours first (docs/adopting.md, Other spellings), or `migrate` makes empty ones beside them; "
        "if your app has no such tables yet, go on: `migrate` makes them"
    )
    return [why] if others else []


def _older(connection: Connection, older: list[OlderColumn]) -> list[Finding]:
    rows = [Row(str(each), _says(connection, each)) for each in older]
    return found(
        "older_columns",
        "columns of yours that may be an older form of this feature",
        rows,
        "They stay as they are; `adopt --mirror` keeps them equal to ours, from when a daemon is healthy until your "
        "code reads ours",
    )


def _unlikely(connection: Connection, older: list[OlderColumn]) -> list[Finding]:
    rows = [Row(name, type_) for name, type_ in older_columns.unlikely(connection, older)]
    return found(
        "unrecognised",
        "columns whose name does not say whether they are of an older form",
        rows,
        "If one says what is on, or where a person is, name it: look first with `adopt --check --active-column NAME "
        "--pointer-column NAME`, and name it so again with `adopt --mirror`",
    )


def _says(connection: Connection, column: OlderColumn) -> str:
    readers = catalogue.readers(connection, column.table, column.name)
    read = f"; read by {', '.join(readers)}" if readers else ""
    deaf = catalogue.triggers_of(connection, column.table, column.name)
    late = f"; it fires {', '.join(deaf)}, which what a mirror writes does not" if deaf else ""
    return f"{column.type}, rows that say so now: {column.holds}{read}{late}"


def _opt_in(columns: Columns, chosen: Mapping[str, str]) -> list[Finding]:
    """Find columns that may say which sessions get rows, where none was named."""
    if PLAN_ONLY_WHERE in chosen:
        return []
    rows = [Row(f"session.{name}", type_) for name, type_ in columns["session"].items() if type_ == "boolean"]
    return found(
        "opt_in",
        "boolean columns of session",
        rows,
        "If one says which sessions get rows, run `migrate --plan-only-where COLUMN`",
    )
