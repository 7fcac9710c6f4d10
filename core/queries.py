"""Queries for an app's pages: where a person is, who is here, what is on, and what else is on in town."""

from collections import defaultdict
from dataclasses import dataclass

from core.db.transactions import AppDatabase, joined
from core.errors import InvalidPage, UnknownInstance, UnknownPerson, UnknownSession
from core.ids import require_id
from core.rules.flips import Change
from core.rules.presence import HERE_BEFORE_OPENING, Attends, attends
from core.store.presence import yeses
from core.store.views import places
from core.store.views import transitions as log
from core.store.views.places import Attendee, Place
from core.store.views.transitions import Transition

__all__ = [
    "Attendee",
    "Change",
    "Place",
    "Transition",
    "Transitions",
    "WhoIsHere",
    "active_instances",
    "elsewhere_in_town",
    "transitions",
    "whereabouts",
    "who_is_here",
]


LARGEST_PAGE = 10_000  # transitions


@dataclass(frozen=True, slots=True)
class WhoIsHere:
    """The people who said yes to an instance.

    `here`: after it opened, and they are there now. `expected`: before it opened. `were_here`: they have left, or they
    said it after it opened and have moved on.
    """

    here: tuple[Attendee, ...]
    expected: tuple[Attendee, ...]
    were_here: tuple[Attendee, ...]


@dataclass(frozen=True, slots=True)
class Transitions:
    """A page of transitions, the oldest first, and the `cursor` to hand in for the next page."""

    found: tuple[Transition, ...]
    cursor: str


def whereabouts(db: AppDatabase, person_id: int) -> Place | None:
    """Return the active instance where this person is, or None. Raises `UnknownPerson` for what is no id."""
    person_id = require_id(person_id, "person", UnknownPerson)
    with joined(db) as connection:
        return places.place_of(connection, person_id)


def who_is_here(db: AppDatabase, session_instance_id: int) -> WhoIsHere:
    """Return the people who said yes to an instance: who is here, who is expected, and who was here.

    A yes in the minute before the opening counts as after it (A2). If the instance is not active, all are expected. A
    person in `expected` may be there too: `Attendee.is_here` says so. Who said yes before it opened, and has left
    another instance since, is in no group. Raises `UnknownInstance` for what is no id.
    """
    session_instance_id = require_id(session_instance_id, "session instance", UnknownInstance)
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
    Return nothing if the instance is not active, or its city is unknown. Raises `UnknownInstance` for what is no id.
    """
    session_instance_id = require_id(session_instance_id, "session instance", UnknownInstance)
    with joined(db) as connection:
        return places.places(connection, places.elsewhere_in_town(session_instance_id))


def active_instances(
    db: AppDatabase, *, session_id: int | None = None, city: str | None = None, country: str | None = None
) -> tuple[Place, ...]:
    """Return the active instances (of one session, city or country, if given), ordered by country, city and name.

    Raises `UnknownSession` for what is no id.
    """
    conditions = []
    if session_id is not None:
        conditions.append(places.of_session(require_id(session_id, "session", UnknownSession)))
    if city is not None:
        conditions.append(places.in_city(str(city)))
    if country is not None:
        conditions.append(places.in_country(str(country)))
    with joined(db) as connection:
        return places.places(connection, *conditions)


def transitions(db: AppDatabase, after: str | None = None, limit: int = 100) -> Transitions:
    """Return what opened, closed, moved, was cancelled or deleted while on, since the cursor `after` (exclusive).

    Each transition is returned once, however many transactions commit in whatever order: a cursor also says which of
    them had not finished. A page has at most `limit` transitions, and besides those that such transactions committed
    late. An empty page means that there are no more for now. Store the cursor in the transaction in which you do the
    work for the page; then a crash repeats none and skips none. None begins with the oldest that is kept: the log keeps
    `KEEP_DAYS` days, and a reader that stays away for longer misses the rest. What your own open transaction has
    flipped comes after its commit. Ask the primary: a standby does not know which transactions are running. Bits that
    somebody wrote by hand, and their repairs, are no transitions. Raises `InvalidPage`.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidPage(f"limit is {limit}; accepted: 1 to {LARGEST_PAGE}")
    position = log.Position() if after is None else log.Position.parse(after)
    with joined(db) as connection:
        found, reached = log.transitions(connection, position, limit)
    return Transitions(tuple(found), str(reached))
