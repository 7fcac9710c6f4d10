"""A run that fails in each way that we know: no log, page, screen, row or traceback shows the database's password.

Covers core.logs, core.settings, core.db, core.hooks, web.
"""

import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import URL, make_url

from tests.commands import ROOT, SWEEP, environment, run
from tests.data import execute
from tests.scheduler.daemon_process import Daemons
from tests.scheduler.soon import HOUR, session_here, weekly

SECRET = "Tr0ub4dor"
COMMANDS = {
    "run": ("-m", "scheduler", "run"),
    "status": ("-m", "scheduler", "status"),
    "migrate": ("-m", "scheduler", "migrate"),
    "sweep": (SWEEP,),
    "web": ("-m", "web", "--port", "0"),
}

# An app whose reporter shows the local variables of every frame that it is given, as several services do.
HOST = """
import logging, sys, traceback
import sqlalchemy
from core.active_session_manager import session_saved

class WithLocals(logging.Formatter):
    def formatException(self, exc_info):
        return "".join(traceback.TracebackException(*exc_info, capture_locals=True).format())

def save():
    with engine.begin() as connection:
        assert session_saved(connection, 1).deferred

engine = sqlalchemy.create_engine(sys.argv[1].replace("postgresql:", "postgresql+psycopg2:"))
save()  # before it configures its logging
handler = logging.StreamHandler()
handler.setFormatter(WithLocals())
logging.basicConfig(handlers=[handler], level=logging.DEBUG)
save()
"""


def as_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def what_is_told(command: str, url: str) -> str:
    done = run(*COMMANDS[command], settings={"DATABASE_URL": url, "LOG_LEVEL": "DEBUG"})
    assert done.returncode == (3 if command == "status" else 1), done.stderr
    assert done.stderr, "it says why it failed"
    return done.stdout + done.stderr


def test_no_secret_is_told_of_a_database_that_cannot_be_used(database_url: str) -> None:
    right = make_url(database_url)
    real = right.password
    assert real
    secret = right.set(password=SECRET)
    wrong_password, no_schema = as_text(secret), as_text(right.set(database="template1"))
    two_ats = f"postgresql://u:x@{SECRET}@{right.host}/d"
    cases = [
        ("status", wrong_password),
        ("migrate", wrong_password),
        ("sweep", as_text(secret.set(host="no-such-host.invalid"))),
        ("status", as_text(secret.set(port=1))),
        ("sweep", as_text(right.set(database="missing"))),
        ("run", no_schema),
        ("run", two_ats),
    ]
    with ThreadPoolExecutor(2) as pool:
        for told in pool.map(lambda case: what_is_told(*case), cases):
            assert SECRET not in told
            assert real not in told


def test_no_secret_is_told_of_a_pass_a_hook_a_page_or_a_migration_that_fails(
    daemons: Daemons, database_url: str, app: Connection
) -> None:
    secret = make_url(database_url).password
    assert secret
    session_here(app, weekly(-HOUR, HOUR))
    execute(
        app,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; "
        "CREATE TRIGGER refuse BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION refuse();",
    )
    daemons.allow_errors("failed", "pass_failed", "chunk_failed")
    daemon = daemons.ready(database_url, LOG_LEVEL="DEBUG").wait_for("failed")
    rows = [str(execute(app, f"SELECT * FROM {table}")) for table in ("daemon_heartbeat", "session_plan")]
    status = run("-m", "scheduler", "status", "--all", settings={"DATABASE_URL": database_url})
    told = [daemon.log, *rows, status.stdout, status.stderr]
    daemon.stop()

    execute(app, "ALTER TABLE planned_instance RENAME TO elsewhere")
    app_with_hooks = run("-c", HOST, database_url, settings={"DATABASE_URL": database_url})
    assert app_with_hooks.returncode == 0, app_with_hooks.stderr
    told.append(app_with_hooks.stdout + app_with_hooks.stderr)

    execute(app, "ALTER TABLE activation_window RENAME TO elsewhere_too")
    told.append(failing_page(database_url))
    execute(app, "DROP TABLE seisiun_schema_version; ALTER TABLE session RENAME COLUMN session_id TO other")
    told.append(what_is_told("migrate", database_url))

    assert secret[:12] not in "".join(told)  # a part: what draws tables cuts long values off
    lines = app_with_hooks.stderr.splitlines()
    assert [line.split("=")[0] for line in lines] == ["hook_failed exception"] * 2


def failing_page(url: str) -> str:
    """Return what a page that fails shows and what its server logs."""
    process = subprocess.Popen(
        [sys.executable, *COMMANDS["web"]],
        cwd=ROOT,
        env=environment(DATABASE_URL=url, LOG_LEVEL="DEBUG"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    address = process.stdout.readline().strip()
    try:
        with pytest.raises(urllib.error.HTTPError) as failed:
            urllib.request.urlopen(address)
        page = failed.value.read().decode()
        assert failed.value.code == 500
    finally:
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert "Traceback" in err
    return page + out + err
