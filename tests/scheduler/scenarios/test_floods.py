"""Nothing starves what comes after: thousands of deleted, cancelled or held sessions, and thousands of people.

Covers scheduler.daemon.agenda, core.reconcile.chunk, core.store.queue.
"""

import time
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import connected, execute, value
from tests.scheduler.daemon_process import Daemons, eventually
from tests.scheduler.soon import instance_soon, local, session_here, wait_until_reconciled

Figures = Callable[[str], None]
MANY = 800
BOUND_SECONDS = 1.0

# Statements of an app, each one transaction.
FLOODS = {
    "sessions deleted": "DELETE FROM session WHERE name = 'one of many'",
    "instances deleted, then their sessions": (
        "DELETE FROM session_instance i USING session s WHERE s.session_id = i.session_id AND name = 'one of many';"
        "DELETE FROM session WHERE name = 'one of many'"
    ),
    "instances cancelled": (
        "UPDATE session_instance i SET is_cancelled = true FROM session s "
        "WHERE s.session_id = i.session_id AND name = 'one of many'"
    ),
    "requests of sessions that never were": (
        f"INSERT INTO plan_request (session_id) SELECT 1000000 + n FROM generate_series(1, {MANY}) n;"
        "SELECT pg_notify('session_changed', '')"
    ),
    "people inserted": f"INSERT INTO person (first_name) SELECT 'n' || n FROM generate_series(1, {10 * MANY}) n",
    "check-ins": (
        "WITH people AS (INSERT INTO person (first_name) SELECT 'n' FROM generate_series(1, 20) RETURNING person_id) "
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) "
        "SELECT session_instance_id, person_id, 'yes' FROM people, "
        "(SELECT session_instance_id FROM activation_window WHERE phase = 'ahead' LIMIT 200) soon"
    ),
}


def add_many(app: Connection) -> None:
    """Add many sessions with two instances each: one in half an hour, and one of last year."""
    execute(
        app,
        "INSERT INTO session (name, timezone, active_buffer_minutes_before, active_buffer_minutes_after) "
        "SELECT 'one of many', 'UTC', 0, 0 FROM generate_series(1, %s)",
        MANY,
    )
    start, end = local(1800), local(5400)
    execute(
        app,
        "INSERT INTO session_instance (session_id, date, start_time, end_time) "
        "SELECT session_id, %s::date - n, %s, %s FROM session, (VALUES (0), (400)) years (n) "
        "WHERE name = 'one of many'",
        *(start.date(), start.time(), end.time()),
    )


def seconds_until_on(app: Connection, session_id: int) -> float:
    """Make an edit that takes effect at once; return how long that took."""
    begun = time.monotonic()
    instance_id = instance_soon(app, session_id, -60, 3600)
    eventually(
        lambda: value(app, "SELECT active FROM session_instance WHERE session_instance_id = %s", instance_id),
        "the edit has taken effect",
    )
    return time.monotonic() - begun


@pytest.mark.parametrize("flood", FLOODS)
def test_an_edit_after_a_flood_takes_effect_in_a_second(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures, flood: str
) -> None:
    after = session_here(app)
    add_many(app)
    daemon = daemons.ready(database_url)
    wait_until_reconciled(app)

    execute(app, FLOODS[flood])
    took = seconds_until_on(app, after)

    figures(f"{flood} ({MANY} sessions): the next edit took effect after {took * 1000:.0f} ms")
    assert took < BOUND_SECONDS
    wait_until_reconciled(app)
    if "deleted" in flood or "never" in flood:
        eventually(lambda: daemon.events("dropped"), "the log says what was dropped")
        assert sum(map(dropped, daemon.events("dropped"))) == value_of_flood(flood)


def dropped(line: str) -> int:
    return int(line.partition("rows=")[2].split()[0])


def value_of_flood(flood: str) -> int:
    """Return how many requests the flood left: one for each deleted instance."""
    return MANY if "never" in flood else 2 * MANY


def test_an_edit_beside_many_sessions_that_somebody_holds_takes_effect_in_a_second(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    after = session_here(app)
    add_many(app)
    daemons.ready(database_url)
    wait_until_reconciled(app)

    with connected(database_url, autocommit=False) as holder:
        execute(holder, "SELECT FROM session_plan WHERE session_id <> %s FOR UPDATE", after)
        execute(app, FLOODS["instances cancelled"])
        time.sleep(0.5)  # so that most have been tried, and are tried again and again
        took = seconds_until_on(app, after)
    figures(f"beside {MANY} sessions that are held: an edit took effect after {took * 1000:.0f} ms")
    assert took < BOUND_SECONDS
    wait_until_reconciled(app)


def costly(number: int) -> str:
    """Return a recurrence that costs a pass as much as one may (R6), and that it has not read yet."""
    rules = "".join(
        f"\nRRULE:FREQ=MONTHLY;BYDAY=1MO,-{n}TU,3WE;BYMONTHDAY=-{n + number % 20},3,4;COUNT=99999" for n in range(1, 10)
    )
    excluded = ",".join(f"{1900 + n % 299}{1 + n % 12:02}{1 + n % 28:02}T190000" for n in range(number, number + 366))
    return f"DTSTART:19000101T190000{rules}\nEXDATE:{excluded}"


def test_an_edge_does_not_wait_for_the_edits_of_costly_recurrences(
    daemons: Daemons, database_url: str, app: Connection, figures: Figures
) -> None:
    edited = [session_here(app) for _ in range(40)]
    daemons.ready(database_url)
    instance_id = instance_soon(app, session_here(app), 3, 3600)
    wait_until_reconciled(app)
    texts = [costly(number) for number in range(len(edited))]
    [[seconds]] = execute(
        app,
        "SELECT extract(epoch FROM opens_at - clock_timestamp())::float FROM activation_window WHERE phase = 'ahead'",
    )
    time.sleep(max(0.0, seconds - 0.1))

    execute(
        app,
        "UPDATE session SET recurrence = text FROM unnest(%s::bigint[], %s::text[]) edit (id, text) "
        "WHERE session_id = id",
        *(edited, texts),
    )
    flipped = "SELECT extract(epoch FROM done_at - due_at)::float FROM activation_log WHERE session_instance_id = %s"
    eventually(lambda: value(app, flipped, instance_id) is not None, "the edge has been flipped")
    wait_until_reconciled(app)

    late = value(app, flipped, instance_id)
    figures(f"an edge beside {len(edited)} edits of costly recurrences: {late * 1000:.0f} ms late")
    assert late < BOUND_SECONDS
    assert value(app, "SELECT count(*) FROM session_plan WHERE error IS NOT NULL") == 0
