"""A session: its dates, an early yes, and the form of its organisers."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db import create_engine
from core.store.views.pages import SessionRow
from tests import data
from tests.core.recurrence.documents import span, weekly, with_breaks
from tests.scheduler.daemon_process import eventually
from tests.web.site import Browser, World
from web import dates, words
from web.sessions import versions

Open = Callable[[], Browser]

NIGHTLY = json.dumps({"schedules": [
    {"type": "weekly", "weekday": day, "start_time": "21:30", "end_time": "23:30"}
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
]})  # fmt: skip
FIELDS = {
    "timezone": "America/Phoenix",
    "initiation_date": "",
    "termination_date": "",
    "before": "60",
    "after": "60",
    "shape": "rows",
    "rows": "1",
    "weekday-0": "thursday",
    "every-0": "1",
    "start-0": "19:00",
    "end-0": "22:30",
}


@pytest.fixture
def nightly(app: Connection) -> int:
    return data.add_session(app, NIGHTLY, timezone="America/Phoenix", city="Doolin", country="Ireland")


def test_the_pattern_in_words_and_dates_that_have_no_row_yet(nightly: int, browser: Open) -> None:
    page = browser().get(f"/sessions/{nightly}")

    assert "<strong>Every day, 9:30–11:30pm</strong>, Phoenix time" in page
    assert len(re.findall(r"<li class=", page)) == 10
    assert "I&#39;m coming" not in page


def test_p6_a_session_whose_pattern_cannot_be_read_has_a_page_with_its_evenings(app: Connection, browser: Open) -> None:
    session_id = data.add_session(app, "Thursdays", name="One", timezone="America/Phoenix")
    soon = datetime.now(UTC).date() + timedelta(days=10)
    instance = data.add_instance(app, session_id, str(soon), "19:00", "22:00")

    assert f'href="/instances/{instance}"' in browser().get(f"/sessions/{session_id}")


def test_an_early_yes_makes_the_row(nightly: int, world: World, app: Connection, browser: Open) -> None:
    start = f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%d}T21:30:00"
    visitor = browser().be(world.noirin)
    assert f'name="start" value="{start}"' in visitor.get(f"/sessions/{nightly}")

    page = visitor.post(f"/sessions/{nightly}/dates", attendance="yes", start=start)

    assert "You said yes." in page
    assert "Nóirín Ní Bhriain" in page
    assert data.value(app, "SELECT count(*) FROM session_instance WHERE session_id = %s", nightly) >= 1
    assert "you said yes" in visitor.get(f"/sessions/{nightly}")
    again = visitor.post(f"/sessions/{nightly}/dates", attendance="maybe", start=start)
    assert "You said maybe." in again


def test_a_date_that_is_none_is_refused(nightly: int, world: World, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    gone = visitor.post(f"/sessions/{nightly}/dates", attendance="yes", start="2100-01-01T03:00")
    assert "The session has no date on Friday 1 January 2100 at 3am: its times may have changed." in gone
    for start in ("tomorrow", ""):
        told = visitor.post(f"/sessions/{nightly}/dates", 400, attendance="yes", start=start)
        assert f"The start is &#39;{start}&#39;; give a local time such as" in told
    for start in ("2026-11-26T21:30Z", "9999-12-31T21:30", "2201-01-01T21:30", "1899-12-31T21:30", "0001-01-01T21:30"):
        assert "The session has no date on" in visitor.post(f"/sessions/{nightly}/dates", attendance="yes", start=start)


class Form:
    """The form of a session, filled in step by step as a browser would."""

    def __init__(self, visitor: Browser, session_id: int) -> None:
        self.visitor = visitor
        self.path = f"/sessions/{session_id}/edit"
        self.page = visitor.get(self.path)

    def hidden(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def send(self, do: str, status: int = 200, /, **fields: object) -> str:
        kept = {"stored": self.hidden("stored"), "shown": self.hidden("shown")}
        self.page = self.visitor.post(self.path, status, do=do, **FIELDS | kept | fields)
        return self.page


@pytest.fixture
def form(world: World, browser: Open) -> Form:
    return Form(browser().be(world.organiser, organiser=True), world.later)


def recurrence(app: Connection, session_id: int) -> object:
    return data.value(app, "SELECT recurrence FROM session WHERE session_id = %s", session_id)


def test_shown_before_it_is_saved(form: Form, world: World, app: Connection) -> None:
    page = form.send("save")
    assert '<h2 id="preview">Thursdays, 7–10:30pm</h2>' in page
    assert recurrence(app, world.later) is None

    form.send("show")
    assert recurrence(app, world.later) is None, "to be shown again saves nothing"

    page = form.send("save", 303)

    assert "Saved." in page
    assert "Somebody else is changing" not in page
    assert "Thursdays, 7–10:30pm" in page
    assert json.loads(str(recurrence(app, world.later))) == {
        "schedules": [{"type": "weekly", "weekday": "thursday", "start_time": "19:00", "end_time": "22:30"}]
    }


def test_what_is_saved_is_what_was_shown(form: Form, world: World, app: Connection) -> None:
    form.send("show")

    assert "Nothing is saved yet." not in form.page
    page = form.send("save", **{"weekday-0": "friday"})

    assert "Fridays, 7–10:30pm" in page
    assert "Nothing is saved yet. </strong>You changed the form after its dates were shown." in page
    assert recurrence(app, world.later) is None


def test_what_should_be_on_is_on_when_the_page_comes_back(form: Form, world: World, app: Connection) -> None:
    now = datetime.now(UTC) - timedelta(hours=7)
    fields = {"weekday-0": f"{now:%A}".lower(), "start-0": f"{now:%H:%M}", "end-0": ""}
    form.send("show", **fields)

    page = form.send("save", 303, **fields)

    assert "on now" in page
    assert data.active_of(app, world.later) is not None


@pytest.mark.parametrize(("pressed", "told"), [("save", True), ("show", False)])
def test_who_saves_what_is_wrong_reads_that_nothing_is_saved(form: Form, pressed: str, *, told: bool) -> None:
    page = form.send(pressed, **{"start-0": ""})

    assert "One field needs your attention: " in page
    assert ("Nothing is saved yet. " in page) is told


def test_the_preview_says_the_zone_and_how_long_it_is_open(form: Form) -> None:
    page = form.send("show", before="15", after="0")

    assert "Phoenix time. It is open from 15 minutes before it starts until 0 minutes after it ends." in page


@pytest.mark.parametrize("days", [0, 10], ids=["no evening ahead", "an evening ahead"])
def test_the_first_date_that_is_proposed_is_not_before_the_next_evening(
    browser: Open, world: World, app: Connection, days: int
) -> None:
    session_id = data.add_session(app, timezone="America/Phoenix", city="Austin", country="USA")
    day = (datetime.now(UTC) - timedelta(hours=7)).date() + timedelta(days=days)
    if days:
        data.add_instance(app, session_id, str(day), "19:00", "22:00")
    form = Form(browser().be(world.organiser, organiser=True), session_id)

    page = form.send("save", **{"every-0": "2"})

    assert f"We chose {words.day(day + timedelta(days=(3 - day.weekday()) % 7))} as the first date." in page


def test_one_more_time_is_asked_for_without_a_complaint(form: Form) -> None:
    assert 'class="error"' not in form.send("add")


def test_a_fortnightly_one_asks_for_its_first_date(form: Form, world: World, app: Connection) -> None:
    fields = {"every-0": "2"}
    page = form.send("save", **fields)
    next_evening = (datetime.now(UTC) - timedelta(hours=7 - 5)).date()
    first = next_evening + timedelta(days=(3 - next_evening.weekday()) % 7)  # a Thursday
    chosen = f"We chose {words.day(first)} as the first date."
    assert f'<p class="notice">Nothing is saved yet. One more question: which week? {chosen}</p>' in page
    assert f'name="initiation_date" type="date" value="{first}">' in page
    assert 'class="error"' not in page

    fields["initiation_date"] = "2026-01-08"
    assert "Every other Thursday" in form.send("show", **fields)
    form.send("save", 303, **fields)

    assert (
        str(data.value(app, "SELECT initiation_date FROM session WHERE session_id = %s", world.later)) == "2026-01-08"
    )
    assert 'value="2026-01-08"' in form.visitor.get(form.path)


def test_what_is_wrong_is_named_at_the_top_with_links_to_the_fields(form: Form) -> None:
    page = form.send("save", before="-1")
    one = '<a href="#before">Minutes before it starts</a>. Give a whole number of minutes from 0 to 1440.'
    assert f'<p class="error">One field needs your attention: {one}</p>' in page
    assert 'id="before"' in page

    page = form.send("save", **{"rows": "2", "start-0": "", "weekday-1": "friday", "start-1": "20:00"})
    two = '<a href="#row-0-start_time">From</a>, <a href="#row-1-every_n_weeks">How often (2)</a>'
    assert f'<p class="error">2 fields need your attention: {two}.</p>' in page
    assert 'id="row-0-start_time"' in page
    assert 'id="row-1-every_n_weeks"' in page


WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"start-0": ""}, "row-0-start_time", "Give the time when it starts."),
    ({"start-0": "25:00"}, "row-0-start_time", "Accepted: a time from"),
    ({"end-0": "19:00:30"}, "row-0-end_time", "Accepted: a time from"),
    ({"end-0": "19:00"}, "row-0-end_time", "It ends when it starts."),
    ({"weekday-0": "someday"}, "row-0-weekday", "Choose a day"),
    ({"every-0": "monthly"}, "row-0-which", "Tick at least one"),
    ({"every-0": "99"}, "row-0-every_n_weeks", "every 1 to 52 weeks"),
    ({"every-0": "-1"}, "row-0-every_n_weeks", "every 1 to 52 weeks"),
    ({"shape": "text", "text": "Thursdays"}, "text", "We cannot read “Thursdays”."),
    ({"shape": "text", "text": '{"schedules": [{"type": "weekly"}]}'}, "text", "In schedule 1, weekday is missing"),
    ({"shape": "text", "text": "RRULE:FREQ=WEEKLY"}, "initiation_date", "Give the first date."),
    ({"timezone": "Europe/Dubln"}, "timezone", "Europe/Dublin"),
    ({"timezone": ""}, "timezone", "No time zone"),
    ({"initiation_date": "8 January"}, "initiation_date", "such as 2026-11-26"),
    ({"initiation_date": "0001-01-01"}, "initiation_date", "a year from 1900"),
    ({"initiation_date": "2026-02-01", "termination_date": "2026-01-01"}, "termination_date", "before the first"),
    ({"breaks": "1", "break-first-0": "July"}, "break-0-first", "such as 2026-11-26"),
    ({"breaks": "1", "break-last-0": "2026-08-31"}, "break-0-first", "Give the first day"),
    ({"before": "-1"}, "before", "from 0 to 1440"),
    ({"after": "1441"}, "after", "from 0 to 1440"),
]


def test_an_error_stands_beside_its_field(form: Form) -> None:
    for fields, field, says in WRONG:
        page = form.send("save", **fields)

        found = re.search(rf'<p class="error" id="error-{re.escape(field)}">([^<]*)</p>', page)
        assert found, (fields, re.findall(r'<p class="error".*', page))
        assert says in found[1].replace("&#39;", "'")
        assert f'aria-describedby="error-{field}"' in page or "which" in field
        assert "Save this" not in page


def test_the_text_of_a_calendar_rule(form: Form, world: World, app: Connection) -> None:
    text = "DTSTART:20260105T193000\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;BYDAY=MO"
    fields = {"shape": "text", "text": text}
    assert "Mondays, 7:30–9:30pm" in form.send("show", **fields)

    form.send("save", 303, **fields)

    assert str(recurrence(app, world.later)).split() == text.split()
    assert "RRULE:FREQ=WEEKLY;BYDAY=MO" in form.visitor.get(form.path)


def test_a_text_typed_beside_the_times_is_not_ignored(form: Form) -> None:
    fields = {"text": "DTSTART:20260105T193000\nRRULE:FREQ=WEEKLY;BYDAY=MO"}
    page = form.send("save", **fields)

    assert "You also wrote a text. Which one counts?" in page
    assert re.findall(r'name="shape" value="\w+" (checked)?', page) == ["", ""]
    assert "RRULE:FREQ=WEEKLY;BYDAY=MO</textarea>" in page
    assert "Which one counts?" in form.send("add-break", **fields)
    assert "Thursdays, 7–10:30pm" in form.send("show", asked=form.hidden("asked"), **fields)
    assert "></textarea>" in form.page
    assert "Mondays" in form.send("show", **fields | {"shape": "text"})


def test_a_calendar_rule_without_a_start_begins_on_the_forms_first_date(
    form: Form, world: World, app: Connection
) -> None:
    fields = {"shape": "text", "text": "RRULE:FREQ=WEEKLY;BYDAY=MO", "initiation_date": "2026-01-06"}
    assert "Mondays, 7–10:30pm" in form.send("show", **fields)

    form.send("save", 303, **fields)

    assert "DTSTART:20260112T190000" in str(recurrence(app, world.later))


def test_an_end_that_nobody_states_is_said_in_words(form: Form) -> None:
    assert "Where no end" not in form.send("show")
    same = json.dumps(
        {"schedules": [{"type": "weekly", "weekday": "monday", "start_time": "19:00", "end_time": "19:00"}]}
    )

    for fields in ({"end-0": ""}, {"shape": "text", "text": same}):
        page = form.send("show", **fields)

        assert "Where no end is given, an evening lasts 3 hours." in page


def test_r7_a_break_is_taken_shown_kept_and_ended(form: Form, world: World, app: Connection) -> None:
    page = form.send("add-break")
    assert page.count('name="break-first-') == 1
    summer = {"breaks": "1", "break-first-0": "2027-07-01", "break-last-0": "2027-08-31", "break-why-0": "summer break"}

    page = form.send("show", **summer)
    assert "Thursdays, 7–10:30pm; but not from 1 July 2027 to 31 August 2027 (summer break)" in page
    page = form.send("save", 303, **summer)

    assert "but not from 1 July 2027 to 31 August 2027 (summer break)" in page
    summer_break = span("2027-07-01", "2027-08-31", why="summer break")
    assert recurrence(app, world.later) == with_breaks([summer_break], weekly(start="19:00"))
    form.page = form.visitor.get(form.path)
    assert 'name="break-why-0" maxlength="100" value="summer break"' in form.page
    assert 'name="break-' not in form.send("remove-break-0", **summer)
    form.send("show")
    assert "but not" not in form.send("save", 303)


def test_r7_breaks_come_and_go(form: Form) -> None:
    three = {"breaks": "3"} | {f"break-first-{n}": f"2027-07-0{n + 1}" for n in range(3)}

    page = form.send("remove-break-1", **three)

    assert re.findall(r'name="break-first-\d" type="date" value="([^"]*)"', page) == ["2027-07-01", "2027-07-03"]
    assert form.send("add-break", breaks="100").count('name="break-first-') == 100
    assert 'value="add-break"' not in form.page


def test_rows_come_and_go(form: Form) -> None:
    assert form.send("add").count('name="weekday-') == 2
    assert form.send("remove-0").count('name="weekday-') == 0
    assert form.send("add", rows="0").count('name="weekday-') == 1
    assert form.send("add", rows="20").count('name="weekday-') == 20
    assert form.send("show", rows="100000").count('name="weekday-') <= 20


def test_a_monthly_one_is_read_back_as_it_was_saved(form: Form) -> None:
    fields = {"every-0": "monthly", "which-0": ["1", "-1"], "end-0": ""}
    assert "First and last Thursdays, from 7pm" in form.send("show", **fields)
    form.send("save", 303, **fields)

    page = form.visitor.get(form.path)

    assert 'value="monthly" selected' in page
    assert re.findall(r'name="which-0" value="(-?\d)" checked', page) == ["1", "-1"]


def test_no_times_at_all(form: Form, world: World, app: Connection) -> None:
    assert "No regular times" in form.send("show", rows="0")
    form.send("save", 303, rows="0")

    assert recurrence(app, world.later) is None


def test_two_organisers_do_not_overwrite_each_other(form: Form, world: World, app: Connection) -> None:
    form.send("show")
    data.change_session(app, world.later, active_buffer_minutes_before=15)

    page = form.send("save", 409)

    assert "Nothing is saved yet. Somebody else has saved this session since you opened it." in page
    assert recurrence(app, world.later) is None


def test_buffers_and_zone_and_last_date_are_saved(form: Form, world: World, app: Connection) -> None:
    fields = {"before": "15", "after": "0", "timezone": "Europe/Dublin", "termination_date": "2027-12-31"}
    form.send("show", **fields)
    page = form.send("save", 303, **fields)

    saved = data.execute(
        app,
        "SELECT active_buffer_minutes_before, active_buffer_minutes_after, timezone, termination_date::text "
        "FROM session WHERE session_id = %s",
        world.later,
    )
    assert saved == [(15, 0, "Europe/Dublin", "2027-12-31")]
    assert "Until Friday 31 December 2027." in page


def test_the_version_of_a_page_changes_with_its_session_its_evenings_and_what_is_on(
    world: World, app: Connection, database_url: str
) -> None:
    engine = create_engine(database_url)

    def read() -> dict[int, str]:
        with engine.connect() as connection:
            return versions(connection, [world.muellers, world.later], datetime.now(UTC))

    seen = [read()]
    for change in (
        f"UPDATE session SET name = 'Mueller''s Bar' WHERE session_id = {world.muellers}",
        f"UPDATE session_instance SET comments = 'Bring a tune' WHERE session_instance_id = {world.muellers_now}",
        f"UPDATE session_instance SET date = date - 9 WHERE session_instance_id = {world.muellers_now}",
        f"UPDATE session_instance SET active = false WHERE session_instance_id = {world.muellers_now}",
    ):
        data.execute(app, change)
        seen.append(read())
    engine.dispose()

    assert len({each[world.muellers] for each in seen}) == len(seen)
    assert len({each[world.later] for each in seen}) == 1


def test_today_of_an_unknown_zone_is_the_date_in_utc_whatever_zone_the_hosts_engine_reads_instants_in() -> None:
    session = SessionRow(7, "One", None, None, None, None, "Mars/Olympus", None, None, None, 60, 60, None)

    assert dates.today(session, datetime(2026, 11, 27, 1, tzinfo=timezone(timedelta(hours=9)))) == date(2026, 11, 26)


def test_a_date_that_was_cancelled_early_has_no_window(
    nightly: int, world: World, app: Connection, browser: Open
) -> None:
    tomorrow = f"{datetime.now(UTC) - timedelta(hours=7) + timedelta(days=1):%Y-%m-%d}T21:30:00"
    organiser = browser().be(world.organiser, organiser=True)
    organiser.post(f"/sessions/{nightly}/dates", attendance="yes", start=tomorrow)
    before = data.windows_of(app, nightly)

    organiser.post(f"/sessions/{nightly}/dates/cancel", start=tomorrow)

    assert len(data.windows_of(app, nightly)) == len(before) - 1


def test_what_is_said_early_is_one_of_three_words(nightly: int, world: World, app: Connection, browser: Open) -> None:
    start = f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%d}T21:30:00"
    visitor = browser().be(world.noirin)

    assert "Say yes, maybe or no." in visitor.post(f"/sessions/{nightly}/dates", 400, attendance="?", start=start)
    visitor.post("/sessions/999999/dates", 404, attendance="yes", start=start)
    assert start[:10] not in {day for _, day, *_ in data.instances_of(app, nightly)}


# The form, once more


def errors_of(page: str) -> list[str]:
    return re.findall(r'<p class="error" id="error-([^"]*)">', page)


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        ({"recurrence": None, "timezone": None}, []),
        ({"recurrence": None, "timezone": "Mars/Olympus"}, ["timezone"]),
        ({"recurrence": "Thursdays", "timezone": None}, ["text", "timezone"]),
    ],
)
def test_the_form_opens_with_what_is_wrong_in_what_is_stored(
    world: World, app: Connection, browser: Open, stored: dict[str, object], wrong: list[str]
) -> None:
    data.change_session(app, world.later, **stored)
    visitor = browser().be(world.organiser, organiser=True)

    assert errors_of(visitor.get(f"/sessions/{world.later}/edit")) == wrong


def test_a_new_row_is_on_the_same_day_and_has_no_times(form: Form) -> None:
    page = form.send("add", **{"weekday-0": "friday"})

    assert page.count('<option value="friday" selected>') == 2
    assert re.findall(r'name="(?:start|end)-1" type="time" value="([^"]*)"', page) == ["", ""]


def test_the_weeks_that_are_offered_are_in_order_and_have_what_is_stored(
    world: World, app: Connection, browser: Open
) -> None:
    day = {"type": "weekly", "weekday": "thursday", "start_time": "19:00", "every_n_weeks": 12}
    data.change_session(app, world.later, recurrence=json.dumps({"schedules": [day]}), initiation_date="2026-01-08")
    page = browser().be(world.organiser, organiser=True).get(f"/sessions/{world.later}/edit")

    offered = page.partition('name="every-0"')[2].partition("</select>")[0]
    assert re.findall(r'<option value="(\w+)"', offered) == [*"12345678", "12", "monthly"]
    assert '<option value="12" selected>' in offered


def test_the_next_eight_dates_are_shown_before_saving(form: Form) -> None:
    page = form.send("show")

    ahead = page.partition('id="preview"')[2]
    assert ahead.partition("</ul>")[0].count("<li") == 8


def test_an_edit_that_somebody_holds_up_takes_effect_in_a_few_seconds(
    form: Form, world: World, app: Connection, database_url: str
) -> None:
    form.send("show")
    with data.connected(database_url, autocommit=False) as holding:
        data.execute(holding, "SELECT FROM session_plan FOR UPDATE")
        page = form.send("save", 303)

    assert "your change takes effect in a few seconds" in page
    assert recurrence(app, world.later) is not None


def test_an_edit_waits_for_the_one_before_it_and_does_not_overwrite_it(
    form: Form, world: World, app: Connection, database_url: str
) -> None:
    form.send("show")
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(1) as pool, data.connected(database_url, autocommit=False) as other:
        data.change_session(other, world.later, active_buffer_minutes_before=15)
        page = pool.submit(form.send, "save", 409)
        eventually(lambda: data.execute(app, waits), "the page waits")
        other.commit()

        assert "Somebody else has saved this session" in page.result()
    assert recurrence(app, world.later) is None


def test_who_is_not_signed_in_reads_how_to_say_that_they_are_coming(world: World, browser: Open) -> None:
    page = f"/sessions/{world.later}"

    assert f'<a href="/who?next={page}">Sign in</a> to say that you are coming.' in browser().get(page)
    assert "Sign in" not in browser().be(world.noirin).get(page)
