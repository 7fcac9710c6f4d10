"""Real servers, and browsers: each test has its own database and its own app."""

import pytest


@pytest.fixture(autouse=True)
def database_of_its_own() -> None:
    """See `tests.core.shared_database`."""
