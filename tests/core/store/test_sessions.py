"""Sessions are found, inserted and updated as a file or a form states them, and no others."""

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.store import sessions
from tests.core.rules.planner_model import utc
from tests.data import add_instance, add_session, add_window, execute


def test_a_session_is_found_by_name_and_city_and_of_several_the_oldest(engine: Engine, app: Connection) -> None:
    add_session(app, name="The Crane", city="Ennis")
    add_session(app, name="Roundy's", city="Galway")
    crane, _ = (add_session(app, name="The Crane", city="Galway") for _ in range(2))

    with engine.connect() as connection:
        assert sessions.find_session(connection, "The Crane", "Galway") == crane
        assert sessions.find_session(connection, "The Crane", "Cork") is None


def test_an_update_changes_one_session_and_says_whether_it_did(engine: Engine, app: Connection) -> None:
    session, other = (add_session(app, city="Ennis") for _ in range(2))

    with engine.begin() as connection:
        changed = [sessions.update_session(connection, session, {"city": "Cork", "state": None}) for _ in range(2)]

    assert changed == [True, False]
    assert execute(app, "SELECT session_id, city FROM session ORDER BY 1") == [(session, "Cork"), (other, "Ennis")]


def test_what_a_file_states_again_is_the_same_session_also_without_a_city(engine: Engine, app: Connection) -> None:
    nowhere, elsewhere = add_session(app, name="A", city=None), add_session(app, name="A", city="Cork")
    add_session(app, name="A", city="")  # without a city, too; the first counts
    stated = {"name": "A", "city": None, "timezone": "Europe/Paris"}

    with engine.begin() as connection:
        saved = [sessions.save_all(connection, [stated]) for _ in range(2)]
        also = sessions.save_all(connection, [{"name": "A", "city": "Cork"}, {"name": "B", "city": None}])

    assert (saved, also) == ([(0, 1), (0, 0)], (1, 0))
    moved = execute(app, "SELECT session_id FROM session WHERE timezone = 'Europe/Paris'")
    assert (moved, nowhere < elsewhere) == ([(nowhere,)], True)


def test_an_instance_counts_once_that_has_windows_that_are_not_over(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    for phases in (("ahead", "ahead"), ("over", "open"), ("over",), ()):
        instance = add_instance(app, session, "2026-12-01")
        for hour, phase in enumerate(phases, 12):
            add_window(app, instance, session, phase, utc(f"2026-12-01 {hour}:00"), utc(f"2026-12-01 {hour}:30"))

    with engine.connect() as connection:
        assert sessions.count_planned(connection) == 2
