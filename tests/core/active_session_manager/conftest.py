"""One database and one engine for a module of tests, emptied for each: that takes a third of the time."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.db import create_engine
from tests.data import connected, execute
from tests.postgres import Server

TABLES = [
    *("session", "session_instance", "person", "session_instance_person"),
    *("active_instance", "plan_request", "session_plan", "planned_instance", "activation_window"),
    *("skipped_occurrence", "daemon_heartbeat", "activation_log"),
]
FINGERPRINT = """
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
    """Asked for by a test that changes more than rows, or listens to its engine."""


@pytest.fixture
def database_url(request: pytest.FixtureRequest, server: Server, shared_database_url: str) -> Iterator[str]:
    """A database with our schema, and nothing else in it."""
    if "database_of_its_own" in request.fixturenames:
        with server.database(server.migrated) as url:
            yield url
        return
    with connected(shared_database_url) as connection:
        # Faster than TRUNCATE where there is so little; the setting keeps triggers and foreign keys out of it.
        execute(connection, "SET session_replication_role = replica")
        execute(connection, "; ".join(f"DELETE FROM {table}" for table in TABLES))
        before = execute(connection, FINGERPRINT)
        yield shared_database_url
        assert execute(connection, FINGERPRINT) == before, "this test is to ask for `database_of_its_own`"


@pytest.fixture
def engine(database_url: str, shared_engine: Engine, shared_database_url: str) -> Iterator[Engine]:
    """The product's own engine on `database_url`."""
    if database_url == shared_database_url:
        yield shared_engine
    else:
        engine = create_engine(database_url)
        yield engine
        engine.dispose()
