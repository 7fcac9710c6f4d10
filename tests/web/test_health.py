"""Health and figures, as a platform and a Prometheus read them."""

import json
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

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
    assert found["seisiun_flips_last_day", "active=true,cause=timer"] == 3
    assert found["seisiun_flips_last_day", "active=true,cause=sweep"] == 1
    assert found["seisiun_sweep_repairs_last_day", ""] == 1
    assert found["seisiun_unreadable_sessions", ""] == 1
    assert found["seisiun_deferred_sessions", ""] == 1
    late = {
        labels: value for (name, labels), value in found.items() if name.endswith("lateness_seconds_last_day_bucket")
    }
    assert late["le=+Inf"] == 6
    assert late["le=0.01"] <= late["le=0.05"] <= late["le=30.0"] == late["le=+Inf"] - 1


HEARTBEAT = """
    INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, listening_since, zone_version)
    VALUES (gen_random_uuid(), 'here', 1, '0', now(), now(), '2026f')
"""
FLIPS = """
    INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause)
    SELECT %s, %s, true, now() - late, now(), cause FROM (VALUES
        (interval '2 ms', 'timer'), ('3 ms', 'timer'), ('20 ms', 'timer'), ('5 minutes', 'sweep')) flips (late, cause)
"""
