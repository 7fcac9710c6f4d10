"""The sweep as cron runs it: a plain script, from wherever."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import ROOT, SWEEP, run, sweep
from tests.data import active_of, add_session, connected, execute, plan_of, requests, value
from tests.ping_server import TOKEN, never_answer, ping_server, serving
from tests.scheduler.soon import HOUR, causes, instance_soon, session_here, weekly

pytestmark = pytest.mark.process

WRITTEN = ("session_instance", "activation_window", "activation_log", "plan_request", "session_plan", "active_instance")


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    with connected(database_url) as connection:
        yield connection


def everything(app: Connection) -> dict[str, list[tuple[object, ...]]]:
    return {table: execute(app, f"SELECT * FROM {table} ORDER BY 1") for table in WRITTEN}


@pytest.mark.parametrize(
    ("script", "elsewhere"),
    [(SWEEP, False), (str(ROOT / SWEEP), True)],
    ids=["from the repository's root", "from elsewhere"],
)
def test_it_runs_as_a_plain_script(
    database_url: str, app: Connection, tmp_path: Path, script: str, elsewhere: bool
) -> None:
    session_id = session_here(app, weekly(-HOUR, HOUR))

    done = run(script, settings={"DATABASE_URL": database_url}, cwd=tmp_path if elsewhere else ROOT)

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert causes(app, session_id) == [(True, "sweep")]
    assert "event=flip" in done.stderr
    assert f' session={session_id} name="The Cobblestone" active=true ' in done.stderr
    assert "event=sweep activated=1 deactivated=0 planned=1 people=0" in done.stderr


def test_a_dry_run_shows_what_would_be_done_and_writes_nothing(database_url: str, app: Connection) -> None:
    session_here(app, weekly(-HOUR, HOUR))
    before = everything(app)

    done = sweep(database_url, "--dry-run")

    assert done.returncode == 0
    assert "activated=1 deactivated=0 planned=1" in done.stderr
    assert "dry_run=true" in done.stderr
    assert "event=would_flip" in done.stderr
    assert "event=flip " not in done.stderr
    assert everything(app) == before


def test_asked_to_alert_it_ends_with_2_when_no_daemon_is_alive_and_changes_nothing_more(
    database_url: str, app: Connection
) -> None:
    session_here(app, weekly(-HOUR, HOUR))
    assert sweep(database_url).returncode == 0
    before = everything(app)

    done = sweep(database_url, "--alert")

    assert done.returncode == 2
    assert "event=sweep activated=0 deactivated=0 planned=0 people=0 repaired=0 deferred=0 missed=0" in done.stderr
    assert everything(app) == before


@pytest.mark.parametrize(
    ("late_by", "status"), [pytest.param("4 seconds", 0, marks=pytest.mark.long), ("6 seconds", 2)]
)
def test_asked_to_alert_it_ends_with_2_when_a_living_daemon_missed_an_edge(
    database_url: str, app: Connection, late_by: str, status: int
) -> None:
    execute(
        app,
        "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, zone_version) "
        "VALUES (gen_random_uuid(), 'h', 1, 'v', clock_timestamp(), '2026f')",
    )
    execute(
        app,
        "INSERT INTO activation_log (session_instance_id, session_id, active, due_at, done_at, cause) "
        "VALUES (1, 1, true, now() - interval '1 minute', now() - interval '1 minute' + CAST(%s AS interval), 'timer')",
        late_by,
    )

    done = sweep(database_url, "--alert")

    assert done.returncode == status, done.stderr
    assert "daemon_alive=true" in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"DATABASE_URL": "postgresql://u@127.0.0.1:1/n"}, "Connection refused"),
        ({"DATABASE_URL": "", "RENDER": "true"}, "DATABASE_URL is not set"),
        ({"KEEP_DAYS": "none"}, "KEEP_DAYS='none'"),
    ],
    ids=["unreachable", "not set", "setting"],
)
def test_status_1_with_one_line_of_log_when_it_cannot_work(settings: dict[str, str], told: str) -> None:
    done = run(SWEEP, settings=settings)

    assert (done.returncode, done.stdout) == (1, "")
    assert "level=error event=sweep_failed" in done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_status_1_when_a_session_could_not_be_reconciled(database_url: str, app: Connection) -> None:
    held, free = (session_here(app, weekly(-HOUR, HOUR)) for _ in range(2))
    with connected(database_url, autocommit=False) as holding:
        execute(holding, "SELECT 1 FROM session_plan WHERE session_id = %s FOR UPDATE", held)

        done = sweep(database_url)

    assert done.returncode == 1, done.stderr
    assert "deferred=1" in done.stderr
    assert active_of(app, free)
    assert active_of(app, held) is None


def test_p6_what_cannot_be_read_is_a_warning_and_holds_up_nobody(database_url: str, app: Connection) -> None:
    text = add_session(app, "every other tuesday", timezone="Europe/Dublin")
    zone = add_session(app, weekly(-HOUR, HOUR), timezone="Nowhere/At_all")
    readable = session_here(app, weekly(-HOUR, HOUR))

    done = sweep(database_url)

    assert done.returncode == 0, done.stderr
    warnings = [line.split(" event=")[1] for line in done.stderr.splitlines() if "level=warning" in line]
    assert [line.split(" error=")[0] for line in warnings] == [
        f'unreadable session={id_} name="The Cobblestone"' for id_ in (text, zone)
    ]
    assert active_of(app, readable)
    assert plan_of(app, text)["error"]
    assert requests(app) == []


def test_what_a_living_daemon_is_about_to_do_is_left_to_it(database_url: str, app: Connection) -> None:
    session_id = session_here(app)
    instance_soon(app, session_id, 30, 60)
    sweep(database_url)
    assert causes(app, session_id) == [(True, "sweep")], "without a daemon the sweep opens a minute ahead"
    ahead = session_here(app)
    instance_soon(app, ahead, 30, 60)
    execute(
        app,
        "INSERT INTO daemon_heartbeat (daemon_id, host, pid, version, last_look_at, zone_version) "
        "VALUES (gen_random_uuid(), 'h', 1, 'v', clock_timestamp(), '2026f')",
    )

    done = sweep(database_url)

    assert done.returncode == 0
    assert causes(app, ahead) == []
    assert active_of(app, session_id), "what was opened early stays on"
    assert value(app, "SELECT count(*) FROM activation_log") == 1


def test_it_pings_at_its_start_and_after_success(database_url: str) -> None:
    with ping_server() as service:
        assert sweep(database_url, SWEEP_PING_URL=service.url).returncode == 0

        assert service.ends() == [("/start", ""), ("", "")]


def test_a_dry_run_does_not_ping(database_url: str) -> None:
    with ping_server() as service:
        assert sweep(database_url, "--dry-run", SWEEP_PING_URL=service.url).returncode == 0

        assert service.pings == []


@pytest.mark.parametrize(
    ("url", "arguments", "status", "kind"),
    [
        ("postgresql://u:hidden@127.0.0.1:1/n", (), 1, "OperationalError"),
        (None, ("--alert",), 2, "no daemon is alive"),
    ],
    ids=["unreachable", "alert"],
)
def test_after_a_failure_the_ping_says_its_kind_alone(
    database_url: str, url: str | None, arguments: tuple[str, ...], status: int, kind: str
) -> None:
    with ping_server() as service:
        done = sweep(url or database_url, *arguments, SWEEP_PING_URL=service.url)

        assert done.returncode == status
        assert service.ends() == [("/start", ""), ("/fail", kind)]


def test_an_address_that_never_answers_keeps_no_session_waiting_and_is_not_shown(
    database_url: str, app: Connection
) -> None:
    session_id = session_here(app, weekly(-HOUR, HOUR))
    with serving(never_answer) as url:
        done = sweep(database_url, SWEEP_PING_URL=url)

    assert done.returncode == 0, done.stderr
    assert causes(app, session_id) == [(True, "sweep")]
    assert done.stderr.index("event=flip") < done.stderr.index("event=ping_failed")
    assert TOKEN not in done.stderr
