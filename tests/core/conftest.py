"""What the tests of the core ask for besides: the app's connection."""

from collections.abc import Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.data import connected


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    """The app: a raw connection in autocommit, to the database of `engine`."""
    with connected(database_url) as connection:
        yield connection
