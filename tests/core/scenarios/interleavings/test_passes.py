"""Passes at once, and rows that the app holds while a pass flips them (L5, L6).

Covers core.reconcile.chunk, core.store.flips, core.store.mirror, core.store.queue.
"""

from collections.abc import Callable

import pytest

from core.db.transactions import transactions
from core.store.queue.requests import make_missing_plans
from tests.core.scenarios.interleavings.actors import BLOCKED, COMMIT, END, Actor
from tests.core.scenarios.interleavings.evening import (
    AT,
    BEFORE,
    MINUTE,
    Case,
    Evening,
    Results,
    both,
    deferred,
    passes,
    play,
    writes,
)
from tests.data import add_session, execute

# With the triggers off, as a restore does.
WRITE_UNNOTICED = (
    "SET session_replication_role = replica; "
    "UPDATE session_instance SET active = {} WHERE session_instance_id = %({})s; "
    "RESET session_replication_role"
)

TURN_ON_UNNOTICED = (
    "SET session_replication_role = replica; "
    "UPDATE session_instance SET active = true WHERE session_instance_id IN (%(through)s, %(beside)s); "
    "RESET session_replication_role"
)


def unmirror(evening: Evening) -> None:
    """One bit goes, and of another its row in the mirror."""
    evening.write(WRITE_UNNOTICED.format("false", "through"))
    evening.write(
        "SET session_replication_role = replica; "
        "DELETE FROM active_instance WHERE session_instance_id = %(beside)s; "
        "RESET session_replication_role"
    )


def turned(*flips: tuple[str, bool]) -> Callable[[Evening, Results], None]:
    """The log says so since the quiet pass of the beginning."""

    def then(evening: Evening, _: Results) -> None:
        assert [(name, active) for name, active, cause in evening.flips() if cause == "timer"] == [*flips]

    return then


def windows_of(*names: str) -> Callable[[Evening, Results], None]:
    """There are windows of these sessions and of no others."""

    def then(evening: Evening, _: Results) -> None:
        found = {id_ for (id_,) in execute(evening.app, "SELECT session_id FROM activation_window")}
        assert found == {evening.sessions[name] for name in names}

    return then


def hand_over(evening: Evening) -> None:
    """Give the session of `first` another instance, that opens when `first` closes."""
    evening.instances["next"] = evening.add_instance("first", AT, 30 * MINUTE)
    evening.be_quiet(BEFORE)


def follow(evening: Evening) -> None:
    """Give the session of `first` another instance, that opens ten minutes after `first` has closed."""
    evening.instances["next"] = evening.add_instance("first", 10 * MINUTE, 30 * MINUTE)
    evening.be_quiet(BEFORE)


def delete_a_session(evening: Evening) -> None:
    evening.sessions["gone"] = add_session(evening.app)
    evening.write("DELETE FROM session WHERE session_id = %(gone_session)s")


def give_away_and_delete(evening: Evening) -> None:
    """Delete the session of an instance that another session has got: the old session's window stands."""
    evening.write(
        "UPDATE session_instance SET session_id = %(beside_session)s, is_cancelled = true "
        "WHERE session_instance_id = %(second)s; DELETE FROM session WHERE session_id = %(second_session)s"
    )


def fail_alike(evening: Evening) -> None:
    evening.write(
        "UPDATE session_plan SET failures = 1, error = 'refused', failed_at = clock_timestamp(), "
        "retry_at = clock_timestamp() WHERE session_id IN (%(through_session)s, %(beside_session)s)"
    )
    evening.write("INSERT INTO plan_request (session_id) VALUES (%(through_session)s), (%(beside_session)s)")


def refer_to(instance: str) -> str:
    return (
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) "
        f"VALUES (%({instance})s, %(Bob)s, 'maybe')"
    )


def makes_plans(evening: Evening, _: Actor) -> None:
    """A daemon makes the plans of sessions that were written with the triggers off."""
    with transactions(evening.engine) as begin, begin() as connection:
        make_missing_plans(connection)


