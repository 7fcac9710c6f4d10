"""The floor: the shortest SQL that changes the very rows that the product changes, whose ids it is told.

It runs on the same server and schema, so it pays for the same constraints, triggers, indexes, log rows and
notifications. It reads nothing, decides nothing, locks nothing beforehand, and would be wrong as soon as anybody else
wrote: no correct program can be as quick. Each is one round trip, and an edit's is two.
"""

from collections.abc import Mapping, Sequence

from psycopg2.extensions import connection as Connection  # noqa: N812 -- it is a class

from benchmarks.server import connect, run

# The planner's own writes, for which triggers ask for no pass; and the plans without which a foreign key's check is a
# sequential scan for as long as the connection lives, if the table was empty when it was made.
_BEGIN = "BEGIN; SELECT set_config('seisiun.own_write', 'on', true), set_config('enable_seqscan', 'off', true);"
_RING = "SELECT pg_notify('active_changed', ''); COMMIT"
_FLIP = """
    UPDATE session_instance SET active = true WHERE session_instance_id = ANY (%(ids)s);
    UPDATE person SET active_session_instance_id = said.session_instance_id FROM session_instance_person said
    WHERE said.session_instance_id = ANY (%(ids)s) AND said.attendance = 'yes' AND person.person_id = said.person_id;
"""
_LOG = """
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause)
    SELECT session_instance_id, session_id, true, opens_at, clock_timestamp(), %(cause)s FROM opened;
"""
OPEN = f"""
    {_BEGIN} {_FLIP}
    WITH opened AS (
        UPDATE activation_window SET phase = 'open' WHERE session_instance_id = ANY (%(ids)s)
        RETURNING session_instance_id, session_id, opens_at
    ) {_LOG} {_RING}
"""
_TAKE_REQUESTS = f"{_BEGIN} DELETE FROM plan_request RETURNING session_id"
_FOLLOW = f"""
    {_FLIP}
    UPDATE session_plan SET planned_through = now() + interval '1 day' WHERE session_id = ANY (%(session_ids)s);
    WITH opened AS (
        UPDATE activation_window w SET phase = 'open', planned_at = now(),
            starts_at = (date + start_time) AT TIME ZONE 'UTC',
            opens_at = (date + start_time) AT TIME ZONE 'UTC' - interval '1 hour',
            closes_at = (date + start_time) AT TIME ZONE 'UTC' + interval '4 hours'
        FROM session_instance i
        WHERE w.session_instance_id = ANY (%(ids)s) AND i.session_instance_id = w.session_instance_id
        RETURNING w.session_instance_id, w.session_id, w.opens_at
    ) {_LOG} {_RING}
"""


def connection(url: str) -> Connection:
    """Open a connection as the floor's programs use it."""
    return connect(url, application_name="seisiun floor")


def open_instances(connection: Connection, ids: Sequence[int]) -> None:
    """Open these instances, which are due, and place their people."""
    run_named(connection, OPEN, ids=list(ids), cause="timer")


def follow_edits(connection: Connection, instance_of: Mapping[int, int]) -> None:
    """Open the instances of the sessions that are requested, which have just been moved to now, and place their people.

    A notification names no session: taking the requests is a round trip of its own.
    """
    session_ids = sorted({row[0] for row in run(connection, _TAKE_REQUESTS)})
    ids = [instance_of[session_id] for session_id in session_ids]
    run_named(connection, _FOLLOW, session_ids=session_ids, ids=ids, cause="notify")


def run_named(connection: Connection, statement: str, **values: object) -> None:
    """Run a statement whose parameters have names."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
