"""An app with an older form of the feature, adopted: made once for a module, copied for each test."""

from collections.abc import Iterator

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.engine import make_url

from core.migrations import migrate
from tests.core.adoption import older_app
from tests.data import connected
from tests.postgres import Server


@pytest.fixture(scope="module")
def adopted_template(server: Server) -> Iterator[str]:
    """The name of a database to copy."""
    with server.database("template1") as url:
        with connected(url) as app:
            older_app.install(app)
        migrate(url)
        yield str(make_url(url).database)


@pytest.fixture
def adopted_url(server: Server, adopted_template: str) -> Iterator[str]:
    with server.database(adopted_template) as url:
        yield url


@pytest.fixture
def adopted(adopted_url: str) -> Iterator[Connection]:
    with connected(adopted_url) as connection:
        yield connection
