"""Which active bits to flip: `decide` compares a session's windows with the clock and returns the difference (A1).

A session's windows are disjoint, so at most one of them contains now: its instance should be active.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Phase = Literal["ahead", "open", "over"]

# The sweep may open an instance this long before its window opens, and no pass closes such an instance again (L2).
EARLY_OPENING = timedelta(seconds=60)
# An instance that the sweep opened exactly that early is no mistake: the extra second allows for clocks that differ.
TOLERATED = EARLY_OPENING + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class WindowState:
    """A stored window `[opens_at, closes_at)`, and what the last pass wrote about it."""

    session_instance_id: int
    opens_at: datetime
    closes_at: datetime
    phase: Phase
    planned_at: datetime


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session's windows, in any order, and its active instance."""

    session_id: int
    windows: tuple[WindowState, ...]
    active: int | None


@dataclass(frozen=True, slots=True)
class Flip:
    """An active bit to change; `due_at` is the instant from which it was wrong."""

    session_id: int
    session_instance_id: int
    active: bool
    due_at: datetime


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
        off = Flip(state.session_id, state.active, active=False, due_at=_closing_due(state, now))
    if wanted and state.active != wanted_id:
        on = Flip(
            state.session_id,
            wanted.session_instance_id,
            active=True,
            due_at=max(wanted.opens_at, wanted.planned_at),
        )
    return Decision(state.session_id, off, on, _phase_changes(state, wanted, now))


def _wanted(state: SessionState, now: datetime, look_ahead: timedelta) -> WindowState | None:
    """Return the window that contains now; if none does, the first that may open early."""
    for window in state.windows:
        if window.opens_at <= now < window.closes_at:
            return window
    early = [window for window in state.windows if now < window.opens_at <= now + _earliness(window, state, look_ahead)]
    return min(early, key=lambda window: window.opens_at, default=None)


def _earliness(window: WindowState, state: SessionState, look_ahead: timedelta) -> timedelta:
    is_on = window.session_instance_id == state.active
    return max(look_ahead, EARLY_OPENING) if is_on else look_ahead


def _closing_due(state: SessionState, now: datetime) -> datetime:
    """Return the closing edge that has passed; if none has, because an edit removed the window, return now."""
    return max(
        (
            window.closes_at
            for window in state.windows
            if window.session_instance_id == state.active and window.phase == "open" and window.closes_at <= now
        ),
        default=now,
    )


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
