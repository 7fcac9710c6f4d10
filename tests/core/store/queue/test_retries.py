"""L5: when the next session is tried again, and which of those that failed alike tries each second."""

from datetime import timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.queue import retries
from tests.core.rules.planner_model import utc
from tests.data import add_session, execute, value

NOW = utc("2026-12-01 12:00")


def fail(app: Connection, session_id: int, error: str, *, waits: bool = True) -> None:
    """Note that a session failed so often that it waits for a minute; or that it has an error and is not retried."""
    execute(
        app,
        "UPDATE session_plan SET failures = 9, error = %s, retry_at = CASE WHEN %s THEN %s::timestamptz END "
        "WHERE session_id = %s",
        *(error, waits, NOW, session_id),
    )


def test_the_next_retry_is_due_in_a_while_or_now_or_never(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    found = []
    for retry_in in (None, "-5 seconds", "1 hour"):
        execute(
            app,
            "UPDATE session_plan SET retry_at = clock_timestamp() + %s::interval WHERE session_id = %s",
            *(retry_in, session),
        )
        with engine.connect() as connection:
            found.append(retries.time_to_next(connection))

    never, now, later = found
    assert (never, now) == (None, timedelta(0))
    assert later is not None
    assert timedelta(minutes=59) < later <= timedelta(hours=1)


def test_l5_the_lowest_of_those_that_wait_with_the_same_error_tries_each_second(
    engine: Engine, app: Connection
) -> None:
    with_another_error, not_retried, lowest, higher, alone = (add_session(app) for _ in range(5))
    fail(app, with_another_error, "y")
    fail(app, not_retried, "x", waits=False)
    for session, error in ((lowest, "x"), (higher, "x"), (alone, "z")):
        fail(app, session, error)
    with engine.begin() as connection:
        retries.record(connection, {lowest: "x", higher: "x", alone: "z"}, NOW, failed_at=NOW)

    waits = "SELECT retry_at - %s FROM session_plan WHERE session_id = %s"
    assert [value(app, waits, NOW, session) for session in (lowest, higher, alone)] == [
        timedelta(seconds=seconds) for seconds in (1, 60, 60)
    ]
