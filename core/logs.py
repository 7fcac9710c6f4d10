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
    """Return the logger of a module."""
    return cast("Logger", structlog.get_logger(name))


class ThrottledLog:
    """Logs warnings that several parts would repeat: one in so many seconds of all, and each part's in its turn."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._logging = Lock()
        self._logged_at: dict[str, float] = {}

    def warning(self, log: Logger, event: str, **fields: object) -> None:
        """Log the event, unless some event was logged just now, or this one was and another may want its turn."""
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
    """Send our events, and the libraries' warnings, to `stream` (standard error unless told)."""
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
    """Keep a traceback readable where the format allows one line: newlines become ` | `."""
    if "exception" in event:
        event["exception"] = str(event["exception"]).replace("\n", " | ")
    return event
