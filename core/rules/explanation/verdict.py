"""The answer in one sentence: whether an instance is on, and why or why not."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from core.recurrence.describe import describe
from core.rules.binding import Hours
from core.rules.explanation import wording
from core.rules.explanation.case import BY_EDIT, Case
from core.rules.explanation.reading import Holder, LoggedFlip, Pending, Why
from core.rules.flips import Change


def deciding(case: Case) -> int | None:
    """Return the instance that decides the answer for its session; None if there is none.

    1. The one that is on.
    2. One that somebody, or an edit, ended a moment ago; but not if its row was deleted.
    3. One that would be on if it were not cancelled, lost or after the last date; but not if its row was deleted.
    4. The one that opens next.
    """
    if case.is_past:
        return _deciding_then(case)
    on = case.reading.state.active if case.is_now else None
    on = case.open_at() if on is None else on
    if on is not None:
        return on
    ended = case.ended()
    if ended and case.snapshot_of(ended.session_instance_id):
        return ended.session_instance_id
    if case.plan.reasons:
        for outcome in case.plan.reasons.outcomes:
            hours = case.hours_of(outcome.session_instance_id)
            if hours and case.contains(hours):
                return outcome.session_instance_id
        if skipped(case):
            return None
    ahead = [window for window in case.windows if window.opens_at > case.at]
    return min(ahead, key=lambda window: window.opens_at).session_instance_id if ahead else None


def _deciding_then(case: Case) -> int | None:
    """Return the instance that was on, or that an edit had ended; else one that should have been on, or a near one."""
    before, after = case.flip_before(), case.flip_after()
    if before and (before.active or before.change in BY_EDIT):
        return before.session_instance_id
    near = after or before
    return case.open_at() or (near.session_instance_id if near else None)


def skipped(case: Case) -> Hours | None:
    """Return the occurrence that would be on if somebody had not deleted its row."""
    candidates = case.plan.reasons.candidates.values() if case.plan.reasons else ()
    deleted = (one.occurrence for one in candidates if one.is_skipped)
    return next((occurrence for occurrence in deleted if case.contains(occurrence)), None)


def is_on(case: Case, key: int | None) -> bool | None:
    """Whether an instance is on (`Explanation.is_on`); for no instance: whether the session has one that is."""
    if case.is_past:
        return was_on(case, key)
    if key is None:
        return False
    if case.is_now:
        return key in case.reading.rows and case.reading.rows[key].is_on
    return case.open_at() == key


def was_on(case: Case, key: int | None) -> bool | None:
    """Whether an instance was on, by the log; None: the log does not reach back so far.

    Where its first flip in the log is an off, its opening is older than the log.
    """
    if before := case.flip_before(key):
        return before.active
    after = case.flip_after(key)
    return (after is not None and not after.active) if case.is_kept else None


def why(case: Case, key: int | None) -> Why:
    """Return why an instance is on or not; for no instance: why nothing of the session is."""
    if case.is_past:
        return _why_then(case, key)
    return _why_nothing(case) if key is None else _why(case, key)


def _why_then(case: Case, key: int | None) -> Why:
    """Return why by the log alone: an edit since then may have changed what rows and pattern say."""
    on, before = was_on(case, key), case.flip_before(key)
    if on is None:
        return Why.NOT_KEPT
    if on:
        return Why.ON
    if before and before.change == Change.CANCELLED:
        return Why.CANCELLED
    if case.flip_after(key):
        return Why.NOT_YET
    return Why.OVER if before else Why.NOTHING


def _why_nothing(case: Case) -> Why:
    if skipped(case):
        return Why.SKIPPED
    if case.plan.unreadable:
        return Why.UNREADABLE
    return Why.NOT_PLANNED if case.plan.next_plan_at else Why.NOTHING


def _why(case: Case, key: int) -> Why:
    instance = case.snapshot_of(key)
    if instance and instance.is_cancelled:
        return Why.CANCELLED
    if instance and instance.date > (case.reading.snapshot.termination_date or date.max):
        return Why.TERMINATED
    if key == (case.will_be_on() if case.is_now else case.open_at()):
        return Why.ON
    return _why_not_on(case, key)


def _why_not_on(case: Case, key: int) -> Why:
    if not case.plan.reasons:
        return _by_windows(case, key, Why.UNREADABLE)
    alone = case.contender_of(key)
    if alone is None:
        binding = case.binding_of(key)
        return Why.LOST if binding and binding.lost else Why.NO_HOURS
    if alone.window.contains(case.at):
        return Why.OVERLAPPED
    return _by_windows(case, key, Why.OVERLAPPED if alone.window.opens_at > case.at else Why.OVER)


def _by_windows(case: Case, key: int | None, otherwise: Why) -> Why:
    windows = case.windows_of(key) if key is not None else []
    if any(window.opens_at > case.at for window in windows):
        return Why.NOT_YET
    return Why.OVER if windows else otherwise


# In words


def verdict(case: Case, key: int | None) -> str:
    """Return the sentence; where the stored bit is not what the rules say, with the reason and what will happen."""
    on = is_on(case, key)
    if case.is_past:
        return _verdict_then(case, key, on)
    reason = _REASONS[why(case, key)](case, key)
    if is_as_it_should_be(case, key):
        yes, no = ("On", "Not on") if case.is_now else ("Will be on", "Will not be on")
        told = f"{yes} {reason}" if on else f"{no}: {_after_its_end(case, key, reason)}"
    else:
        told = (
            f"{'On, and should not be:' if on else 'Not on, and should be'} {reason}. {remedy(case.pending, case.zone)}"
        )
    if case.plan.unreadable and case.plan.unreadable not in told:
        told += f". Its pattern makes and removes nothing, as it cannot be read: {case.plan.unreadable} (P6)"
    return told


def is_as_it_should_be(case: Case, key: int | None) -> bool:
    """Whether the stored bit is what the rules say; of another instant than now nothing is stored."""
    return not case.is_now or key is None or is_on(case, key) is (key == case.will_be_on())


def _after_its_end(case: Case, key: int | None, reason: str) -> str:
    """Put before the reason what ended an evening of the session a moment ago."""
    ended = case.ended()
    if ended is None:
        return reason
    is_it = ended.session_instance_id == key
    skips = why(case, key) is Why.SKIPPED and ended.change == Change.DELETED
    on_until = f"{'it' if is_it else named(ended.session_instance_id)} was on until {case.instant(ended.done_at)}"
    if is_it and ended.change == Change.CANCELLED:
        return f"{reason}; {on_until}"
    if skips:
        return f"{on_until}, when {reason}"
    if is_it and why(case, key) is Why.OVER:
        closed_at = case.instant(_closed_at(case, key))
        reason = f"as its row and session are now, its window closed at {closed_at}; what they were before is not kept"
    then = reason if is_it or key is None else f"the next is {named(key)}: {reason}"
    return f"{on_until}, when {_ENDS.get(ended.change or '', 'an edit ended it')}; {then}"


_ENDS: Mapping[str, str] = {
    Change.CANCELLED: "somebody cancelled it",
    Change.MOVED: "an edit moved it",
    Change.DELETED: "its row was deleted",
}


def _verdict_then(case: Case, key: int | None, on: bool | None) -> str:  # noqa: FBT001 -- it is the answer itself
    if on is None:
        begins, kept = case.reading.log_begins, wording.length(case.reading.kept)
        since = (
            f"begins at {case.instant(begins)}"
            if begins and case.reading.read_at - case.at <= case.reading.kept
            else f"is kept for {kept}"
        )
        return f"Not known: the log of flips {since}. {_NOT_KEPT}"
    before, after = case.flip_before(key), case.flip_after(key)
    told = f"it {', and '.join(_flipped(case, flip) for flip in (before, after) if flip)}, by the log of flips"
    if before is None and not on:
        opened = f"; the next opened at {case.instant(after.done_at)}" if after else ""
        told = f"no evening of it was on then, by the log of flips{opened}"
    return f"{'On' if on else 'Not on'}: {told}. {_NOT_KEPT}"


def _flipped(case: Case, flip: LoggedFlip) -> str:
    return f"{_CHANGES.get(flip.change or '', 'opened' if flip.active else 'closed')} at {case.instant(flip.done_at)}"


_CHANGES: Mapping[str, str] = {
    Change.CANCELLED: "was cancelled",
    Change.MOVED: "was moved to later",
    Change.DELETED: "was deleted",
}
_NOT_KEPT = "What pattern, row and windows said then is not kept: below they are as now"


def cancel_reason(case: Case, key: int | None) -> str:
    """Return ", 'publican ill'"; nothing where no reason is stated."""
    row = case.reading.rows.get(key or 0)
    return f", {row.cancel_reason!r}" if row and row.cancel_reason else ""


def _until(case: Case, key: int | None) -> str:
    """Return "until 23:30: Thursdays, 7-10:30pm, an hour before to an hour after"."""
    closings = [window.closes_at for window in case.windows_of(key) if window.closes_at > case.at]
    until = f"until {wording.until(min(closings), case.at, case.zone)}" if closings else "then"
    if not case.plan.reasons:
        return f"{until}: by its stored window, as the session's zone cannot be read (P6)"
    return f"{until}: {_hours_in_words(case, key)}, {buffers(case)}"


def _hours_in_words(case: Case, key: int | None) -> str:
    """Return the pattern, if the instance's hours are those of its occurrence; else its own hours."""
    hours, binding, reasons = case.hours_of(key), case.binding_of(key), case.plan.reasons
    is_patterns = hours and binding and not binding.lost and (hours.start, hours.end) == (binding.start, binding.end)
    if is_patterns and reasons and not case.plan.unreadable:
        return describe(reasons.recurrence)
    return wording.span(hours.start, hours.end) if hours else "as it was planned"


