"""Organisers see who came to the evenings of the last year, and download it as a table."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import data
from tests.web.site import ZONE, Browser, World
from tests.web.test_preview import TODAY
from tests.web.test_sessions import NIGHTLY
from web import words
from web.attendance import COLUMNS

Open = Callable[[], Browser]
LAST_WEEK, BEFORE, LONG_AGO = (TODAY - timedelta(days=days) for days in (7, 14, 400))


@pytest.fixture
def session(app: Connection, world: World) -> int:
    """A session with two past evenings; one was cancelled, one is over a year ago, and one is to come."""
    session = data.add_session(app, timezone=ZONE)
    last = data.add_instance(app, session, str(LAST_WEEK), "19:00", "22:30")
    before = data.add_instance(app, session, str(BEFORE), "19:00")
    cancelled = data.add_instance(app, session, str(TODAY - timedelta(days=3)), "19:00", is_cancelled=True)
    others = [data.add_instance(app, session, str(day), "19:00") for day in (LONG_AGO, TODAY + timedelta(days=2))]
    formula = data.add_person(app, first_name="=1+1", last_name="@SUM(A1)", city="Dublin", email="x@example.org")
    data.add_check_in(app, last, world.noirin, comment='-2 chairs, "please"')
    data.add_check_in(app, last, formula)
    data.add_check_in(app, last, world.sean, "maybe")
    for instance in (before, cancelled, *others):
        data.add_check_in(app, instance, world.sean)
    return session


@pytest.fixture
def organiser(world: World, browser: Open) -> Browser:
    return browser().be(world.organiser, organiser=True)


def test_the_evenings_of_the_last_year_are_listed_with_their_yeses(session: int, organiser: Browser) -> None:
    assert f'href="/sessions/{session}/past"' in organiser.get(f"/sessions/{session}")

    page = organiser.get(f"/sessions/{session}/past")

    last, before = page.split("<li>")[1:]
    assert words.day_and_year(LAST_WEEK) in last
    assert "7–10:30pm · 2 people</span>" in last
    assert words.day_and_year(BEFORE) in before
    assert "from 7pm · 1 person</span>" in before
    assert "Seán" in organiser.get(before.partition('href="')[2].partition('"')[0])


def test_the_table_has_names_and_comments_and_runs_nothing_in_a_spreadsheet(session: int, organiser: Browser) -> None:
    answer = organiser.client.get(f"/sessions/{session}/past.csv")

    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="who-came-{session}.csv"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))) == [
        [*COLUMNS],
        [str(BEFORE), "19:00", "", "Seán", "Ó Riada", "", ""],
        [str(LAST_WEEK), "19:00", "22:30", "'=1+1", "'@SUM(A1)", "Dublin", ""],
        [str(LAST_WEEK), "19:00", "22:30", "Nóirín", "Ní Bhriain", "", '\'-2 chairs, "please"'],
    ]
    assert "example.org" not in answer.text


@pytest.mark.parametrize(
    ("path", "name"),
    [("ireland/o'brien's", "ireland-o-brien-s"), ('../"\r\nX: y', "X-y"), ("seisiún", "seisi-n"), ("/", None)],
)
def test_the_table_is_named_after_the_session(
    app: Connection, session: int, organiser: Browser, path: str, name: str | None
) -> None:
    data.change_session(app, session, path=path)
    answer = organiser.client.get(f"/sessions/{session}/past.csv")

    assert answer.headers["Content-Disposition"] == f'attachment; filename="who-came-{name or session}.csv"'


def test_a_past_evening_is_neither_cancelled_nor_answered_with_maybe(session: int, organiser: Browser) -> None:
    past = organiser.get(f"/sessions/{session}/past").partition("<li>")[2].partition('href="')[2].partition('"')[0]
    page = organiser.get(past)

    assert "Were you there?" in page
    assert 'placeholder="Great tunes"' in page
    assert 'value="no"' in page
    assert 'value="maybe"' not in page
    assert "Change this evening" in page
    assert "Cancel this evening" not in page


def test_a_date_without_a_row_and_a_lost_evening_took_place_for_nobody(
    app: Connection, world: World, organiser: Browser
) -> None:
    data.change_session(app, world.later, recurrence=NIGHTLY)
    lost = data.add_instance(app, world.later, str(LAST_WEEK), "19:00")
    data.bind(app, lost, world.later, f"{LAST_WEEK} 19:00", lost=True)

    assert "No evenings in the last year." in organiser.get(f"/sessions/{world.later}/past")


def test_an_evening_without_times_is_in_the_table_by_its_date(
    app: Connection, world: World, organiser: Browser
) -> None:
    data.add_check_in(app, data.add_instance(app, world.later, str(LAST_WEEK)), world.sean)

    table = organiser.get(f"/sessions/{world.later}/past.csv")

    assert table.splitlines()[1:] == [f"{LAST_WEEK},,,Seán,Ó Riada,,"]


def test_a_session_without_past_evenings_says_so(world: World, organiser: Browser) -> None:
    assert "No evenings in the last year." in organiser.get(f"/sessions/{world.later}/past")
    assert len(organiser.get(f"/sessions/{world.later}/past.csv").splitlines()) == 1


def test_only_organisers_see_who_came(session: int, world: World, browser: Open) -> None:
    for visitor in (browser().be(world.noirin), browser()):
        visitor.get(f"/sessions/{session}/past", 403)
        visitor.get(f"/sessions/{session}/past.csv", 403)
        assert "/past" not in visitor.get(f"/sessions/{session}")
