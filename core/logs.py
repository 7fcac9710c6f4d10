"""Logs are events with fields: `flip instance=42 active=true cause=timer late_ms=3`."""

import logging
import sys
import time
from threading import Lock
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from core.settings import Settings

Logger = FilteringBoundLogger


def logger(name: str) -> Logger:
    """Return the logger of the module with this name."""
    return cast("Logger", structlog.get_logger(name))


class ThrottledLog:
    """Logs repeated warnings at most once in this many seconds, whatever their event; different events take turns."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._logging = Lock()
        self._logged_at: dict[str, float] = {}

    def warning(self, log: Logger, event: str, **fields: object) -> None:
        """Log the event, unless it logged any event less than `seconds` ago, or this event less than twice that ago."""
        with self._logging:
            now = time.monotonic()
            latest = max(self._logged_at.values(), default=float("-inf"))
            own = self._logged_at.get(event, float("-inf"))
            if now - latest < self._seconds or now - own < 2 * self._seconds:
                return
            self._logged_at[event] = now
        log.warning(event, **fields)


OUTAGES = ThrottledLog(1.0)


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Write our events, and the libraries' warnings, to `stream`; None means standard error."""
    out = stream or sys.stderr
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(message)s", force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            *_renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def _renderer(settings: Settings) -> list[Processor]:
    if settings.log_format == "json":
        return [structlog.processors.JSONRenderer(default=str)]
    return [
        _traceback_last,
        structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"], bool_as_flag=False),
    ]


def _traceback_last(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace newlines in a traceback by ` | `, because logfmt has one line per event."""
    if "exception" in event:
        event["exception"] = str(event["exception"]).replace("\n", " | ")
    return event
