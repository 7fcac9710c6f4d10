"""The tests of this folder share a database, which is emptied for each; every statement here may be a point."""

from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from tests.core.scenarios.interleavings.actors import stepping
from tests.core.scenarios.interleavings.evening import Evening
from tests.core.shared_database import (
    database_of_its_own,
    database_url,
    engine,
    shared_database_url,
    shared_engine,
)

__all__ = ["database_of_its_own", "database_url", "engine", "shared_database_url", "shared_engine"]


@pytest.fixture
def evening(engine: Engine, app: Connection, db_connect: Callable[[], Connection]) -> Iterator[Evening]:
    with stepping():
        yield Evening(engine, app, db_connect)
