"""The chain behind a verdict: pattern, occurrence, row, hours, buffers, window, bit, flips, people."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from core.recurrence.describe import describe
from core.rules.binding import BindingState, InstanceSnapshot, Outcome
from core.rules.explanation import wording
from core.rules.explanation.case import Case
from core.rules.explanation.people import MOVES, standing
from core.rules.explanation.reading import Attendance, LoggedFlip, Step, Why
from core.rules.explanation.verdict import (
    buffers,
    cancel_reason,
    is_as_it_should_be,
    made_when,
    named,
    opens_beyond_the_horizon,
    remedy,
    why,
)
from core.rules.flips import Cause, Change
from core.rules.overlaps import ActiveSpan, Contender
from core.windows import Window

MOST_FLIPS = 3


def steps(case: Case, key: int | None, attendance: Attendance) -> tuple[Step, ...]:
    """Return the chain of an instance; for no instance only what its session says."""
    chain = [("pattern", _pattern(case))]
    if key is not None:
        chain += [
            ("occurrence", _occurrence(case, key)),
            ("row", _row(case, key)),
            ("hours", _hours(case, key)),
            ("buffers", buffers(case)),
            *(("window", text) for text in _windows(case, key)),
            ("bit", _bit(case, key)),
            *(("flip", text) for text in _flips(case, key)),
            *(("people", text) for text in _people(case, key, attendance)),
        ]
    chain += [("next", text) for text in _next(case, key)]
    if not case.agrees:
        told = f". {remedy(case.pending, case.zone)}" if is_as_it_should_be(case, key) else ""
        chain.append(("pass", f"{_difference(case)}{told}"))
    elif case.reading.failure is not None or not case.reading.has_daemon:
        chain.append(("pass", remedy(case.pending, case.zone)))
    elif attendance.pending:
        chain.append(("pass", remedy(attendance.pending, case.zone, writes=MOVES)))
    return tuple(Step(*link) for link in chain)


def _pattern(case: Case) -> str:
    session = case.reading.snapshot
    if case.plan.unreadable:
        return f"cannot be read: {case.plan.unreadable}. It makes no new row and takes none away (P6)"
    assert case.plan.reasons
    first, last = session.initiation_date, session.termination_date
    dates = [f"from {first}" if first else "", f"until {last}" if last else ""]
    return ", ".join(filter(None, (f"{describe(case.plan.reasons.recurrence)} ({case.zone})", *dates)))


_GONE = "not kept: the row is deleted"


def _is_gone(case: Case, key: int) -> bool:
    """Whether an instance's row is deleted, so that only the log of flips knows it."""
    return key > 0 and case.snapshot_of(key) is None


def _occurrence(case: Case, key: int) -> str:
    if _is_gone(case, key):
        return _GONE
    binding, outcome = case.binding_of(key), case.outcome_of(key)
    if not case.plan.reasons:
        return "not known, because the zone is not"
    if binding is None:
        return "none: an extra, whose own times count (P2)"
    when = wording.span(binding.start, binding.end)
    if binding.lost:
        return f"none any more: the pattern has none for it on its date (P4); its hours were {when}"
    taken = outcome is not None and outcome.row.state is not BindingState.BOUND
    return f"{when} local" + (", which it takes by this plan (P2, P4)" if taken else "")


def _row(case: Case, key: int) -> str:
    instance = case.snapshot_of(key)
    if _is_gone(case, key):
        return f"instance {key}: deleted since"
    if instance is None:
        [opens_at] = [window.opens_at for window in case.windows_of(key)][:1] or [case.at]
        return made_when(case, opens_at)
    facts = [_maker(case, key), *_state(case, instance, case.outcome_of(key))]
    return f"instance {key}, dated {instance.date}: {'; '.join(facts)}"


def _maker(case: Case, key: int) -> str:
    row = case.reading.rows.get(key)
    if row is None or not row.is_planners:
        return "a person or the app made it"
    return "the planner made it, " + (
        "and nobody has touched it" if row.is_untouched else "and somebody has changed it"
    )


def _state(case: Case, instance: InstanceSnapshot, outcome: Outcome | None) -> Iterator[str]:
    if instance.is_cancelled:
        yield f"cancelled{cancel_reason(case, instance.session_instance_id)} (P5)"
    binding = outcome.instance.binding if outcome else None
    if outcome and binding:
        if binding.lost:
            yield "lost (P4)"
        if binding.moved:
            yield "moved before it was lost, so it keeps its times (P3)"
        elif not binding.lost and not outcome.row.follows:
            yield "its times differ from its occurrence's, so it keeps them (P3)"
    if outcome and outcome.is_retimed:
        yield "it follows its occurrence to other times (P3)"
    if instance.session_instance_id in case.plan.deletable:
        yield "nobody will miss it: the next pass deletes it, unless something refers to it (P4)"


def _hours(case: Case, key: int) -> str:
    if _is_gone(case, key):
        return _GONE
    hours, alone = case.hours_of(key), case.contender_of(key)
    if hours is None:
        return "not known" if not case.plan.reasons else "none: it states no start (T3)"
    if alone is None:
        return f"{wording.span(hours.start, hours.end)} local, which do not count"
    return case.between(alone.hours.starts_at, alone.hours.ends_at)


