"""A reading, and what the rules say of it: which windows its rows mean, and what the next pass will flip."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.rules.binding import Binding, Hours, InstanceSnapshot, Outcome
from core.rules.explanation import wording
from core.rules.explanation.reading import LoggedFlip, Pending, SessionReading
from core.rules.flips import Cause, Change, Decision, SessionState, WindowState, decide
from core.rules.overlaps import Contender
from core.rules.planned_state import key_of, planned_state
from core.rules.planner import Plan, contender, plan_or_freeze

RECENTLY = timedelta(days=1)
BY_EDIT = {Change.CANCELLED, Change.MOVED, Change.DELETED}
_AFTER_EDIT = {Cause.NOTIFY, Cause.HOOK}


@dataclass(frozen=True, slots=True)
class Case:
    """A session at an instant, explained from one reading.

    plan      what a pass at `at` would decide, if nobody changes anything before then
    planned   the session's state by that plan
    next      the session's state once the next pass has planned, as of the reading
    due       what that pass flips
    """

    reading: SessionReading
    at: datetime
    horizon: timedelta
    plan: Plan
    planned: SessionState
    next: SessionState
    due: Decision

    @property
    def zone(self) -> str | None:
        """The session's zone, which may be unknown."""
        return self.reading.snapshot.timezone

    @property
    def is_now(self) -> bool:
        """Whether the instant is that of the reading."""
        return self.at == self.reading.read_at

    @property
    def is_past(self) -> bool:
        """Whether the instant is before the reading."""
        return self.at < self.reading.read_at

    @property
    def is_kept(self) -> bool:
        """Whether the log of flips reaches back to the instant."""
        begins = self.reading.log_begins
        return self.at >= self.reading.read_at - self.reading.kept and (begins is None or self.at >= begins)

    def flip_before(self, key: int | None = None) -> LoggedFlip | None:
        """Return the last flip that was done by the instant, of an instance; without a key: of the session."""
        return next(iter(self._flips(key, after=False)), None)

    def flip_after(self, key: int | None = None) -> LoggedFlip | None:
        """Return the first flip that was done after the instant, likewise."""
        return next(reversed(self._flips(key, after=True)), None)

    def ended(self) -> LoggedFlip | None:
        """Return the flip by which somebody, or an edit, ended the session's latest evening before its time.

        None where that was over `RECENTLY` ago, or something is on since. A row that closed by an edit has no window
        that closed when the flip was due.
        """
        last = self.flip_before()
        if not self.is_now or last is None or last.active or self.at - last.done_at > RECENTLY:
            return None
        if last.change in BY_EDIT:
            return last
        key = last.session_instance_id
        windows = (one for one in self.reading.windows if one.session_instance_id == key)
        is_edge = any(last.due_at in {one.closes_at, one.planned_at} for one in windows)
        return last if last.cause in _AFTER_EDIT and self.snapshot_of(key) and not is_edge else None

    def flips_around(self, key: int, most: int) -> list[LoggedFlip]:
        """Return the first flip of an instance after the instant and the last ones by then, the newest first."""
        return [*self._flips(key, after=True)[-1:], *self._flips(key, after=False)][:most]

    def _flips(self, key: int | None, *, after: bool) -> list[LoggedFlip]:
        of_key = (flip for flip in self.reading.flips if key in {None, flip.session_instance_id})
        return [flip for flip in of_key if (flip.done_at > self.at) is after]

    @property
    def windows(self) -> tuple[WindowState, ...]:
        """The windows that count: the stored ones in the past, else those that the rows mean."""
        return self.reading.windows if self.is_past else self.planned.windows

    @property
    def windows_differ(self) -> bool:
        """Whether the next pass writes other windows than those that are stored."""
        return {*map(key_of, self.reading.state.windows)} != {*map(key_of, self.next.windows)}

    @property
    def bits_differ(self) -> bool:
        """Whether the active bits are not what their mirror says: somebody wrote them with the triggers off."""
        on = {key for key, row in self.reading.rows.items() if row.is_on}
        return on != {self.reading.state.active} & self.reading.rows.keys()

    @property
    def agrees(self) -> bool:
        """Whether windows and bits are stored as the rules say."""
        return not (self.due.flips or self.windows_differ or self.bits_differ)

    @property
    def pending(self) -> Pending:
        """The pass that is to come."""
        read, asked = self.reading, self.reading.state.requested_at
        keeps = (read.failure, read.retry_at, read.has_daemon, read.holders, read.broken)
        return Pending(read.snapshot.session_id, self.windows_differ, asked, *keeps)

    def windows_of(self, key: int | None) -> list[WindowState]:
        """Return the windows of an instance, by opening."""
        found = (window for window in self.windows if window.session_instance_id == key)
        return sorted(found, key=lambda window: window.opens_at)

    def open_at(self) -> int | None:
        """Return the instance with a window that contains the instant."""
        return next((one.session_instance_id for one in self.windows if one.opens_at <= self.at < one.closes_at), None)

    def will_be_on(self) -> int | None:
        """Return the instance that is on once the next pass has written what is due."""
        if self.due.on:
            return self.due.on.session_instance_id
        return None if self.due.off else self.reading.state.active

    def snapshot_of(self, key: int | None) -> InstanceSnapshot | None:
        """Return the row of an instance; None if it is still to be made."""
        return next((one for one in self.reading.snapshot.instances if one.session_instance_id == key), None)

    def outcome_of(self, key: int | None) -> Outcome | None:
        """Return what becomes of a row; None if it is still to be made, or the zone is unknown."""
        outcomes = self.plan.reasons.outcomes if self.plan.reasons else ()
        return next((one for one in outcomes if one.session_instance_id == key), None)

    def contender_of(self, key: int | None) -> Contender | None:
        """Return an instance with the window that it would have if it were its session's only one."""
        contenders = self.plan.reasons.contenders if self.plan.reasons else ()
        return next((one for one in contenders if one.session_instance_id == key), None)

    def binding_of(self, key: int | None) -> Binding | None:
        """Return the occurrence that an instance stands for, or has lost."""
        if outcome := self.outcome_of(key):
            return outcome.instance.binding
        return next((new.binding for new in self.plan.made if new.key == key), None)

    def hours_of(self, key: int | None) -> Hours | None:
        """Return the naive local hours of an instance; those that it had if it has lost its occurrence."""
        outcome = self.outcome_of(key)
        return (outcome.span or outcome.row.span) if outcome else self.binding_of(key)

    def contains(self, hours: Hours) -> bool:
        """Whether these hours, with the buffers, contain the instant; the zone is known."""
        return contender(self.reading.snapshot, self.zone or "", 0, hours).window.contains(self.at)

    def between(self, start: datetime, end: datetime) -> str:
        """Return a span of time in the session's zone and in UTC."""
        return wording.between(start, end, self.zone)

    def instant(self, at: datetime) -> str:
        """Return an instant in the session's zone and in UTC."""
        return wording.instant(at, self.zone)


def case_of(reading: SessionReading, at: datetime, *, horizon: timedelta, default_length: timedelta) -> Case:
    """Ask the rules: `plan_or_freeze` for the windows, and `decide` for the flips."""
    now = reading.read_at

    def planned(reach: timedelta) -> tuple[Plan, SessionState]:
        plan = plan_or_freeze(reading.snapshot, now, horizon=reach, default_length=default_length)
        return plan, planned_state(reading.state, plan, now)

    plan, state = planned(horizon + max(at - now, timedelta(0)))
    following = state if at <= now else planned(horizon)[1]
    return Case(reading, at, horizon, plan, state, following, decide(following, now))
