"""What evenings were before they were changed."""

from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- it is a class

KEEP = """
    INSERT INTO session_instance_history (session_instance_id, operation, changed_by_user_id, was)
    SELECT session_instance_id, %s, %s, to_jsonb(i) FROM session_instance i WHERE session_instance_id = %s
"""


def keep(cursor: Cursor, instance_id: int, operation: str, by: int) -> None:
    """Keep an evening as it is, because `by` is about to change it."""
    cursor.execute(KEEP, (operation, by, instance_id))
