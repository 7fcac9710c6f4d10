"""An app calls these functions inside its own transaction when it saves something.

The active bits and the people are then right at the app's commit. A hook never makes the app's save fail, and never
waits longer than 100 ms for a lock. What it cannot do at once it leaves to the daemon; our triggers notify the daemon
in any case. The row of an answer is the app's own write: for that row alone a hook waits as the app's UPDATE would.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from core.db.transaction_settings import HOOK_SETTINGS, clock, savepoint
from core.db.transactions import (
    AppDatabase,
    has_failed_already,
    is_contention,
    is_disconnected,
    is_privilege_missing,
    joined,
)
from core.errors import InvalidAttendance, InvalidComment, SeisiunError, UnknownInstance, UnknownPerson
from core.ids import id_of, require_id
from core.logs import logger
from core.models import CANNOT_BE_STORED
from core.reconcile.chunk import reconcile_chunk
from core.reconcile.presence import move_person
from core.reconcile.result import PassOptions, ReconcileResult
from core.rules import flips as rules_flips
from core.rules.flips import Cause
from core.settings import load_settings
from core.store import flips as store_flips
from core.store.presence import check_ins
from core.store.views import places
from core.store.views.places import Place

ATTENDANCES = ("yes", "maybe", "no")
LONGEST_COMMENT = 300  # characters

Result = TypeVar("Result")

log = logger(__name__)


class WhyNot(StrEnum):
    """Why a person who said yes to an instance is not there now."""

    NOT_OPEN_YET = "not open yet"
    OVER = "over"
    CANCELLED = "cancelled"
    NO_WINDOW = "no window"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """Where the person is now (None: nowhere), and `why_not` at the instance that they said yes to, if they are not.

    `deferred`: another transaction holds a row; the daemon moves the person milliseconds after the commit.
    """

    at: Place | None
    why_not: WhyNot | None
    deferred: bool


def session_saved(db: AppDatabase, session_id: int, *, now: datetime | None = None) -> ReconcileResult:
    """Reconcile a session after this transaction has written the session's row or one of its instances.

    At the app's commit exactly the instance that should be active is active. Bad data raises no error: an unreadable
    recurrence is in `unreadable`, and an instance without a window in `unwindowed`. If another transaction holds a row,
    or this transaction is not READ COMMITTED, the session is in `deferred`, and the daemon reconciles it. The same if
    this transaction has failed already, or the connection is lost; a line in the log says so, and so will the app's own
    commit. Where the app is in no transaction (in autocommit, or after a COMMIT that it sent as text), the work is a
    transaction of its own. What is no id has no session: a line in the log names it, and the result is empty. `now` is
    for tests; None means the database's clock. Raises only what flushing the app's own ORM session raises.
    """
    if (known := _known("session_id", session_id)) is None:
        return ReconcileResult()
    return _saved(db, lambda connection: _reconcile(connection, known, now), _deferred(known))


def instance_saved(db: AppDatabase, session_instance_id: int, *, now: datetime | None = None) -> ReconcileResult:
    """Do as `session_saved` does, for the session of an instance. After deleting an instance, call `session_saved`.

    The result is empty if there is no such instance, or it cannot be read because the transaction has failed already.
    """
    if (known := _known("session_instance_id", session_instance_id)) is None:
        return ReconcileResult()

    def work(connection: Connection) -> ReconcileResult:
        session_id = _or_none(connection, lambda _: check_ins.session_of(connection, known))
        return ReconcileResult() if session_id is None else _reconcile(connection, session_id, now)

    return _saved(db, work, ReconcileResult())


def _known(name: str, value: object) -> int | None:
    """Return the id that a value means; if it means none, log that: the app's save goes on."""
    found = id_of(value)
    if found is None:
        log.warning("hook_refused", error=f"{name} is {value!r}; expected an id, which is a whole number")
    return found


