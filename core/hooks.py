"""What an app calls inside its own transaction when something is saved, so that what should be on is on at its commit.

A hook never fails the app's save, and never makes it wait for more than a tenth of a second: what it cannot have at
once it leaves to the daemon, which hears of the save in any case.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import Connection

from core import activation
from core.errors import InvalidAttendance, SeisiunError, UnknownInstance, UnknownPerson
from core.logs import logger
from core.look import Cause, Look, Seen, look_at
from core.placement import place_person
from core.settings import load_settings
from core.store import activation as activation_store
from core.store import boards, check_ins, looks
from core.store.boards import Place
from core.transactions import AppDatabase, has_failed_already, is_contention, is_disconnected, joined

ATTENDANCES = ("yes", "maybe", "no")
HOOK_SETTINGS = looks.PLANNER_SETTINGS | {"lock_timeout": "100ms", "statement_timeout": "2s"}

Result = TypeVar("Result")

log = logger(__name__)


class WhyNot(StrEnum):
    """Why somebody who said yes is not there now."""

    NOT_OPEN_YET = "not open yet"
    OVER = "over"
    CANCELLED = "cancelled"
    NO_WINDOW = "no window"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """Where the person is now, and, if that is not where they said yes to, why not.

    `deferred`: somebody else held a row, and the daemon will place them, in milliseconds, after the commit.
    """

    at: Place | None
    why_not: WhyNot | None
    deferred: bool


def session_saved(db: AppDatabase, session_id: int, *, now: datetime | None = None) -> Seen:
    """Plan and reconcile a session whose row, or any of whose instances, has just been written in this transaction.

    What should be active is, before the app's commit returns, and what should not be is not. Never raises for what it
    finds: an unreadable recurrence is in `unreadable`, what stays without a window in `unwindowed`, and what was left
    to the daemon (somebody else holds a row; the transaction is not READ COMMITTED) in `deferred`.
    """
    with joined(db) as connection:
        return _look(connection, session_id, now)


def instance_saved(db: AppDatabase, session_instance_id: int, *, now: datetime | None = None) -> Seen:
    """Do as `session_saved` does, for the session of this instance; after deleting one, call `session_saved`."""
    with joined(db) as connection:
        session_id = check_ins.session_of(connection, session_instance_id)
        return Seen() if session_id is None else _look(connection, session_id, now)


def check_in(
    db: AppDatabase,
    person_id: int,
    session_instance_id: int,
    attendance: str,
    comment: str | None = None,
    *,
    now: datetime | None = None,
) -> CheckedIn:
    """Record what a person says of an instance (yes, maybe or no), and put them where that puts them (A2, A3).

    A yes at an active instance moves them at once; to one that has not opened it waits; to one that is over or
    cancelled it is recorded and moves nobody. Without a `comment` the one that stands stays. Raises
    `InvalidAttendance`, `UnknownPerson` and `UnknownInstance`; nothing is written then.
    """
    if attendance not in ATTENDANCES:
        raise InvalidAttendance(f"attendance is {attendance!r}; accepted are {', '.join(ATTENDANCES)}")
    with joined(db) as connection:
        saved = check_ins.save(connection, person_id, session_instance_id, attendance, comment, now=now)
        if saved is None:
            raise _unknown(connection, person_id, session_instance_id)
        checked_in = _placed(connection, person_id, saved.session_id, saved.at, now)
        return _with_reason(connection, checked_in, session_instance_id, now) if attendance == "yes" else checked_in


def remove_check_in(
    db: AppDatabase, person_id: int, session_instance_id: int, *, now: datetime | None = None
) -> CheckedIn:
    """Take back whatever a person said of an instance; raises as `check_in` does."""
    with joined(db) as connection:
        session_id, person_exists = check_ins.parties(connection, session_instance_id, person_id)
        if session_id is None or not person_exists:
            raise _unknown(connection, person_id, session_instance_id)
        check_ins.remove(connection, person_id, session_instance_id)
        return _placed(connection, person_id, session_id, now or looks.clock(connection), now)


def _unknown(connection: Connection, person_id: int, session_instance_id: int) -> SeisiunError:
    """Return which of the two there is not."""
    if check_ins.session_of(connection, session_instance_id) is None:
        return UnknownInstance(f"there is no session instance {session_instance_id}")
    return UnknownPerson(f"there is no person {person_id}")


def _look(connection: Connection, session_id: int, now: datetime | None) -> Seen:
    look = Look(Cause.HOOK, load_settings(), now, is_hook=True)
    seen = _or_deferred(connection, lambda: look_at(connection, look, [session_id]))
    return Seen(deferred=frozenset({session_id})) if seen is None else seen


def _or_deferred(connection: Connection, work: Callable[[], Result]) -> Result | None:
    """Do the work in a savepoint, and return None where it is left to the daemon; the app's save goes on either way."""
    try:
        with connection.begin_nested(), looks.look_settings(connection, HOOK_SETTINGS) as is_read_committed:
            return work() if is_read_committed else None
    except Exception as error:
        if is_disconnected(error) or has_failed_already(error):
            raise  # the app's own transaction: its save is lost already
        if not is_contention(error):
            log.exception("hook_failed")
        return None


def _placed(
    connection: Connection, person_id: int, session_id: int, said_at: datetime, now: datetime | None
) -> CheckedIn:
    seen = _or_deferred(connection, lambda: _place(connection, person_id, session_id, said_at, now))
    return CheckedIn(boards.place_of(connection, person_id), None, deferred=seen is None or bool(seen.deferred))


def _with_reason(
    connection: Connection, checked_in: CheckedIn, session_instance_id: int, now: datetime | None
) -> CheckedIn:
    """Add why somebody who said yes is not there, if they are not."""
    if checked_in.at is not None and checked_in.at.session_instance_id == session_instance_id:
        return checked_in
    return replace(checked_in, why_not=_why_not(connection, session_instance_id, now))


def _place(connection: Connection, person_id: int, session_id: int, said_at: datetime, now: datetime | None) -> Seen:
    """Reconcile the session first, so that nobody waits for a bit that lags (A3); then place the person."""
    [state] = activation_store.states(connection, [session_id], said_at)
    seen = Seen()
    if not activation.decide(state, said_at).is_nothing:
        seen = look_at(connection, Look(Cause.HOOK, load_settings(), now, is_hook=True), [session_id])
    place_person(connection, person_id, now)
    return seen


def _why_not(connection: Connection, session_instance_id: int, now: datetime | None) -> WhyNot:
    standing = check_ins.standing(connection, session_instance_id, now)
    reasons = (
        (standing.is_cancelled, WhyNot.CANCELLED),
        (standing.is_open, WhyNot.DEFERRED),
        (standing.opens_later, WhyNot.NOT_OPEN_YET),
        (standing.was_open or standing.is_past, WhyNot.OVER),
    )
    return next((reason for holds, reason in reasons if holds), WhyNot.NO_WINDOW)
