"""What the form shows before it saves: the dates that come, go and change, and how many people that concerns."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.recurrence import parse
from tests import data
from tests.web.site import ZONE, Browser, World
from tests.web.test_sessions import Form
from web import words
from web.forms import Checked
from web.preview import MOST_CHANGES, _ahead, _counted

Open = Callable[[], Browser]
TODAY = (datetime.now(UTC) - timedelta(hours=7)).date()  # Phoenix
IN_TWO_DAYS, IN_THREE_DAYS = TODAY + timedelta(days=2), TODAY + timedelta(days=3)


def weekly(day: date, start: str = "19:00", end: str | None = "22:30", **others: object) -> str:
    schedule = {"type": "weekly", "weekday": f"{day:%A}".lower(), "start_time": start, "end_time": end}
    return json.dumps({"schedules": [schedule | others]})


def fields(day: date, **others: object) -> dict[str, object]:
    return {"weekday-0": f"{day:%A}".lower(), "start-0": "19:00", "end-0": "22:30"} | others


@pytest.fixture
def form(world: World, app: Connection, browser: Open) -> Form:
    """The form of a session on the day after tomorrow, 7-10:30pm, to whose next date Nóirín has said yes."""
    session = data.add_session(app, weekly(IN_TWO_DAYS), timezone=ZONE)
    browser().be(world.noirin).post(f"/sessions/{session}/dates", attendance="yes", start=f"{IN_TWO_DAYS}T19:00")
    return Form(browser().be(world.organiser, organiser=True), session)


def listed(page: str, title: str) -> list[str]:
    """Return the lines of one list of the preview."""
    found = page.partition(f"<h3>{title}</h3>")[2]
    lines = re.findall(r"<li>(.*?)</li>", re.split("</ul>|</ol>", found)[0])
    return [re.sub("<[^>]*>", "", line) for line in lines]


def test_nothing_changes(form: Form) -> None:
    page = form.send("show", **fields(IN_TWO_DAYS))

    assert "<p>No date of the next year changes.</p>" in page
    assert "These dates" not in page
    assert ">new<" not in page


def test_dates_that_go_are_listed_with_the_yeses_and_those_that_come_are_marked(form: Form) -> None:
    page = form.send("show", **fields(IN_THREE_DAYS))

    assert re.search(r"<p>In the next year 5[23] dates are removed and 5[23] dates are new\.</p>", page)
    first, *_, more = listed(page, "These dates are removed")
    assert first == f"{words.day_and_year(IN_TWO_DAYS)}, 7–10:30pm · 1 person said yes"
    assert len(listed(page, "These dates are removed")) == MOST_CHANGES + 1
    assert re.fullmatch(r"and 4[67] more, until .* \d{4}", more)
    assert listed(page, "The next dates")[0] == f"{words.day_and_year(IN_THREE_DAYS)}, 7–10:30pm new"
    assert "These dates have other hours" not in page


def test_dates_at_other_hours_are_listed_with_both(form: Form) -> None:
    page = form.send("show", **fields(IN_TWO_DAYS, **{"start-0": "20:00"}))

    assert re.search(r"<p>In the next year 5[23] dates have other hours\.</p>", page)
    changed = f"{words.day_and_year(IN_TWO_DAYS)}, 7–10:30pm becomes 8–10:30pm · 1 person said yes"
    assert listed(page, "These dates have other hours")[0] == changed


def test_another_zone_changes_each_date(form: Form) -> None:
    page = form.send("show", **fields(IN_TWO_DAYS, timezone="Asia/Tokyo"))

    assert listed(page, "These dates have other hours")[0].startswith(
        f"{words.day_and_year(IN_TWO_DAYS)}, 7–10:30pm, Phoenix time becomes 7–10:30pm, Tokyo time"
    )


def test_other_buffers_are_counted_and_not_listed(form: Form) -> None:
    page = form.send("show", **fields(IN_TWO_DAYS, before="15"))

    assert re.search(r"<p>In the next year 5[23] dates open or close at another time\.</p>", page)
    assert "These dates" not in page


def test_a_last_date_takes_away_what_is_later(form: Form) -> None:
    page = form.send("show", **fields(IN_TWO_DAYS, termination_date=str(IN_TWO_DAYS + timedelta(days=7))))

    assert re.search(r"<p>In the next year 5[01] dates are removed\.</p>", page)
    assert listed(page, "These dates are removed")[0].startswith(words.day_and_year(IN_TWO_DAYS + timedelta(days=14)))


def test_a_date_far_ahead_is_listed_if_somebody_said_yes_to_it(form: Form, world: World, browser: Open) -> None:
    far = IN_TWO_DAYS + timedelta(days=140)
    browser().be(world.sean).post(form.path.replace("/edit", "/dates"), attendance="yes", start=f"{far}T19:00")

    gone = listed(form.send("show", **fields(IN_THREE_DAYS)), "These dates are removed")

    assert f"{words.day_and_year(far)}, 7–10:30pm · 1 person said yes" in gone
    assert len(gone) == MOST_CHANGES + 2


def test_what_ends_or_begins_at_once_is_said(form: Form, world: World, app: Connection, browser: Open) -> None:
    now = datetime.now(UTC) - timedelta(hours=7)
    begins = fields(now.date(), **{"start-0": f"{now:%H:%M}", "end-0": ""})
    page = form.send("show", **begins)
    assert "It will be on as soon as you save." in page
    form.send("save", 303, **begins)
    instance = data.active_of(app, int(form.path.split("/")[2]))
    browser().be(world.sean).post(f"/instances/{instance}/say", attendance="yes")

    form = Form(form.visitor, int(form.path.split("/")[2]))
    page = form.send("show", **fields(IN_THREE_DAYS))

    assert "What is on now ends when you save. 1 person is there." in page


CHECKED = Checked("", ZONE, (None, None), 60, 60, parse(weekly(date(2026, 11, 26), "22:00", "1:00")))


def test_an_evening_that_is_over_is_not_ahead_and_one_that_ends_after_midnight_is() -> None:
    # Phoenix is seven hours behind UTC: half past midnight on Friday, and half past one.
    during, after = (datetime(2026, 11, 27, hour, 30, tzinfo=UTC) for hour in (7, 8))

    assert _ahead(CHECKED, during)[0].start == datetime(2026, 11, 26, 22)
    assert _ahead(CHECKED, after)[0].start == datetime(2026, 12, 3, 22)


def test_the_first_date_after_a_break_is_shown_if_no_date_after_it_is_listed(form: Form) -> None:
    first, last = IN_TWO_DAYS + timedelta(days=70), IN_TWO_DAYS + timedelta(days=100)
    resumes = f"<p>After the break: {words.day_and_year(IN_TWO_DAYS + timedelta(days=105))}</p>"
    summer = {"breaks": "1", "break-first-0": first, "break-last-0": last}

    assert resumes in form.send("show", **fields(IN_TWO_DAYS, **summer))
    ended = fields(IN_TWO_DAYS, termination_date=last, **summer)
    assert "After the break" not in form.send("show", **ended)
    soon = summer | {"break-first-0": IN_TWO_DAYS, "break-last-0": IN_THREE_DAYS}
    assert "After the break" not in form.send("show", **fields(IN_TWO_DAYS, **soon))


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((0, 0, 0, 0), "No date of the next year changes."),
        ((1, 0, 0, 0), "In the next year 1 date is new."),
        ((2, 1, 0, 0), "In the next year 1 date is removed and 2 dates are new."),
        ((0, 2, 1, 0), "In the next year 2 dates are removed and 1 date has other hours."),
        (
            (3, 2, 0, 1),
            "In the next year 2 dates are removed, 3 dates are new and 1 date opens or closes at another time.",
        ),
    ],
)
def test_the_changes_are_counted_in_words(counts: tuple[int, int, int, int], told: str) -> None:
    assert _counted(*counts) == told
