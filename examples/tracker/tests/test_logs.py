"""The log of evenings: who logs what, and what is kept."""

import subprocess
import sys
from contextlib import closing
from typing import Any

import psycopg2
from conftest import ROOT, Visitor, soon, today


def read(statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def test_logs_list_all_rows_also_those_to_come(me: Visitor) -> None:
    session_id = me.add_session()
    for days in (-7, 0, 7):
        hours = {"date": today(days), "start_time": "20:00", "end_time": "22:00"}
        me.post(f"/sessions/{session_id}/instances", **hours)

    assert [log["date"] for log in me.logs(session_id)] == [today(-7), today(), today(7)]


def test_evening_without_tunes_counts_as_not_logged_yet(me: Visitor) -> None:
    session_id = me.add_session()
    evening = me.add_evening(session_id)
    assert [log["is_logged"] for log in me.logs(session_id)] == [False]

    me.post(f"/instances/{evening}/tunes", name="The Kesh")

    assert [log["is_logged"] for log in me.logs(session_id)] == [True]
    assert read(
        "SELECT log_complete_date IS NOT NULL FROM session_instance WHERE session_instance_id = %s", evening
    ) == [(True,)]


def test_history_keeps_an_evening_as_it_was(me: Visitor) -> None:
    evening = me.add_evening(me.add_session(), "20:00", "22:00")

    me.put(f"/instances/{evening}/hours", date=today(), start_time="21:00", end_time="23:00")
    me.delete(f"/instances/{evening}")

    kept = "SELECT operation, changed_by_user_id, was ->> 'start_time' FROM session_instance_history"
    assert read(f"{kept} WHERE session_instance_id = %s ORDER BY history_id", evening) == [
        ("move", me.person_id, "20:00:00"),
        ("delete", me.person_id, "21:00:00"),
    ]


def test_session_says_what_was_changed_last_and_by_whom(me: Visitor) -> None:
    session_id = me.add_session()
    first, second = (me.add_evening(session_id, start, "22:00") for start in ("20:00", "21:00"))

    me.post(f"/instances/{first}/cancel", is_cancelled=True)

    changes = me.get(f"/sessions/{session_id}")["changes"]
    assert [(change["session_instance_id"], change["by"]) for change in changes] == [
        (first, me.person_id),
        (second, None),
    ]


def test_who_says_yes_belongs_to_the_session(me: Visitor) -> None:
    session_id = me.add_session()
    evening = me.add_evening(session_id)

    me.post(f"/instances/{evening}/check-in", attendance="yes")

    assert read("SELECT person_id FROM session_person WHERE session_id = %s", session_id) == [(me.person_id,)]


def test_festival_lists_each_stage(me: Visitor) -> None:
    session_id = me.add_session(session_type="festival")
    stages = {me.add_evening(session_id, "11:00", "14:00"), me.add_evening(session_id, "11:30", "14:30")}

    assert {log["session_instance_id"] for log in me.logs(session_id)} == stages


def test_backup_names_every_row_with_its_id(me: Visitor) -> None:
    evening = me.add_evening(me.add_session())
    soon(lambda: me.is_on(evening))

    printed = subprocess.run(
        [sys.executable, "jobs/backup.py"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert 'INSERT INTO "session_instance" ("session_instance_id", "session_id"' in printed
    assert f"VALUES ('{evening}', " in printed
    assert printed.endswith("COMMIT;\n")
