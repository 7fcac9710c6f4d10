"""What an explanation reads: of exactly the session, the instances and the person that it is about."""

from datetime import datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import Engine

from core.store.views import readings
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.data import (
    add,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    add_window,
    change_session,
    execute,
    forget_requests,
    only_instance,
)

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def log(app: Connection, instance: int, at: datetime, session: int = 1, *, active: bool = True, change: str) -> None:
    row = {"session_instance_id": instance, "session_id": session, "active": active, "change": change}
    add(app, "activation_log", row | {"due_at": at, "done_at": at, "cause": "timer"})


def test_sessions_are_found_by_path_or_else_by_name_in_order_and_not_more_than_asked(
    unindexed: EngineConnection, app: Connection
) -> None:
    ids = [add_session(app, name=name) for name in ("The Crane", "The Cobblestone", "The Crane")]
    paths = [add_session(app, name="A", path="the") for _ in range(2)]

    by_path = readings.sessions_named(unindexed, "the", 1)
    for session in paths:
        change_session(app, session, path=None)
    by_name, first = (readings.sessions_named(unindexed, "the", limit) for limit in (9, 2))
    nothing = readings.sessions_named(unindexed, "'", 9)

    assert [each.session_id in paths for each in by_path] == [True]
    assert [each.session_id for each in by_name] == [ids[1], ids[0], ids[2]]
    assert first == by_name[:2]
    assert nothing == [], "a name that is all punctuation begins every name"


def test_facts_of_a_session_are_its_own(engine: Engine, app: Connection) -> None:
    other, session = add_session(app), add_session(app)
    forget_requests(app)
    execute(app, "INSERT INTO plan_request (session_id, requested_at) VALUES (%s, now() - interval '1 day')", other)
    execute(app, "UPDATE session_plan SET error = 'no such day', failures = 0")

    with engine.connect() as connection:
        found = readings.session_facts(connection, session)
        names = readings.names_of(connection, [session])

    assert found is not None
    assert (found.session_id, found.requested_at, found.failure) == (session, None, None)
    assert [*names] == [session]


def test_what_was_deleted_while_it_was_on_is_told_the_latest_first(engine: Engine, app: Connection) -> None:
    for number, instance in enumerate((11, 13, 12, 14)):
        log(app, instance, utc(OPENS) + instance * HOUR, change="deleted" if instance != 13 else "closed")
        log(app, 20 + number, utc(OPENS) + 99 * HOUR, session=2, change="deleted")
    for instance in (15, 16):
        log(app, instance, utc(NOON), change="deleted")

    with engine.connect() as connection:
        assert readings.deleted_while_on(connection, 1) == [14, 12, 11]
        assert readings.logged_session(connection, 21) == 2


def test_what_flipped_in_a_time_is_told_once(engine: Engine, app: Connection) -> None:
    for instance, at, session in ((11, OPENS, 1), (11, CLOSES, 1), (12, NOON, 1), (13, DURING, 2)):
        log(app, instance, utc(at), session, change="opened")

    with engine.connect() as connection:
        assert readings.logged_between(connection, 1, utc(OPENS), utc(CLOSES)) == [11]


def test_flips_around_an_instant_are_told_the_newest_first_and_so_many_on_each_side(
    engine: Engine, app: Connection
) -> None:
    for seconds in range(-30, 31):
        log(app, 11, utc(DURING) + seconds * SECOND, change="opened")
    for active in (True, False):  # in one instant, by their ids
        log(app, 11, utc(DURING), active=active, change="opened")
    log(app, 12, utc(DURING), change="opened")

    with engine.connect() as connection:
        found = readings.flips_of(connection, [11], utc(DURING))

    seconds_off = [round((flip.done_at - utc(DURING)) / SECOND) for flip in found]
    assert seconds_off == [*range(readings.MOST_FLIPS, 0, -1), 0, 0, 0, *range(-1, 2 - readings.MOST_FLIPS, -1)]
    assert [flip.active for flip in found if flip.done_at == utc(DURING)] == [False, True, True]


def test_rows_and_windows_are_of_the_instances_that_are_asked_for(engine: Engine, app: Connection) -> None:
    session, _ = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    instance = only_instance(app, session)
    add_window(app, instance, session, "over", utc(NOON) - HOUR, utc(NOON))

    with engine.connect() as connection:
        rows = readings.row_facts(connection, [instance])
        windows = readings.windows_of(connection, [instance])

    assert [*rows] == [instance]
    assert [(window.session_instance_id, window.opens_at) for window in windows] == [
        (instance, utc(NOON) - HOUR),
        (instance, utc(OPENS)),
    ]


def test_who_said_yes_is_told_by_id_with_who_is_deactivated_and_counted(
    unindexed: EngineConnection, app: Connection
) -> None:
    asked, other = (add_instance(app, add_session(app), "2026-12-01") for _ in range(2))
    maybe, first, second, third = (add_person(app) for _ in range(4))
    for person in (third, second, first):
        add_check_in(app, asked, person)
    add_check_in(app, asked, maybe, "maybe")
    add_check_in(app, other, maybe)
    execute(app, "INSERT INTO deactivated_person (person_id) VALUES (%s)", second)

    assert readings.said_yes(unindexed, asked, 2) == ({first: False, second: True}, 3)
    facts = [readings.person_facts(unindexed, person) for person in (first, second, 99)]
    assert [found and found[1] for found in facts] == [False, True, None]


def test_yeses_of_a_person_begin_with_what_is_to_come_soonest_then_the_latest(
    unindexed: EngineConnection, app: Connection
) -> None:
    session, person, other = add_session(app), add_person(app), add_person(app)
    instances = [add_instance(app, session, f"2026-12-0{day}") for day in (1, 2, 3, 4, 5)]
    later, sooner, past, latest, declined = instances
    for instance in instances:
        add_check_in(app, instance, person, {latest: "maybe", declined: "no"}.get(instance, "yes"))
        add_check_in(app, instance, other)
    add_window(app, later, session, "ahead", utc(CLOSES) + 2 * HOUR, utc(CLOSES) + 3 * HOUR)
    add_window(app, later, session, "ahead", utc(CLOSES), utc(CLOSES) + HOUR)
    add_window(app, later, session, "over", utc(NOON), utc(NOON) + HOUR)
    add_window(app, sooner, session, "open", utc(OPENS), utc(CLOSES))

    found, first = (readings.yeses_of(unindexed, person, limit) for limit in (9, 2))

    assert [(yes.session_instance_id, yes.opens_at, yes.is_maybe) for yes in found] == [
        (sooner, utc(OPENS), False),
        (later, utc(CLOSES), False),
        (latest, None, True),
        (past, None, False),
    ]
    assert first == found[:2]
