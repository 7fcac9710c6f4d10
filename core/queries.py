"""What an app's pages ask: where somebody is, who is here, what is on, and what else is on in town."""

from dataclasses import dataclass

from core.db.transactions import AppDatabase, joined
from core.rules.presence import HERE_BEFORE_OPENING
from core.store.views import places
from core.store.views.places import Attendee, Place

__all__ = ["Attendee", "Place", "WhoIsHere", "active_instances", "elsewhere_in_town", "whereabouts", "who_is_here"]


@dataclass(frozen=True, slots=True)
class WhoIsHere:
    """Who said yes to an instance: `here` since its window opened, and are there; `expected` said so before."""

    here: tuple[Attendee, ...]
    expected: tuple[Attendee, ...]


def whereabouts(db: AppDatabase, person_id: int) -> Place | None:
    """Return the active instance at which this person is, or None."""
    with joined(db) as connection:
        return places.place_of(connection, person_id)


def who_is_here(db: AppDatabase, session_instance_id: int) -> WhoIsHere:
    """Return who said yes to an instance, apart: since it opened, and before; of one that is not on, all before.

    Whoever said yes since it opened and is somewhere else by now is in neither; `Attendee.is_here` tells of the others.
    """
    with joined(db) as connection:
        on = next(iter(places.places(connection, places.is_instance(session_instance_id))), None)
        said_yes = places.attendees(connection, session_instance_id)
    opened_at = on.opens_at - HERE_BEFORE_OPENING if on and on.opens_at else None
    since = {yes for yes in said_yes if opened_at and yes.said_at and yes.said_at >= opened_at}
    return WhoIsHere(
        here=tuple(yes for yes in said_yes if yes in since and yes.is_here),
        expected=tuple(yes for yes in said_yes if yes not in since),
    )


def elsewhere_in_town(db: AppDatabase, session_instance_id: int) -> tuple[Place, ...]:
    """Return the other active instances in the town of an active one (A4).

    The same country and city, trimmed and whatever the case, and the same state where both have one. Nothing, where the
    instance is not active or its city is not known.
    """
    with joined(db) as connection:
        return places.places(connection, places.elsewhere_in_town(session_instance_id))


def active_instances(
    db: AppDatabase, *, session_id: int | None = None, city: str | None = None, country: str | None = None
) -> tuple[Place, ...]:
    """Return what is on now, by country, city and name; only of that session, city or country where one is given."""
    conditions = []
    if session_id is not None:
        conditions.append(places.of_session(session_id))
    if city is not None:
        conditions.append(places.in_city(city))
    if country is not None:
        conditions.append(places.in_country(country))
    with joined(db) as connection:
        return places.places(connection, *conditions)
