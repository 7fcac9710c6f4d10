"""The log of flips as an app reads it: in order, from where it stopped, and each row once.

Rows become visible at commits, and commits come in another order than ids. So a reader cannot go by the last id alone:
a transaction that took a lower id may commit later. A `Position` says also which transactions had not committed when
the reader read. Rows of exactly those are then read too, when they appear.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import Connection, text

from core.errors import InvalidPage
from core.rules.flips import Cause, Change

_CURSOR = re.compile(r"(\d{1,18})@(\d{1,18})((?:,\d{1,18})*)", re.ASCII)
_NEVER = 10**18 - 1  # no transaction has this id


@dataclass(frozen=True, slots=True)
class Transition:
    """A flip that an edge or an edit explains: what it means, when it was due, and when it was done.

    `transition_id` is unique. For one instance the ids are in the order in which things happened. `cancel_reason`: why
    the instance is cancelled, as it stands now; None if it is not, or nobody said why.
    """

    transition_id: int
    session_instance_id: int
    session_id: int
    change: Change
    due_at: datetime
    done_at: datetime
    cause: Cause
    cancel_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands: it has read each row up to `last_id`, except those of unfinished transactions.

    Unfinished were the transactions `running`, and all from `next_xact` on.
    """

    last_id: int = 0
    next_xact: int = _NEVER
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Raises `InvalidPage`."""
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise InvalidPage(f"{cursor!r} is no cursor; accepted: None for the first page, and then each page's own")
        return cls(int(found[1]), int(found[2]), tuple(map(int, found[3].split(",")[1:])))

    def __str__(self) -> str:
        """Return the cursor."""
        return f"{self.last_id}@{','.join(map(str, (self.next_xact, *self.running)))}"


def transitions(connection: Connection, after: Position, limit: int) -> tuple[list[Transition], Position]:
    """Return the next transitions by id, and the position after them.

    They are at most `limit`, and besides all that were committed late, with ids up to `after.last_id`.
    """
    rows = connection.execute(_TRANSITIONS, _values(after, limit)).all()
    snapshot, own = rows[0][:2]
    found = [
        Transition(id_, instance_id, session_id, Change(change), due_at, done_at, Cause(cause), reason)
        for _, _, id_, instance_id, session_id, change, due_at, done_at, cause, reason in rows
        if id_ is not None
    ]
    return found, _position(max([after.last_id, *(each.transition_id for each in found)]), snapshot, own)


def _values(after: Position, limit: int) -> dict[str, int | str]:
    running = f"{{{','.join(map(str, after.running))}}}"
    return {"last_id": after.last_id, "next_xact": str(after.next_xact), "running": running, "limit": limit}


def _position(last_id: int, snapshot: str, own: str | None) -> Position:
    """`snapshot` is PostgreSQL's text, `xmin:xmax:running,...`; it does not name the reader's own transaction."""
    _, next_xact, running = snapshot.split(":")
    unfinished = (int(each) for each in (*running.split(","), own) if each)
    return Position(last_id, int(next_xact), tuple(each for each in unfinished if each < int(next_xact)))


# Raw SQL: SQLAlchemy Core has no type for snapshots. One statement, so that the rows and the snapshot agree. What the
# reader's own transaction has written comes after its commit, as for every other reader.
_TRANSITIONS = text(
    """
    WITH late AS (
        SELECT * FROM activation_log WHERE xact_id = ANY (CAST(:running AS xid8[]))
        UNION ALL
        SELECT * FROM activation_log
        WHERE xact_id >= CAST(:next_xact AS xid8) AND xact_id < pg_snapshot_xmax(pg_current_snapshot())
    ), unread AS (
        SELECT * FROM late WHERE activation_log_id <= :last_id
        AND xact_id IS DISTINCT FROM pg_current_xact_id_if_assigned() AND cause <> 'repair'
        UNION ALL
        (
            SELECT * FROM activation_log WHERE activation_log_id > :last_id
            AND xact_id IS DISTINCT FROM pg_current_xact_id_if_assigned() AND cause <> 'repair'
            ORDER BY activation_log_id LIMIT :limit
        )
    )
    SELECT CAST(pg_current_snapshot() AS text), CAST(pg_current_xact_id_if_assigned() AS text),
        activation_log_id, session_instance_id, unread.session_id,
        coalesce(change, CASE WHEN unread.active THEN 'opened' ELSE 'closed' END), due_at, done_at, cause,
        CASE WHEN is_cancelled THEN cancel_reason END
    FROM (VALUES (true)) AS always(is_there) LEFT JOIN unread ON is_there
    LEFT JOIN session_instance USING (session_instance_id)
    ORDER BY activation_log_id
    """
)
