"""The app saves, adds and deletes while passes plan (P1-P4, L6).

Covers core.reconcile.chunk, core.store.planning, core.store.queue.requests.
"""

from collections.abc import Callable

import pytest
from psycopg2.errors import ForeignKeyViolation

from tests.core.scenarios.interleavings.actors import BLOCKED, COMMIT, END
from tests.core.scenarios.interleavings.evening import (
    BEFORE,
    LATER,
    NO_BUFFERS,
    START,
    Case,
    Evening,
    Results,
    both,
    deferred,
    ensures,
    nothing_deferred,
    passes,
    play,
    requested,
    saves,
    writes,
)
from tests.data import add_session, instances_of, only_instance, value

CHANGES_BUFFER = "UPDATE session SET active_buffer_minutes_after = {} WHERE session_id = %({})s"
# A row of the app's that refers to the planned instance.
REFERS = writes(
    "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) "
    "VALUES (%(planned)s, %(Ann)s, 'maybe')"
)
ADDS_BOTH = writes(
    "UPDATE session SET recurrence = %(weekly)s WHERE session_id = %(planned_session)s; "
    "INSERT INTO session_instance (session_id, date, start_time, end_time) "
    "VALUES (%(planned_session)s, %(date)s, %(start)s, %(end)s)"
)
SHIFTS = writes(
    "UPDATE session_instance SET start_time = start_time + interval '2 minutes' WHERE session_instance_id = %(planned)s"
)
DELETES = writes("DELETE FROM session_instance WHERE session_instance_id = %(planned)s")


def unplanned(evening: Evening) -> None:
    """A session with a recurrence that nobody has planned yet."""
    evening.sessions["planned"] = add_session(evening.app, timezone="UTC", **NO_BUFFERS)
    evening.write("UPDATE session SET recurrence = %(weekly)s WHERE session_id = %(planned_session)s")


def planned(evening: Evening) -> None:
    unplanned(evening)
    evening.be_quiet(BEFORE)
    evening.instances["planned"] = only_instance(evening.app, evening.sessions["planned"])


def rebuffered(evening: Evening) -> None:
    planned(evening)
    evening.write(CHANGES_BUFFER.format(5, "planned_session"))


def retimed(evening: Evening) -> None:
    planned(evening)
    evening.write("UPDATE session SET recurrence = %(later)s WHERE session_id = %(planned_session)s")


def ended(evening: Evening) -> None:
    planned(evening)
    evening.write("UPDATE session SET recurrence = NULL WHERE session_id = %(planned_session)s")


def cancelled(evening: Evening) -> None:
    planned(evening)
    evening.write("UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = %(planned)s")


def without_recurrence(evening: Evening) -> None:
    evening.sessions["planned"] = add_session(evening.app, timezone="UTC", **NO_BUFFERS)


def added_cancelled(evening: Evening) -> None:
    """A session with a recurrence, and with an instance of the app's for its occurrence, which has no window."""
    unplanned(evening)
    evening.write(
        "INSERT INTO session_instance (session_id, date, start_time, end_time, is_cancelled) "
        "VALUES (%(planned_session)s, %(date)s, %(start)s, %(end)s, true)"
    )
    evening.instances["planned"] = only_instance(evening.app, evening.sessions["planned"])


def has(instances: int) -> Callable[[Evening, Results], None]:
    def then(evening: Evening, _: Results) -> None:
        assert len(instances_of(evening.app, evening.sessions["planned"])) == instances

    return then


def keeps_the_apps_times(evening: Evening, _: Results) -> None:
    start = "SELECT start_time = %s + interval '2 minutes' FROM session_instance WHERE session_instance_id = %s"
    assert value(evening.app, start, evening.names["start"], evening.instances["planned"])


def got_nothing(_: Evening, results: Results) -> None:
    assert results["asking"] is None


