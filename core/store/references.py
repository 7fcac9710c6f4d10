"""Who refers to an instance: every foreign key in the database is asked, the app's own too (P4)."""

from collections.abc import Collection

from sqlalchemy import BigInteger, Connection, Select, column, select, table, text, union_all

from core.store.arrays import is_in

# What refers to an instance among our own tables goes with it.
OWN_TABLES = ("planned_instance", "activation_window", "active_instance")

# The catalogue: Core has no tables for it.
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
    """Return those of the instances that some row of the app refers to."""
    keys = connection.execute(_FOREIGN_KEYS, {"own": list(OWN_TABLES)}).all()
    queries = [_referring(key.nspname, key.relname, key.attname) for key in keys]
    if not queries or not instance_ids:
        return frozenset()
    return frozenset(connection.scalars(union_all(*queries), {"ids": sorted(instance_ids)}))


def _referring(schema: str, name: str, key: str) -> Select[int]:
    reference = column(key, BigInteger())
    return select(reference).select_from(table(name, reference, schema=schema)).where(is_in(reference))
