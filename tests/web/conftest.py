"""The demonstration app on a database of its own, and clients for it."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db import normalise_url
from tests.data import connected
from tests.web.site import Browser, World, make_world
from web import create_app, drain


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    """A connection of another program that writes to `database_url`, such as the app or psql."""
    with connected(database_url) as connection:
        yield connection


@pytest.fixture
def world(app: Connection, database_url: str) -> World:
    return make_world(app, database_url)


@pytest.fixture
def pages(database_url: str) -> Iterator[Flask]:
    yield create_app({"DATABASE_URL": normalise_url(database_url), "TESTING": True})
    drain()


@pytest.fixture
def browser(pages: Flask) -> Callable[[], Browser]:
    """Opens a browser of its own: nobody's, at first."""
    return lambda: Browser(pages)
