"""Carries out what was drawn, one fault after the other, and notes from when until when each held things up."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import execute
from tests.faults import kill_points, storm
from tests.faults.book import instance_subject
from tests.faults.checker import Fault
from tests.faults.draw import MASS_DELETE, STORM, Planned
from tests.faults.platform import Platform, Seat
from tests.faults.proxy import Proxy
from tests.faults.server import ROLE, Server, until_it_answers
from tests.faults.untouched import Untouched
from tests.scheduler.daemon.fake_clock import FakeClock
from tests.scheduler.daemon_process import STOPS_WITHIN_SECONDS

KILLED_SECONDS = 2.0  # from the new process' start until all is right
SILENCE_SECONDS = 15.0  # from the moment of silence, however long it lasts (up to 12 s)
LEASE_SECONDS = 2.0  # a daemon that is gone, with locks: its transaction ends by itself
BACKOFF_SECONDS = 10.0  # a session at which passes failed is tried again after 2, 4, 8 s (L5)
MASS_DELETE_SECONDS = 2.0  # from the commit that deletes many sessions until an edit takes effect in time again
REFUSED_ALIKE_SECONDS = 3.5  # of those that failed alike one tries each second, and calls the others
POINT_PATIENCE_SECONDS = 4.0
START_PATIENCE_SECONDS = 20.0
NOBODY: frozenset[str] = frozenset()

T = TypeVar("T")


class Nemesis:
    """Works in the thread that calls `run`; `faults` grows meanwhile."""

    def __init__(
        self,
        server: Server,
        app: Proxy,
        platform: Platform,
        untouched: Untouched,
        clock: FakeClock | None,
        *,
        many: int,
    ) -> None:
        self._server = server
        self._app = app
        self._platform = platform
        self._untouched = untouched
        self._clock = clock
        self._many = many
        self.faults: list[Fault] = []
        self.problems: list[str] = []
        self.server_down: list[tuple[float, float]] = []

    def run(self, planned: Sequence[Planned], began: float) -> None:
        for fault in planned:
            time.sleep(max(0.0, began + fault.at - time.time()))
            KINDS[fault.kind](self, fault)

    def _note(self, kind: str, begun: float, bound: float, subjects: frozenset[str] | None = None) -> None:
        self.faults.append(Fault(kind, begun, time.time(), bound, subjects))

    def _seat(self, fault: Planned) -> Seat:
        """Choose a seat in which a daemon runs."""
        return _choose([seat for seat in self._platform.seats if seat.taken], fault.chance)

    def _others_serve(self, seat: Seat) -> bool:
        """Say whether another daemon serves, and is not itself still to notice that its network fell silent."""
        return any(other is not seat and time.time() > other.deaf_until for other in self._platform.ready())

    def _wait_until(self, true: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                self.problems.append(f"not within {seconds:g} s: {what}")
                return
            time.sleep(0.01)

    def _wait_until_spawned(self, seat: Seat, before: int) -> None:
        self._wait_until(lambda: seat.incarnation > before, f"{seat.name} was started again", START_PATIENCE_SECONDS)

    @contextlib.contextmanager
    def _admin(self) -> Iterator[Connection]:
        with contextlib.closing(until_it_answers(self._app.url(self._server.url))) as connection:
            connection.autocommit = True
            yield connection

    def kill(self, fault: Planned) -> None:
        seat, begun = self._seat(fault), time.time()
        covered, incarnation = self._others_serve(seat), seat.incarnation
        seat.kill()
        if not covered:
            self._wait_until_spawned(seat, incarnation)
        self._note(fault.kind, begun, KILLED_SECONDS)

    def kill_at_a_point(self, fault: Planned) -> None:
        with self._admin() as admin:
            kill_points.arm(admin, fault.point)
            if kill_points.PLANNED_INSTANCE in fault.point:
                storm.blow(admin)
            try:
                seat = self._seat_at_the_point(admin)
                begun = time.time()
                if not seat:
                    return
                incarnation = seat.incarnation
                seat.kill()
            finally:
                kill_points.disarm(admin)
        self._wait_until_spawned(seat, incarnation)
        self._note(f"kill {fault.point}", begun - kill_points.PAUSE_SECONDS, KILLED_SECONDS)

    def _seat_at_the_point(self, admin: Connection) -> Seat | None:
        deadline = time.monotonic() + POINT_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if port := kill_points.arrived(admin):
                return self._platform.seat_of(port)
            time.sleep(0.01)
        return None

    def pause(self, fault: Planned) -> None:
        seat, begun = self._seat(fault), time.time()
        covered = self._others_serve(seat)
        seat.pause()
        if covered:
            self._note(fault.kind, begun, LEASE_SECONDS + 1)
        time.sleep(fault.seconds)
        seat.resume()
        if not covered:
            self._note(fault.kind, begun, 2)

    def terminate(self, fault: Planned) -> None:
        """End one connection of a daemon, or all."""
        begun = time.time()
        with self._admin() as admin:
            backends = execute(admin, "SELECT pid FROM pg_stat_activity WHERE usename = %s ORDER BY pid", ROLE)
            chosen = backends if fault.chance < 0.3 else [_choose(backends, fault.chance)] if backends else []
            for (pid,) in chosen:
                execute(admin, "SELECT pg_terminate_backend(%s)", pid)
        self._note(fault.kind, begun, 2)

    def crash_the_server(self, fault: Planned) -> None:
        begun = time.time()
        self._server.crash()
        time.sleep(fault.seconds)
        self._server.start_again()
        for proxy in (*(seat.proxy for seat in self._platform.seats), self._app):
            proxy.lead_to(self._server.url)
        until_it_answers(self._server.url).close()
        self.server_down.append((begun, time.time()))
        self._note(fault.kind, begun, 2)

    def lose_packets(self, fault: Planned, *, forget: bool = False, acknowledging: bool = False) -> None:
        seat, begun = self._seat(fault), time.time()
        covered = self._others_serve(seat)
        seat.deaf_until = begun + SILENCE_SECONDS
        seat.proxy.fall_silent(acknowledging=acknowledging)
        if covered:
            self._note(fault.kind, begun, LEASE_SECONDS + 1)
        time.sleep(fault.seconds)
        seat.proxy.speak(forget=forget)
        if not covered:
            self._note(fault.kind, begun, max(2.0, SILENCE_SECONDS - fault.seconds))

    def forget_connections(self, fault: Planned) -> None:
        self.lose_packets(fault, forget=True)

    def hang_in_the_middle(self, fault: Planned) -> None:
        self.lose_packets(fault, forget=fault.chance < 0.5, acknowledging=True)

    def lock_rows(self, fault: Planned) -> None:
        """Hold the rows of some sessions, as an app does that takes its time: only they may have to wait."""
        begun = time.time()
        soon = sorted(i for i, window in self._untouched.instances.items() if abs(window.opens_at - begun - 1) < 2)
        with self._admin() as admin:
            admin.autocommit = False
            sessions = [
                row[0]
                for row in execute(
                    admin,
                    "SELECT DISTINCT session_id FROM session_instance WHERE session_instance_id = ANY (%s) "
                    "ORDER BY session_id LIMIT 4",
                    soon,
                )
            ]
            subjects = self._subjects(admin, sessions)
            try:
                for lock in _ROW_LOCKS[int(fault.chance * len(_ROW_LOCKS))]:
                    execute(admin, lock, sessions)
                time.sleep(fault.seconds)
            except psycopg2.errors.DeadlockDetected:
                pass  # with a long transaction of the app's, which locks in another order
            admin.rollback()
        self._note(fault.kind, begun, 2, subjects)

    def _subjects(self, admin: Connection, sessions: Sequence[int]) -> frozenset[str]:
        rows = execute(
            admin,
            "SELECT i.session_instance_id, person_id FROM session_instance i "
            "LEFT JOIN session_instance_person USING (session_instance_id) WHERE session_id = ANY (%s)",
            sessions,
        )
        people = {f"person {person_id} at {instance_id}" for instance_id, person_id in rows}
        return frozenset(people | {instance_subject(instance_id) for instance_id, _ in rows})

    def lock_a_table(self, fault: Planned) -> None:
        begun = time.time()
        with self._admin() as admin:
            admin.autocommit = False
            try:
                execute(admin, "SET LOCAL lock_timeout = '2s'")
                execute(admin, f"LOCK TABLE {_choose(_TABLES, fault.chance)} IN ACCESS EXCLUSIVE MODE")
                time.sleep(fault.seconds)
            except psycopg2.errors.LockNotAvailable:
                pass  # a waiting statement holds up those that come after: it was a fault all the same
            admin.rollback()
        self._note(fault.kind, begun, 2)

    def set_the_clock(self, fault: Planned) -> None:
        assert self._clock
        for step in (fault.step, 0.0):
            self._clock.set(step)
            begun = time.time()
            self._note(fault.kind, begun, 2)
            time.sleep(fault.seconds)

    def storm_of_edits(self, fault: Planned) -> None:
        """What others edit meanwhile has to wait its turn; edges have no excuse."""
        begun = time.time()
        with self._admin() as admin:
            storm.rage(admin, fault.seconds)
        self._note(fault.kind, begun, 2)

    def delete_many(self, fault: Planned) -> None:
        """Add sessions, and delete them while some are planned and some are not."""
        begun = time.time()
        with self._admin() as admin:
            storm.add_many(admin, self._many)
            time.sleep(fault.seconds)
            storm.delete_many(admin)
        self._note(fault.kind, begun, MASS_DELETE_SECONDS)

    def revoke(self, fault: Planned) -> None:
        table, begun = _choose(_REVOKED, fault.chance), time.time()
        with self._admin() as admin:
            execute(admin, f"REVOKE UPDATE ON {table} FROM {ROLE}")
            time.sleep(fault.seconds)
            execute(admin, f"GRANT UPDATE ON {table} TO {ROLE}")
        self._note(fault.kind, begun, REFUSED_ALIKE_SECONDS)

    def poison(self, fault: Planned) -> None:
        """Have a trigger of the app's raise for one session: the others have no excuse."""
        begun = time.time()
        if not self._untouched.sessions:
            return
        session_id = _choose(self._untouched.sessions[-10:], fault.chance)
        with self._admin() as admin:
            execute(admin, "INSERT INTO poisoned VALUES (%s)", session_id)
            time.sleep(fault.seconds)
            execute(admin, "DELETE FROM poisoned")
            subjects = self._subjects(admin, [session_id])
        self._note(fault.kind, begun, BACKOFF_SECONDS, subjects)

    def daemons_come(self, fault: Planned) -> None:
        if free := [seat for seat in self._platform.seats if not seat.taken]:
            begun = time.time()
            seat = _choose(free, fault.chance)
            seat.take()
            self._wait_until(lambda: seat.ready, f"{seat.name} is ready", START_PATIENCE_SECONDS)
            self._note(fault.kind, begun, 0, NOBODY)

    def daemons_go(self, fault: Planned) -> None:
        """A deploy's end: SIGTERM for one, where another serves."""
        taken = [seat for seat in self._platform.ready() if self._others_serve(seat)]
        if not taken:
            return
        seat, begun = _choose(taken, fault.chance), time.time()
        status, seconds = seat.leave()
        if status != 0 or seconds > STOPS_WITHIN_SECONDS:
            self.problems.append(f"{seat.name} ended with {status} in {seconds:.1f} s after SIGTERM")
        self._note(fault.kind, begun, 0, NOBODY)


