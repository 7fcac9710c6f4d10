"""People who arrive, leave and are moved by several at once (A2, L6).

Covers core.reconcile.presence, core.store.presence, core.store.flips.
"""

from collections.abc import Callable

import pytest

from tests.core.scenarios.interleavings.actors import BLOCKED, COMMIT, END
from tests.core.scenarios.interleavings.evening import (
    AT,
    BEFORE,
    LONG_AGO,
    MINUTE,
    SECOND,
    Case,
    Evening,
    Results,
    both,
    deferred,
    leaves,
    nothing_deferred,
    passes,
    play,
    requested,
    saves,
    says,
    writes,
)

HERE = -10 * MINUTE  # a yes of then was said since `first`, `through` and `beside` opened
HOLDS_ANN = writes("UPDATE person SET city = 'Ennis' WHERE person_id = %(Ann)s")
# A row of the app's that refers to Ann: its foreign key holds her row (FOR KEY SHARE).
REFERS_TO_ANN = writes(
    "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) "
    "VALUES (%(beside)s, %(Ann)s, 'maybe')"
)
GOES_TO_BESIDE = """
    UPDATE session_instance_person SET attendance = 'no' WHERE session_instance_id = %(through)s;
    INSERT INTO session_instance_person (session_instance_id, person_id, attendance, checked_in_at)
    VALUES (%(beside)s, %(Ann)s, 'yes', now() - interval '5 minutes')
"""
GOES_TO_FIRST = GOES_TO_BESIDE.replace("%(beside)s", "%(first)s")
# Said long ago, in a transaction that commits only now.
SAID_LONG_AGO = writes(
    "INSERT INTO session_instance_person (session_instance_id, person_id, attendance, checked_in_at) "
    "VALUES (%(second)s, %(Ann)s, 'yes', now() - interval '2 hours')"
)
CANCELLED = "UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = %(through)s"
CANCELS = writes("UPDATE session_instance SET is_cancelled = true WHERE session_instance_id = %(through)s")
ATTENDANCE = "UPDATE session_instance_person SET attendance = '{}' WHERE session_instance_id = %(through)s"


LEAVES_BY_RAW_SQL = writes("UPDATE session_instance_person SET left_at = now() WHERE person_id = %(Ann)s")


def is_at(where: str | None, person: str = "Ann") -> Callable[[Evening, Results], None]:
    def then(evening: Evening, _: Results) -> None:
        assert evening.at(person) == where

    return then


def the_guest_is_nowhere(_: Evening, results: Results) -> None:
    assert (results["guest"].at, results["guest"].deferred) == (None, False)


