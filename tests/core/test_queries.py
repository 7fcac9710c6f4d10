"""What an app's pages ask: where somebody is, who is here, what is on, and what else is on in town (A4)."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import (
    Place,
    active_instances,
    check_in,
    elsewhere_in_town,
    leave,
    whereabouts,
    who_is_here,
)
from core.store.views import places
from core.store.views.places import Town
from tests.core.passes import CLOSES, DURING, NOON, OPENS, TUESDAYS, reconcile_at
from tests.core.rules.planner_model import recurring, utc, weekly
from tests.data import (
    add_check_in,
    add_instance,
    add_person,
    add_session,
    add_window,
    change_instance,
    change_session,
    execute,
    only_instance,
)

IN_DUBLIN = {"city": "Dublin", "country": "Ireland"}


def tonight(app: Connection, engine: Engine, *, at: str = DURING, **columns: Any) -> int:
    """Return the instance of a new session; it is on."""
    session = add_session(app, TUESDAYS, **columns)
    reconcile_at(engine, at)
    return only_instance(app, session)


def ids(places: tuple[Place, ...]) -> list[int]:
    return [place.session_instance_id for place in places]


# Where somebody is


def test_whereabouts_tell_what_a_page_shows(engine: Engine, app: Connection) -> None:
    instance = tonight(
        app,
        engine,
        name="The Cobblestone",
        path="dublin/cobblestone",
        state="Leinster",
        timezone="Europe/Dublin",
        **IN_DUBLIN,
    )
    change_instance(app, instance, comments="bring a chair", location_override="the back room")
    person, other = add_person(app), add_person(app)
    for somebody in (person, other):
        check_in(app, somebody, instance, "yes", now=utc(DURING))

    assert whereabouts(app, person) == Place(
        session_instance_id=instance,
        session_id=1,
        name="The Cobblestone",
        path="dublin/cobblestone",
        city="Dublin",
        state="Leinster",
        country="Ireland",
        timezone="Europe/Dublin",
        date=date(2026, 12, 1),
        start_time=time(19),
        end_time=time(22),
        location_override="the back room",
        comments="bring a chair",
        opens_at=datetime(2026, 12, 1, 18, tzinfo=UTC),
        closes_at=datetime(2026, 12, 1, 23, tzinfo=UTC),
        people=2,
    )


def test_whereabouts_of_a_person_who_is_nowhere_or_unknown_is_none(engine: Engine, app: Connection) -> None:
    instance, person = tonight(app, engine), add_person(app)
    check_in(app, person, instance, "yes", now=utc(DURING))
    reconcile_at(engine, CLOSES)

    assert whereabouts(app, person) is None
    assert whereabouts(app, add_person(app)) is None
    assert whereabouts(app, 999) is None


def test_whereabouts_between_an_edit_and_its_pass_have_no_window(engine: Engine, app: Connection) -> None:
    """The instance is still on, and the page still shows it."""
    instance, person = tonight(app, engine), add_person(app)
    check_in(app, person, instance, "yes", now=utc(DURING))
    with app.cursor() as cursor:
        cursor.execute("DELETE FROM activation_window")

    place = whereabouts(app, person)

    assert place is not None
    assert (place.session_instance_id, place.opens_at, place.closes_at) == (instance, None, None)


def test_an_evening_has_one_window_at_most_and_that_of_the_session_that_has_it_now(
    engine: Engine, app: Connection
) -> None:
    _, given_away = tonight(app, engine), tonight(app, engine)
    nested = add_instance(app, 1, "2026-12-01", "20:00", "21:00")
    reconcile_at(engine, DURING)
    add_window(app, nested, 1, "over", utc("2026-12-01 09:00"), utc(NOON))  # it was moved, and moved again
    add_window(app, 1, 1, "open", utc("2026-12-01 19:59"), utc(CLOSES))  # a pass has not closed the other
    add_window(app, nested, 1, "ahead", utc("2026-12-03 09:00"), utc("2026-12-03 12:00"))
    change_instance(app, given_away, session_id=add_session(app))

    found = active_instances(app)

    assert [(place.session_instance_id, place.opens_at) for place in found] == [
        (given_away, None),
        (nested, utc(DURING)),
    ]


def test_places_of_people_are_their_own_alone(engine: Engine, app: Connection) -> None:
    here, there = tonight(app, engine), tonight(app, engine)
    asked, beside, elsewhere, nowhere = (add_person(app) for _ in range(4))
    for person, instance in ((asked, here), (beside, here), (elsewhere, there)):
        check_in(app, person, instance, "yes", now=utc(DURING))

    with engine.connect() as connection:
        found = places.places_of(connection, [asked, nowhere])

    assert {person: (place.session_instance_id, place.people) for person, place in found.items()} == {asked: (here, 2)}


# Who is here


def test_who_is_here_tells_those_who_said_so_since_it_opened_from_those_expected(
    engine: Engine, app: Connection
) -> None:
    early = tonight(app, engine, at=NOON)
    said_before, said_since, went_on, never_came, maybe = (add_person(app, first_name=name) for name in "ABCDE")
    check_in(app, said_before, early, "yes", "after the match", now=utc(NOON))
    check_in(app, never_came, early, "yes", now=utc(NOON))
    reconcile_at(engine, OPENS)
    other = tonight(app, engine, at=OPENS)
    check_in(app, said_since, early, "yes", now=utc(DURING))
    check_in(app, went_on, early, "yes", now=utc("2026-12-01 19:30"))
    check_in(app, went_on, other, "yes", now=utc(DURING))
    check_in(app, never_came, other, "yes", now=utc(DURING))
    check_in(app, maybe, early, "maybe", now=utc(DURING))

    found = who_is_here(app, early)

    assert [(who.person_id, who.is_here) for who in found.here] == [(said_since, True)]
    assert [(who.person_id, who.is_here) for who in found.expected] == [(said_before, True), (never_came, False)]
    assert (found.expected[0].first_name, found.expected[0].comment) == ("A", "after the match")
    assert found.expected[0].said_at == utc(NOON)
    assert [(who.person_id, who.is_here, who.left_at) for who in found.were_here] == [(went_on, False, None)]


def test_a2_who_is_here_tells_who_has_left_here_and_leaves_out_who_has_left_elsewhere(
    engine: Engine, app: Connection
) -> None:
    here, other = tonight(app, engine, at=NOON), tonight(app, engine, at=NOON)
    expected, was_here, back, went_home, late = (add_person(app, first_name=name) for name in "ABCDE")
    for person in (expected, went_home, late):
        check_in(app, person, here, "yes", now=utc(NOON))
    reconcile_at(engine, OPENS)
    for person in (was_here, back):
        check_in(app, person, here, "yes", now=utc("2026-12-01 18:30"))
    for person in (went_home, late):
        check_in(app, person, other, "yes", now=utc("2026-12-01 18:30"))
    for person, instance in ((expected, here), (was_here, here), (back, here), (went_home, other), (late, other)):
        leave(app, person, instance, now=utc("2026-12-01 19:00"))
    for person in (back, late):
        check_in(app, person, here, "yes", now=utc(DURING))

    found = who_is_here(app, here)

    left = utc("2026-12-01 19:00")
    assert [(who.person_id, who.is_here, who.left_at) for who in found.here] == [(back, True, None), (late, True, None)]
    assert [(who.person_id, who.left_at) for who in found.were_here] == [(expected, left), (was_here, left)]
    assert found.expected == ()
    reconcile_at(engine, CLOSES)
    over = who_is_here(app, here)
    assert (over.here, over.were_here, len(over.expected)) == ((), (), 5)


def test_who_is_here_begins_with_the_earliest_and_leaves_out_who_is_deactivated(
    engine: Engine, app: Connection
) -> None:
    instance = tonight(app, engine)
    late, early, at_once, deactivated = (add_person(app) for _ in range(4))
    for person, at in ((late, "20:03"), (early, "20:01"), (at_once, "20:02"), (deactivated, "20:00")):
        check_in(app, person, instance, "yes", now=utc(f"2026-12-01 {at}"))
    leave(app, at_once, instance, now=utc("2026-12-01 20:02"))  # in the same instant
    execute(app, "INSERT INTO deactivated_person (person_id) VALUES (%s)", deactivated)

    found = who_is_here(app, instance)

    assert [who.person_id for who in found.here] == [early, late]
    assert [(who.person_id, who.left_at) for who in found.were_here] == [(at_once, utc("2026-12-01 20:02"))]
    assert found.expected == ()


def test_who_is_here_at_what_is_not_on_are_all_expected(engine: Engine, app: Connection) -> None:
    instance, person = tonight(app, engine), add_person(app)
    check_in(app, person, instance, "yes", now=utc(DURING))
    reconcile_at(engine, CLOSES)

    found = who_is_here(app, instance)

    assert (found.here, [who.person_id for who in found.expected]) == ((), [person])
    assert who_is_here(app, 999).expected == ()


def test_who_is_here_lists_rows_of_before_the_feature(engine: Engine, app: Connection) -> None:
    instance, person = tonight(app, engine), add_person(app)
    add_check_in(app, instance, person)
    with app.cursor() as cursor:
        cursor.execute("UPDATE session_instance_person SET checked_in_at = NULL, created_date = NULL")

    [who] = who_is_here(app, instance).expected

    assert who.said_at is None


# What else is on in town


HERE: dict[str, Any] = {"city": "Cambridge", "state": "MA", "country": "USA"}
TOWNS: dict[str, tuple[dict[str, Any], bool]] = {
    "the same": (HERE, True),
    "in other letters": ({"city": "CAMBRIDGE", "state": "ma", "country": "usa"}, True),
    "with spaces around": ({"city": " Cambridge ", "state": "MA ", "country": "  USA"}, True),
    "without a state": (HERE | {"state": None}, True),
    "with an empty state": (HERE | {"state": " "}, True),
    "in another state": (HERE | {"state": "OH"}, False),
    "in another country": (HERE | {"country": "England"}, False),
    "in a country that is not known": (HERE | {"country": None}, False),
    "another city": (HERE | {"city": "Boston"}, False),
    "a longer name": (HERE | {"city": "Cambridge North"}, False),
    "a city that is not known": (HERE | {"city": None}, False),
}


@pytest.mark.parametrize("turned", [False, True], ids=["seen from here", "seen from there"])
def test_a4_town_is_country_and_city_and_state_where_both_have_one(
    engine: Engine, app: Connection, *, turned: bool
) -> None:
    here = tonight(app, engine, **HERE)
    there = {case: tonight(app, engine, name=case, **columns) for case, (columns, _) in TOWNS.items()}
    if turned:
        result = {case for case, instance in there.items() if here in ids(elsewhere_in_town(app, instance))}
    else:
        result = {case for case, instance in there.items() if instance in ids(elsewhere_in_town(app, here))}

    assert result == {case for case, (_, is_in_town) in TOWNS.items() if is_in_town}
    assert here not in ids(elsewhere_in_town(app, here))


NAMED: dict[Town, set[str]] = {
    Town(" cambridge", "ma", "usa "): {case for case, (_, is_in_town) in TOWNS.items() if is_in_town},
    Town("Cambridge", None, "USA"): {case for case, (_, is_in) in TOWNS.items() if is_in} | {"in another state"},
    Town(None, "MA", "USA"): {"a city that is not known"},
    Town("Cambridge", "MA", None): {"in a country that is not known"},
}


def test_a4_a_town_that_is_named_is_found_in_the_same_way(engine: Engine, app: Connection) -> None:
    for case, (columns, _) in TOWNS.items():
        add_session(app, TUESDAYS, name=case, **columns)
    reconcile_at(engine, DURING)

    with engine.connect() as connection:
        found = {town: {each.name for each in places.places(connection, places.in_town(town))} for town in NAMED}

    assert found == NAMED


@pytest.mark.parametrize("city", [None, "", "  "])
def test_a4_unknown_city_offers_nothing(engine: Engine, app: Connection, city: str | None) -> None:
    one, other = (tonight(app, engine, city=city, country="Ireland") for _ in range(2))

    assert elsewhere_in_town(app, one) == elsewhere_in_town(app, other) == ()


def test_a4_unknown_countries_are_one(engine: Engine, app: Connection) -> None:
    one, other = (tonight(app, engine, city="Dublin", country=country) for country in (None, ""))

    assert ids(elsewhere_in_town(app, one)) == [other]


def test_a4_only_what_is_on_is_offered_and_only_from_what_is_on(engine: Engine, app: Connection) -> None:
    here = tonight(app, engine, **IN_DUBLIN)
    add_session(app, recurring(weekly("tuesday", "09:00", "10:00")), **IN_DUBLIN)
    wednesday = add_session(app, recurring(weekly("wednesday", "19:00", "22:00")), **IN_DUBLIN)
    reconcile_at(engine, DURING)
    assert elsewhere_in_town(app, here) == ()
    change_session(app, wednesday, timezone="Pacific/Kiritimati")
    reconcile_at(engine, DURING)
    later = only_instance(app, wednesday)
    reconcile_at(engine, "2026-12-02 06:00")

    assert ids(active_instances(app)) == [later]
    assert elsewhere_in_town(app, here) == ()
    assert elsewhere_in_town(app, 999) == ()


def test_a4_check_in_to_what_is_offered_moves_there(engine: Engine, app: Connection) -> None:
    here, there, person = tonight(app, engine, **IN_DUBLIN), tonight(app, engine, **IN_DUBLIN), add_person(app)
    check_in(app, person, here, "yes", now=utc(DURING))
    [offered] = elsewhere_in_town(app, here)
    check_in(app, person, offered.session_instance_id, "yes", now=utc("2026-12-01 20:10"))

    place = whereabouts(app, person)

    assert place is not None
    assert (place.session_instance_id, place.people) == (there, 1)
    assert [other.people for other in elsewhere_in_town(app, there)] == [0]


# What is on


@pytest.fixture
def four(engine: Engine, app: Connection) -> list[int]:
    """Two in Dublin, one in Galway, one in Dublin, Ohio."""
    return [
        tonight(app, engine, name=name, city=city, country=country)
        for name, city, country in (
            ("Hughes'", "Dublin", "Ireland"),
            ("The Cobblestone", " dublin", "ireland "),
            ("The Crane", "Galway", "Ireland"),
            ("Dubliner", "Dublin", "USA"),
        )
    ]


FILTERS: dict[str, tuple[Callable[[Connection], tuple[Place, ...]], list[int]]] = {
    "all": (active_instances, [0, 2, 1, 3]),
    "a city": (lambda app: active_instances(app, city="DUBLIN "), [0, 1, 3]),
    "a country": (lambda app: active_instances(app, country=" ireland"), [0, 2, 1]),
    "a city of a country": (lambda app: active_instances(app, city="Dublin", country="Ireland"), [0, 1]),
    "a session": (lambda app: active_instances(app, session_id=3), [2]),
    "a session elsewhere": (lambda app: active_instances(app, session_id=3, city="Dublin"), []),
    "no such session": (lambda app: active_instances(app, session_id=999), []),
    "no such city": (lambda app: active_instances(app, city=""), []),
}


def test_active_instances_of_a_session_a_city_or_a_country(app: Connection, four: list[int]) -> None:
    found = {case: sorted(ids(ask(app))) for case, (ask, _) in FILTERS.items()}

    assert found == {case: sorted(four[at] for at in expected) for case, (_, expected) in FILTERS.items()}


def test_active_instances_are_in_order_of_country_city_name_and_id(engine: Engine, app: Connection) -> None:
    towns = (("B", "A", "A"), ("A", "B", "A"), ("A", "A", "B"), ("A", "A", "A"), ("A", "A", "A"))
    sessions = [add_session(app, TUESDAYS, country=country, city=city, name=name) for country, city, name in towns]
    reconcile_at(engine, DURING)

    assert [place.session_id for place in active_instances(app)] == [*sessions[3:], *sessions[2::-1]]


def test_active_instances_are_none_when_nothing_is_on(engine: Engine, app: Connection, four: list[int]) -> None:
    assert len(active_instances(app)) == len(four)
    reconcile_at(engine, CLOSES)
    assert active_instances(app) == ()
