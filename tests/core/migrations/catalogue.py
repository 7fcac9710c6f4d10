"""What a database's catalogue holds, as text: compared between runs, and with what is expected."""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute

PARTS = {
    "column": """
        SELECT c.relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
            || CASE WHEN attnotnull THEN ' not null' ELSE '' END || attidentity::text
            || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped
    """,
    "constraint": """
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
            || CASE WHEN convalidated THEN '' ELSE ' not valid' END
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    """,
    "index": """
        SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' invalid' END
        FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace
    """,
    "trigger": """
        SELECT pg_get_triggerdef(oid) || ' ' || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
    """,
    "function": """
        SELECT oid::regprocedure || ' ' || prosecdef || ' ' || coalesce(array_to_string(proconfig, ';'), '') || prosrc
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
}


def catalogue(connection: Connection) -> dict[str, list[str]]:
    """Return every column, constraint, index, trigger and function, in full, sorted."""
    return {part: sorted(row[0] for row in execute(connection, query)) for part, query in PARTS.items()}