CASES: dict[str, Case] = {
    # The plan's row
    "of two passes that want to plan a session one makes its instance": Case(
        given=unplanned,
        who={"one": passes(BEFORE, "planned"), "pass": passes(BEFORE, "planned")},
        order=[("one", "planning.instances.make"), ("pass", END), ("one", END)],
        then=deferred("planned"),
    ),
    "a hook waits for the pass that plans its session": Case(
        given=unplanned,
        who={
            "one": passes(BEFORE, "planned"),
            "pass": saves("planned", "UPDATE session SET name = 'x' WHERE session_id = %(planned_session)s"),
        },
        order=[("one", "planning.instances.make"), ("pass", BLOCKED), ("one", END), ("pass", END)],
        then=nothing_deferred,
    ),
    "a request that comes while the pass works stays": Case(
        given=lambda evening: evening.write(CHANGES_BUFFER.format(5, "through_session")),
        who={"pass": passes(BEFORE, "through"), "app": writes(CHANGES_BUFFER.format(6, "through_session"))},
        order=[("pass", "queue.requests.delete_read"), ("app", END), ("pass", END)],
        then=requested("through"),
    ),
    # The app saves between the statements of a pass
    "an instance that is added with its recurrence, between two readings, gets no twin": Case(
        given=without_recurrence,
        who={"pass": passes(BEFORE, "planned"), "app": ADDS_BOTH},
        order=[("pass", "planning.snapshots.snapshots:2"), ("app", END), ("pass", END)],
        then=has(1),
    ),
    "an instance that is added with its recurrence, before the last reading, gets no twin": Case(
        given=without_recurrence,
        who={"pass": passes(BEFORE, "planned"), "app": ADDS_BOTH},
        order=[("pass", "planning.snapshots.snapshots:3"), ("app", END), ("pass", END)],
        then=has(1),
    ),
    "an instance that is deleted between two readings is not made again": Case(
        given=rebuffered,
        who={"pass": passes(BEFORE, "planned"), "app": DELETES},
        order=[("pass", "planning.snapshots.snapshots:2"), ("app", END), ("pass", END)],
        then=has(0),
    ),
    "an instance that is deleted before the last reading is not made again": Case(
        given=rebuffered,
        who={"pass": passes(BEFORE, "planned"), "app": DELETES},
        order=[("pass", "planning.snapshots.snapshots:3"), ("app", END), ("pass", END)],
        then=has(0),
    ),
    "times that the app saves after the reading stay": Case(
        given=retimed,
        who={
            "pass": passes(BEFORE, "planned"),
            "app": SHIFTS,
        },
        order=[("pass", "planning.plans.lock_for"), ("app", END), ("pass", END)],
        then=both(deferred("planned"), keeps_the_apps_times),
    ),
    "an instance that the app touches after the reading is not deleted": Case(
        given=ended,
        who={
            "pass": passes(BEFORE, "planned"),
            "app": writes("UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %(planned)s"),
        },
        order=[("pass", "planning.plans.lock_for"), ("app", END), ("pass", END)],
        then=both(deferred("planned"), has(1)),
    ),
    # Rows that the app holds
    "a pass does not wait to give times to an instance that the app holds": Case(
        given=retimed,
        who={
            "app": writes("UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %(planned)s"),
            "pass": passes(BEFORE, "planned"),
        },
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("planned"),
    ),
    "a pass does not wait to give a window to an instance that the app deletes": Case(
        given=rebuffered,
        who={"app": DELETES, "pass": passes(BEFORE, "planned")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("planned"),
    ),
    "a pass does not wait to take the window from an instance that the app deletes": Case(
        given=cancelled,
        who={"app": DELETES, "pass": passes(BEFORE, "planned")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("planned"),
    ),
    "a pass does not wait to bind a cancelled instance that the app deletes": Case(
        given=added_cancelled,
        who={"app": DELETES, "pass": passes(BEFORE, "planned")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("planned"),
    ),
    "a pass gives a window to an instance that the app edits": Case(
        given=rebuffered,
        who={
            "app": writes("UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %(planned)s"),
            "pass": passes(BEFORE, "planned"),
        },
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=nothing_deferred,
    ),
    "a pass does not wait to make an instance of a session that the app holds": Case(
        given=unplanned,
        who={
            "app": writes("SELECT FROM session WHERE session_id = %(planned_session)s FOR UPDATE"),
            "pass": passes(BEFORE, "planned"),
        },
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("planned"),
    ),
    "a pass makes an instance of a session that the app edits": Case(
        given=unplanned,
        who={
            "app": writes("UPDATE session SET name = 'x' WHERE session_id = %(planned_session)s"),
            "pass": passes(BEFORE, "planned"),
        },
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=has(1),
    ),
    # Somebody asks for an instance
    "who asks for an instance while a pass makes it does not get another": Case(
        given=unplanned,
        who={"one": passes(BEFORE, "planned"), "asking": ensures("planned", START)},
        order=[("one", "planning.instances.make"), ("asking", END), ("one", END)],
        then=both(got_nothing, has(1)),
    ),
    "who asks for an instance does not wait for the app": Case(
        given=unplanned,
        who={
            "app": writes("SELECT FROM session WHERE session_id = %(planned_session)s FOR UPDATE"),
            "asking": ensures("planned", START),
        },
        order=[("app", COMMIT), ("asking", END), ("app", END)],
        then=got_nothing,
    ),
    "who asks for an instance overwrites no times that the app saves meanwhile": Case(
        given=retimed,
        who={"asking": ensures("planned", LATER), "app": SHIFTS},
        order=[("asking", "planning.plans.lock_for"), ("app", END), ("asking", END)],
        then=both(got_nothing, keeps_the_apps_times),
    ),
    "the daemons are told of an instance that somebody asked for": Case(
        given=planned,
        who={"asking": ensures("planned", START)},
        order=[("asking", END)],
        then=requested("planned"),
    ),
    # A row that the planner made, and now deletes
    "a row that the app comes to refer to before the pass has it stays": Case(
        given=ended,
        who={"pass": passes(BEFORE, "planned"), "app": REFERS},
        order=[("pass", "planning.instances.delete_unreferenced"), ("app", END), ("pass", END)],
        then=has(1),
    ),
    "a row that an open transaction of the app refers to stays, and is not waited for": Case(
        given=ended,
        who={"app": REFERS, "pass": passes(BEFORE, "planned")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=has(1),
    ),
    "nobody comes to refer to a row between the question who does and its deletion": Case(
        given=ended,
        who={"pass": passes(BEFORE, "planned"), "app": REFERS},
        order=[("pass", "planning.instances.referenced"), ("app", BLOCKED), ("pass", END), ("app", END)],
        fails={"app": ForeignKeyViolation},
        then=has(0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_p_race(evening: Evening, case: str) -> None:
    play(evening, CASES[case])
