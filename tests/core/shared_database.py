"""One database and one engine for a module of tests, emptied for each test: that takes a third of the time.

A `conftest.py` that imports these fixtures gives them to the tests of its folder.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.db import create_engine
from tests.core.emptied import empty
from tests.data import connected, execute
from tests.postgres import Server

_SCHEMA = """
    SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_trigger),
        (SELECT count(*) FROM pg_attribute)
"""


@pytest.fixture(scope="module")
def shared_database_url(server: Server) -> Iterator[str]:
    with server.database(server.migrated) as url:
        yield url


@pytest.fixture(scope="module")
def shared_engine(shared_database_url: str) -> Iterator[Engine]:
    """It keeps the statements that it has compiled."""
    engine = create_engine(shared_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def database_of_its_own() -> None:
    """A test that changes more than rows, or that listens to its engine, asks for this."""


@pytest.fixture
def database_url(request: pytest.FixtureRequest, server: Server, shared_database_url: str) -> Iterator[str]:
    """A database with our schema, and nothing else in it."""
    if "database_of_its_own" in request.fixturenames:
        with server.database(server.migrated) as url:
            yield url
        return
    with connected(shared_database_url) as connection:
        empty(connection)
        before = execute(connection, _SCHEMA)
        yield shared_database_url
        assert execute(connection, _SCHEMA) == before, "this test changes the schema: ask for `database_of_its_own`"


@pytest.fixture
def engine(database_url: str, shared_engine: Engine, shared_database_url: str) -> Iterator[Engine]:
    """The product's own engine on `database_url`."""
    if database_url == shared_database_url:
        yield shared_engine
    else:
        engine = create_engine(database_url)
        yield engine
        engine.dispose()
