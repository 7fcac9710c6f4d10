"""Which rows a plan locks and makes: those that it is asked to, whoever else has rows."""

from collections.abc import Callable, Collection
from datetime import date, time

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as OurConnection
from sqlalchemy import Engine

from core.store.planning import instances
from tests.data import add_instance, add_session, execute


@pytest.mark.parametrize("lock", [instances.lock, instances.lock_keys])
def test_only_these_instances_are_locked(
    engine: Engine, app: Connection, lock: Callable[[OurConnection, Collection[int]], frozenset[int]]
) -> None:
    session = add_session(app)
    wanted, _ = (add_instance(app, session, day) for day in ("2026-12-01", "2026-12-08"))

    with engine.begin() as connection:
        assert lock(connection, [wanted]) == {wanted}


def test_only_these_sessions_are_locked(engine: Engine, app: Connection) -> None:
    wanted, _ = add_session(app), add_session(app)

    with engine.begin() as connection:
        assert instances.lock_parents(connection, [wanted]) == {wanted}


@pytest.mark.usefixtures("database_of_its_own")
def test_rows_that_the_app_refuses_are_left_out_one_by_one(engine: Engine, app: Connection) -> None:
    execute(app, "ALTER TABLE session_instance ALTER end_time SET NOT NULL")
    sessions = [add_session(app) for _ in range(5)]
    endless = sessions[1:3]
    rows = [(id_, date(2026, 12, 1), time(19), None if id_ in endless else time(22)) for id_ in sessions]

    with engine.begin() as connection:
        made = instances._insert(connection, rows)

    assert [row.session_id for row in made] == [id_ for id_ in sessions if id_ not in endless]
