"""Seisiún for an app: the hooks, the queries, and the errors that they raise.

`from seisiun import session_saved, check_in` works in a checkout, and where Seisiún is installed by name. Everything is
imported at once, except `create_blueprint`, which needs Flask.
"""

from typing import TYPE_CHECKING, Any

from core import __version__, active_session_manager
from core.active_session_manager import *  # noqa: F403 -- exactly what stands in its `__all__`
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
from seisiun import recurrence

if TYPE_CHECKING:
    from web import create_blueprint

__all__ = [
    "InvalidAttendance",
    "InvalidComment",
    "InvalidPage",
    "InvalidRecurrence",
    "NoSuchOccurrence",
    "SeisiunError",
    "SessionBusy",
    "UnknownInstance",
    "UnknownPerson",
    "UnknownSession",
    "UnknownTimeZone",
    "UnsupportedDriver",
    "__version__",
    "create_blueprint",
    "recurrence",
]
__all__ += active_session_manager.__all__


def __getattr__(name: str) -> Any:
    """Import `create_blueprint` when it is first asked for: an app that mounts no pages has no Flask."""
    if name != "create_blueprint":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from web import create_blueprint  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ImportError(f"the pages need {error.name}: install seisiun[web]", name=error.name) from error
    return create_blueprint
