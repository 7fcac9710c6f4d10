"""Two daemons against an app that writes as hard as it can: nobody fails because of us, and all is right afterwards.

Covers scheduler.daemon.worker, core.reconcile, core.hooks.
"""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import add_check_in, add_person, change_instance, change_session, execute, value
from tests.scheduler.daemon_process import Daemons, eventually
from tests.scheduler.soon import HOUR, early_flips, instance_soon, local, session_here, wait_until_reconciled, weekly

SESSIONS = 24
PEOPLE_EACH = 8

Write = Callable[["Writer"], None]


@dataclass
class Writer:
    """One connection of the app; it has people of its own, so that writers do not lock each other out."""

    connection: Connection
    chance: random.Random
    sessions: list[int]
    instances: list[int]
    people: list[int]
    seconds: list[float] = field(default_factory=list)
    error: Exception | None = None

    @property
    def session(self) -> int:
        return self.chance.choice(self.sessions)

    @property
    def instance(self) -> int:
        return self.chance.choice(self.instances)

    def run(self, write: Write, stop: Event) -> None:
        try:
            while not stop.is_set():
                begun = time.monotonic()
                write(self)
                self.connection.commit()
                self.seconds.append(time.monotonic() - begun)
                time.sleep(self.chance.random() * 0.01)
        except psycopg2.Error as error:
            self.error = error


def edit_the_recurrence(app: Writer) -> None:
    starts_in = app.chance.choice((-2 * HOUR, -HOUR, HOUR, 2 * HOUR))
    change_session(app.connection, app.session, recurrence=weekly(starts_in, starts_in + 90 * 60))


def edit_the_buffers(app: Writer) -> None:
    change_session(app.connection, app.session, active_buffer_minutes_after=app.chance.choice((0, 30, 120)))


def cancel_or_not(app: Writer) -> None:
    change_instance(app.connection, app.instance, is_cancelled=app.chance.random() < 0.4)


def move_the_times(app: Writer) -> None:
    start, end = local(app.chance.uniform(-5, 3)), local(app.chance.uniform(4, 9))
    change_instance(app.connection, app.instance, start_time=start.time(), end_time=end.time())


def insert_and_delete(app: Writer) -> None:
    starts_in = app.chance.uniform(-3, 2)
    instance_id = instance_soon(app.connection, app.session, starts_in, starts_in + 3)
    if app.chance.random() < 0.5:
        app.connection.commit()
        time.sleep(app.chance.random() * 0.2)
        execute(app.connection, "DELETE FROM session_instance WHERE session_instance_id = %s", instance_id)


def check_in(app: Writer) -> None:
    execute(
        app.connection,
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (%s, %s, %s) "
        "ON CONFLICT (session_instance_id, person_id) DO UPDATE SET attendance = excluded.attendance",
        *(app.instance, app.chance.choice(app.people), app.chance.choice(("yes", "yes", "maybe", "no"))),
    )


def take_long(app: Writer) -> None:
    """Hold an instance's row, and check people in, for up to a second."""
    change_instance(app.connection, app.instance, comments=str(app.chance.random()))
    for person_id in app.people[:3]:
        execute(app.connection, "UPDATE person SET city = %s WHERE person_id = %s", str(app.chance.random()), person_id)
    check_in(app)
    time.sleep(app.chance.random())


WRITES: list[Write] = [
    edit_the_recurrence,
    edit_the_buffers,
    cancel_or_not,
    move_the_times,
    insert_and_delete,
    check_in,
    check_in,
    take_long,
]


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(180)])])
def test_writers_never_fail_because_of_us_and_all_is_right_afterwards(
    daemons: Daemons, database_url: str, app: Connection, figures: Callable[[str], None], seconds: float
) -> None:
    both = [daemons.start(database_url) for _ in range(2)]
    sessions = [session_here(app, name=f"session {number}") for number in range(SESSIONS)]
    instances = [instance_soon(app, id_, number % 5, 5 + number % 5) for number, id_ in enumerate(sessions * 2)]
    for daemon in both:
        daemon.wait_for("ready")

    writers, stop = [], Event()
    for number in range(len(WRITES)):
        people = [add_person(app) for _ in range(PEOPLE_EACH)]
        add_check_in(app, instances[number], people[0])
        connection = psycopg2.connect(database_url, application_name=f"writer {number}")
        writers.append(Writer(connection, random.Random(number), sessions, instances, people))
    threads = [Thread(target=writer.run, args=(write, stop)) for writer, write in zip(writers, WRITES, strict=True)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.connection.close()

    assert [writer.error for writer in writers if writer.error] == []
    assert value(app, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    wait_until_reconciled(app)
    eventually(lambda: wrong_bits(app) == [], "every bit is what its windows say")
    assert execute(app, "SELECT session_id FROM session_instance WHERE active GROUP BY 1 HAVING count(*) > 1") == []
    assert dangling_people(app) == []
    assert early_flips(app) == []
    assert_nothing_is_left_to_do(app)

    short = (writer.seconds for writer, write in zip(writers, WRITES, strict=True) if write != take_long)
    took = sorted(itertools.chain.from_iterable(short))
    flips = value(app, "SELECT count(*) FROM activation_log")
    figures(
        f"stress, {seconds} s: {sum(len(w.seconds) for w in writers)} transactions, {flips} flips, 0 deadlocks, "
        f"0 errors; the app's short ones: p50 {took[len(took) // 2] * 1000:.1f} "
        f"p99 {took[len(took) * 99 // 100] * 1000:.1f} max {took[-1] * 1000:.0f} ms"
    )


def wrong_bits(app: Connection) -> list[tuple[int]]:
    """Return the instances whose bit is not what the windows say at this moment."""
    return execute(
        app,
        "SELECT session_instance_id FROM session_instance i WHERE active IS DISTINCT FROM EXISTS ("
        "  SELECT 1 FROM activation_window w WHERE w.session_instance_id = i.session_instance_id"
        "  AND opens_at <= clock_timestamp() AND closes_at > clock_timestamp())",
    )


def dangling_people(app: Connection) -> list[tuple[int]]:
    """Return the people who are at an instance that is not active, or that they never said yes to."""
    return execute(
        app,
        "SELECT person_id FROM person WHERE active_session_instance_id IS NOT NULL AND NOT EXISTS ("
        "  SELECT 1 FROM session_instance i JOIN session_instance_person said USING (session_instance_id)"
        "  WHERE i.session_instance_id = person.active_session_instance_id AND active"
        "  AND said.person_id = person.person_id AND attendance = 'yes')",
    )


def assert_nothing_is_left_to_do(app: Connection) -> None:
    """Reconcile every session once more: apart from edges that pass meanwhile, no bit and no window changes."""
    windows = (
        "SELECT session_instance_id, opens_at, closes_at FROM activation_window WHERE closes_at > %s ORDER BY 1, 2"
    )
    later = value(app, "SELECT clock_timestamp() + interval '10 seconds'")
    before = execute(app, windows, later)
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")
    execute(app, "SELECT pg_notify('session_changed', '')")
    wait_until_reconciled(app)
    assert execute(app, windows, later) == before
