"""What the tests of the core ask for besides: the app's connection, and a log that is cheap to write."""

from collections.abc import Iterator

import pytest
import structlog
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from structlog.typing import Processor

from tests.data import connected


@pytest.fixture(autouse=True, scope="session")
def plain_log() -> None:
    """One line an event: until it is configured, structlog takes a second to draw a traceback."""
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
    ]
    structlog.configure(processors=processors, cache_logger_on_first_use=False)


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    """The app: a raw connection in autocommit, to the database of `engine`."""
    with connected(database_url) as connection:
        yield connection
