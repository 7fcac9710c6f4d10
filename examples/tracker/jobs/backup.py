"""Print all rows of all tables as INSERT statements, with their ids.

To restore: make the tables, then run the output as a superuser. It replaces what is in the tables.
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class
from psycopg2.extensions import quote_ident

sys.path.insert(0, str(Path(__file__).parents[1]))

from tracker import db

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
COLUMNS = """
    SELECT attname, pg_get_serial_sequence(quote_ident(%(table)s), attname) AS sequence FROM pg_attribute
    WHERE attrelid = quote_ident(%(table)s)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


def backup(connection: Connection) -> Iterator[str]:
    """Yield the statements."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        tables = [row["tablename"] for row in cursor.fetchall()]
    yield "BEGIN;"
    yield "SET LOCAL session_replication_role = replica;"  # no trigger changes what was saved
    yield f"TRUNCATE {', '.join(quote_ident(table, connection) for table in tables)};"
    for table in tables:
        yield from _rows(connection, table)
    yield "COMMIT;"


def _rows(connection: Connection, table: str) -> Iterator[str]:
    name = quote_ident(table, connection)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, {"table": table})
        columns = {quote_ident(row["attname"], connection): row["sequence"] for row in cursor.fetchall()}
        literals = ", ".join(f"quote_nullable({column}::text)" for column in columns)
        cursor.execute(f"SELECT concat_ws(', ', {literals}) AS literals FROM {name}")
        for row in cursor.fetchall():
            yield f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({row['literals']});"
    for column, sequence in columns.items():
        if sequence:
            yield f"SELECT setval('{sequence}', coalesce(max({column}), 0) + 1, false) FROM {name};"


if __name__ == "__main__":
    with closing(db.connect()) as opened:
        for statement in backup(opened):
            print(statement)
