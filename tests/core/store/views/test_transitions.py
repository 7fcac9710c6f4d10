"""`transitions` tells each thing once and in order, whatever order transactions commit in, and waits for nobody."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, text

from core.active_session_manager import Cause, Change, Transition, check_in, instance_saved, session_saved, transitions
from core.db import create_engine
from core.errors import InvalidPage
from core.migrations import migrate
from core.migrations.damage import damage
from core.store.views import reports
from core.store.views import transitions as log
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.data import (
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    connected,
    delete_instance,
    execute,
    only_instance,
    value,
)
from tests.postgres import Server

LOGGED = (
    "INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause, change) "
    "VALUES (%s, 1, true, now(), clock_timestamp(), 'timer', 'opened') RETURNING activation_log_id"
)


def read_all(db: Connection, cursor: str | None = None, limit: int = 100) -> tuple[list[Transition], str]:
    """Read page after page until one is empty; return them all, and the last cursor."""
    found: list[Transition] = []
    while True:
        page = transitions(db, cursor, limit)
        cursor = page.cursor
        if not page.found:
            return found, cursor
        found += page.found


def told(db: Connection, cursor: str | None = None) -> list[tuple[int, str]]:
    return [(each.session_instance_id, each.change.value) for each in read_all(db, cursor)[0]]


# What a transition says


def test_an_evening_opens_and_closes(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    for at in (NOON, OPENS, DURING, CLOSES):
        reconcile_at(engine, at, cause="timer")
    instance = only_instance(app, session)

    opened, closed = transitions(app).found
    assert opened == Transition(1, instance, session, Change.OPENED, utc(OPENS), utc(OPENS), Cause.TIMER)
    assert closed == Transition(2, instance, session, Change.CLOSED, utc(CLOSES), utc(CLOSES), Cause.TIMER)


Edit = Callable[[Connection, int, int], object]

EDITS: dict[str, tuple[Edit, Change]] = {
    "cancelled": (lambda app, _, instance: change_instance(app, instance, is_cancelled=True), Change.CANCELLED),
    "moved to another day": (lambda app, _, instance: change_instance(app, instance, date="2026-12-03"), Change.MOVED),
    "moved to another month": (
        lambda app, _, instance: change_instance(app, instance, date="2027-02-01"), Change.MOVED
    ),
    "moved to later": (
        lambda app, _, instance: change_instance(app, instance, start_time="22:00", end_time="23:30"), Change.MOVED
    ),
    "moved to earlier": (
        lambda app, _, instance: change_instance(app, instance, start_time="11:00", end_time="12:00"), Change.CLOSED
    ),
    "terminated": (lambda app, session, _: change_session(app, session, termination_date="2026-11-30"), Change.CLOSED),
    "deleted": (lambda app, _, instance: delete_instance(app, instance), Change.DELETED),
    "deleted with its session": (
        lambda app, session, _: execute(app, "DELETE FROM session WHERE session_id = %s", session), Change.DELETED
    ),
}  # fmt: skip


@pytest.mark.parametrize("by_hook", [False, True], ids=["by the daemon", "by a hook"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_while_it_is_on_says_what_it_did(engine: Engine, app: Connection, edit: str, *, by_hook: bool) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    instance, [_, cursor] = only_instance(app, session), read_all(app)

    change, expected = EDITS[edit]
    change(app, session, instance)
    session_saved(app, session, now=utc(DURING)) if by_hook else reconcile_at(engine, DURING)

    assert told(app, cursor) == [(instance, expected)]


def test_a_cancellation_says_why_as_long_as_it_stands(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    instance, [_, cursor] = only_instance(app, session), read_all(app)

    change_instance(app, instance, is_cancelled=True, cancel_reason="the publican is ill")
    reconcile_at(engine, DURING)
    assert [each.cancel_reason for each in transitions(app, cursor).found] == ["the publican is ill"]

    change_instance(app, instance, is_cancelled=False)
    reconcile_at(engine, DURING)
    assert [each.cancel_reason for each in transitions(app, cursor).found] == [None, None]


def test_two_instances_of_a_session_hand_over_and_back(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    outer = add_instance(app, session, "2026-12-01", "12:00", "23:00")
    reconcile_at(engine, DURING)
    nested = add_instance(app, session, "2026-12-01", "19:30", "21:00")
    for at in (DURING, "2026-12-01 21:00"):
        reconcile_at(engine, at)

    assert told(app) == [
        (outer, "opened"), (outer, "moved"), (nested, "opened"), (nested, "closed"), (outer, "opened"),
    ]  # fmt: skip


def test_a_bit_written_by_hand_and_its_repair_are_no_transitions(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    [_, cursor] = read_all(app)
    for bit in (False, True):
        change_instance(app, only_instance(app, session), active=bit)
        reconcile_at(engine, DURING)
    reconcile_at(engine, CLOSES)

    assert value(app, "SELECT count(*) FROM activation_log WHERE cause = 'repair'") == 1
    assert told(app, cursor) == [(only_instance(app, session), "closed")]


def test_rows_of_an_earlier_release_opened_and_closed(app: Connection) -> None:
    execute(
        app,
        "INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause) "
        "SELECT 7, 1, n = 1, now(), now(), 'timer' FROM generate_series(1, 2) n",
    )

    assert told(app) == [(7, "opened"), (7, "closed")]


# Once each, and in order


@pytest.fixture(scope="module")
def writers_url(server: Server) -> Iterator[str]:
    with server.database(server.migrated) as url:
        yield url


@pytest.fixture(scope="module")
def writers(writers_url: str) -> Iterator[list[Connection]]:
    """Connections that write in transactions, the last in autocommit."""
    with ExitStack() as opened:
        yield [
            *(opened.enter_context(connected(writers_url, autocommit=False)) for _ in range(4)),
            opened.enter_context(connected(writers_url)),
        ]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "commit", "rollback", "other write"]), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(1, 3)),
    ),
    max_size=30,
)


# The second takes the lower id, and its transaction began later than all that have finished when the first is read.
LATER_AND_LOWER = [("other write", 0), ("write", 1), ("write", 0), ("commit", 0), ("read", 1), ("commit", 1)]


@given(OPERATIONS)
@example(LATER_AND_LOWER)
def test_each_is_read_once_whatever_order_transactions_commit_in(
    writers: list[Connection], operations: list[tuple[str, int]]
) -> None:
    *open_, reader = writers
    pending: dict[int, list[int]] = {number: [] for number in range(4)}
    committed: set[int] = set()
    seen: list[int] = []
    _, cursor = read_all(reader)

    for operation, number in operations:
        match operation:
            case "write":
                pending[number].append(value(open_[number], LOGGED, number))
            case "other write":  # its id is lower than those of transactions that write the log before it
                execute(open_[number], "SELECT pg_current_xact_id()")
            case "commit":
                open_[number].commit()
                committed |= {*pending[number]}
                pending[number] = []
            case "rollback":
                open_[number].rollback()
                pending[number] = []
            case "read":
                page = transitions(reader, cursor, number)
                cursor, found = page.cursor, [each.transition_id for each in page.found]
                seen += found
                assert found == sorted(found)
                assert {*seen} <= committed
                assert found or {*seen} == committed  # what others have not committed holds up nothing
    for each in open_:
        each.rollback()
    seen += [each.transition_id for each in read_all(reader, cursor, 2)[0]]

    assert sorted(seen) == sorted(committed)


def test_what_ones_own_transaction_flips_comes_after_its_commit(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """Also where the reader's transaction has an id, and others with later ids have committed meanwhile."""
    sessions = [add_session(app, TUESDAYS) for _ in range(3)]
    reconcile_at(engine, NOON)
    first, second, third = (only_instance(app, session) for session in sessions)
    reader = db_connect()
    session_saved(reader, sessions[0], now=utc(OPENS))
    session_saved(app, sessions[1], now=utc(OPENS))
    page = transitions(reader)
    assert [each.session_instance_id for each in page.found] == [second]
    session_saved(reader, sessions[2], now=utc(OPENS))
    reader.commit()

    assert told(app, page.cursor) == [(first, "opened"), (third, "opened")]


