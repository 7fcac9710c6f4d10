"""Organisers move one evening, give it a place and a note, add one, and keep one that no longer fits the pattern."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from markupsafe import escape
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import data
from tests.core.recurrence.documents import text_of, weekly
from tests.web.site import ZONE, Browser, World, add_hours, reconcile
from tests.web.test_preview import IN_THREE_DAYS, IN_TWO_DAYS, TODAY
from web import words
from web.instances import NO_LONGER

Open = Callable[[], Browser]
NOW = datetime.now(UTC) - timedelta(hours=7)  # Phoenix
SAME = {"date": str(IN_TWO_DAYS), "from": "19:00", "until": "22:30", "place": "", "note": ""}


@pytest.fixture
def session(app: Connection) -> int:
    """A session on the day after tomorrow, 7-10:30pm."""
    day = f"{IN_TWO_DAYS:%A}".lower()
    return data.add_session(app, text_of(weekly(day, "19:00", "22:30")), timezone=ZONE, city="Austin", country="USA")


@pytest.fixture
def organiser(world: World, browser: Open) -> Browser:
    return browser().be(world.organiser, organiser=True)


@pytest.fixture
def evening(session: int, world: World, browser: Open) -> str:
    """The page of its next evening, to which Nóirín has said yes."""
    said = browser().be(world.noirin).send(f"/sessions/{session}/dates", attendance="yes", start=f"{IN_TWO_DAYS}T19:00")
    return str(said.location)


def instance_of(evening: str) -> int:
    return int(evening.rpartition("/")[2])


def row(app: Connection, evening: str) -> tuple[str, str | None, str | None, str | None, str | None]:
    [found] = data.execute(
        app,
        "SELECT date::text, to_char(start_time, 'HH24:MI'), to_char(end_time, 'HH24:MI'), location_override, comments "
        "FROM session_instance WHERE session_instance_id = %s",
        instance_of(evening),
    )
    return found


def filled_in(page: str) -> list[str]:
    field = r'name="(?:date|from|until|place)"[^>]* value="([^"]*)"|<textarea id="note"[^>]*>\n([^<]*)</textarea>'
    return [one or note for one, note in re.findall(field, page)]


def test_the_form_of_an_evening_that_states_no_end_shows_none(organiser: Browser, app: Connection) -> None:
    endless = data.add_session(app, text_of(weekly(f"{IN_TWO_DAYS:%A}".lower(), "19:00", None)), timezone=ZONE)

    page = organiser.get(f"/sessions/{endless}/dates/change?start={IN_TWO_DAYS}T19:00")

    assert filled_in(page) == [str(IN_TWO_DAYS), "19:00", "", "", ""]


def test_an_evening_is_moved_and_its_date_and_page_say_from_when(
    session: int, evening: str, organiser: Browser, *, app: Connection, browser: Open, database_url: str
) -> None:
    page = organiser.get(f"{evening}/change")
    assert "1 person said yes." in page
    assert filled_in(page) == [str(IN_TWO_DAYS), "19:00", "22:30", "", ""]

    page = organiser.post(f"{evening}/change", **SAME | {"date": str(IN_THREE_DAYS), "from": "20:00"})
    reconcile(database_url)

    moved = f"oved from {words.day(IN_TWO_DAYS)}, 7pm"
    assert "Saved." in page
    assert f"M{moved}" in page
    assert row(app, evening) == (str(IN_THREE_DAYS), "20:00", "22:30", None, None)
    assert f"m{moved}" in browser().get(f"/sessions/{session}")
    assert data.times_of(app, session) == [f"{IN_THREE_DAYS} 20:00-22:30"], "the old date is not made again"


def test_a_place_and_a_note_are_everybodys_to_read_and_taken_away_again(
    evening: str, organiser: Browser, app: Connection, browser: Open
) -> None:
    organiser.post(f"{evening}/change", **SAME | {"place": " The back room ", "note": " Slow <session> first "})

    page = browser().get(evening)
    assert "The back room" in page
    assert "Slow &lt;session&gt; first" in page
    assert "oved from" not in page
    organiser.post(f"{evening}/change", **SAME)
    assert row(app, evening) == (str(IN_TWO_DAYS), "19:00", "22:30", None, None)


def test_the_longest_place_and_note_and_the_last_date_are_accepted_and_stand_in_the_form(
    session: int, evening: str, organiser: Browser, app: Connection
) -> None:
    data.change_session(app, session, termination_date=str(IN_THREE_DAYS))
    place, note = "x" * 200, "y" * 500

    organiser.post(f"{evening}/change", **SAME | {"date": str(IN_THREE_DAYS), "place": place, "note": note})

    assert filled_in(organiser.get(f"{evening}/change")) == [str(IN_THREE_DAYS), "19:00", "22:30", place, note]


def test_the_form_of_an_evening_without_times_states_none(organiser: Browser, app: Connection) -> None:
    evening = data.add_instance(app, data.add_session(app, timezone=ZONE), str(IN_TWO_DAYS))

    assert filled_in(organiser.get(f"/instances/{evening}/change")) == [str(IN_TWO_DAYS), "", "", "", ""]


def shown_in(page: str) -> dict[str, str]:
    """What the form says that it showed."""
    return dict(re.findall(r'name="(was-\w+)" value="([^"]*)"', page))


def test_w6_only_what_one_changes_is_saved_and_what_others_did_stays(
    evening: str, organiser: Browser, app: Connection
) -> None:
    data.change_instance(app, instance_of(evening), location_override="Upstairs\n12 Main St")
    before = shown_in(organiser.get(f"{evening}/change"))
    unchanged = SAME | before | {"place": "Upstairs12 Main St"}
    organiser.post(f"{evening}/change", **unchanged | {"from": "18:00"})
    assert row(app, evening) == (str(IN_TWO_DAYS), "18:00", "22:30", "Upstairs\n12 Main St", None)

    kept = organiser.post(f"{evening}/change", **unchanged | {"until": "23:00", "note": "A\r\nB"})

    assert "Saved." in kept
    assert row(app, evening) == (str(IN_TWO_DAYS), "18:00", "23:00", "Upstairs\n12 Main St", "A\nB")


def test_w6_a_form_that_is_sent_as_it_was_does_not_hold_back_an_evening_that_follows_its_pattern(
    session: int, evening: str, organiser: Browser, *, app: Connection, database_url: str
) -> None:
    before = shown_in(organiser.get(f"{evening}/change"))
    data.change_session(app, session, recurrence=text_of(weekly(f"{IN_TWO_DAYS:%A}".lower(), "20:00", "22:30")))
    reconcile(database_url)

    page = organiser.post(f"{evening}/change", **SAME | before)

    assert row(app, evening)[:3] == (str(IN_TWO_DAYS), "20:00", "22:30")
    assert "Moved from" not in page


def test_w6_what_two_people_change_is_asked_again(evening: str, organiser: Browser, app: Connection) -> None:
    before = shown_in(organiser.get(f"{evening}/change"))
    organiser.post(f"{evening}/change", **SAME | before | {"from": "18:00", "note": "Mine"})

    asked = organiser.post(f"{evening}/change", 409, **SAME | before | {"from": "20:00", "note": "Mine"})

    assert "Somebody else has changed this: it is 18:00 now. Save again to replace it." in asked
    assert asked.count("Somebody else") == 1, "both wrote the same note"
    assert filled_in(asked) == [str(IN_TWO_DAYS), "20:00", "22:30", "", "Mine"]
    assert row(app, evening)[1] == "18:00"
    organiser.post(f"{evening}/change", **SAME | shown_in(asked) | {"from": "20:00", "note": "Mine"})
    assert row(app, evening) == (str(IN_TWO_DAYS), "20:00", "22:30", None, "Mine")


def test_a_long_note_of_the_apps_keeps_nobody_from_changing_the_hours(
    evening: str, organiser: Browser, app: Connection
) -> None:
    data.change_instance(app, instance_of(evening), comments="x" * 501)
    before = shown_in(organiser.get(f"{evening}/change"))

    organiser.post(f"{evening}/change", **SAME | before | {"from": "18:00", "note": "x" * 501})

    assert row(app, evening)[1:] == ("18:00", "22:30", None, "x" * 501)


def test_what_should_be_on_is_on_when_the_page_comes_back(
    session: int, evening: str, organiser: Browser, app: Connection
) -> None:
    page = organiser.post(
        f"{evening}/change", **SAME | {"date": f"{NOW:%Y-%m-%d}", "from": f"{NOW:%H:%M}", "until": ""}
    )

    assert 'class="state on"' in page
    assert data.active_of(app, session) == instance_of(evening)


def test_p3_a_row_that_states_no_times_goes_on_following_the_pattern(
    session: int, organiser: Browser, app: Connection, database_url: str
) -> None:
    path = f"/instances/{data.add_instance(app, session, str(IN_TWO_DAYS))}"
    reconcile(database_url)

    organiser.post(f"{path}/change", **SAME | {"note": "Bring a chair"})

    assert row(app, path) == (str(IN_TWO_DAYS), None, None, None, "Bring a chair")
    organiser.post(f"{path}/change", **SAME | {"from": "18:00", "note": "Bring a chair"})
    assert row(app, path) == (str(IN_TWO_DAYS), "18:00", "22:30", None, "Bring a chair"), "all of its hours are its own"


def test_a_date_without_a_row_is_changed(session: int, organiser: Browser, app: Connection) -> None:
    path, start = f"/sessions/{session}/dates/change", f"{IN_TWO_DAYS}T19:00:00"
    assert f'href="{path}?start={start}"' in organiser.get(f"/sessions/{session}")
    assert "Nobody has said yes." in organiser.get(f"{path}?start={start}")
    assert data.instances_of(app, session) == []

    organiser.post(path, **SAME | {"start": start, "from": "18:00"})

    assert data.times_of(app, session) == [f"{IN_TWO_DAYS} 18:00-22:30"]
    answer = organiser.client.get(f"{path}?start={start}")
    assert (answer.status_code, answer.location.endswith("/change")) == (303, True), "it has a row by now"
    gone = organiser.post(path, **SAME | {"start": f"{IN_THREE_DAYS}T19:00"})
    assert f"The session has no date on {words.day_and_year(IN_THREE_DAYS)} at 7pm" in gone


def test_who_said_yes_to_an_evening_that_is_moved_is_told_on_the_front_page(
    evening: str, organiser: Browser, world: World, browser: Open
) -> None:
    musician = browser().be(world.noirin)
    assert "Moved" not in musician.get("/")

    organiser.post(f"{evening}/change", **SAME | {"date": str(IN_THREE_DAYS), "from": "20:00"})

    told = (
        f"<strong>Moved</strong> from {words.day(IN_TWO_DAYS)}, 7pm to {words.day(IN_THREE_DAYS)}, 8pm: "
        f'<a href="instances/{instance_of(evening)}">The Cobblestone</a>. You said yes to it. Are you still coming?'
    )
    assert told in musician.get("/")
    assert told in musician.get("/me")
    asked = musician.get(evening)
    assert "<h2>Are you still coming?</h2>" in asked
    assert "This evening was moved. If you cannot come then, say no." in asked
    assert "<h2>Are you coming?</h2>" in browser().be(world.sean).get(evening)
    assert "Moved" not in organiser.get("/")
    later = IN_THREE_DAYS.replace(year=IN_TWO_DAYS.year + 1)
    organiser.post(f"{evening}/change", **SAME | {"date": str(later), "from": "20:00"})
    told = f"</strong> from {words.day_and_year(IN_TWO_DAYS)}, 7pm to {words.day_and_year(later)}, 8pm: "
    assert told in musician.get("/")
    organiser.post(f"{evening}/cancel", reason="A wedding")
    assert "Moved" not in musician.get("/")
    organiser.post(f"{evening}/restore")
    musician.post(f"{evening}/say", attendance="maybe")
    assert "Moved" not in musician.get("/")


def test_an_evening_is_added_beside_the_pattern(session: int, organiser: Browser, app: Connection) -> None:
    path = f"/sessions/{session}/dates/add"
    assert f'href="{path}"' in organiser.get(f"/sessions/{session}")
    assert "Add this evening" in organiser.get(path)

    page = organiser.post(path, **SAME | {"date": str(IN_THREE_DAYS), "until": "", "note": "A workshop"})

    assert "Added." in page
    assert "in a moment" not in page
    assert "A workshop" in page
    assert 'class="state ahead"' in page
    assert data.times_of(app, session) == [f"{IN_THREE_DAYS} 19:00-None"]


def test_a_second_evening_of_a_day_is_added_if_it_starts_at_another_time(
    session: int, organiser: Browser, app: Connection
) -> None:
    path = f"/sessions/{session}/dates/add"

    assert "has an evening on" in organiser.post(path, 200, **SAME)
    assert "Added." in organiser.post(path, **SAME | {"from": "11:00", "until": "13:00"})

    assert f"{IN_TWO_DAYS} 11:00-13:00" in data.times_of(app, session)


def test_an_evening_of_today_is_added_and_today_lasts_until_six(
    session: int, organiser: Browser, app: Connection
) -> None:
    today = str((NOW - timedelta(hours=6)).date())

    organiser.post(f"/sessions/{session}/dates/add", **SAME | {"date": today})

    assert data.times_of(app, session) == [f"{today} 19:00-22:30"]


def test_an_evening_that_the_session_has_is_not_added_again(session: int, organiser: Browser, app: Connection) -> None:
    page = organiser.post(f"/sessions/{session}/dates/add", 200, **SAME)

    assert f"The session has an evening on {words.day(IN_TWO_DAYS)} that starts then." in page
    assert data.instances_of(app, session) == []


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"date": ""}, "date", "Give the date."),
        ({"date": "Friday"}, "date", "Give a date such as 2026-11-26."),
        ({"date": "2199-01-01"}, "date", "The session&#39;s last date is "),
        ({"date": "2025-11-26"}, "date", "This date is past. Give a date from today on."),
        ({"from": ""}, "from", "Give the time when it starts."),
        ({"from": "7pm", "until": ""}, "from", "&#39;7pm&#39; is no time. Accepted: a time such as 19:30."),
        ({"until": "24:00"}, "until", "&#39;24:00&#39; is no time."),
        ({"until": "19:00"}, "until", "It ends when it starts."),
        ({"place": "x" * 201}, "place", "This has 201 characters. Accepted: at most 200."),
        ({"note": "x" * 501}, "note", "This has 501 characters. Accepted: at most 500."),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_is_saved(
    session: int, organiser: Browser, app: Connection, *, fields: dict[str, str], field: str, told: str
) -> None:
    data.change_session(app, session, termination_date="2190-01-01")
    for path in (f"/sessions/{session}/dates/change", f"/sessions/{session}/dates/add"):
        page = organiser.post(path, 200, start=f"{IN_TWO_DAYS}T19:00", **SAME | fields)

        [(where, what)] = re.findall(r'<p class="error" id="error-(\w+)">([^<]*)</p>', page)
        assert where == field
        assert told in what
        assert "Nothing is saved yet." in page
    assert data.instances_of(app, session) == []


def test_only_organisers_change_evenings(session: int, evening: str, world: World, browser: Open) -> None:
    for visitor in (browser().be(world.noirin), browser()):
        for path in (f"{evening}/change", f"/sessions/{session}/dates/change?start={IN_TWO_DAYS}T19:00"):
            visitor.get(path, 403)
            visitor.post(path, 403, **SAME)
        visitor.get(f"/sessions/{session}/dates/add", 403)
        visitor.post(f"/sessions/{session}/dates/add", 403, **SAME)
        visitor.post(f"{evening}/keep", 403)
    browser().be(world.organiser, organiser=True).get("/instances/999999/change", 404)


def test_an_evening_that_is_over_keeps_its_date_and_takes_a_note(
    session: int, organiser: Browser, app: Connection
) -> None:
    path = f"/instances/{add_hours(app, session, -9, -7)}"
    was = row(app, path)
    fields = {"date": was[0], "from": was[1], "until": was[2], "place": "", "note": "Great tunes"}

    page = organiser.post(f"{path}/change", 200, **fields | {"date": str(IN_THREE_DAYS)})
    kept = organiser.post(f"{path}/keep")

    assert "This evening is over, so its date stays." in page
    assert "This evening is over, so nothing is changed." in kept
    assert row(app, path) == was
    organiser.post(f"{path}/change", **fields)
    assert row(app, path) == (*was[:4], "Great tunes")
    organiser.post(f"{path}/change", **fields | {"until": ""})
    assert row(app, path) == (*was[:2], None, was[3], "Great tunes"), "its hours can be put right"


# An evening that no longer fits the pattern


@pytest.fixture
def lost(session: int, evening: str, app: Connection, database_url: str) -> str:
    """The page of an evening that no longer fits: its session is a day later now, and Nóirín had said yes to it."""
    reconcile(database_url)
    data.change_session(app, session, recurrence=text_of(weekly(f"{IN_THREE_DAYS:%A}".lower(), "19:00", "22:30")))
    reconcile(database_url)
    return evening


def test_p4_an_evening_that_no_longer_fits_says_what_it_is(
    session: int, lost: str, world: World, browser: Open
) -> None:
    page = browser().be(world.noirin).get(lost)

    assert "Does not take place: the session is at other times now" in page
    assert "You said yes, but this evening does not take place." in page
    assert "Are you coming?" not in page
    assert "No times yet" not in page
    listed = browser().be(world.sean).get(f"/sessions/{session}").partition("</li>")[0]
    assert "<strong>does not take place</strong>" in listed
    assert "I&#39;m coming" not in listed


def test_p4_it_takes_no_answers_from_a_page_that_was_open_before(
    lost: str, world: World, organiser: Browser, browser: Open, app: Connection
) -> None:
    before = data.execute(app, "SELECT count(*) FROM session_instance_person")
    for page in (
        browser().be(world.sean).post(f"{lost}/say", attendance="yes"),
        organiser.post(f"{lost}/people", person_id=world.sean, attendance="yes"),
    ):
        assert escape(NO_LONGER) in page
    assert data.execute(app, "SELECT count(*) FROM session_instance_person") == before
    assert "Check somebody in" not in organiser.get(lost)


def test_p4_once_its_hours_are_past_it_still_says_what_it_is_and_nobody_was_there(
    session: int, lost: str, organiser: Browser, app: Connection
) -> None:
    data.execute(app, "UPDATE session_instance SET date = date - 4 WHERE session_id = %s", session)

    page = organiser.get(lost)

    assert "Does not take place: the session is at other times now" in page
    assert "Were you there?" not in page
    assert "Check somebody in" not in page
    assert "Keep it" not in page
    assert f'href="{lost}/cancel">' not in page


def test_p4_its_organisers_keep_it_at_its_hours(
    session: int, lost: str, organiser: Browser, *, app: Connection, browser: Open, database_url: str
) -> None:
    page = organiser.get(lost)
    assert "1 person said yes. Keep it, move it, or cancel it:" in page
    assert f'href="{lost}/change">Move this evening<' in page
    assert f'href="{lost}/cancel">' in page
    assert "Keep it at 7–10:30pm" in page
    assert f'href="{lost}#organise">no longer fits the pattern<' in organiser.get(f"/sessions/{session}")

    page = organiser.post(f"{lost}/keep")
    reconcile(database_url)

    assert "It takes place." in page
    assert 'class="state ahead"' in browser().get(lost)
    assert data.times_of(app, session)[0] == f"{IN_TWO_DAYS} 19:00-22:30"
    assert "Keep it" not in organiser.get(lost)


def test_p4_its_organisers_move_it(lost: str, organiser: Browser) -> None:
    page = organiser.post(f"{lost}/change", **SAME | {"from": "18:00"})

    assert 'class="state ahead"' in page


def test_p4_keeping_what_somebody_holds_up_takes_effect_in_a_moment(
    lost: str, organiser: Browser, browser: Open, database_url: str
) -> None:
    with data.connected(database_url, autocommit=False) as holding:
        data.execute(holding, "SELECT FROM session_plan FOR UPDATE")
        page = organiser.post(f"{lost}/keep")
    reconcile(database_url)

    assert "It takes effect in a moment." in page
    assert 'class="state ahead"' in browser().get(lost)


@pytest.mark.parametrize(
    ("columns", "instance", "told"),
    [
        ({"termination_date": str(TODAY)}, {}, f"the last date of this session is {words.day_and_year(TODAY)}"),
        ({"recurrence": None}, {"start_time": None, "end_time": None}, "No times yet"),
        ({"timezone": "Mars/Olympus"}, {}, "the time zone of this session is not known"),
    ],
    ids=["after the last date", "no times", "no zone"],
)
def test_an_evening_without_a_window_says_why(
    session: int,
    app: Connection,
    browser: Open,
    *,
    database_url: str,
    columns: dict[str, object],
    instance: dict[str, object],
    told: str,
) -> None:
    row = data.add_instance(app, session, str(IN_TWO_DAYS), "19:00", "22:30")
    data.change_instance(app, row, **{"start_time": "18:00"} | instance)
    data.change_session(app, session, **columns)
    reconcile(database_url)

    assert told in browser().get(f"/instances/{row}")


def test_an_evening_that_nobody_has_planned_yet_says_so(session: int, app: Connection, browser: Open) -> None:
    row = data.add_instance(app, session, str(IN_TWO_DAYS), "19:00", "22:30")

    assert "Its times are being worked out." in browser().get(f"/instances/{row}")
