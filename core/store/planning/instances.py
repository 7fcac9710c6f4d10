"""Makes, retimes, binds and deletes the instances of a chunk of sessions, in a handful of statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from itertools import chain

from psycopg2.errors import NotNullViolation
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Date,
    Row,
    Select,
    Time,
    column,
    delete,
    insert,
    select,
    table,
    text,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.exc import IntegrityError

from core.models import LocalDateTime, MusicSession, PlannedInstance, SessionInstance, SkippedOccurrence
from core.rules.planner import Binding, NewInstance, Plan, RetimedInstance
from core.store.arrays import ValueTable, is_in
from core.store.planning.snapshots import ROW_CONTENT, UNTOUCHED


def lock(connection: Connection, ids: Collection[int]) -> frozenset[int]:
    """Lock these instances, except those that another transaction holds; return the ids of the locked ones."""
    return _locked(connection, _LOCK, ids)


_LOCK = (
    select(SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
    .with_for_update(key_share=True, skip_locked=True)
)


def lock_keys(connection: Connection, ids: Collection[int]) -> frozenset[int]:
    """Lock these instances as a foreign key does, and return their ids: nobody can delete one before we commit.

    Other transactions may still update them. Instances that another transaction deletes are skipped.
    """
    return _locked(connection, _LOCK_KEYS, ids)


_LOCK_KEYS = (
    select(SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
    .with_for_update(read=True, key_share=True, skip_locked=True)
)


def lock_parents(connection: Connection, session_ids: Collection[int]) -> frozenset[int]:
    """Lock these sessions, as the foreign key of their new instances will, but without waiting; return their ids."""
    return _locked(connection, _LOCK_PARENTS, session_ids)


_LOCK_PARENTS = (
    select(MusicSession.session_id)
    .where(is_in(MusicSession.session_id))
    .with_for_update(read=True, key_share=True, skip_locked=True)
)


def _locked(connection: Connection, statement: Select[int], ids: Collection[int]) -> frozenset[int]:
    return frozenset(connection.scalars(statement, {"ids": ids}).all()) if ids else frozenset()


def delete_unreferenced(connection: Connection, deletable: frozenset[int]) -> frozenset[int]:
    """Delete those of these instances that no row of the app refers to (P4); return their ids.

    1. Lock the instances FOR UPDATE, except those that another transaction holds.
    2. Only then read, in a later statement, which of them the app refers to. If we read first, the app could insert a
       reference before we lock; our delete would then cascade to the app's new row.
    3. Delete the others.
    """
    if not deletable:
        return frozenset()
    locked = frozenset(connection.scalars(_LOCK_TO_DELETE, {"ids": deletable}))
    unreferenced = locked - referenced(connection, locked)
    return frozenset(connection.scalars(_DELETE, {"ids": unreferenced}))


_LOCK_TO_DELETE = (
    select(SessionInstance.session_instance_id)
    .where(is_in(SessionInstance.session_instance_id))
    .with_for_update(skip_locked=True)
)
_DELETE = (
    delete(SessionInstance)
    .where(is_in(SessionInstance.session_instance_id))
    .returning(SessionInstance.session_instance_id)
)


# Our own tables that refer to an instance. Their rows are deleted with it.
OWN_TABLES = ("planned_instance", "activation_window", "active_instance")

# Raw SQL, because SQLAlchemy Core has no tables for the catalogue.
_FOREIGN_KEYS = text(
    """
    SELECT n.nspname, c.relname, a.attname
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute target ON target.attrelid = k.confrelid AND target.attname = 'session_instance_id'
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[array_position(k.confkey, target.attnum)]
    WHERE k.contype = 'f' AND k.confrelid = 'session_instance'::regclass AND k.conparentid = 0
    AND c.relname <> ALL (:own)
    """
)


def referenced(connection: Connection, instance_ids: Collection[int]) -> frozenset[int]:
    """Return which of these instances some row of the app refers to, by any foreign key in the database."""
    keys = connection.execute(_FOREIGN_KEYS, {"own": list(OWN_TABLES)}).all()
    queries = [_referring(key.nspname, key.relname, key.attname) for key in keys]
    if not queries:
        return frozenset()
    return frozenset(connection.scalars(union_all(*queries), {"ids": instance_ids}))


def _referring(schema: str, name: str, key: str) -> Select[int]:
    reference = column(key, BigInteger())
    return select(reference).select_from(table(name, reference, schema=schema)).where(is_in(reference))


def make(connection: Connection, plans: Sequence[Plan]) -> dict[tuple[int, int], int]:
    """Insert the new instances of these plans, and bind them; return (session id, the planner's key) -> instance id."""
    new = {(plan.session_id, instance.binding.start): instance for plan in plans for instance in plan.made}
    if not new:
        return {}
    rows = [
        (session_id, instance.date, instance.start_time, instance.end_time) for (session_id, _), instance in new.items()
    ]
    made = _insert(connection, rows)
    ids = {(session_id, datetime.combine(day, start or time.min)): row_id for row_id, session_id, day, start in made}
    _bind_made(connection, {row_id: (where[0], new[where]) for where, row_id in ids.items()})
    _unskip(connection, ids)
    return {(where[0], new[where].key): row_id for where, row_id in ids.items()}


def _insert(connection: Connection, rows: Sequence[tuple[object, ...]]) -> list[Row[int, int, date, time | None]]:
    """Insert the rows, except those that leave a NOT NULL column of the app empty.

    If the rows fail together, each half is inserted alone, and a half that fails in halves again. The savepoint keeps
    the pass going: existing instances get their windows in any case. `core.store.views.reports` names the column.
    """
    try:
        with connection.begin_nested():
            return [*connection.execute(_MAKE, _NEW.of(rows))]
    except IntegrityError as error:
        if not isinstance(error.orig, NotNullViolation):
            raise
    if len(rows) == 1:
        return []
    middle = len(rows) // 2
    return _insert(connection, rows[:middle]) + _insert(connection, rows[middle:])


_NEW = ValueTable("new", {"session_id": BigInteger(), "date": Date(), "start_time": Time(), "end_time": Time()})
_MAKE = (
    insert(SessionInstance)
    .from_select(["session_id", "date", "start_time", "end_time"], select(_NEW.table))
    .returning(
        SessionInstance.session_instance_id,
        SessionInstance.session_id,
        SessionInstance.date,
        SessionInstance.start_time,
    )
)


def _bind_made(connection: Connection, made: Mapping[int, tuple[int, NewInstance]]) -> None:
    """Bind the new rows to their occurrences, and record what we wrote, to see later whether anybody changed a row."""
    bindings = {row_id: (session_id, instance.binding) for row_id, (session_id, instance) in made.items()}
    connection.execute(_BIND_MADE, _bindings(bindings))


_BINDING_COLUMNS = ["session_instance_id", "session_id", "occurrence_start", "occurrence_end", "lost", "moved"]
_BOUND = ValueTable(
    "bound",
    dict(
        zip(
            _BINDING_COLUMNS,
            (BigInteger(), BigInteger(), LocalDateTime, LocalDateTime, Boolean(), Boolean()),
            strict=True,
        )
    ),
)
_BIND_MADE = insert(PlannedInstance).from_select(
    [*_BINDING_COLUMNS, "written"],
    select(_BOUND.table, ROW_CONTENT).join_from(
        _BOUND.table, SessionInstance, SessionInstance.session_instance_id == _BOUND.c.session_instance_id
    ),
)


def _bindings(bound: Mapping[int, tuple[int, Binding]]) -> dict[str, list[object]]:
    return _BOUND.of(
        [
            (row_id, session_id, binding.start, binding.end, binding.lost, binding.moved)
            for row_id, (session_id, binding) in bound.items()
        ]
    )


def _unskip(connection: Connection, made: Iterable[tuple[int, datetime]]) -> None:
    """Remove the occurrences of these new instances from the skipped ones: somebody asked for one by its start (P1)."""
    connection.execute(_UNSKIP, _MADE.of(list(made)))


_MADE = ValueTable("made", {"session_id": BigInteger(), "start": LocalDateTime})
_UNSKIP = delete(SkippedOccurrence).where(
    tuple_(SkippedOccurrence.session_id, SkippedOccurrence.occurrence_start).in_(select(_MADE.table))
)


def retime(connection: Connection, retimed: Sequence[RetimedInstance]) -> tuple[int, ...]:
    """Give these instances, which are locked, the times of their occurrences (P3); return their ids."""
    if not retimed:
        return ()
    times = _RETIMED.of([(row.session_instance_id, row.date, row.start_time, row.end_time) for row in retimed])
    ids = [row.session_instance_id for row in retimed]
    untouched = connection.scalars(_UNTOUCHED, {"ids": ids}).all()
    connection.execute(_RETIME, times)
    note_written(connection, untouched)
    return tuple(ids)


_RETIMED = ValueTable(
    "retimed", {"session_instance_id": BigInteger(), "date": Date(), "start_time": Time(), "end_time": Time()}
)
_TIMES = {name: _RETIMED.c[name] for name in ("date", "start_time", "end_time")}
_RETIME = (
    update(SessionInstance).where(SessionInstance.session_instance_id == _RETIMED.c.session_instance_id).values(_TIMES)
)
# A row that somebody touched before stays touched.
_SAME_ROW = PlannedInstance.session_instance_id == SessionInstance.session_instance_id
_UNTOUCHED = (
    select(PlannedInstance.session_instance_id)
    .join(SessionInstance, _SAME_ROW)
    .where(is_in(PlannedInstance.session_instance_id), UNTOUCHED)
)


def note_written(connection: Connection, instance_ids: Collection[int]) -> None:
    """Note that these rows, which this transaction has written, are as we wrote them.

    A trigger of the app's may have set more than we did, for example the date of the last change: no person's touch.
    """
    if instance_ids:
        connection.execute(_NOTE_WRITTEN, {"ids": instance_ids})


_NOTE_WRITTEN = (
    update(PlannedInstance).where(is_in(PlannedInstance.session_instance_id), _SAME_ROW).values(written=ROW_CONTENT)
)


def bind(connection: Connection, plans: Sequence[Plan], deleted: frozenset[int]) -> None:
    """Write which occurrence each instance of these plans is bound to; leave out the `deleted` instances."""
    bound = {
        row_id: (plan.session_id, binding)
        for plan in plans
        for row_id, binding in plan.bound.items()
        if row_id not in deleted
    }
    unbound = frozenset(chain.from_iterable(plan.unbound for plan in plans))
    if unbound:
        connection.execute(_UNBIND, {"ids": unbound})
    if bound:
        connection.execute(_BIND, _bindings(bound))


def _insert_or_rebind() -> Insert:
    statement = postgresql.insert(PlannedInstance).from_select(_BINDING_COLUMNS, select(_BOUND.table))
    return statement.on_conflict_do_update(
        index_elements=["session_instance_id"],
        set_={name: statement.excluded[name] for name in _BINDING_COLUMNS[1:]},
    )


_UNBIND = delete(PlannedInstance).where(is_in(PlannedInstance.session_instance_id))
_BIND = _insert_or_rebind()