def check_in(
    db: AppDatabase,
    person_id: int,
    session_instance_id: int,
    attendance: str,
    comment: str | None = None,
    *,
    now: datetime | None = None,
) -> CheckedIn:
    """Record what a person says about an instance (yes, maybe or no), and move the person if necessary (A2, A3).

    A yes to an active instance moves the person there at once. A yes to an instance that has not opened moves them when
    it opens. A yes to an instance that is over or cancelled moves nobody. Without a `comment`, the old comment stays.
    Raises `InvalidAttendance`, `InvalidComment` (no text, over 300 characters, or with a NUL or half a surrogate pair),
    `UnknownPerson` and `UnknownInstance`, and then writes nothing.
    """
    person_id, session_instance_id = _ids(person_id, session_instance_id)
    if attendance not in ATTENDANCES:
        raise InvalidAttendance(f"attendance is {attendance!r}; accepted are {', '.join(ATTENDANCES)}")
    if comment is not None:
        _require_comment(comment)
    with joined(db) as connection:
        saved = check_ins.save(connection, person_id, session_instance_id, attendance, comment, now=now)
        if saved is None:
            raise _unknown(connection, person_id, session_instance_id)
        asked = session_instance_id if attendance == "yes" else None
        return _moved(connection, person_id, saved, asked, now)


def _ids(person_id: object, session_instance_id: object) -> tuple[int, int]:
    """Return both ids. Raises `UnknownPerson` and `UnknownInstance` for what is none."""
    return (
        require_id(person_id, "person", UnknownPerson),
        require_id(session_instance_id, "session instance", UnknownInstance),
    )


def _require_comment(comment: object) -> None:
    if not isinstance(comment, str):
        raise InvalidComment(f"the comment is {comment!r:.80}; accepted is text")
    if len(comment) > LONGEST_COMMENT:
        raise InvalidComment(f"the comment has {len(comment)} characters; accepted are at most {LONGEST_COMMENT}")
    if found := CANNOT_BE_STORED.search(comment):
        raise InvalidComment(
            f"the comment has {found[0]!r} at character {found.start() + 1}; accepted is text without NUL and half "
            "surrogates"
        )


def leave(db: AppDatabase, person_id: int, session_instance_id: int, *, now: datetime | None = None) -> CheckedIn:
    """Record that a person left an instance that they said yes to; they are nowhere then (A2).

    The yes stays for the record. It no longer counts, and neither do their other yeses for instances that are open now.
    The person is somewhere again when they say yes again, or when another instance opens that they said yes to. If they
    have not said yes to this one, nothing is written. Raises `UnknownPerson` and `UnknownInstance`.
    """
    person_id, session_instance_id = _ids(person_id, session_instance_id)
    with joined(db) as connection:
        session_id = _require_parties(connection, person_id, session_instance_id)
        check_ins.leave(connection, person_id, session_instance_id, now=now)
        return _moved(connection, person_id, check_ins.Saved(session_id, now or clock(connection)), None, now)


def remove_check_in(
    db: AppDatabase, person_id: int, session_instance_id: int, *, now: datetime | None = None
) -> CheckedIn:
    """Delete what a person said about an instance, and move the person if necessary.

    Raises `UnknownPerson` and `UnknownInstance`, and then writes nothing.
    """
    person_id, session_instance_id = _ids(person_id, session_instance_id)
    with joined(db) as connection:
        session_id = _require_parties(connection, person_id, session_instance_id)
        check_ins.remove(connection, person_id, session_instance_id)
        return _moved(connection, person_id, check_ins.Saved(session_id, now or clock(connection)), None, now)


def _require_parties(connection: Connection, person_id: int, session_instance_id: int) -> int:
    """Return the session of the instance; raise an error if there is no such person or instance."""
    session_id, person_exists = check_ins.parties(connection, session_instance_id, person_id)
    if session_id is None or not person_exists:
        raise _unknown(connection, person_id, session_instance_id)
    return session_id


def _unknown(connection: Connection, person_id: int, session_instance_id: int) -> SeisiunError:
    """Return the error that says which of the two does not exist."""
    if check_ins.session_of(connection, session_instance_id) is None:
        return UnknownInstance(f"there is no session instance {session_instance_id}")
    return UnknownPerson(f"there is no person {person_id}")


def _saved(
    db: AppDatabase, work: Callable[[Connection], ReconcileResult], otherwise: ReconcileResult
) -> ReconcileResult:
    """Do the work on the app's connection; if that can do nothing more, log a line and return `otherwise`.

    The app learns of it from its own commit; if the work was a transaction of its own, the app's save stands already.
    """
    result = None
    try:
        with joined(db) as connection:
            result = work(connection)
    except PendingRollbackError:  # its text shows the parameters of the statement that failed
        log.warning("hook_refused", error="the ORM session has failed before, and waits to be rolled back")
    except (DBAPIError, psycopg2.Error) as error:
        if result is None and not _is_lost(error):
            raise  # for example, flushing the app's own ORM session has failed
        log.warning("hook_refused", error=str(getattr(error, "orig", error)).strip())
    else:
        return result
    return otherwise


