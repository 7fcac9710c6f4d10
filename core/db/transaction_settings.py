"""The settings that our transactions run with: short waits, index-shaped plans, and the mark of our own writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, DateTime, Select, Text, bindparam, func, literal, select, true

# A foreign-key check's plan that PostgreSQL cached while a table was tiny stays a sequential scan: hence no seqscan.
# A pass goes from the few rows that it holds to others by index, whatever the statistics say: hence no hash joins and
# no merge joins. We compare rows as JSON with what the planner wrote, and JSON shows instants in the connection's time
# zone: hence UTC.
PLANNER_SETTINGS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "timezone": "UTC"}
# A pass waits for nobody for long, and the server ends its transaction (and frees its locks) when the process is
# stopped (SIGSTOP) in the middle of one.
PASS_SETTINGS = PLANNER_SETTINGS | {
    "lock_timeout": "250ms",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    # Where a policy would hide rows from us, PostgreSQL raises an error instead of returning a part of them (L4).
    "row_security": "off",
}
OWN_WRITE = "seisiun.own_write"
# In a transaction of our own every write is the planner's. If a crash of the server takes a flip back, the next pass
# makes it again, so we do not hold locks until the flip is on the disk; what an app commits afterwards is.
OWN_TRANSACTION = PASS_SETTINGS | {OWN_WRITE: "on", "synchronous_commit": "off"}
OWN_WRITES_ONLY = "seisiun_own_writes_only"


def clock(connection: Connection) -> datetime:
    """Return the database's clock at this moment (not at the start of the transaction)."""
    return connection.execute(_CLOCK).scalar_one()


_CLOCK = select(func.clock_timestamp(type_=DateTime(timezone=True)))


def begin_own(connection: Connection) -> None:
    """Make this transaction one of our own: its waits are bounded, and all its writes are the planner's."""
    _set_local(connection, OWN_TRANSACTION)
    connection.execution_options(**{OWN_WRITES_ONLY: True})


@contextmanager
def temporary_settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[bool]:
    """Set these parameters in a transaction of the app's, and restore the previous values afterwards.

    Yield whether the transaction is READ COMMITTED. A pass relies on that level: there, each statement sees what
    others committed before it.
    """
    names = tuple(settings)
    isolation, *before = connection.execute(_exchange(names), _values(settings)).one()[: len(names) + 1]
    yield isolation == "read committed"
    _set_local(connection, dict(zip(names, before, strict=True)))


def _set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    connection.execute(_set_config(tuple(settings)), _values(settings))


def _values(settings: Mapping[str, str]) -> dict[str, str]:
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
    standing = (func.current_setting(name).label(name) for name in ("transaction_isolation", *names))
    before = select(*standing).offset(literal(0)).subquery("before")
    return _set_config(names).select_from(before).with_only_columns(*before.c, *_set_config(names).exported_columns)


@contextmanager
def own_write(connection: Connection) -> Iterator[None]:
    """Mark the statements inside as the planner's own, so that our triggers insert no request for them."""
    if connection.get_execution_options().get(OWN_WRITES_ONLY):
        yield
        return
    _set_local(connection, {OWN_WRITE: "on"})
    yield
    _set_local(connection, {OWN_WRITE: "off"})


def is_read_only(connection: Connection) -> bool:
    """Say whether nothing can be written here: on a standby, or where somebody has made the database read-only."""
    return connection.scalar(select(func.current_setting("transaction_read_only"))) == "on"
