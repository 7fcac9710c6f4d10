"""What one reading of the database says of a session or a person, and the explanation that is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from core.rules.flips import SessionState, WindowState
from core.rules.planner import SessionSnapshot
from core.rules.presence import Left, SaidYes


class Why(StrEnum):
    """Why a session or an instance is on or not."""

    ON = "on"
    OVERLAPPED = "overlapped"  # another instance of its session is on instead (P7)
    NOT_YET = "not yet"
    OVER = "over"
    CANCELLED = "cancelled"
    LOST = "lost"
    TERMINATED = "terminated"  # dated after the session's last date (R3)
    NO_HOURS = "no hours"
    UNREADABLE = "unreadable"
    SKIPPED = "skipped"  # somebody deleted the row
    NOT_PLANNED = "not planned"  # the next date is beyond the horizon
    NOTHING = "nothing"
    NOT_KEPT = "not kept"  # the log does not reach back so far


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain: what it is about, and what is so."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer in one sentence, and the chain that leads to it.

    is_on    whether it is on at `at`: the stored bit if `at` is now, what the rules say if it is ahead, what the log of
             flips says if it is past; None if the log does not reach back so far
    agrees   whether the stored state is what the rules say; if not, a pass is still to come, or cannot do its work
    """

    session_id: int
    name: str
    session_instance_id: int | None
    at: datetime
    verdict: str
    why: Why
    is_on: bool | None
    agrees: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class PersonExplanation:
    """Where a person is stored to be, where the rows say that they should be, why, and the yeses behind it.

    `agrees`: whether the two are the same.
    """

    person_id: int
    at: datetime
    verdict: str
    session_instance_id: int | None
    should_be_at: int | None
    agrees: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known of a row beside its times: its bit, who made it, whether it was touched, why it is cancelled."""

    is_on: bool
    is_planners: bool
    is_untouched: bool
    cancel_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedFlip:
    """A flip, as the log has it.

    `change`: what it means to an app, None in rows of earlier releases. `daemon`: host and process id of the daemon
    that made it, None where none did.
    """

    session_instance_id: int
    active: bool
    due_at: datetime
    done_at: datetime
    cause: str
    change: str | None = None
    daemon: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A transaction that holds locks on tables which a pass writes; it began `open_for` ago."""

    pid: int
    application: str
    state: str | None
    open_for: timedelta
    query: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What is known of the pass that is to come: who asks for it, and what keeps it.

    session_id    the session that it serves
    is_unnoticed  nothing is due at an instant, so it comes only if somebody requests it
    requested_at  since when it is requested; None if nobody requests it
    failure       why the last pass failed; None if it did not
    retry_at      when a failed session is tried again
    has_daemon    whether a daemon works
    holders       the transactions that may be in its way
    broken        our triggers that are missing or disabled, so that an edit requests no pass
    """

    session_id: int
    is_unnoticed: bool
    requested_at: datetime | None = None
    failure: str | None = None
    retry_at: datetime | None = None
    has_daemon: bool = True
    holders: tuple[Holder, ...] = ()
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonReading:
    """A person, where they are stored to be, their yeses to instances that should be on, and what they left (A2)."""

    person_id: int
    at_instance: int | None
    said: tuple[SaidYes, ...]
    left: tuple[Left, ...] = ()
    is_deactivated: bool = False


@dataclass(frozen=True, slots=True)
class Yes:
    """A yes of a person's, or a maybe, and its instance.

    `opens_at`, `closes_at`: its window that is not over, if it has one. `verdict`: why the instance is not on, if it
    has none; read for the latest only.
    """

    session_instance_id: int
    session_id: int
    name: str
    timezone: str | None
    said_at: datetime | None
    is_cancelled: bool
    opens_at: datetime | None
    closes_at: datetime | None
    is_maybe: bool = False
    verdict: str | None = None

    @property
    def has_nothing_to_come(self) -> bool:
        """Whether its instance has no window that is not over, without being cancelled."""
        return self.opens_at is None and not self.is_cancelled


@dataclass(frozen=True, slots=True)
class Attendance:
    """How many people said yes to an instance, and some of them, by id; `pending`: the pass that moves some of them."""

    people: tuple[PersonReading, ...] = ()
    yeses: int = 0
    pending: Pending | None = None


@dataclass(frozen=True, slots=True)
class SessionReading:
    """What one reading says of a session at `read_at`, by the database's clock.

    state       its live windows, its active instance, and since when a pass is requested
    windows     all stored windows of its instances, also those that are over
    rows        instance id -> what is known beside its times
    flips       its flips around the instant that is asked for, also of rows that are gone, the newest first
    failure     why its last pass failed; None if it did not
    retry_at    when a failed session is tried again
    has_daemon  whether a daemon works
    kept        how long the log of flips and past windows are kept
    log_begins  when the log of flips begins, if that is known
    holders     the transactions that may be in the way of a pass; read only where one is still to come
    broken      our triggers that are missing or disabled; likewise
    """

    name: str
    read_at: datetime
    snapshot: SessionSnapshot
    state: SessionState
    windows: tuple[WindowState, ...] = ()
    rows: Mapping[int, RowFacts] = field(default_factory=dict)
    flips: tuple[LoggedFlip, ...] = ()
    failure: str | None = None
    retry_at: datetime | None = None
    has_daemon: bool = True
    kept: timedelta = timedelta(days=30)
    log_begins: datetime | None = None
    holders: tuple[Holder, ...] = ()
    broken: tuple[str, ...] = ()
