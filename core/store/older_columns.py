"""During a take-over: counts the rows whose older column differs from ours, and brings them into line.

Triggers keep the two equal (`core.migrations.older_columns`). They do not run for what was written before the take-over
began, nor for what somebody writes with `session_replication_role = replica`. A partial index has the rows that differ.
"""

from functools import cache

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    TableClause,
    Update,
    bindparam,
    column,
    false,
    func,
    select,
    table,
    update,
)

from core import choices
from core.choices import OLDER_ACTIVE, OLDER_POINTER
from core.store.arrays import is_in
from core.store.planning import instances

MOST = 500  # in one transaction


def differing(connection: Connection) -> int:
    """Return how many rows differ; 0 where nothing is mirrored."""
    chosen = choices.read(connection, may_read=True)
    counts = [_count(kind, chosen[kind]) for kind in (OLDER_ACTIVE, OLDER_POINTER) if kind in chosen]
    return sum(connection.execute(each).scalar_one() for each in counts)


def bring_into_line(connection: Connection) -> int:
    """Set at most `MOST` older bits and as many older pointers from ours; return how many.

    It leaves out rows that another transaction holds, and people at an instance that another transaction holds so that
    the app's foreign key would wait for it.
    """
    chosen = choices.read(connection, may_read=True)
    changed = 0
    if name := chosen.get(OLDER_ACTIVE):
        changed += connection.execute(_set_bits(name), {"most": MOST}).rowcount
    if name := chosen.get(OLDER_POINTER):
        there = connection.execute(_lock_people(name), {"most": MOST}).all()
        held = instances.lock_keys(connection, {to for _, to in there if to is not None})
        free = [person_id for person_id, to in there if to is None or to in held]
        changed += connection.execute(_set_pointers(name), {"ids": free}).rowcount
    return changed


def _instances(name: str) -> TableClause:
    of_ours = (column("session_instance_id", BigInteger()), column("active", Boolean()))
    return table("session_instance", *of_ours, column(name, Boolean()))


def _people(name: str) -> TableClause:
    of_ours = (column("person_id", BigInteger()), column("active_session_instance_id", BigInteger()))
    return table("person", *of_ours, column(name, BigInteger()))


def _differs(kind: str, of: TableClause, name: str) -> ColumnElement[bool]:
    """Return the condition, as the indexes of `core.migrations.older_columns` state it."""
    if kind == OLDER_ACTIVE:
        return func.coalesce(of.c[name], false()) != of.c.active
    return of.c[name].is_distinct_from(of.c.active_session_instance_id)


@cache
def _count(kind: str, name: str) -> Select[int]:
    of = _instances(name) if kind == OLDER_ACTIVE else _people(name)
    return select(func.count()).select_from(of).where(_differs(kind, of, name))


_MOST = bindparam("most", type_=Integer())


@cache
def _set_bits(name: str) -> Update:
    of = _instances(name)
    id_ = of.c.session_instance_id
    free = select(id_).where(_differs(OLDER_ACTIVE, of, name)).order_by(id_).limit(_MOST)
    locked = free.with_for_update(key_share=True, skip_locked=True).scalar_subquery()
    return update(of).where(id_ == func.any(func.array(locked))).values({name: of.c.active})


@cache
def _lock_people(name: str) -> Select[int, int | None]:
    of = _people(name)
    free = select(of.c.person_id, of.c.active_session_instance_id).where(_differs(OLDER_POINTER, of, name))
    return free.order_by(of.c.person_id).limit(_MOST).with_for_update(key_share=True, skip_locked=True)


@cache
def _set_pointers(name: str) -> Update:
    of = _people(name)
    return update(of).where(is_in(of.c.person_id)).values({name: of.c.active_session_instance_id})
