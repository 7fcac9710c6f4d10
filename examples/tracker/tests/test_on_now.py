"""What is on now, and who is there: what every page says."""

import subprocess
import sys
from contextlib import closing

import psycopg2
import pytest
from conftest import ROOT, Visitor, far_zone, noon_zone, soon, today, weekly


def test_evening_within_its_hours_is_on_and_the_home_page_says_so(me: Visitor) -> None:
    session_id = me.add_session()
    evening = me.add_evening(session_id)

    soon(lambda: me.is_on(evening))
    [listed] = [found for found in me.get("/")["sessions"] if found["session_id"] == session_id]
    assert listed["is_on"]


@pytest.mark.parametrize(("start", "end"), [("14:15", "15:00"), ("08:00", "10:59")])
def test_evening_is_on_from_an_hour_before_to_an_hour_after(me: Visitor, start: str, end: str) -> None:
    session_id = me.add_session()
    evening = me.add_evening(session_id, start, end)
    on = me.add_evening(me.add_session())

    soon(lambda: me.is_on(on))
    assert not me.is_on(evening)


def test_of_two_evenings_of_a_session_one_is_on(me: Visitor) -> None:
    session_id = me.add_session()
    earlier, later = me.add_evening(session_id, "10:00", "15:00"), me.add_evening(session_id, "11:30", "15:00")

    soon(lambda: (me.is_on(earlier), me.is_on(later)), (False, True))


def test_yes_moves_me_there_and_every_page_says_so(me: Visitor, other: Visitor) -> None:
    evening = me.add_evening(me.add_session())
    soon(lambda: me.is_on(evening))

    me.post(f"/instances/{evening}/check-in", attendance="yes")

    soon(lambda: me.at, evening)
    for path in ("/", "/board", "/people"):
        assert me.get(path)["you"]["at_instance"] == evening
    [on] = [on for on in other.get("/board")["on"] if on["session_instance_id"] == evening]
    assert len(on["people"]) == 1


def test_no_takes_me_away(me: Visitor) -> None:
    evening = me.add_evening(me.add_session())
    soon(lambda: me.is_on(evening))
    me.post(f"/instances/{evening}/check-in", attendance="yes")
    soon(lambda: me.at, evening)

    me.post(f"/instances/{evening}/check-in", attendance="no")

    soon(lambda: me.at, None)


def test_yes_at_another_evening_that_is_on_moves_me_on(me: Visitor) -> None:
    first, second = me.add_evening(me.add_session()), me.add_evening(me.add_session())
    soon(lambda: me.is_on(first) and me.is_on(second))
    me.post(f"/instances/{first}/check-in", attendance="yes")
    soon(lambda: me.at, first)

    me.post(f"/instances/{second}/check-in", attendance="yes")

    soon(lambda: me.at, second)


def test_yes_beforehand_places_me_when_it_opens(me: Visitor, other: Visitor) -> None:
    evening = other.add_evening(other.add_session(), "18:00", "20:00")
    me.post(f"/instances/{evening}/check-in", attendance="yes")
    assert me.at is None

    other.put(f"/instances/{evening}/hours", date=today(), start_time="11:00", end_time="14:00")

    soon(lambda: me.at, evening)


def test_cancelled_evening_is_off_and_nobody_is_there_until_it_is_restored(me: Visitor, other: Visitor) -> None:
    evening = other.add_evening(other.add_session())
    me.post(f"/instances/{evening}/check-in", attendance="yes")
    soon(lambda: me.at, evening)

    other.post(f"/instances/{evening}/cancel", is_cancelled=True)
    soon(lambda: (other.is_on(evening), me.at), (False, None))

    other.post(f"/instances/{evening}/cancel", is_cancelled=False)
    soon(lambda: (other.is_on(evening), me.at), (True, evening))


def test_evening_that_is_moved_away_is_off(me: Visitor) -> None:
    evening = me.add_evening(me.add_session())
    soon(lambda: me.is_on(evening))

    me.put(f"/instances/{evening}/hours", date=today(2), start_time="11:00", end_time="14:00")

    soon(lambda: me.is_on(evening), False)


