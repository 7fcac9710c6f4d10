import json
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.errors import InvalidSessionFile
from scheduler.commands import loading
from scheduler.commands.demo import REAL_SESSIONS
from scheduler.commands.loading import Loaded
from tests.data import execute, requests, value

WEEKLY = {"type": "weekly", "weekday": "tuesday", "start_time": "19:00", "end_time": "22:00"}
GOOD: dict[str, Any] = {"name": "The Cobblestone", "city": "Dublin", "timezone": "Europe/Dublin", "schedules": [WEEKLY]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.json"


def write(file: Path, *entries: object) -> Path:
    file.write_text(json.dumps({"sessions": entries}))
    return file


def load(engine: Engine, file: Path) -> Loaded:
    found, warnings = loading.read(file)
    with engine.begin() as connection:
        return loading.load(connection, found, warnings)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": None}, "name is None; expected text"),
        ({"name": " "}, "name is ' '; expected text"),
        ({"name": 7}, "name is 7; expected text"),
        ({"city": ["Dublin"]}, "city is ['Dublin']; expected text"),
        ({"timezone": None}, "no time zone is given; expected a name such as 'Europe/Dublin'"),
        ({"timezone": "Europe/Dubln"}, "'Europe/Dubln' is not a known time zone; expected 'Europe/Dublin'"),
        ({"initiation_date": "17/3/2026"}, "initiation_date is '17/3/2026'; expected a date such as 2026-03-17"),
        ({"termination_date": 2026}, "termination_date is 2026; expected text"),
        ({"active_buffer_minutes_before": -1}, "is -1; expected a whole number of minutes from 0 to 1440"),
        ({"active_buffer_minutes_after": 1.5}, "is 1.5; expected a whole number of minutes from 0 to 1440"),
        ({"active_buffer_minutes_after": True}, "is True; expected a whole number of minutes from 0 to 1440"),
        ({"time_zone": "x"}, "unknown key time_zone; expected only active_buffer_minutes_after"),
        ({"recurrence": "{}"}, "has both schedules and recurrence; expected only one of them"),
        ({"schedules": [{**WEEKLY, "weekday": "tuesdy"}]}, "tuesdy"),
        ({"schedules": [{**WEEKLY, "start_time": "25:00"}]}, "25:00"),
        ({"schedules": [{**WEEKLY, "every_n_weeks": 0}]}, "every_n_weeks"),
        ({"schedules": "tuesdays"}, "schedules"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_told_with_its_entry_and_nothing_is_loaded(
    engine: Engine, app: Connection, file: Path, wrong: dict[str, Any], told: str
) -> None:
    write(file, GOOD, GOOD | {"name": "Hughes'"} | wrong)

    with pytest.raises(InvalidSessionFile) as error:
        load(engine, file)

    assert str(error.value).startswith(f"{file}: nothing was loaded\n  sessions[1]: ")
    assert told in str(error.value)
    assert value(app, "SELECT count(*) FROM session") == 0


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    write(file, 7, GOOD, {"name": "nowhere"}, GOOD | {"city": 1})

    with pytest.raises(InvalidSessionFile) as error:
        loading.read(file)

    lines = str(error.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["sessions[0]", "sessions[2]", "sessions[3]"]
    assert "the value is 7; expected an object" in lines[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "Expecting property name"),
        ("[]", 'expected an object with a list "sessions"'),
        ('{"sessions": {}}', 'expected an object with a list "sessions"'),
        ("\udcff", "codec can't decode"),
    ],
)
def test_what_is_no_file_of_sessions_is_told(file: Path, text: str, told: str) -> None:
    file.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(InvalidSessionFile, match=told) as error:
        loading.read(file)

    assert str(error.value).startswith(str(file))


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(InvalidSessionFile, match="No such file"):
        loading.read(file)


def test_loading_again_changes_nothing_and_asks_for_nothing(engine: Engine, app: Connection) -> None:
    first = load(engine, REAL_SESSIONS)
    asked = requests(app)

    again = load(engine, REAL_SESSIONS)

    assert (first.inserted, first.updated, first.unchanged) == (38, 0, 0)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 38)
    assert requests(app) == asked


def test_what_changed_in_the_file_is_brought_up_to_date(engine: Engine, app: Connection, file: Path) -> None:
    load(engine, write(file, GOOD, GOOD | {"city": "Cork"}))

    loaded = load(engine, write(file, GOOD | {"active_buffer_minutes_before": 30}, GOOD | {"city": "Cork"}))

    assert (loaded.inserted, loaded.updated, loaded.unchanged) == (0, 1, 1)
    assert execute(app, "SELECT city, active_buffer_minutes_before FROM session ORDER BY session_id") == [
        ("Dublin", 30),
        ("Cork", 60),
    ]


def test_a_recurrence_as_text_is_loaded_as_it_stands(engine: Engine, app: Connection, file: Path) -> None:
    text = json.dumps({"schedules": [WEEKLY]}, indent=1)
    entry = {key: value for key, value in GOOD.items() if key != "schedules"} | {"recurrence": text}

    load(engine, write(file, entry))

    assert value(app, "SELECT recurrence FROM session") == text


def test_r2_every_n_weeks_without_an_initiation_date_is_warned_of(file: Path) -> None:
    fortnightly = GOOD | {"schedules": [{**WEEKLY, "every_n_weeks": 2}]}

    _, warnings = loading.read(write(file, fortnightly, fortnightly | {"initiation_date": "2026-03-17"}, GOOD))

    assert warnings == (
        "The Cobblestone: meets every n weeks but has no initiation_date, so it may be planned in the wrong weeks",
    )