KINDS: dict[str, Callable[[Nemesis, Planned], None]] = {
    "kill": Nemesis.kill,
    "kill at a point": Nemesis.kill_at_a_point,
    "pause": Nemesis.pause,
    "terminate": Nemesis.terminate,
    "crash the server": Nemesis.crash_the_server,
    "lose packets": Nemesis.lose_packets,
    "forget connections": Nemesis.forget_connections,
    "hang in the middle": Nemesis.hang_in_the_middle,
    "lock rows": Nemesis.lock_rows,
    "lock a table": Nemesis.lock_a_table,
    "set the clock": Nemesis.set_the_clock,
    STORM: Nemesis.storm_of_edits,
    MASS_DELETE: Nemesis.delete_many,
    "revoke": Nemesis.revoke,
    "poison": Nemesis.poison,
    "daemons come": Nemesis.daemons_come,
    "daemons go": Nemesis.daemons_go,
}

_INSTANCES = "SELECT FROM session_instance WHERE session_id = ANY (%s) FOR UPDATE"
_SESSIONS = "SELECT FROM session WHERE session_id = ANY (%s) FOR UPDATE"
_PLANS = "SELECT FROM session_plan WHERE session_id = ANY (%s) FOR UPDATE"
_PEOPLE = """
    SELECT FROM person WHERE person_id IN (
        SELECT person_id FROM session_instance_person JOIN session_instance USING (session_instance_id)
        WHERE session_id = ANY (%s)) FOR UPDATE
"""
_ROW_LOCKS = ([_INSTANCES], [_SESSIONS], [_PLANS], [_PEOPLE], [_SESSIONS, _INSTANCES, _PEOPLE])
_TABLES = ("session_instance", "session", "person", "session_plan", "activation_window", "session_instance_person")
_REVOKED = ("session_instance", "person", "session_plan", "activation_window")


def _choose(among: Sequence[T], chance: float) -> T:
    return among[int(chance * len(among))]
