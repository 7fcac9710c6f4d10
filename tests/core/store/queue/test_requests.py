"""Which requests and plans the statements are about, and when a request notifies."""

from datetime import timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.db.transactions import transactions
from core.store.notify import SESSION_CHANGED
from core.store.queue import requests
from core.store.queue.requests import PlanState
from tests.core.passes import senders_to
from tests.core.rules.planner_model import utc
from tests.data import add_session, execute, forget_requests, value
from tests.data import requests as requested

NOW = utc("2026-12-01 12:00")
SECOND = timedelta(seconds=1)


def request(app: Connection, session_id: int, ago: str) -> None:
    execute(
        app,
        "INSERT INTO plan_request (session_id, requested_at) VALUES (%s, %s::timestamptz - %s::interval)",
        *(session_id, NOW, ago),
    )


def test_only_these_sessions_are_asked_for_and_only_their_requests_are_read(engine: Engine, app: Connection) -> None:
    session, other = add_session(app), add_session(app)
    forget_requests(app)
    for whose, ago in ((other, "9 s"), (session, "5 s"), (session, "3 s"), (other, "1 s")):
        request(app, whose, ago)
    with engine.connect() as connection:
        assert requests.existing(connection, [session, 1_000_000]) == {session}
        states = requests.plan_states(connection, [session])

    assert states.keys() == {session}
    assert len(states[session].requests) == 2
    assert states[session].requested_at == NOW - 5 * SECOND


@pytest.mark.parametrize(
    ("next_plan_at", "zone_version", "is_due"),
    [
        (None, None, False),
        (NOW + SECOND, None, False),
        (NOW, None, True),
        (None, "2026a", True),
        (None, "2026b", False),
        (None, "2026c", False),
        (NOW, "2026c", True),
    ],
)
def test_t5_a_plan_is_due_at_its_instant_or_with_newer_zone_data(
    next_plan_at: object, zone_version: str | None, *, is_due: bool
) -> None:
    state = PlanState(1, NOW, (), None, next_plan_at, zone_version, None)  # type: ignore[arg-type] # from a table

    assert state.is_due(NOW, "2026b") is is_due


def test_nothing_is_planned_until_a_pass_has_planned_a_session(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    with engine.connect() as connection:
        assert requests.nothing_is_planned(connection)
    execute(app, "UPDATE session_plan SET zone_version = '2026b' WHERE session_id = %s", session)
    with engine.connect() as connection:
        assert not requests.nothing_is_planned(connection)


def test_only_requests_of_sessions_that_are_gone_are_dropped(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    request(app, 1_000_000, "0 s")
    with engine.begin() as connection:
        assert requests.drop_orphaned(connection) == 1

    assert requested(app) == [session]


@pytest.mark.parametrize("sessions", [0, 1, 3])
def test_our_own_request_notifies_once_and_without_a_name_and_a_request_of_nothing_does_not(
    engine: Engine, app: Connection, sessions: int
) -> None:
    added = [add_session(app) for _ in range(sessions)]
    forget_requests(app)
    execute(app, f"LISTEN {SESSION_CHANGED}")
    with senders_to(engine) as senders, transactions(engine) as begin, begin() as connection:
        requests.add_and_notify(connection, added)

    # A transaction that notifies waits, in its commit, for every other one of the server that does.
    assert [sender for sender in senders if sender != "transactions._own_transaction"] == [
        "requests.add",
        "transactions._send",
    ] * bool(added)
    execute(app, f"NOTIFY {SESSION_CHANGED}, 'what was before has come'")
    assert [notify.payload for notify in app.notifies][:-1] == [""] * bool(added)
    assert requested(app) == added


def test_what_was_requested_since_a_poll_is_new_and_at_the_first_poll_everything(
    engine: Engine, app: Connection
) -> None:
    found, polled = [], None
    for _ in range(2):
        for _ in range(2):
            with engine.begin() as connection:
                is_new, polled = requests.new_since(connection, polled)
            found.append(is_new)
        add_session(app)
    with engine.begin() as connection:
        found.append(requests.new_since(connection, polled)[0])

    assert found == [True, False, True, False, True]
    assert value(app, "SELECT count(*) FROM plan_request") == 2
