"""Compares the active bits, their mirror `active_instance` and the people who point to it; puts right what differs.

Our triggers and a foreign key keep the three equal. They do not run for what somebody writes with
`session_replication_role = replica`, as some restores and bulk loads do.
"""

from collections.abc import Collection

from sqlalchemy import CompoundSelect, Connection, delete, exists, select, tuple_, union_all, update
from sqlalchemy.dialects import postgresql

from core.models import ActiveInstance, Person, SessionInstance
from core.store.arrays import is_in
from core.store.planning import instances
from core.store.presence import locations


def differing(connection: Connection) -> frozenset[int]:
    """Return the instances whose bit, row in the mirror and people do not agree.

    By index: PostgreSQL looks up each active bit, and each person who is somewhere, in a set of the mirror's rows, and
    each of those rows in a set of the active bits.
    """
    return frozenset(connection.scalars(_DIFFERING))


def settle(connection: Connection, instance_ids: Collection[int]) -> None:
    """Make the mirror of these instances what their bits say. The next pass compares the bits with the windows.

    1. Lock the instances, except those that another transaction holds, and those that exist no more.
    2. Delete from the mirror what is not active; the foreign key releases the people.
    3. Insert what is missing. If another instance of the session is in the mirror already, turn the bit off instead.
    4. Release the people who are at an instance that is not in the mirror.
    """
    held = frozenset(connection.scalars(_EXISTING, _ids(instance_ids))) - instances.lock(connection, instance_ids)
    free = _ids(frozenset(instance_ids) - held)
    for statement in (_DELETE, _INSERT, _TURN_OFF):
        connection.execute(statement, free)
    locations.release(connection, frozenset(connection.scalars(_NOT_IN_MIRROR, free)))


def _ids(ids: Collection[int]) -> dict[str, Collection[int]]:
    return {"ids": ids}


_BIT = (SessionInstance.session_instance_id, SessionInstance.session_id)
_ROW = (ActiveInstance.session_instance_id, ActiveInstance.session_id)
_BITS = select(*_BIT).where(SessionInstance.active)
# NOT IN, because PostgreSQL makes a set of the subquery's rows; a join by index would look up each row by itself.
_DIFFERING: CompoundSelect[int] = union_all(
    _BITS.where(tuple_(*_BIT).not_in(select(*_ROW))).with_only_columns(SessionInstance.session_instance_id),
    select(ActiveInstance.session_instance_id).where(tuple_(*_ROW).not_in(_BITS)),
    select(Person.active_session_instance_id).where(
        Person.active_session_instance_id.is_not(None),
        Person.active_session_instance_id.not_in(select(ActiveInstance.session_instance_id)),
    ),
)
_EXISTING = select(SessionInstance.session_instance_id).where(is_in(SessionInstance.session_instance_id))
_IN_MIRROR = exists().where(ActiveInstance.session_instance_id == SessionInstance.session_instance_id)
_DELETE = delete(ActiveInstance).where(
    is_in(ActiveInstance.session_instance_id),
    ~exists().where(
        SessionInstance.active,
        SessionInstance.session_instance_id == ActiveInstance.session_instance_id,
        SessionInstance.session_id == ActiveInstance.session_id,
    ),
)
_INSERT = (
    postgresql.insert(ActiveInstance)
    .from_select(["session_instance_id", "session_id"], _BITS.where(is_in(SessionInstance.session_instance_id)))
    .on_conflict_do_nothing()
)
_TURN_OFF = (
    update(SessionInstance)
    .where(is_in(SessionInstance.session_instance_id), SessionInstance.active, ~_IN_MIRROR)
    .values(active=False)
)
_NOT_IN_MIRROR = select(Person.active_session_instance_id).where(
    is_in(Person.active_session_instance_id),
    ~exists().where(ActiveInstance.session_instance_id == Person.active_session_instance_id),
)
