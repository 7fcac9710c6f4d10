"""What people do in the app that changes what is on, and who is there, and what its own columns must say afterwards."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.adoption.deployed import Tracker, Visitor
from tests.data import value
from tests.scheduler.daemon_process import TIMEOUT_SECONDS
from tests.scheduler.soon import ELSEWHERE, HOUR, local, weekly

IsRight = Callable[[], bool]
NO_SUCH_ROW = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns that say what is on and who is there: the app's own, or ours."""

    is_on: str
    pointer: str


OLDER = Columns("is_active", "at_active_session_instance_id")
OURS = Columns("active", "active_session_instance_id")


class Scene:
    """An organiser, somebody who is at an evening that is on, and the app's columns."""

    def __init__(self, app: Tracker, connection: Connection, columns: Columns) -> None:
        self._connection, self._columns = connection, columns
        self.organiser, self.guest = Visitor(app), Visitor(app)
        self.session = self.organiser.add_session()

    def is_on(self, evening: int) -> bool | None:
        on: bool | None = value(
            self._connection,
            f"SELECT {self._columns.is_on} FROM session_instance WHERE session_instance_id = %s",
            evening,
        )
        return on

    def where(self, person: Visitor) -> int | None:
        at: int | None = value(
            self._connection, f"SELECT {self._columns.pointer} FROM person WHERE person_id = %s", person.person_id
        )
        return at

    def evening(self) -> int:
        """Return an evening that is on."""
        evening = self.organiser.add_evening(self.session, **HOURS)
        wait(lambda: self.is_on(evening) is True)
        return evening

    def visited(self) -> int:
        """Return an evening that is on, where the guest is."""
        evening = self.evening()
        self.guest.post(f"/instances/{evening}/check-in", attendance="yes")
        wait(lambda: self.where(self.guest) == evening)
        return evening

    def rows(self) -> int:
        """Return how many rows the session has."""
        statement = "SELECT count(*) FROM session_instance WHERE session_id = %s"
        return int(value(self._connection, statement, self.session))

    def is_on_today(self) -> bool | None:
        """Return whether the session is on.

        It may have two rows for today: the app's older code and our planner may each make one at once. Then the app's
        is on; ours goes, unless the app's older code has set its own column in it.
        """
        statement = f"SELECT bool_or({self._columns.is_on}) FROM session_instance WHERE session_id = %s"
        on: bool | None = value(self._connection, statement, self.session)
        return on


HOURS = {"date": f"{local(0):%Y-%m-%d}", "start_time": f"{local(-HOUR):%H:%M}", "end_time": f"{local(HOUR):%H:%M}"}


def wait(is_right: IsRight) -> float:
    """Wait until it is right; return after how many milliseconds it was."""
    begun = time.perf_counter()
    while not is_right():
        assert time.perf_counter() - begun < TIMEOUT_SECONDS, "the app's columns are not right"
        time.sleep(0.001)
    return 1000 * (time.perf_counter() - begun)


def recurrence_saved(scene: Scene) -> IsRight:
    scene.session = scene.organiser.add_session(auto_create_instances=True)
    scene.organiser.put(f"/sessions/{scene.session}/recurrence", recurrence=weekly(-HOUR, HOUR))
    return lambda: scene.is_on_today() is True


def check_in(scene: Scene) -> IsRight:
    evening = scene.evening()
    scene.guest.post(f"/instances/{evening}/check-in", attendance="yes")
    return lambda: scene.where(scene.guest) == evening


def cancel(scene: Scene) -> IsRight:
    evening = scene.visited()
    scene.organiser.post(f"/instances/{evening}/cancel", is_cancelled=True)
    return lambda: scene.is_on(evening) is False and scene.where(scene.guest) is None


def move(scene: Scene) -> IsRight:
    evening = scene.visited()
    scene.organiser.put(f"/instances/{evening}/hours", **HOURS | {"date": f"{local(48 * HOUR):%Y-%m-%d}"})
    return lambda: scene.is_on(evening) is False and scene.where(scene.guest) is None


def terminate(scene: Scene) -> IsRight:
    evening = scene.visited()
    scene.organiser.post(f"/sessions/{scene.session}/terminate", date=f"{local(-24 * HOUR):%Y-%m-%d}")
    return lambda: scene.is_on(evening) is False and scene.where(scene.guest) is None


def zone(scene: Scene) -> IsRight:
    evening = scene.visited()
    scene.organiser.put(f"/sessions/{scene.session}/zone", timezone=ELSEWHERE)
    return lambda: scene.is_on(evening) is False and scene.where(scene.guest) is None


def delete(scene: Scene) -> IsRight:
    evening = scene.visited()
    scene.organiser.delete(f"/instances/{evening}")
    return lambda: scene.is_on(evening) is NO_SUCH_ROW and scene.where(scene.guest) is None


def merge(scene: Scene) -> IsRight:
    evening = scene.visited()
    scene.organiser.post(f"/people/{scene.guest.person_id}/merge", into=scene.organiser.person_id)
    return lambda: scene.where(scene.organiser) == evening


def log_today(scene: Scene) -> IsRight:
    evening = scene.organiser.post(f"/sessions/{scene.session}/log-today")["session_instance_id"]
    return lambda: scene.is_on(evening) is True


ACTIONS: dict[str, Callable[[Scene], IsRight]] = {
    "recurrence saved": recurrence_saved,
    "check-in": check_in,
    "cancel": cancel,
    "move": move,
    "terminate": terminate,
    "zone": zone,
    "delete": delete,
    "merge of two people": merge,
    "log today": log_today,
}


def milliseconds_until_right(app: Tracker, columns: Columns, times: int) -> dict[str, list[float]]:
    """Do everything so many times; return how long after the app's answer its columns were right."""
    with app.connected() as connection:
        return {
            name: [wait(act(Scene(app, connection, columns))) for _ in range(times)] for name, act in ACTIONS.items()
        }
