"""The state of a session once a plan is written, for answers that are given before that."""

from dataclasses import replace
from datetime import datetime

from core.rules.flips import SessionState, WindowState
from core.rules.overlaps import ActiveSpan
from core.rules.planner import Plan


def planned_state(stored: SessionState, plan: Plan, now: datetime) -> SessionState:
    """Return the session's state once a plan is written: the windows that it says, and the stored bit.

    A window that is stored already keeps its phase. A window that is over when it is planned is not written.
    """
    if plan.unknown_hours:
        kept = (window for window in stored.windows if window.session_instance_id not in plan.windowless)
        return replace(stored, windows=tuple(kept))
    known = {key_of(window): window for window in stored.windows}
    planned = [_window(span, now) for span in plan.windows]
    return replace(
        stored,
        windows=tuple(
            known.get(key_of(window), window) for window in planned if window.closes_at > now or key_of(window) in known
        ),
    )


def _window(span: ActiveSpan, now: datetime) -> WindowState:
    return WindowState(span.session_instance_id, span.window.opens_at, span.window.closes_at, "ahead", now)


def key_of(window: WindowState) -> tuple[int, datetime, datetime]:
    """Return what tells a stored window from others."""
    return window.session_instance_id, window.opens_at, window.closes_at