def test_session_that_is_terminated_is_off(me: Visitor) -> None:
    session_id = me.add_session()
    evening = me.add_evening(session_id)
    soon(lambda: me.is_on(evening))

    me.post(f"/sessions/{session_id}/terminate", date=today(-1))

    soon(lambda: me.is_on(evening), False)


def test_evening_goes_by_the_clocks_of_the_zone_of_its_session(me: Visitor) -> None:
    session_id = me.add_session(timezone=far_zone())
    evening = me.add_evening(session_id, "11:00", "14:00")
    me.put(f"/sessions/{session_id}/zone", timezone=noon_zone())
    soon(lambda: me.is_on(evening))

    me.put(f"/sessions/{session_id}/zone", timezone=far_zone())

    soon(lambda: me.is_on(evening), False)


def test_who_was_at_an_evening_that_is_deleted_is_nowhere(me: Visitor, other: Visitor) -> None:
    session_id = other.add_session()
    evening = other.add_evening(session_id)
    me.post(f"/instances/{evening}/check-in", attendance="yes")
    soon(lambda: me.at, evening)

    other.delete(f"/instances/{evening}")

    soon(lambda: me.at, None)
    assert other.logs(session_id) == []


def test_person_is_where_the_one_was_with_whom_they_are_merged(me: Visitor, other: Visitor) -> None:
    evening = other.add_evening(other.add_session())
    other.post(f"/instances/{evening}/check-in", attendance="yes")
    soon(lambda: other.at, evening)

    me.post(f"/people/{other.person_id}/merge", into=me.person_id)

    soon(lambda: me.at, evening)
    assert other.get("/people")["you"] is None


def test_person_who_is_deactivated_is_nowhere_and_in_no_list(me: Visitor, other: Visitor) -> None:
    evening = me.add_evening(me.add_session())
    other.post(f"/instances/{evening}/check-in", attendance="yes")
    soon(lambda: other.at, evening)

    me.post(f"/people/{other.person_id}/deactivate")

    soon(lambda: [on["people"] for on in me.get("/board")["on"] if on["session_instance_id"] == evening], [[]])
    assert other.person_id not in {person["person_id"] for person in me.get("/people")["people"]}


def test_recurrence_that_covers_now_makes_tonights_row_and_opens_it(me: Visitor) -> None:
    session_id = me.add_session(auto_create_instances=True)

    me.put(f"/sessions/{session_id}/recurrence", recurrence=weekly("11:30", "14:00"))

    soon(lambda: [(log["date"], log["is_on"]) for log in me.logs(session_id)], [(today(), True)])


def test_recurrence_that_covers_now_no_longer_takes_tonights_row_along(me: Visitor) -> None:
    session_id = me.add_session(recurrence=weekly("11:30", "14:00"))
    evening = me.add_evening(session_id, "11:30", "14:00")
    soon(lambda: me.is_on(evening))

    me.put(f"/sessions/{session_id}/recurrence", recurrence=weekly("20:00", "22:00"))

    soon(lambda: [(log["start_time"], log["is_on"]) for log in me.logs(session_id)], [("20:00:00", False)])


def test_session_that_has_not_chosen_so_gets_no_rows(me: Visitor) -> None:
    not_chosen = me.add_session(recurrence=weekly("11:30", "14:00"))
    chosen = me.add_session(recurrence=weekly("11:30", "14:00"), auto_create_instances=True)

    soon(lambda: len(me.logs(chosen)), 1)
    assert me.logs(not_chosen) == []


def test_todays_evening_is_on_when_somebody_begins_to_log_it(me: Visitor) -> None:
    session_id = me.add_session()

    evening = me.post(f"/sessions/{session_id}/log-today")["session_instance_id"]

    soon(lambda: me.is_on(evening))
    assert me.post(f"/sessions/{session_id}/log-today")["session_instance_id"] == evening


def test_the_cron_job_opens_what_no_route_has_told_of(me: Visitor) -> None:
    session_id = me.add_session()
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO session_instance (session_id, date, start_time, end_time) VALUES (%s, %s, '11:00', '14:00') "
            "RETURNING session_instance_id",
            (session_id, today()),
        )
        (evening,) = cursor.fetchone()

    subprocess.run([sys.executable, "jobs/check_active_sessions.py"], cwd=ROOT, check=True)

    soon(lambda: me.is_on(evening))