def buffers(case: Case) -> str:
    """Return the session's buffers, as they follow the hours."""
    session = case.reading.snapshot
    return wording.buffers(
        timedelta(minutes=session.active_buffer_minutes_before), timedelta(minutes=session.active_buffer_minutes_after)
    )


def _overlapped(case: Case, key: int | None) -> str:
    other = case.will_be_on() if case.is_now else case.open_at()
    if other in (None, key):
        return "others of the same session take all of its window (P7)"
    until = min(window.closes_at for window in case.windows_of(other) if window.closes_at > case.at)
    return f"{named(other)} of the same session is on instead until {wording.until(until, case.at, case.zone)} (P7)"


def named(key: int | None) -> str:
    """Return "instance 42"; a row that is still to be made has no id."""
    return f"instance {key}" if key and key > 0 else "a row that is still to be made"


def _not_yet(case: Case, key: int | None) -> str:
    opens_at = min(window.opens_at for window in case.windows_of(key) if window.opens_at > case.at)
    return f"it opens at {case.instant(opens_at)}" + (f"; {made_when(case, opens_at)}" if key and key < 0 else "")


def _closed_at(case: Case, key: int | None) -> datetime:
    alone = case.contender_of(key)
    return max(
        (window.closes_at for window in case.windows_of(key)), default=alone.window.closes_at if alone else case.at
    )


