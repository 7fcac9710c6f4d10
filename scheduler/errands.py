"""Errands: the kinds of look that the worker may owe, and who is said to have looked."""

from dataclasses import dataclass
from datetime import timedelta

from core.active_session_manager import Cause, Reason

GRACE = timedelta(seconds=1)  # what timers and bells are left to deal with before a resync does


@dataclass(frozen=True, slots=True)
class Errand:
    """A kind of look that is owed, until a chunk of it finds nothing."""

    cause: Cause
    reasons: frozenset[Reason]
    grace: timedelta = timedelta(0)


EDGES = Errand(Cause.TIMER, frozenset({Reason.EDGE}))
BELLS = Errand(Cause.NOTIFY, frozenset({Reason.REQUEST}))
POLL = Errand(Cause.RESYNC, frozenset({Reason.REQUEST}))  # in place of bells that cannot be heard
START = Errand(Cause.START, frozenset(Reason))
RESYNC = Errand(Cause.RESYNC, frozenset(Reason), GRACE)
MOST_URGENT_FIRST = (START, EDGES, BELLS, POLL, RESYNC)
EVERYTHING = frozenset({EDGES, BELLS, RESYNC})
