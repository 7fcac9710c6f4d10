"""What our own pages read and write: of exactly the rows that are asked for, in order, and within the bounds."""

from datetime import date, datetime

import pytest
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import Engine

from core.db import create_engine
from core.store.views import pages
from tests.core.passes import CLOSES, DURING, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    add_window,
    bind,
    change_instance,
    execute,
    instances_of,
)
from tests.postgres import Server

FIRST, LAST = date(2026, 12, 1), date(2026, 12, 3)


def test_a_session_that_is_read_to_be_written_waits_for_no_check_in(engine: Engine, app: Connection) -> None:
    _, session = add_session(app), add_session(app)
    with engine.begin() as connection:
        found = pages.session(connection, session, for_update=True)
        assert found
        assert found.session_id == session
        execute(app, "SELECT FROM session WHERE session_id = %s FOR KEY SHARE NOWAIT", session)
        with pytest.raises(errors.LockNotAvailable):
            execute(app, "SELECT FROM session WHERE session_id = %s FOR NO KEY UPDATE NOWAIT", session)
    with engine.begin() as connection:
        pages.session(connection, session)
        execute(app, "SELECT FROM session WHERE session_id = %s FOR UPDATE NOWAIT", session)
        assert pages.session(connection, 99) is None


def test_sessions_are_those_that_are_asked_for_by_id(unindexed: EngineConnection, app: Connection) -> None:
    ids = [add_session(app) for _ in range(3)]
    for table in ("session", "session_plan"):  # now the first lies behind the others
        execute(app, f"UPDATE {table} SET session_id = session_id WHERE session_id = %s", ids[0])

    assert [row.session_id for row in pages.sessions_of(unindexed, [ids[2], ids[0]])] == [ids[0], ids[2]]


def test_instances_between_two_dates_are_in_order_and_bounded(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, other = add_session(app), add_session(app)
    rows = [("03", "19:00"), ("01", "21:00"), ("01", "19:00"), ("01", "19:00")]
    third, second, *first = (add_instance(app, session, f"2026-12-{day}", start) for day, start in rows)
    for day in ("2026-11-30", "2026-12-04"):
        add_instance(app, session, day)
    add_instance(app, other, "2026-12-01")

    with engine.connect() as connection:
        found = pages.instances_between(connection, [session], FIRST, LAST)
        monkeypatch.setattr(pages, "MOST_INSTANCES", 2)
        bounded = pages.instances_between(connection, [session], FIRST, LAST)
        alone = pages.instance(connection, second)

    assert [row.session_instance_id for row in found] == [*first, second, third]
    assert bounded == found[:2]
    assert alone == found[2]


def test_what_is_on_and_what_was_skipped_is_of_these_sessions(engine: Engine, app: Connection) -> None:
    session, other = add_session(app, TUESDAYS), add_session(app, TUESDAYS)
    reconcile_at(engine, DURING)
    for of, start in ((session, "11-30 23:00"), (session, "12-01 00:00"), (other, "12-01 00:00")):
        insert = "INSERT INTO skipped_occurrence (session_id, occurrence_start) VALUES (%s, %s)"
        execute(app, insert, of, f"2026-{start}")

    with engine.connect() as connection:
        assert pages.on_now(connection, [session]) == {session: active_of(app, session)}
        assert pages.skipped_since(connection, [session], FIRST) == {(session, datetime(2026, 12, 1))}


def test_an_instance_has_its_nearest_window_and_the_occurrence_of_its_session(engine: Engine, app: Connection) -> None:
    session = add_session(app, recurring(weekly("tuesday", "09:00", "10:00"), weekly("tuesday", "19:00", "22:00")))
    reconcile_at(engine, "2026-12-01 07:00")
    [(morning, *_), (instance, *_)] = instances_of(app, session)
    windows = [
        ("over", "2026-11-30 09:00", "2026-11-30 10:00"),
        ("over", "2026-11-30 11:00", "2026-11-30 12:00"),
        ("ahead", "2026-12-02 09:00", "2026-12-02 10:00"),
    ]
    for phase, opens, closes in windows:
        add_window(app, instance, session, phase, utc(opens), utc(closes))

    def nearest() -> tuple[datetime | None, datetime | None, datetime | None]:
        with engine.connect() as connection:
            found = pages.instance(connection, instance)
        assert found
        return found.opens_at, found.closes_at, found.occurrence_start

    assert nearest() == (utc(OPENS), utc(CLOSES), datetime(2026, 12, 1, 19))
    with engine.connect() as connection:
        listed = pages.instances_between(connection, [session], FIRST, LAST)
    assert [row.session_instance_id for row in listed] == [morning, instance], "each once"
    execute(app, "DELETE FROM activation_window WHERE opens_at = %s", utc(OPENS))
    change_instance(app, instance, session_id=add_session(app))
    assert nearest() == (utc("2026-12-02 09:00"), utc("2026-12-02 10:00"), None)
    execute(app, "DELETE FROM activation_window WHERE phase = 'ahead'")
    assert nearest() == (utc("2026-11-30 11:00"), utc("2026-11-30 12:00"), None)


def test_an_instance_that_is_cancelled_or_lost_is_off(engine: Engine, app: Connection) -> None:
    session = add_session(app)
    on, cancelled, lost = (add_instance(app, session, "2026-12-01") for _ in range(3))
    change_instance(app, cancelled, is_cancelled=True)
    bind(app, lost, session, "2026-12-01 19:00", lost=True)

    with engine.connect() as connection:
        found = [pages.instance(connection, instance) for instance in (on, cancelled, lost)]

    assert [each and each.is_off for each in found] == [False, True, True]


def test_a_change_of_one_evening_leaves_the_others(engine: Engine, app: Connection) -> None:
    instance, other = (add_instance(app, add_session(app), "2026-12-01") for _ in range(2))
    person, silent, away = add_person(app), add_person(app), add_person(app)
    for at, who, attendance in ((instance, person, "yes"), (other, person, "yes"), (instance, away, "maybe")):
        add_check_in(app, at, who, attendance)
    add_check_in(app, instance, silent, None)  # an app may have rows without an answer

    with engine.begin() as connection:
        pages.set_cancelled(connection, instance, cancelled=True, reason="A wedding")
        said = [pages.set_comment(connection, instance, who, "pipes") for who in (person, silent, 99)]
        assert pages.said_of(connection, [instance], person) == {instance: "yes"}
        assert pages.said_of(connection, [instance], silent) == {}
        rows = [pages.said(connection, at, who) for at, who in ((instance, person), (other, person), (other, away))]

    assert said == ["yes", None, None]
    assert [row and row.comment for row in rows] == ["pipes", None, None]
    assert rows[2] is None
    assert execute(app, "SELECT comment FROM session_instance_person WHERE person_id <> %s", person) == [(None,)] * 2
    assert execute(app, "SELECT session_instance_id FROM session_instance WHERE is_cancelled") == [(instance,)]


def test_people_are_found_by_all_words_in_order_and_bounded(engine: Engine, app: Connection) -> None:
    names = [("Seán", "Ó Riada"), ("Nóirín", "Ní Bhriain"), ("Orla", "100%"), ("anna", "Ní Bhriain")]
    for first, last in names:
        add_person(app, first_name=first, last_name=last)

    def found(words: str, limit: int = 9) -> list[str | None]:
        with engine.connect() as connection:
            return [person.first_name for person in pages.people_named(connection, words, limit)]

    assert found("") == ["anna", "Nóirín", "Orla", "Seán"]
    assert found("", 1) == ["anna"]
    assert found("noirin bhriain") == found("NÓIRÍN") == ["Nóirín"]
    assert found("bhriain") == ["anna", "Nóirín"]
    assert found("%") == ["Orla"]
    assert found("o_la") == []
    with engine.connect() as connection:
        assert pages.person(connection, 2) == pages.people_named(connection, "noirin", 1)[0]
        assert pages.person(connection, 99) is None


def test_people_are_found_by_their_letters_where_the_database_is_not_in_utf_8(server: Server) -> None:
    with server.database("template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'") as url:
        engine = create_engine(url)
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE person AS SELECT 7 AS person_id, 'Nóirín' AS first_name, 'Ní Bhriain' AS last_name, "
                "NULL AS city"
            )

            assert [person.person_id for person in pages.people_named(connection, "Nóir bhriain", 9)] == [7]
            assert pages.people_named(connection, "Noir", 9) == []
        engine.dispose()


