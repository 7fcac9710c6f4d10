"""Queries for an app's pages: where a person is, who is here, what is on, and what else is on in town."""

from collections import defaultdict
from dataclasses import dataclass

from core.db.transactions import AppDatabase, joined
from core.rules.presence import HERE_BEFORE_OPENING, Attends, attends
from core.store.presence import yeses
from core.store.views import places
from core.store.views.places import Attendee, Place

__all__ = ["Attendee", "Place", "WhoIsHere", "active_instances", "elsewhere_in_town", "whereabouts", "who_is_here"]


@dataclass(frozen=True, slots=True)
class WhoIsHere:
    """The people who said yes to an instance.

    `here`: after it opened, and they are there now. `expected`: before it opened. `were_here`: they have left, or they
    said it after it opened and have moved on.
    """

    here: tuple[Attendee, ...]
    expected: tuple[Attendee, ...]
    were_here: tuple[Attendee, ...]


def whereabouts(db: AppDatabase, person_id: int) -> Place | None:
    """Return the active instance where this person is, or None."""
    with joined(db) as connection:
        return places.place_of(connection, person_id)


def who_is_here(db: AppDatabase, session_instance_id: int) -> WhoIsHere:
    """Return the people who said yes to an instance: who is here, who is expected, and who was here.

    A yes in the minute before the opening counts as after it (A2). If the instance is not active, all are expected. A
    person in `expected` may be there too: `Attendee.is_here` says so. Who said yes before it opened, and has left
    another instance since, is in no group.
    """
    with joined(db) as connection:
        said_yes = places.attendees(connection, session_instance_id)
        said = {attendee.person_id: yes for attendee, yes in said_yes if yes}
        opened_at = min((yes.opens_at for yes in said.values()), default=None)
        left = yeses.left_since(connection, said, opened_at - HERE_BEFORE_OPENING) if opened_at else {}
    groups: dict[Attends | None, list[Attendee]] = defaultdict(list)
    for attendee, yes in said_yes:
        groups[attends(yes, left.get(attendee.person_id, ()), is_there=attendee.is_here)].append(attendee)
    return WhoIsHere(
        here=tuple(groups[Attends.HERE]),
        expected=tuple(groups[Attends.EXPECTED]),
        were_here=tuple(groups[Attends.WAS_HERE]),
    )


def elsewhere_in_town(db: AppDatabase, session_instance_id: int) -> tuple[Place, ...]:
    """Return the other active instances in the town of an active one (A4).

    The same town means: the same country and city, without outer spaces and case, and the same state if both state one.
    Return nothing if the instance is not active, or its city is unknown.
    """
    with joined(db) as connection:
        return places.places(connection, places.elsewhere_in_town(session_instance_id))


def active_instances(
    db: AppDatabase, *, session_id: int | None = None, city: str | None = None, country: str | None = None
) -> tuple[Place, ...]:
    """Return the active instances (of one session, city or country, if given), ordered by country, city and name."""
    conditions = []
    if session_id is not None:
        conditions.append(places.of_session(session_id))
    if city is not None:
        conditions.append(places.in_city(city))
    if country is not None:
        conditions.append(places.in_country(country))
    with joined(db) as connection:
        return places.places(connection, *conditions)
