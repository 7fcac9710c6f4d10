import json
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, event

from core.errors import InvalidSessionFile
from scheduler.commands import loading
from scheduler.commands.demo import REAL_SESSIONS
from scheduler.commands.loading import Loaded
from tests.data import add_session, execute, requests, value

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
        ({"time_zone": "x"}, "unknown key 'time_zone'; expected only active_buffer_minutes_after"),
        ({"recurrence": "{}"}, "has both schedules and recurrence; expected only one of them"),
        ({"schedules": [{**WEEKLY, "weekday": "tuesdy"}]}, "tuesdy"),
        ({"schedules": [{**WEEKLY, "start_time": "25:00"}]}, "25:00"),
        ({"schedules": [{**WEEKLY, "every_n_weeks": 0}]}, "every_n_weeks"),
        ({"schedules": "tuesdays"}, "schedules"),
        ({"timezone": " "}, "no time zone is given; expected a name such as 'Europe/Dublin'"),
        ({"timezone": 7}, "timezone is 7; expected text"),
        ({"timezone": "EST5EDT,M3.2.0,M11.1.0"}, "is not a known time zone; expected a name such as 'Europe/Dublin'"),
        (
            {"initiation_date": "9999-01-01"},
            "initiation_date is '9999-01-01'; expected a date such as 2026-03-17, in a",
        ),
        ({"termination_date": "0001-01-01"}, "in a year from 1900 to 2199"),
        ({"name": "a\0b"}, "name has '\\x00' at character 2; expected text without NUL"),
        ({"city": "\ud800"}, "city has '\\ud800' at character 1; expected text without NUL and half surrogates"),
        ({"name": [["x"] * 50] * 50}, "[['x', 'x'"),
        ({"one\ntwo": 1}, "unknown key 'one\\ntwo'; expected only"),
        (
            {"name": GOOD["name"], "city": "Dublin"},
            "has the name and the city of sessions[0]; expected each session once",
        ),
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
    [_, line] = str(error.value).splitlines()
    assert len(line) < 350
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
        ("{", 'line 1 column 2: Expecting value; expected an object with a list "sessions"'),
        ("", "line 1 column 1: '' is not {"),
        ('{"sessions": []} {', "line 1 column 18: the object is over"),
        ('{"sessions": [], "sessions": []}', "the list is there 2 times"),
        ('{"sessions": [],\n "about": [1, 2', "line 2 column 16: Expecting ',' delimiter"),
        ('{"sessions" []}', "line 1 column 13: '\\[' is not :"),
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


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('{"name": }', "sessions[1]: line 3 column 10: Expecting value; expected an object"),
        ('{"schedules": ' + "[" * 90_000, "sessions[1]: line 3 column 1: maximum recursion depth exceeded"),
        ('{"name": ' + "9" * 5000 + "}", "sessions[1]: line 3 column 1: Exceeds the limit (4300 digits)"),
        ('{"name": "' + "a" * loading.MOST_CHARACTERS + '"}', "sessions[1]: line 3 column 10: Unterminated string"),
        (" " * loading.MOST_CHARACTERS + '"' + "a" * loading.MOST_CHARACTERS + '"', "Unterminated string"),
        ("[" + "1," * (loading.MOST_CHARACTERS // 2) + "1]", "sessions[1]: line 3 column 100"),
        ('"' + "a" * (loading.MOST_CHARACTERS - 1) + '"', "sessions[1]: line 3 column 1: the value is too long"),
    ],
    ids=["no JSON", "depth", "digits", "a long text", "a long text after space", "a long list", "one too many"],
)
def test_a_session_that_is_no_json_or_not_of_bounded_size_is_told_with_its_place(
    file: Path, entry: str, told: str
) -> None:
    file.write_text(f'{{"sessions": [\n{{"name": 7}},\n{entry}, {{"name": "never read"}}]}}')

    with pytest.raises(InvalidSessionFile) as error:
        loading.read(file)

    [_, first, second] = str(error.value).splitlines()
    assert first.startswith("  sessions[0]: name is 7")
    assert told in second
    assert f"each of at most {loading.MOST_CHARACTERS} characters" in second


def test_a_key_that_is_given_twice_is_told(file: Path) -> None:
    entry = json.dumps(GOOD)
    twice = [entry.replace('"city"', '"name": "Other", "city"'), entry.replace('"type"', '"type": "weekly", "type"')]
    file.write_text(f'{{"about": {{"a": 1, "a": 2}}, "sessions": [{", ".join([entry, *twice])}]}}')

    with pytest.raises(InvalidSessionFile) as error:
        loading.read(file)

    assert str(error.value).splitlines()[1:] == [
        "  sessions[1]: has the key 'name' more than once; expected it once",
        "  sessions[2]: has the key 'type' more than once; expected it once",
    ]


def test_a_file_is_read_up_to_a_bound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MOST_BYTES", 1000)
    write(file, GOOD | {"name": "x" * 1000})

    with pytest.raises(InvalidSessionFile, match="the file has more than 1000 bytes; expected at most that"):
        loading.read(file)


def test_of_thousands_of_problems_the_first_are_listed(file: Path) -> None:
    write(file, *range(3000))

    with pytest.raises(InvalidSessionFile) as error:
        loading.read(file)

    assert len(str(error.value).splitlines()) == loading.MOST_PROBLEMS + 2
    assert str(error.value).endswith("\n  and 2900 more")


def test_thousands_of_sessions_are_written_by_few_statements_in_one_transaction(
    engine: Engine, app: Connection, file: Path
) -> None:
    entries = [GOOD | {"name": f"Séisiún {number}"} for number in range(1200)]
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    first = load(engine, write(file, *entries))
    again = load(engine, file)

    assert (first.inserted, again.unchanged) == (1200, 1200)
    assert value(app, "SELECT count(DISTINCT xmin::text) FROM session") == 1
    assert len(statements) <= 15


def test_of_sessions_that_are_stored_twice_the_lowest_id_is_brought_up_to_date(
    engine: Engine, app: Connection, file: Path
) -> None:
    for _ in range(2):
        add_session(app, None, name=GOOD["name"], city=GOOD["city"], timezone="UTC")

    loaded = load(engine, write(file, GOOD))

    assert (loaded.inserted, loaded.updated) == (0, 1)
    assert execute(app, "SELECT timezone FROM session ORDER BY session_id") == [("Europe/Dublin",), ("UTC",)]


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

    dated = fortnightly | {"name": "Hughes'", "initiation_date": "2026-03-17"}

    _, warnings = loading.read(write(file, fortnightly, dated, GOOD | {"city": "Cork"}))

    assert warnings == (
        "The Cobblestone: meets every n weeks but has no initiation_date, so it may be planned in the wrong weeks",
    )