CASES: dict[str, Case] = {
    # Somebody arrives where a pass closes
    "who arrives first is seen by the pass before it closes": Case(
        who={"guest": says("Ann", "yes", "first"), "pass": passes(AT, "first")},
        order=[("guest", COMMIT), ("pass", END), ("guest", END)],
        then=both(deferred("first"), is_at("first")),
    ),
    "who arrives behind the pass that closes waits for it, and stays outside": Case(
        who={"pass": passes(AT, "first"), "guest": says("Ann", "yes", "first")},
        order=[("pass", COMMIT), ("guest", BLOCKED), ("pass", END), ("guest", END)],
        then=the_guest_is_nowhere,
    ),
    "nobody arrives between the reading of who is there and the closing": Case(
        who={"pass": passes(AT, "first"), "guest": says("Ann", "yes", "first")},
        order=[("pass", "presence.locations.at"), ("guest", BLOCKED), ("pass", END), ("guest", END)],
        then=the_guest_is_nowhere,
    ),
    "who should be at what another pass is closing is requested there, and not waited for": Case(
        yeses=[("Ann", "first", LONG_AGO), ("Ann", "through", HERE)],
        given=lambda evening: evening.write(ATTENDANCE.format("no")),
        who={"closing": passes(AT, "first"), "pass": passes(BEFORE, "through")},
        order=[("closing", COMMIT), ("pass", END), ("closing", END)],
        then=both(is_at("through"), requested("first")),
    ),
    "two who arrive at one instance do not wait for each other": Case(
        who={"guest": says("Ann", "yes", "first"), "another": says("Bob", "yes", "first")},
        order=[("guest", COMMIT), ("another", END), ("guest", END)],
        then=both(is_at("first"), is_at("first", "Bob")),
        at=BEFORE,
    ),
    "the second of two check-ins of one person decides once the first is committed": Case(
        who={"guest": says("Ann", "yes", "first"), "another": says("Ann", "yes", "through", BEFORE - MINUTE)},
        order=[("guest", COMMIT), ("another", BLOCKED), ("guest", END), ("another", END)],
        then=is_at("first"),
        at=BEFORE,
    ),
    "of two first check-ins of one person at one instance the second finds the row of the first": Case(
        who={"guest": says("Ann", "yes", "first"), "another": says("Ann", "yes", "first")},
        order=[("guest", COMMIT), ("another", BLOCKED), ("guest", END), ("another", END)],
        then=is_at("first"),
        at=BEFORE,
    ),
    "somebody to whom the app refers arrives": Case(
        who={"app": REFERS_TO_ANN, "guest": says("Ann", "yes", "first")},
        order=[("app", COMMIT), ("guest", END), ("app", END)],
        then=is_at("first"),
        at=BEFORE,
    ),
    # Somebody leaves for good: also what else is on, though they said yes to it
    "who leaves first keeps the pass from closing, and is nowhere": Case(
        yeses=[("Ann", "first", HERE), ("Ann", "through", LONG_AGO)],
        who={"guest": leaves("Ann", "first"), "pass": passes(AT, "first")},
        order=[("guest", COMMIT), ("pass", END), ("guest", END)],
        then=both(deferred("first"), is_at(None)),
    ),
    "who leaves what a pass has closed waits for it, and is nowhere": Case(
        yeses=[("Ann", "first", HERE), ("Ann", "through", LONG_AGO)],
        who={"pass": passes(AT, "first"), "guest": leaves("Ann", "first")},
        order=[("pass", COMMIT), ("guest", BLOCKED), ("pass", END), ("guest", END)],
        then=both(is_at(None), the_guest_is_nowhere),
    ),
    "who leaves between the reading of who is there and the closing is nowhere": Case(
        yeses=[("Ann", "first", HERE), ("Ann", "through", LONG_AGO)],
        who={"pass": passes(AT, "first"), "guest": leaves("Ann", "first")},
        order=[("pass", "presence.locations.lock"), ("guest", END), ("pass", END)],
        then=is_at(None),
    ),
    "who leaves before the opening that they wait for keeps the pass from moving them, and is there": Case(
        yeses=[("Ann", "through", HERE), ("Ann", "second", LONG_AGO)],
        who={"guest": leaves("Ann", "through"), "pass": passes(AT, "second")},
        order=[("guest", COMMIT), ("pass", END), ("guest", END)],
        then=both(deferred("second"), is_at(None)),
    ),
    "who leaves what a pass has brought them to waits for it, and is nowhere": Case(
        yeses=[("Ann", "second", LONG_AGO), ("Ann", "through", LONG_AGO - MINUTE)],
        given=lambda evening: evening.write(CANCELLED),
        who={"pass": passes(AT, "second"), "guest": leaves("Ann", "second", SECOND)},
        order=[("pass", COMMIT), ("guest", BLOCKED), ("pass", END), ("guest", END)],
        then=both(is_at(None), the_guest_is_nowhere),
    ),
    "who leaves by raw SQL what a pass has brought them to, before it commits": Case(
        yeses=[("Ann", "second", LONG_AGO)],
        who={"pass": passes(AT, "second"), "app": LEAVES_BY_RAW_SQL},
        order=[("pass", COMMIT), ("app", END), ("pass", END)],
        then=both(nothing_deferred, is_at("second"), requested("second")),
    ),
    "who leaves, and says yes elsewhere in another transaction, is there": Case(
        yeses=[("Ann", "first", HERE)],
        who={"leaving": leaves("Ann", "first", BEFORE - MINUTE), "guest": says("Ann", "yes", "through")},
        order=[("leaving", COMMIT), ("guest", BLOCKED), ("leaving", END), ("guest", END)],
        then=is_at("through"),
        at=BEFORE,
    ),
    "who says yes elsewhere, and leaves later in another transaction, is nowhere": Case(
        yeses=[("Ann", "first", HERE)],
        who={"arriving": says("Ann", "yes", "through", BEFORE - MINUTE), "guest": leaves("Ann", "first")},
        order=[("arriving", COMMIT), ("guest", BLOCKED), ("arriving", END), ("guest", END)],
        then=both(is_at(None), the_guest_is_nowhere),
        at=BEFORE,
    ),
    "who left before they said yes elsewhere is there, though the leaving commits last": Case(
        yeses=[("Ann", "first", HERE)],
        who={"arriving": says("Ann", "yes", "through"), "guest": leaves("Ann", "first", BEFORE - MINUTE)},
        order=[("arriving", COMMIT), ("guest", BLOCKED), ("arriving", END), ("guest", END)],
        then=is_at("through"),
        at=BEFORE,
    ),
    # The app has a person's row
    "a pass leaves on what somebody is at whose row the app holds": Case(
        yeses=[("Ann", "first", HERE)],
        who={"app": HOLDS_ANN, "pass": passes(AT, "first")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(deferred("first"), is_at("first")),
    ),
    "a pass releases somebody to whom the app refers": Case(
        yeses=[("Ann", "first", HERE)],
        who={"app": REFERS_TO_ANN, "pass": passes(AT, "first")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(nothing_deferred, is_at(None)),
    ),
    "a pass opens for the others, and asks again for somebody whose row the app holds": Case(
        yeses=[("Ann", "second", LONG_AGO), ("Bob", "second", LONG_AGO)],
        who={"app": HOLDS_ANN, "pass": passes(AT, "second")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(deferred("second"), is_at(None), is_at("second", "Bob")),
    ),
    "what a hook opens is requested for somebody whose row the app holds": Case(
        yeses=[("Ann", "second", LONG_AGO)],
        who={"app": HOLDS_ANN, "pass": saves("second", "SELECT", AT)},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(deferred("second"), is_at(None), requested("second")),
    ),
    "a pass brings somebody to whom the app refers to what it opens": Case(
        yeses=[("Ann", "second", LONG_AGO)],
        who={"app": REFERS_TO_ANN, "pass": passes(AT, "second")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(nothing_deferred, is_at("second")),
    ),
    "a pass asks again for somebody whom an edit affects and whose row the app holds": Case(
        yeses=[("Ann", "through", HERE)],
        given=lambda evening: evening.write(GOES_TO_BESIDE),
        who={"app": HOLDS_ANN, "pass": passes(BEFORE, "through")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(deferred("through"), is_at("through")),
        at=BEFORE,
    ),
    "a pass moves somebody to whom the app refers": Case(
        yeses=[("Ann", "through", HERE)],
        given=lambda evening: evening.write(GOES_TO_FIRST),
        who={"app": REFERS_TO_ANN, "pass": passes(BEFORE, "through")},
        order=[("app", COMMIT), ("pass", END), ("app", END)],
        then=both(nothing_deferred, is_at("first")),
        at=BEFORE,
    ),
    "the app refers to people and instances of a pass that has not committed": Case(
        yeses=[("Ann", "first", HERE), ("Ann", "second", LONG_AGO)],
        who={
            "pass": passes(AT, "first", "second"),
            "app": writes(
                "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES "
                "(%(beside)s, %(Ann)s, 'maybe'), (%(first)s, %(Bob)s, 'maybe'), (%(second)s, %(Bob)s, 'yes')"
            ),
        },
        order=[("pass", COMMIT), ("app", END), ("pass", END)],
        then=both(is_at("second"), is_at(None, "Bob")),
    ),
    "a pass decides again once it has the row of somebody who moved meanwhile": Case(
        yeses=[("Ann", "through", HERE)],
        given=lambda evening: evening.write(GOES_TO_BESIDE),
        who={"pass": passes(BEFORE, "through"), "guest": says("Ann", "yes", "first")},
        order=[("pass", "presence.locations.lock"), ("guest", END), ("pass", END)],
        then=is_at("first"),
        at=BEFORE,
    ),
    # Two passes have to do with one person
    "one pass closes, and another opens what the person goes to": Case(
        yeses=[("Ann", "first", LONG_AGO), ("Ann", "second", LONG_AGO)],
        who={"closing": passes(AT, "first"), "pass": passes(AT, "second")},
        order=[("closing", COMMIT), ("pass", END), ("closing", END)],
        then=both(deferred("second"), is_at(None)),
    ),
    "one pass opens what the person goes to, and another closes": Case(
        yeses=[("Ann", "first", LONG_AGO), ("Ann", "second", LONG_AGO)],
        who={"opening": passes(AT, "second"), "pass": passes(AT, "first")},
        order=[("opening", COMMIT), ("pass", END), ("opening", END)],
        then=both(deferred("first"), is_at("second")),
    ),
    # Somebody said yes to `second` too, in a transaction that is open for long. By the old state they belong where they
    # were; who moves them has not committed. So the pass that serves the late yes must not be content with that.
    "who is released by an edit, before what they wait for opens, is not lost": Case(
        yeses=[("Ann", "through", HERE)],
        who={
            "opening": passes(AT, "second"),
            "late": SAID_LONG_AGO,
            "app": CANCELS,
            "moving": passes(BEFORE, "through"),
            "pass": passes(AT, "second"),
        },
        order=[
            ("opening", COMMIT),
            ("late", END),
            ("app", END),
            ("moving", COMMIT),
            ("opening", END),
            ("pass", END),
            ("moving", END),
        ],
        then=both(is_at(None), deferred("second")),
    ),
    "who is released by an edit, while what they wait for opens, is not lost": Case(
        yeses=[("Ann", "through", HERE)],
        who={
            "opening": passes(AT, "second"),
            "late": SAID_LONG_AGO,
            "app": CANCELS,
            "moving": passes(AT, "through"),
            "pass": passes(AT, "second"),
        },
        order=[
            ("opening", COMMIT),
            ("late", END),
            ("app", END),
            ("moving", COMMIT),
            ("opening", END),
            ("pass", END),
            ("moving", END),
        ],
        then=both(is_at(None), deferred("second")),
    ),
    "who leaves before what they wait for opens is not lost": Case(
        yeses=[("Ann", "through", HERE)],
        who={
            "opening": passes(AT, "second"),
            "late": SAID_LONG_AGO,
            "leaving": says("Ann", "no", "through"),
            "pass": passes(AT, "second"),
        },
        order=[
            ("opening", COMMIT),
            ("late", END),
            ("leaving", COMMIT),
            ("opening", END),
            ("pass", END),
            ("leaving", END),
        ],
        then=both(is_at(None), deferred("second")),
    ),
    "who leaves before their other yes is committed is not lost": Case(
        yeses=[("Ann", "through", HERE)],
        given=lambda evening: evening.be_quiet(AT),
        who={"late": SAID_LONG_AGO, "leaving": says("Ann", "no", "through", AT), "pass": passes(AT, "second")},
        order=[("late", COMMIT), ("leaving", COMMIT), ("late", END), ("pass", END), ("leaving", END)],
        then=both(is_at(None), deferred("second")),
    ),
    # Requests left for others. `blind` sees the person where they were, because who moves them has not committed.
    "who leaves, and comes back before that is committed, is requested where they were": Case(
        yeses=[("Ann", "through", HERE)],
        given=lambda evening: evening.write(ATTENDANCE.format("no")),
        who={
            "leaving": says("Ann", "maybe", "beside"),
            "back": writes(ATTENDANCE.format("yes")),
            "blind": passes(BEFORE, "through"),
        },
        order=[("leaving", COMMIT), ("back", END), ("blind", END), ("leaving", END)],
        then=is_at(None),
        at=BEFORE,
    ),
    "who is brought elsewhere, and comes back before that is committed, is requested where they were": Case(
        yeses=[("Ann", "through", HERE), ("Ann", "second", LONG_AGO)],
        given=lambda evening: evening.write(ATTENDANCE.format("no")),
        who={
            "opening": passes(AT, "second"),
            "back": writes(ATTENDANCE.format("yes")),
            "blind": passes(AT, "through"),
        },
        order=[("opening", COMMIT), ("back", END), ("blind", END), ("opening", END)],
        then=is_at("second"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a2_race(evening: Evening, case: str) -> None:
    play(evening, CASES[case])