def _skipped_reason(case: Case) -> str:
    occurrence = skipped(case)
    when = wording.span(occurrence.start, occurrence.end) if occurrence else "that date"
    return f"somebody deleted the row of {when}, and no other is made for it: to have it after all, add one by hand"


def _not_planned(case: Case) -> str:
    assert case.plan.next_plan_at
    return f"it {opens_beyond_the_horizon(case, case.plan.next_plan_at)}"


def opens_beyond_the_horizon(case: Case, next_plan_at: datetime) -> str:
    """Return when the next occurrence opens that has no row: a plan says when it comes within the horizon."""
    opens_at = next_plan_at + case.horizon + max(case.at - case.reading.read_at, timedelta(0))
    return f"opens next at {case.instant(opens_at)}; {made_when(case, opens_at)}"


def made_when(case: Case, opens_at: datetime) -> str:
    """Say when the row of an occurrence is made: `horizon` before its window opens (P1)."""
    made_at = opens_at - case.horizon
    if made_at <= case.reading.read_at:
        return "its row is not made yet: the next pass makes it (P1)"
    return f"not planned yet: its row is made at {case.instant(made_at)} (P1)"


def remedy(pending: Pending, zone: str | None, *, writes: str = "writes it") -> str:
    """Say why the stored state is not what the rules say, and what will happen; `writes`: what the pass does."""
    if pending.failure is not None:
        retry = f"; it is tried again at {wording.instant(pending.retry_at, zone)}" if pending.retry_at else ""
        return f"The session's last pass failed: {pending.failure}{retry}"
    if not pending.has_daemon:
        return "No daemon works: start `python -m seisiun run`; until then only the sweep does, every 15 minutes"
    if pending.requested_at:
        since = wording.instant(pending.requested_at, zone)
        return f"A pass that {writes} is requested since {since}; {_in_the_way(pending.holders)}"
    if pending.is_unnoticed and pending.broken:
        broken = f"No pass is requested, perhaps because {' and '.join(pending.broken)}"
        return f"{broken}. Run `python -m seisiun migrate`, which mends it and requests every session"
    if pending.is_unnoticed:
        ask = f"`NOTIFY session_changed, '{pending.session_id}'` requests one"
        return f"No pass is requested: the rows were perhaps written with the triggers off. {ask}"
    return f"The next pass {writes}; {_in_the_way(pending.holders)}"


def _in_the_way(holders: Sequence[Holder]) -> str:
    if not holders:
        return "if that lasts, `python -m seisiun status` names who is in the way"
    named = [
        f"pid {one.pid} ({one.application or 'unnamed'}, {one.state}, a transaction open for "
        f"{wording.length(timedelta(seconds=round(one.open_for.total_seconds())))}: {one.query})"
        for one in holders
    ]
    ending = ", ".join(f"pg_terminate_backend({one.pid})" for one in holders)
    return f"perhaps blocked by {', '.join(named)}: `SELECT {ending}` ends {'them' if holders[1:] else 'it'}"


def _not_read(case: Case, _key: int | None) -> str:
    return f"it has no window, because the session cannot be read: {case.plan.unreadable} (P6)"


_REASONS: Mapping[Why, Callable[[Case, int | None], str]] = {
    Why.ON: _until,
    Why.OVERLAPPED: _overlapped,
    Why.NOT_YET: _not_yet,
    Why.OVER: lambda case, key: f"over since {case.instant(_closed_at(case, key))}",
    Why.CANCELLED: lambda case, key: f"cancelled{cancel_reason(case, key)} (P5)",
    Why.LOST: lambda *_: "the pattern no longer has it, and nobody has given the row other hours since (P4)",
    Why.TERMINATED: lambda case, _: (
        f"it is dated after the session's last date, {case.reading.snapshot.termination_date} (R3)"
    ),
    Why.NO_HOURS: lambda *_: "it states no start, and stands for no occurrence (T3)",
    Why.UNREADABLE: _not_read,
    Why.SKIPPED: lambda case, _: _skipped_reason(case),
    Why.NOT_PLANNED: lambda case, _: _not_planned(case),
    Why.NOTHING: lambda *_: "nothing is ahead, in the rows or in the pattern",
}
