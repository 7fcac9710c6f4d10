"""The app is taken over while people use it, and given back, and nobody notices.

`make test-adopt` runs the long cases too. `docs/adopting.md` has the steps.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from statistics import median, quantiles

import pytest

from tests.adoption.actions import OLDER, OURS, Scene, milliseconds_until_right, wait
from tests.adoption.deployed import Tracker
from tests.adoption.owner import (
    DEPLOY_THE_EDIT,
    DROP_THE_MIRROR,
    DROP_THE_OLDER_COLUMNS,
    MIRROR,
    STEPS,
    Owner,
)
from tests.adoption.traffic import Traffic
from tests.core.migrations.catalogue import catalogue
from tests.data import value
from tests.scheduler.soon import HOUR, weekly

Figures = Callable[[str], None]

RIGHT = {MIRROR: OLDER, DEPLOY_THE_EDIT: OLDER, DROP_THE_OLDER_COLUMNS: OURS}
"""Which columns are right once a step is done: the app's own while we mirror, and ours at the end."""

REST_SECONDS = 20
STEP_SECONDS = 3
TIMES = 20
AT_REST = "mirroring, at rest"


def schema_of(app: Tracker) -> dict[str, list[str]]:
    with app.connected() as connection:
        return catalogue(connection)


def p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def assert_equal(app: Tracker) -> None:
    """The app's own columns say what ours say, in every row."""
    with app.connected() as connection:
        assert value(connection, "SELECT count(*) FROM session_instance WHERE is_active <> active") == 0
        differ = "at_active_session_instance_id IS DISTINCT FROM active_session_instance_id"
        assert value(connection, f"SELECT count(*) FROM person WHERE {differ}") == 0


def make_row(scene: Scene) -> None:
    """Let our planner make the row of an occurrence."""
    scene.session = scene.organiser.add_session(recurrence=weekly(3 * HOUR, 4 * HOUR), auto_create_instances=True)
    wait(lambda: scene.rows() == 1)


def assert_row_goes(scene: Scene) -> None:
    """The row goes with its occurrence: that the app has dropped a column meanwhile is no person's touch (P4)."""
    scene.organiser.put(f"/sessions/{scene.session}/recurrence", recurrence=weekly(75 * HOUR, 76 * HOUR))
    wait(lambda: scene.rows() == 0)


def assert_nobody_noticed(app: Tracker, traffic: Traffic) -> None:
    assert traffic.errors == []
    for sign in ("Traceback", "hook_failed", "hook_refused"):
        assert sign not in app.log


def test_app_is_taken_over_step_by_step_and_given_back(owner: Owner) -> None:
    app, before = owner.app, schema_of(owner.app)
    app.deploy()

    with Traffic(app, visitors=1) as traffic, app.connected() as connection:
        for step in STEPS:
            if step is DROP_THE_MIRROR:
                visited, planned = Scene(app, connection, OURS), Scene(app, connection, OURS)
                evening = visited.visited()
                make_row(planned)
            step.do(owner)
            if step is MIRROR:
                assert_equal(app)
                milliseconds_until_right(app, OLDER, times=1)
            if step is DROP_THE_MIRROR:
                # The guest's older pointer stands still from here on, and must keep no evening from being deleted.
                visited.organiser.delete(f"/instances/{evening}")
        assert_row_goes(planned)
        for step in reversed(STEPS):
            step.undo(owner)

    assert_nobody_noticed(app, traffic)
    assert schema_of(app) == before


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(1800)
def test_take_over_under_traffic(owner: Owner, figures: Figures) -> None:
    """Each step is done, undone and done again; wherever it rests, the app's own tests pass by the same names.

    The app's transactions take at most twice as long (p99): at rest, with everything of ours at work, as before; and
    during the steps as during their controls.
    """
    app = owner.app
    app.deploy()
    expected = app.own_tests()
    assert set(expected.values()) == {"passed"}, expected
    with Traffic(app, visitors=3) as traffic:
        with traffic.during("before", REST_SECONDS):
            pass
        known = app.newest()
        for step in STEPS:
            with traffic.during(control_of(step.name), STEP_SECONDS):
                for _ in range(3):
                    step.control.do(app)
                    app.job("check_active_sessions")
            with traffic.during(step.name, STEP_SECONDS):
                for act in (step.do, step.undo, step.do):
                    act(owner)
                    app.job("check_active_sessions")
            assert app.own_tests() == expected, step.name
            if step in RIGHT:
                tell_how_soon(figures, step.name, milliseconds_until_right(app, RIGHT[step], TIMES))
            app.forget(known)  # its pages list all sessions and people, and must not take longer at each step for that
            if step is MIRROR:
                with traffic.during(AT_REST, REST_SECONDS):
                    pass
        with traffic.during(control_of("back"), STEP_SECONDS):
            for step in reversed(STEPS):
                step.control.do(app)
        with traffic.during("back", STEP_SECONDS):
            for step in reversed(STEPS):
                step.undo(owner)
        assert app.own_tests() == expected

    assert_nobody_noticed(app, traffic)
    names = [*(step.name for step in STEPS), "back"]
    for name in ("before", AT_REST, *chain.from_iterable((control_of(name), name) for name in names)):
        of_step = traffic.milliseconds(name)
        figures(f"{name}: {len(of_step)} requests, p50 {median(of_step):.1f} ms, p99 {p99(of_step):.1f} ms")
    assert p99(traffic.milliseconds(AT_REST)) <= 2 * p99(traffic.milliseconds("before"))
    assert p99(traffic.milliseconds(*names)) <= 2 * p99(traffic.milliseconds(*map(control_of, names)))


def control_of(name: str) -> str:
    """Return the name of what is measured before a step: what starts as many processes, and is none of ours.

    A command takes a second of a processor to start, and a deploy two: on two of them everybody waits for that.
    """
    return f"control of {name}"


def tell_how_soon(figures: Figures, step: str, found: dict[str, list[float]]) -> None:
    for action, milliseconds in found.items():
        figures(f"after {step}, {action}: right p50 {median(milliseconds):.1f} ms, p99 {p99(milliseconds):.1f} ms")
