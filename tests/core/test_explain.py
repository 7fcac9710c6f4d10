"""Why a session, an instance or a person is as they are: read from a real server, by id or by name."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core.active_session_manager import check_in, leave
from core.choices import NOT_FOLLOWED
from core.errors import AmbiguousSession, OutOfReach, UnknownInstance, UnknownPerson, UnknownSession, UnknownTimeZone
from core.explain import Explanation, Why, explain_instance, explain_person, explain_session, find_session
from core.store.views import reports
from tests.core.emptied import empty
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_fleet,
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    connected,
    delete_instance,
    execute,
    only_instance,
)

HOUR = timedelta(hours=1)
LATER = "2026-12-02 09:00"
BEATS = (
    "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, clock_offset_ms, zone_version) "
    "VALUES (gen_random_uuid(), 'host', 1, '1', clock_timestamp(), 0, '2026f')"
)


def tonight(app: Connection, engine: Engine, at: str = DURING, recurrence: str = TUESDAYS) -> int:
    """Return a session that has been reconciled at that instant; it is on during the evening."""
    session = add_session(app, recurrence, name="Mueller's", city="Austin")
    reconcile_at(engine, at)
    return session


def steps(explanation: Explanation, subject: str) -> list[str]:
    return [step.text for step in explanation.steps if step.subject == subject]


def test_what_is_on_is_told_with_its_row_its_flip_and_its_people(engine: Engine, app: Connection) -> None:
    session = tonight(app, engine)
    instance, person = only_instance(app, session), add_person(app)
    check_in(app, person, instance, "yes", now=utc(DURING))

    found = explain_session(engine, session, now=utc(DURING))

    assert found.verdict == "On until 23:00: Tuesdays, 7-10pm, an hour before to an hour after"
    assert (found.why, found.is_on, found.agrees, found.session_instance_id) == (Why.ON, True, True, instance)
    assert steps(found, "row") == [
        f"instance {instance}, dated 2026-12-01: the planner made it, and nobody has touched it"
    ]
    [flip] = steps(found, "flip")
    assert flip.endswith(" late, by a hook in the app")
    [people] = steps(found, "people")
    assert people.startswith(f"person {person}: here: said yes at Tue 1 Dec 2026 20:00")
    assert explain_instance(app, instance, now=utc(DURING)) == found


def test_p5_a_cancelled_evening_is_told_with_its_reason_before_and_after_the_pass(
    engine: Engine, app: Connection
) -> None:
    session = tonight(app, engine)
    change_instance(app, only_instance(app, session), is_cancelled=True, cancel_reason="publican ill")

    before = explain_session(app, session, now=utc(DURING))
    reconcile_at(engine, DURING)
    after = explain_session(app, session, now=utc(DURING))

    assert before.verdict.startswith("On, and should not be: cancelled, 'publican ill' (P5). ")
    assert (before.is_on, before.agrees) == (True, False)
    assert after.verdict == (
        "Not on: cancelled, 'publican ill' (P5); it was on until Tue 1 Dec 2026 20:00 Europe/Dublin "
        "(2026-12-01 20:00 UTC)"
    )
    assert (after.is_on, after.agrees, after.why) == (False, True, Why.CANCELLED)


def test_an_edit_that_no_pass_has_served_is_told_by_the_real_clock(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    alone = explain_session(engine, session)
    execute(app, BEATS)
    add_instance(app, session, f"{datetime.now(UTC):%Y-%m-%d}", "00:00", "24:00")  # on all day

    beside_daemon = explain_session(engine, session)
    execute(app, "DELETE FROM plan_request")
    unnoticed = explain_session(engine, session)
    execute(app, "UPDATE session_plan SET failures = 1, error = 'no privilege', retry_at = clock_timestamp()")
    failed = explain_session(engine, session)

    assert alone.is_on is False
    for found, told in [
        (beside_daemon, "A pass that "),
        (unnoticed, "No pass is requested: the rows were perhaps written with the triggers off"),
        (failed, "The session's last pass failed: no privilege; it is tried again at "),
    ]:
        assert found.verdict.startswith("Not on, and should be until ")
        assert told in found.verdict
        assert (found.is_on, found.agrees) == (False, False)


def test_a_trigger_that_is_disabled_or_missing_is_named(engine: Engine, app: Connection) -> None:
    session = add_session(app, TUESDAYS)
    execute(app, BEATS)
    execute(app, "ALTER TABLE session_instance DISABLE TRIGGER seisiun_instance_updated")
    execute(app, "DROP TRIGGER seisiun_instance_inserted ON session_instance")
    add_instance(app, session, f"{datetime.now(UTC):%Y-%m-%d}", "00:00", "24:00")  # on all day
    execute(app, "DELETE FROM plan_request")

    told = explain_session(engine, session).verdict

    assert "No pass is requested, perhaps because " in told
    assert "the trigger seisiun_instance_updated of session_instance is disabled" in told
    assert "the trigger seisiun_instance_inserted of session_instance is missing" in told
    assert told.endswith("Run `python -m seisiun migrate`, which mends it and requests every session")


def test_an_evening_that_was_deleted_while_it_was_on_comes_before_the_next_one(engine: Engine, app: Connection) -> None:
    session = add_session(app, timezone="UTC")
    today = datetime.now(UTC).date()
    tonight = add_instance(app, session, f"{today}", "00:00", "24:00")  # on all day
    add_instance(app, session, f"{today + timedelta(days=3)}", "19:00", "22:00")
    reconcile_at(engine, None)

    delete_instance(app, tonight)
    reconcile_at(engine, None)
    found = explain_session(engine, session)

    assert found.verdict.startswith(f"Not on: instance {tonight} was on until ")
    assert ", when its row was deleted; the next is instance " in found.verdict


def test_p4_a_lost_and_a_skipped_evening_are_told(engine: Engine, app: Connection) -> None:
    lost, skipped = tonight(app, engine), tonight(app, engine)
    add_check_in(app, only_instance(app, lost), add_person(app))
    change_session(app, lost, recurrence=recurring(weekly("friday", "19:00", "22:00")))
    delete_instance(app, only_instance(app, skipped))
    reconcile_at(engine, DURING)

    assert explain_session(app, lost, now=utc(DURING)).why is Why.LOST
    assert explain_session(app, skipped, now=utc(DURING)).verdict == (
        "Not on: somebody deleted the row of Tue 1 Dec 2026 19:00 to 22:00, and no other is made for it: "
        "to have it after all, add one by hand"
    )


@pytest.mark.parametrize(
    ("at", "now", "is_on", "why"),
    [
        ("2026-12-08 20:00", DURING, True, Why.ON),
        ("2026-12-09 20:00", DURING, False, Why.NOT_PLANNED),
        (DURING, CLOSES, True, Why.ON),
        (OPENS, CLOSES, True, Why.ON),
        (NOON, CLOSES, None, Why.NOT_KEPT),
        ("2026-10-28 12:00", CLOSES, None, Why.NOT_KEPT),
    ],
)
def test_an_instant_ahead_is_told_by_the_rules_and_a_past_one_by_the_log(  # noqa: PLR0917 -- the columns of the table
    engine: Engine, app: Connection, at: str, now: str, is_on: bool | None, why: Why
) -> None:
    session = tonight(app, engine, OPENS)
    reconcile_at(engine, now)

    found = explain_session(app, session, utc(at), now=utc(now))
    local = explain_session(app, session, utc(at).replace(tzinfo=None), now=utc(now))

    assert (found.is_on, found.why) == (is_on, why)
    assert local == found, "Dublin's clocks show UTC"


def test_what_was_on_is_told_by_the_log_after_an_edit_and_after_a_deletion(engine: Engine, app: Connection) -> None:
    session = tonight(app, engine)
    instance = only_instance(app, session)
    reconcile_at(engine, CLOSES)
    change_instance(app, instance, start_time="09:00", end_time="10:00")
    reconcile_at(engine, LATER)

    edited = explain_session(app, session, utc(DURING), now=utc(LATER))
    delete_instance(app, instance)
    deleted = explain_session(app, session, utc(DURING), now=utc(LATER))
    before = explain_session(app, session, utc("2026-12-01 09:30"), now=utc(LATER))

    for found in (edited, deleted):
        assert (found.session_instance_id, found.is_on, found.why) == (instance, True, Why.ON)
        assert "and closed at Tue 1 Dec 2026 23:00 Europe/Dublin (2026-12-01 23:00 UTC), by the log" in found.verdict
    assert steps(deleted, "row") == [f"instance {instance}: deleted since"]
    for subject in ("occurrence", "hours", "window"):
        assert steps(deleted, subject) == ["not kept: the row is deleted"]
    assert explain_instance(app, instance, utc(DURING), now=utc(LATER)) == deleted
    with pytest.raises(UnknownInstance, match="its row is deleted: ask with an instant when it was there"):
        explain_instance(app, instance)
    assert (before.is_on, before.why) == (None, Why.NOT_KEPT)
    assert before.verdict.startswith("Not known: the log of flips begins at Tue 1 Dec 2026 20:00 ")


def test_an_active_row_of_long_ago_is_explained_too(engine: Engine, app: Connection) -> None:
    session = tonight(app, engine)
    old = add_instance(app, session, "2025-06-03", "19:00", "22:00")
    change_instance(app, only_instance_on(app, session), active=False)
    change_instance(app, old, active=True)

    found = explain_session(app, session, now=utc(DURING))

    assert found.session_instance_id == old
    assert found.verdict.startswith("On, and should not be: over since Tue 3 Jun 2025 23:00 ")


def only_instance_on(app: Connection, session: int) -> int:
    on = active_of(app, session)
    assert on
    return on


def test_a2_where_a_person_is_and_why(engine: Engine, app: Connection) -> None:
    instance, person = only_instance(app, tonight(app, engine)), add_person(app)

    nowhere = explain_person(engine, person, now=utc(DURING))
    check_in(app, person, instance, "yes", now=utc(DURING))
    here = explain_person(engine, person, now=utc(DURING))
    leave(app, person, instance, now=utc("2026-12-01 20:30"))
    gone = explain_person(engine, person, now=utc("2026-12-01 20:30"))

    assert nowhere.verdict == "Nowhere: they said yes to nothing (A2)"
    assert here.verdict.startswith(f"At Mueller's (session 1, instance {instance}): said yes at Tue 1 Dec 2026 20:00")
    assert (here.session_instance_id, here.should_be_at, here.agrees) == (instance, instance, True)
    assert gone.verdict.startswith(f"Nowhere: they left Mueller's (session 1, instance {instance}) at Tue ")


def test_a_yes_to_an_evening_without_a_window_is_told_with_its_reason(engine: Engine, app: Connection) -> None:
    session, person = tonight(app, engine), add_person(app)
    instance = only_instance(app, session)
    add_check_in(app, instance, person)
    change_session(app, session, recurrence=recurring(weekly("friday", "19:00", "22:00")))
    reconcile_at(engine, DURING)

    lost = explain_person(app, person, now=utc(DURING))
    execute(app, "UPDATE session_instance_person SET attendance = 'maybe'")
    maybe = explain_person(app, person, now=utc(DURING))

    assert lost.verdict == "Nowhere: no yes of theirs is for an instance that is on now (A2)"
    assert ": the instance has no window to come: it was on until " in lost.steps[0].text
    assert "the pattern no longer has it" in lost.steps[0].text
    assert maybe.verdict == "Nowhere: they said yes to nothing (A2)"
    assert (maybe.steps[0].subject, maybe.steps[0].text.endswith(": a maybe does not count (A2)")) == ("maybe", True)


def test_that_nobody_follows_who_is_deactivated_is_told(engine: Engine, app: Connection) -> None:
    person = add_person(app)
    with engine.connect() as db:
        db.exec_driver_sql("ALTER TABLE person ADD COLUMN active boolean NOT NULL DEFAULT false")

        found = explain_person(db, person)

        db.rollback()
    assert [step.text for step in found.steps if step.subject == "note"] == [NOT_FOLLOWED]


def test_a2_who_keeps_a_person_elsewhere_is_told(
    engine: Engine, app: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "LATE", timedelta(0))
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    session, person = add_session(app, timezone="UTC", active_buffer_minutes_before=1440), add_person(app)
    instance = add_instance(app, session, today, "00:00", "24:00")  # on all day
    reconcile_at(engine, None)
    execute(app, BEATS)
    with connected(database_url) as other:
        execute(other, "BEGIN")
        [(pid,)] = execute(other, "SELECT pg_backend_pid() FROM person FOR NO KEY UPDATE")
        add_check_in(app, instance, person)
        held = explain_person(engine, person), explain_session(engine, session)
        execute(other, "ROLLBACK")
    execute(app, "DELETE FROM plan_request")
    unnoticed = explain_person(engine, person), explain_session(engine, session)

    assert f"perhaps blocked by pid {pid} (" in held[0].verdict
    assert "A pass that " in held[0].verdict
    assert f"`SELECT pg_terminate_backend({pid})` ends it" in steps(held[1], "pass")[0]
    assert steps(held[1], "people")[0].startswith(f"person {person}: not here, and should be: ")
    assert "No pass is requested: the rows were perhaps written with the triggers off" in unnoticed[0].verdict
    assert steps(unnoticed[1], "pass")[0].startswith(
        "No pass is requested: the rows were perhaps written with the triggers off"
    )


def test_what_does_not_exist_or_is_out_of_reach_is_refused(app: Connection) -> None:
    session, zoneless = add_session(app), add_session(app, timezone="Mars")
    far = datetime.now(UTC) + timedelta(days=367)

    with pytest.raises(UnknownSession, match="there is no session 99"):
        explain_session(app, 99)
    with pytest.raises(UnknownInstance, match="there is no instance 99"):
        explain_instance(app, 99)
    with pytest.raises(UnknownPerson, match="there is no person 99"):
        explain_person(app, 99)
    with pytest.raises(OutOfReach, match="expected an instant within 366 days"):
        explain_session(app, session, far)
    with pytest.raises(UnknownTimeZone, match="Mars"):
        explain_session(app, zoneless, datetime(2026, 12, 1, 19))


def test_a_session_is_found_by_id_path_or_the_beginning_of_its_name(app: Connection) -> None:
    cobblestone = add_session(app, name="The Cobblestone", path="dublin/cobblestone", city="Dublin", country="Ireland")
    crane = add_session(app, name="The Crane", city="Galway", country="Ireland")
    numbered = add_session(app, name="1916 Session 100%")

    assert find_session(app, str(crane)) == crane
    assert find_session(app, "dublin/cobblestone") == cobblestone
    assert find_session(app, "the cr") == crane
    muellers = add_session(app, name="Mueller's \N{LEFT SINGLE QUOTATION MARK}Session\N{RIGHT SINGLE QUOTATION MARK}")
    for text in ("muellers", "Mueller's", "MUELLERS SES", "mueller's 'session"):
        assert find_session(app, text) == muellers
    assert find_session(app, "1916") == numbered
    with pytest.raises(UnknownSession, match="no session has the id or the path '%'"):
        find_session(app, "%")
    with pytest.raises(
        AmbiguousSession,
        match=f"several sessions are named 'The'; give an id: {cobblestone} The Cobblestone, Dublin, Ireland; {crane} ",
    ):
        find_session(app, "The")
    add_session(app, name="The Crane Bar")
    assert find_session(app, "the crane") == crane
    for number in range(11):
        add_session(app, name=f"The {number}")
    with pytest.raises(AmbiguousSession, match=r"; \.\.\.$"):
        find_session(app, "The")


def test_an_app_may_ask_inside_its_own_transaction_and_sees_what_it_wrote(engine: Engine, app: Connection) -> None:
    session = tonight(app, engine)
    with Session(engine) as db:
        db.connection().exec_driver_sql("UPDATE session_instance SET is_cancelled = true")

        assert explain_session(db, session, now=utc(DURING)).why is Why.CANCELLED

        db.rollback()
    assert explain_session(engine, session, now=utc(DURING)).why is Why.ON


def test_a_reading_writes_nothing_and_waits_for_nobody(engine: Engine, app: Connection) -> None:
    session = tonight(app, engine)
    with engine.begin() as holding:
        holding.exec_driver_sql("LOCK TABLE session, session_instance, session_plan, person IN EXCLUSIVE MODE")

        assert explain_session(engine, session, now=utc(DURING)).is_on


# Each session has an evening that is on, and two flips.
MANY_EVENINGS = """
    INSERT INTO session_instance (session_id, date, start_time, end_time)
    SELECT session_id, '2026-12-01', '19:00', '22:00' FROM session WHERE session_id > 1;
    INSERT INTO activation_window (session_instance_id, session_id, opens_at, closes_at, starts_at, phase, planned_at)
    SELECT session_instance_id, session_id, '2026-12-01 18:00Z', '2026-12-01 23:00Z', '2026-12-01 19:00Z', 'open', now()
    FROM session_instance WHERE session_id > 1;
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause)
    SELECT session_instance_id, session_id, n = 1, now(), now(), 'timer' FROM session_instance, generate_series(0, 1) n
    WHERE session_id > 1;
    ANALYZE;
