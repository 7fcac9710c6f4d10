"""Which active bits to flip: `decide` compares a session's windows with the clock and returns the difference (A1).

A session's windows are disjoint, so at most one of them contains now: its instance should be active.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

Phase = Literal["ahead", "open", "over"]

# The sweep may open an instance this long before its window opens, and no pass closes such an instance again (L2).
EARLY_OPENING = timedelta(seconds=60)
# An instance that the sweep opened exactly that early is no mistake: the extra second allows for clocks that differ.
TOLERATED = EARLY_OPENING + timedelta(seconds=1)


class Cause(StrEnum):
    """Why a flip was written, as the log of flips shows it: who started the pass, or that it put a bit right."""

    TIMER = "timer"
    NOTIFY = "notify"
    START = "start"
    RESYNC = "resync"
    HOOK = "hook"
    SWEEP = "sweep"
    REPAIR = "repair"  # somebody had written the bit by hand; any pass may repair it


class Change(StrEnum):
    """What a flip means to an app. `MOVED`: an edit ended the evening for now, and it opens again later."""

    OPENED = "opened"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    MOVED = "moved"
    DELETED = "deleted"  # somebody deleted the instance while it was on; a trigger logs it


@dataclass(frozen=True, slots=True)
class WindowState:
    """A stored window `[opens_at, closes_at)`, and what was last written of it.

    `planned_at`: the instant from which the window has been asked for. A flip is not late by what came before it.
    """

    session_instance_id: int
    opens_at: datetime
    closes_at: datetime
    phase: Phase
    planned_at: datetime


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session's windows, in any order, and its active instance.

    `requested_at`: the instant of the oldest request that is not served yet; None where there is none.
    """

    session_id: int
    windows: tuple[WindowState, ...]
    active: int | None
    requested_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """An active bit to change; `due_at` is the instant from which it was wrong.

    `at_edge`: an edge of a window explains the flip; else an edit does, or somebody wrote the bit by hand.
    `is_repair`: the log of flips shows that somebody wrote it by hand; known once the flip is written.
    `opens_again`: an edit turned the instance off, and one of its windows is still to open.
    """

    session_id: int
    session_instance_id: int
    active: bool
    due_at: datetime
    at_edge: bool = True
    is_repair: bool = False
    opens_again: bool = False


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """A window whose phase changes."""

    session_instance_id: int
    opens_at: datetime
    phase: Phase


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write for one session, the off before the on."""

    session_id: int
    off: Flip | None
    on: Flip | None
    phases: tuple[PhaseChange, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to write: the stored state agrees with the clock."""
        return not (self.off or self.on or self.phases)

    @property
    def flips(self) -> tuple[Flip, ...]:
        """The flips, the off first."""
        return tuple(flip for flip in (self.off, self.on) if flip)


def decide(state: SessionState, now: datetime, *, look_ahead: timedelta = timedelta(0)) -> Decision:
    """Return what to write so that the stored state agrees with the clock at `now`.

    1. Find the window that should be open: the one that contains now, or one that may open early.
    2. Flip off the active instance if it is another one; flip on the instance of that window if it is not active.
    3. Correct the phase of each window.

    `look_ahead` is how early a window may open (L2); it never closes one early.
    """
    wanted = _wanted(state, now, look_ahead)
    wanted_id = wanted.session_instance_id if wanted else None
    off = on = None
    if state.active is not None and state.active != wanted_id:
        off = _off(state, state.active, wanted, now)
    if wanted and state.active != wanted_id:
        on = _on(state, wanted)
    return Decision(state.session_id, off, on, _phase_changes(state, wanted, now))


def _on(state: SessionState, wanted: WindowState) -> Flip:
    """Return the opening. A window that is open already says that the bit was on before, and was turned off since."""
    at_edge = wanted.phase != "open"
    due_at = max(wanted.opens_at, wanted.planned_at)
    if not at_edge:
        due_at = max(due_at, state.requested_at or due_at)
    return Flip(state.session_id, wanted.session_instance_id, active=True, due_at=due_at, at_edge=at_edge)


def _off(state: SessionState, active: int, wanted: WindowState | None, now: datetime) -> Flip:
    """Return the closing: due at the edge that has passed, or at the hand-over that comes early (L2).

    Where neither explains it, an edit has taken the window away: the closing is due since the request.
    """
    until = max(now, wanted.opens_at) if wanted else now
    edges = [
        max(window.closes_at, window.planned_at)
        for window in state.windows
        if window.session_instance_id == active and window.phase == "open" and window.closes_at <= until
    ]
    due_at = max(edges, default=min(state.requested_at or now, now))
    ahead = any(window.session_instance_id == active and window.opens_at > now for window in state.windows)
    opens_again = ahead and not edges
    return Flip(state.session_id, active, active=False, due_at=due_at, at_edge=bool(edges), opens_again=opens_again)


def _wanted(state: SessionState, now: datetime, look_ahead: timedelta) -> WindowState | None:
    """Return the window to be open.

    1. The window that contains now; None where there is none.
    2. Instead of it, a window that opens soon enough to be open already, if the first has closed by then (L2): the
       sweep hands a session's evening over to the next one early, and no later pass hands it back.
    """
    current = next((window for window in state.windows if window.opens_at <= now < window.closes_at), None)
    early = [
        window
        for window in state.windows
        if now < window.opens_at <= now + _earliness(window, state, current, look_ahead) and _follows(window, current)
    ]
    return min(early, key=lambda window: window.opens_at, default=current)


def _earliness(
    window: WindowState, state: SessionState, current: WindowState | None, look_ahead: timedelta
) -> timedelta:
    is_on = window.session_instance_id == state.active and (current is None or window.phase == "open")
    return max(look_ahead, EARLY_OPENING) if is_on else look_ahead


def _follows(window: WindowState, current: WindowState | None) -> bool:
    """Say whether the window may be opened early: nothing is open, or its instance takes over from another one."""
    if current is None:
        return True
    return current.closes_at <= window.opens_at and current.session_instance_id != window.session_instance_id


def _phase_changes(state: SessionState, wanted: WindowState | None, now: datetime) -> tuple[PhaseChange, ...]:
    return tuple(
        PhaseChange(window.session_instance_id, window.opens_at, phase)
        for window in state.windows
        if (phase := _phase(window, wanted, now)) != window.phase
    )


def _phase(window: WindowState, wanted: WindowState | None, now: datetime) -> Phase:
    if window is wanted:
        return "open"
    return "ahead" if window.opens_at > now else "over"