def _windows(case: Case, key: int) -> Iterator[str]:
    windows = case.windows_of(key)
    for window in windows:
        yield f"{case.between(window.opens_at, window.closes_at)}: {window.phase}"
    if not windows:
        yield _GONE if _is_gone(case, key) else "none"
    alone = case.contender_of(key)
    if alone and not case.is_past:
        for span in case.plan.windows:
            if span.session_instance_id != key and _overlap(span.window, alone.window):
                yield _won(case, span, alone)


def _overlap(one: Window, other: Window) -> bool:
    return one.opens_at < other.closes_at and other.opens_at < one.closes_at


def _won(case: Case, span: ActiveSpan, loser: Contender) -> str:
    """Say which instance has the time of another, and by which part of P7 where the two begin to overlap."""
    key, at = span.session_instance_id, max(span.window.opens_at, loser.window.opens_at)
    winner = case.contender_of(key)
    assert winner
    if winner.hours.contains(at) and not loser.hours.contains(at):
        reason = "it is within its hours, and this one in a buffer"
    elif winner.hours.starts_at != loser.hours.starts_at:
        reason = "it starts later"
    else:
        reason = "it ends sooner" if winner.hours.ends_at != loser.hours.ends_at else "its id is lower"
    hours = case.between(winner.hours.starts_at, winner.hours.ends_at)
    when = case.between(span.window.opens_at, span.window.closes_at)
    return f"{when}: {named(key)} instead, because {reason} (P7); its hours are {hours}"


def _bit(case: Case, key: int) -> str:
    row = case.reading.rows.get(key)
    now = f"as read at {case.instant(case.reading.read_at)}"
    if row is None:
        return f"none, {now}: there is no row {'any more' if key > 0 else 'yet'}"
    should = case.will_be_on() == key
    return f"{_word(row.is_on)}, {now}" + ("" if row.is_on == should else f"; it should be {_word(should)}")


def _word(on: bool) -> str:  # noqa: FBT001 -- it is the bit itself
    return "on" if on else "off"


def _flips(case: Case, key: int) -> Iterator[str]:
    flips = case.flips_around(key, MOST_FLIPS)
    for flip in flips:
        yield f"{_word(flip.active)}{_edit(flip)} at {case.instant(flip.done_at)}, {_why_flipped(case, flip)}"
    if not flips:
        yield f"none in the log, which keeps {wording.length(case.reading.kept)}"


def _edit(flip: LoggedFlip) -> str:
    """Return ", cancelled" where an edit turned the instance off."""
    return "" if flip.change in {None, Change.OPENED, Change.CLOSED} else f", {flip.change}"


def _why_flipped(case: Case, flip: LoggedFlip) -> str:
    if flip.change == Change.DELETED:
        return "when its row was deleted while it was on"
    if flip.cause == Cause.REPAIR:
        return "a repair: somebody had written the bit by hand"
    late = max(flip.done_at - flip.due_at, timedelta(0))
    by = _CAUSES.get(flip.cause, flip.cause) + (f" ({flip.daemon})" if flip.daemon else "")
    due = f"due at {case.instant(flip.due_at)}, " if late >= timedelta(seconds=1) else ""
    return f"{due}{wording.length(late)} late, by {by}"


_CAUSES: Mapping[str, str] = {
    Cause.TIMER: "a daemon's timer",
    Cause.NOTIFY: "a daemon, after an edit",
    Cause.START: "a daemon at its start",
    Cause.RESYNC: "a daemon's resync",
    Cause.HOOK: "a hook in the app",
    Cause.SWEEP: "the sweep",
}


def _people(case: Case, key: int, attendance: Attendance) -> Iterator[str]:
    """Say how each person stands to the instance now; of another instant nothing is known."""
    if not case.is_now:
        return
    for person in attendance.people:
        yield f"person {person.person_id}: {standing(person, key, case.zone)}"
    if more := attendance.yeses - len(attendance.people):
        yield f"{more} more said yes"
    if not attendance.yeses:
        yield "nobody said yes"


_VERDICT_SAYS_NEXT = {Why.NOT_YET, Why.NOT_PLANNED, Why.NOTHING}


def _next(case: Case, key: int | None) -> Iterator[str]:
    """Say when the session opens next; nothing where the verdict says it, or of the past."""
    if case.is_past or why(case, key) in _VERDICT_SAYS_NEXT:
        return
    ahead = [window for window in case.windows if window.opens_at > case.at]
    if ahead:
        following = min(ahead, key=lambda window: window.opens_at)
        yield f"{named(following.session_instance_id)} opens at {case.instant(following.opens_at)}"
    elif case.plan.next_plan_at:
        yield opens_beyond_the_horizon(case, case.plan.next_plan_at)
    elif case.plan.unreadable:
        yield "not known: nothing is ahead in the rows, and the pattern or the zone cannot be read (P6)"
    else:
        yield "nothing is ahead, in the rows or in the pattern"


def _difference(case: Case) -> str:
    """Say what the next pass changes."""
    changes = [f"{named(flip.session_instance_id)} turns {_word(flip.active)}" for flip in case.due.flips]
    if case.windows_differ:
        changes.append("the session's windows change")
    if case.bits_differ:
        changes.append("the bits are not what their mirror says, and are written again")
    first, *rest = changes
    return "; ".join([first[0].upper() + first[1:], *rest])
