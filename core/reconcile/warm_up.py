"""Run every statement of a flip once before the first edge, on rows that cannot exist."""

from sqlalchemy import Connection

from core.clock import EPOCH
from core.reconcile.result import Cause
from core.rules.flips import Decision, Flip, PhaseChange
from core.store import flips
from core.store.planning import snapshots
from core.store.presence import locations, yeses
from core.store.queue import requests

NOBODY = [-1]


def warm_up(connection: Connection) -> None:
    """Compile the statements of a flip, and have the connection's server process read the catalogue that they need.

    The first run of a statement takes the longest, and an edge would wait for it.
    """
    nothing = Flip(-1, -1, active=False, due_at=EPOCH)
    on = Flip(-1, -1, active=True, due_at=EPOCH)
    decision = Decision(-1, nothing, on, (PhaseChange(-1, EPOCH, "over"),))
    requests.lock_plans(connection, NOBODY)
    requests.plan_states(connection, NOBODY)
    requests.delete_read(connection, NOBODY)
    snapshots.snapshots(connection, NOBODY, EPOCH.date())
    flips.states(connection, NOBODY, EPOCH)
    flips.lock_for(connection, [decision])
    flips.write(connection, [decision], cause=Cause.START, done_at=None)
    _warm_up_people(connection)


def _warm_up_people(connection: Connection) -> None:
    locations.at(connection, NOBODY)
    locations.lock(connection, NOBODY)
    locations.lock_who_said_yes(connection, NOBODY)
    locations.lock_active(connection, NOBODY)
    locations.affected_by(connection, NOBODY, EPOCH.date())
    locations.move(connection, {-1: None})
    yeses.move_undisputed(connection, NOBODY, NOBODY, EPOCH)
    yeses.by_person(connection, NOBODY, EPOCH)
    yeses.awaited(connection, NOBODY, EPOCH)
