"""What somebody wrote with the triggers off: the bits, their mirror and the people agree again after a resync."""

import re
import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import ReconcileResult
from core.db.transaction_settings import begin_own
from core.store import mirror
from tests.commands import ROOT
from tests.core.passes import DURING, NOON, TUESDAYS, reconcile_at
from tests.data import active_of, add_instance, add_person, add_session, execute, only_instance, person_at, value

OFF, ON = "SET session_replication_role = replica", "SET session_replication_role = DEFAULT"


def agree(app: Connection) -> bool:
    """Return whether the bits, the mirror and the people agree."""
    bits = execute(app, "SELECT session_instance_id, session_id FROM session_instance WHERE active ORDER BY 1")
    rows = execute(app, "SELECT session_instance_id, session_id FROM active_instance ORDER BY 1")
    nowhere = "SELECT count(*) FROM person WHERE active_session_instance_id NOT IN (SELECT session_instance_id FROM {})"
    return bits == rows and value(app, nowhere.format("active_instance")) == 0


def without_triggers(app: Connection, *statements: str) -> None:
    execute(app, "; ".join((OFF, *statements, ON)))


@pytest.fixture
def evening(engine: Engine, app: Connection) -> int:
    """A session whose instance is on, with a person there."""
    session_id = add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    reconcile_at(engine, DURING)
    add_person(app, active_session_instance_id=only_instance(app, session_id))
    return session_id


WRITTEN = {
    "a bit is turned off": ("UPDATE session_instance SET active = false",),
    "a row of the mirror goes": ("DELETE FROM active_instance",),
    "the row names another session": ("UPDATE active_instance SET session_id = 99",),
    "bit and mirror go, the person stays": (
        "UPDATE session_instance SET active = false",
        "DELETE FROM active_instance",
    ),
    "another instance of the session is on instead": (
        "UPDATE session_instance SET active = false",
        "INSERT INTO session_instance (session_id, date, active) VALUES (1, '2026-12-09', true)",
    ),
    "another instance of the session is on too": (
        "INSERT INTO session_instance (session_id, date, active) VALUES (1, '2026-12-09', true)",
    ),
}


@pytest.mark.parametrize("what", WRITTEN)
def test_what_was_written_with_the_triggers_off_is_put_right(
    engine: Engine, app: Connection, evening: int, what: str
) -> None:
    instance_id = only_instance(app, evening)
    without_triggers(app, *WRITTEN[what])
    assert not agree(app)

    reconcile_at(engine, DURING)

    assert agree(app)
    on = execute(app, "SELECT session_instance_id FROM session_instance WHERE active")
    assert on == [(instance_id,)], "the windows decide what is on"


@pytest.mark.usefixtures("evening")
def test_a_bit_that_no_window_explains_goes_off_with_its_people(engine: Engine, app: Connection) -> None:
    other = add_instance(app, add_session(app), "2026-12-24", "19:00", "22:00")
    reconcile_at(engine, DURING)
    person_id = add_person(app)
    without_triggers(
        app,
        f"UPDATE session_instance SET active = true WHERE session_instance_id = {other}",
        f"UPDATE person SET active_session_instance_id = {other} WHERE person_id = {person_id}",
    )

    reconcile_at(engine, DURING)

    assert agree(app)
    assert person_at(app, person_id) is None
    assert value(app, "SELECT active FROM session_instance WHERE session_instance_id = %s", other) is False


def test_somebody_at_what_is_off_is_released_as_soon_as_nobody_holds_them(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    off = add_instance(app, add_session(app), "2026-12-24", "19:00", "22:00")
    reconcile_at(engine, DURING)
    person_id = add_person(app)
    without_triggers(app, f"UPDATE person SET active_session_instance_id = {off}")
    version = "SELECT xmin::text FROM session_instance"
    before = value(app, version)
    theirs = db_connect()
    execute(theirs, "UPDATE person SET city = 'Galway'")

    assert reconcile_at(engine, DURING) == ReconcileResult()
    theirs.rollback()
    reconcile_at(engine, DURING)

    assert person_at(app, person_id) is None
    assert value(app, version) == before


@pytest.mark.usefixtures("evening")
def test_an_instance_that_was_deleted_with_the_triggers_off_leaves_nothing(engine: Engine, app: Connection) -> None:
    without_triggers(app, "DELETE FROM session_instance")

    reconcile_at(engine, DURING)

    assert execute(app, "SELECT * FROM active_instance") == []
    assert execute(app, "SELECT active_session_instance_id FROM person") == [(None,)]


@pytest.mark.parametrize("on", [True, False], ids=["on", "nothing is on"])
def test_where_all_agree_nothing_differs(
    engine: Engine, app: Connection, request: pytest.FixtureRequest, *, on: bool
) -> None:
    add_person(app)
    if on:
        request.getfixturevalue("evening")
    with engine.begin() as connection:
        begin_own(connection)
        assert mirror.differing(connection) == frozenset()


def test_the_recipe_for_sessions_written_with_the_triggers_off_works(engine: Engine, app: Connection) -> None:
    """The recipe is the one that the page for apps in SQL prints."""
    page = (ROOT / "docs" / "sql-contract.md").read_text()
    [recipe] = [block for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "plan_request" in block]
    execute(app, OFF)
    session_id = add_session(app, TUESDAYS)
    execute(app, ON)
    assert value(app, "SELECT count(*) FROM session_plan") == 0

    execute(app, recipe.replace("42", str(session_id)))
    reconcile_at(engine, DURING)

    assert active_of(app, session_id) == only_instance(app, session_id)


def test_ten_thousand_sessions_that_are_on_are_compared_within_a_second(
    engine: Engine, app: Connection, figures: Callable[[str], None]
) -> None:
    execute(
        app,
        "INSERT INTO session (name) SELECT 'x' FROM generate_series(1, 10000); "
        "INSERT INTO session_instance (session_id, date, active) SELECT session_id, '2026-12-01', true FROM session; "
        "INSERT INTO person (active_session_instance_id) "
        "SELECT session_instance_id FROM session_instance, generate_series(1, 5)",
    )
    execute(app, "ANALYZE")
    with engine.begin() as connection:
        begin_own(connection)
        begun = time.monotonic()
        assert mirror.differing(connection) == frozenset()
        took = time.monotonic() - begun
    figures(f"10,000 active bits, their mirror and 50,000 people there are compared in {1000 * took:.0f} ms")
    assert took < 1


@pytest.mark.parametrize("written", ["a bit is turned off", "bit and mirror go, the person stays"])
def test_only_the_instances_that_are_asked_for_are_settled(
    engine: Engine, app: Connection, evening: int, written: str
) -> None:
    other = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    there = add_person(app, active_session_instance_id=only_instance(app, other))
    without_triggers(app, *WRITTEN[written])
    kept = execute(app, "SELECT session_id FROM active_instance WHERE session_id = %s", other)

    with engine.begin() as connection:
        begin_own(connection)
        mirror.settle(connection, [only_instance(app, evening)])

    assert active_of(app, evening) is None
    assert execute(app, "SELECT session_id FROM active_instance") == kept
    assert person_at(app, there) == only_instance(app, other)
