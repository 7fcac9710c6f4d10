"""What happened, written down by the database itself: triggers append a row for every bit that changes.

A row is written in the flip's own transaction, so it stands exactly when the flip does; `pg_xact_commit_timestamp`
tells when that was.
"""

from collections.abc import Sequence

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute
from tests.faults.checker import DELETED, Flip, Logged

INSTALL = (
    """
    CREATE TABLE flip_history (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subject text NOT NULL,
        session_id bigint,
        active boolean NOT NULL,
        begun_at timestamptz NOT NULL DEFAULT now(),
        by text NOT NULL DEFAULT current_setting('application_name')
    )
    """,
    """
    CREATE FUNCTION history_of_instance() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
    AS $$ BEGIN
        INSERT INTO flip_history (subject, session_id, active)
        VALUES ('instance ' || NEW.session_instance_id, NEW.session_id, NEW.active);
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE FUNCTION history_of_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
    AS $$ BEGIN
        INSERT INTO flip_history (subject, session_id, active, by)
        VALUES ('instance ' || OLD.session_instance_id, OLD.session_id, false, '{DELETED}');
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION history_of_person() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
    AS $$ BEGIN
        INSERT INTO flip_history (subject, active)
        SELECT 'person ' || NEW.person_id || ' at ' || moved.instance, moved.active
        FROM (VALUES (OLD.active_session_instance_id, false), (NEW.active_session_instance_id, true))
            moved (instance, active)
        WHERE moved.instance IS NOT NULL;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'flip_history is append-only'; END $$
    """,
    """
    CREATE TRIGGER history_flipped AFTER UPDATE OF active ON session_instance FOR EACH ROW
    WHEN (OLD.active IS DISTINCT FROM NEW.active) EXECUTE FUNCTION history_of_instance()
    """,
    """
    CREATE TRIGGER history_inserted AFTER INSERT ON session_instance FOR EACH ROW
    WHEN (NEW.active) EXECUTE FUNCTION history_of_instance()
    """,
    """
    CREATE TRIGGER history_deleted AFTER DELETE ON session_instance FOR EACH ROW
    WHEN (OLD.active) EXECUTE FUNCTION history_of_deletion()
    """,
    """
    CREATE TRIGGER history_moved AFTER UPDATE OF active_session_instance_id ON person FOR EACH ROW
    WHEN (OLD.active_session_instance_id IS DISTINCT FROM NEW.active_session_instance_id)
    EXECUTE FUNCTION history_of_person()
    """,
    """
    CREATE TRIGGER history_append_only BEFORE UPDATE OR DELETE ON flip_history
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()
    """,
)


def install(admin: Connection) -> None:
    for statement in INSTALL:
        execute(admin, statement)


def flips(admin: Connection) -> list[tuple[int | None, Flip]]:
    """Return (session id, flip) of all that happened, in the order of the commits."""
    rows = execute(
        admin,
        "SELECT session_id, subject, active, extract(epoch FROM begun_at)::float8, "
        "extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8, by "
        "FROM flip_history ORDER BY pg_xact_commit_timestamp(xmin), number",
    )
    return [(session_id, Flip(*flip)) for session_id, *flip in rows]


def log(admin: Connection) -> list[Logged]:
    """Return the product's own log, in the order in which it was written."""
    rows = execute(
        admin,
        "SELECT 'instance ' || session_instance_id, active, extract(epoch FROM done_at)::float8, cause "
        "FROM activation_log ORDER BY activation_log_id",
    )
    return [Logged(*row) for row in rows]


def unfinished(admin: Connection) -> Sequence[str]:
    """Return what is not as it should be when all has been quiet for a while, in words."""
    return [f"{what}: {row}" for what, statement in AT_REST.items() for row in execute(admin, statement)]


AT_REST = {
    "a bit that is not what its windows say": """
        SELECT i.session_instance_id, i.active, i.is_cancelled, (
            SELECT string_agg(phase || ' ' || opens_at || ' ' || closes_at || ' ' || planned_at, ', ')
            FROM activation_window w WHERE w.session_instance_id = i.session_instance_id
        ) FROM session_instance i WHERE i.active IS DISTINCT FROM EXISTS (
            SELECT FROM activation_window w WHERE w.session_instance_id = i.session_instance_id
            AND closes_at > clock_timestamp()
            -- what is on stays on if it opens within a minute (L2)
            AND opens_at <= clock_timestamp() + CASE WHEN i.active THEN interval '1 minute' ELSE interval '0' END)
    """,
    "a bit and its mirror disagree": """
        SELECT session_instance_id FROM (SELECT session_instance_id FROM session_instance WHERE active) bits
        FULL JOIN active_instance mirror USING (session_instance_id)
        WHERE bits.session_instance_id IS NULL OR mirror.session_instance_id IS NULL
    """,
    "a person at an instance that is not on, or that they never said yes to": """
        SELECT person_id, active_session_instance_id FROM person
        WHERE active_session_instance_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM session_instance i JOIN session_instance_person said USING (session_instance_id)
            WHERE i.session_instance_id = person.active_session_instance_id AND i.active
            AND said.person_id = person.person_id AND said.attendance = 'yes')
    """,
    "a person who said yes to what is on, and is nowhere": """
        SELECT said.person_id, said.session_instance_id FROM session_instance_person said
        JOIN session_instance i USING (session_instance_id) JOIN person USING (person_id)
        WHERE i.active AND said.attendance = 'yes' AND person.active_session_instance_id IS NULL
    """,
    "a request that nobody dealt with": "SELECT request_id, session_id, requested_at FROM plan_request",
}
