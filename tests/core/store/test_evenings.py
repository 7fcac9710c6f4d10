"""What an organiser writes is about one evening; who said yes is listed evening by evening."""

from datetime import date

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store import evenings
from core.store.evenings import YesRow
from tests.data import add_check_in, add_instance, add_person, add_session, bind, execute


def test_what_is_written_and_released_is_one_evening(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    one, other = (add_instance(app, session, "2026-12-01") for _ in range(2))
    for instance, hour in ((one, 19), (other, 20)):
        bind(app, instance, session, f"2026-12-01 {hour}:00")

    with engine.begin() as connection:
        added = evenings.insert_instance(connection, session, {"date": date(2026, 12, 3)})
        evenings.update_instance(connection, one, {"comments": "Bring a tune"})
        evenings.release(connection, one)

    rows = execute(app, "SELECT session_instance_id, date::text, comments FROM session_instance ORDER BY 1")
    assert rows == [(one, "2026-12-01", "Bring a tune"), (other, "2026-12-01", None), (added, "2026-12-03", None)]
    assert execute(app, "SELECT session_instance_id FROM planned_instance") == [(other,)]


def test_who_said_yes_is_told_by_name_within_each_evening(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    first, second, other = (add_instance(app, session, f"2026-12-0{day}") for day in (1, 2, 3))
    sean, anna = (add_person(app, first_name=name, city="Ennis") for name in ("Seán", "anna"))
    for instance in (second, first):
        add_check_in(app, instance, sean)
    add_check_in(app, first, anna)
    add_check_in(app, second, anna, "maybe")
    add_check_in(app, other, anna)

    with engine.connect() as connection:
        found = evenings.who_said_yes(connection, [second, first])

    assert found == [
        YesRow(instance, name, None, "Ennis", None)
        for instance, name in ((first, "anna"), (first, "Seán"), (second, "Seán"))
    ]