CASES: dict[str, Case] = {
    "an instance that the app holds does not close now": Case(
        who={
            "app": writes("UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %(first)s"),
            "pass": passes(AT, "first"),
        },
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("first"),
    ),
    "an instance that the app holds does not open now": Case(
        who={
            "app": writes("UPDATE session_instance SET comments = 'x' WHERE session_instance_id = %(second)s"),
            "pass": passes(AT, "second"),
        },
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=deferred("second"),
    ),
    "an instance that the app refers to closes": Case(
        who={"app": writes(refer_to("first")), "pass": passes(AT, "first")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=turned(("first", False)),
    ),
    "an instance that the app refers to opens": Case(
        who={"app": writes(refer_to("second")), "pass": passes(AT, "second")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=turned(("second", True)),
    ),
    "a bit that the app writes before the pass has it is no flip": Case(
        who={
            "pass": passes(AT, "second"),
            "app": writes("UPDATE session_instance SET active = true WHERE session_instance_id = %(second)s"),
        },
        order=[("pass", "flips.lock_for"), ("app", END), ("pass", END)],
        then=turned(),
    ),
    "one instance of a session takes over from another": Case(
        given=hand_over,
        who={"pass": passes(AT, "first")},
        order=[("pass", END)],
        then=turned(("first", False), ("next", True)),
    ),
    "what is cancelled before its edge does not open, though the edge passes while the pass works": Case(
        given=follow,
        who={
            "pass": passes(None, "first"),
            "app": writes("UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = %(next)s"),
            # The edge is made to come now: waiting for it would take as long as the machine is slow.
            "edge": writes(
                "UPDATE activation_window SET opens_at = clock_timestamp() WHERE session_instance_id = %(next)s"
            ),
        },
        order=[("pass", "flips.states"), ("app", END), ("edge", END), ("pass", END)],
        then=turned(("first", False)),
        at=MINUTE,
    ),
    "two passes put one mirror right": Case(
        given=lambda evening: evening.write(WRITE_UNNOTICED.format("true", "second")),
        who={"one": passes(BEFORE, "second"), "two": passes(BEFORE, "second")},
        order=[("one", COMMIT), ("two", END), ("one", END)],
        at=BEFORE,
    ),
    "a bit that the app takes back is not mirrored": Case(
        given=lambda evening: evening.write(WRITE_UNNOTICED.format("true", "second")),
        who={
            "pass": passes(BEFORE, "second"),
            "app": writes("UPDATE session_instance SET active = false WHERE session_instance_id = %(second)s"),
        },
        order=[("pass", "mirror.settle"), ("app", END), ("pass", END)],
        at=BEFORE,
    ),
    "a bit that comes back before the pass has it keeps its mirror, and who is there": Case(
        yeses=[("Ann", "through", -10 * MINUTE)],
        given=lambda evening: evening.write(WRITE_UNNOTICED.format("false", "through")),
        who={"pass": passes(BEFORE, "through"), "app": writes(WRITE_UNNOTICED.format("true", "through"))},
        order=[("pass", "mirror.settle"), ("app", END), ("pass", END)],
        at=BEFORE,
    ),
    "bits that the app holds are compared later: their mirror stays, and who is there": Case(
        yeses=[("Ann", "through", -10 * MINUTE), ("Bob", "beside", -10 * MINUTE)],
        given=unmirror,
        who={"app": writes(TURN_ON_UNNOTICED), "pass": passes(BEFORE, "through", "beside")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        at=BEFORE,
    ),
    "two daemons make one missing plan": Case(
        given=lambda evening: evening.write("DELETE FROM session_plan WHERE session_id = %(beside_session)s"),
        who={"one": makes_plans, "two": makes_plans},
        order=[("one", COMMIT), ("two", BLOCKED), ("one", END), ("two", END)],
    ),
    "two passes drop the requests of one deleted session": Case(
        given=delete_a_session,
        who={"one": passes(AT, "gone"), "pass": passes(AT, "gone")},
        order=[("one", COMMIT), ("pass", END), ("one", END)],
        then=deferred("gone"),
    ),
    "two passes delete the windows of one deleted session": Case(
        given=give_away_and_delete,
        who={"one": passes(AT, "second"), "pass": passes(AT, "second")},
        order=[("one", COMMIT), ("pass", END), ("one", END)],
        then=both(deferred("second"), windows_of("first", "through", "beside")),
    ),
    "who recovers calls those that failed alike, but not one that another pass has": Case(
        given=fail_alike,
        who={"one": passes(AT, "beside"), "two": passes(AT, "through")},
        order=[("one", "queue.retries.forget"), ("two", END), ("one", END)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_l6_race(evening: Evening, case: str) -> None:
    play(evening, CASES[case])
