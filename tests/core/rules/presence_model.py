"""Who should be where, from all rows and a clock: slow, and each rule in the words of A1 and A2."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.rules.flips import TOLERATED
from core.rules.presence import Left, SaidYes
from tests.data import execute

MINUTE = timedelta(minutes=1)


def where(said: Iterable[SaidYes], left: Iterable[Left] = ()) -> SaidYes | None:
    """A2 as a person would do it: rule after rule, each sorting out some of the yeses."""
    standing = list(said)
    for went in left:
        standing = [yes for yes in standing if yes not in given_up(standing, went)]
    since_it_opened = [yes for yes in standing if yes.said_at >= yes.opens_at - MINUTE]  # L2: opened a minute early
    if since_it_opened:
        standing = latest(since_it_opened, lambda yes: yes.said_at)
    standing = earliest(standing, lambda yes: yes.opens_at)
    standing = earliest(standing, lambda yes: yes.starts_at)
    standing = latest(standing, lambda yes: yes.said_at)
    standing.sort(key=lambda yes: yes.session_instance_id)
    return standing[0] if standing else None


def given_up(said: list[SaidYes], went: Left) -> list[SaidYes]:
    """The yeses of before, to what was on when the person went; what they went from may have opened a minute early."""
    before = [yes for yes in said if not yes.said_at > went.left_at]
    was_on = [yes for yes in before if yes.opens_at <= went.left_at and went.left_at < yes.closes_at]
    early = [
        yes
        for yes in before
        if yes.session_instance_id == went.session_instance_id and yes.opens_at > went.left_at >= yes.opens_at - MINUTE
    ]
    return was_on + early


def earliest(said: list[SaidYes], when: Callable[[SaidYes], datetime]) -> list[SaidYes]:
    return [yes for yes in said if not any(when(other) < when(yes) for other in said)]


def latest(said: list[SaidYes], when: Callable[[SaidYes], datetime]) -> list[SaidYes]:
    return [yes for yes in said if not any(when(other) > when(yes) for other in said)]


@dataclass(frozen=True)
class World:
    """What is on, and where everybody is: the ids of instances, and person id -> instance id."""

    on: frozenset[int]
    people: dict[int, int | None]


def as_stored(app: Connection) -> World:
    """What the database says; the bits and their mirror must agree."""
    bits = frozenset(row[0] for row in execute(app, "SELECT session_instance_id FROM session_instance WHERE active"))
    mirror = frozenset(row[0] for row in execute(app, "SELECT session_instance_id FROM active_instance"))
    assert bits == mirror
    people = execute(app, "SELECT person_id, active_session_instance_id FROM person")
    return World(bits, dict(people))


def as_it_should_be(app: Connection, now: datetime, *, may_be_set_back: bool = False) -> World:
    """What follows from the windows, the check-ins and the clock; what was opened a minute early is on (L2).

    Where the clock may be set back: what was closed is not opened again for its last minute.
    """
    windows = execute(app, "SELECT session_instance_id, opens_at, closes_at, starts_at, phase FROM activation_window")
    open_now = {
        instance: (opens_at, closes_at, starts_at)
        for instance, opens_at, closes_at, starts_at, phase in windows
        if (opens_at <= now < closes_at or (phase == "open" and now < opens_at <= now + MINUTE))
        and not (may_be_set_back and phase == "over" and closes_at <= now + TOLERATED)
    }
    deactivated = {
        person
        for (person,) in execute(
            app, "SELECT person_id FROM person p WHERE (to_jsonb(p) ->> 'active')::boolean IS FALSE"
        )
    }
    said: dict[int, list[SaidYes]] = {person: [] for (person,) in execute(app, "SELECT person_id FROM person")}
    for person, instance, said_at in execute(
        app,
        "SELECT person_id, session_instance_id, coalesce(checked_in_at, created_date, '1970-01-01 00:00:00Z') "
        "FROM session_instance_person WHERE attendance = 'yes'",
    ):
        if instance in open_now and person not in deactivated:
            said[person].append(SaidYes(instance, said_at, *open_now[instance]))
    left: dict[int, list[Left]] = {person: [] for person in said}
    for person, instance, left_at in execute(
        app, "SELECT person_id, session_instance_id, left_at FROM session_instance_person WHERE left_at IS NOT NULL"
    ):
        left[person].append(Left(instance, left_at))
    best = {person: where(yeses, left[person]) for person, yeses in said.items()}
    return World(
        frozenset(open_now), {person: yes.session_instance_id if yes else None for person, yes in best.items()}
    )
