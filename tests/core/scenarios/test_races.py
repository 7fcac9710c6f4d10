"""Real connections at once, in the hostile order too: afterwards everything is right, and no writer of the app failed.

`interleavings` forces the races that we know of. This looks for others, above all with --long.

Each round crosses one edge, or none: everybody starts together, some as of just before it and some as of just after,
and the app keeps its transactions open for a while. Then one quiet pass must leave what the rows say.

Covers core.hooks, core.reconcile, core.store.presence.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from core.active_session_manager import (
    ReconcileResult,
    check_in,
    instance_saved,
    leave,
    remove_check_in,
    session_saved,
    update_active_sessions,
)
from core.db import create_engine
from tests.core.rules.presence_model import as_it_should_be, as_stored
from tests.data import add_instance, add_person, add_session, connected, execute

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
# The check-in trigger asks for a pass where a window is near the server's present: so these are.
BASE = datetime.now(UTC).replace(second=0, microsecond=0)
HOURS = [(-10, 10), (-5, 15), (0, 20), (10, 25)]  # of the instances, one a session, in minutes from BASE
EDGES = sorted({edge for hours in HOURS for edge in hours})
PEOPLE = 6
MOST_HELD = 0.02  # seconds for which the app keeps a transaction open


@dataclass
class World:
    """Who takes part: two passes and some transactions of the app, on the same few rows."""

    app: Connection
    engines: list[Engine]
    theirs: list[Connection]
    sessions: list[int]
    instances: list[int]
    people: list[int]


@dataclass
class Part:
    """One actor's part in a round: its own dice, its own connection, and the instant that it believes in."""

    world: World
    dice: random.Random
    number: int
    now: datetime

    @property
    def db(self) -> Connection:
        return self.world.theirs[self.number]

    @property
    def instance(self) -> int:
        return self.dice.choice(self.world.instances)

    @property
    def person(self) -> int:
        return self.dice.choice(self.world.people)

    def wait(self) -> None:
        time.sleep(self.dice.uniform(0, MOST_HELD))

    def write(self, statement: str, *values: object) -> None:
        execute(self.db, statement, *values)
        self.wait()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    engines = [create_engine(database_url) for _ in range(3)]
    with (
        connected(database_url) as app,
        connected(database_url, autocommit=False) as one,
        connected(database_url, autocommit=False) as two,
        connected(database_url, autocommit=False) as three,
    ):
        sessions, instances = [], []
        for start, end in HOURS:
            session = add_session(app, timezone="UTC", active_buffer_minutes_before=0, active_buffer_minutes_after=0)
            begins, ends = BASE + start * MINUTE, BASE + end * MINUTE
            sessions.append(session)
            instances.append(add_instance(app, session, f"{begins:%Y-%m-%d}", f"{begins:%H:%M}", f"{ends:%H:%M}"))
        people = [add_person(app) for _ in range(PEOPLE)]
        yield World(app, engines, [one, two, three], sessions, instances, people)
    for engine in engines:
        engine.dispose()


# What the app does


def checks_in(part: Part) -> None:
    check_in(part.db, part.person, part.instance, part.dice.choice(["yes", "yes", "maybe"]), now=part.now)
    part.wait()


def checks_in_by_raw_sql(part: Part) -> None:
    part.write(
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (%s, %s, %s) "
        "ON CONFLICT (session_instance_id, person_id) DO UPDATE SET attendance = excluded.attendance",
        part.instance,
        part.person,
        part.dice.choice(["yes", "yes", "no"]),
    )


def takes_back(part: Part) -> None:
    if part.dice.random() < 0.5:
        remove_check_in(part.db, part.person, part.instance, now=part.now)
        part.wait()
    else:
        part.write(
            "DELETE FROM session_instance_person WHERE person_id = %s AND session_instance_id = %s",
            part.person,
            part.instance,
        )


def leaves(part: Part) -> None:
    leave(part.db, part.person, part.instance, now=part.now)
    part.wait()


def leaves_by_raw_sql(part: Part) -> None:
    part.write(
        "UPDATE session_instance_person SET left_at = %s WHERE person_id = %s AND attendance = 'yes'",
        part.now if part.dice.random() < 0.8 else None,
        part.person,
    )


def edits_a_person_and_leaves(part: Part) -> None:
    """The hostile order: it holds the person first."""
    person = part.person
    part.write("UPDATE person SET city = %s WHERE person_id = %s", str(part.now), person)
    leave(part.db, person, part.instance, now=part.now)
    part.wait()


def comments_and_checks_in(part: Part) -> None:
    """The hostile order: it holds the instance, keeps it, and then wants the person."""
    instance = part.instance
    part.write("UPDATE session_instance SET comments = %s WHERE session_instance_id = %s", str(part.now), instance)
    check_in(part.db, part.person, instance, "yes", now=part.now)
    part.wait()


def edits_a_person_and_checks_in(part: Part) -> None:
    """The other hostile order: it holds the person first."""
    person = part.person
    part.write("UPDATE person SET city = %s WHERE person_id = %s", str(part.now), person)
    check_in(part.db, person, part.instance, "yes", now=part.now)
    part.wait()


