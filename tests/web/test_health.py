"""Health and figures, as a platform and a Prometheus read them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.reconcile.counters import Counters
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip
from tests import data
from tests.postgres import Server
from tests.web.site import Browser, World
from web import create_app

Open = Callable[[], Browser]


def test_healthy_with_its_database(browser: Open) -> None:
    answer = json.loads(browser().get("/healthz"))

    assert answer["ok"] is True
    assert answer["database_ms"] < 1000
    assert (answer["streams"], answer["listening"]) == (0, False)


def test_unhealthy_without_its_database(server: Server) -> None:
    with server.database(server.migrated) as url:
        gone = create_app({"DATABASE_URL": url})
    answer = gone.test_client().get("/healthz")

    assert answer.status_code == 503
    assert answer.get_json() == {"ok": False, "database": "does not answer"}


@pytest.mark.usefixtures("world")
def test_deep_health_says_what_status_says(app: Connection, browser: Open) -> None:
    alone = browser().client.get("/healthz?deep=1")
    data.execute(app, HEARTBEAT)
    data.execute(app, "DELETE FROM plan_request")
    healthy = json.loads(browser().get("/healthz?deep=1"))

    assert alone.status_code == 503
    told = alone.get_json()
    assert (told["ok"], told["problems"][0]) == (False, "no daemon is alive: start `python -m seisiun run`")
    assert healthy == {"ok": True, "problems": [], "notes": []}
    data.execute(app, "ALTER TABLE daemon_heartbeat RENAME TO elsewhere")
    without_schema = browser().client.get("/healthz?deep=1")
    data.execute(app, "ALTER TABLE elsewhere RENAME TO daemon_heartbeat")
    assert (without_schema.status_code, without_schema.get_json()["database"]) == (
        503, "its schema is missing, or of another release",
    )  # fmt: skip


def figures_of(visitor: Browser) -> dict[tuple[str, str], float]:
    """Return the value of each sample, by name and labels."""
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(visitor.get("/metrics"))
        for sample in family.samples
    }


def test_the_figures_are_read_from_the_tables(world: World, app: Connection, browser: Open) -> None:
    data.execute(app, HEARTBEAT)
    data.execute(app, FLIPS, world.muellers_now, world.muellers)
    data.execute(app, "UPDATE session_plan SET error = 'unreadable' WHERE session_id = %s", world.later)
    data.execute(
        app, "INSERT INTO plan_request (session_id, requested_at) VALUES (%s, now() - interval '1 minute')", world.donns
    )

    found = figures_of(browser())

    assert found["seisiun_daemons_alive", ""] == 1
    assert found["seisiun_daemons_listening", ""] == 1
    assert 0 <= found["seisiun_beat_age_seconds", ""] < 10
    assert found["seisiun_active_instances", ""] == 2
    assert found["seisiun_sweep_repairs_last_day", ""] == 1
    assert found["seisiun_unreadable_sessions", ""] == 1
    assert found["seisiun_deferred_sessions", ""] == 1


def test_each_daemons_counters_are_counters_and_a_true_histogram(app: Connection, browser: Open) -> None:
    counters = Counters()
    due = datetime(2026, 12, 1, 20, tzinfo=UTC)
    flips = tuple(Flip(1, number, active=True, due_at=due, is_repair=number == 3) for number in (1, 2, 3))
    counters.note_pass(Cause.TIMER, ReconcileResult(activated=flips), due + timedelta(milliseconds=30), 0.25)
    counters.note_pass(Cause.RESYNC, ReconcileResult(activated=flips[:1]), due + timedelta(seconds=40), 0.5)
    more = {"reconnects": {"worker": 2, "listener": 1}, "log_lines_lost": 7}
    data.execute(app, COUNTED, json.dumps(counters.as_json() | more))
    data.execute(app, HEARTBEAT.replace("'here'", "'an earlier release'"))

    visitor = browser()
    found = figures_of(visitor)

    daemon = "daemon=here:1"
    assert found["seisiun_flips_total", f"active=true,cause=timer,{daemon}"] == 2
    assert found["seisiun_flips_total", f"active=true,cause=repair,{daemon}"] == 1
    assert found["seisiun_flips_total", f"active=true,cause=resync,{daemon}"] == 1
    late = {
        bound: found["seisiun_flip_lateness_seconds_bucket", f"{daemon},le={bound}"]
        for bound in ("0.01", "0.05", "30.0", "60.0", "+Inf")
    }
    assert late == {"0.01": 0, "0.05": 2, "30.0": 2, "60.0": 3, "+Inf": 3}
    assert found["seisiun_flip_lateness_seconds_count", daemon] == 3
    assert found["seisiun_flip_lateness_seconds_sum", daemon] == 40.06
    assert found["seisiun_misses_total", daemon] == 1
    assert (found["seisiun_passes_total", daemon], found["seisiun_pass_seconds_total", daemon]) == (2, 0.75)
    assert found["seisiun_reconnects_total", f"{daemon},part=worker"] == 2
    assert found["seisiun_log_lines_lost_total", daemon] == 7
    assert found["seisiun_build_info", f"{daemon},version=0,zone_data=2026f"] == 1
    assert "# TYPE seisiun_flip_lateness_seconds histogram" in visitor.get("/metrics")


def test_the_counters_of_a_daemon_that_ended_are_shown_for_five_minutes_more(app: Connection, browser: Open) -> None:
    counters = Counters().as_json() | {"reconnects": {}, "log_lines_lost": 0}
    data.execute(app, COUNTED, json.dumps(counters))
    for age, shown in (("4 minutes", True), ("6 minutes", False)):
        data.execute(app, "UPDATE daemon_heartbeat SET ended = 'x', beat_at = now() - %s::interval", age)
        assert (("seisiun_passes_total", "daemon=here:1") in figures_of(browser())) == shown


COUNTED = """
    INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, listening_since, zone_version, counters)
    VALUES (gen_random_uuid(), 'here', 1, '0', now(), now(), '2026f', %s)
"""
HEARTBEAT = """
    INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, listening_since, zone_version)
    VALUES (gen_random_uuid(), 'here', 1, '0', now(), now(), '2026f')
"""
FLIPS = """
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause)
    SELECT %s, %s, true, now() - late, now(), cause FROM (VALUES
        (interval '2 ms', 'timer'), ('3 ms', 'timer'), ('20 ms', 'timer'), ('5 minutes', 'sweep')) flips (late, cause)
"""
