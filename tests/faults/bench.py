"""The fault bench: a real server, real daemons, an app that writes, a nemesis; and then the checker.

1. A private server; the history's triggers and the kill points; a role for the daemons; a network in front of each.
2. The daemons, the load, the sweep at its minutes (compressed), the nemesis.
3. All faults stop. When what they may hold up is over, and a quiet second has passed, the state must be right.
4. The checker compares all that was recorded with all that was meant.
"""

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tests.data import execute
from tests.faults import history, kill_points, storm
from tests.faults.checker import Fault
from tests.faults.draw import MASS_DELETE, STORM, Planned, draw
from tests.faults.growth import Uses
from tests.faults.judgement import Case, judge
from tests.faults.load import Load
from tests.faults.machine import Machine
from tests.faults.nemesis import Nemesis
from tests.faults.platform import Platform, Seat
from tests.faults.proxy import Proxy
from tests.faults.report import Report
from tests.faults.server import Server
from tests.scheduler.daemon.fake_clock import LIBRARY, FakeClock

SEATS = ("first", "second", "third")
LAST_FAULT_SECONDS = 5.0  # before the end

POISON = (
    "CREATE TABLE poisoned (session_id bigint NOT NULL)",
    """
    CREATE FUNCTION app_raises() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public
    AS $$ BEGIN
        IF EXISTS (SELECT FROM poisoned WHERE session_id = NEW.session_id) THEN
            RAISE EXCEPTION 'the app will not have it';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER app_raises BEFORE UPDATE ON session_instance FOR EACH ROW EXECUTE FUNCTION app_raises()",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be.

    without        no faults of these kinds
    endless_storm  under a storm of edits that never ends
    many           how many sessions a mass deletion deletes
    deletes        whether one comes in the middle
    """

    seed: int
    seconds: float
    daemons: bool = True
    faults: bool = True
    without: tuple[str, ...] = ()
    endless_storm: bool = False
    many: int = 2000
    deletes: bool = False


class Bench:
    """One run; a context manager that ends all that it began."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._plan = plan
        self._directory = directory
        self._ended = contextlib.ExitStack()
        self._server = Server(directory / "server")
        self._ended.callback(self._server.stop)
        self._prepare()
        self._app = self._proxy()
        self._clock = FakeClock(directory / "clock") if LIBRARY else None
        self._platform = Platform([self._seat(name) for name in SEATS])
        self._ended.callback(self._platform.stop)
        self._machine = Machine(directory / "machine")
        self._ended.callback(self._machine.close)
        self.uses = Uses(self._first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def _prepare(self) -> None:
        with self._server.admin() as admin:
            history.install(admin)
            kill_points.install(admin)
            storm.prepare(admin)
            for statement in POISON:
                execute(admin, statement)

    def _proxy(self) -> Proxy:
        proxy = Proxy()
        self._ended.callback(proxy.close)
        proxy.lead_to(self._server.url)
        return proxy

    def _seat(self, name: str) -> Seat:
        """Make a seat with a network of its own; the first one has a clock of its own too."""
        proxy = self._proxy()
        environment = self._clock.environment if self._clock and name == SEATS[0] else {}
        url = proxy.url(self._server.daemon_url(self._server.url))
        return Seat(name, self._directory, proxy, {"DATABASE_URL": url, "LOG_LEVEL": "INFO"} | environment)

    @property
    def _first(self) -> Seat:
        return self._platform.seats[0]

    def run(self) -> Report:
        if self._plan.daemons:
            self._platform.start()
            self._first.take()
            self._first.daemon.wait_for("ready")
        load = self._load()
        nemesis = Nemesis(self._server, self._app, self._platform, load.untouched, self._clock, many=self._plan.many)
        if self._plan.faults:
            nemesis.run(self._faults(), load.began)
        load.wait()
        load.end()
        return judge(self._server.admin, self._case(nemesis, load))

    def _load(self) -> Load:
        load = Load(
            self._app.url(self._server.url),  # of a port that stays when the server takes another
            self._plan.seed,
            seconds=self._plan.seconds,
            sweeps=self._plan.daemons,
            storms=self._plan.endless_storm,
        )
        self._ended.callback(load.end)
        load.start(*([self.uses.run] if self._plan.daemons else []))
        return load

    def _faults(self) -> list[Planned]:
        faults = draw(self._plan.seed, self._plan.seconds - LAST_FAULT_SECONDS, without=self._without())
        if self._plan.deletes:
            middle = len(faults) // 2
            faults[middle] = replace(faults[middle], kind=MASS_DELETE)
        return faults

    def _without(self) -> list[str]:
        return [*self._plan.without, *([] if self._clock else ["set the clock"])]

    def _case(self, nemesis: Nemesis, load: Load) -> Case:
        storms = [Fault(STORM, load.began, time.time())] if self._plan.endless_storm else []
        return Case(
            self._plan.seed,
            load,
            self._machine,
            [*nemesis.faults, *storms],
            [*nemesis.problems, *self._platform.problems],
            [] if self._clock else ["set the clock: libfaketime is not installed"],
            nemesis.server_down,
        )
