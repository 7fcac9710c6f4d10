import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core.active_session_manager import ensure_instance, update_active_sessions
from core.errors import InvalidRecurrence, NoSuchOccurrence, SessionBusy, UnknownSession, UnknownTimeZone
from tests.core.rules.planner_model import recurring, weekly
from tests.data import (
    active_of,
    add_check_in,
    add_instance,
    add_person,
    add_session,
    change_instance,
    change_session,
    delete_instance,
    execute,
    instances_of,
    only_instance,
    times_of,
    windows_of,
)

# It asks the database's clock, so its sessions are some days from now, whenever that is.
SOON = datetime.combine(datetime.now(UTC).date() + timedelta(days=3), datetime.min.time()).replace(hour=19)
TEXT = recurring(weekly(f"{SOON:%A}".lower(), "19:00", "22:00"))
LATER = SOON + timedelta(weeks=5)


def test_p1_row_is_made_early(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    made = ensure_instance(engine, session, LATER)

    assert instances_of(app, session) == [(made, str(LATER.date()), "19:00", "22:00")]
    assert [row[3] for row in windows_of(app, session)] == ["ahead"]


def test_p1_it_is_idempotent_and_later_passes_keep_it(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    made = ensure_instance(engine, session, LATER)
    update_active_sessions(engine)

    assert ensure_instance(engine, session, LATER) == made
    assert only_instance(app, session) == made


def test_p1_an_early_row_leaves_tonight_as_it_is(engine: Engine, app: Connection) -> None:
    today = datetime.combine(datetime.now(UTC).date(), datetime.min.time())
    session = add_session(app, recurring(weekly(f"{today:%A}".lower(), "00:00", "23:59")), timezone="UTC")
    update_active_sessions(engine)
    tonight, windows = active_of(app, session), windows_of(app, session)
    assert tonight

    ensure_instance(engine, session, today + timedelta(weeks=2))

    assert active_of(app, session) == tonight
    assert {*windows} < {*windows_of(app, session)}


def test_p2_the_apps_own_instance_is_found(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    own = add_instance(app, session, str(LATER.date()), "19:00", "22:00")

    assert ensure_instance(engine, session, LATER) == own


@pytest.mark.usefixtures("database_of_its_own")
@pytest.mark.parametrize("by_pass", [False, True], ids=["asked for", "in a pass"])
def test_p2_a_row_that_is_on_as_soon_as_it_is_made_gives_way_to_one_that_the_app_makes(
    engine: Engine, app: Connection, *, by_pass: bool
) -> None:
    execute(
        app,
        "ALTER TABLE session_instance ADD COLUMN modified timestamptz;"
        "CREATE FUNCTION note_date() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.modified := clock_timestamp(); RETURN NEW; END $$;"
        "CREATE TRIGGER note BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION note_date()",
    )
    today = datetime.combine(datetime.now(UTC).date(), datetime.min.time())
    session = add_session(app, recurring(weekly(f"{today:%A}".lower(), "00:00", "23:59")), timezone="UTC")
    if by_pass:
        update_active_sessions(engine)
    else:
        assert ensure_instance(engine, session, today) == active_of(app, session)
    assert active_of(app, session) == only_instance(app, session)
    apps = add_instance(app, session, str(today.date()), "00:00", "23:59")

    update_active_sessions(engine)

    assert (only_instance(app, session), active_of(app, session)) == (apps, apps)


def test_p3_instance_that_was_given_other_times_is_found(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    made = ensure_instance(engine, session, LATER)
    change_instance(app, made, start_time="17:00", end_time="18:00")
    update_active_sessions(engine)

    assert ensure_instance(engine, session, LATER) == made


def test_p4_instance_that_was_deleted_by_hand_is_made_again_when_asked_for(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    made = ensure_instance(engine, session, LATER)
    delete_instance(app, made)
    update_active_sessions(engine)
    assert instances_of(app, session) == []

    again = ensure_instance(engine, session, LATER)

    assert only_instance(app, session) == again
    assert execute(app, "SELECT * FROM skipped_occurrence") == []


def test_instance_that_was_moved_to_another_session_is_not_the_firsts_any_more(engine: Engine, app: Connection) -> None:
    session, other = add_session(app, TEXT), add_session(app)
    moved = ensure_instance(engine, session, LATER)
    change_instance(app, moved, session_id=other)
    for _ in range(2):
        made = ensure_instance(engine, session, LATER)
        assert made == only_instance(app, session) != moved
        update_active_sessions(engine)
    assert only_instance(app, other) == moved


def test_session_with_an_early_instance_is_planned_as_ever(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    ensure_instance(engine, session, LATER)
    result = update_active_sessions(engine, now=SOON.replace(tzinfo=UTC))

    assert len(result.planned) == 1
    assert times_of(app, session) == [f"{start.date()} 19:00-22:00" for start in (SOON, LATER)]


def test_early_yes_waits_for_its_instance(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    made = ensure_instance(engine, session, LATER)
    add_check_in(app, made, add_person(app))
    change_session(app, session, recurrence=None)
    update_active_sessions(engine)

    assert only_instance(app, session) == made


def test_rows_are_the_callers_to_commit(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    with Session(engine) as db:
        ensure_instance(db, session, LATER)
        assert instances_of(app, session) == []
        db.rollback()
    assert instances_of(app, session) == []
    with Session(engine) as db:
        made = ensure_instance(db, session, LATER)
        db.commit()
    assert only_instance(app, session) == made


# Refused


def test_no_such_occurrence_names_what_would_be_accepted(engine: Engine, app: Connection) -> None:
    session = add_session(app, TEXT)
    wrong = LATER + timedelta(hours=1)
    around = ", ".join(str(LATER + timedelta(weeks=weeks)) for weeks in (-1, 0, 1))

    with pytest.raises(NoSuchOccurrence, match=f"no occurrence at {wrong};.*: {around}$"):
        ensure_instance(engine, session, wrong)
    assert instances_of(app, session) == []


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"recurrence": "Tuesdays"}, InvalidRecurrence),
        ({"timezone": "Europe/Dublinn"}, UnknownTimeZone),
        ({"recurrence": None}, NoSuchOccurrence),
    ],
)
def test_session_that_cannot_be_read_is_refused(
    engine: Engine, app: Connection, columns: dict[str, object], error: type[Exception]
) -> None:
    session = add_session(app, TEXT)
    change_session(app, session, **columns)

    with pytest.raises(error):
        ensure_instance(engine, session, LATER)


@pytest.mark.parametrize(
    "start",
    [datetime(1, 1, 1, 19), datetime(1899, 12, 26, 19), datetime(2201, 1, 6, 19), LATER.replace(tzinfo=UTC)],
    ids=str,
)
def test_a_start_that_makes_no_sense_is_refused_with_what_is_accepted(
    engine: Engine, app: Connection, start: datetime
) -> None:
    session = add_session(app, TEXT)

    with pytest.raises(NoSuchOccurrence, match=rf"at {re.escape(str(start))}; expected a local .* from 1900 to 2199$"):
        ensure_instance(engine, session, start)
    assert instances_of(app, session) == []


def test_unknown_session_is_refused(engine: Engine) -> None:
    with pytest.raises(UnknownSession, match="there is no session 404"):
        ensure_instance(engine, 404, LATER)


def test_session_that_is_held_for_two_seconds_is_busy(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session = add_session(app, TEXT)
    other = db_connect()
    execute(other, "SELECT FROM session_plan FOR UPDATE")

    with pytest.raises(SessionBusy, match=f"another transaction holds session {session}; try again"):
        ensure_instance(engine, session, LATER)
    other.rollback()
    assert ensure_instance(engine, session, LATER) == only_instance(app, session)


def test_session_that_the_app_holds_for_a_moment_is_waited_for(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    session = add_session(app, TEXT)
    other = db_connect()
    execute(other, "DELETE FROM session")

    with let_go_after(0.3, other.rollback):
        assert ensure_instance(engine, session, LATER) == only_instance(app, session)


@pytest.mark.usefixtures("database_of_its_own")
def test_same_instance_that_the_app_is_inserting_is_waited_for(
    engine: Engine, app: Connection, db_connect: Callable[[], Connection]
) -> None:
    """Where the app allows one instance a date, our insert waits for its own, gives up, and waits again."""
    execute(app, "CREATE UNIQUE INDEX ON session_instance (session_id, date)")
    session = add_session(app, TEXT)
    other = db_connect()
    own = add_instance(other, session, str(LATER.date()), "19:00", "22:00")

    with let_go_after(0.4, other.commit):
        assert ensure_instance(engine, session, LATER) == own
    assert only_instance(app, session) == own


@contextmanager
def let_go_after(seconds: float, let_go: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(seconds, let_go)
    timer.start()
    yield
    timer.join()
