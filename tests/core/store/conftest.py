"""The tests of this folder share a database, which is emptied for each."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from tests.core.shared_database import (
    database_of_its_own,
    database_url,
    engine,
    shared_database_url,
    shared_engine,
)

__all__ = ["database_of_its_own", "database_url", "engine", "shared_database_url", "shared_engine", "unindexed"]


@pytest.fixture
def unindexed(engine: Engine) -> Iterator[Connection]:
    """A connection for which the server reads rows as they lie, so that only ORDER BY gives them an order."""
    with engine.connect() as connection:
        for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{kind} = off")
        yield connection
