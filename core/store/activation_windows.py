"""Reads the stored windows, which are the schedule itself, and replaces them by the planned ones."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, CompoundSelect, Connection, bindparam, delete, select, union_all
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Insert

from core.models import INSTANT, ActivationWindow
from core.store.arrays import ValueTable, is_in


class StoredWindow(NamedTuple):
    """A window `[opens_at, closes_at)` of an instance; `starts_at`: the instant of its stated start."""

    session_instance_id: int
    opens_at: datetime
    closes_at: datetime
    starts_at: datetime
    session_id: int


Windows = frozenset[StoredWindow]


def live_windows() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return two conditions for the live windows of the sessions `ids` at `now`; one index serves each condition.

    A window is live if its phase is not `over`, or if it closes after `now` although its phase is `over`: somebody has
    set the clock back since a pass wrote that phase.
    """
    window = ActivationWindow
    ours, now = is_in(window.session_id), bindparam("now", type_=INSTANT)
    return ours & (window.phase != "over"), ours & (window.phase == "over") & (window.closes_at > now)


def is_open(window: type[ActivationWindow]) -> ColumnElement[bool]:
    """Return the condition for an open window, written so that PostgreSQL finds it by its instance.

    `phase = 'open'` would fit the index of open windows. After an evening's openings the statistics still say that
    almost nothing is open; PostgreSQL would then read all open windows for each instance.
    """
    return (window.phase != "over") & (window.phase != "ahead")


def stored(connection: Connection, session_ids: Iterable[int], now: datetime) -> Windows:
    """Return the live windows of these sessions at `now` (see `live_windows`)."""
    found = connection.execute(_STORED, {"ids": sorted(session_ids), "now": now})
    return frozenset(StoredWindow(*window) for window in found)


_WINDOW = select(
    ActivationWindow.session_instance_id,
    ActivationWindow.opens_at,
    ActivationWindow.closes_at,
    ActivationWindow.starts_at,
    ActivationWindow.session_id,
)
_STORED: CompoundSelect[*tuple[Any, ...]] = union_all(*(_WINDOW.where(each) for each in live_windows()))


def difference(before: Windows, planned: Windows, now: datetime) -> tuple[Windows, Windows]:
    """Return the windows to delete, and those to insert; leave out planned windows that close at or before `now`."""
    return before - planned, frozenset(window for window in planned - before if window.closes_at > now)


def replace(connection: Connection, gone: Windows, new: Windows, now: datetime) -> None:
    """Delete the windows `gone`, then insert the windows `new`, as planned at `now`."""
    if gone:
        keys = [(window.session_instance_id, window.opens_at) for window in sorted(gone)]
        connection.execute(_DELETE, _GONE.of(keys))
    if new:
        connection.execute(_INSERT, _PLANNED.of([(*window, now) for window in sorted(new)]))


_GONE = ValueTable("gone", {"session_instance_id": BigInteger(), "opens_at": INSTANT})
_DELETE = delete(ActivationWindow).where(
    ActivationWindow.session_instance_id == _GONE.c.session_instance_id,
    ActivationWindow.opens_at == _GONE.c.opens_at,
)


_PLANNED = ValueTable(
    "planned",
    {
        "session_instance_id": BigInteger(),
        "opens_at": INSTANT,
        "closes_at": INSTANT,
        "starts_at": INSTANT,
        "session_id": BigInteger(),
        "planned_at": INSTANT,
    },
)


def _insert_or_replace() -> Insert:
    columns = [column.name for column in _PLANNED.c]
    statement = postgresql.insert(ActivationWindow).from_select(columns, select(_PLANNED.table))
    # A past window may have the same key: somebody moved the instance away, and now moves it back.
    replaced = {name: statement.excluded[name] for name in columns[2:]} | {"phase": "ahead"}
    return statement.on_conflict_do_update(index_elements=["session_instance_id", "opens_at"], set_=replaced)


_INSERT = _insert_or_replace()
