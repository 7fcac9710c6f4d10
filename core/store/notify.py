"""The two notification channels, and whether the app's own transactions notify.

A payload is only an id: the receiver reads from the tables what is true now.

session_changed  our triggers send an empty payload: "serve the requests"; an app may send a session id
active_changed   a pass sends a session instance id with each flip, or an empty payload for "read everything again"
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Text, case, cast, exists, func, select

from core.db.transactions import after_commit
from core.models import Choice, SessionInstance
from core.store.arrays import IdColumn, is_in

SESSION_CHANGED = "session_changed"
ACTIVE_CHANGED = "active_changed"
MOST_PAYLOADS = 20  # per call; for more instances we send one empty payload


def active_changed(connection: Connection, instance_ids: Collection[int]) -> None:
    """Notify the app and its pages that these instances flipped or that people joined them.

    A transaction of our own notifies after its commit, and as well as can be. A hook's notifies at the app's commit;
    or, if the app's transactions do not notify now, it requests these sessions, and the daemon notifies.
    """
    if not instance_ids:
        return
    payloads = [str(id_) for id_ in instance_ids] if len(instance_ids) <= MOST_PAYLOADS else [""]
    if not after_commit(connection, ACTIVE_CHANGED, payloads):
        connection.execute(_TELL_AT_COMMIT[payloads == [""]], {"ids": instance_ids})


def app_notifies(connection: Connection) -> bool:
    """Return whether the app's own transactions notify: this database has not chosen otherwise, and there is room."""
    return not connection.scalar(select(_IS_QUIET))


_ALMOST_FULL = 0.9  # as in the function of the triggers
_CHOSEN_OFF = exists().where(Choice.name == "notifications", Choice.value == "off")
_IS_QUIET = _CHOSEN_OFF | (func.pg_notification_queue_usage() >= _ALMOST_FULL)


def queue_usage(connection: Connection) -> float:
    """Return how full the server's notification queue is, 0 to 1; at 1 commits that notify fail."""
    return float(connection.scalar(_QUEUE_USAGE) or 0)


_QUEUE_USAGE = select(func.pg_notification_queue_usage())


def at_commit(session_id: IdColumn, instance_id: IdColumn | None) -> ColumnElement[Any]:
    """Return what notifies of an instance (None: of everything) at the app's commit, for each row of a statement.

    If the app's transactions do not notify now, it requests the session.
    """
    payload = "" if instance_id is None else cast(instance_id, Text)
    request = func.seisiun_request_about(cast(session_id, BigInteger), cast("people", Text))
    return case((_IS_QUIET, request), else_=func.pg_notify(ACTIVE_CHANGED, payload))


# One statement: in a hook the app's user waits.
_TELL_AT_COMMIT = {
    everything: select(
        at_commit(SessionInstance.session_id, None if everything else SessionInstance.session_instance_id)
    ).where(is_in(SessionInstance.session_instance_id))
    for everything in (False, True)
}
