"""Which rows a plan locks: those that it is asked to, whoever else has rows."""

from collections.abc import Callable, Collection

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as OurConnection
from sqlalchemy import Engine

from core.store.planning import instances
from tests.data import add_instance, add_session


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
