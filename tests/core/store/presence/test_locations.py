"""Who is where: the locks under which it is read."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store.presence import locations
from tests.data import add_person, execute, value


def test_l1_clock_is_read_once_the_row_is_held(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    person, other = add_person(app), db_connect()
    execute(other, "SELECT FROM person WHERE person_id = %s FOR UPDATE", person)
    with ThreadPoolExecutor(1) as pool, engine.begin() as connection:
        locked_at = pool.submit(locations.lock_waiting, connection, person)
        while not value(app, "SELECT count(*) FROM pg_locks WHERE NOT granted"):
            time.sleep(0.001)
        released_at = value(app, "SELECT clock_timestamp()")
        other.commit()

        assert locked_at.result() > released_at


def test_nobody_is_locked_where_there_is_nobody(engine: Engine) -> None:
    with engine.begin() as connection:
        assert locations.lock_waiting(connection, -1) is None
