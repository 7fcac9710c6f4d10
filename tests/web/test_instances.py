"""An evening: say yes, be there, be told why not; organisers."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import CheckedIn, WhyNot, leave
from tests import data
from tests.core.recurrence.documents import text_of, weekly
from tests.web.site import Browser, World, add_hours, reconcile
from web.host import transaction
from web.instances import CALLED_OFF, NO_LONGER, _evening, told

Open = Callable[[], Browser]


def whereabouts(app: Connection, person_id: int) -> int | None:
    found: int | None = data.value(app, "SELECT active_session_instance_id FROM person WHERE person_id = %s", person_id)
    return found


def test_saying_yes_while_it_is_on_is_being_there(world: World, app: Connection, browser: Open) -> None:
    visitor = browser().be(world.noirin)

    page = visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes", comment="  On the pipes ")

    assert "You&#39;re here. Enjoy the tunes!" in page
    assert page.index("Who is here") < page.rindex("On the pipes") < page.index("Who is coming")
    assert 'value="yes" class="answer yes" aria-pressed="true"' in page
    assert whereabouts(app, world.noirin) == world.muellers_now


def test_what_states_no_end_is_playing_and_what_else_is_on_is_told_by_name(
    world: World, app: Connection, browser: Open, database_url: str
) -> None:
    place = {"timezone": "America/Phoenix", "city": "Austin", "state": "TX", "country": "USA"}
    endless, *others = (data.add_session(app, name=name, **place) for name in ("Antone's", "Zed's", "Mick's"))
    instance = add_hours(app, endless, -0.2, 1)
    for other, starts_in in zip(others, (-0.9, -0.5), strict=True):
        add_hours(app, other, starts_in, 1)
    data.change_instance(app, instance, end_time=None)
    reconcile(database_url)

    page = browser().get(f"/instances/{instance}")
    assert "Playing" in page
    assert "Playing until" not in page.partition("Also on in Austin")[0]
    beside = browser().get(f"/instances/{world.muellers_now}").partition("Also on in Austin")[2]
    names = [f"{name}&#39;s" for name in ("Antone", "Donn", "Mick", "Zed")]
    assert [*names] == sorted(names, key=beside.index)


def test_who_is_moved_is_told_from_where(world: World, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    assert "no longer at" not in visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes")
    assert "no longer at" not in visitor.post(f"/instances/{world.later_today}/say", attendance="yes")

    moved = visitor.post(f"/instances/{world.donns_now}/say", attendance="yes")

    assert "You&#39;re here. Enjoy the tunes! You are no longer at Mueller&#39;s." in moved


@pytest.mark.parametrize("attendance", ["yes", "nothing"])
def test_of_an_evening_that_does_not_exist_nothing_is_said_or_taken_back(
    world: World, browser: Open, attendance: str
) -> None:
    assert "There is no such" in browser().be(world.noirin).post("/instances/999/say", 404, attendance=attendance)


@pytest.mark.parametrize("why_not", [None, WhyNot.OVER, WhyNot.DEFERRED])
def test_what_somebody_holds_up_is_told_to_come_in_a_moment(why_not: WhyNot | None) -> None:
    assert told("yes", CheckedIn(None, why_not, deferred=True)) == "You said yes; you will be there in a moment."


def test_a_lost_evening_takes_no_answers_and_says_why(world: World, app: Connection, browser: Open) -> None:
    lost = data.add_instance(app, world.later, "2099-01-05")
    data.bind(app, lost, world.later, "2099-01-05 19:00", lost=True)

    assert NO_LONGER in browser().be(world.noirin).post(f"/instances/{lost}/say", attendance="yes").replace(
        "&#39;", "'"
    )


def test_the_other_session_in_town_is_one_tap_away(world: World, app: Connection, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    page = visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes")
    assert "Also on in Austin, USA" in page
    assert f'action="/instances/{world.donns_now}/say"' in page
    assert f'action="/instances/{world.later_today}/say"' not in page
    # First the hours of the music, then what we add (T2).
    assert re.search(r"</span> · Playing until [\d:apm]+, open until [\d:apm]+</span>", page)

    visitor.post(f"/instances/{world.donns_now}/say", attendance="yes")

    assert whereabouts(app, world.noirin) == world.donns_now


def test_an_early_yes_waits_and_is_among_those_who_are_coming(world: World, app: Connection, browser: Open) -> None:
    visitor = browser().be(world.noirin)

    page = visitor.post(f"/instances/{world.later_today}/say", attendance="yes")

    assert "You said yes. We count you there when it opens, unless you are somewhere else then." in page
    assert "Who is here" not in page
    assert page.index("Who is coming") < page.rindex("Nóirín")
    assert whereabouts(app, world.noirin) is None


def test_a2_whom_an_early_yes_places_here_is_among_those_who_are_here(
    world: World, app: Connection, browser: Open, database_url: str
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.later_today}"
    visitor.post(f"{path}/say", attendance="yes")
    data.execute(app, "UPDATE session_instance_person SET checked_in_at = checked_in_at - interval '1 day'")
    data.change_session(app, world.later, active_buffer_minutes_before=400)
    reconcile(database_url)

    page = visitor.get(path)

    assert "You're here." in page
    here, _, coming = page.partition("Who is here")[2].partition("Who is coming")
    assert re.search(r'<li>Nóirín Ní Bhriain <span class="quiet">said yes before it opened</span>', here)
    assert "Nóirín" not in coming
    assert "Nobody yet." in coming


def test_a2_who_said_yes_and_is_elsewhere_is_told_where_they_are_counted(
    world: World, app: Connection, browser: Open, database_url: str
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.later_today}"
    visitor.post(f"{path}/say", attendance="yes")
    visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes")
    data.change_session(app, world.later, active_buffer_minutes_before=400)
    reconcile(database_url)

    page = visitor.get(path)

    assert f'You said yes, but you are at <a href="/instances/{world.muellers_now}">Mueller&#39;s</a>.' in page
    assert 'class="answer yes" aria-pressed="false">I&#39;m here now</button>' in page
    moved = visitor.post(f"{path}/say", attendance="yes")
    assert "You are no longer at Mueller&#39;s." in moved
    assert 'class="answer yes" aria-pressed="true">Yes, I&#39;m here</button>' in moved


@pytest.mark.parametrize(("attendance", "told"), [("maybe", "You said maybe."), ("no", "You said no.")])
def test_maybe_and_no_are_recorded_and_leave(
    world: World, app: Connection, browser: Open, attendance: str, told: str
) -> None:
    visitor = browser().be(world.noirin)
    visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes")

    assert told in visitor.post(f"/instances/{world.muellers_now}/say", attendance=attendance)

    assert whereabouts(app, world.noirin) is None


@pytest.mark.parametrize("said", ["yes", "maybe", "no"])
def test_enter_in_the_comment_saves_it_and_keeps_the_answer(
    world: World, app: Connection, browser: Open, said: str
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    page = visitor.get(path)
    assert page.index('value="keep" hidden') < page.index('value="yes"')
    visitor.post(f"{path}/say", attendance=said)
    left = visitor.post(f"{path}/leave")
    assert "I've left" not in left

    page = visitor.post(f"{path}/say", attendance="keep", comment="Sorry, truly ")

    assert f"Your comment is saved. You said {said}." in page
    assert 'value="Sorry, truly"' in page
    assert whereabouts(app, world.noirin) is None


@pytest.mark.parametrize("pressed", ["maybe", "keep"])
def test_a_comment_that_one_did_not_change_stays_as_it_is_by_now(
    world: World, app: Connection, browser: Open, pressed: str
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    visitor.post(f"{path}/say", attendance="maybe", comment="On the pipes\r\nor the flute")
    assert 'name="was-comment" value="On the pipes\nor the flute"' in visitor.get(path)
    data.execute(app, "UPDATE session_instance_person SET comment = comment || '!'")

    page = visitor.post(
        f"{path}/say",
        attendance=pressed,
        comment="On the pipesor the flute",
        **{"was-comment": "On the pipes\r\nor the flute"},
    )

    assert "You said maybe." in page
    assert data.value(app, "SELECT comment FROM session_instance_person") == "On the pipes\nor the flute!"
    visitor.post(f"{path}/say", attendance=pressed, comment="", **{"was-comment": "On the pipes\nor the flute!"})
    assert data.value(app, "SELECT comment FROM session_instance_person") == ""


@pytest.mark.parametrize("answer", ["maybe", "no"])
def test_who_has_left_and_then_says_something_else_reads_that_they_said_it(
    world: World, browser: Open, answer: str
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    visitor.post(f"{path}/say", attendance="yes")
    visitor.post(f"{path}/leave")

    page = visitor.post(f"{path}/say", attendance=answer)

    assert f'class="answer {answer}" aria-pressed="true"' in page
    assert "You have left." not in page


def test_a_comment_without_an_answer_is_not_saved_and_not_lost(world: World, app: Connection, browser: Open) -> None:
    path = f"/instances/{world.muellers_now}/say"

    page = browser().be(world.noirin).post(path, 400, attendance="keep", comment="Sorry, I can't come")

    assert "Choose Yes, Maybe or No. Your comment is not saved yet." in page
    assert 'value="Sorry, I can&#39;t come"' in page
    again = browser().be(world.noirin).post(path, 400, attendance="keep", comment="", **{"was-comment": ""})
    assert "Choose Yes, Maybe or No." in again
    assert f'data-address="/instances/{world.muellers_now}"' in page, "where the script goes from the form's address"
    assert data.value(app, "SELECT count(*) FROM session_instance_person") == 0


def test_what_was_said_can_be_taken_back(world: World, app: Connection, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes")

    assert "Your answer is removed." in visitor.post(f"/instances/{world.muellers_now}/say", attendance="nothing")

    assert data.value(app, "SELECT count(*) FROM session_instance_person") == 0


def test_a2_who_has_left_is_neither_here_nor_coming_and_may_say_yes_again(
    world: World, app: Connection, browser: Open
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    visitor.post(f"{path}/say", attendance="yes", comment="On the pipes")
    leave(app, world.noirin, world.muellers_now)

    assert "On the pipes" not in browser().be(world.sean).get(path)
    assert 'value="yes" class="answer yes" aria-pressed="false"' in visitor.get(path)

    page = visitor.post(f"{path}/say", attendance="yes")
    assert 'value="yes" class="answer yes" aria-pressed="true"' in page
    assert whereabouts(app, world.noirin) == world.muellers_now


def test_a2_who_says_that_they_have_left_is_nowhere_and_their_yes_stays(
    world: World, app: Connection, browser: Open
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    assert "I've left" not in visitor.get(path)
    assert "I've left" in visitor.post(f"{path}/say", attendance="yes")
    assert "I've left" not in browser().be(world.sean).get(path)
    assert "I've left" not in visitor.get(f"/instances/{world.donns_now}")

    page = visitor.post(f"{path}/leave")

    assert '<p class="notice" role="status">You have left.</p>' in page
    assert "If you come back, say yes again." in page
    assert "I've left" not in page
    assert whereabouts(app, world.noirin) is None
    assert data.value(app, "SELECT attendance FROM session_instance_person") == "yes"


def test_leaving_what_is_not_on_changes_nothing_not_even_where_one_is_by_now(
    world: World, app: Connection, browser: Open
) -> None:
    visitor, path = browser().be(world.noirin), f"/instances/{world.muellers_now}"
    visitor.post(f"{path}/say", attendance="yes")
    browser().be(world.organiser, organiser=True).post(f"{path}/cancel")
    visitor.post(f"/instances/{world.donns_now}/say", attendance="yes")
    assert whereabouts(app, world.noirin) == world.donns_now

    page = visitor.post(f"{path}/leave")

    assert "This evening is not on now, so you are not counted there. Nothing is changed." in page
    assert whereabouts(app, world.noirin) == world.donns_now
    assert data.value(app, "SELECT count(left_at) FROM session_instance_person") == 0


def test_the_front_page_has_a_way_out_where_the_viewer_is(world: World, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    assert "I've left" not in visitor.get("/")
    visitor.post(f"/instances/{world.muellers_now}/say", attendance="yes")

    page = visitor.get("/")

    assert f'<button form="leave" formaction="instances/{world.muellers_now}/leave">' in page
    assert '<form id="leave" method="post">' in page
    assert 'id="leave"' not in browser().get("/")


def test_an_organiser_checks_others_in(world: World, app: Connection, browser: Open) -> None:
    organiser = browser().be(world.organiser, organiser=True)
    path = f"/instances/{world.muellers_now}"
    assert "Check in Nóirín Ní Bhriain<" in organiser.get(f"{path}?who=bhriain+n")
    assert "Nobody has that name." in organiser.get(f"{path}?who=%25")
    assert "Check in Nóirín Ní Bhriain<" not in organiser.get(f"{path}?who=%20"), "there may be a million people"

    page = organiser.post(f"{path}/people", attendance="yes", person_id=world.noirin)

    assert "Nóirín Ní Bhriain is here." in page
    assert whereabouts(app, world.noirin) == world.muellers_now
    assert "Taken back for" in organiser.post(f"{path}/people", attendance="nothing", person_id=world.noirin)
    assert whereabouts(app, world.noirin) is None


def test_accents_make_no_difference_where_an_organiser_looks_for_somebody(
    world: World, app: Connection, browser: Open
) -> None:
    data.add_person(app, first_name="Rene\u0301e", last_name="Aubert")
    data.add_person(app, first_name="Renee", last_name="Brown")
    organiser = browser().be(world.organiser, organiser=True)

    def found(typed: str) -> set[str]:
        page = organiser.get(f"/instances/{world.muellers_now}?who={quote(typed)}")
        return set(re.findall(r'name="person_id" value="\d+">Check in ([^<]*)<', page))

    for typed in ("noirin", "NÓIRÍN", "ni bhriain", "nóirin", "No\u0301iri\u0301n"):
        assert found(typed) == {"Nóirín Ní Bhriain"}
    for typed in ("renee", "rénée", "Renée"):
        assert found(typed) == {"Renee Brown", "Rene\u0301e Aubert"}


def test_it_is_over(world: World, app: Connection, browser: Open) -> None:
    yesterday = data.add_instance(app, world.later, "2026-01-05", "19:00", "22:00")

    page = browser().be(world.noirin).post(f"/instances/{yesterday}/say", attendance="yes")

    assert "You said yes. This evening has no times yet" in page or "This evening is over now." in page
    assert whereabouts(app, world.noirin) is None


def test_an_evening_of_the_past_is_over_also_where_it_never_had_a_window(
    world: World, app: Connection, browser: Open
) -> None:
    past = data.add_instance(app, world.later, "2026-01-05", "19:00", "22:00")
    without_hours = data.add_instance(app, world.later, "2099-01-05")

    assert '<p id="state" class="state over" data-own>Over' in browser().get(f"/instances/{past}")
    assert "Were you there?" in browser().be(world.noirin).get(f"/instances/{past}")
    assert 'class="state unplanned"' in browser().get(f"/instances/{without_hours}")


def test_an_evening_without_a_buffer_says_once_when_it_starts(
    world: World, app: Connection, browser: Open, database_url: str
) -> None:
    assert ", open from " in browser().get(f"/instances/{world.later_today}")
    data.change_session(app, world.later, active_buffer_minutes_before=0)
    reconcile(database_url)

    page = browser().get(f"/instances/{world.later_today}")

    assert re.search(r"data-own>Starts at [\d:apm]+\s*</p>", page)


def test_a_place_and_a_note_of_its_own(world: World, app: Connection, browser: Open) -> None:
    data.change_instance(app, world.muellers_now, location_override="Upstairs", comments="Bring a chair\n& a tune")

    page = browser().get(f"/instances/{world.muellers_now}")

    assert "Upstairs" in page
    assert "&amp; a tune" in page


def test_what_a_visitor_may_not_see_is_not_even_read(world: World, pages: Flask) -> None:
    with pages.test_request_context("/"), transaction() as connection:
        evening = _evening(connection, world.muellers_now)

    assert (evening.who, evening.said, evening.at, evening.found) == (None,) * 4


def test_of_a_name_that_is_looked_for_the_beginning_counts(world: World, browser: Open) -> None:
    organiser = browser().be(world.organiser, organiser=True)
    path = f"/instances/{world.muellers_now}"

    assert "Check in Nóirín Ní Bhriain<" in organiser.get(f"{path}?who=bhriain{'+' * 100}x")


def test_an_organiser_says_for_others_what_they_said(world: World, app: Connection, browser: Open) -> None:
    organiser = browser().be(world.organiser, organiser=True)
    path = f"/instances/{world.muellers_now}/people"
    assert "Nóirín Ní Bhriain said maybe." in organiser.post(path, attendance="maybe", person_id=world.noirin)
    assert whereabouts(app, world.noirin) is None
    organiser.post(path, attendance="yes", person_id=world.noirin)

    later = f"/instances/{world.later_today}/people"

    assert "Nóirín Ní Bhriain said yes." in organiser.post(later, attendance="yes", person_id=world.noirin)
    assert whereabouts(app, world.noirin) == world.muellers_now


@pytest.mark.parametrize(("length", "status"), [(300, 303), (301, 400)])
def test_a_comment_has_a_greatest_length(world: World, browser: Open, length: int, status: int) -> None:
    path = f"/instances/{world.muellers_now}/say"
    page = browser().be(world.noirin).post(path, status, attendance="yes", comment="x" * length)

    assert ("this one has 301" in page) is (status == 400)


def test_what_somebody_holds_takes_effect_in_a_moment(world: World, browser: Open, database_url: str) -> None:
    visitor = browser().be(world.organiser, organiser=True)
    path = f"/instances/{world.muellers_now}"
    with data.connected(database_url, autocommit=False) as holding:
        data.execute(holding, "SELECT FROM session_plan FOR UPDATE; SELECT FROM person FOR NO KEY UPDATE")

        assert "You said yes; you will be there in a moment." in visitor.post(f"{path}/say", attendance="yes")
        assert "You have left. It takes effect in a moment." in visitor.post(f"{path}/leave")
        assert "Cancelled. It takes effect in a moment." in visitor.post(f"{path}/cancel")


def test_each_answer_has_its_own_words(world: World, app: Connection, browser: Open) -> None:
    visitor = browser().be(world.noirin)
    assert "It takes effect" not in browser().be(world.organiser, organiser=True).post(
        f"/instances/{world.muellers_now}/cancel"
    )
    without_times = data.add_instance(app, world.later, "2099-01-05")
    data.change_session(app, world.later, termination_date="2099-01-05")
    assert "No times yet" in visitor.get(f"/instances/{without_times}")
    beyond = data.add_instance(app, world.later, "2099-01-06", "19:00")
    assert "the last date of this session is" in visitor.get(f"/instances/{beyond}")
    elsewhere = data.add_session(app, name="Olympus", timezone="Mars/Olympus")
    with_times = data.add_instance(app, elsewhere, "2099-01-05", "19:00")
    assert "Its times are not certain" in visitor.get(f"/instances/{with_times}")

    assert "This evening has no times yet" in visitor.post(f"/instances/{without_times}/say", attendance="yes")


def test_a_cancelled_evening_asks_nothing_and_says_what_else_is_on_that_day(
    world: World, app: Connection, browser: Open
) -> None:
    path, visitor = f"/instances/{world.muellers_now}", browser().be(world.noirin)
    far = data.add_session(app, name="The Cobblestone", timezone="America/Phoenix", city="Dublin", country="Ireland")
    add_hours(app, far, 0, 0.5)
    visitor.post(f"{path}/say", attendance="yes")
    assert "On that day" not in visitor.get(path)
    browser().be(world.organiser, organiser=True).post(f"{path}/cancel", reason="A wedding")

    page = visitor.post(f"{path}/say", attendance="no")

    assert CALLED_OFF in page
    assert "You said yes, but this evening is cancelled." in page
    assert "Are you" not in page
    assert 'value="yes"' not in page
    assert "Who said yes" in page
    assert "Nobody yet." not in page
    assert "We found nothing else" not in page
    on_that_day = page.partition("On that day in Austin, USA")[2]
    assert "Donn&#39;s Depot" in on_that_day
    assert on_that_day.count("<strong>on now</strong>") == 1
    assert "Mueller&#39;s" not in on_that_day
    assert "The Cobblestone" not in page
    for session in (world.donns, world.later):
        data.change_session(app, session, city="Cork")
    alone = visitor.get(path)
    assert "We found nothing else in Austin, USA on that day." in alone
    assert '<a href="/sessions?city=Austin&amp;state=TX&amp;country=USA">at all sessions in Austin, USA</a>' in alone
    assert "Your answer is removed." in visitor.post(f"{path}/say", attendance="nothing")
    assert "You said" not in visitor.get(path)


def test_what_else_is_on_that_day_is_told_also_of_days_that_are_not_planned_yet(
    world: World, app: Connection, browser: Open
) -> None:
    monday = "2099-01-05"
    cancelled = data.add_instance(app, world.muellers, monday, "19:00", is_cancelled=True)
    data.change_session(app, world.donns, recurrence=text_of(weekly("monday"), weekly("tuesday")))
    moved = data.add_instance(app, world.later, monday, "18:00")
    also_cancelled = data.add_instance(app, world.later, monday, "12:00", is_cancelled=True)

    on_that_day = browser().get(f"/instances/{cancelled}").partition("On that day in Austin, USA")[2]

    links = re.findall(r'<li><span><a href="([^"]+)">', on_that_day)
    assert links == [f"/instances/{moved}", f"/sessions/{world.donns}"], "by start"
    assert "7:30–10:30pm" in on_that_day
    assert f"/instances/{also_cancelled}" not in on_that_day
    assert f'href="/sessions?city=Austin&amp;state=TX&amp;country=USA&amp;day={monday}"' in on_that_day


def test_a4_without_a_town_nothing_is_said_of_what_else_is_on_that_day(
    world: World, app: Connection, browser: Open
) -> None:
    data.change_session(app, world.muellers, city=None)
    data.change_instance(app, world.muellers_now, is_cancelled=True)

    page = browser().get(f"/instances/{world.muellers_now}")

    assert "We found nothing else" not in page
    assert 'class="state cancelled"' in page
    assert "On that day" not in page


def test_two_people_of_one_name_are_told_apart(world: World, app: Connection, browser: Open) -> None:
    path = f"/instances/{world.muellers_now}"
    here = data.add_person(app, first_name="Seán", last_name="Ó Riada", city="Dublin", email="sean@example.org")
    data.change(app, "person", world.sean, city="Cork")
    for person in (here, world.sean):
        browser().be(person).post(f"{path}/say", attendance="yes")

    page = browser().be(world.organiser, organiser=True).get(f"{path}?who=riada")

    assert "<li>Seán Ó Riada (Cork)</li>" in page
    assert "<li>Seán Ó Riada (Dublin)</li>" in page
    assert f'value="{here}">Check in Seán Ó Riada (Dublin)</button> <span class="quiet">said yes</span>' in page
    assert "example.org" not in page
    assert "Dublin" not in browser().get(path)
