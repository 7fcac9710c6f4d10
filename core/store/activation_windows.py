"""Reads the stored windows, which are the schedule itself, and replaces them by the planned ones."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    bindparam,
    case,
    delete,
    func,
    select,
    tuple_,
    union_all,
)
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
    found = connection.execute(_STORED, {"ids": session_ids, "now": now})
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


def replace(
    connection: Connection, gone: Windows, new: Windows, requested: Mapping[int, datetime], now: datetime
) -> None:
    """Delete the windows that are gone, and write the new ones, as of `now`.

    A new window has been wanted since its session was requested (`requested`: session id -> instant), else since `now`.
    """
    rewritten = {(window.session_instance_id, window.opens_at) for window in new}
    keys = [(window.session_instance_id, window.opens_at) for window in gone]
    if deleted := [key for key in keys if key not in rewritten]:
        connection.execute(_DELETE, _GONE.of(deleted))
    if new:
        rows = [(*window, min(requested.get(window.session_id, now), now)) for window in new]
        connection.execute(_INSERT, _PLANNED.of(rows))


_GONE = ValueTable("gone", {"session_instance_id": BigInteger(), "opens_at": INSTANT})
_DELETE = delete(ActivationWindow).where(
    ActivationWindow.session_instance_id == _GONE.c.session_instance_id,
    ActivationWindow.opens_at == _GONE.c.opens_at,
)


def delete_of(connection: Connection, session_ids: Collection[int]) -> int:
    """Delete the windows of these sessions, which exist no more; return how many.

    It skips those that another pass is deleting.
    """
    return connection.execute(_DELETE_OF, {"ids": session_ids}).rowcount


_KEY = tuple_(ActivationWindow.session_instance_id, ActivationWindow.opens_at)
_OF_SESSIONS = select(*_KEY).where(is_in(ActivationWindow.session_id))
_DELETE_OF = delete(ActivationWindow).where(_KEY.in_(_OF_SESSIONS.with_for_update(skip_locked=True)))


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
    # A window of the past may stand under the same key: the instance was moved, and now moves back. One that is not
    # over, and opens at the same instant, has been wanted since before: only its end changes.
    window, new = ActivationWindow, statement.excluded
    wanted_since = case((window.phase == "over", new.planned_at), else_=func.least(window.planned_at, new.planned_at))
    replaced = {name: new[name] for name in columns[2:]} | {"phase": "ahead", "planned_at": wanted_since}
    return statement.on_conflict_do_update(index_elements=["session_instance_id", "opens_at"], set_=replaced)


_INSERT = _insert_or_replace()
