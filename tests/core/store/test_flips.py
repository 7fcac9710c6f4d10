"""What a check-in asks of a session before it moves somebody."""

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store import flips
from tests.core.rules.planner_model import utc
from tests.data import add_session, execute, forget_requests


@pytest.mark.parametrize(
    ("about", "of_another", "waits"),
    [("hours", False, True), ("people", False, False), ("hours", True, False)],
    ids=["its hours", "its people", "another session's hours"],
)
def test_a3_an_edit_waits_where_the_sessions_own_hours_are_requested(
    engine: Engine, app: Connection, about: str, *, of_another: bool, waits: bool
) -> None:
    session, other = add_session(app), add_session(app)
    forget_requests(app)
    execute(
        app, "INSERT INTO plan_request (session_id, about) VALUES (%s, %s)", other if of_another else session, about
    )
    with engine.connect() as connection:
        _, edit_waits = flips.state_and_edit(connection, session, utc("2026-12-01 20:00"))

    assert edit_waits is waits
