"""The two notification channels. A payload is only an id: the receiver reads from the tables what is true now.

session_changed  our triggers send an empty payload: "serve the requests"; an app may send a session id
active_changed   a pass sends a session instance id with each flip, or an empty payload for "read everything again"
"""

from collections.abc import Collection

from sqlalchemy import ARRAY, Connection, Text, bindparam, func, select

from core.db.transactions import after_commit

SESSION_CHANGED = "session_changed"
ACTIVE_CHANGED = "active_changed"
MOST_PAYLOADS = 20  # per call; for more instances we send one empty payload


def active_changed(connection: Connection, instance_ids: Collection[int]) -> None:
    """Notify the app and its pages that these instances flipped or that people joined them.

    A transaction of our own notifies after its commit, and as well as can be; a hook's notifies at the app's commit.
    """
    if not instance_ids:
        return
    payloads = [str(id_) for id_ in sorted(instance_ids)] if len(instance_ids) <= MOST_PAYLOADS else [""]
    if not after_commit(connection, ACTIVE_CHANGED, payloads):
        connection.execute(_NOTIFY_ACTIVE_CHANGED, {"payloads": payloads})


_NOTIFY_ACTIVE_CHANGED = select(func.pg_notify(ACTIVE_CHANGED, func.unnest(bindparam("payloads", type_=ARRAY(Text)))))
