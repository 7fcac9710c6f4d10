"""Logs are events with fields: `flip instance=42 active=true cause=timer late_ms=3`.

Every module logs through the standard library, to a child of the logger `seisiun`. In an app's process that is all: the
app's own configuration decides where the events go. `configure` is for our own processes. An event is one line, also
with a traceback, and a traceback never shows the values of local variables, because one of them may be a password.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from core.settings import Settings
from core.streams import STDERR, LineWriter

Fields = Mapping[str, object]

ROOT = "seisiun"
MOST_CHARACTERS = 10_000  # of one field; of a longer one the log shows the beginning and the end


@dataclass(frozen=True, slots=True)
class Event:
    """The message of a log record; as text it is `name field=value ...`."""

    name: str
    fields: Fields

    def __str__(self) -> str:
        """Return the event as an app's log shows it."""
        return f"{self.name} {_logfmt(self.fields)}".strip()


class Logger:
    """Logs the events of one module; with the field `exc_info` also the traceback of the error that is handled now.

    The traceback becomes a field of the event. As the record's own `exc_info` an app's handler could render it with the
    values of local variables.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(_below_root(name))

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what happens."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log trouble that ends by itself."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log work that failed."""
        self._log(logging.ERROR, event, fields)

    def critical(self, event: str, **fields: object) -> None:
        """Log why the process ends."""
        self._log(logging.CRITICAL, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log work that failed, with the traceback."""
        self._log(logging.ERROR, event, fields | {"exc_info": True})

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            if fields.pop("exc_info", False):
                _hide_parameters(sys.exception())
                fields["exception"] = _without_marks(traceback.format_exc())
            self._logger.log(level, Event(event, fields), stacklevel=3)


def _hide_parameters(error: BaseException | None) -> None:
    """Let SQLAlchemy's errors not show the parameters of a statement: an app's engine shows them, names and comments.

    Our own engines hide them anyway.
    """
    while error is not None:
        if hasattr(error, "hide_parameters"):
            error.hide_parameters = True
        error = error.__cause__ or error.__context__


def logger(name: str) -> Logger:
    """Return the logger of the module with this name."""
    return Logger(name)


def _below_root(name: str) -> str:
    """Return the name of a module's logger: the same whether it is `core.hooks` or, installed, `seisiun.core.hooks`."""
    return f"{ROOT}.{name.removeprefix(f'{ROOT}.')}"


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


def configure(settings: Settings, descriptor: int = STDERR) -> LineWriter:
    """Write our events, and the libraries' warnings, to a file descriptor; return what writes them."""
    formatter = _LineFormatter(as_json=settings.log_format == "json")
    writer = LineWriter(descriptor, lambda lines: formatter.format(_lines_lost(lines)))
    handler = _QueueHandler(writer)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(ROOT).setLevel(settings.log_level)
    return writer


def lines_lost() -> int:
    """Return how many lines could not be written, and the log has not told yet."""
    return sum(writer.lost for writer in _writers())


def lines_lost_in_all() -> int:
    """Return how many lines could not be written since the start."""
    return sum(writer.lost_in_all for writer in _writers())


def _writers() -> list[LineWriter]:
    return [handler.writer for handler in logging.getLogger().handlers if isinstance(handler, _QueueHandler)]


def _lines_lost(lines: int) -> logging.LogRecord:
    event = Event("log_lines_lost", {"lines": lines})
    return logging.LogRecord(_below_root(__name__), logging.WARNING, __file__, 0, event, None, None)


class _QueueHandler(logging.Handler):
    """Leaves lines to the writer; the standard library's QueueListener would wait for a stuck stream at the exit."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.put(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 -- a value that cannot be shown; logging ends nothing
            self.handleError(record)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
        super().close()


class _LineFormatter(logging.Formatter):
    """Makes one line of each record, ours or a library's."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        event = record.msg if isinstance(record.msg, Event) else self._event_of_library(record)
        head: Fields = {"at": _instant(record.created), "level": record.levelname.lower(), "event": event.name}
        return _json({**head, **event.fields}) if self._as_json else _logfmt({**head, **event.fields})

    def _event_of_library(self, record: logging.LogRecord) -> Event:
        trace = {"exception": _without_marks(self.formatException(record.exc_info))} if record.exc_info else {}
        return Event(record.getMessage(), {"logger": record.name} | trace)


def _without_marks(trace: str) -> str:
    """Return a traceback without the lines that underline a part of the line above: all will be one line."""
    return "\n".join(line for line in trace.splitlines() if line.strip(" ^~"))


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _json(fields: Fields) -> str:
    return json.dumps({name: _shortened(value) for name, value in fields.items()}, default=str)


def _logfmt(fields: Fields) -> str:
    return " ".join(f"{name}={_logfmt_value(value)}" for name, value in fields.items())


def _logfmt_value(value: object) -> str:
    """Return a value of one line, in quotes if it contains what would end it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
    text = str(_shortened(str(value))).replace("\n", " | ")
    if text.isprintable() and not any(character in text for character in ' ="\\'):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _shortened(value: object) -> object:
    if not isinstance(value, str) or len(value) <= MOST_CHARACTERS:
        return value
    return f"{value[: MOST_CHARACTERS // 2]} ... {value[-MOST_CHARACTERS // 2 :]}"
