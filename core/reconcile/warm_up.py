"""Runs the statements of a flip and of a plan once before the first edge, with ids that no row has."""

from sqlalchemy import Connection

from core.clock import EPOCH
from core.rules.flips import Cause, Decision, Flip, PhaseChange
from core.rules.planner import Plan
from core.store import flips
from core.store.planning import plans, snapshots
from core.store.presence import locations, yeses
from core.store.queue import requests

NO_IDS = [-1]  # ids are positive


def warm_up(connection: Connection) -> None:
    """Compile the statements of a flip, and of a plan that changes nothing, and have the server plan them.

    The first run of a statement is the slowest. Without the warm-up the first edge would wait for it.
    """
    off = Flip(-1, -1, active=False, due_at=EPOCH)
    plan = Plan(-1, (), (), {}, frozenset(), frozenset(), (), (), next_plan_at=None)
    decision = Decision(-1, off, None, (PhaseChange(-1, EPOCH, "over"),))
    requests.lock_plans(connection, NO_IDS)
    requests.plan_states(connection, NO_IDS)
    requests.delete_read(connection, NO_IDS)
    snapshots.snapshots(connection, NO_IDS, EPOCH.date())
    plans.lock_for(connection, [plan], EPOCH)
    plans.write(connection, [plan], EPOCH, stored=frozenset(), requested={}, planned_through=EPOCH, zone_version="")
    flips.states(connection, NO_IDS, EPOCH)
    flips.lock_for(connection, [decision])
    flips.write(connection, [decision], cause=Cause.START, done_at=None)
    _warm_up_people(connection)


def _warm_up_people(connection: Connection) -> None:
    locations.at(connection, NO_IDS)
    locations.lock(connection, NO_IDS)
    locations.lock_who_said_yes(connection, NO_IDS)
    locations.affected_by(connection, NO_IDS, EPOCH.date())
    locations.move(connection, {-1: -1})
    yeses.move_undisputed(connection, NO_IDS, NO_IDS, EPOCH)
    yeses.by_person(connection, NO_IDS, EPOCH)
