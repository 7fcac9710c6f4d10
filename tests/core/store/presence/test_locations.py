"""Who is where, and whom a plan or an opening concerns; the locks under which that is read."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.choices import OLDER_POINTER
from core.store.presence import locations
from tests.data import add_check_in, add_instance, add_person, add_session, execute, person_at, value


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


def test_only_these_people_are_locked(engine: Engine, app: Connection) -> None:
    wanted, _ = add_person(app), add_person(app)

    with engine.begin() as connection:
        assert locations.lock(connection, [wanted]) == {wanted}


def test_only_who_is_at_these_instances_is_released(engine: Engine, app: Connection) -> None:
    here, elsewhere = (add_instance(app, add_session(app), "2026-12-01", active=True) for _ in range(2))
    one, other = (add_person(app, active_session_instance_id=instance) for instance in (here, elsewhere))
    with engine.begin() as connection:
        locations.release(connection, [here])

    assert (person_at(app, one), person_at(app, other)) == (None, elsewhere)


def test_a_plan_affects_who_said_yes_since_a_day_and_who_is_there(engine: Engine, app: Connection) -> None:
    session, other = add_session(app), add_session(app)
    past, tonight = (add_instance(app, session, day) for day in ("2026-11-30", "2026-12-01"))
    elsewhere = add_instance(app, other, "2026-12-01")
    execute(app, "UPDATE session_instance SET active = true WHERE date = '2026-12-01'")
    said_yes, said_maybe, came, is_there, is_elsewhere = (add_person(app) for _ in range(5))
    add_check_in(app, tonight, said_yes)
    add_check_in(app, tonight, said_maybe, "maybe")
    add_check_in(app, past, came)
    add_check_in(app, elsewhere, is_elsewhere)
    for person, instance in ((is_there, tonight), (is_elsewhere, elsewhere)):
        execute(app, "UPDATE person SET active_session_instance_id = %s WHERE person_id = %s", instance, person)

    with engine.connect() as connection:
        affected = locations.affected_by(connection, [session], date(2026, 12, 1))

    assert affected == {(said_yes, session), (is_there, session)}


def test_who_said_yes_to_an_opening_is_locked_or_named_as_held(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session, other = add_session(app), db_connect()
    first, second, third = (add_instance(app, session, f"2026-12-0{day}") for day in (1, 2, 3))
    free, held, maybe, elsewhere = (add_person(app) for _ in range(4))
    add_check_in(app, first, free)
    add_check_in(app, first, maybe, "maybe")
    add_check_in(app, second, held)
    add_check_in(app, third, elsewhere)
    execute(other, "SELECT FROM person WHERE person_id = %s FOR UPDATE", held)

    with engine.begin() as connection:
        assert locations.lock_who_said_yes(connection, [first, second]) == (frozenset({free}), frozenset({second}))


def test_nobody_takes_over_so_no_row_of_the_apps_is_locked_where_people_go(engine: Engine, app: Connection) -> None:
    instance, person = add_instance(app, add_session(app), "2026-12-01", active=True), add_person(app)
    lockers = "SELECT i.xmax::text, a.xmax::text FROM session_instance i, active_instance a"
    [before] = execute(app, lockers)
    with engine.begin() as connection:
        assert locations.move(connection, {person: instance}) == {instance}

    [after] = execute(app, lockers)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]


@pytest.mark.parametrize(("lock", "is_free"), [("FOR NO KEY UPDATE", True), ("FOR UPDATE", False)])
def test_during_a_take_over_an_instance_whose_own_row_the_app_deletes_is_left_out(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection], *, lock: str, is_free: bool
) -> None:
    held, free, _ = (add_instance(app, add_session(app), "2026-12-01", active=True) for _ in range(3))
    there, elsewhere = add_person(app), add_person(app)
    execute(db_connect(), f"SELECT FROM session_instance WHERE session_instance_id = {held} {lock}")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"INSERT INTO seisiun_choice VALUES ('{OLDER_POINTER}', 'at_instance')")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        joined = locations.move(connection, {there: held, elsewhere: free})

    assert joined == ({held, free} if is_free else {free})
