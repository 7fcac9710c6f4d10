"""These tests share a database, emptied for each, and an engine; who changes the schema has one elsewhere."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.db import create_engine
from tests.core.emptied import empty
from tests.data import connected
from tests.postgres import Server


@pytest.fixture(scope="package")
def shared_database_url(server: Server) -> Iterator[str]:
    with server.database(server.migrated) as url:
        yield url


@pytest.fixture(scope="package")
def shared_engine(shared_database_url: str) -> Iterator[Engine]:
    engine = create_engine(shared_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    with connected(shared_database_url) as connection:
        empty(connection)
    return shared_database_url


@pytest.fixture
def engine(shared_engine: Engine, database_url: str) -> Engine:
    assert database_url  # it has been emptied
    return shared_engine
