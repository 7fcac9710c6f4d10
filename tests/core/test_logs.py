import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import pytest
from sqlalchemy.exc import StatementError

from core.logs import ThrottledLog, configure, logger
from core.settings import Settings

OPENED = contextlib.ExitStack()


@pytest.fixture(autouse=True)
def closed_files() -> Iterator[None]:
    yield
    OPENED.close()


class Log:
    """What this process logs, in a file."""

    def __init__(self, log_format: Literal["logfmt", "json"], level: Literal["DEBUG", "INFO"] = "INFO") -> None:
        self._file = OPENED.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 -- closed after the test
        self._writer = configure(Settings(log_format=log_format, log_level=level), self._file.fileno())

    def getvalue(self) -> str:
        self._writer.flush()
        self._file.seek(0)
        return self._file.read().decode()


def test_logfmt_line_is_an_event_with_fields() -> None:
    stream = Log("logfmt")
    logger("core.test").info("flip", instance=42, active=True, cause="timer", late_ms=3, why="a b")

    at, rest = stream.getvalue().split(" ", 1)
    assert datetime.fromisoformat(at.removeprefix("at=")).tzinfo == UTC
    event, fields = rest.strip().split(" instance=42 ")
    assert event == "level=info event=flip"
    assert fields == 'active=true cause=timer late_ms=3 why="a b"'


def test_a_module_has_one_logger_in_a_checkout_and_installed_by_name() -> None:
    assert logger("core.hooks")._logger is logger("seisiun.core.hooks")._logger
    assert logger("core.hooks")._logger.name == "seisiun.core.hooks"


def test_json_line_is_one_object() -> None:
    stream = Log("json")
    logger("core.test").warning("flip", instance=42, due_at=datetime(2026, 12, 1, 18, tzinfo=UTC))

    line = json.loads(stream.getvalue())
    assert line.pop("at")
    assert line == {"level": "warning", "event": "flip", "instance": 42, "due_at": "2026-12-01 18:00:00+00:00"}


def _fail() -> None:
    raise ValueError("first\nsecond")


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_traceback_stays_in_its_line(log_format: Literal["logfmt", "json"]) -> None:
    stream = Log(log_format)
    try:
        _fail()
    except ValueError:
        logger("core.test").exception("look_failed", session=7)

    [line] = stream.getvalue().splitlines()
    assert "Traceback" in line
    assert "ValueError: first" in line
    assert "second" in line


@pytest.mark.parametrize("field", ["two\nlines", "two\rlines", "two\u2028lines", 'a "quote"', "a=b", "back\\slash", ""])
def test_awkward_value_stays_in_its_line(field: str) -> None:
    stream = Log("logfmt")
    logger("core.test").info("loaded", name=field)

    assert len(stream.getvalue().splitlines()) == 1


def test_what_several_parts_would_repeat_is_a_line_now_and_then_and_each_has_its_turn() -> None:
    stream, seldom = Log("logfmt"), ThrottledLog(0.2)
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        for part in ("listener_lost", "database_lost"):
            seldom.warning(logger("core.test"), part, error="gone")
        time.sleep(0.01)

    told = [line.split("event=")[1].split()[0] for line in stream.getvalue().splitlines()]
    assert 3 <= len(told) <= 6
    assert {"listener_lost", "database_lost"} == set(told)


def test_an_apps_handlers_get_one_line_that_no_handler_can_render_with_local_variables(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        _fail()
    except ValueError:
        logger("core.test").exception("hook_failed", session=7)

    [record] = caplog.records
    assert (record.name, record.levelname, record.exc_info) == ("seisiun.core.test", "ERROR", None)
    assert record.filename == "test_logs.py"
    assert record.getMessage().startswith('hook_failed session=7 exception="Traceback')
    assert "\n" not in record.getMessage()


def test_a_long_value_shows_its_beginning_and_its_end() -> None:
    stream = Log("logfmt")
    logger("core.test").info("loaded", name="a" * 500_000 + "b" * 500_000)

    assert len(stream.getvalue()) < 11_000
    assert "aaa ... bbb" in stream.getvalue()


def test_level_is_obeyed() -> None:
    stream = Log("logfmt")
    logger("core.test").debug("looked")
    assert stream.getvalue() == ""

    stream = Log("logfmt", "DEBUG")
    logger("core.test").debug("looked")
    assert "event=looked" in stream.getvalue()


def test_warnings_of_the_libraries_are_logged_and_their_debug_lines_are_not() -> None:
    stream = Log("logfmt")
    logging.getLogger("alembic").info("chatter")
    logging.getLogger("alembic").warning("look out")

    assert "look out" in stream.getvalue()
    assert "chatter" not in stream.getvalue()


class Unshowable:
    def __str__(self) -> str:
        raise ValueError("it cannot be shown")


def test_a_value_that_cannot_be_shown_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Log("logfmt")
    logger("core.test").info("loaded", name=Unshowable())
    logger("core.test").info("went_on")

    assert "event=went_on" in stream.getvalue()
    assert "it cannot be shown" in capsys.readouterr().err


def test_a_traceback_shows_no_parameters_of_a_statement(caplog: pytest.LogCaptureFixture) -> None:
    """An app's engine may show them in its errors, and they may be a person's name, also in an error before this."""
    refused = StatementError("refused", "INSERT INTO person", {"first_name": "Nóirín"}, ValueError("no"))
    try:
        _fail_after(refused)
    except ValueError:
        logger("core.test").exception("hook_failed")

    assert "INSERT INTO person" in caplog.text
    assert "Nóirín" not in caplog.text


def _fail_after(error: Exception) -> None:
    raise ValueError("later") from error
