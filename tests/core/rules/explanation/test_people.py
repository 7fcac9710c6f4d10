"""Where a person is and why, in one sentence, and what each yes of theirs does (A2)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from core.rules.explanation.people import explain_person
from core.rules.explanation.reading import Holder, Pending, PersonReading, Yes
from core.rules.presence import Left, SaidYes
from tests.core.rules.planner_model import utc

NOW = utc("2026-12-01 20:00")
OPENS, CLOSES = utc("2026-12-01 18:00"), utc("2026-12-01 23:00")


def said(instance: int, at: str = "2026-12-01 12:00", opens: datetime = OPENS) -> SaidYes:
    return SaidYes(instance, utc(at), opens, CLOSES, utc("2026-12-01 19:00"))


def yes(
    instance: int,
    at: str | None = "2026-12-01 12:00",
    opens: datetime | None = OPENS,
    closes: datetime | None = CLOSES,
    *,
    cancelled: bool = False,
) -> Yes:
    return Yes(instance, instance + 10, f"Pub {instance}", "Europe/Dublin", at and utc(at), cancelled, opens, closes)  # type: ignore[arg-type] # no empty text


@pytest.mark.parametrize(
    ("person", "verdict", "should_be_at"),
    [
        (
            PersonReading(7, 1, (said(1, "2026-12-01 19:12"),)),
            (
                "At Pub 1 (session 11, instance 1): said yes at Tue 1 Dec 2026 19:12 Europe/Dublin "
                "(2026-12-01 19:12 UTC), after it opened (A2)"
            ),
            1,
        ),
        (
            PersonReading(7, 1, (said(1, "2026-12-01 19:12"), said(2, "2026-12-01 19:00"), said(3))),
            (
                "At Pub 1 (session 11, instance 1): said yes at Tue 1 Dec 2026 19:12 Europe/Dublin "
                "(2026-12-01 19:12 UTC), after it opened, the last of 2 such yeses (A2)"
            ),
            1,
        ),
        (
            PersonReading(7, None, (said(2, opens=utc("2026-12-01 19:00")), said(1))),
            (
                "Nowhere, and should be at Pub 1 (session 11, instance 1): said yes before it opened, at "
                "Tue 1 Dec 2026 12:00 Europe/Dublin (2026-12-01 12:00 UTC), and its window opened first of 2 (A2). "
                "The next pass moves them"
            ),
            1,
        ),
        (
            PersonReading(7, 9, ()),
            (
                "At instance 9, and should be nowhere: no yes of theirs is for an instance that is on now (A2). "
                "The next pass moves them"
            ),
            None,
        ),
        (
            PersonReading(7, None, (said(1),), is_deactivated=True),
            "Nowhere: the app has deactivated them, and until it activates them again they are nowhere (A2)",
            None,
        ),
        (
            PersonReading(7, None, (said(1),), (Left(1, utc("2026-12-01 19:30")),)),
            (
                "Nowhere: they left Pub 1 (session 11, instance 1) at Tue 1 Dec 2026 19:30 Europe/Dublin "
                "(2026-12-01 19:30 UTC) (A2)"
            ),
            None,
        ),
    ],
)
def test_a2_the_verdict_names_the_rule(person: PersonReading, verdict: str, should_be_at: int | None) -> None:
    found = explain_person(person, [yes(1), yes(2)], NOW)

    assert found.verdict == verdict
    assert (found.session_instance_id, found.should_be_at) == (person.at_instance, should_be_at)
    assert found.agrees == (person.at_instance == should_be_at)


@pytest.mark.parametrize("known", [[], [replace(yes(5), is_maybe=True)]])
def test_a2_who_said_no_yes_is_told_so(known: list[Yes]) -> None:
    assert explain_person(PersonReading(7, None, ()), known, NOW).verdict == "Nowhere: they said yes to nothing (A2)"


def test_a_cancelled_evening_and_one_with_a_window_have_their_own_reason() -> None:
    cancelled, ahead, gone = yes(4, opens=None, cancelled=True), yes(5), yes(6, opens=None)

    assert [one.has_nothing_to_come for one in (cancelled, ahead, gone)] == [False, False, True]


HELD = (Holder(4711, "psql", "idle in transaction", timedelta(seconds=12), "UPDATE person"),)


@pytest.mark.parametrize(
    ("pending", "told"),
    [
        (
            Pending(11, True),
            "No pass is requested: the rows were perhaps written with the triggers off. `NOTIFY session_changed, '11'`",
        ),
        (Pending(11, True, NOW, has_daemon=False), "No daemon works: start "),
        (
            Pending(11, True, NOW, holders=HELD),
            (
                "A pass that moves them is requested since Tue 1 Dec 2026 20:00 Europe/Dublin (2026-12-01 20:00 UTC); "
                "perhaps blocked by pid 4711 (psql, idle in transaction, a transaction open for 12.0 s: UPDATE "
                "person): `SELECT pg_terminate_backend(4711)` ends it"
            ),
        ),
        (Pending(11, False), "The next pass moves them; if that lasts, "),
    ],
)
def test_a_person_elsewhere_is_told_with_what_will_happen(pending: Pending, told: str) -> None:
    found = explain_person(PersonReading(7, None, (said(1),)), [yes(1)], NOW, pending)

    assert found.verdict.partition(" (A2). ")[2].startswith(told)


def test_a2_each_yes_says_whether_it_counts() -> None:
    person = PersonReading(7, 1, (said(1), said(2), said(3)), (Left(3, utc("2026-12-01 11:00")),))
    left = PersonReading(7, None, (said(1), said(2, "2026-12-01 19:40")), (Left(1, utc("2026-12-01 19:30")),))
    others = [
        yes(4, cancelled=True),
        yes(5, opens=None),
        replace(yes(5, opens=None), verdict="instance 6 of the same session is on instead (P7)"),
        replace(yes(5), is_maybe=True),
        yes(6, at=None, opens=utc("2026-12-01 21:00")),
    ]

    assert [step.text.partition(": ")[2] for step in explain_person(person, [yes(1), yes(2), *others], NOW).steps] == [
        "it decides (A2)",
        "another comes first (A2)",
        "the instance is cancelled (P5)",
        "the instance has no window to come",
        "the instance has no window to come: instance 6 of the same session is on instead (P7)",
        "a maybe does not count (A2)",
        "it counts once the window opens, at Tue 1 Dec 2026 21:00 Europe/Dublin (2026-12-01 21:00 UTC)",
    ]
    deactivated = PersonReading(7, None, (said(1),), is_deactivated=True)
    for one in (yes(1), yes(6, opens=utc("2026-12-01 21:00"))):
        [step] = explain_person(deactivated, [one], NOW).steps
        assert ": it does not count, as the app has deactivated them, " in step.text
    assert (
        explain_person(left, [yes(1)], NOW)
        .steps[0]
        .text.endswith("ended, as they left Pub 1 (session 11, instance 1) (A2)")
    )
    assert (
        explain_person(person, [yes(6, at=None)], NOW)
        .steps[0]
        .text.startswith("to Pub 6 (session 16, instance 6), said long ago: ")
    )
