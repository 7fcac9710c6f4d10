"""A2 where a person said yes to two sessions that overlap: which opened first, and who said yes last.

Covers core.reconcile.presence, core.rules.presence.
"""

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from tests.core.evening import MINUTE, say, tuesday
from tests.core.passes import CLOSES, DURING, NOON, OPENS, reconcile_at
from tests.core.rules.planner_model import utc
from tests.data import add_person, execute, person_at


@pytest.mark.parametrize("first_said", [0, 1])
def test_a2_of_two_yeses_said_before_the_one_that_opened_first_counts(
    engine: Engine, app: Connection, first_said: int
) -> None:
    early, late = tuesday(app, engine), tuesday(app, engine, "20:00", "23:00")
    person = add_person(app)
    for minute, instance in enumerate((early, late) if first_said == 0 else (late, early)):
        say(app, person, instance, "yes", utc(NOON) + minute * MINUTE)
    for at, where in ((OPENS, early), ("2026-12-01 19:00", early), (CLOSES, late), ("2026-12-02 00:00", None)):
        reconcile_at(engine, at)
        assert person_at(app, person) == where, at


def test_a2_yes_to_the_other_said_before_it_opens_does_not_move(engine: Engine, app: Connection) -> None:
    early, late, person = tuesday(app, engine), tuesday(app, engine, "20:00", "23:00"), add_person(app)
    reconcile_at(engine, OPENS)
    say(app, person, early, "yes", "2026-12-01 18:10")
    say(app, person, late, "yes", "2026-12-01 18:20")
    reconcile_at(engine, "2026-12-01 19:00")

    assert person_at(app, person) == early


def test_a2_starts_in_two_zones_are_compared_as_instants(engine: Engine, app: Connection) -> None:
    """Both open at 18:00 UTC. The one in New York starts last, though its wall time is the earlier one."""
    no_wait = {"active_buffer_minutes_before": 0}
    new_york = tuesday(app, engine, "13:30", "16:00", timezone="America/New_York", active_buffer_minutes_before=30)
    dublin = tuesday(app, engine, "18:00", "22:00", **no_wait)
    person = add_person(app)
    for instance in (dublin, new_york):
        say(app, person, instance, "yes", NOON)
    reconcile_at(engine, OPENS)

    assert active_of_instances(app) == {new_york, dublin}
    assert person_at(app, person) == dublin


def active_of_instances(app: Connection) -> set[int]:
    return {row[0] for row in execute(app, "SELECT session_instance_id FROM session_instance WHERE active")}


LATEST: dict[str, list[tuple[str, str]]] = {
    "the yes that came last": [],
    "a maybe that became a yes": [("maybe", "2026-12-01 12:30"), ("yes", "2026-12-01 13:00")],
    "a yes said again": [("yes", "2026-12-01 13:00")],
}


@pytest.mark.parametrize("case", LATEST)
def test_a2_tie_of_two_that_open_and_start_together_goes_to_the_latest_yes(
    engine: Engine, app: Connection, case: str
) -> None:
    first, second, person = tuesday(app, engine), tuesday(app, engine), add_person(app)
    say(app, person, first, "yes", "2026-12-01 12:10")
    say(app, person, second, "yes", "2026-12-01 12:20")
    for attendance, at in LATEST[case]:
        say(app, person, first, attendance, at)
    reconcile_at(engine, OPENS)

    assert person_at(app, person) == (second if case == "the yes that came last" else first)


def test_a2_yes_to_the_other_later_that_evening_wins_until_it_ends_then_back(engine: Engine, app: Connection) -> None:
    long, short, person = (
        tuesday(app, engine, "19:00", "23:00"),
        tuesday(app, engine, "19:30", "21:00"),
        add_person(app),
    )
    reconcile_at(engine, DURING)
    say(app, person, long, "yes", DURING)
    say(app, person, short, "yes", "2026-12-01 20:30")
    assert person_at(app, person) == short
    reconcile_at(engine, "2026-12-01 22:00")

    assert person_at(app, person) == long
