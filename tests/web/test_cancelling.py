"""Organisers cancel an evening: the page asks in words, takes a reason, and shows it; they restore it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests import data
from tests.web.site import Browser, World, add_hours, reconcile
from tests.web.test_instances import whereabouts
from tests.web.test_sessions import NIGHTLY
from web.instances import CALLED_OFF

Open = Callable[[], Browser]


@pytest.fixture
def nightly(app: Connection) -> int:
    return data.add_session(app, NIGHTLY, timezone="America/Phoenix", city="Doolin", country="Ireland")


@pytest.fixture
def organiser(world: World, browser: Open) -> Browser:
    return browser().be(world.organiser, organiser=True)


def in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}T21:30:00"


@pytest.mark.parametrize(
    ("yeses", "told"), [(0, "Nobody has said yes."), (1, "1 person said yes."), (2, "2 people said yes.")]
)
def test_the_page_asks_before_it_cancels_and_says_how_many_said_yes(
    world: World, browser: Open, organiser: Browser, yeses: int, told: str
) -> None:
    path = f"/instances/{world.muellers_now}"
    for person in (world.noirin, world.sean)[:yeses]:
        browser().be(person).post(f"{path}/say", attendance="yes")
    assert f'href="{path}/cancel"' in organiser.get(path)

    page = organiser.get(f"{path}/cancel")

    assert "for everybody?</h1>" in page
    assert told in page
    assert "It is on now." in page
    assert 'class="state on"' in organiser.get(path)


def test_the_reason_is_shown_where_the_evening_is_listed_and_to_those_who_said_yes(
    nightly: int, world: World, browser: Open, organiser: Browser
) -> None:
    musician = browser().be(world.noirin)
    path = musician.send(f"/sessions/{nightly}/dates", attendance="yes", start=in_days(5)).location + "/cancel"
    assert f'href="{path}"' in organiser.get(f"/sessions/{nightly}")

    organiser.post(path, reason="  a wedding & no room  ")

    assert "<strong>cancelled</strong>: a wedding &amp; no room · you said yes" in musician.get(f"/sessions/{nightly}")
    assert "Cancelled: a wedding &amp; no room" in musician.get(path.removesuffix("/cancel"))
    assert 'value="a wedding &amp; no room"' in organiser.get(path), "the reason can be changed"


def test_what_musicians_say_and_what_organisers_do_are_apart(
    nightly: int, world: World, browser: Open, organiser: Browser
) -> None:
    listed, _, desk = organiser.get(f"/sessions/{nightly}").partition("For organisers</h2>")

    assert (listed.count('name="attendance" value="yes"'), listed.count("Cancel")) == (10, 0)
    assert desk.count(">Cancel<") == 10
    assert "For organisers" not in browser().be(world.noirin).get(f"/sessions/{nightly}")


def test_a_date_without_a_row_is_asked_about_cancelled_and_marked(
    nightly: int, app: Connection, browser: Open, organiser: Browser
) -> None:
    path = f"/sessions/{nightly}/dates/cancel"
    page = organiser.get(f"{path}?start={in_days(5)}")
    assert "Nobody has said yes." in page
    assert in_days(5)[:10] not in {day for _, day, *_ in data.instances_of(app, nightly)}

    page = organiser.post(path, start=in_days(5), reason="a wedding")

    assert "Cancelled: a wedding" in page
    assert browser().get(f"/sessions/{nightly}").count("<strong>cancelled</strong>: a wedding") == 1
    answer = organiser.client.get(f"{path}?start={in_days(5)}")
    assert (answer.status_code, answer.location.startswith("/instances/")) == (303, True), "it has a row by now"


def test_a_date_that_is_none_cannot_be_cancelled(nightly: int, organiser: Browser) -> None:
    path = f"/sessions/{nightly}/dates/cancel"
    for start in ("tomorrow", ""):
        organiser.get(f"{path}?start={start}", 400)
        organiser.post(path, 400, start=start)
    for start in ("2026-11-26T21:30Z", "9999-12-31T21:30", in_days(5).replace("21:30", "03:00")):
        organiser.get(f"{path}?start={start}", 303)
        assert "The session has no date on" in organiser.post(path, start=start)


@pytest.mark.parametrize(("length", "status"), [(300, 303), (301, 400)])
def test_a_reason_has_a_greatest_length(world: World, organiser: Browser, length: int, status: int) -> None:
    page = organiser.post(f"/instances/{world.muellers_now}/cancel", status, reason="x" * length)

    assert ("this one has 301" in page) is (status == 400)


def test_only_organisers_are_asked_and_may_cancel(nightly: int, world: World, browser: Open) -> None:
    musician, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    for address in (f"{path}/cancel", f"/sessions/{nightly}/dates/cancel?start={in_days(5)}"):
        musician.get(address, 403)
        browser().get(address, 403)
    for address in (f"{path}/cancel", f"{path}/restore", f"/sessions/{nightly}/dates/cancel"):
        musician.post(address, 403, start=in_days(5))
    musician.get("/instances/999999/cancel", 404)


def test_cancelled_when_the_page_comes_back_and_on_again(world: World, app: Connection, browser: Open) -> None:
    organiser = browser().be(world.organiser, organiser=True)
    browser().be(world.noirin).post(f"/instances/{world.muellers_now}/say", attendance="yes")

    page = organiser.post(f"/instances/{world.muellers_now}/cancel")
    assert 'class="state cancelled"' in page
    assert data.active_of(app, world.muellers) is None
    assert whereabouts(app, world.noirin) is None
    assert CALLED_OFF in browser().be(world.sean).post(f"/instances/{world.muellers_now}/say", attendance="yes")

    page = organiser.post(f"/instances/{world.muellers_now}/restore")
    assert 'class="state on"' in page
    assert data.active_of(app, world.muellers) == world.muellers_now
    assert whereabouts(app, world.noirin) == world.muellers_now


def test_nobody_says_yes_to_a_cancelled_evening_and_nobody_is_checked_in_there(
    nightly: int, world: World, app: Connection, browser: Open, organiser: Browser
) -> None:
    """A page that was open before it was cancelled still has the buttons."""
    early = {"attendance": "yes", "start": in_days(5)}
    path = browser().be(world.sean).send(f"/sessions/{nightly}/dates", **early).location
    assert "Check somebody in" in organiser.get(path)
    organiser.post(f"{path}/cancel")

    for page in (
        organiser.post(f"{path}/people", attendance="yes", person_id=world.noirin),
        organiser.post(f"{path}/say", attendance="yes"),
        organiser.post(f"/sessions/{nightly}/dates", **early),
    ):
        assert CALLED_OFF in page
        assert "Check somebody in" not in page
    assert data.execute(app, "SELECT person_id FROM session_instance_person") == [(world.sean,)]
    assert "Taken back for" in organiser.post(f"{path}/people", attendance="nothing", person_id=world.sean)


def test_why_it_was_cancelled_is_told_while_it_is_cancelled(world: World, app: Connection, browser: Open) -> None:
    path = f"/instances/{world.muellers_now}"
    data.change_instance(app, world.muellers_now, cancel_reason="not cancelled yet")
    assert "not cancelled yet" not in browser().get(path)

    data.change_instance(app, world.muellers_now, is_cancelled=True, cancel_reason="a wedding & no room")
    assert "Cancelled: a wedding &amp; no room" in browser().get(path)

    page = browser().be(world.organiser, organiser=True).post(f"{path}/restore")
    assert "a wedding" not in page
    page = browser().be(world.organiser, organiser=True).post(f"{path}/cancel", reason=" ")
    assert "a wedding" not in page
    assert 'class="state cancelled"' in page
    assert data.value(app, "SELECT cancel_reason FROM session_instance WHERE is_cancelled") is None


def test_cancelling_what_somebody_holds_up_takes_effect_in_a_moment(
    world: World, organiser: Browser, database_url: str
) -> None:
    with data.connected(database_url, autocommit=False) as holding:
        data.execute(holding, "SELECT FROM session_plan FOR UPDATE")
        page = organiser.post(f"/instances/{world.muellers_now}/cancel")

    assert "Cancelled. It takes effect in a moment." in page
    assert "in a moment" not in organiser.post(f"/instances/{world.muellers_now}/restore")


def test_p6_cancelling_through_the_page_counts_though_the_recurrence_cannot_be_read(
    world: World, app: Connection, browser: Open
) -> None:
    path = f"/instances/{world.muellers_now}"
    browser().be(world.noirin).post(f"{path}/say", attendance="yes")
    data.change_session(app, world.muellers, recurrence="Tuesdays, most weeks, from 7")

    page = browser().be(world.organiser, organiser=True).post(f"{path}/cancel")

    assert 'class="state cancelled"' in page
    assert data.active_of(app, world.muellers) is None
    assert whereabouts(app, world.noirin) is None


def test_what_is_over_is_not_cancelled_and_who_came_stays(
    nightly: int, world: World, *, app: Connection, browser: Open, organiser: Browser, database_url: str
) -> None:
    path = f"/instances/{add_hours(app, world.later, -9, -7)}"
    reconcile(database_url)
    browser().be(world.noirin).post(f"{path}/say", attendance="yes")
    rows = data.instances_of(app, nightly)

    assert str(organiser.client.get(f"{path}/cancel").location).endswith(path)
    told = [organiser.get(path), organiser.post(f"{path}/cancel")]
    early = f"/sessions/{nightly}/dates/cancel"
    told.append(organiser.get(str(organiser.client.get(f"{early}?start={in_days(-5)}").location)))
    told.append(organiser.post(early, start=in_days(-5)))

    assert ["This evening is over, so nothing is changed." in page for page in told] == [True] * 4
    assert "1 person" in organiser.get(f"/sessions/{world.later}/past")
    assert data.instances_of(app, nightly) == rows


def test_a_cancelled_evening_that_is_over_is_restored_as_one_that_took_place(
    world: World, app: Connection, organiser: Browser
) -> None:
    evening = add_hours(app, world.later, -9, -7)
    data.change_instance(app, evening, is_cancelled=True)

    page = organiser.post(f"/instances/{evening}/restore")

    assert "Restored: it took place after all." in page
    assert f"/instances/{evening}" in organiser.get(f"/sessions/{world.later}/past")
