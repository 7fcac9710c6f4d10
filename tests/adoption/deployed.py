"""The example app as its owner runs it: a copy of its code, a database of its own, and a process that answers."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import make_url

from tests.commands import ROOT, environment, run
from tests.data import connected, execute, value
from tests.postgres import Server
from tests.scheduler.soon import NOON
from tests.web.gunicorn_process import Gunicorn

EXAMPLE = ROOT / "examples" / "tracker"
ROLE = "tracker"  # it owns the tables, and is no superuser
LEFT_TO_FINISH_SECONDS = 0.2

numbers = itertools.count(1)


class Refused(Exception):
    """The app has not answered a request with 200."""


class Tracker:
    """The app. `code` is what the next deployment runs; `admin_url` is the superuser's, `url` the app's own."""

    def __init__(self, place: Path, admin_url: str) -> None:
        self.admin_url = admin_url
        self.url = make_url(admin_url).set(username=ROLE, password=ROLE).render_as_string(hide_password=False)
        self.code = place / "tracker"
        self._place = place
        self._processes: list[Gunicorn] = []
        self._answering: Gunicorn | None = None
        shutil.copytree(EXAMPLE, self.code, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def variables(self) -> dict[str, str]:
        """What says which database, to the app and to our commands."""
        parts = make_url(self.url)
        return {
            "PGHOST": str(parts.host),
            "PGPORT": str(parts.port),
            "PGUSER": str(parts.username),
            "PGPASSWORD": str(parts.password),
            "PGDATABASE": str(parts.database),
        }

    # Its code

    def edit(self) -> None:
        """Edit the code as the patch says: it reads our columns and calls our hooks."""
        self._apply()
        assert not (self.code / "tracker" / "active_sessions.py").exists()

    def undo_edit(self) -> None:
        self._apply("--reverse")
        assert (self.code / "tracker" / "active_sessions.py").exists()

    def _apply(self, *options: str) -> None:
        # Without a ceiling git would look for a repository around it, and there leave out what is not below.
        subprocess.run(
            ["git", "apply", *options, "adoption/app.patch"],
            cwd=self.code,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(self._place)},
            check=True,
        )

    def own_tests(self) -> dict[str, str]:
        """Run the app's own tests on its database, and return the outcome of each, by name."""
        report = self._place / f"report-{next(numbers)}.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--junitxml={report}"],
            cwd=self.code,
            env=environment(**self._environment()),
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return {case.attrib["name"]: _outcome(case) for case in ElementTree.parse(report).iter("testcase")}

    def job(self, name: str) -> str:
        """Run one of the app's jobs, and return what it printed."""
        command = [sys.executable, f"jobs/{name}.py"]
        done = subprocess.run(
            command, cwd=self.code, env=environment(**self._environment()), check=True, capture_output=True
        )
        return done.stdout.decode()

    # Its process

    def deploy(self) -> None:
        """Start the code beside the process that answers; once it answers too, let that one end."""
        log = self._place / f"gunicorn-{len(self._processes)}.log"
        started = Gunicorn(
            log, "tracker:create_app()", config="gunicorn_config.py", cwd=self.code, **self._environment()
        )
        self._processes.append(started)
        with contextlib.closing(HTTPConnection("127.0.0.1", started.port, timeout=60)) as connection:
            connection.request("GET", "/people")  # it waits until the app is imported
            assert connection.getresponse().status == 200, started.log
        before, self._answering = self._answering, started
        if before:
            time.sleep(LEFT_TO_FINISH_SECONDS)
            before.stop()

    @property
    def port(self) -> int:
        assert self._answering
        return self._answering.port

    @property
    def log(self) -> str:
        return "".join(process.log for process in self._processes)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()

    def _environment(self) -> dict[str, str]:
        return self.variables | {"PYTHONPATH": str(ROOT)}

    # Its database

    @contextlib.contextmanager
    def connected(self) -> Iterator[Connection]:
        with connected(self.url) as connection:
            yield connection

    def run_sql(self, file: str) -> None:
        """Run a file of statements, each its own transaction; again from the start after a lock timeout."""
        statements = [text for text in (self.code / file).read_text().split(";\n") if text.strip()]
        with self.connected() as connection:
            for statement in statements:
                _patiently(connection, statement)

    def newest(self) -> tuple[int, int]:
        """Return the id of the newest person and of the newest session."""
        with self.connected() as connection:
            [newest] = execute(connection, "SELECT max(person_id), (SELECT max(session_id) FROM session) FROM person")
        return newest[0], newest[1]

    def forget(self, since: tuple[int, int]) -> None:
        """Delete the people and the sessions that are newer than these."""
        person_id, session_id = since
        with self.connected() as connection:
            execute(connection, "DELETE FROM person WHERE person_id > %s", person_id)
            execute(connection, "DELETE FROM session_instance WHERE session_id > %s", session_id)
            execute(connection, "DELETE FROM session WHERE session_id > %s", session_id)

    # Our commands, as the app's owner types them

    def seisiun(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("-m", "scheduler", *arguments, settings=self.variables)


def _patiently(connection: Connection, statement: str) -> None:
    for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
        try:
            execute(connection, statement)
        except LockNotAvailable:
            time.sleep(pause)
        else:
            return
    execute(connection, statement)


def _outcome(case: ElementTree.Element) -> str:
    wrong = [child for child in case if child.tag in {"failure", "error", "skipped"}]
    return f"{wrong[0].tag}: {wrong[0].attrib.get('message', '')}" if wrong else "passed"


@contextlib.contextmanager
def tracker(place: Path, server: Server) -> Iterator[Tracker]:
    """Yield the app, with its tables and its seed; it is not deployed yet."""
    with server.database("template1") as admin_url:
        with connected(admin_url) as admin:
            if value(admin, "SELECT 1 FROM pg_roles WHERE rolname = %s", ROLE) is None:
                execute(admin, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'")
            execute(admin, f"ALTER DATABASE {make_url(admin_url).database} OWNER TO {ROLE}")
        app = Tracker(place, admin_url)
        with app.connected() as connection:
            for file in ("schema.sql", "seed.sql"):
                execute(connection, (EXAMPLE / file).read_text())
        try:
            yield app
        finally:
            app.stop()


class Visitor:
    """A person who uses the app, over HTTP. Raises `Refused`."""

    def __init__(self, app: Tracker) -> None:
        self._app = app
        self._cookie = ""
        self.milliseconds = 0.0  # that the last request worked with the database
        self.person_id: int = self.send("POST", "/people", first_name=f"Visitor {next(numbers)}")["person_id"]
        self.send("POST", "/sign-in", person_id=self.person_id)

    def send(self, method: str, route: str, /, **fields: object) -> Any:
        connection = HTTPConnection("127.0.0.1", self._app.port, timeout=20)
        try:
            headers = {"Content-Type": "application/json", "Cookie": self._cookie, "Connection": "close"}
            connection.request(method, route, json.dumps(fields) if fields else None, headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(f"{method} {route}: {answer.status}; the app's log ends with {self._app.log[-1000:]}")
        self._cookie = (answer.getheader("Set-Cookie") or self._cookie).partition(";")[0]
        self.milliseconds = float((answer.getheader("Server-Timing") or "dur=0").rpartition("=")[2])
        return json.loads(body)

    def get(self, route: str) -> Any:
        return self.send("GET", route)

    def post(self, route: str, /, **fields: object) -> Any:
        return self.send("POST", route, **fields)

    def put(self, route: str, /, **fields: object) -> Any:
        return self.send("PUT", route, **fields)

    def delete(self, route: str) -> Any:
        return self.send("DELETE", route)

    def add_session(self, **fields: object) -> int:
        """Add a session whose clocks show noon."""
        unique = f"session-{next(numbers)}"
        added = self.post("/sessions", **{"name": unique, "path": unique, "timezone": NOON} | fields)
        return int(added["session_id"])

    def add_evening(self, session_id: int, **hours: str) -> int:
        """Add an evening by hand."""
        return int(self.post(f"/sessions/{session_id}/instances", **hours)["session_instance_id"])