def test_what_ones_own_transaction_wrote_comes_once_also_where_none_after_it_has_finished(
    app: Connection, db_connect: Callable[[], Connection]
) -> None:
    other, reader = db_connect(), db_connect()
    execute(other, "SELECT pg_current_xact_id()")
    own, theirs = value(reader, LOGGED, 1), value(other, LOGGED, 2)
    other.commit()
    page = transitions(reader)
    assert [each.transition_id for each in page.found] == [theirs]
    reader.commit()

    assert [each.transition_id for each in read_all(app, page.cursor)[0]] == [own]


def test_reader_that_stores_its_cursor_with_its_work_does_each_once_however_often_it_fails(
    app: Connection, db_connect: Callable[[], Connection]
) -> None:
    execute(app, "CREATE TABLE work (id bigint); CREATE TABLE place (cursor text); INSERT INTO place VALUES (NULL)")
    ids = [value(app, LOGGED, number) for number in range(10)]
    reader, tries = db_connect(), 0
    while True:
        page = transitions(reader, value(reader, "SELECT cursor FROM place FOR UPDATE"), 3)
        execute(reader, "UPDATE place SET cursor = %s", page.cursor)
        execute(reader, "INSERT INTO work SELECT unnest(%s::bigint[])", [each.transition_id for each in page.found])
        tries += 1
        reader.rollback() if tries % 2 else reader.commit()
        if not page.found:
            break

    assert [row[0] for row in execute(app, "SELECT id FROM work ORDER BY id")] == ids
    execute(app, "DROP TABLE work, place")


