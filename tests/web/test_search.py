"""Sessions are found by the beginning of a name or a town, in a town, on a day; the viewer's own town comes first."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, event

from core.recurrence import Occurrence
from core.store.views import boards, places
from core.store.views import search as store
from core.store.views.pages import SessionRow
from core.store.views.places import Town
from tests import data
from tests.core.recurrence.documents import text_of, weekly
from tests.web.site import Browser, World
from web import search, words
from web.dates import Date

Open = Callable[[], Browser]
NOW = datetime(2026, 11, 26, tzinfo=UTC)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def names(page: str) -> list[str]:
    return re.findall(r'href="/sessions/\d+">([^<]+)</a>', page)


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>([^<]+)</h2>", page)


def add(
    app: Connection, name: str, city: str = "Ennis", country: str = "Ireland", recurrence: str | None = None
) -> int:
    return data.add_session(app, recurrence, name=name, city=city, country=country)


@pytest.fixture
def towns(app: Connection) -> None:
    add(app, "Cíaran's")
    add(app, "Brogan's", country=" ireland")
    add(app, "Ciarán's", "Dublin")
    add(app, "Ennistymon Road session", "Galway")
    add(app, "Cork session", "Cork")
    add(app, "100%_ trad", "Cork")


@pytest.mark.usefixtures("towns")
def test_by_the_beginning_of_a_name_and_of_a_town_whatever_its_case_and_punctuation(browser: Open) -> None:
    visitor = browser()

    assert names(visitor.get("/sessions?q=cI")) == ["Ciarán&#39;s"]
    by_town = visitor.get("/sessions?q=ENN")
    assert names(by_town) == ["Brogan&#39;s", "Cíaran&#39;s", "Ennistymon Road session"]
    assert headings(by_town) == ["In Ennis, Ireland", "Names that begin with “ENN”"]
    assert names(visitor.get("/sessions?q=100%25_")) == ["100%_ trad"]
    assert names(visitor.get("/sessions?q=BROGANS")) == ["Brogan&#39;s"]
    nothing = visitor.get("/sessions?q=road")
    assert "Nothing begins with “road”. We look only at the beginning of a name or a town, with its accents." in nothing
    assert "Nothing begins with “🎻”." in visitor.get("/sessions?q=🎻")
    assert "Nothing begins with “...”." in visitor.get("/sessions?q=...")


def test_several_towns_of_a_name_are_offered_and_each_leads_to_its_own_sessions(app: Connection, browser: Open) -> None:
    for city, state, country in (
        ("Dublin", None, "Ireland"),
        ("dublin ", "", "ireland"),
        ("Dublin", "OH", "USA"),
        ("Dublin", "CA", "USA"),
        ("Dubuque", "IA", "USA"),
        ("Cork", None, "Ireland"),
    ):
        data.add_session(app, name=f"In {state or country}", city=city, state=state, country=country)

    page = browser().get("/sessions?q=dub")

    listed = page.partition('<ul class="towns">')[2].partition("</ul>")[0]
    assert re.findall(r">([^<>]+)</a>", listed) == [
        "Dublin, Ireland",
        "Dublin, CA, USA",
        "Dublin, OH, USA",
        "Dubuque, IA, USA",
    ]
    [address] = re.findall(r'href="(/sessions\?[^"]*state=OH[^"]*)"', listed)
    of_town = browser().get(address.replace("&amp;", "&"))
    assert names(of_town) == ["In OH"]
    assert "<h1>Sessions in Dublin, OH, USA</h1>" in of_town


def test_a_town_is_found_with_its_state_or_country(app: Connection, browser: Open) -> None:
    for state in ("CA", "OH"):
        data.add_session(app, name=f"In {state}", city="Dublin", state=state, country="USA")
    data.add_session(app, name="In Ireland", city="Dublin", country="Ireland")

    for text, found in (("dublin,ca", ["In CA"]), ("Dublin, Ireland", ["In Ireland"]), ("Dublin, Cork", [])):
        assert names(browser().get(f"/sessions?q={text}")) == found
    both = browser().get("/sessions?q=Dublin, USA")
    assert re.findall(r">(Dublin, [^<>]+)</a>", both) == ["Dublin, CA, USA", "Dublin, OH, USA"]
    assert "Nothing begins" not in both


@pytest.mark.usefixtures("world")
def test_the_only_town_of_a_name_has_a_link_also_on_a_day(browser: Open) -> None:
    day = datetime.now(UTC).date() + timedelta(days=3)

    page = browser().get(f"/sessions?q=aus&day={day}")

    assert f'href="/sessions?city=Austin&amp;state=TX&amp;country=USA&amp;day={day}">Austin, TX, USA</a>' in page


def test_a_session_that_meets_today_says_so(world: World, app: Connection, browser: Open) -> None:
    page = browser().get("/sessions?q=mue")
    assert "<strong>on now</strong>, " in page
    data.change_instance(app, world.muellers_now, is_cancelled=True)

    assert "on now" not in browser().get("/sessions?q=mue")


@pytest.mark.parametrize(
    ("now", "is_today"),
    [("11-29 05:59", False), ("11-29 06:00", True), ("11-30 00:59", True), ("11-30 01:00", False)],
)
def test_today_is_from_six_to_six_by_the_sessions_own_clocks_until_it_is_over(now: str, *, is_today: bool) -> None:
    session = SessionRow(7, "Trad", None, None, None, None, "Europe/Dublin", None, None, None, 60, 60, None)
    hours = Occurrence(datetime(2026, 11, 29, 21), datetime(2026, 11, 30, 1))

    assert (
        search._is_today(Date(date(2026, 11, 29), hours, hours, None), session, datetime.fromisoformat(f"2026-{now}Z"))
        is is_today
    )


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-11-30 02:42", ["Sun 29 Nov, until 6am", "Mon 30 Nov, today", "Tue 1 Dec, tomorrow", "Wed 2 Dec"]),
        ("2026-11-30 06:00", ["Mon 30 Nov, today", "Tue 1 Dec, tomorrow", "Wed 2 Dec", "Thu 3 Dec"]),
    ],
)
def test_a_day_of_music_ends_at_six_and_is_not_called_today_after_midnight(
    pages: Flask, now: str, first: list[str]
) -> None:
    with pages.test_request_context("/", headers={"Cookie": "seisiun_zone=Europe/Dublin"}):
        days = search._days(datetime.fromisoformat(f"{now}Z"))

    assert [f"{words.short_day(day)}{named}" for day, named in days][:4] == first
    assert len(days) == search.DAYS_OFFERED


def test_what_is_over_on_a_day_says_so(world: World, app: Connection, browser: Open) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=2)
    past = data.add_instance(app, world.later, str(yesterday), "19:00", "22:00")

    page = browser().get(f"/sessions?day={yesterday}")

    assert " · over" in page.partition(f"/instances/{past}")[2]


def test_the_only_town_of_a_name_shows_its_day_at_once(world: World, browser: Open) -> None:
    page = browser().get("/sessions?q=aus")

    assert 'data-area="city=Austin&amp;state=TX&amp;country=USA"' in page
    assert page.index(f"instances/{world.muellers_now}") < page.index(f"/sessions/{world.muellers}")
    assert "data-area" not in browser().get("/sessions?q=mue")


@pytest.mark.usefixtures("towns")
def test_the_viewers_own_town_comes_first_and_nothing_twice(app: Connection, browser: Open) -> None:
    viewer = browser().be(data.add_person(app, first_name="Nóirín", city=" CORK", country="Ireland"))

    page = viewer.get("/sessions")

    assert headings(page) == ["In CORK, Ireland", "Everywhere"]
    assert names(page)[:2] == ["100%_ trad", "Cork session"]
    assert sorted(names(page)) == sorted({*names(page)})
    assert headings(browser().get("/sessions")) == ["Everywhere"]


def test_pages_follow_each_other_and_show_each_session_once(
    app: Connection, browser: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 3)
    added = [add(app, name) for name in ("b", "A", "C", "c", "C", "á", "d", "E")]
    visitor, seen, path = browser(), [], "/sessions?city=Ennis&country=Ireland"
    while path:
        page = visitor.get(path)
        seen += re.findall(r'href="/sessions/(\d+)">', page)
        more = re.search(r'href="([^"]+)">More', page)
        path = more[1].replace("&amp;", "&") if more else ""

    assert sorted(map(int, seen)) == added
    assert len(visitor.get("/sessions?after=999999")) > 0


def test_on_a_day_with_hours_and_what_is_cancelled(
    app: Connection, browser: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = date.today() + timedelta(days=5)  # noqa: DTZ011 -- any day will do
    monkeypatch.setattr(search, "MOST_FOUND", 2)
    on_it, other = (text_of(weekly(DAYS[day.weekday() - late], "19:00")) for late in (0, 1))
    meeting, *_ = [add(app, name, recurrence=on_it) for name in "ACEG"]
    for name in "BDF":
        add(app, name, recurrence=other)
    cancelled = data.add_instance(
        app, meeting, str(day), "19:00", "22:30", is_cancelled=True, cancel_reason="A wedding"
    )

    first = browser().get(f"/sessions?day={day}")

    assert re.findall(r'href="(/\w+/\d+)">([AC])<', first) == [
        (f"/instances/{cancelled}", "A"),
        (f"/sessions/{meeting + 1}", "C"),
    ]
    assert "7–10:30pm</span> · <strong>cancelled</strong>: A wedding" in first
    more = re.search(r'href="([^"]+)">More', first)
    assert more
    assert names(browser().get(more[1].replace("&amp;", "&"))) == ["E", "G"]
    assert names(browser().get(f"/sessions?day={day + timedelta(days=1)}")) == []


@pytest.mark.parametrize("query", ["day=tonight", "day=2026-13-01"])
def test_a_day_that_is_none_is_named_with_what_is_accepted(browser: Open, query: str) -> None:
    assert "give a date such as 2026-11-26" in browser().get(f"/sessions?{query}", 400)


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", f"after={10**30}", "q=" + "x" * 1000, "city=x&day=9999-12-31"]
)
def test_whatever_an_address_says_the_page_answers(browser: Open, query: str) -> None:
    browser().get(f"/sessions?{query}")


def test_the_town_of_a_person_is_theirs_if_they_have_said_one(engine: Engine, app: Connection) -> None:
    said, silent = data.add_person(app, city="Ennis", country="Ireland"), data.add_person(app, city=" ")

    with engine.connect() as connection:
        assert store.town_of(connection, said) == Town("Ennis", None, "Ireland")
        assert [store.town_of(connection, person) for person in (silent, data.add_person(app), 99)] == [None] * 3


@pytest.mark.usefixtures("towns")
def test_a_search_returns_no_more_than_is_asked_for(engine: Engine) -> None:
    with engine.connect() as connection:
        assert len(store.sessions_named(connection, "", 2)) == 2
        assert len(store.sessions_in_town(connection, Town("Ennis", None, "Ireland"), "", 1)) == 1
        assert len(store.towns_named(connection, "", 2)) == 2


def test_a_session_that_has_no_name_is_listed_where_no_name_is_asked_for(engine: Engine, app: Connection) -> None:
    data.execute(app, "ALTER TABLE session ALTER name DROP NOT NULL")
    nameless = data.add_session(app, city="Ennis", country="Ireland")
    data.change_session(app, nameless, name=None)

    with engine.connect() as connection:
        found = store.sessions_in_town(connection, Town("Ennis", None, "Ireland"), "", 9)
    assert [row.session_id for row in found] == [nameless]


@pytest.mark.usefixtures("database_of_its_own")  # in which no table has statistics
def test_names_and_towns_are_found_by_index(engine: Engine) -> None:
    """PostgreSQL uses an index only for the very expression that it is made of."""
    town = Town("Ennis", None, "Ireland")
    with engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        used = [
            uses(connection, index, partial(call, connection))
            for index, call in (
                ("session_name_folded", lambda db: store.sessions_named(db, "Bro", 20)),
                ("session_name_folded", lambda db: store.sessions_named(db, "", 20, after=7)),
                ("session_town", lambda db: store.sessions_in_town(db, town, "", 20)),
                ("session_town", lambda db: store.towns_named(db, "Enn", 20)),
                ("session_town", lambda db: places.places(db, places.elsewhere_in_town(1))),
                ("session_town", lambda db: boards.windows_in_towns(db, [town], NOW, NOW)),
            )
        ]
    assert used == [True] * 6


def uses(connection: SqlConnection, index: str, call: Callable[[], object]) -> bool:
    """Return whether what a call executes uses this index by a condition."""
    queries: list[str] = []

    def note(_connection: object, cursor: Any, *_: object) -> None:
        queries.append(cursor.query.decode())

    event.listen(connection, "after_cursor_execute", note)
    call()
    event.remove(connection, "after_cursor_execute", note)
    [query] = queries
    plan = "\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + query.replace("%", "%%")))
    return bool(re.search(rf"{index}.*\n\s+Index Cond", plan))