def comments(part: Part) -> None:
    part.write("UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %s", part.instance)


def adds_a_child_row(part: Part) -> None:
    part.write(
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (%s, %s, 'maybe') "
        "ON CONFLICT DO NOTHING",
        part.instance,
        part.person,
    )


def cancels(part: Part) -> None:
    instance = part.instance
    part.write("UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = %s", instance)
    if part.dice.random() < 0.5:
        instance_saved(part.db, instance, now=part.now)
        part.wait()


def saves_the_session(part: Part) -> None:
    session = part.dice.choice(part.world.sessions)
    part.write(
        "UPDATE session SET active_buffer_minutes_after = 1 - active_buffer_minutes_after WHERE session_id = %s",
        session,
    )
    session_saved(part.db, session, now=part.now)
    part.wait()


def saves_without_a_change(part: Part) -> None:
    session_saved(part.db, part.dice.choice(part.world.sessions), now=part.now)
    part.wait()


def reconciles_inside_a_transaction(part: Part) -> None:
    result = update_active_sessions(part.db, part.now)
    assert result.failed == {}
    part.wait()


Actor = Callable[[Part], None]


def reconciles(part: Part) -> None:
    part.wait()
    assert update_active_sessions(part.world.engines[part.number], part.now, cause="timer").failed == {}


def sweeps(part: Part) -> None:
    engine = part.world.engines[part.number]
    part.wait()
    assert update_active_sessions(engine, part.now, look_ahead=MINUTE, cause="sweep").failed == {}


# Rounds


RACES: dict[str, tuple[list[Actor], list[Actor]]] = {
    "check-in against flips": ([checks_in, checks_in_by_raw_sql, comments_and_checks_in], [reconciles, reconciles]),
    "check-in against check-in": ([checks_in, edits_a_person_and_checks_in, checks_in_by_raw_sql], [reconciles]),
    "taking back against flips": ([takes_back, checks_in, edits_a_person_and_checks_in], [reconciles, sweeps]),
    "leaving against flips": ([leaves, leaves_by_raw_sql, edits_a_person_and_leaves], [reconciles, sweeps]),
    "leaving against check-in": ([leaves, edits_a_person_and_checks_in, checks_in_by_raw_sql], [reconciles]),
    "comments and child rows against flips": (
        [comments, adds_a_child_row, comments_and_checks_in],
        [reconciles, reconciles],
    ),
    "cancelling against activation": ([cancels, checks_in, checks_in_by_raw_sql], [reconciles, sweeps]),
    "sweep against daemon against hook": (
        [saves_the_session, saves_without_a_change, reconciles_inside_a_transaction],
        [reconciles, sweeps, reconciles],
    ),
}


def run_a_round(world: World, pool: ThreadPoolExecutor, dice: random.Random, race: str) -> datetime:
    """Return the instant after the edge."""
    edge = BASE + dice.choice(EDGES) * MINUTE
    before, after = edge - SECOND, edge + dice.choice([0, 0, 30]) * SECOND
    for instance in world.instances:
        execute(
            world.app,
            "UPDATE session_instance SET is_cancelled = false WHERE session_instance_id = %s AND is_cancelled",
            instance,
        )
    be_quiet(world, before)
    theirs, ours = RACES[race]
    together = threading.Barrier(len(theirs) + len(ours))

    def take_part(actor: Actor, number: int, seed: int, *, is_app: bool) -> None:
        mine = random.Random(seed)
        part = Part(world, mine, number, mine.choice([before, after, after]))
        together.wait()
        actor(part)
        if is_app:
            part.db.commit() if mine.random() < 0.9 else part.db.rollback()

    done: list[Future[None]] = []
    for actors, is_app in ((theirs, True), (ours, False)):
        for number, actor in enumerate(actors):
            done.append(pool.submit(take_part, actor, number, dice.getrandbits(32), is_app=is_app))
    for future in done:
        future.result()
    be_quiet(world, after)
    return after


def be_quiet(world: World, now: datetime) -> None:
    for _ in range(5):
        if update_active_sessions(world.engines[0], now) == ReconcileResult():
            return
    pytest.fail("the passes do not come to an end")


def race_for(world: World, race: str, rounds: int) -> None:
    seed = random.SystemRandom().getrandbits(32)
    dice = random.Random(seed)
    with ThreadPoolExecutor(8) as pool:
        for number in range(rounds):
            after = run_a_round(world, pool, dice, race)
            assert as_stored(world.app) == as_it_should_be(world.app, after, may_be_set_back=True), (race, seed, number)


@pytest.mark.parametrize("race", RACES)
def test_after_a_race_nobody_is_where_nothing_is_on_and_nobody_is_missing(world: World, race: str) -> None:
    race_for(world, race, rounds=5)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("race", RACES)
def test_after_thousands_of_races_nobody_is_missing(world: World, race: str) -> None:
    race_for(world, race, rounds=1000)
    print(f"{race}: 1,000 rounds, no error and nobody missing")  # noqa: T201 - a figure to quote
