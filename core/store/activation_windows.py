"""The stored windows: the schedule itself, brought to what was planned."""

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
    """Return what is true of the windows of the sessions `ids` that are not history at `now`; an index serves each.

    Those that are not over; and those that are taken to be, though they have not closed: the clock was set back.
    """
    window = ActivationWindow
    ours, now = is_in(window.session_id), bindparam("now", type_=INSTANT)
    return ours & (window.phase != "over"), ours & (window.phase == "over") & (window.closes_at > now)


def is_open(window: type[ActivationWindow]) -> ColumnElement[bool]:
    """Return what is true of an open window, written so that the windows of known instances are found by instance.

    Statistics of before an evening's openings say that next to nothing is open; by an index of what is, all of it would
    be read for each instance.
    """
    return (window.phase != "over") & (window.phase != "ahead")


def stored(connection: Connection, session_ids: Iterable[int], now: datetime) -> Windows:
    """Return the windows of these sessions that are not history."""
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
    """Return what is to be deleted, and what to be written: what stands stays, and what is over is not written."""
    return before - planned, frozenset(window for window in planned - before if window.closes_at > now)


def replace(connection: Connection, gone: Windows, new: Windows, now: datetime) -> None:
    """Delete these, then write those, as planned at `now`."""
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
    # A window of the past may stand under the same key: the instance was moved, and now moves back.
    replaced = {name: statement.excluded[name] for name in columns[2:]} | {"phase": "ahead"}
    return statement.on_conflict_do_update(index_elements=["session_instance_id", "opens_at"], set_=replaced)


_INSERT = _insert_or_replace()
