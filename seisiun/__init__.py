"""Seisiún for an app: the hooks, the queries, and the errors that they raise.

`from seisiun import session_saved, check_in` works in a checkout, and where Seisiún is installed by name. Everything is
imported at once, except `create_blueprint`, which needs Flask.
"""

from typing import TYPE_CHECKING, Any

from core import __version__, recurrence
from core.active_session_manager import (
    AppDatabase,
    Attendee,
    Cause,
    Change,
    CheckedIn,
    LeftBehind,
    Place,
    ReconcileResult,
    Transition,
    Transitions,
    WhoIsHere,
    WhyNot,
    active_instances,
    check_in,
    elsewhere_in_town,
    ensure_instance,
    instance_saved,
    leave,
    remove_check_in,
    session_saved,
    transitions,
    update_active_sessions,
    whereabouts,
    who_is_here,
)
from core.errors import (
    InvalidAttendance,
    InvalidComment,
    InvalidPage,
    InvalidRecurrence,
    NoSuchOccurrence,
    SeisiunError,
    SessionBusy,
    UnknownInstance,
    UnknownPerson,
    UnknownSession,
    UnknownTimeZone,
    UnsupportedDriver,
)

if TYPE_CHECKING:
    from web import create_blueprint

__all__ = [
    "AppDatabase",
    "Attendee",
    "Cause",
    "Change",
    "CheckedIn",
    "InvalidAttendance",
    "InvalidComment",
    "InvalidPage",
    "InvalidRecurrence",
    "LeftBehind",
    "NoSuchOccurrence",
    "Place",
    "ReconcileResult",
    "SeisiunError",
    "SessionBusy",
    "Transition",
    "Transitions",
    "UnknownInstance",
    "UnknownPerson",
    "UnknownSession",
    "UnknownTimeZone",
    "UnsupportedDriver",
    "WhoIsHere",
    "WhyNot",
    "__version__",
    "active_instances",
    "check_in",
    "create_blueprint",
    "elsewhere_in_town",
    "ensure_instance",
    "instance_saved",
    "leave",
    "recurrence",
    "remove_check_in",
    "session_saved",
    "transitions",
    "update_active_sessions",
    "whereabouts",
    "who_is_here",
]


def __getattr__(name: str) -> Any:
    """Import `create_blueprint` when it is first asked for: an app that mounts no pages has no Flask."""
    if name != "create_blueprint":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from web import create_blueprint  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ImportError(f"the pages need {error.name}: install seisiun[web]", name=error.name) from error
    return create_blueprint
