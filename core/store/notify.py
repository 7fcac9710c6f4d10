"""The two notification channels. A payload carries an id only: whoever receives it reads what is true now.

session_changed  sent by our triggers on the app's tables, and by any app: a session id, or empty for "reconcile"
active_changed   sent with every flip: a session instance id, or empty for "read again"
"""

from collections.abc import Collection

from sqlalchemy import ARRAY, Connection, Text, bindparam, func, select

SESSION_CHANGED = "session_changed"
ACTIVE_CHANGED = "active_changed"
MOST_PAYLOADS = 20  # in one transaction; more become one empty payload


def active_changed(connection: Connection, instance_ids: Collection[int]) -> None:
    """Notify the app and its pages that these instances flipped; PostgreSQL delivers it at the commit."""
    if not instance_ids:
        return
    payloads = [str(id_) for id_ in sorted(instance_ids)] if len(instance_ids) <= MOST_PAYLOADS else [""]
    connection.execute(_NOTIFY_ACTIVE_CHANGED, {"payloads": payloads})


_NOTIFY_ACTIVE_CHANGED = select(func.pg_notify(ACTIVE_CHANGED, func.unnest(bindparam("payloads", type_=ARRAY(Text)))))
