"""The demonstration app, and clients for it. The tests of a module share the app and its database, emptied for each.

A test that opens a stream, or replaces a part of the app, asks for `app_of_its_own`.
"""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.db import normalise_url
from tests.core.shared_database import database_of_its_own, database_url, shared_database_url
from tests.data import connected
from tests.web.site import Browser, World, make_world
from web import create_app, drain

__all__ = ["database_of_its_own", "database_url", "shared_database_url"]


@pytest.fixture(scope="session", autouse=True)
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The apps of a test run compile each template once."""
    cache = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    Flask.jinja_options = {"bytecode_cache": cache}


@pytest.fixture
def app(database_url: str) -> Iterator[Connection]:
    """A connection of another program that writes to `database_url`, such as the app or psql."""
    with connected(database_url) as connection:
        yield connection


@pytest.fixture
def world(app: Connection, database_url: str) -> World:
    return make_world(app, database_url)


@pytest.fixture(scope="module")
def shared_pages(shared_database_url: str) -> Flask:
    """It keeps the templates and the statements that it has compiled."""
    return _made(shared_database_url)


@pytest.fixture
def app_of_its_own() -> None:
    """A test asks for this if an app could not be used again after it."""


@pytest.fixture
def pages(
    request: pytest.FixtureRequest, database_url: str, shared_pages: Flask, shared_database_url: str
) -> Iterator[Flask]:
    if "app_of_its_own" in request.fixturenames or database_url != shared_database_url:
        yield _made(database_url)
        drain()
        return
    before = dict(shared_pages.extensions)
    yield shared_pages
    assert shared_pages.extensions == before, "this test replaces a part of the app: ask for `app_of_its_own`"
    assert not shared_pages.extensions["seisiun"].hub._listener, "this test opens a stream: ask for `app_of_its_own`"


def _made(url: str) -> Flask:
    return create_app({"DATABASE_URL": normalise_url(url), "TESTING": True})


@pytest.fixture
def browser(pages: Flask) -> Callable[[], Browser]:
    """Opens a browser of its own: nobody's, at first."""
    return lambda: Browser(pages)
