"""What the daemon does once before its first edge, so that the edge does not wait for it."""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.db import create_engine
from core.reconcile.warm_up import warm_up
from tests.core.passes import CLOSES, NOON, OPENS, TUESDAYS, reconcile_at
from tests.data import add_check_in, add_person, add_session, execute, forget_requests, only_instance, person_at


def prepared(engine: Engine) -> set[str]:
    """Return what the server has planned for an edge; it is notified once the edge has shown."""
    with engine.connect() as connection:
        statements = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars()
        return {statement for statement in statements if "pg_notify" not in statement}


def test_after_it_edges_and_yeses_execute_what_is_prepared_already(
    engine: Engine, app: Connection, database_url: str
) -> None:
    session, person, late = add_session(app, TUESDAYS), add_person(app), add_person(app)
    reconcile_at(engine, NOON)
    add_check_in(app, only_instance(app, session), person)
    forget_requests(app)
    of_daemon = create_engine(database_url, pool_size=1, prepares=True)

    with of_daemon.begin() as connection:
        warm_up(connection)
    reconcile_at(of_daemon, NOON)  # searches, and finds nothing
    known = prepared(of_daemon)
    reconcile_at(of_daemon, OPENS)
    add_check_in(app, only_instance(app, session), late)
    execute(app, "INSERT INTO plan_request (session_id) VALUES (%s)", session)
    reconcile_at(of_daemon, OPENS)
    arrived = [person_at(app, each) for each in (person, late)]
    reconcile_at(of_daemon, CLOSES)

    assert arrived == [only_instance(app, session)] * 2
    assert [person_at(app, each) for each in (person, late)] == [None, None]
    assert prepared(of_daemon) - known == set()
    of_daemon.dispose()