def test_daemon_hooks_and_a_reader_at_once(engine: Engine, app: Connection, database_url: str) -> None:
    """Hooks in transactions that stay open for a while, passes beside them, and a reader that is always asking."""
    sessions = [add_session(app, TUESDAYS) for _ in range(6)]
    person = add_person(app)
    reconcile_at(engine, NOON)
    instances = [only_instance(app, session) for session in sessions]
    ended = threading.Event()
    seen: list[Transition] = []

    def edit(number: int) -> None:
        with connected(database_url, autocommit=False) as theirs:
            for round_ in range(12):
                instance = instances[(number + round_) % len(instances)]
                change_instance(theirs, instance, is_cancelled=bool((round_ + number) % 2))
                instance_saved(theirs, instance, now=utc(DURING))
                ended.wait(0.002 * number)
                theirs.commit()

    def read() -> None:
        with connected(database_url) as reader:
            cursor: str | None = None
            while True:
                last = ended.is_set()
                found, cursor = read_all(reader, cursor, 3)
                seen.extend(found)
                if last:
                    return

    editors = [threading.Thread(target=edit, args=(number,)) for number in range(3)]
    reader = threading.Thread(target=read)
    for thread in (reader, *editors):
        thread.start()
    while any(thread.is_alive() for thread in editors):
        reconcile_at(engine, DURING, cause="notify")
    reconcile_at(engine, DURING, cause="notify")
    check_in(app, person, instances[0], "yes", now=utc(DURING))
    ended.set()
    reader.join()

    ids = [row[0] for row in execute(app, "SELECT activation_log_id FROM activation_log WHERE cause <> 'repair'")]
    assert sorted(each.transition_id for each in seen) == sorted(ids)
    assert len(ids) > len(instances)
    for instance in instances:
        of_one = [each for each in seen if each.session_instance_id == instance]
        assert of_one == sorted(of_one, key=lambda each: each.transition_id)
        assert all((each.change is Change.OPENED) == (at % 2 == 0) for at, each in enumerate(of_one))


# Pages and cursors


def test_pages_continue_where_the_last_one_stopped(app: Connection) -> None:
    ids = [value(app, LOGGED, number) for number in range(5)]
    first = transitions(app, limit=2)
    second = transitions(app, first.cursor, 2)
    third = transitions(app, second.cursor, 2)

    assert [[each.transition_id for each in page.found] for page in (first, second, third)] == [
        ids[:2], ids[2:4], ids[4:],
    ]  # fmt: skip
    assert transitions(app, third.cursor).found == ()
    assert transitions(app, first.cursor, 2).found == second.found


@pytest.mark.parametrize("cursor", ["", "7", "7@", "7@8,", "-1@8", "7@8 ", "7@8\n", "٧@٨", "9" * 19 + "@1", "0@8,x"])
def test_what_is_no_cursor_is_named(app: Connection, cursor: str) -> None:
    with pytest.raises(InvalidPage) as raised:
        transitions(app, cursor)
    assert str(raised.value).startswith(f"{cursor!r} is no cursor; accepted: None for the first page")


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_what_is_no_limit_is_named(app: Connection, limit: int) -> None:
    with pytest.raises(InvalidPage, match=f"limit is {limit}; accepted: 1 to 10000"):
        transitions(app, limit=limit)


