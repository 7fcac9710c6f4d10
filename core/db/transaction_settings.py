"""The settings of our transactions: short waits, plans that use indexes, and the mark of our own writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, DateTime, Select, Text, bindparam, func, literal, select, true

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
OWN_TRANSACTION = PASS_SETTINGS | {"synchronous_commit": "off"}

BEGIN_OWN = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in OWN_TRANSACTION.items()
)


def clock(connection: Connection) -> datetime:
    """Return the database's clock at this moment, not at the start of the transaction (L1)."""
    return connection.execute(_CLOCK).scalar_one()


_CLOCK = select(func.clock_timestamp(type_=DateTime(timezone=True)))


def begin_own(connection: Connection) -> None:
    """Make this transaction one of our own: its waits are bounded, and all its writes are our own."""
    _set_local(connection, OWN_TRANSACTION)


@contextmanager
def temporary_settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[bool]:
    """Set these parameters in the app's transaction for the block, and restore the previous values after it.

    Yield whether the transaction is READ COMMITTED. A pass needs that level: each of its statements must see what
    others have committed before that statement. After an error nothing is restored here: the savepoint does it.
    """
    names = tuple(settings)
    isolation, *before = connection.execute(_exchange(names), _values(settings)).one()[: len(names) + 1]
    yield isolation == "read committed"
    _set_local(connection, dict(zip(names, before, strict=True)))


def _set_local(connection: Connection, settings: Mapping[str, str | None]) -> None:
    connection.execute(_set_config(tuple(settings)), _values(settings))


def _values(settings: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"value_{number}": value for number, value in enumerate(settings.values())}


@cache
def _set_config(names: tuple[str, ...]) -> Select[*tuple[str, ...]]:
    return select(
        *(func.set_config(name, bindparam(f"value_{at}", type_=Text()), true()) for at, name in enumerate(names))
    )


@cache
def _exchange(names: tuple[str, ...]) -> Select[*tuple[str, ...]]:
    """Set these parameters; return (transaction_isolation, *previous values, ...).

    OFFSET 0 makes PostgreSQL read the previous values before set_config runs.
    """
    current = (func.current_setting(name, true()).label(name) for name in ("transaction_isolation", *names))
    before = select(*current).offset(literal(0)).subquery("before")
    return _set_config(names).select_from(before).with_only_columns(*before.c, *_set_config(names).exported_columns)


def fires_no_triggers(connection: Connection) -> bool:
    """Return whether this database, or our role, is set to fire no triggers (`session_replication_role`)."""
    return connection.scalar(select(func.current_setting("session_replication_role"))) == "replica"


def is_read_only(connection: Connection) -> bool:
    """Return whether nothing can be written here: on a standby, or because somebody has made the database read-only."""
    return connection.scalar(select(func.current_setting("transaction_read_only"))) == "on"