def _is_lost(error: Exception) -> bool:
    """Return whether the app's transaction cannot be committed any more: it had failed, or the connection is lost."""
    return is_disconnected(error) or has_failed_already(error)


def _reconcile(connection: Connection, session_id: int, now: datetime | None) -> ReconcileResult:
    result = _or_deferred(connection, lambda: _pass(connection, session_id, now))
    return _deferred(session_id) if result is None else result


def _deferred(session_id: int) -> ReconcileResult:
    return ReconcileResult(deferred=frozenset({session_id}))


def _pass(connection: Connection, session_id: int, now: datetime | None) -> ReconcileResult:
    return reconcile_chunk(connection, PassOptions(Cause.HOOK, load_settings(), now, is_hook=True), [session_id])


def _or_deferred(connection: Connection, work: Callable[[], Result], *, tell: bool = True) -> Result | None:
    """Do the work in a savepoint with our settings, and return its result; return None if the daemon must do it."""

    def if_read_committed(is_read_committed: bool) -> Result | None:  # noqa: FBT001 -- what the savepoint says
        return work() if is_read_committed else None

    return _or_none(connection, if_read_committed, tell=tell)


def _or_none(connection: Connection, work: Callable[[bool], Result | None], *, tell: bool = True) -> Result | None:
    """Do the work in a savepoint, and return its result; return None if it fails.

    Either way the app can go on with its transaction. The work is told whether that is READ COMMITTED. `tell`: log an
    error that is not another transaction's doing.
    """
    try:
        with savepoint(connection, HOOK_SETTINGS) as is_read_committed:
            return work(is_read_committed)
    except Exception as error:
        if _is_lost(error):
            raise  # the app's save is lost anyway
        if not tell:
            pass
        elif is_privilege_missing(error):
            log.warning("hook_refused", error=str(error.orig).strip())
        elif not is_contention(error):
            log.exception("hook_failed")
        return None


def _moved(
    connection: Connection, person_id: int, saved: check_ins.Saved, asked: int | None, now: datetime | None
) -> CheckedIn:
    """Move the person if necessary; say where they are now, and why not at the instance `asked` (None: not a yes)."""

    def move_and_say() -> CheckedIn:
        moved = _move_now(connection, person_id, saved, now)
        return _checked_in(connection, person_id, asked, now, deferred=bool(moved.deferred))

    def say() -> CheckedIn:
        return _checked_in(connection, person_id, asked, now, deferred=True)

    # Perhaps our tables, or a name in the app's encoding, cannot be read, so that both fail: then we know only that the
    # daemon will move the person.
    found = _or_deferred(connection, move_and_say) or _or_deferred(connection, say, tell=False)
    return found or CheckedIn(None, WhyNot.DEFERRED if asked else None, deferred=True)


def _checked_in(
    connection: Connection, person_id: int, asked: int | None, now: datetime | None, *, deferred: bool
) -> CheckedIn:
    at = places.place_of(connection, person_id)
    if asked is None or (at is not None and at.session_instance_id == asked):
        return CheckedIn(at, None, deferred=deferred)
    return CheckedIn(at, _why_not(connection, asked, now), deferred=deferred)


def _move_now(connection: Connection, person_id: int, saved: check_ins.Saved, now: datetime | None) -> ReconcileResult:
    """Reconcile the session first, so that nobody waits for an edit or a bit that lags (A3); then move the person."""
    result = ReconcileResult()
    state, edit_waits = store_flips.state_and_edit(connection, saved.session_id, saved.at)
    if edit_waits or not rules_flips.decide(state, saved.at).is_nothing:
        result = _pass(connection, saved.session_id, now)
    move_person(connection, person_id, now)
    return result


def _why_not(connection: Connection, session_instance_id: int, now: datetime | None) -> WhyNot:
    status = check_ins.instance_status(connection, session_instance_id, now)
    reasons = (
        (status.is_cancelled, WhyNot.CANCELLED),
        (status.is_open, WhyNot.DEFERRED),
        (status.opens_later, WhyNot.NOT_OPEN_YET),
        (status.was_open or status.is_past, WhyNot.OVER),
    )
    return next((reason for holds, reason in reasons if holds), WhyNot.NO_WINDOW)