def test_what_was_pruned_is_gone_and_the_rest_is_read(engine: Engine, app: Connection) -> None:
    ids = [value(app, LOGGED, number) for number in range(4)]
    page = transitions(app, limit=1)
    execute(app, "UPDATE activation_log SET done_at = now() - interval '31 days' WHERE activation_log_id <= %s", ids[2])
    with engine.begin() as connection:
        reports.prune(connection, timedelta(days=30))

    assert [each.transition_id for each in transitions(app, page.cursor).found] == ids[3:]


BUFFERS = 60  # 8 KiB each; a whole read of the log below takes 1,000


def buffers_of(engine: Engine, cursor: str) -> int:
    """Return how many buffers the server reads for a page of ten."""
    at = log.Position.parse(cursor)
    statement = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {log._TRANSITIONS.text}")
    with engine.connect() as connection:
        [explained] = connection.scalar(statement, log._values(at, 10)) or []
    return int(explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"])


def at_id(app: Connection, last_id: int) -> str:
    """Return the cursor of a reader that has read every row up to this one."""
    return transitions(app, str(log.Position(last_id - 1)), 1).cursor


def test_a_page_costs_the_same_beside_a_hundred_thousand_rows_and_instances(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection], figures: Callable[[str], None]
) -> None:
    holding, late = db_connect(), db_connect()
    execute(late, LOGGED, 1)
    execute(
        app,
        "INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause) "
        "SELECT n, 1, true, now(), now(), 'timer' FROM generate_series(1, 100000) n",
    )
    execute(
        app,
        "SET session_replication_role = replica; INSERT INTO session_instance (session_instance_id, session_id, date) "
        "SELECT n, 1, '2026-12-01' FROM generate_series(1, 100000) n; RESET session_replication_role",
    )
    execute(app, "ANALYZE activation_log, session_instance")
    execute(holding, "SELECT pg_current_xact_id()")
    end = at_id(app, 100_001)
    for number in range(20):
        execute(app, LOGGED, number)
    late.commit()
    costs = {
        "of the oldest": buffers_of(engine, str(log.Position())),
        "in the middle": buffers_of(engine, at_id(app, 50_000)),
        "of the newest, and one that came late": buffers_of(engine, end),
        "with nothing new": buffers_of(engine, read_all(app, end)[1]),
    }
    figures(f"buffers that a page of ten transitions reads beside 100,000 rows and instances: {json.dumps(costs)}")

    assert max(costs.values()) < BUFFERS, costs


# A log that came from another server


def restore(app: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows as a backup of INSERT statements does: with every value, the ids too."""
    execute(app, "DELETE FROM activation_log")
    execute(app, "ALTER SEQUENCE activation_log_activation_log_id_seq RESTART")
    for row in rows:
        execute(app, f"INSERT INTO activation_log VALUES ({', '.join(['%s'] * len(row))})", *row)


def test_reader_goes_on_where_it_stopped_after_a_backup_is_restored_on_another_server(
    empty_database_url: str,
) -> None:
    migrate(empty_database_url)
    with connected(empty_database_url) as app:
        ids = [value(app, LOGGED, number) for number in range(6)]
        page = transitions(app, limit=3)
        rows = execute(
            app,
            "SELECT activation_log_id, session_instance_id, session_id, active, due_at, done_at, cause, "
            "(xact_id::text::bigint + 1000000)::text, change FROM activation_log ORDER BY 1",
        )
        ours = log.Position.parse(page.cursor)
        theirs = str(log.Position(ours.last_id, ours.next_xact + 1_000_000))  # the other server is far ahead
        restore(app, rows)
        engine = create_engine(empty_database_url)
        with engine.connect() as connection:
            assert [found.what for found in damage(connection)] == [
                "the sequence of activation_log.activation_log_id is behind the rows",
                "activation_log has rows of another server",
            ]
        assert [each.transition_id for each in transitions(app, theirs).found] == ids[3:]

        migrate(empty_database_url)
        with engine.connect() as connection:
            assert damage(connection) == []
        engine.dispose()
        found, cursor = read_all(app, theirs)
        new = value(app, LOGGED, 7)
        assert [each.transition_id for each in found] == ids[3:]
        assert new == ids[-1] + 1
        assert [each.transition_id for each in read_all(app, cursor)[0]] == [new]
        assert [each.transition_id for each in read_all(app)[0]] == [*ids, new]


def test_deletion_of_what_is_on_is_not_refused_where_the_sequence_is_behind(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    execute(app, "SELECT setval('activation_log_activation_log_id_seq', 1, false)")
    delete_instance(app, only_instance(app, session))

    assert value(app, "SELECT count(*) FROM session_instance") == 0