def test_a2_who_leaves_in_the_instant_of_their_yes_has_left(engine: Engine, app: Connection) -> None:
    instance = add_instance(app, add_session(app), "2026-12-01")
    for left_at in (DURING, OPENS):
        add_check_in(app, instance, add_person(app), checked_in_at=utc(DURING), left_at=utc(left_at))

    with engine.connect() as connection:
        left = [pages.said(connection, instance, person) for person in (1, 2)]

    assert [row and row.has_left for row in left] == [True, False]


def test_evenings_ahead_are_what_somebody_said_of_those_on_or_after_a_date(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, other, stranger = add_person(app), add_person(app), add_person(app)
    sessions = [add_session(app) for _ in range(5)]
    days = ("2026-12-03", "2026-12-01", "2026-11-30", "2026-12-02", "2026-12-02")
    later, today, past, unsaid, others = (
        add_instance(app, session, day) for session, day in zip(sessions, days, strict=True)
    )
    for instance, who, attendance in (
        (later, person, "no"), (today, person, "yes"), (past, person, "yes"), (unsaid, person, None),
        (others, other, "maybe"), (today, stranger, "yes"),
    ):  # fmt: skip
        add_check_in(app, instance, who, attendance)

    with engine.connect() as connection:
        found = pages.evenings_ahead(connection, [person, other], FIRST)
        monkeypatch.setattr(pages, "MOST_INSTANCES", 2)
        bounded = pages.evenings_ahead(connection, [person, other], FIRST)

    told = {who: [(row.instance.session_instance_id, row.attendance) for row in rows] for who, rows in found.items()}
    assert told == {person: [(today, "yes"), (later, "no")], other: [(others, "maybe")]}
    assert sum(map(len, bounded.values())) == 2


def test_evenings_before_are_yeses_to_what_was_not_cancelled_the_latest_first(engine: Engine, app: Connection) -> None:
    person, other = add_person(app), add_person(app)
    sessions = [add_session(app) for _ in range(3)]
    first, *last = (
        add_instance(app, session, f"2026-12-0{day}") for session, day in zip(sessions, (1, 3, 3), strict=True)
    )
    cancelled = add_instance(app, sessions[0], "2026-12-02", is_cancelled=True)
    maybe, after = (add_instance(app, sessions[0], f"2026-12-0{day}") for day in (3, 4))
    for instance in (first, *last, cancelled, after):
        add_check_in(app, instance, person)
    add_check_in(app, maybe, person, "maybe")
    add_check_in(app, maybe, other)

    with engine.connect() as connection:
        found, next_page = (
            [row.instance.session_instance_id for row in pages.evenings_before(connection, person, LAST, 9, before=at)]
            for at in (None, last[1])
        )
        bounded = pages.evenings_before(connection, person, LAST, 1)

    assert found == [last[1], last[0], first]
    assert next_page == found[1:]
    assert [row.instance.session_instance_id for row in bounded] == found[:1]