"""
ROWS_READ = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"


def test_a_reading_among_thousands_of_sessions_reads_a_few_rows(engine: Engine, app: Connection) -> None:
    session = tonight(app, engine)
    instance, person = only_instance(app, session), add_person(app)
    check_in(app, person, instance, "yes", now=utc(DURING))

    add_fleet(app, 3000, TUESDAYS)
    execute(app, MANY_EVENINGS)
    change_session(app, session, path="austin/muellers")

    with engine.begin() as db:
        for _ in range(3):
            assert explain_session(db, session, now=utc(DURING)).is_on
            assert explain_instance(db, instance, now=utc(DURING)).is_on
            assert find_session(db, "muellers") == find_session(db, "austin/muellers") == session
            assert explain_person(db, person, now=utc(DURING)).session_instance_id == instance
        read = db.exec_driver_sql(ROWS_READ).scalar_one()

    assert 0 < read < 1500, "one scan of a table would read 3,000 or more"


spans = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 23), st.integers(1, 5), st.booleans()), min_size=1, max_size=4
)
patterns = st.lists(st.tuples(st.sampled_from(["tuesday", "wednesday"]), st.integers(0, 22)), max_size=2)


@pytest.mark.timeout(600)
def test_what_is_said_of_an_instant_ahead_is_what_is_then(engine: Engine, app: Connection) -> None:
    @settings(max_examples=settings().max_examples // 10)
    @given(rows=spans, pattern=patterns, ahead=st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True))
    def holds(rows: list[tuple[int, int, int, bool]], pattern: list[tuple[str, int]], ahead: list[int]) -> None:
        empty(app)
        session = add_session(app, recurring(*(weekly(day, f"{at:02}:00", f"{at + 1:02}:00") for day, at in pattern)))
        for day, start, length, cancelled in rows:
            end = f"{(start + length) % 24:02}:00"
            add_instance(app, session, f"2026-12-{1 + day:02}", f"{start:02}:00", end, is_cancelled=cancelled)
        reconcile_at(engine, NOON)
        told = {
            hours: explain_session(app, session, utc(NOON) + hours * HOUR, now=utc(NOON)) for hours in sorted(ahead)
        }
        for hours, said in told.items():
            reconcile_at(engine, utc(NOON) + hours * HOUR)
            on = active_of(app, session)
            assert said.is_on == (on is not None)
            assert not said.is_on or said.session_instance_id in (on, None)

    holds()
