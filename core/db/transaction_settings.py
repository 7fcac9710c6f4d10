"""The settings of our transactions: short waits, plans that use indexes, and the mark of our own writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, DateTime, func, select
from sqlalchemy.exc import DBAPIError

# No sequential scans: PostgreSQL caches the plan of a foreign-key check, and a plan from when the table was tiny would
# go on scanning the table after it has grown. No hash joins and no merge joins: a pass goes from its few rows to others
# by index, but old statistics can make PostgreSQL choose otherwise. UTC: we compare rows as JSON with what the planner
# wrote, and JSON shows instants in the connection's time zone.
PLANNER_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "timezone": "UTC"}
# What the text of a value means: NULL in an array, and the text of a date, an interval or a float. A role, a database
# or an app may have set something else. (Our own connections begin so, but a pooler may refuse that.)
TEXT_SETTINGS = {
    "array_nulls": "on",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "transform_null_equals": "off",
}
# A pass and a hook mark their writes: our triggers insert no request for them.
OWN_WORK = {
    **PLANNER_SETTINGS,
    **TEXT_SETTINGS,
    # If a row-level policy would hide rows from us, PostgreSQL raises an error instead of returning the others (L4).
    "row_security": "off",
    "seisiun.own_write": "on",
}
# A pass never waits long for a lock. If our process is stopped (SIGSTOP) in the middle of a transaction, the server
# ends the transaction, and so frees its locks.
PASS_SETTINGS = OWN_WORK | {
    "lock_timeout": "250ms",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
}
# A hook waits shorter still: the app's user waits with it.
HOOK_SETTINGS = OWN_WORK | {"lock_timeout": "100ms", "statement_timeout": "2s"}
# We do not wait until a commit is on disk: we would hold locks meanwhile. If the server crashes and loses a flip, the
# next pass makes it again. The app's commits do wait.
# What the daemon has prepared is planned once, without the values.
OWN_TRANSACTION = PASS_SETTINGS | {"synchronous_commit": "off", "plan_cache_mode": "force_generic_plan"}


def _set_local(settings: Mapping[str, str]) -> str:
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


SET_OWN = _set_local(OWN_TRANSACTION)
BEGIN_OWN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {SET_OWN}"


def clock(connection: Connection) -> datetime:
    """Return the database's clock at this moment, not at the start of the transaction (L1)."""
    return connection.execute(_CLOCK).scalar_one()


_CLOCK = select(func.clock_timestamp(type_=DateTime()))


def begin_own(connection: Connection) -> None:
    """Make this transaction one of our own: its waits are bounded, and all its writes are our own."""
    connection.exec_driver_sql(SET_OWN)


@contextmanager
def savepoint(connection: Connection, settings: Mapping[str, str]) -> Iterator[bool]:
    """Do the block in a savepoint of the app's transaction, with these parameters; restore the old values after it.

    Yield whether the transaction is READ COMMITTED. A pass needs that level: each of its statements must see what
    others have committed before that statement. If the block fails, what it wrote is undone, and what it set.
    The savepoint and the parameters are one message, at the begin and at the end.
    """
    isolation, *before = connection.exec_driver_sql(_begin_savepoint(tuple(settings.items()))).one()[
        : len(settings) + 1
    ]
    try:
        yield isolation == "read committed"
        connection.exec_driver_sql(_end_savepoint(tuple(settings)), tuple(before))
    except BaseException:
        undo(connection, "ROLLBACK TO SAVEPOINT seisiun; RELEASE SAVEPOINT seisiun")
        raise


@cache
def _begin_savepoint(settings: tuple[tuple[str, str], ...]) -> str:
    """Set these parameters; return (transaction_isolation, *previous values, ...).

    OFFSET 0 makes PostgreSQL read the previous values before set_config runs.
    """
    names = ("transaction_isolation", *(name for name, _ in settings))
    current = ", ".join(f"current_setting('{name}', true) AS value_{number}" for number, name in enumerate(names))
    new = "".join(f", set_config('{name}', '{value}', true)" for name, value in settings)
    return f"SAVEPOINT seisiun; SELECT before.*{new} FROM (SELECT {current} OFFSET 0) AS before"  # noqa: S608 -- our names


@cache
def _end_savepoint(names: tuple[str, ...]) -> str:
    restored = ", ".join(f"set_config('{name}', %s, true)" for name in names)
    return f"SELECT {restored}; RELEASE SAVEPOINT seisiun"


def undo(connection: Connection, statement: str) -> None:
    """Undo what failed, by this statement; where the connection is lost, the server does it."""
    if not connection.invalidated:
        with suppress(DBAPIError):
            connection.exec_driver_sql(statement)


def fires_no_triggers(connection: Connection) -> bool:
    """Return whether this database, or our role, is set to fire no triggers (`session_replication_role`)."""
    return connection.scalar(select(func.current_setting("session_replication_role"))) == "replica"


def is_read_only(connection: Connection) -> bool:
    """Return whether nothing can be written here: on a standby, or because somebody has made the database read-only."""
    return connection.scalar(select(func.current_setting("transaction_read_only"))) == "on"
